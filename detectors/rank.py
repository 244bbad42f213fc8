"""Where a score stands among the recent ones: an online conformal rank, with bounded memory and no chance in it."""

from __future__ import annotations

from bisect import bisect_left, insort_left
from collections import deque
from collections.abc import Iterable


class Rank:
    """Ranks scores among the last ``size_max`` ones.

    The rank of a score is ``100 (1 - p)``, ``p = (1 + scores at least as high) / (1 + scores)``: the p-value of a conformal
    test (Vovk, Gammerman and Shafer 2005), so of scores that come in no particular order at most one in a hundred ranks at 99
    or above. Equal scores count as higher, so a constant score ranks at 0; with fewer than 99 scores nothing ranks at 99.

    Misses: while the model learns or customers change, scores drift, and the rank follows with the delay of its memory.

    >>> rank = Rank(1_000)
    >>> [rank.of(score) for score in (0.5, 0.5, 0.9, 0.1)]
    [0.0, 0.0, 66.66666666666667, 0.0]
    """

    __slots__ = ("_ordered", "recent", "size_max")

    def __init__(self, size_max: int, recent: Iterable[float] = ()) -> None:
        self.size_max = size_max
        self.recent: deque[float] = deque(recent, size_max)
        self._ordered: list[float] | None = None  # None: nobody has asked since scores were only noted

    @property
    def ordered(self) -> list[float]:
        """The scores, lowest first."""
        if self._ordered is None:
            self._ordered = sorted(self.recent)
        return self._ordered

    def note(self, score: float) -> None:
        """A score whose rank nobody asks for."""
        self._ordered = None
        self.recent.append(score)

    def of(self, score: float) -> float:
        """The rank of a score among those before it, from 0 to 100; then it is one of them."""
        ordered = self.ordered
        below = bisect_left(ordered, score)
        rank = 100.0 * below / (len(ordered) + 1)
        if len(ordered) == self.size_max:
            del ordered[bisect_left(ordered, self.recent[0])]
        insort_left(ordered, score)
        self.recent.append(score)
        return rank

    def __len__(self) -> int:
        return len(self.recent)
