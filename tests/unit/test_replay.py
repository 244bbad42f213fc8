"""A replay writes whole results or none, accounts for every record, and gives the same bytes for the same records."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from detectors.engine import Engine, Outputs
from detectors.events import Event
from streams.files import replay as replay_module
from streams.files.inputs import InputError
from streams.files.readers import open_topic_files
from streams.files.rejects import Reject, StoppedAtReject
from streams.files.replay import Tally, fold, replay
from streams.files.writers import OutputRefused
from streams.settings import Settings, load_settings
from tests.unit.feed_sample import Cells, csv_bytes, ids, jsonl, misused_loans, transfer, write, write_parquet

RESULTS = ("alerts.jsonl", "loan-risk.jsonl", "portfolio.jsonl", "rejects.jsonl")


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings(None)


def feed(folder: Path) -> Path:
    payouts, transfers = misused_loans()
    broken = [b'{"txn_id": "half', b"", b"[]"]
    write(folder / "loan-disbursements.jsonl", jsonl(payouts))
    write(folder / "account-transactions.jsonl", b"\n".join([*jsonl(transfers).splitlines(), *broken]) + b"\n")
    write(folder / "labels.jsonl", b"{}\n")
    return folder


def bytes_of(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in RESULTS}


def placeless(rejects: bytes) -> list[dict[str, Any]]:
    return [{k: v for k, v in json.loads(line).items() if k not in ("file", "line")} for line in rejects.splitlines()]


def test_a_replay_writes_alerts_states_rejects_and_a_summary_that_adds_up(tmp_path: Path, settings: Settings) -> None:
    summary = replay([feed(tmp_path / "in")], tmp_path / "out", settings)
    written = json.loads((tmp_path / "out" / "summary.json").read_bytes())
    assert written["records"] == {"read": 315, "applied": 312, "rejected": 3, "duplicate": 0}
    alerts = [json.loads(line) for line in (tmp_path / "out" / "alerts.jsonl").read_bytes().splitlines()]
    distinct = {alert["alert_id"]: alert for alert in alerts}
    assert len(distinct) >= 6, "each of the six loans went to a broker"
    assert sum(written["alerts"].values()) == len(distinct)
    assert written["alerts"]["T01"] == sum(alert["typology"] == "T01" for alert in distinct.values()) == 6
    assert sum(written["alerts_by_severity"]["T01"].values()) == 6
    assert written["alert_revisions"] == len(alerts)
    assert written["withdrawn"] == 0
    assert written["alerts_sha256"] == hashlib.sha256((tmp_path / "out" / "alerts.jsonl").read_bytes()).hexdigest()
    assert written["loans"] == 6
    assert written["files"] == ["loan-disbursements.jsonl", "account-transactions.jsonl"]
    assert written["ignored_files"] == ["labels.jsonl"]
    assert written["event_time_first"] == "2026-01-05T01:00:00.000Z"
    assert written["configuration_digest"] == settings.engine.digest() == alerts[0]["configuration_digest"]
    assert summary.records.applied == 312


def test_the_last_risk_state_of_every_open_loan_is_written(tmp_path: Path, settings: Settings) -> None:
    replay([feed(tmp_path / "in")], tmp_path / "out", settings)
    risks = [json.loads(line) for line in (tmp_path / "out" / "loan-risk.jsonl").read_bytes().splitlines()]
    last = {risk["loan_id"]: risk for risk in risks}
    assert sorted(last) == [f"L{n}" for n in range(6)]
    assert all(risk["state"] != "NORMAL" and risk["open_alerts"] for risk in last.values())
    assert [risk["loan_id"] for risk in risks[-6:]] == [f"L{n}" for n in range(6)], "the open loans stand at the end"


def test_the_same_input_twice_gives_the_same_bytes(tmp_path: Path, settings: Settings) -> None:
    source = feed(tmp_path / "in")
    replay([source], tmp_path / "one", settings)
    replay([source], tmp_path / "two", settings)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst", ".csv", ".csv.zst", ".parquet"])
def test_the_format_of_the_files_changes_no_alert(tmp_path: Path, settings: Settings, suffix: str) -> None:
    replay([feed(tmp_path / "in")], tmp_path / "plain", settings)
    payouts, transfers = misused_loans()
    for topic, rows in (("loan-disbursements", payouts), ("account-transactions", transfers)):
        path = tmp_path / "form" / f"{topic}{suffix}"
        path.parent.mkdir(exist_ok=True)
        if suffix == ".parquet":
            write_parquet(path, rows)
        else:
            write(path, csv_bytes(rows) if "csv" in suffix else jsonl(rows))
    replay([tmp_path / "form"], tmp_path / "formed", settings)
    plain, formed = bytes_of(tmp_path / "plain"), bytes_of(tmp_path / "formed")
    assert plain["alerts.jsonl"] == formed["alerts.jsonl"] != b""
    assert plain["loan-risk.jsonl"] == formed["loan-risk.jsonl"]


@pytest.mark.parametrize("parts", [2, 3, 12])
def test_splitting_and_compressing_files_changes_nothing_but_the_places_of_rejects(
    tmp_path: Path, settings: Settings, parts: int
) -> None:
    replay([feed(tmp_path / "in")], tmp_path / "whole", settings)
    for path in (tmp_path / "in").glob("*s.jsonl"):
        lines = path.read_bytes().splitlines(keepends=True)
        size = -(-len(lines) // parts)
        for part in range(parts):
            name = f"{path.name.removesuffix('.jsonl')}-{part}.jsonl{['', '.gz', '.zst'][part % 3]}"
            write(tmp_path / "split" / name, b"".join(lines[part * size : (part + 1) * size]))
    replay([tmp_path / "split"], tmp_path / "parts", settings)
    whole, split = bytes_of(tmp_path / "whole"), bytes_of(tmp_path / "parts")
    assert whole["alerts.jsonl"] == split["alerts.jsonl"] != b""
    assert whole["loan-risk.jsonl"] == split["loan-risk.jsonl"]
    assert placeless(whole["rejects.jsonl"]) == placeless(split["rejects.jsonl"]) != []


def test_rejects_stand_in_the_order_of_files_and_lines_whoever_rejected_them(tmp_path: Path, settings: Settings) -> None:
    rows = [transfer(n) for n in range(3_000)]
    rows[7] = transfer(5, amount_minor=1)  # the engine's reject: known as another record
    lines = jsonl(rows).splitlines()
    lines[20] = b"the codec's reject, met before the engine sees line 8"
    write(tmp_path / "in" / "account-transactions.jsonl", b"\n".join(lines) + b"\n")
    write(tmp_path / "in" / "loan-disbursements.jsonl", b"one more\n")
    replay([tmp_path / "in"], tmp_path / "out", settings)
    rejects = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_bytes().splitlines()]
    places = [(reject["file"], reject["line"]) for reject in rejects]
    assert [line for _, line in places] == [1, 8, 21]
    assert places[0][0] == "loan-disbursements.jsonl"


def test_strict_stops_at_the_first_reject_and_names_no_result(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(StoppedAtReject, match=r"account-transactions\.jsonl, line 307: \$: .*cut off"):
        replay([feed(tmp_path / "in")], tmp_path / "out", settings, strict=True)
    assert not [path.name for path in (tmp_path / "out").iterdir() if path.suffix in (".jsonl", ".json")]


def test_strict_stops_at_a_reject_of_the_engine_too(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path / "in" / "account-transactions.jsonl", jsonl([transfer(1), transfer(1, amount_minor=3)]))
    with pytest.raises(StoppedAtReject, match="used before with other content"):
        replay([tmp_path / "in"], tmp_path / "out", settings, strict=True)


def test_a_broken_run_leaves_no_result_of_its_own_nor_of_an_earlier_one(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = feed(tmp_path / "in"), tmp_path / "out"
    replay([source], out, settings)

    class Breaking(Engine):
        def loan_risks(self) -> Iterator[Any]:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(replay_module, "Engine", Breaking)
        with pytest.raises(OSError, match="No space left"):
            replay([source], out, settings)
    assert not [path.name for path in out.iterdir() if path.suffix in (".jsonl", ".json")]
    replay([source], out, settings)
    assert {path.name for path in out.iterdir()} == {*RESULTS, "summary.json", "configuration.json", ".fundtrail-output"}


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path, settings: Settings) -> None:
    source = feed(tmp_path / "in")
    with pytest.raises(OutputRefused, match="holds files that fundtrail did not make"):
        replay([source], source, settings)
    assert not (source / "summary.json").exists()
    with pytest.raises(OutputRefused, match="is a file"):
        replay([source], source / "labels.jsonl", settings)


def test_missing_input_touches_no_output(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(InputError):
        replay([tmp_path / "none"], tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()


class Recording:
    """An engine that takes every record, and remembers it."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def apply(self, event: Event, event_time_ms: int | None = None) -> Outputs:
        self.events.append(event)
        return Outputs()


def folded(folder: Path) -> tuple[Recording, Tally, list[str]]:
    engine, tally = Recording(), Tally()
    rejects: list[Reject] = []
    rows = [row for row, _ in fold(open_topic_files([folder]), engine, tally, lambda _, reject: rejects.append(reject))]
    tally.check()
    assert tally.rejected == len(rejects)
    return engine, tally, ids(rows)


def test_fold_gives_each_record_once_in_order_with_its_outputs(tmp_path: Path) -> None:
    engine, tally, seen = folded(feed(tmp_path / "in"))
    times = [event.event_time_ms for event in engine.events]
    assert times == sorted(times)
    assert len(seen) == len(engine.events) == tally.applied == 312
    assert (tally.read, tally.rejected, tally.first_ms, tally.last_ms) == (315, 3, times[0], times[-1])


def test_an_empty_file_is_an_empty_replay(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path / "in" / "account-transactions.jsonl", b"")
    summary = replay([tmp_path / "in"], tmp_path / "out", settings)
    assert (summary.records.read, summary.loans, summary.event_time_first) == (0, 0, None)


def test_a_fault_of_our_own_names_the_record_it_happened_at(tmp_path: Path) -> None:
    class Faulty:
        def apply(self, event: Event, event_time_ms: int | None = None) -> Outputs:
            raise AssertionError("money was made")

    rows: list[Cells] = [transfer(1), transfer(2)]
    write(tmp_path / "account-transactions.jsonl", jsonl(rows))
    with pytest.raises(AssertionError, match="money was made") as caught:
        list(fold(open_topic_files([tmp_path]), Faulty(), Tally(), lambda index, reject: None))
    assert caught.value.__notes__ == ["while applying account-transactions.jsonl, line 1"]


def test_progress_shows_on_a_terminal_and_nowhere_else(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "PROGRESS_RECORDS", 10)
    source = feed(tmp_path / "in")
    shown, plain = io.StringIO(), io.StringIO()
    replay([source], tmp_path / "one", settings, console=Console(file=shown, force_terminal=True, width=200))
    replay([source], tmp_path / "two", settings, console=Console(file=plain, force_terminal=False))
    assert "records" in shown.getvalue()
    assert plain.getvalue() == ""
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
