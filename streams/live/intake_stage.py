"""Intake under Faust: lanes come and go with the assignment, batches flow in, pages flow out."""

from __future__ import annotations

import asyncio
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
"""A topic that has brought nothing for so long, with the consumer at its end, is at its end although its last offsets
hold no records (the marks of transactions)."""


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
        self.last_batch_ms: dict[tuple[int, str], int] = {}

    # --- what the consumer asks ---------------------------------------------------------------------------------------

    async def assigned(self, committed: Mapping[TP, int | None]) -> Mapping[TP, int]:
        """Begin a lane for each partition number among these, behind what is committed."""
        assert self.consumer is not None
        begins = await self.consumer.earliest_offsets(*committed)
        async with self.writing:
            self._retire(set(self.lanes))
            after: dict[int, dict[str, int]] = {}
            for tp, offset in committed.items():
                lane = after.setdefault(tp.partition, {})
                lane[topic_of(self.settings.kafka.prefix, tp.topic)] = self._after(offset, begins.get(tp))
            for number, offsets in after.items():
                ordered = {topic: offsets[topic] for topic in SOURCES if topic in offsets}
                self.lanes[number] = Intake(
                    number, ordered, self.log, self.route, self.books, self.settings.intake, self.fault_points
                )  # fmt: skip
        return {tp: offset for tp, offset in committed.items() if offset is not None}

    @staticmethod
    def _after(committed: int | None, begin: int | None) -> int:
        """The last offset that needs no reading: behind what is committed, or gone with the topic's retention."""
        if committed is not None:
            return committed - 1
        return (begin or 0) - 1 if begin else -1

    def revoked(self, partitions: set[TP]) -> None:
        """Let these lanes go; what they wrote and did not commit, their next owner writes again."""
        self._retire({tp.partition for tp in partitions})

    async def committable(self) -> Mapping[TP, int]:
        """What every lane has made durable."""
        offsets: dict[TP, int] = {}
        async with self.writing:
            for number, lane in self.lanes.items():
                for topic, offset in (await lane.committable(self.clock_ms())).items():
                    offsets[TP(topic_name(self.settings.kafka.prefix, topic), number)] = offset
        return offsets

    # --- work ---------------------------------------------------------------------------------------------------------

    async def take(self, tp: TP, batch: list[Any]) -> None:
        """A fetch has brought records of one partition."""
        topic = topic_of(self.settings.kafka.prefix, tp.topic)
        lane = self.lanes.get(tp.partition)
        while lane is not None and lane.lane.is_full(topic) and self.lanes.get(tp.partition) is lane:
            await asyncio.sleep(IDLE_WAIT_S)
        if lane is None or self.lanes.get(tp.partition) is not lane:
            return  # of an assignment that has ended
        now_ms = self.clock_ms()
        self.last_batch_ms[tp.partition, topic] = now_ms
        lane.lane.offer(topic, (source_record(topic, record, now_ms) for record in batch))

    async def work(self) -> None:
        """Write pages for ever."""
        while True:
            went = 0
            async with self.writing:
                for number, lane in list(self.lanes.items()):
                    self.guard.check()
                    went += await lane.step(self.clock_ms(), lambda topic, number=number: self._at_end(number, topic))  # type: ignore[misc]
            await asyncio.sleep(0 if went else IDLE_WAIT_S)

    @property
    def counts(self) -> Counter[str]:
        """Of all lanes this worker ever had; records that wait are in no count."""
        total = self.past + sum((lane.counts for lane in self.lanes.values()), Counter())
        total["duplicate"] += sum(lane.lane.duplicates for lane in self.lanes.values())
        total["unordered"] += sum(lane.lane.unordered for lane in self.lanes.values())
        return total

    @property
    def waiting(self) -> int:
        """Records received and not yet written."""
        return sum(lane.lane.buffered for lane in self.lanes.values())

    def _at_end(self, number: int, topic: str) -> bool:
        assert self.consumer is not None
        lane = self.lanes[number].lane
        tp = TP(topic_name(self.settings.kafka.prefix, topic), number)
        end, position = self.consumer.end_and_position(tp)
        if end is None:
            return False
        if lane.received[topic] + 1 >= end:
            return True
        quiet_ms = self.clock_ms() - self.last_batch_ms.get((number, topic), 0)
        return position is not None and position >= end and quiet_ms >= QUIET_MS

    def _retire(self, numbers: set[int]) -> None:
        for number in numbers & set(self.lanes):
            lane = self.lanes.pop(number)
            self.past += lane.counts
            self.past["duplicate"] += lane.lane.duplicates
            self.past["unordered"] += lane.lane.unordered
            self.past["dropped_unwritten"] += lane.lane.buffered
