"""Drift is seen when a distribution shifts, and only then."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from detectors.drift import SCORE, Drift, DriftLimits, Watch

LIMITS = DriftLimits(every=1, window=500)


def fed(watch: Watch, values: list[float]) -> list[float]:
    """The stability index after each window that the values completed."""
    return [watch.psi for value in values if watch.see(np.array([value]))]


def normal(count: int, mean: float = 0.0, seed: int = 1) -> list[float]:
    chance = random.Random(seed)
    return [chance.gauss(mean, 1) for _ in range(count)]


def test_a_steady_distribution_never_drifts() -> None:
    watch = Watch(LIMITS)
    assert max(fed(watch, normal(50_000))) < LIMITS.psi_end_min
    assert watch.active_windows == 0


@pytest.mark.parametrize("shifted", [normal(2_000, mean=1.0), [value * 3 for value in normal(2_000)]])
def test_a_shift_or_a_wider_spread_is_a_drift_from_its_first_full_window(shifted: list[float]) -> None:
    watch = Watch(LIMITS)
    fed(watch, normal(5_000))
    assert watch.active_windows == 0
    fed(watch, shifted[:500])
    assert watch.active_windows == 1


def test_a_drift_ends_when_the_old_distribution_is_back() -> None:
    watch = Watch(LIMITS)
    fed(watch, [*normal(1_000), *normal(1_000, mean=2.0)])
    assert watch.active_windows == 2
    fed(watch, normal(500, seed=3))
    assert watch.active_windows == 0


def test_a_drift_that_lasts_becomes_the_new_normal() -> None:
    watch = Watch(LIMITS)
    fed(watch, normal(1_000))
    lasting = normal(500 * (LIMITS.windows_max + 1), mean=2.0)
    fed(watch, lasting[:-500])
    assert watch.active_windows == LIMITS.windows_max
    fed(watch, lasting[-500:])
    assert watch.active_windows == 0
    assert max(fed(watch, normal(3_000, mean=2.0, seed=4))) < LIMITS.psi_min


def test_a_constant_does_not_drift_and_a_change_of_it_does() -> None:
    watch = Watch(LIMITS)
    assert set(fed(watch, [1.0] * 3_000)) == {0.0}
    fed(watch, [2.0] * 500)
    assert watch.active_windows == 0  # above the last edge as before: one bin
    fed(watch, [0.0] * 500)
    assert watch.active_windows == 1


def test_drift_names_what_drifts_and_looks_at_one_payment_in_so_many() -> None:
    drift, chance = Drift(DriftLimits(every=2, window=500)), random.Random(2)
    for n in range(8_000):
        if drift.is_due():
            drift.look(chance.random(), ("shifts", "stays"), (chance.random() + (n >= 4_000), chance.random()))
    assert drift.active == ["shifts"]
    assert drift.begun == 1
    assert set(drift.figures()) == {SCORE, "shifts", "stays"}
    assert drift.figures()["shifts"][1]


def test_a_restored_watch_goes_on_as_before() -> None:
    limits, values = DriftLimits(every=3, window=50), normal(3_000)
    whole, first = Drift(limits), Drift(limits)
    for value in values[:1_111]:
        for drift in (whole, first):
            if drift.is_due():
                drift.look(value, ("x",), (value * 2,))
    second = Drift(limits)
    second.restore(json.loads(json.dumps(first.snapshot())))
    for value in values[1_111:]:
        for drift in (whole, second):
            if drift.is_due():
                drift.look(value + 1, ("x",), (value * 2,))
    assert second.snapshot() == whole.snapshot()
    assert whole.begun
