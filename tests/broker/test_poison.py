"""Ten thousand hostile records among good ones: each becomes a reject with its reason, and nothing else changes."""

from __future__ import annotations

import base64
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from streams.files.replay import replay
from streams.live.rejects import LiveReject
from streams.settings import load_settings
from streams.simulate.world import simulate
from tests.broker.hostile import hostile_records
from tests.broker.live_run import LiveRun, records_of, wait_until
from tests.broker.shared import Reached

HOSTILE = 10_000
SLOWDOWN_MAX = 1 / 0.8


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

    clean_s, poisoned_s = _processor_seconds(clean, len(good)), _processor_seconds(poisoned, len(mixed))

    assert clean.alerts() == poisoned.alerts() == expected
    rejects = {key: msgspec.json.decode(value, type=LiveReject) for key, value in poisoned.rejects().items()}
    assert len(rejects) == HOSTILE
    assert all(reject.reason and reject.field for reject in rejects.values())
    _originals_are_kept(rejects, mixed)
    told = f"{len(good)} good records: {clean_s:.1f} processor seconds alone, {poisoned_s:.1f} among poison"
    assert poisoned_s <= clean_s * SLOWDOWN_MAX, told


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


def _processor_seconds(run: LiveRun, records: int) -> float:
    """What the worker takes from its first page to its last alert. One process is as fast as the processor time it needs, and
    that is the same whoever else is at work on the machine."""
    with run.running() as worker:
        wait_until(lambda: worker.metrics()["fundtrail_intake_pages_total"] > 0, "first page")
        before = _taken_by(worker.process.pid)
        wait_until(lambda: _is_through(worker.metrics(), records), "all records folded")
        return _taken_by(worker.process.pid) - before


def _taken_by(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _is_through(metrics: dict[str, float], records: int) -> bool:
    written = metrics['fundtrail_intake_records_total{outcome="journalled"}']
    rejected = metrics['fundtrail_intake_records_total{outcome="rejected"}']
    folded = metrics.get('fundtrail_detect_records_total{book="0",outcome="journalled"}')
    return written + rejected == records and folded == written


def _originals_are_kept(rejects: dict[str, LiveReject], mixed: list[tuple[str, bytes]]) -> None:
    offsets: Counter[str] = Counter()
    for topic, value in mixed:
        reject = rejects.get(f"{topic}/0/{offsets[topic]}")
        offsets[topic] += 1
        if reject is not None:
            kept = base64.b64decode(reject.original)
            assert value.startswith(kept) and reject.original_length == len(value)
