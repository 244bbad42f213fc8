"""The journal: pages of records in the order in which they are folded.

A page is one Kafka message that holds many records, because a message costs more than the folding of a record. Every
record keeps its *source coordinates* (topic, partition, offset). A *span* says how far a page brings its writer in one
source partition: from behind ``after`` up to and including ``upto``, whether or not the records between concern this book.

The fold keeps a watermark per source partition. A span that begins at or before the watermark continues it: records beyond
the watermark are applied, those before it are *repeated* (a writer that crashed before it committed writes them again).
A span that begins behind the watermark comes from a writer that has lost its partition to another; its records are
skipped as *ahead*, and the present owner brings them.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

PAGE_VERSION = 1

REMITTANCES = "remittances"
"""Topic of the records that another book's fold writes: ``partition`` is that book, ``offset`` a running number."""


class Span(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How far a page brings its writer in one source partition."""

    topic: str  # without prefix
    partition: int
    after: int  # the last offset before; -1 = from the beginning
    upto: int


class Record(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One record of a page: its source and its JSON."""

    span: int  # index into the page's spans
    offset: int
    value: bytes


class Page(msgspec.Struct, array_like=True, frozen=True):
    """One message of the journal."""

    version: int
    written_at_ms: int  # the writer's clock; for people and metrics, never for the fold
    spans: list[Span]
    records: list[Record]
    tick_ms: int | None = None  # event time has come this far, behind the records


class Position(NamedTuple):
    """Where in a journal partition something follows from: page offset, record's index in it, number among its outputs."""

    offset: int
    record: int
    number: int

    def __str__(self) -> str:
        return f"{self.offset}/{self.record}/{self.number}"

    @classmethod
    def parse(cls, text: str | bytes) -> Position:
        """The opposite of ``str``; ``ValueError`` for anything else."""
        offset, record, number = (int(part) for part in (text if isinstance(text, str) else text.decode()).split("/"))
        return cls(offset, record, number)


class NotAPage(ValueError):
    """A journal message that this version cannot read; the message says what to do."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Page).decode


def encode_page(page: Page) -> bytes:
    """A page as the bytes of a journal message."""
    return _encode(page)


def decode_page(raw: bytes) -> Page:
    """The page in a journal message.

    Raises:
        NotAPage: the bytes are none, or of a later version.
    """
    try:
        page = _decode(raw)
    except msgspec.MsgspecError as error:
        raise NotAPage(f"a journal message is no page ({error}): only fundtrail may write to the journal") from error
    if page.version > PAGE_VERSION:
        raise NotAPage(f"a journal page has version {page.version}, this fundtrail reads up to {PAGE_VERSION}: upgrade it")
    return page
