"""`fundtrail replay --from kafka` says what the folder's replay says, beside the workers and without touching their groups."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient
from typer.testing import CliRunner

from streams.cli import app
from streams.commands.leaving import DONE, WORLD_FAILED, WRONG_USE
from tests.broker.journal_sample import (
    feed,
    groups_on,
    in_order,
    make_topics,
    messages,
    pages,
    produce_pages,
    settings_file,
)
from tests.broker.shared import Reached

RUNNER = CliRunner()
FIRST_MS, MINUTE_MS = 1_767_000_000_000, 60_000


def run(*arguments: object) -> tuple[int, str, str]:
    result = RUNNER.invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def times(count: int) -> list[int]:
    return [FIRST_MS + number * MINUTE_MS for number in range(count)]


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


@pytest.fixture
def journal(broker: Reached, prefix: str, tmp_path: Path) -> Path:
    """A journal of one book, written a page a minute, and the folder that holds the same records."""
    folder = feed(tmp_path / "in")
    make_topics(broker.bootstrap, prefix, {"journal": 1})
    some = pages(in_order(folder))
    produce_pages(broker.bootstrap, prefix, some, timestamps_ms=times(len(some)))
    return folder


def test_a_refold_gives_the_bytes_of_the_folders_replay(broker: Reached, prefix: str, journal: Path, tmp_path: Path) -> None:
    assert run("replay", journal, "--out", tmp_path / "files")[0] == DONE
    config = settings_file(tmp_path, prefix)
    code, said, complaints = run(
        "replay", "--from", "kafka", "--out", tmp_path / "kafka", "--config", config, "--bootstrap", broker.bootstrap
    )
    assert (code, complaints) == (DONE, "")
    assert "0 repeated, 0 ahead" in said
    for name in ("alerts.jsonl", "loan-risk.jsonl", "portfolio.jsonl", "configuration.json"):
        assert (tmp_path / "kafka" / name).read_bytes() == (tmp_path / "files" / name).read_bytes(), name
    assert lines(tmp_path / "kafka" / "alerts.jsonl"), "the sample has alerts"
    ours, theirs = (json.loads((tmp_path / name / "summary.json").read_bytes()) for name in ("kafka", "files"))
    assert ours["records"] == {**theirs["records"], "repeated": 0, "ahead": 0}
    for key in ("alerts_sha256", "event_time_first", "event_time_last", "counters", "late", "portfolio", "withdrawn", "loans"):
        assert ours[key] == theirs[key], key
    (reject,) = (json.loads(line) for line in lines(tmp_path / "kafka" / "rejects.jsonl"))
    assert (reject["stage"], reject["topic"]) == ("detect", "account-transactions")
    assert groups_on(broker.bootstrap, f"{prefix}journal") == set()
    assert run("diff", tmp_path / "files", tmp_path / "kafka")[0] == DONE


def test_a_page_written_twice_changes_counts_only(broker: Reached, prefix: str, tmp_path: Path) -> None:
    folder = feed(tmp_path / "in")
    some = pages(in_order(folder))
    make_topics(broker.bootstrap, prefix, {"journal": 1})
    produce_pages(broker.bootstrap, prefix, [*some[:3], some[2], *some[3:]])
    config = settings_file(tmp_path, prefix)
    refold = ("replay", "--from", "kafka", "--config", config, "--bootstrap", broker.bootstrap)
    assert run(*refold, "--out", tmp_path / "kafka")[0] == DONE
    assert run("replay", folder, "--out", tmp_path / "files")[0] == DONE
    assert lines(tmp_path / "kafka" / "alerts.jsonl") == lines(tmp_path / "files" / "alerts.jsonl")
    counts = json.loads((tmp_path / "kafka" / "summary.json").read_bytes())["records"]
    assert counts["repeated"] == len(some[2].records)
    assert counts["read"] == sum(value for name, value in counts.items() if name != "read")


def test_since_and_until_cut_what_is_said_and_never_what_is_known(
    broker: Reached, prefix: str, journal: Path, tmp_path: Path
) -> None:
    refold = ("replay", "--from", "kafka", "--config", settings_file(tmp_path, prefix), "--bootstrap", broker.bootstrap)
    middle = "2025-12-29T09:23:00+00:00"  # between the third and the fourth page
    assert run(*refold, "--out", tmp_path / "all")[0] == DONE
    assert run(*refold, "--out", tmp_path / "before", "--until", middle)[0] == DONE
    assert run(*refold, "--out", tmp_path / "after", "--since", middle)[0] == DONE
    whole, before, after = (lines(tmp_path / name / "alerts.jsonl") for name in ("all", "before", "after"))
    assert before
    assert after
    assert before + after == whole
    counts = json.loads((tmp_path / "before" / "summary.json").read_bytes())
    assert counts["files"] == ["journal/0/0-3"]
    assert counts["records"]["read"] == 120
    code, _, complaints = run(*refold, "--out", tmp_path / "x", "--since", "yesterday")
    assert code == WRONG_USE
    assert "is no instant" in complaints


def test_books_stand_one_behind_the_other_and_one_can_be_taken_alone(broker: Reached, prefix: str, tmp_path: Path) -> None:
    make_topics(broker.bootstrap, prefix, {"journal": 2})
    for book, loans in ((0, 3), (1, 5)):
        produce_pages(broker.bootstrap, prefix, pages(in_order(feed(tmp_path / f"in{book}", loans))), book)
    refold = ("replay", "--from", "kafka", "--config", settings_file(tmp_path, prefix), "--bootstrap", broker.bootstrap)
    assert run(*refold, "--out", tmp_path / "both")[0] == DONE
    for book in (0, 1):
        assert run(*refold, "--out", tmp_path / f"book{book}", "--book", book)[0] == DONE
    alone = [lines(tmp_path / f"book{book}" / "alerts.jsonl") for book in (0, 1)]
    assert lines(tmp_path / "both" / "alerts.jsonl") == alone[0] + alone[1]
    assert alone[0] != alone[1]
    cells = [
        {(cell["currency"], cell["dimension"], cell["value"]): (cell["loans"], cell["disbursed_minor"], cell["flagged_minor"])
         for cell in json.loads((tmp_path / name / "summary.json").read_bytes())["portfolio"]}
        for name in ("both", "book0", "book1")
    ]  # fmt: skip
    assert cells[0] == {
        key: tuple(map(sum, zip(*(one[key] for one in cells[1:] if key in one), strict=True))) for key in cells[0]
    }
    assert cells[0]["CNY", "product", "WORKING_CAPITAL"][0] == 8
    last = {}
    for line in map(json.loads, lines(tmp_path / "both" / "portfolio.jsonl")):
        last[line["currency"], line["dimension"], line["value"]] = line["loans"], line["disbursed_minor"], line["flagged_minor"]
    assert last == cells[0], "the last line of a cell holds, for all books together"
    code, _, complaints = run(*refold, "--out", tmp_path / "none", "--book", 2)
    assert code == WRONG_USE
    assert "books 0 to 1" in complaints


def test_other_topics_get_what_a_worker_would_say_once_however_often_it_is_run(
    broker: Reached, prefix: str, journal: Path, tmp_path: Path
) -> None:
    refold = ("replay", "--from", "kafka", "--config", settings_file(tmp_path, prefix), "--bootstrap", broker.bootstrap)
    assert run(*refold, "--out", tmp_path / "files")[0] == DONE
    other = f"{prefix}what-if."
    code, said, _ = run(*refold, "--to", other, "--until", "2025-12-29T09:23:00+00:00")
    assert code == DONE
    assert "were there already" in said
    first = messages(broker.bootstrap, f"{other}alerts")
    assert run(*refold, "--to", other)[0] == DONE
    assert run(*refold, "--to", other)[0] == DONE
    alerts = messages(broker.bootstrap, f"{other}alerts")
    assert alerts[: len(first)] == first
    assert 0 < len(first) < len(alerts)
    assert [alert.value for alert in alerts] == lines(tmp_path / "files" / "alerts.jsonl")
    assert [name for name, _ in alerts[0].headers] == ["fundtrail-position", "fundtrail-generation"]
    assert len(messages(broker.bootstrap, f"{other}rejects")) == 1
    assert run(*refold, "--to", prefix)[0] == WRONG_USE, "the live topics are not written to"


def test_a_journal_whose_beginning_is_gone_is_folded_from_there_with_a_warning(
    broker: Reached, prefix: str, journal: Path, tmp_path: Path
) -> None:
    from kafka import TopicPartition

    with KafkaAdminClient(bootstrap_servers=broker.bootstrap) as admin:
        admin.delete_records({TopicPartition(f"{prefix}journal", 0): 2})
    code, _, complaints = run(
        "replay", "--from", "kafka", "--out", tmp_path / "out", "--config", settings_file(tmp_path, prefix),
        "--bootstrap", broker.bootstrap,
    )  # fmt: skip
    assert code == DONE
    assert "begins at offset 2" in complaints
    counts = json.loads((tmp_path / "out" / "summary.json").read_bytes())["records"]
    assert counts["ahead"] == 0
    assert counts["applied"] > 100


def test_what_is_missing_is_told_without_a_traceback(broker: Reached, prefix: str, tmp_path: Path) -> None:
    refold = ("replay", "--from", "kafka", "--out", tmp_path / "out", "--config", settings_file(tmp_path, prefix))
    code, _, complaints = run(*refold, "--bootstrap", broker.bootstrap)
    assert code == WORLD_FAILED
    assert f"there is no topic {prefix}journal" in complaints
    code, _, complaints = run(*refold, "--bootstrap", "127.0.0.1:1")
    assert code == WORLD_FAILED
    assert "nobody listens there" in complaints
    assert run("replay", "--from", "kafka")[0] == WRONG_USE
    assert run("replay", tmp_path, "--out", tmp_path / "x", "--book", 0)[0] == WRONG_USE
