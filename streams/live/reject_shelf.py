"""The rejects of the live path as people ask for them: distinct, in the order of their sources, found by what they are."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

from streams.live.names import REJECTS
from streams.live.reading import Reader
from streams.live.rejects import LiveReject

FOUND = "; found "
"""Behind it a reason shows the offending value, which is not part of what kind of reject it is."""

_decode = msgspec.json.Decoder(LiveReject).decode


class Coordinates(NamedTuple):
    """Where a rejected record came from."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Coordinates:
        """The opposite of ``str``; ``ValueError`` with an example for anything else."""
        topic, _, rest = text.partition("/")
        partition, slash, offset = rest.partition("/")
        if not (topic and slash and partition.isdecimal() and offset.isdecimal()):
            raise ValueError(f"{text!r} are no coordinates; write them as topic/partition/offset: account-transactions/0/17")
        return cls(topic, int(partition), int(offset))


class Shelved(NamedTuple):
    """What is remembered of one reject; the rest is on the shelf."""

    at: Coordinates
    home: int  # partition of the topic rejects
    stage: str
    field: str
    reason: str
    written_ms: int  # when it was first rejected
    size: int
    redriven_to: str | None
    place: tuple[int, int]  # begin and length in the spool

    @property
    def kind(self) -> tuple[str, str, str, str]:
        """What it has in common with others: topic, stage, field, reason without the value found."""
        return self.at.topic, self.stage, self.field, self.reason.split(FOUND)[0]


class Selection(NamedTuple):
    """Which rejects are meant; an empty one means all."""

    coordinates: frozenset[Coordinates] = frozenset()
    topics: frozenset[str] = frozenset()
    stage: str | None = None
    reason: str | None = None  # part of the reason or of the field, in any case
    since_ms: int | None = None  # rejected then or later

    def holds(self, item: Shelved) -> bool:
        """Whether a reject is meant."""
        return (
            (not self.coordinates or item.at in self.coordinates)
            and (not self.topics or item.at.topic in self.topics)
            and self.stage in (None, item.stage)
            and (self.reason is None or self.reason.lower() in f"{item.field}: {item.reason}".lower())
            and (self.since_ms is None or item.written_ms >= self.since_ms)
        )


class RejectShelf:
    """Every distinct reject of the topic. Originals are kept on disk; use as a context manager."""

    def __init__(self) -> None:
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115 closed by __exit__
        self.items: dict[Coordinates, Shelved] = {}
        self.messages = 0
        self.foreign = 0  # messages that are no rejects

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._spool.close()

    def fill(self, reader: Reader) -> Self:
        """Read everything that is in the topic now."""
        for home, stored in reader.stretch(REJECTS, reader.extents(REJECTS)):
            self.put(home, stored.timestamp_ms, stored.value)
        return self

    def put(self, home: int, written_ms: int, raw: bytes) -> None:
        """One message. The first of a record holds; a later one may mark it as redriven, and once marked it stays so."""
        self.messages += 1
        try:
            reject = _decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.foreign += 1
            return
        at = Coordinates(reject.topic, reject.partition, reject.offset)
        known = self.items.get(at)
        if known is not None:
            if reject.redriven_to is not None:
                self.items[at] = known._replace(redriven_to=reject.redriven_to)
            return
        place = (self._spool.seek(0, 2), len(raw))
        self._spool.write(raw)
        self.items[at] = Shelved(
            at, home, reject.stage, reject.field, reject.reason, written_ms, reject.original_length, reject.redriven_to, place
        )

    def selected(self, selection: Selection) -> list[Shelved]:
        """Those that are meant, in the order of their sources: topic, partition, offset."""
        return sorted(item for item in self.items.values() if selection.holds(item))

    def whole(self, item: Shelved) -> LiveReject:
        """Everything that is known of one."""
        begin, length = item.place
        self._spool.seek(begin)
        return _decode(self._spool.read(length))

    def __iter__(self) -> Iterator[Shelved]:
        return iter(self.items.values())
