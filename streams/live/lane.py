"""A lane: partition i of every source topic, merged into one order.

Records of one partition keep their order. Across topics the order is that of the header ``fundtrail-order`` where records
carry it, else that of Kafka's timestamps. Before a record of one topic may go, every other topic of the lane must show a
later one or be at its end; a topic at its end is given ``linger_ms`` to show that it was only slow. A record that names its
predecessor (``fundtrail-follows``) goes exactly when that has gone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from streams.live.names import FOLLOWS_HEADER, ORDER_HEADER
from streams.live_settings import IntakeSettings

NOTHING_BEFORE = -1
"""What the first record of a lane follows."""

Headers = Sequence[tuple[str, bytes]]


class SourceRecord(NamedTuple):
    """One record of a source topic, as the consumer has it."""

    order: int  # its number, or else its timestamp
    number: int | None
    follows: int | None
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


class Lane:
    """Buffers and merges the records of one lane.

    ``after`` holds, per topic, the last offset that was released (or that came before what was first read).
    """

    def __init__(self, after: dict[str, int], settings: IntakeSettings, last_order: int | None = None) -> None:
        self.settings = settings
        if last_order is None and all(offset < 0 for offset in after.values()):
            last_order = NOTHING_BEFORE
        self.last_order = last_order  # of the last record released; None: not known
        self.after = dict(after)
        self.received = dict(after)
        self.queues: dict[str, deque[SourceRecord]] = {topic: deque() for topic in after}
        self.buffered = 0
        self.taken = 0
        self.duplicates = 0
        self.unordered = 0

    def miss(self, begins: Mapping[str, int]) -> None:
        """What stood before these offsets was deleted by the topics' retention and will not come.

        ``after`` stays: the journal has not had these offsets, so the first page must continue from before them.
        """
        for topic, begin in begins.items():
            if begin - 1 > self.received[topic]:
                self.received[topic] = begin - 1
                self.last_order = None

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

    def lacks(self, topic: str) -> bool:
        """Whether records of other topics wait, and none of this one is here."""
        return self.buffered > 0 and not self.queues[topic]

    def release(self, now_ms: int, at_end: Callable[[str], bool]) -> list[SourceRecord]:
        """The next records in order, at most a page; empty as long as it is too early to tell.

        ``at_end(topic)`` says whether nothing more is known to be in the topic than what was received.
        """
        ready: list[SourceRecord] = []
        room = _Room(self.settings.page_records_max, self.settings.page_bytes_max)
        while not room.is_over:
            queue, until = self._first()
            received_ms_max, is_forced = self._gate(now_ms, at_end)
            taken = self._take(queue, until, received_ms_max, now_ms - self.settings.order_wait_ms_max, room) if queue else []
            if not taken:
                break
            self.unordered += is_forced
            ready += taken
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

    def _gate(self, now_ms: int, at_end: Callable[[str], bool]) -> tuple[int, bool]:
        """(when a record must have been received to go now, whether it goes although an earlier one may be missing)."""
        empty = [topic for topic, queue in self.queues.items() if not queue]
        if not empty:
            return _FOR_EVER, False
        if all(map(at_end, empty)):
            return now_ms - self.settings.linger_ms, False
        return now_ms - self.settings.order_wait_ms_max, True

    def _take(
        self, queue: deque[SourceRecord], until: int, received_ms_max: int, forced_ms_max: int, room: _Room
    ) -> list[SourceRecord]:
        """Off the queue's front, as far as order, time and room go."""
        taken: list[SourceRecord] = []
        while queue and queue[0].order <= until:
            head = queue[0]
            if head.follows is None or self.last_order is None:
                may_go = head.received_ms <= received_ms_max
            else:
                may_go = head.follows <= self.last_order or head.received_ms <= forced_ms_max
            if not may_go or not room.holds(len(head.value)):
                break
            taken.append(queue.popleft())
            if head.number is not None:
                self.last_order = head.number if self.last_order is None else max(self.last_order, head.number)
        return taken

    def _note(self, ready: list[SourceRecord]) -> list[SourceRecord]:
        for record in ready:
            self.after[record.topic] = record.offset
        self.buffered -= len(ready)
        return ready


def source_record(topic: str, record: object, received_ms: int) -> SourceRecord:
    """A record of aiokafka's, with its place in the lane's order."""
    headers: Headers = record.headers  # type: ignore[attr-defined]
    numbers = {name: int(value) for name, value in headers if name in _NUMBERED and _is_number(value)}
    timestamp_ms: int = record.timestamp  # type: ignore[attr-defined]
    return SourceRecord(
        numbers.get(ORDER_HEADER, timestamp_ms),
        numbers.get(ORDER_HEADER),
        numbers.get(FOLLOWS_HEADER),
        topic,
        record.offset,  # type: ignore[attr-defined]
        record.value or b"",  # type: ignore[attr-defined]
        timestamp_ms,
        record.key,  # type: ignore[attr-defined]
        headers,
        received_ms,
    )


def _is_number(value: bytes) -> bool:
    return len(value) <= _DIGITS_MAX and value.removeprefix(b"-").isdigit()


_NUMBERED = (ORDER_HEADER, FOLLOWS_HEADER)
_FOR_EVER = 1 << 62
_DIGITS_MAX = 18
