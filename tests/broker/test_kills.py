"""Intake and detect killed again and again under load, and everything around them too: the alerts are those of the replay.

CI has 30 kills, ``make nightly`` 500 (``LIVE_KILLS``), ``LIVE_SEED`` gives other moments. A round sends some records,
lets intake and detect work, and kills one of them: at a random moment, or at the fault point that was armed when it started.
Now and then something else happens as well.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.commands.leaving import WORLD_FAILED
from streams.files.replay import replay
from streams.live.fault_points import STEPS
from streams.settings import load_settings
from streams.simulate.world import simulate
from tests.broker.kafka import Broker
from tests.broker.live_run import ALERTS, SESSION_MS, LiveRun, Worker, records_of, wait_until

KILLS = int(os.environ.get("LIVE_KILLS", "30"))
SEED = int(os.environ.get("LIVE_SEED", "2024"))
ROLES = ("intake", "detect")
LOANS_A_KILL = 16
ARMED_SHARE = 0.6
ARMED_SECONDS_MAX = 6
"""How long a fault point may take to be reached; then it is a kill like the others."""

HOSTILE = ("dispositions", b"no record")
APPLIED = 'fundtrail_detect_records_total{book="0",outcome="applied"}'
OTHER_EVERY = 5
"""Kills between two disturbances of another kind."""


class Storm:
    """One run: its broker, its two workers, its chances."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.broker = broker
        self.live = LiveRun(broker.bootstrap, "storm.", folder)
        self.chance = random.Random(SEED)
        self.shelf = folder / "published"
        self.settings = self.live.settings(checkpoint_ms=400, publish=self.shelf)
        self.sent = 0
        self.deaths: Counter[str] = Counter()
        self.armed: dict[str, str] = {}
        self.workers = {role: self.start(role) for role in ROLES}
        others = (
            self.stop_broker,
            self.pause_worker,
            self.lose_state,
            self.truncate_snapshot,
            self.add_worker,
            self.kill_broker,
        )
        self.others: list[Callable[[], None]] = list(others)

    def start(self, role: str, *, is_armed: bool = True) -> Worker:
        """A worker of this role, perhaps with a fault point armed."""
        step = self.chance.choice([step for step in STEPS if step.startswith(role)])
        times, is_armed = self.chance.choice((1, 2, 3)), is_armed and self.chance.random() < ARMED_SHARE
        self.armed[role] = step if is_armed else ""
        return self.live.start(role, f"state-{role}", fault=f"{step}:{times}" if is_armed else "", settings=self.settings)

    def round(self, records: list[tuple[str, bytes]]) -> None:
        """Some records and a hostile one; then one of the two dies, and is started again."""
        self.sent += self.live.send([*records, HOSTILE], first=self.sent)
        role = self.chance.choice(ROLES)
        victim = self.workers[role]
        self._begins(victim)
        at_random_s = self.chance.uniform(0.1, 1.5)
        self.die(role, ARMED_SECONDS_MAX if self.armed[role] else at_random_s)
        self.workers[role] = self.start(role)

    def die(self, role: str, within_s: float) -> None:
        """By its fault point within that time, or else by SIGKILL."""
        victim = self.workers[role]
        try:
            code = victim.ends(within_s)
        except subprocess.TimeoutExpired:
            self.deaths[f"{role} at random"] += 1
            victim.kill()
            return
        if self._world_failed(victim):
            self.workers[role] = self.start(role)
            self._begins(self.workers[role])
            self.die(role, within_s)
        else:
            assert code == -signal.SIGKILL, f"{role} ended by itself: {victim.said()[-2_000:]}"
            self.deaths[self.armed[role]] += 1

    def _world_failed(self, worker: Worker) -> bool:
        """It ended because the broker went away while it was starting, or because the machine did not let it run for most of
        its session: a supervisor starts it again.
        """
        return worker.process.returncode == WORLD_FAILED and any(why in worker.said() for why in ("roker", "did not run for"))

    def keeps_up(self) -> bool:
        """True; a worker that the world has ended runs again."""
        for role, worker in self.workers.items():
            if not worker.is_running:
                assert self._world_failed(worker), f"{role} ended by itself: {worker.said()[-2_000:]}"
                self.workers[role] = self.start(role, is_armed=False)
        return True

    def detects(self, sample: str) -> float:
        """A sample of detect's metrics; -1 while it cannot be had."""
        self.keeps_up()
        try:
            return self.workers["detect"].metrics().get(sample, -1)
        except OSError:  # it has just ended
            return -1

    def _begins(self, worker: Worker) -> None:
        wait_until(lambda: "metrics at" in worker.said() or not worker.is_running, "a worker that has begun", 60)

    # --- what else happens --------------------------------------------------------------------------------------------

    def stop_broker(self) -> None:
        """An orderly stop of the broker, and its start."""
        self.broker.restart()

    def kill_broker(self) -> None:
        """The broker without a goodbye."""
        self.broker.kill()
        self.broker.start()

    def pause_worker(self) -> None:
        """A worker that does not run for longer than its session, and ends when it may run again."""
        role = self.chance.choice(ROLES)
        worker = self.workers[role]
        self._begins(worker)
        if worker.is_running:
            worker.process.send_signal(signal.SIGSTOP)
            time.sleep(SESSION_MS / 1000 + 1)
            worker.process.send_signal(signal.SIGCONT)
            worker.ends(60)
        self.workers[role] = self.start(role)

    def lose_state(self) -> None:
        """Detect's state folder is gone: it begins from what was published, or anew."""
        self.workers["detect"].kill()
        shutil.rmtree(self.live.folder / "state-detect", ignore_errors=True)
        self.workers["detect"] = self.start("detect")

    def truncate_snapshot(self) -> None:
        """The newest published snapshot is torn, and needed."""
        published = sorted(self.shelf.glob("**/*.zst"), key=lambda path: path.name)
        if published:
            published[-1].write_bytes(published[-1].read_bytes()[:-100])
        self.lose_state()

    def add_worker(self) -> None:
        """A third worker comes and goes: two rebalances of both groups."""
        with self.live.running("both", "state-third", settings=self.settings) as third:
            self._begins(third)
            time.sleep(self.chance.uniform(0.5, 3))
            third.kill()

    def calm(self) -> None:
        """No fault point any more."""
        for role in ROLES:
            self.workers[role].kill()
            self.workers[role] = self.start(role, is_armed=False)

    def end(self) -> None:
        for worker in self.workers.values():
            worker.kill()
        self.live.close()


@pytest.fixture
def storm(own_broker: Broker, tmp_path: Path) -> Iterator[Storm]:
    storm = Storm(own_broker, tmp_path / "live")
    yield storm
    storm.end()


def test_no_kill_loses_or_doubles_an_alert_or_a_record(storm: Storm, tmp_path: Path) -> None:
    source = tmp_path / "bank"
    source.mkdir()
    simulate(source, loans=LOANS_A_KILL * KILLS, days=60, seed=SEED, misuse_share=0.3)
    summary = replay([source], tmp_path / "replayed", load_settings())
    expected = (tmp_path / "replayed" / "alerts.jsonl").read_bytes().splitlines()
    records = list(records_of(source))

    for kill in range(KILLS):
        storm.round(records[kill * len(records) // KILLS : (kill + 1) * len(records) // KILLS])
        if kill % OTHER_EVERY == OTHER_EVERY - 1:
            storm.others[kill // OTHER_EVERY % len(storm.others)]()
    storm.calm()

    live = storm.live
    wait_until(lambda: storm.keeps_up() and live.end(ALERTS) >= len(expected), f"{len(expected)} alerts")
    wait_until(lambda: storm.detects(APPLIED) >= summary.records.applied, "all records applied")
    wait_until(lambda: storm.keeps_up() and live.taken_in() == storm.sent, "all records committed")
    wait_until(lambda: storm.detects('fundtrail_journal_lag_pages{book="0"}') == 0, "the journal's end")
    live.assert_alerts(expected)
    assert live.end(ALERTS) == len(expected)
    assert storm.sent == len(records) + KILLS
    assert len(live.rejects()) == KILLS
    assert storm.detects(APPLIED) == summary.records.applied
    assert storm.detects('fundtrail_detect_accounting_difference{book="0"}') == 0
    assert live.tool("status", "--full", "--state-dir", live.folder / "state-detect") == (0, "")
    assert sum(storm.deaths.values()) == KILLS
    at_steps = {step for step in STEPS if storm.deaths[step]}
    assert len(at_steps) >= min(4, KILLS // 6), f"the fault points were hardly reached: {storm.deaths}"
    print(f"{KILLS} kills, {len(expected)} alerts of {storm.sent} records: {dict(storm.deaths)}")
