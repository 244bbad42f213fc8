"""Intake under Faust: lanes come and go with the assignment, batches flow in, pages flow out."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from faust.types import TP

from streams.live.batches import BatchConsumer
from streams.live.fault_points import FaultPoints
from streams.live.intake import Intake, Route
from streams.live.lane import source_record
from streams.live.log import Log
from streams.live.names import SOURCES, topic_name, topic_of
from streams.live.pause_guard import PauseGuard
from streams.live_settings import LiveSettings

IDLE_WAIT_S = 0.005
"""How long the lanes rest when none had anything to write."""

QUIET_MS = 250
"""How long the consumer must stand at a topic's end, with nothing under way, before offsets that brought no record (the marks
of transactions) count as passed."""


class IntakeStage:
    """The lanes assigned to this worker."""

    def __init__(
        self, log: Log, route: Route, books: int, settings: LiveSettings, clock_ms: Callable[[], int],
        fault_points: FaultPoints, guard: PauseGuard,
    ) -> None:  # fmt: skip
        self.log = log
        self.route = route
        self.books = books
        self.settings = settings
        self.clock_ms = clock_ms
        self.fault_points = fault_points
        self.guard = guard
        self.consumer: BatchConsumer | None = None
        self.lanes: dict[int, Intake] = {}
        self.past: Counter[str] = Counter()  # counts of lanes that are no longer ours
        self.writing = asyncio.Lock()
        self.progress_at = time.monotonic()
        self.bare_end: dict[TP, tuple[int, int]] = {}  # seen at an end without a record: (last offset received, since when)

    # --- what the consumer asks ---------------------------------------------------------------------------------------

    async def assigned(self, committed: Mapping[TP, int | None]) -> Mapping[TP, int]:
        """Begin a lane for each partition number among these, behind what is committed."""
        assert self.consumer is not None
        async with self.writing:
            begins = await self.consumer.earliest_offsets(*committed) if committed else {}
            notes = await self.consumer.committed_notes(*committed) if committed else {}
            self._retire(set(self.lanes))
            self.bare_end.clear()
            for number in sorted({tp.partition for tp in committed}):
                ours = {topic_of(self.settings.kafka.prefix, tp.topic): tp for tp in committed if tp.partition == number}
                ordered = {topic: ours[topic] for topic in SOURCES if topic in ours}
                after = {topic: (committed[tp] or 0) - 1 for topic, tp in ordered.items()}
                orders = [int(notes[tp]) for tp in ordered.values() if notes.get(tp)]
                intake = Intake(
                    number, after, self.log, self.route, self.books, self.settings.intake, self.fault_points,
                    max(orders, default=None),
                )  # fmt: skip
                intake.lane.miss({topic: begins.get(tp) or 0 for topic, tp in ordered.items()})
                self.lanes[number] = intake
        return {tp: max(offset or 0, begins.get(tp) or 0) for tp, offset in committed.items()}

    async def revoked(self, partitions: set[TP]) -> None:
        """Let these lanes go, between two pages; what they wrote and did not commit, their next owner writes again."""
        async with self.writing:
            self._retire({tp.partition for tp in partitions})

    async def committable(self) -> Mapping[TP, int]:
        """What every lane has made durable."""
        offsets: dict[TP, int] = {}
        async with self.writing:
            for number, lane in self.lanes.items():
                for topic, offset in (await lane.committable(self.clock_ms())).items():
                    offsets[TP(topic_name(self.settings.kafka.prefix, topic), number)] = offset
        return offsets

    def note(self, tp: TP) -> str:
        """The number of the lane's last durable record, for whoever reads on."""
        lane = self.lanes.get(tp.partition)
        return "" if lane is None or lane.durable_order is None else str(lane.durable_order)

    # --- work ---------------------------------------------------------------------------------------------------------

    async def take(self, tp: TP, batch: list[Any]) -> None:
        """A fetch has brought records of one partition."""
        topic = topic_of(self.settings.kafka.prefix, tp.topic)
        lane = self.lanes.get(tp.partition)
        while lane is not None and self._should_wait(lane, topic) and self.lanes.get(tp.partition) is lane:
            await asyncio.sleep(IDLE_WAIT_S)
        if lane is None or self.lanes.get(tp.partition) is not lane:
            return  # of an assignment that has ended
        now_ms = self.clock_ms()
        lane.lane.offer(topic, (source_record(topic, record, now_ms) for record in batch))

    async def work(self) -> None:
        """Write pages for ever."""
        while True:
            went = 0
            async with self.writing:
                for number, lane in list(self.lanes.items()):
                    self.guard.check()
                    went += await lane.step(self.clock_ms(), lambda topic, number=number: self._at_end(number, topic))  # type: ignore[misc]
            if went or not self.waiting:
                self.progress_at = time.monotonic()
            await asyncio.sleep(0 if went else IDLE_WAIT_S)

    @property
    def counts(self) -> Counter[str]:
        """Of all lanes this worker ever had: ``in = journalled + rejected + duplicate + unwritten + waiting``."""
        return sum((_counts_of(lane) for lane in self.lanes.values()), Counter(self.past))

    @property
    def waiting(self) -> int:
        """Records received and not yet written."""
        return sum(lane.lane.buffered for lane in self.lanes.values())

    def _should_wait(self, lane: Intake, topic: str) -> bool:
        """The lane is full of the topic, and no other lane is held up by what stands behind this batch.

        All lanes' batches of a topic come one after another. Two lanes, each full of the topic that the other one lacks, would
        wait for each other.
        """
        if not lane.lane.is_full(topic):
            return False
        return not any(other.lane.lacks(topic) and not self._at_end(number, topic) for number, other in self.lanes.items())

    def _at_end(self, number: int, topic: str) -> bool:
        assert self.consumer is not None
        lane = self.lanes[number].lane
        tp = TP(topic_name(self.settings.kafka.prefix, topic), number)
        end, position = self.consumer.end_and_position(tp)
        if end is None:
            return False
        if lane.received[topic] + 1 >= end:
            return True
        return self._has_passed_marks(tp, lane.received[topic], position is not None and position >= end)

    def _has_passed_marks(self, tp: TP, received: int, stands_at_end: bool) -> bool:
        """Whether the offsets between the last record and the end hold none."""
        assert self.consumer is not None
        if not stands_at_end or self.consumer.fetched.get(tp, -1) > received:
            self.bare_end.pop(tp, None)
            return False
        seen = self.bare_end.get(tp)
        if seen is None or seen[0] != received:
            self.bare_end[tp] = (received, self.clock_ms())
            return False
        return self.clock_ms() - seen[1] >= QUIET_MS

    def _retire(self, numbers: set[int]) -> None:
        for number in numbers & set(self.lanes):
            lane = self.lanes.pop(number)
            self.past += _counts_of(lane)
            self.past["unwritten"] += lane.lane.buffered  # the next owner reads them again


def _counts_of(lane: Intake) -> Counter[str]:
    merged = lane.lane
    return lane.counts + Counter({"in": merged.taken, "duplicate": merged.duplicates, "unordered": merged.unordered})
