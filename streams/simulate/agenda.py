"""What is planned: a heap of steps, run in the order of time. A step says when it wants to go on, or None when it is done."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from functools import partial

from streams.simulate.ledger import Ledger

Step = Callable[[], int | None]


class Agenda:
    """Steps by time; steps of one second run in the order in which they were planned."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._heap: list[tuple[int, int, Step]] = []
        self._number = 0

    def add(self, time_s: int, step: Step) -> None:
        """Plan a step."""
        self._number += 1
        heapq.heappush(self._heap, (time_s, self._number, step))

    def follow(self, time_s: int, course: Iterator[int]) -> None:
        """Plan a course of events: an iterator that acts, then yields the time at which it acts again."""
        self.add(time_s, partial(next, course, None))

    def run_until(self, time_s: int) -> None:
        """Run every step planned up to ``time_s``, and set the ledger's clock to it."""
        heap, ledger = self._heap, self._ledger
        while heap and heap[0][0] <= time_s:
            planned_s, _, step = heapq.heappop(heap)
            ledger.now_s = max(ledger.now_s, planned_s)
            again_s = step()
            if again_s is not None:
                self.add(max(again_s, ledger.now_s), step)
        ledger.now_s = max(ledger.now_s, time_s)
