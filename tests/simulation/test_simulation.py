"""A thousand worlds keep every promise, and each planted bug is noticed.

CI runs all of them; elsewhere a fifth of them must do. ``make simulation`` runs as many as one likes, and
``python -m tests.simulation SEED`` tells the story of one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.__main__ import memory_disk
from tests.simulation.canaries import CANARIES, caught
from tests.simulation.checkers import Violation
from tests.simulation.faults import plan_of
from tests.simulation.loop import VirtualLoop
from tests.simulation.world import simulate

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "1000" if "CI" in os.environ else "200"))
BLOCKS = 20

CAUGHT_WITHIN = 400
"""Seeds that a canary may need."""

RARELY = {
    "a full lane holds up the others": 2_200,  # two lanes, each full of the topic that the other one waits for
    "a book is folded on while another worker may have it": 150,
    "outputs are lost when an append fails: the failure is swallowed": 1_100,
}
"""Canaries that few worlds notice -> a seed shortly before one that does, so that the search is short."""

ONCE_FAILED = {
    100728: "a tick's page was half published when all was thought quiet",
    101315: "a worker that had died before the end took part in the refold behind it",
    204472: "a worker that paused often was put out for the first of its pauses",
    207319: "the refold behind the end brought what a last tick had made due",
    102295: "the worker of the refold was started twice, and each held the state against the other",
}
"""Seed -> what it found."""


@pytest.fixture
def disk() -> Iterator[Path]:
    """Where files are cheapest."""
    folder = Path(tempfile.mkdtemp(dir=memory_disk()))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_promise_is_kept_whatever_breaks(block: int, disk: Path) -> None:
    failed = [told for seed in range(block, SEEDS, BLOCKS) if (told := _broken(seed, disk)) is not None]
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("seed", ONCE_FAILED, ids=lambda seed: f"{seed}: {ONCE_FAILED[seed]}")
def test_what_failed_once_does_not_fail_again(seed: int, disk: Path) -> None:
    assert _broken(seed, disk) is None


@pytest.mark.parametrize("canary", CANARIES)
def test_a_planted_bug_is_noticed(canary: str, disk: Path) -> None:
    assert caught(canary, disk, CAUGHT_WITHIN, RARELY.get(canary, 0)) is not None


def test_a_seed_tells_the_same_story_each_time(disk: Path) -> None:
    seed = next(seed for seed in range(100) if plan_of(seed).crash_gap_ms and plan_of(seed).workers > 1)
    first, second = (simulate(seed, disk, is_traced=True).traced for _ in range(2))
    assert first == second and any("dies" in line for line in first)


def test_a_promise_that_is_not_kept_is_told_with_its_seed(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VirtualLoop, "run", lambda *_: False)
    told = _broken(3, disk)
    assert told is not None and told.startswith("seed 3: still not quiet")


def _broken(seed: int, disk: Path) -> str | None:
    try:
        simulate(seed, disk)
    except Violation as violation:
        return f"seed {seed}: {violation}"
    return None
