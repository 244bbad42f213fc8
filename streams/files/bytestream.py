"""Bytes out of plain and compressed files, and lines out of bytes, both in bounded memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import zstandard

from streams.codec import ORIGINAL_BYTES_MAX, RECORD_BYTES_MAX
from streams.files.inputs import InputError, TopicFile

CHUNK_BYTES = 1 << 18
ZSTD_FEED_BYTES = 1 << 12  # a zstd block can grow 32,768-fold, so 4 KiB stay below 128 MiB
ZSTD_WINDOW_BYTES_MAX = 1 << 27

READ_FAILURES = (OSError, EOFError, zlib.error, zstandard.ZstdError)
"""What reading raises when the medium or the compressed stream is damaged."""

Read = Callable[[int], bytes]


@dataclass(frozen=True)
class OverlongLine:
    """A line of more than ``RECORD_BYTES_MAX`` bytes: its beginning, its length and the SHA-256 of all of it."""

    kept: bytes
    length: int
    sha256: str


@dataclass(frozen=True)
class DamagedEnd:
    """Reading stopped here: why, and the bytes of the line that was being read."""

    reason: str
    partial_line: bytes


@contextmanager
def open_bytes(file: TopicFile) -> Iterator[Read]:
    """Open a file for reading; yields ``read(size)``, which gives at most about ``size`` bytes and ``b""`` at the end."""
    with file.path.open("rb") as raw:
        if file.compression == "gz":
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield unpacked.read
        elif file.compression == "zst":
            yield ZstdStream(raw).read
        else:
            yield raw.read


def probe(file: TopicFile) -> None:
    """Read the first byte, so that a file that is not what its suffix says is refused before anything runs."""
    try:
        if file.compression != "none" and file.path.stat().st_size == 0:
            raise InputError(f"{file.path}: the file is empty, not even compressed. Fetch it again.")
        with open_bytes(file) as read:
            read(1)
    except READ_FAILURES as error:
        raise InputError(f"{file.path}: cannot be read: {_plain(error)}. Fetch it again, or correct its suffix.") from error


class ZstdStream:
    """Reads zstd frames one after another and, unlike the library's own reader, tells an early end from a proper one."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._make = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES_MAX).decompressobj
        self._frame = self._make()
        self._inside_frame = False
        self._ready = io.BytesIO()

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; ``EOFError`` when the file ends within a frame."""
        while not (data := self._ready.read(size)):
            packed = self._raw.read(ZSTD_FEED_BYTES)
            if not packed:
                if self._inside_frame:
                    raise EOFError("the compressed stream ends early")
                return b""
            self._ready = io.BytesIO(self._unpack(packed))
        return data

    def _unpack(self, packed: bytes) -> bytes:
        pieces = []
        while packed:
            pieces.append(self._frame.decompress(packed))
            self._inside_frame = not self._frame.eof
            packed = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame = self._make()
        return b"".join(pieces)


def line_blocks(read: Read) -> Iterator[list[bytes] | OverlongLine | DamagedEnd]:
    """Lines without their newline, many at a time; an overlong line and a damaged end stand by themselves.

    A carriage return stays with its line. A byte order mark at the start is dropped. A last line needs no newline.
    """
    tail = b""
    at_start = True
    while True:
        try:
            chunk = read(CHUNK_BYTES)
        except READ_FAILURES as error:
            yield DamagedEnd(_plain(error), tail)
            return
        if not chunk:
            break
        lines = (tail + chunk).split(b"\n")
        if at_start and len(lines[0]) >= 3:
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
            at_start = False
        tail = lines.pop()
        if lines:
            at_start = False
            yield lines
        if len(tail) > RECORD_BYTES_MAX:
            overlong, tail = _skip_overlong(tail, read)
            yield overlong
            if isinstance(overlong, DamagedEnd):
                return
    if tail:  # several lines, when they stood behind an overlong one
        yield tail.removesuffix(b"\n").split(b"\n")


def _skip_overlong(beginning: bytes, read: Read) -> tuple[OverlongLine | DamagedEnd, bytes]:
    """Read on to the newline without keeping what is read; gives the line and the bytes behind its newline."""
    digest = hashlib.sha256(beginning)
    length = len(beginning)
    while True:
        try:
            chunk = read(CHUNK_BYTES)
        except READ_FAILURES as error:
            return DamagedEnd(_plain(error), beginning), b""
        inside, newline, behind = chunk.partition(b"\n")
        digest.update(inside)
        length += len(inside)
        if newline or not chunk:
            return OverlongLine(beginning[:ORIGINAL_BYTES_MAX], length, digest.hexdigest()), behind


def _plain(error: BaseException) -> str:
    """What happened, without the path (the caller names the file)."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, EOFError):
        return "the compressed stream ends early"
    return str(error) or type(error).__name__
