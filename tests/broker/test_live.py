"""The live path on a real Kafka: the same bytes as a replay, however often its processes are killed."""

from __future__ import annotations

import shutil
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition

from detectors.alert_record import PortfolioShare
from streams.files.replay import replay
from streams.settings import load_settings
from streams.simulate.world import simulate
from tests.broker.kafka import Broker
from tests.broker.live_run import ALERTS, LOAN_RISK, PORTFOLIO, SESSION_MS, LiveRun, Worker, records_of, wait_until
from tests.broker.shared import Reached

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


class Bank:
    """A simulated bank and what a replay of its folder says."""

    def __init__(self, folder: Path, *, loans: int, days: int, seed: int) -> None:
        self.source = folder / "bank"
        self.source.mkdir()
        simulate(self.source, loans=loans, days=days, seed=seed, misuse_share=0.3)
        out = folder / "replayed"
        self.replayed = out
        self.summary = replay([self.source], out, load_settings())
        self.alerts = (out / "alerts.jsonl").read_bytes().splitlines()


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    return Bank(tmp_path_factory.mktemp("small"), loans=150, days=30, seed=7)


@pytest.fixture(scope="module")
def large_bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    return Bank(tmp_path_factory.mktemp("large"), loans=400, days=60, seed=11)


@pytest.fixture
def live(broker: Reached, prefix: str, tmp_path: Path) -> Iterator[LiveRun]:
    run = LiveRun(broker.bootstrap, prefix, tmp_path / "live")
    yield run
    run.close()


def test_replay_live_path_and_replay_of_the_journal_give_the_same_bytes_and_account_for_every_record(
    live: LiveRun, bank: Bank
) -> None:
    sent = live.load(bank.source)
    with live.running() as worker:
        live.until_alerts(len(bank.alerts), worker)
        wait_until(lambda: _caught_up(worker), "end of the journal")
        metrics = worker.metrics()
        assert '"ok": true' in worker.get("/health/ready")
    live.assert_alerts(bank.alerts)
    _assert_portfolio(live, bank)
    assert metrics["fundtrail_intake_in_total"] == sent == metrics['fundtrail_intake_records_total{outcome="journalled"}']
    assert metrics['fundtrail_detect_records_total{book="0",outcome="applied"}'] == bank.summary.records.applied
    assert metrics["fundtrail_intake_accounting_difference"] == 0
    assert metrics['fundtrail_detect_accounting_difference{book="0"}'] == 0
    assert metrics['fundtrail_withheld_total{book="0"}'] == 0
    refolded = live.folder / "refolded"
    assert live.tool("replay", "--from", "kafka", "--out", refolded) == (0, "")
    for name in ("alerts.jsonl", "loan-risk.jsonl", "portfolio.jsonl"):
        assert (refolded / name).read_bytes() == (bank.replayed / name).read_bytes(), name


def _assert_portfolio(live: LiveRun, bank: Bank) -> None:
    """Every cut was said once, in the bytes of the replay; at its end the replay says all of them once more."""
    said = live.read(PORTFOLIO)
    replayed = (bank.replayed / "portfolio.jsonl").read_bytes().splitlines()
    last = len(replayed) - len(bank.summary.portfolio)
    assert last > 10
    assert [message.value for message in said] == replayed[:last]
    cells = [msgspec.json.decode(message.value, type=PortfolioShare) for message in said]
    keys = [f"0/{cell.currency}/{cell.dimension}/{cell.value}".encode() for cell in cells]
    assert [message.key for message in said] == keys


def test_a_lost_state_folder_costs_time_and_no_alert(live: LiveRun, bank: Bank) -> None:
    live.load(bank.source)
    with live.running() as worker:
        live.until_alerts(len(bank.alerts) // 2, worker)
        worker.kill()
        shutil.rmtree(live.folder / "state")
        with live.running() as second:
            live.until_alerts(len(bank.alerts), second)
            wait_until(lambda: second.metrics()['fundtrail_journal_lag_pages{book="0"}'] == 0, "end of the journal")
        live.assert_alerts(bank.alerts)
        _assert_portfolio(live, bank)


def test_two_workers_hand_the_work_over_and_one_that_was_paused_too_long_ends(live: LiveRun, large_bank: Bank) -> None:
    live.load(large_bank.source)
    first, second = live.start(state="first"), live.start(state="second")
    try:
        live.until_alerts(3)
        owner, other = (first, second) if _has_book(first) else (second, first)
        owner.process.send_signal(19)  # SIGSTOP, for longer than the session
        wait_until(lambda: _has_book(other), "take-over by the other worker")
        live.until_alerts(20)
        owner.process.send_signal(18)  # SIGCONT
        assert owner.ends() == 1
        assert "start it again" in owner.said()
        third = live.start(state="third")
        try:
            live.until_alerts(len(large_bank.alerts), other)
            wait_until(lambda: _caught_up(other), "end of the journal")
        finally:
            third.kill()
    finally:
        first.kill()
        second.kill()
    live.assert_alerts(large_bank.alerts)


SLOW_START = f"""
import asyncio
from streams.live.intake_stage import IntakeStage

begin = IntakeStage.assigned

async def assigned(self, committed):
    lanes = await begin(self, committed)
    await asyncio.sleep({SESSION_MS} / 1000)
    return lanes

IntakeStage.assigned = assigned
"""


def test_a_start_that_takes_as_long_as_a_session_is_not_taken_for_a_pause(live: LiveRun, bank: Bank) -> None:
    sent = live.load(bank.source)
    with live.running("intake", before=SLOW_START) as worker:
        wait_until(lambda: not worker.is_running or live.taken_in() == sent, "everything taken in")
        assert worker.is_running, worker.said()[-2_000:]


def _has_book(worker: object) -> bool:
    return bool(worker.metrics()["fundtrail_detect_books"] == 1)  # type: ignore[attr-defined]


def _caught_up(worker: object) -> bool:
    return worker.metrics().get('fundtrail_journal_lag_pages{book="0"}', 1) == 0  # type: ignore[attr-defined]


def test_alerts_can_be_read_by_anybody_and_keep_to_the_published_schema(live: LiveRun, bank: Bank, broker: Reached) -> None:
    live.load(bank.source)
    with live.running() as worker:
        live.until_alerts(len(bank.alerts), worker)
    for topic, schema_name in ((ALERTS, "alert"), (LOAN_RISK, "loan-risk"), (PORTFOLIO, "portfolio")):
        schema = msgspec.json.decode((SCHEMAS / f"{schema_name}.json").read_bytes())
        validator = jsonschema.Draft202012Validator(schema)
        values = [message.value for message in live.read(topic)]
        assert values == _read_with_librdkafka(broker.bootstrap, live.prefix + topic, len(values))
        for value in values:
            validator.validate(msgspec.json.decode(value))


def _read_with_librdkafka(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "somebody-else", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        return [message.value() or b"" for message in consumer.consume(count, timeout=30)]
    finally:
        consumer.close()


def test_a_broker_that_stops_and_dies_is_waited_for(own_broker: Broker, bank: Bank, tmp_path: Path) -> None:
    live = LiveRun(own_broker.bootstrap, "weather.", tmp_path / "live")
    records = list(records_of(bank.source))
    third = len(records) // 3
    with live.running() as worker:
        live.send(records[:third])
        live.until_alerts(1, worker)
        own_broker.stop()
        own_broker.start()
        live.send(records[third : 2 * third], first=third)
        own_broker.kill()
        own_broker.start()
        live.send(records[2 * third :], first=2 * third)
        live.until_alerts(len(bank.alerts), worker)
        wait_until(lambda: _caught_up(worker), "end of the journal")
    live.assert_alerts(bank.alerts)
    live.close()


def test_a_lost_state_comes_back_from_what_was_published_and_a_damaged_snapshot_is_passed_over(
    live: LiveRun, bank: Bank
) -> None:
    shelf = live.folder / "published"
    live.load(bank.source)
    settings = live.settings(publish=shelf, checkpoint_ms=300)
    with live.running(settings=settings) as worker:
        live.until_alerts(len(bank.alerts) - 2, worker)
        wait_until(lambda: len(list(shelf.glob("**/*.zst"))) >= 2, "two published snapshots")
        worker.kill()
        newest = max(shelf.glob("**/*.zst"), key=lambda path: path.name)
        newest.write_bytes(newest.read_bytes()[:-100])
        shutil.rmtree(live.folder / "state")
        with live.running(settings=settings) as second:
            live.until_alerts(len(bank.alerts), second)
            wait_until(lambda: _caught_up(second), "end of the journal")
            said = second.said()
    assert newest.name in said and "the snapshot before it is taken" in said
    assert "begins from the published snapshot" in said
    live.assert_alerts(bank.alerts)


IMPATIENT = "import streams.live.worker as worker; worker.BROKER_AWAY_S_MAX = 25.0"


def test_a_broker_that_stays_away_is_told_in_a_few_lines_and_ends_an_idle_worker(own_broker: Broker, tmp_path: Path) -> None:
    """Nothing is on its way, so no append fails: only the group's silence tells."""
    live = LiveRun(own_broker.bootstrap, "away.", tmp_path / "live")
    live.close()
    worker = live.start(before=IMPATIENT)
    try:
        wait_until(lambda: '"ok": true' in _health(worker), "a ready worker")
        own_broker.kill()
        wait_until(lambda: "no broker has answered for" in _health(worker), "a reason for not being ready")
        assert worker.ends() == 1
    finally:
        worker.kill()
    said = worker.said()
    assert f"no broker at {own_broker.bootstrap} answers: it is waited for" in said
    assert "Nothing is lost: start it again" in said.splitlines()[-1]
    assert len(said.splitlines()) < 60, said


def _health(worker: Worker) -> str:
    try:
        return worker.get("/health/ready")
    except urllib.error.HTTPError as refused:
        return str(refused.read().decode())
    except OSError as error:
        return str(error)
