"""Rejects: records that could not be applied, with their place, the reason and their original bytes."""

from __future__ import annotations

import base64
import hashlib
from array import array
from typing import Any, BinaryIO, Literal

import msgspec
import numpy as np

from detectors.events import Fault
from streams.codec import ORIGINAL_BYTES_MAX, WHOLE_RECORD, encode
from streams.files.bytestream import DamagedEnd, OverlongLine
from streams.files.inputs import TopicFile

Original = bytes | dict[str, Any]
"""What a record was read from: the bytes of its line, or the cells of its row."""


class Reject(msgspec.Struct, frozen=True, kw_only=True):
    """A line of rejects.jsonl. ``original`` holds at most ``ORIGINAL_BYTES_MAX`` bytes; length and SHA-256 are of all."""

    file: str
    line: int  # 1 = the first line of the file, or the first row of a Parquet file
    topic: str
    field: str  # where in the record; $ = the record as a whole
    reason: str
    original: str
    original_encoding: Literal["utf-8", "base64"]
    original_length: int
    original_sha256: str


class StoppedAtReject(Exception):
    """A strict replay met its first reject."""

    def __init__(self, reject: Reject) -> None:
        super().__init__(f"{reject.file}, line {reject.line}: {reject.field}: {reject.reason}")
        self.reject = reject


def reject_of(file: TopicFile, line: int, fault: Fault, original: Original) -> Reject:
    """The reject of a record that was read but is faulty."""
    raw = original if isinstance(original, bytes) else row_bytes(original)
    return _reject(file, line, fault, raw[:ORIGINAL_BYTES_MAX], len(raw), hashlib.sha256(raw).hexdigest())


def reject_of_overlong(file: TopicFile, line: int, fault: Fault, overlong: OverlongLine) -> Reject:
    """The reject of a line that was too long to be held."""
    return _reject(file, line, fault, overlong.kept, overlong.length, overlong.sha256)


def reject_of_damage(file: TopicFile, line: int, damage: DamagedEnd) -> Reject:
    """The reject that stands for everything from ``line`` on, which could not be read."""
    reason = f"{damage.reason}: from here on the file cannot be read. Fetch it again and replay."
    return reject_of(file, line, Fault(WHOLE_RECORD, reason), damage.partial_line)


def row_bytes(row: dict[str, Any]) -> bytes:
    """A row's cells as JSON; what JSON cannot hold stands as its text."""
    return msgspec.json.encode(row, enc_hook=str)


def _reject(file: TopicFile, line: int, fault: Fault, kept: bytes, length: int, sha256: str) -> Reject:
    encoding, text = _as_text(kept, cut=length > len(kept))
    return Reject(
        file=file.name,
        line=line,
        topic=file.topic,
        field=fault.field,
        reason=fault.reason,
        original=text,
        original_encoding=encoding,
        original_length=length,
        original_sha256=sha256,
    )


def _as_text(kept: bytes, *, cut: bool) -> tuple[Literal["utf-8", "base64"], str]:
    try:
        return "utf-8", kept.decode()
    except UnicodeDecodeError as error:
        if cut and error.start > len(kept) - 4:  # only the last character was cut through
            return "utf-8", kept[: error.start].decode()
        return "base64", base64.b64encode(kept).decode()


class RejectLedger:
    """Writes rejects as they come and, at the end, in the order of files and lines, however the reading was interleaved.

    Memory: 24 bytes a reject.
    """

    def __init__(self, spool: BinaryIO) -> None:
        self._spool = spool
        self._places = array("q")  # file index, line, offset in the spool; three numbers a reject

    def __len__(self) -> int:
        return len(self._places) // 3

    def add(self, file_index: int, reject: Reject) -> None:
        """Take one reject; ``file_index`` is its file's position in the reading order."""
        self._places.extend((file_index, reject.line, self._spool.tell()))
        self._spool.write(encode(reject) + b"\n")

    def write_ordered(self, target: BinaryIO) -> None:
        """Copy the spool into ``target``, ordered by file and line."""
        if not self._places:
            return
        places = np.frombuffer(self._places, dtype=np.int64).reshape(-1, 3)
        for row in np.lexsort((places[:, 2], places[:, 1], places[:, 0])):
            self._spool.seek(int(places[row, 2]))
            target.write(self._spool.readline())
