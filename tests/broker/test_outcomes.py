"""Analysts' outcomes through Kafka: they teach the live path what they teach a replay, and no kill undoes or doubles that."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.files.replay import replay
from streams.settings import load_settings
from streams.simulate.world import simulate
from tests.broker.live_run import LOAN_RISK, LiveRun, Worker, records_of, wait_until
from tests.broker.shared import Reached

BY_SCORE = """
[budget]
alerts_per_1000_loans = 200
scores_min = 200
tail_share_max = 0.2
"""
"""Payments that stand out by their score become alerts, so that what outcomes teach is seen in the alerts' bytes."""

LOANS = 150
LEARNED = 'fundtrail_fold_counter{book="0",name="outcomes_learned"}'
PAGES = """
[intake]
page_records_max = 50
"""
KILLS = ("detect.published:6", "detect.checkpointed:1", "intake.journalled:9", "detect.folded:5")


class Judged:
    """A simulated bank whose analysts say what became of payments, alerts and loans, and its replays with and without them."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "bank"
        self.source.mkdir()
        simulate(self.source, loans=LOANS, days=30, seed=7, misuse_share=0.3)
        (folder / "by_score.toml").write_text(BY_SCORE)
        self.settings = load_settings(folder / "by_score.toml")
        replay([self.source], folder / "untaught", self.settings)
        self.untaught = _lines(folder / "untaught" / "alerts.jsonl")
        outcomes = sorted(self._outcomes(), key=lambda outcome: datetime.fromisoformat(outcome["event_time"]))
        (self.source / "dispositions.jsonl").write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in outcomes))
        self.replayed = folder / "taught"
        self.summary = replay([self.source], self.replayed, self.settings)
        self.alerts = _lines(self.replayed / "alerts.jsonl")
        self.learned = self.summary.counters["outcomes_learned"]

    def _outcomes(self) -> Iterator[dict[str, str]]:
        """Some of them of what no engine can know: those are rejects, in the live path too."""
        misused = [label for label in _told(self.source / "labels.jsonl") if label["misused"]]
        guilty = {txn_id for label in misused for txn_id in label["txn_ids"][:3]}
        for number, payment in enumerate(_told(self.source / "account-transactions.jsonl")):
            if payment["txn_id"] in guilty:
                yield _outcome("MISUSE_CONFIRMED", payment["event_time"], 1, txn_id=payment["txn_id"])
            elif number % 7 == 0:
                yield _outcome("FALSE_POSITIVE", payment["event_time"], 1, txn_id=payment["txn_id"])
        for line in self.untaught[::3]:
            alert = msgspec.json.decode(line)
            yield _outcome("MISUSE_CONFIRMED", alert["scored_time"], 2, alert_id=alert["alert_id"])
        for label in misused[::2]:
            if label["first_misuse_time"] is not None:
                yield _outcome("MISUSE_CONFIRMED", label["first_misuse_time"], 3, loan_id=label["loan_id"])


def _outcome(name: str, of: str, days: int, **subject: str) -> dict[str, str]:
    return {"event_time": (datetime.fromisoformat(of) + timedelta(days=days)).isoformat(), "outcome": name, **subject}


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def _told(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in _lines(path)]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return Judged(tmp_path_factory.mktemp("judged"))


@pytest.fixture
def live(broker: Reached, prefix: str, tmp_path: Path) -> Iterator[LiveRun]:
    run = LiveRun(broker.bootstrap, prefix, tmp_path / "live", sections=BY_SCORE + PAGES)
    yield run
    run.close()


def test_outcomes_change_what_a_payment_scores(judged: Judged) -> None:
    before, after = _scores(judged.untaught), _scores(judged.alerts)
    assert judged.learned > 500
    changed = [alert for alert in before.keys() & after.keys() if before[alert] != after[alert]]
    assert len(changed) >= 10, f"{len(changed)} of {len(before.keys() & after.keys())} scores changed"


def test_outcomes_sent_live_give_the_bytes_of_a_replay_through_kills_at_every_side_of_a_checkpoint(
    live: LiveRun, judged: Judged
) -> None:
    records = list(records_of(judged.source))
    settings = live.settings(checkpoint_ms=300)
    for number, fault in enumerate(KILLS):
        worker = live.start(settings=settings, fault=fault)
        try:
            first, last = (len(records) * n // (len(KILLS) + 1) for n in (number, number + 1))
            live.send(records[first:last], first=first)
            assert worker.ends() == -signal.SIGKILL, worker.said()[-2_000:]
        finally:
            worker.kill()
    with live.running(settings=settings) as worker:
        live.send(records[last:], first=last)
        live.until_alerts(len(judged.alerts), worker)
        wait_until(lambda: _all_applied(worker, judged), "all records applied")
        assert worker.metrics()[LEARNED] == judged.learned
        assert worker.metrics()['fundtrail_detect_accounting_difference{book="0"}'] == 0
    live.assert_alerts(judged.alerts)
    states = _lines(judged.replayed / "loan-risk.jsonl")
    assert [message.value for message in live.read(LOAN_RISK)] == states[:-LOANS]  # a replay adds what each loan has come to
    assert len(live.rejects()) == judged.summary.records.rejected


def _all_applied(worker: Worker, judged: Judged) -> bool:
    applied = worker.metrics().get('fundtrail_detect_records_total{book="0",outcome="applied"}', 0)
    return applied >= judged.summary.records.applied and worker.metrics()['fundtrail_journal_lag_pages{book="0"}'] == 0


def _scores(alerts: list[bytes]) -> dict[tuple[str, int], float]:
    """Of the alerts by score alone."""
    told = [msgspec.json.decode(alert) for alert in alerts]
    return {(one["alert_id"], one["revision"]): one["score"] for one in told if one["typology"] == "S01"}
