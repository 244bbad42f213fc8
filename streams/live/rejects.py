"""Rejects of the live path: what could not be applied, with its coordinates, the reason and the original bytes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Literal

import msgspec

from detectors.events import Fault
from streams.codec import ORIGINAL_BYTES_MAX, encode
from streams.live.log import Entry

Stage = Literal["intake", "detect"]


class LiveReject(msgspec.Struct, frozen=True, kw_only=True):
    """A message of ``rejects``. Its key is ``topic/partition/offset`` of the source: a repeated one replaces the first."""

    topic: str  # the source topic, without prefix
    partition: int
    offset: int
    stage: Stage
    field: str  # where in the record; $ = the record as a whole
    reason: str
    timestamp_ms: int | None = None  # the source message's; absent when detect rejects
    key: str | None = None  # base64
    headers: tuple[tuple[str, str], ...] = ()  # values in base64
    original: str  # base64 of at most ORIGINAL_BYTES_MAX bytes; length and SHA-256 are of all
    original_length: int
    original_sha256: str
    redriven_to: str | None = None  # topic/partition/offset it was sent to again; such a message only marks the first one

    @property
    def coordinates(self) -> str:
        """``topic/partition/offset`` of the source."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def kept(self) -> bytes:
        """As much of the original as the reject holds."""
        return base64.b64decode(self.original)

    @property
    def is_whole(self) -> bool:
        """Whether the reject holds all of the original."""
        return len(self.kept) == self.original_length

    @property
    def source_headers(self) -> tuple[tuple[str, bytes], ...]:
        """The source message's headers."""
        return tuple((name, base64.b64decode(value)) for name, value in self.headers)

    @property
    def source_key(self) -> bytes | None:
        """The source message's key."""
        return base64.b64decode(self.key) if self.key is not None else None


def live_reject(
    topic: str, partition: int, offset: int, stage: Stage, fault: Fault, value: bytes, *,
    timestamp_ms: int | None = None, key: bytes | None = None, headers: Sequence[tuple[str, bytes]] = (),
) -> LiveReject:  # fmt: skip
    """The reject of one source record."""
    return LiveReject(
        topic=topic,
        partition=partition,
        offset=offset,
        stage=stage,
        field=fault.field,
        reason=fault.reason,
        timestamp_ms=timestamp_ms,
        key=_text(key) if key is not None else None,
        headers=tuple((name, _text(header)) for name, header in headers),
        original=_text(value[:ORIGINAL_BYTES_MAX]),
        original_length=len(value),
        original_sha256=hashlib.sha256(value).hexdigest(),
    )


def entry_of(reject: LiveReject, headers: tuple[tuple[str, bytes], ...] = ()) -> Entry:
    """The message that carries a reject."""
    return Entry(reject.coordinates.encode(), encode(reject), headers)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
