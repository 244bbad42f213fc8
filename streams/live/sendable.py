"""Topic files as messages: each record with its number, its lane and its bytes, in the order in which a replay folds them."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from detectors.events import AccountTransaction, Event, LoanDisbursement
from streams.codec import encode
from streams.files.bytestream import CHUNK_BYTES, READ_FAILURES, Read, open_bytes
from streams.files.inputs import TopicFile
from streams.files.merge import merge
from streams.files.readers import Block, Row, Source
from streams.files.rejects import Reject


class Message(NamedTuple):
    """What is sent of one record. ``event_time_ms`` is None for a line that is no record; intake will reject it."""

    number: int
    topic: str
    partition: int
    key: bytes | None
    value: bytes
    event_time_ms: int | None


@dataclass
class Course:
    """What was noticed on the way."""

    undecodable: int = 0
    cut: int = 0  # undecodable lines of which only the beginning can be sent
    damaged_files: list[str] = field(default_factory=list)


def messages(sources: Sequence[Source], lanes: int, bytes_max: int, course: Course, first: int = 0) -> Iterator[Message]:
    """Every record of the files, numbered from ``first``. The same files give the same messages.

    Order: that of a replay; a line that is no record comes where a replay meets it. Records of account transactions and
    disbursements go to the lane of their account, the rest to lane 0. Lines of JSON are sent as they stand, rows of tables as
    the JSON of their record. ``bytes_max`` is the most that is sent of a line that is no record.
    """
    undamaged = [_Undamaged(source, course) for source in sources]
    originals = [_Originals(source.file, bytes_max, course) for source in sources]
    number = first
    for rows, rejects in merge(undamaged):
        for index, reject in rejects:
            course.undecodable += 1
            yield Message(number, reject.topic, 0, None, originals[index].of(reject), None)
            number += 1
        for row in rows:
            account = _account_of(row[5])
            key = account.encode() if account is not None else None
            partition = zlib.crc32(key) % lanes if key is not None else 0
            yield Message(number, sources[row[3]].file.topic, partition, key, _value_of(sources[row[3]].file, row), row[0])
            number += 1


def _account_of(event: Event) -> str | None:
    if isinstance(event, AccountTransaction):
        return event.account_id
    return event.disburse_account if isinstance(event, LoanDisbursement) else None


def _value_of(file: TopicFile, row: Row) -> bytes:
    original = row[6]
    return original if file.format == "jsonl" and isinstance(original, bytes) else encode(row[5])


class _Undamaged:
    """A source without the rejects that stand for what could not be read: there is no record to send."""

    def __init__(self, source: Source, course: Course) -> None:
        self.file = source.file
        self.index = source.index
        self._source = source
        self._course = course

    def blocks(self) -> Iterator[Block]:
        for block in self._source.blocks():
            if block.damaged and self.file.name not in self._course.damaged_files:
                self._course.damaged_files.append(self.file.name)
            yield Block(block.rows, [], damaged=True) if block.damaged else block


class _Originals:
    """The bytes of a file's rejected lines. A reject keeps the first 64 KiB; longer lines of JSON are read again."""

    def __init__(self, file: TopicFile, bytes_max: int, course: Course) -> None:
        self._file = file
        self._bytes_max = bytes_max
        self._course = course
        self._lines: Iterator[bytes] | None = None
        self._line = 0

    def of(self, reject: Reject) -> bytes:
        """Rejects come in the order of their lines, so that the file is read at most once more."""
        text = reject.original
        kept = text.encode() if reject.original_encoding == "utf-8" else base64.b64decode(text)
        if len(kept) < reject.original_length and self._file.format == "jsonl":
            kept = self._read_again(reject.line)
        if len(kept) < reject.original_length:
            self._course.cut += 1
        return kept[: self._bytes_max]

    def _read_again(self, line: int) -> bytes:
        if self._lines is None:
            self._lines = lines_of(self._file, self._bytes_max)
        while self._line < line:
            found = next(self._lines)
            self._line += 1
        return found


def lines_of(file: TopicFile, bytes_max: int) -> Iterator[bytes]:
    """The lines of a file without their newline, of each at most the first ``bytes_max`` bytes, until it cannot be read on."""
    with open_bytes(file) as read:
        line = b""
        for chunk in _chunks(read):
            *complete, rest = chunk.split(b"\n")
            for piece in complete:
                yield (line + piece)[:bytes_max]
                line = b""
            line = (line + rest)[:bytes_max]
        if line:
            yield line


def _chunks(read: Read) -> Iterator[bytes]:
    try:
        while chunk := read(CHUNK_BYTES):
            yield chunk
    except READ_FAILURES:
        return
