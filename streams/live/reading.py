"""Reading partitions from beside: by assignment, in no consumer group, committing nothing. Workers never notice."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from kafka import TopicPartition
from kafka.errors import OffsetOutOfRangeError

from streams.live.connection import Connection, consumer_of
from streams.live.log import Stored
from streams.live.names import topic_name
from streams.live.trouble import BrokerTrouble

if TYPE_CHECKING:
    from kafka import KafkaConsumer

POLL_MS = 250
PARTITION_BYTES_MAX = 8 << 20
POLL_MESSAGES_MAX = 100
"""Messages handed over at once: pages hold hundreds of records, and Ctrl-C is heard between two polls."""

SECONDS_PER_MS = 0.001


class Extent(NamedTuple):
    """What a partition holds: offsets from ``begin`` up to, not including, ``end``."""

    begin: int
    end: int


class Reader:
    """One consumer; only one stretch or following is read at a time. Topics are named without the prefix."""

    def __init__(self, consumer: KafkaConsumer, prefix: str, patience_ms: int) -> None:
        self._consumer = consumer
        self._prefix = prefix
        self._patience_s = patience_ms * SECONDS_PER_MS

    def under(self, prefix: str) -> Reader:
        """The same consumer, topics named under another prefix."""
        return Reader(self._consumer, prefix, round(self._patience_s / SECONDS_PER_MS))

    def has(self, topic: str) -> bool:
        """Whether the broker has the topic."""
        return bool(self._consumer.partitions_for_topic(self._name(topic)))

    def extents(self, topic: str) -> dict[int, Extent]:
        """What each partition holds now, by number; it raises ``BrokerTrouble`` when there is no such topic."""
        numbers = self._consumer.partitions_for_topic(self._name(topic))
        if not numbers:
            name = self._name(topic)
            raise BrokerTrouble(f"there is no topic {name}. Check prefix in [kafka], or make it: fundtrail topics create")
        partitions = [self._partition(topic, number) for number in sorted(numbers)]
        begins, ends = self._consumer.beginning_offsets(partitions), self._consumer.end_offsets(partitions)
        return {tp.partition: Extent(begins[tp], ends[tp]) for tp in partitions}

    def offsets_at(self, topic: str, timestamp_ms: int) -> dict[int, int]:
        """By partition, the offset of the first message written at that time or later; the end where there is none."""
        extents = self.extents(topic)
        found = self._consumer.offsets_for_times({self._partition(topic, number): timestamp_ms for number in extents})
        offsets = {tp.partition: at.offset for tp, at in found.items() if at is not None}
        return {number: offsets.get(number, extent.end) for number, extent in extents.items()}

    def stretch(self, topic: str, extents: Mapping[int, Extent]) -> Iterator[tuple[int, Stored]]:
        """Every message of these extents with its partition. Partitions are interleaved as they come, each in order."""
        open_ends = {number: extent.end for number, extent in extents.items() if extent.begin < extent.end}
        polls = self._polls(topic, {number: extents[number].begin for number in open_ends})
        last_s = time.monotonic()
        while open_ends:
            messages, positions = next(polls)
            for number, stored in messages:
                if number in open_ends and stored.offset < open_ends[number]:
                    yield number, stored
            done = [number for number, end in open_ends.items() if positions[number] >= end]
            for number in done:
                del open_ends[number]
            if done:
                self._consumer.pause(*(self._partition(topic, number) for number in done))
            if messages or done:
                last_s = time.monotonic()
            elif time.monotonic() - last_s > self._patience_s:
                name, seconds = self._name(topic), self._patience_s
                raise BrokerTrouble(f"the broker sent nothing of {name} for {seconds:g} s, and there is more. Is it well?")

    def follow(self, topic: str, begins: Mapping[int, int]) -> Iterator[list[tuple[int, Stored]]]:
        """Messages from these offsets on, as they come, for ever; an empty list whenever none came for a while."""
        for messages, _ in self._polls(topic, begins):
            yield messages

    def one(self, topic: str, partition: int, offset: int) -> Stored | None:
        """The message at these coordinates; None when it is not there (any more)."""
        extent = self.extents(topic).get(partition)
        if extent is None or not extent.begin <= offset < extent.end:
            return None
        for _, stored in self.stretch(topic, {partition: Extent(offset, offset + 1)}):
            return stored
        return None

    def last(self, topic: str, partition: int) -> Stored | None:
        """The last message of a partition; None when it is empty (or its end holds no message)."""
        extent = self.extents(topic)[partition]
        return self.one(topic, partition, extent.end - 1) if extent.end > extent.begin else None

    def _polls(self, topic: str, begins: Mapping[int, int]) -> Iterator[tuple[list[tuple[int, Stored]], dict[int, int]]]:
        partitions = {number: self._partition(topic, number) for number in begins}
        self._consumer.assign(list(partitions.values()))
        for number, tp in partitions.items():
            self._consumer.resume(tp)
            self._consumer.seek(tp, begins[number])
        while True:
            try:
                polled = self._consumer.poll(timeout_ms=POLL_MS)
            except OffsetOutOfRangeError as error:
                name = self._name(topic)
                raise BrokerTrouble(
                    f"{name}: what was to be read has just been deleted by its retention. Run again."
                ) from error
            messages = [(tp.partition, _stored(record)) for tp, records in polled.items() for record in records]
            yield messages, {number: self._consumer.position(tp) for number, tp in partitions.items()}

    def _name(self, topic: str) -> str:
        return topic_name(self._prefix, topic)

    def _partition(self, topic: str, number: int) -> TopicPartition:
        return TopicPartition(self._name(topic), number)


@contextmanager
def reader_of(connection: Connection) -> Iterator[Reader]:
    """A reader of the topics under the settings' prefix; failures of the client inside become ``BrokerTrouble``."""
    kafka = connection.settings
    arguments: dict[str, Any] = {
        "auto_offset_reset": "none",
        "allow_auto_create_topics": False,
        "max_partition_fetch_bytes": PARTITION_BYTES_MAX,
        "max_poll_records": POLL_MESSAGES_MAX,
    }
    with consumer_of(connection, **arguments) as consumer:
        yield Reader(consumer, kafka.prefix, 3 * kafka.request_timeout_ms)


def header(headers: Iterable[tuple[str, bytes]], name: str) -> bytes | None:
    """The last header of that name."""
    found = None
    for key, value in headers:
        if key == name:
            found = value
    return found


def instant_ms(text: str) -> int:
    """RFC 3339 as milliseconds since 1970; ``ValueError`` with the remedy for anything else.

    >>> instant_ms("2026-01-05T18:00:00+08:00")
    1767607200000
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ValueError(f"{text!r} is no instant; write it with its offset, such as 2026-01-05T18:00:00+08:00")
    return round(instant.timestamp() * 1000)


def _stored(record: Any) -> Stored:
    return Stored(record.offset, record.timestamp, record.key, record.value or b"", tuple(record.headers))
