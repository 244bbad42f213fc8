"""A lane: partition i of every source topic, merged into one order.

Records of one partition keep their order. Across topics the order is that of the header ``fundtrail-order`` where records
carry it, else that of Kafka's timestamps. Before the first record of one topic may go, every other topic of the lane must
show a later one or be at its end; a topic at its end is given ``linger_ms`` to show that it was only slow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from streams.live.names import ORDER_HEADER
from streams.live_settings import IntakeSettings

Headers = Sequence[tuple[str, bytes]]


class SourceRecord(NamedTuple):
    """One record of a source topic, as the consumer has it."""

    order: int
    topic: str  # without prefix
    offset: int
    value: bytes
    timestamp_ms: int
    key: bytes | None
    headers: Headers
    received_ms: int


class _Room:
    """What is left of a page; the first record always has room."""

    def __init__(self, records: int, size: int) -> None:
        self.records = records
        self.bytes = size
        self.is_over = False
        self._is_empty = True

    def holds(self, length: int) -> bool:
        """Take the room of one record; False, and over, when it is not there."""
        self.is_over = not self._is_empty and (self.records == 0 or self.bytes < length)
        if not self.is_over:
            self._is_empty = False
            self.records -= 1
            self.bytes -= length
        return not self.is_over


def _taken(queue: deque[SourceRecord], until: int, room: _Room) -> list[SourceRecord]:
    """Off the queue's front, as far as order and room go."""
    taken: list[SourceRecord] = []
    while queue and queue[0].order <= until and room.holds(len(queue[0].value)):
        taken.append(queue.popleft())
    return taken


class Lane:
    """Buffers and merges the records of one lane.

    ``after`` holds, per topic, the last offset that was released (or that came before what was first read).
    """

    def __init__(self, after: dict[str, int], settings: IntakeSettings) -> None:
        self.settings = settings
        self.after = dict(after)
        self.received = dict(after)
        self.queues: dict[str, deque[SourceRecord]] = {topic: deque() for topic in after}
        self.buffered = 0
        self.taken = 0
        self.duplicates = 0
        self.unordered = 0

    def offer(self, topic: str, records: Iterable[SourceRecord]) -> None:
        """Take what a fetch has brought, in offset order; what was taken before is a duplicate."""
        queue = self.queues[topic]
        last = self.received[topic]
        for record in records:
            self.taken += 1
            if record.offset <= last:
                self.duplicates += 1
                continue
            queue.append(record)
            last = record.offset
            self.buffered += 1
        self.received[topic] = last

    def is_full(self, topic: str) -> bool:
        """Whether the consumer should stop fetching the topic; another may still be needed to go on."""
        return len(self.queues[topic]) >= self.settings.buffered_records_max

    def release(self, now_ms: int, at_end: Callable[[str], bool]) -> list[SourceRecord]:
        """The next records in order, at most a page; empty as long as it is too early to tell.

        ``at_end(topic)`` says whether nothing more is known to be in the topic than what was received.
        """
        ready: list[SourceRecord] = []
        room = _Room(self.settings.page_records_max, self.settings.page_bytes_max)
        while not room.is_over:
            queue, until = self._first()
            if queue is None or not self._may_go(queue[0], now_ms, at_end):
                break
            ready += _taken(queue, until, room)
        return self._note(ready)

    def waits_until_ms(self) -> int | None:
        """When it is worth asking again, if nothing comes meanwhile; None when nothing waits."""
        heads = [queue[0].received_ms for queue in self.queues.values() if queue]
        return min(heads) + self.settings.linger_ms if heads else None

    def _first(self) -> tuple[deque[SourceRecord] | None, int]:
        """The queue whose head is first, and the order up to which it stays first."""
        waiting = [queue for queue in self.queues.values() if queue]
        if len(waiting) < 2:
            return (waiting[0] if waiting else None), _FOR_EVER
        orders = [queue[0].order for queue in waiting]
        first = orders.index(min(orders))
        before = min(
            (order - 1 for order in orders[:first]), default=_FOR_EVER
        )  # of equals, the topic named earlier goes first
        return waiting[first], min(before, min(orders[first + 1 :], default=_FOR_EVER))

    def _may_go(self, head: SourceRecord, now_ms: int, at_end: Callable[[str], bool]) -> bool:
        waited_ms = now_ms - head.received_ms
        empty = [topic for topic, queue in self.queues.items() if not queue]
        if not empty:
            return True
        if all(map(at_end, empty)):
            return waited_ms >= self.settings.linger_ms
        if waited_ms < self.settings.order_wait_ms_max:
            return False
        self.unordered += 1
        return True

    def _note(self, ready: list[SourceRecord]) -> list[SourceRecord]:
        for record in ready:
            self.after[record.topic] = record.offset
        self.buffered -= len(ready)
        return ready


def source_record(topic: str, record: object, received_ms: int) -> SourceRecord:
    """A record of aiokafka's, with its place in the lane's order."""
    headers: Headers = record.headers  # type: ignore[attr-defined]
    return SourceRecord(
        _order(headers, record.timestamp),  # type: ignore[attr-defined]
        topic,
        record.offset,  # type: ignore[attr-defined]
        record.value or b"",  # type: ignore[attr-defined]
        record.timestamp,  # type: ignore[attr-defined]
        record.key,  # type: ignore[attr-defined]
        headers,
        received_ms,
    )


def _order(headers: Headers, timestamp_ms: int) -> int:
    for name, value in headers:
        if name == ORDER_HEADER and value.isdigit() and len(value) <= _DIGITS_MAX:
            return int(value)
    return timestamp_ms


_FOR_EVER = 1 << 62
_DIGITS_MAX = 18
