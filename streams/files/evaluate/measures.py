"""How well scores rank: average precision, precision and recall at the top, patterns found and how soon.

Equal scores are equal: where a rank falls inside a group of them, every figure is its mean over all orders of the group, so
the order of rows never helps. Scores may be any finite numbers; higher is more suspicious.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def average_precision(scores: Floats, positive: Flags) -> float | None:
    """The mean, over the positives, of the precision at their rank; None without a positive.

    For a group of ``n`` equal scores with ``p`` positives behind ``N`` rows with ``P``, the expectation over all orders of
    the group is taken: a positive at its place ``j`` has ``(j - 1)(p - 1)/(n - 1)`` positives of the group before it.

    >>> average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]))
    0.8333333333333334
    >>> average_precision(np.array([0.5, 0.5]), np.array([True, False]))  # at rank 1 or 2, each half the time
    0.75
    """
    if not positive.any():
        return None
    found = rows = total = 0.0
    for size, hits in zip(*_groups(scores, positive), strict=True):
        if hits:
            place = np.arange(1.0, size + 1)
            inside = (place - 1) * (hits - 1) / (size - 1) if size > 1 else np.zeros(1)
            total += float((hits / size * (found + 1 + inside) / (rows + place)).sum())
        found, rows = found + hits, rows + size
    return total / found


def _groups(scores: Floats, positive: Flags) -> tuple[list[int], list[int]]:
    """(rows, positives) of each distinct score, highest first."""
    _, group, sizes = np.unique(-scores, return_inverse=True, return_counts=True)
    return sizes.tolist(), np.bincount(group, weights=positive).astype(int).tolist()


class Top:
    """The highest ``share`` of the scores, rounded down to whole rows and at least one.

    A row above the lowest score let in is in wholly; rows of that very score share the places that are left.
    """

    def __init__(self, scores: Floats, share: float) -> None:
        assert len(scores), "a top of no scores"
        self.rows = max(1, int(len(scores) * share))
        self.score_min = float(np.partition(scores, len(scores) - self.rows)[len(scores) - self.rows])
        self.above = scores > self.score_min
        self.tied = scores == self.score_min
        self.places = self.rows - int(self.above.sum())  # for the tied ones; at least one
        self.chance = self.places / int(self.tied.sum())

    def weight(self, of: Floats | Flags) -> float:
        """How much of this the top holds, in the mean."""
        return float(of[self.above].sum() + self.chance * of[self.tied].sum())

    def precision(self, positive: Flags) -> float:
        """The share of positives among its rows."""
        return self.weight(positive) / self.rows

    def recall(self, weights: Floats | Flags) -> float | None:
        """The share of all this weight that it holds (flags: of the positives; amounts: of their sum)."""
        total = float(weights.sum())
        return self.weight(weights) / total if total else None

    def chance_of_any(self, rows: Sequence[int]) -> float:
        """How likely at least one of these rows is in it: 1 for one above, else that of drawing one among the tied."""
        if self.above[list(rows)].any():
            return 1.0
        mine, tied = int(self.tied[list(rows)].sum()), int(self.tied.sum())
        none = 1.0
        for drawn in range(self.places):
            none *= max(0, tied - mine - drawn) / (tied - drawn)
        return 1.0 - none


def pattern_recall(top: Top, rows_of: dict[Hashable, list[int]]) -> float | None:
    """The share of patterns of which at least one row is in the top."""
    if not rows_of:
        return None
    return sum(top.chance_of_any(rows) for rows in rows_of.values()) / len(rows_of)


def delays(top: Top, event_time_ms: NDArray[np.int64], rows_of: dict[Hashable, list[int]]) -> list[int]:
    """For each pattern that is found, milliseconds from its first row to its first one at or above the top's lowest score."""
    found = top.above | top.tied
    result = []
    for rows in rows_of.values():
        seen = [int(event_time_ms[row]) for row in rows if found[row]]
        if seen:
            result.append(min(seen) - int(event_time_ms[rows].min()))
    return result


def median(values: Sequence[float]) -> float | None:
    """The middle value; None of nothing."""
    return float(np.median(values)) if values else None
