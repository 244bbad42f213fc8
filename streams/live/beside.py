"""Publishing beside the live topics: what a refold or a shadow says goes to topics of its own, each output once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from streams.live.connection import Connection, admin_of
from streams.live.fold import Said
from streams.live.journal import Position
from streams.live.names import COMPACTED, GENERATION_HEADER, POSITION_HEADER
from streams.live.reading import Extent, Reader, header
from streams.live.topics import Topic, create_missing
from streams.live.trouble import BrokerTrouble

if TYPE_CHECKING:
    from kafka import KafkaProducer

TAIL_MESSAGES = 500
"""First look at a partition's end; a generation that is not found there is looked for four times farther back each time."""

BROKERS_DEFAULT = -1
"""As many replicas as the broker gives a topic whose creator does not say."""


class Beside:
    """Publishes outputs of one generation. On start the partition's own tail says how far an earlier run came.

    Args:
        names: topic -> the full name of the topic that stands for it; outputs of other topics are dropped.
        reader: for topics by their full names (an empty prefix).
    """

    def __init__(self, producer: KafkaProducer, reader: Reader, names: Mapping[str, str], generation: str) -> None:
        self._producer = producer
        self._reader = reader
        self._names = names
        self._generation = generation.encode()
        self._published: dict[tuple[str, int], Position | None] = {}
        self.sent = 0
        self.known = 0  # recognised as published by an earlier run

    def begin(self, book: int) -> None:
        """Find out how far an earlier run of this generation came; to be called before anything of the book is published."""
        for topic, name in self._names.items():
            self._published[topic, book] = last_position(self._reader, name, book, self._generation)

    def publish(self, book: int, said: Iterable[Said]) -> None:
        """Send what is news, in order, and wait until the broker has it."""
        futures = [
            self._producer.send(
                self._names[message.topic],
                partition=book,
                key=message.entry.key,
                value=message.entry.value,
                headers=list(message.entry.headers),
            )
            for message in said
            if message.topic in self._names and self._is_news(book, message)
        ]
        for future in futures:
            future.get()
        self.sent += len(futures)

    def _is_news(self, book: int, message: Said) -> bool:
        last = self._published[message.topic, book]
        if last is not None and message.position <= last:
            self.known += 1
            return False
        return True


def last_position(reader: Reader, topic: str, partition: int, generation: bytes) -> Position | None:
    """The last position that a generation published into a partition; None when it published nothing there."""
    begin, end = reader.extents(topic)[partition]
    length = TAIL_MESSAGES
    while end > begin:
        start = max(begin, end - length)
        found = [
            Position.parse(position)
            for _, stored in reader.stretch(topic, {partition: Extent(start, end)})
            if header(stored.headers, GENERATION_HEADER) == generation
            and (position := header(stored.headers, POSITION_HEADER)) is not None
        ]
        if found:
            return max(found)
        end, length = start, length * 4
    return None


def make_topics(connection: Connection, reader: Reader, names: Mapping[str, str], books: int) -> list[str]:
    """Make the topics (full names) that are missing, with a partition for each book; returns the names of those made.

    Raises:
        BrokerTrouble: one is there and has fewer partitions.
    """
    missing = [Topic(name, books, BROKERS_DEFAULT, _config_of(topic)) for topic, name in names.items() if not reader.has(name)]
    if missing:
        with admin_of(connection) as admin:
            create_missing(admin, "", missing, {})
    for name in names.values():
        partitions = len(reader.extents(name))
        if partitions < books:
            raise BrokerTrouble(
                f"{name} has {partitions} partitions and the journal {books} books: give it as many, or delete it"
            )
    return [topic.name for topic in missing]


def _config_of(topic: str) -> dict[str, str]:
    return {"cleanup.policy": "compact" if topic in COMPACTED else "delete"}
