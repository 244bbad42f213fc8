"""Drift: whether scores and features still are what they were, by the population stability index over quantile bins.

A *watch* takes its first values as the reference and cuts them into bins of equal counts. Later values are counted by bin;
each full window gives ``PSI = sum (p - q) ln(p / q)`` over the bins, ``q`` the reference's shares and ``p`` the window's. Two
windows of one distribution of 1,000 values and 10 bins have a mean PSI of 0.018; 0.25 is the usual mark of a shift that
matters (Siddiqi, Credit Risk Scorecards, 2006). A drift that lasts is the new normal: the window becomes the reference.

Catches shifts of any quantile, also in features that only move within a group. Misses what returns within a window, and what
changes the meaning of a feature but not its distribution. Deterministic, and its state is a few lists of numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from math import log
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray


class DriftLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """When a distribution counts as shifted."""

    every: int = 16  # one scored payment in so many is looked at
    window: int = 1_000  # values looked at in the reference, and in each window compared with it
    bins: int = 10
    psi_min: float = 0.25  # a drift begins
    psi_end_min: float = 0.1  # below it a drift ends
    windows_max: int = 10  # a drift that lasts so many windows is the new normal


class Watch:
    """One stream of values."""

    __slots__ = ("active_windows", "counts", "edges", "limits", "psi", "reference", "seen", "values")

    def __init__(self, limits: DriftLimits) -> None:
        self.limits = limits
        self.values: list[float] = []  # what the reference is gathered from; afterwards only counts are kept
        self.edges: list[float] = []
        self.reference: list[float] = []  # shares by bin; none yet: it is being gathered
        self.counts: list[int] = []  # of the window under way, by bin
        self.seen = 0  # values in the window under way
        self.psi = 0.0  # of the last full window
        self.active_windows = 0  # how many windows the drift has lasted; 0: there is none

    def see(self, values: NDArray[np.float64]) -> bool:
        """Look at some values, none beyond the window under way; whether they completed one that was compared."""
        self.seen += len(values)
        assert self.seen <= self.limits.window, f"{self.seen} values in a window of {self.limits.window}"
        if not self.reference:
            self.values.extend(values.tolist())
            if self.seen == self.limits.window:
                self._begin()
            return False
        bins = np.searchsorted(self.edges, values, side="right")
        self.counts = (np.bincount(bins, minlength=len(self.counts)) + self.counts).tolist()
        if self.seen < self.limits.window:
            return False
        shares = _shares(self.counts)
        self.psi = stability(self.reference, shares)
        self._judge(shares)
        self.counts, self.seen = [0] * len(shares), 0
        return True

    def _begin(self) -> None:
        ordered, bins = sorted(self.values), self.limits.bins
        self.edges = sorted({ordered[len(ordered) * i // bins] for i in range(1, bins)})
        self.counts = [0] * (len(self.edges) + 1)
        for value in ordered:
            self.counts[bisect_right(self.edges, value)] += 1
        self.reference = _shares(self.counts)
        self.values, self.counts, self.seen = [], [0] * len(self.reference), 0

    def _judge(self, shares: list[float]) -> None:
        limits = self.limits
        if not self.active_windows:
            self.active_windows = int(self.psi >= limits.psi_min)
        elif self.psi < limits.psi_end_min:
            self.active_windows = 0
        elif self.active_windows == limits.windows_max:
            self.reference, self.active_windows, self.psi = shares, 0, 0.0
        else:
            self.active_windows += 1

    def row(self) -> list[Any]:
        """All of it as plain data."""
        return [self.values, self.edges, self.reference, self.counts, self.seen, self.psi, self.active_windows]

    @classmethod
    def of_row(cls, limits: DriftLimits, row: Sequence[Any]) -> Watch:
        """The watch that :meth:`row` has written."""
        watch = cls(limits)
        watch.values, watch.edges, watch.reference, watch.counts = map(list, row[:4])
        watch.seen, watch.psi, watch.active_windows = row[4:]
        return watch


def _shares(counts: Sequence[int]) -> list[float]:
    """The share of each bin; half a value is added to each, so that none is empty."""
    total = sum(counts) + 0.5 * len(counts)
    return [(count + 0.5) / total for count in counts]


def stability(reference: Iterable[float], shares: Iterable[float]) -> float:
    """The population stability index of two distributions over the same bins.

    >>> stability([0.5, 0.5], [0.5, 0.5])
    0.0
    >>> round(stability([0.9, 0.1], [0.5, 0.5]), 2)
    0.88
    """
    return sum((p - q) * log(p / q) for q, p in zip(reference, shares, strict=True))


SCORE = "score"
TOGETHER = 200
"""Payments that are looked at together: one array operation for all of them costs little more than one for each."""


class Drift:
    """The watches over scores and features, which all see the same payments."""

    def __init__(self, limits: DriftLimits) -> None:
        self.limits = limits
        self.watches: dict[str, Watch] = {}
        self.until_look = 0
        self.begun = 0  # drifts so far
        self._waiting: list[tuple[float, ...]] = []  # score and features of payments to be looked at
        self._until_window = limits.window  # payments until the window is full

    def is_due(self) -> bool:
        """A payment was scored; whether it is one of those to be looked at."""
        self.until_look -= 1
        if self.until_look > 0:
            return False
        self.until_look = self.limits.every
        return True

    def look(self, score: float, names: Sequence[str], features: Sequence[float]) -> None:
        """Look at a payment's score and features; a window is compared as soon as it is full."""
        if not self.watches:
            self.watches = {name: Watch(self.limits) for name in (SCORE, *names)}
        self._waiting.append((score, *features))
        self._until_window -= 1
        if not self._until_window or len(self._waiting) >= TOGETHER:
            self._look()

    def _look(self) -> None:
        """Those that wait are looked at."""
        if self._waiting:
            columns = np.array(self._waiting, np.float64).T
            for watch, values in zip(self.watches.values(), columns, strict=True):
                if watch.see(values) and watch.active_windows == 1:
                    self.begun += 1
        self._waiting = []
        self._until_window = self._until_window or self.limits.window

    @property
    def active(self) -> list[str]:
        """What drifts at present, in alphabetical order."""
        return sorted(name for name, watch in self.watches.items() if watch.active_windows)

    def figures(self) -> dict[str, tuple[float, bool]]:
        """By name: the stability index of the last full window, and whether a drift is on."""
        return {name: (watch.psi, bool(watch.active_windows)) for name, watch in sorted(self.watches.items())}

    def snapshot(self) -> dict[str, Any]:
        """The state as plain data."""
        self._look()
        rows = {name: watch.row() for name, watch in self.watches.items()}
        return {"watches": rows, "until_look": self.until_look, "begun": self.begun}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take the state that :meth:`snapshot` has given."""
        self.watches = {name: Watch.of_row(self.limits, row) for name, row in data["watches"].items()}
        self.until_look, self.begun = data["until_look"], data["begun"]
        self._waiting = []
        self._until_window = self.limits.window - max((watch.seen for watch in self.watches.values()), default=0)
