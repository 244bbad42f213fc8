"""A histogram of seconds, cheap to add to."""

from __future__ import annotations

from bisect import bisect_left


class Latency:
    """Counts per bucket; the last bucket has no bound."""

    BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)

    def __init__(self) -> None:
        self.counts = [0] * (len(self.BOUNDS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """One observation."""
        self.counts[bisect_left(self.BOUNDS, seconds)] += 1
        self.sum += seconds
