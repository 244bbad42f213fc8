"""Readers: topic files -> blocks of records and rejects, streamed, in the order they stand in the file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from detectors.events import Event, Fault
from streams.codec import (
    RECORD_BYTES_MAX,
    UNDECODABLE,
    WHOLE_RECORD,
    decoder_of,
    explain_undecodable,
    oversize_fault,
    shorten,
    unsound,
)
from streams.files.bytestream import DamagedEnd, OverlongLine, line_blocks, open_bytes, probe
from streams.files.cells import cell_readers_of, fields_of, mandatory_fields_of, record_of, time_fields_of
from streams.files.inputs import TOPIC_ORDER, InputError, TopicFile, find_topic_files
from streams.files.rejects import Original, Reject, reject_of, reject_of_damage, reject_of_overlong

PARQUET_BATCH_ROWS = 2_000
QUOTED_LINES_MAX = 100
"""Most lines one CSV row may span; beyond it the quote that was opened is taken for a stray one."""

Row = tuple[int, int, int, int, int, Event, Original]
"""One record on its way to the fold: event_time_ms, topic rank, source_seq, file index, line, record, original.

The first five order it among all others and are never equal for two records.
"""


@dataclass
class Block:
    """What one stretch of a file held. ``damaged``: the file could not be read on from here."""

    rows: list[Row]
    rejects: list[Reject]
    damaged: bool = False


class Source(Protocol):
    """One file of records. ``blocks`` may be called again and then starts over."""

    file: TopicFile
    index: int

    def blocks(self) -> Iterator[Block]:
        """The whole file, in its order."""


def open_topic_files(paths: Iterable[Path]) -> list[Source]:
    """A source for each topic file under ``paths``, checked so far that it can be begun.

    Raises ``InputError``: nothing to read, not what the suffix says, a table without the columns its topic needs.
    """
    return open_sources(find_topic_files(paths).files)


def open_sources(files: Sequence[TopicFile]) -> list[Source]:
    """A source for each file, in the order given. Raises ``InputError`` as ``open_topic_files`` does."""
    kinds: dict[str, type[JsonlSource] | type[CsvSource] | type[ParquetSource]]
    kinds = {"jsonl": JsonlSource, "csv": CsvSource, "parquet": ParquetSource}
    return [kinds[file.format](file, index) for index, file in enumerate(files)]


class JsonlSource:
    """One JSON object a line."""

    def __init__(self, file: TopicFile, index: int) -> None:
        probe(file)
        self.file = file
        self.index = index

    def blocks(self) -> Iterator[Block]:
        """Blocks of some hundred lines."""
        line = 1
        with open_bytes(self.file) as read:
            for piece in line_blocks(read):
                if isinstance(piece, list):
                    yield self._decoded(piece, line)
                    line += len(piece)
                else:
                    yield _unread_block(self.file, line, piece)
                    line += 1

    def _decoded(self, lines: list[bytes], first_line: int) -> Block:
        rows: list[Row] = []
        rejects: list[Reject] = []
        append = rows.append
        decode = decoder_of(self.file.topic)
        rank, index = TOPIC_ORDER[self.file.topic], self.index
        fault: Fault | None
        for line, raw in enumerate(lines, first_line):
            if len(raw) > RECORD_BYTES_MAX:
                fault = oversize_fault(len(raw))
            else:
                try:
                    event = decode(raw)
                    event_time_ms = event.event_time_ms
                    fault = unsound(event, event_time_ms)
                except UNDECODABLE as error:
                    fault = explain_undecodable(error, raw)
            if fault is None:
                append((event_time_ms, rank, event.source_seq or 0, index, line, event, raw))
            else:
                rejects.append(reject_of(self.file, line, fault, raw))
        return Block(rows, rejects)


class CsvSource:
    """Comma-separated, UTF-8, first line = field names. An empty cell is an absent field; nested fields are JSON text."""

    def __init__(self, file: TopicFile, index: int) -> None:
        probe(file)
        self.file = file
        self.index = index
        self._columns = self._checked_header()
        readers = cell_readers_of(file.topic)
        self._readers = [(column, readers.get(column)) for column in self._columns]
        self._known = fields_of(file.topic)

    def blocks(self) -> Iterator[Block]:
        """Blocks of some hundred rows. A row's line is the line it begins on."""
        pending: list[bytes] = []
        line = 1
        with open_bytes(self.file) as read:
            for piece in line_blocks(read):
                if isinstance(piece, list):
                    pending += piece
                    block, used = self._parsed(pending, line, at_end=False)
                    yield block
                    pending, line = pending[used:], line + used
                    continue
                block, used = self._parsed(pending, line, at_end=True)
                yield block
                pending, line = [], line + used
                yield _unread_block(self.file, line, piece)
                line += 1
        yield self._parsed(pending, line, at_end=True)[0]

    def _checked_header(self) -> list[str]:
        with open_bytes(self.file) as read:
            first = next(line_blocks(read), [])
        if not isinstance(first, list) or not first:
            raise InputError(f"{self.file.path}: there is no header line. Begin it with the fields' names, comma-separated.")
        try:
            columns = next(csv.reader([first[0].decode().rstrip("\r")], strict=True), [])
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{self.file.path}: the header line is not UTF-8 CSV: {error}. Export it as UTF-8 CSV.") from error
        _check_columns(self.file, columns)
        return columns

    def _parsed(self, lines: list[bytes], first_line: int, *, at_end: bool) -> tuple[Block, int]:
        """Rows out of ``lines``, and how many lines they took; without ``at_end`` an open row at the end is left."""
        block = Block([], [])
        at = 1 if first_line == 1 and lines else 0  # the header
        while at < len(lines):
            span = _row_span(lines, at)
            if span == 0 and not at_end and len(lines) - at < QUOTED_LINES_MAX:
                break
            cells = self._cells(b"\n".join(lines[at : at + span])) if span else None
            if span > 1 and (cells is None or len(cells) != len(self._columns)):
                span, cells = 1, None  # a stray quote must not swallow the rows behind it
            self._take(block, first_line + at, b"\n".join(lines[at : at + max(span, 1)]), cells)
            at += max(span, 1)
        return block, at

    def _cells(self, raw: bytes) -> list[str] | None:
        """The row's cells; None when it is no CSV row."""
        try:
            text = raw.decode().removesuffix("\r")
            return text.split(",") if b'"' not in raw else next(csv.reader([text], strict=True), [])
        except (UnicodeDecodeError, csv.Error):
            return None

    def _take(self, block: Block, line: int, raw: bytes, cells: list[str] | None) -> None:
        result = self._record(raw, cells)
        if isinstance(result, Fault):
            block.rejects.append(reject_of(self.file, line, result, raw))
        else:
            block.rows.append(_row(self.file, self.index, line, result, raw))

    def _record(self, raw: bytes, cells: list[str] | None) -> Event | Fault:
        if len(raw) > RECORD_BYTES_MAX:
            return oversize_fault(len(raw))
        if not raw.strip():
            return Fault(WHOLE_RECORD, "the line is empty; expected a row")
        if cells is None:
            return Fault(WHOLE_RECORD, f"{_why_no_row(raw)}; found {shorten(raw)}")
        if len(cells) != len(self._columns):
            return Fault(WHOLE_RECORD, f"the header names {len(self._columns)} columns; the row has {len(cells)} cells")
        values = {
            column: read(cell) if read else cell
            for (column, read), cell in zip(self._readers, cells, strict=True)
            if cell and column in self._known
        }
        return record_of(self.file.topic, values)


class ParquetSource:
    """A Parquet table with the fields as columns; instants are timestamps with a time zone, or RFC 3339 text."""

    def __init__(self, file: TopicFile, index: int) -> None:
        self.file = file
        self.index = index
        try:
            with pq.ParquetFile(file.path) as table:
                schema = table.schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{file.path}: cannot be read as Parquet: {error}. Fetch or export it again.") from error
        _check_columns(file, schema.names)
        self._check_times(schema)
        known = fields_of(file.topic)
        self._columns = [name for name in schema.names if name in known]

    def blocks(self) -> Iterator[Block]:
        """Blocks of at most ``PARQUET_BATCH_ROWS`` rows. A row group that cannot be read is one reject; the next is tried."""
        first_row = 1
        with pq.ParquetFile(self.file.path) as table:
            for group in range(table.num_row_groups):
                rows = table.metadata.row_group(group).num_rows
                done = 0
                try:
                    for batch in table.iter_batches(PARQUET_BATCH_ROWS, row_groups=[group], columns=self._columns):
                        yield self._read(batch, first_row + done)
                        done += batch.num_rows
                except (pa.ArrowException, OSError) as error:
                    yield self._lost(first_row + done, first_row + rows - 1, error)
                first_row += rows

    def _check_times(self, schema: pa.Schema) -> None:
        for name in time_fields_of(self.file.topic) & set(schema.names):
            kind = schema.field(name).type
            if pa.types.is_timestamp(kind) and kind.tz is None:
                raise InputError(
                    f"{self.file.path}: column {name} holds timestamps without a time zone. Write them with one, or as text "
                    "with an offset."
                )

    def _lost(self, first: int, last: int, error: Exception) -> Block:
        damage = DamagedEnd(f"{error} (rows {first} to {last})", b"")
        return Block([], [reject_of_damage(self.file, first, damage)], damaged=True)

    def _read(self, batch: pa.RecordBatch, first_row: int) -> Block:
        block = Block([], [])
        columns = [_values(batch.column(at)) for at in range(batch.num_columns)]
        names = batch.schema.names
        for row, cells in enumerate(zip(*columns, strict=True), first_row):
            values = {name: cell for name, cell in zip(names, cells, strict=True) if cell is not None}
            result = record_of(self.file.topic, values)
            if isinstance(result, Fault):
                block.rejects.append(reject_of(self.file, row, result, values))
            else:
                block.rows.append(_row(self.file, self.index, row, result, values))
        return block


def _row(file: TopicFile, index: int, line: int, event: Event, original: Original) -> Row:
    return (event.event_time_ms, TOPIC_ORDER[file.topic], event.source_seq or 0, index, line, event, original)


def _unread_block(file: TopicFile, line: int, piece: OverlongLine | DamagedEnd) -> Block:
    if isinstance(piece, DamagedEnd):
        return Block([], [reject_of_damage(file, line, piece)], damaged=True)
    return Block([], [reject_of_overlong(file, line, oversize_fault(piece.length), piece)])


def _row_span(lines: list[bytes], at: int) -> int:
    """How many lines the CSV row at ``at`` spans; 0 when its quote is not closed within what there is."""
    quotes = 0
    size = 0
    for span, line in enumerate(lines[at : at + QUOTED_LINES_MAX], 1):
        quotes += line.count(b'"')
        size += len(line)
        if quotes % 2 == 0:
            return span
        if size > RECORD_BYTES_MAX:
            break
    return 0


def _why_no_row(raw: bytes) -> str:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return f"a text is not UTF-8: {error.reason}"
    return "a quote stands astray: it is not closed, or not at the edge of its cell"


def _check_columns(file: TopicFile, columns: Sequence[str]) -> None:
    twice = sorted({column for column in columns if list(columns).count(column) > 1})
    if twice:
        raise InputError(f"{file.path}: the header names {', '.join(twice)} twice. Rename or drop one of them.")
    missing = [field for field in mandatory_fields_of(file.topic) if field not in columns]
    if missing and len(columns) == 1 and any(separator in columns[0] for separator in ";\t|"):
        raise InputError(f"{file.path}: the columns are not separated by commas. Export it as comma-separated CSV.")
    if missing:
        raise InputError(f"{file.path}: {file.topic} needs the columns {', '.join(missing)}, which are not there. Add them.")


def _values(column: pa.Array) -> Sequence[Any]:
    """A column as Python values. Timestamps are UTC and keep microseconds, the most a Python instant holds."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", "UTC"), safe=False)
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):  # a text that is not UTF-8, an instant beyond the year 9999
        values = [_value(cell) for cell in column]
    return values


def _value(cell: pa.Scalar) -> Any:
    try:
        return cell.as_py()
    except (ValueError, OverflowError) as error:
        return {"unreadable": str(error)}  # no field takes an object of this shape: the type rejects it
