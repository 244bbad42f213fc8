"""Ten thousand hostile records among good ones: each becomes a reject with its reason, and nothing else changes."""

from __future__ import annotations

import base64
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from streams.files.replay import replay
from streams.live.rejects import LiveReject
from streams.settings import load_settings
from streams.simulate.world import simulate
from tests.broker.hostile import hostile_records
from tests.broker.live_run import LiveRun, Worker, records_of, wait_until
from tests.broker.shared import Reached

HOSTILE = 10_000
THROUGHPUT_MIN = 0.8


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("bank")
    simulate(source, loans=600, days=60, seed=21, misuse_share=0.2)
    return source


@pytest.fixture
def runs(broker: Reached, prefix: str, tmp_path: Path) -> Iterator[tuple[LiveRun, LiveRun]]:
    clean = LiveRun(broker.bootstrap, prefix + "clean.", tmp_path / "clean")
    poisoned = LiveRun(broker.bootstrap, prefix + "poisoned.", tmp_path / "poisoned")
    yield clean, poisoned
    clean.close()
    poisoned.close()


def test_ten_thousand_hostile_records_are_rejected_with_reasons_and_change_no_alert(
    runs: tuple[LiveRun, LiveRun], source: Path, tmp_path: Path
) -> None:
    clean, poisoned = runs
    good = list(records_of(source))
    chance = random.Random(99)
    hostile = list(hostile_records(chance, HOSTILE))
    mixed = _mixed(good, hostile, chance)
    clean.send(good)
    poisoned.send(mixed)
    replay([source], tmp_path / "out", load_settings())
    expected = (tmp_path / "out" / "alerts.jsonl").read_bytes().splitlines()

    alone, among_poison = _side_by_side((clean, len(good)), (poisoned, len(mixed)))

    assert clean.alerts() == poisoned.alerts() == expected
    rejects = {key: msgspec.json.decode(value, type=LiveReject) for key, value in poisoned.rejects().items()}
    assert len(rejects) == HOSTILE
    assert all(reject.reason and reject.field for reject in rejects.values())
    _originals_are_kept(rejects, mixed)
    told = f"alone {alone}, among poison {among_poison}"
    assert among_poison.good_per_processor_second >= THROUGHPUT_MIN * alone.good_per_processor_second, told
    print(told)


def _mixed(good: list[tuple[str, bytes]], hostile: list[tuple[str, bytes]], chance: random.Random) -> list[tuple[str, bytes]]:
    """The good ones in their order, the hostile ones anywhere between."""
    places = sorted(chance.randrange(len(good)) for _ in hostile)
    mixed: list[tuple[str, bytes]] = []
    begin = 0
    for place, record in zip(places, hostile, strict=True):
        mixed += good[begin:place]
        mixed.append(record)
        begin = place
    return mixed + good[begin:]


class Rate(NamedTuple):
    """What a worker did while both were at work."""

    good: float
    seconds: float
    processor_seconds: float

    @property
    def good_per_processor_second(self) -> float:
        return self.good / self.processor_seconds


class Side:
    """A worker at one of the two runs."""

    def __init__(self, worker: Worker, records: int) -> None:
        self.worker = worker
        self.records = records
        self.begun = (0.0, 0.0, 0.0)

    def is_through(self) -> bool:
        metrics = self.worker.metrics()
        written = metrics['fundtrail_intake_records_total{outcome="journalled"}']
        rejected = metrics['fundtrail_intake_records_total{outcome="rejected"}']
        folded = metrics.get('fundtrail_detect_records_total{book="0",outcome="journalled"}')
        return written + rejected == self.records and folded == written

    def now(self) -> tuple[float, float, float]:
        """(good records folded, seconds, processor seconds)."""
        applied = self.worker.metrics().get('fundtrail_detect_records_total{book="0",outcome="applied"}', 0)
        return applied, time.monotonic(), _taken_by(self.worker.process.pid)

    def rate(self) -> Rate:
        """Since ``begun``."""
        return Rate(*(after - before for before, after in zip(self.begun, self.now(), strict=True)))


def _side_by_side(*runs: tuple[LiveRun, int]) -> list[Rate]:
    """Both workers at once, from when both have begun until the first is through: whatever else the machine does, it does to
    both. The processor time of a record is compared and not the clock, which also shows whom the scheduler favours when there
    are three busy processes for two processors. Checkpoints are left out: they cost by the second, not by the record.
    """
    with ExitStack() as stack:
        sides = []
        for run, records in runs:
            settings = run.settings(checkpoint_ms=600_000)
            sides.append(Side(stack.enter_context(run.running(settings=settings)), records))
        wait_until(lambda: all(side.now()[0] > 0 for side in sides), "first pages folded")
        for side in sides:
            side.begun = side.now()
        wait_until(lambda: any(side.is_through() for side in sides), "all records of one folded", pause_s=1)
        rates = [side.rate() for side in sides]
        wait_until(lambda: all(side.is_through() for side in sides), "all records folded", pause_s=1)
    return rates


def _taken_by(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _originals_are_kept(rejects: dict[str, LiveReject], mixed: list[tuple[str, bytes]]) -> None:
    offsets: Counter[str] = Counter()
    for topic, value in mixed:
        reject = rejects.get(f"{topic}/0/{offsets[topic]}")
        offsets[topic] += 1
        if reject is not None:
            kept = base64.b64decode(reject.original)
            assert value.startswith(kept) and reject.original_length == len(value)
