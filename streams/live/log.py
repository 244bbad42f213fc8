"""What the live stages ask of a broker: append and be sure, read a partition's end. Kafka has one; the simulation another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

Headers = tuple[tuple[str, bytes], ...]


class Entry(NamedTuple):
    """A message to append."""

    key: bytes | None
    value: bytes
    headers: Headers = ()


class Stored(NamedTuple):
    """A message as it stands in a partition."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes
    headers: Headers = ()


class Log(Protocol):
    """A partitioned, durable log. Topics are named without the prefix."""

    async def append(self, topic: str, partition: int, entries: Sequence[Entry]) -> int:
        """Append in order; returns the first one's offset once all are acknowledged by the broker.

        Raises whatever the world raises when that cannot be had; then any prefix of them may stand in the log.
        """

    async def tail(self, topic: str, partition: int, count: int) -> Sequence[Stored]:
        """The last ``count`` messages of a partition, oldest first; fewer when there are fewer."""
