"""`fundtrail status` sees who works, how far they are, and every record that is not accounted for."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.structs import OffsetAndMetadata
from typer.testing import CliRunner

from detectors.engine import ENGINE_VERSION
from detectors.events import Fault
from streams.cli import app
from streams.commands.leaving import DONE, WORLD_FAILED
from streams.live import status as status_module
from streams.live.checkpoint import CheckpointFile
from streams.live.fold import BookFold, generation_of
from streams.live.rejects import entry_of, live_reject
from streams.settings import load_settings
from tests.broker.journal_sample import feed, in_order, pages, produce, produce_pages
from tests.broker.live_run import LiveRun, wait_until
from tests.broker.shared import Reached

TRANSACTIONS = "account-transactions"


class Shown(NamedTuple):
    """What a status said."""

    code: int
    text: str
    data: dict[str, Any]


class Path0(NamedTuple):
    """A live path that has worked and was stopped, and its status while it worked."""

    run: LiveRun
    sent: int
    at_work: Shown


def show(run: LiveRun, *more: str) -> Shown:
    words = ["status", "--bootstrap", run.bootstrap, "--prefix", run.prefix, "--state-dir", str(run.folder / "state"), *more]
    text, data = (CliRunner().invoke(app, [*words, *form]) for form in ((), ("--json",)))
    for result in (text, data):
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.stdout, result.stderr
    return Shown(text.exit_code, text.stdout, json.loads(data.stdout))


def send_in_a_transaction(run: LiveRun, value: bytes) -> None:
    """One record and, behind it, the mark that the transaction is committed: an offset without a record."""
    name = f"{run.prefix}transaction"
    with KafkaProducer(bootstrap_servers=run.bootstrap, transactional_id=name) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(run.prefix + TRANSACTIONS, value=value, partition=0)
        producer.commit_transaction()


@pytest.fixture(scope="module")
def path(broker: Reached, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path0]:
    folder = tmp_path_factory.mktemp("status")
    run = LiveRun(broker.bootstrap, f"status-{uuid.uuid4().hex[:8]}.", folder / "live")
    records = [(source.topic, source.value) for source in in_order(feed(folder / "in"))]
    sent = run.send(records)
    send_in_a_transaction(run, records[-1][1])
    sent += 1 + run.send([(TRANSACTIONS, b"no record at all")], first=sent + 1)
    with run.running() as worker:

        def done() -> bool:
            assert worker.is_running, worker.log.read_text(encoding="utf-8")[-3000:]
            found = show(run)
            book = found.data["books"][0]
            saved = book["checkpoint"] is not None and book["checkpoint"]["next_offset"] == book["journal_end"]
            return saved and all(_behind(group) == 0 for group in found.data["groups"])

        wait_until(done, "everything committed", 60)
        at_work = show(run)
    yield Path0(run, sent, at_work)
    run.close()
    with KafkaAdminClient(bootstrap_servers=broker.bootstrap) as admin:
        admin.delete_topics([name for name in admin.list_topics() if name.startswith(run.prefix)])


def _behind(group: dict[str, Any]) -> int:
    return sum(lag["end"] - (lag["committed"] or 0) for lag in group["partitions"])


def test_a_path_at_work_is_well_and_adds_up_record_by_record(path: Path0) -> None:
    code, text, data = path.at_work
    assert (code, data["problems"]) == (DONE, [])
    assert "All is well." in text
    accounting = data["accounting"]
    assert (accounting["method"], accounting["holds"]) == ("records", True)
    assert accounting["journalled"] + accounting["rejected"] == path.sent
    assert accounting["rejected"] == 1
    assert accounting["without_record"] == 1, "the mark of the transaction"
    assert accounting["taken"] == path.sent + 1
    assert data["rejects_distinct"] == 2, "one of intake, one of detect"
    for group in data["groups"]:
        assert group["state"] == "Stable"
        (member,) = group["members"]
        assert member["partitions"] == sorted(f"{lag['topic']}/{lag['partition']}" for lag in group["partitions"])
    (book,) = data["books"]
    assert book["checkpoint"]["next_offset"] == book["journal_end"]
    assert 0 <= book["checkpoint_age_s"] < 600
    assert "(0 pages behind)" in text


def test_a_group_without_workers_is_a_problem_with_a_remedy(path: Path0) -> None:
    def gone() -> bool:
        return not any(group["members"] for group in show(path.run).data["groups"])

    wait_until(gone, "the members' sessions to end", 30)
    code, text, data = show(path.run)
    assert code == WORLD_FAILED
    assert "fundtrail worker --role intake" in text
    assert "fundtrail worker --role detect" in text
    assert data["accounting"]["holds"] is True


def test_the_mark_of_a_transaction_is_not_taken_for_a_lost_record(path: Path0, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_module, "PAGES_READ_MAX", 0)
    accounting = show(path.run).data["accounting"]
    assert (accounting["method"], accounting["holds"]) == ("records", True), "totals cannot tell, so the journal is read"
    unknown = show(path.run, "--state-dir", str(path.run.folder / "none"))
    assert unknown.data["accounting"]["holds"] is None
    assert "--full reads them" in unknown.text


def commit_intake(run: LiveRun, topic: str, offset: int) -> None:
    tp = TopicPartition(run.prefix + topic, 0)
    group = f"{run.prefix}fundtrail-intake"
    with KafkaConsumer(bootstrap_servers=run.bootstrap, group_id=group, enable_auto_commit=False) as consumer:
        consumer.assign([tp])
        consumer.commit({tp: OffsetAndMetadata(offset, "", -1)})


@pytest.fixture
def quiet(broker: Reached, prefix: str, tmp_path: Path) -> Iterator[LiveRun]:
    """What workers leave behind: sources, a journal of which a checkpoint has folded all but two pages, commits."""
    run = LiveRun(broker.bootstrap, prefix, tmp_path / "live")
    records = in_order(feed(tmp_path / "in"))
    run.send((source.topic, source.value) for source in records)
    some = pages(records)
    produce_pages(broker.bootstrap, prefix, some)
    configuration = load_settings(None).engine
    fold = BookFold(0, configuration, generation_of(ENGINE_VERSION, configuration))
    for offset, page in enumerate(some[:-2]):
        fold.fold(offset, page)
    (run.folder / "state").mkdir()
    CheckpointFile(run.folder / "state" / "book-0.sqlite", fold.generation).save(fold)
    for topic in (TRANSACTIONS, "loan-disbursements"):
        commit_intake(run, topic, run.end(topic))
    yield run
    run.close()


def test_totals_spare_reading_a_long_journal_where_they_add_up(quiet: LiveRun, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = show(quiet).data["accounting"]
    monkeypatch.setattr(status_module, "PAGES_READ_MAX", 0)
    quick = show(quiet).data["accounting"]
    assert (quick["method"], quick["holds"]) == ("totals", True)
    assert {key: quick[key] for key in ("taken", "journalled", "rejected")} == {
        key: whole[key] for key in ("taken", "journalled", "rejected")
    }
    assert quick["taken"] == 313
    assert show(quiet, "--full").data["accounting"]["method"] == "records"
    assert "(2 pages behind)" in show(quiet).text


@pytest.mark.parametrize("pages_read_max", [0, 20_000])
def test_a_record_that_was_committed_and_written_nowhere_is_named(
    quiet: LiveRun, monkeypatch: pytest.MonkeyPatch, pages_read_max: int
) -> None:
    monkeypatch.setattr(status_module, "PAGES_READ_MAX", pages_read_max)
    before = quiet.end(TRANSACTIONS)
    assert quiet.send([(TRANSACTIONS, b"{}")] * 3) == 3
    commit_intake(quiet, TRANSACTIONS, before + 2)
    code, text, data = show(quiet)
    assert code == WORLD_FAILED
    assert data["accounting"]["holds"] is False
    assert "DOES NOT ADD UP" in text
    assert f"{TRANSACTIONS}/0: 2 records were taken" in text
    assert f"offsets {before}-{before + 1}." in text


def test_a_reject_of_intake_accounts_for_its_record_and_one_of_detect_does_not(quiet: LiveRun) -> None:
    before = quiet.end(TRANSACTIONS)
    quiet.send([(TRANSACTIONS, b"{}")])
    commit_intake(quiet, TRANSACTIONS, before + 1)
    assert show(quiet).data["accounting"]["holds"] is False
    fault = Fault("txn_id", "the field is mandatory and is not there")
    at_detect = live_reject(TRANSACTIONS, 0, before, "detect", fault, b"{}")
    produce(quiet.bootstrap, f"{quiet.prefix}rejects", [entry_of(at_detect)])
    assert show(quiet).data["accounting"]["holds"] is False, "what detect rejects must be in the journal"
    at_intake = live_reject(TRANSACTIONS, 0, before, "intake", fault, b"{}")
    produce(quiet.bootstrap, f"{quiet.prefix}rejects", [entry_of(at_intake)])
    accounting = show(quiet).data["accounting"]
    assert (accounting["holds"], accounting["rejected"]) == (True, 1)


def test_missing_topics_are_told_with_the_remedy(broker: Reached, prefix: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["status", "--bootstrap", broker.bootstrap, "--prefix", prefix])
    assert result.exit_code == WORLD_FAILED
    assert "fundtrail topics create" in result.stderr
