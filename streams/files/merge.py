"""Merge: many files into one stream in event-time order, as well as a bounded look ahead can."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from streams.files.readers import Block, Row, Source
from streams.files.rejects import Reject

REORDER_RECORDS = 1_000
"""How many records of a file are held to put them in order: a record may stand that far from its place."""

OPEN_FILES_MAX = 8
"""With more files than this, one is opened only when the stream has reached its first record."""


Stretch = tuple[list[Row], list[tuple[int, Reject]]]
"""Records in order, and rejects each with the index of its file."""


@dataclass
class Course:
    """What the merge noticed on its way."""

    late: int = 0  # records delivered after one of a later event time
    damaged_files: list[str] = field(default_factory=list)
    watermark_ms: int | None = None


def merge(
    sources: Sequence[Source], course: Course | None = None, *, reorder_records: int = REORDER_RECORDS
) -> Iterator[Stretch]:
    """Everything in ``sources``: stretches of records in order, and the rejects (with their file's index) met meanwhile.

    Order: event time, topic, ``source_seq``, file, line. A file's records are put in order within ``reorder_records``, so
    that one record with an absurd date does not hold back what stands behind it; a record that still comes too late is
    delivered where it stands and counted in ``course.late``. Rejects have no time and come at once.
    """
    course = course or Course()
    live = [_Cursor(source, reorder_records, course) for source in sources]
    waiting: list[_Cursor] = []
    if len(live) > OPEN_FILES_MAX:
        live, waiting = _begin(live)
    while live or waiting:
        for cursor in live:
            yield from cursor.fill()
        live = [cursor for cursor in live if cursor.rows]
        horizon = min((cursor.rows[-1] for cursor in live), default=None)
        if waiting and (horizon is None or waiting[-1].first <= horizon):
            live.append(waiting.pop())
        elif horizon is not None:
            ready = live[0].take_all() if len(live) == 1 else _ready(live, horizon)
            _note_late(ready, course)
            yield ready, []


def _begin(cursors: list[_Cursor]) -> tuple[list[_Cursor], list[_Cursor]]:
    """Those without a first record to wait for, and those that can wait: last one first to be woken."""
    live: list[_Cursor] = []
    waiting: list[_Cursor] = []
    for cursor in cursors:
        (waiting if cursor.peek() else live).append(cursor)
    waiting.sort(key=lambda cursor: cursor.first, reverse=True)
    return live, waiting


def _ready(live: list[_Cursor], horizon: Row) -> list[Row]:
    ready: list[Row] = []
    for cursor in live:
        ready += cursor.take_until(horizon)
    ready.sort()
    return ready


def _note_late(ready: list[Row], course: Course) -> None:
    watermark_ms = course.watermark_ms
    if watermark_ms is not None and ready[0][0] < watermark_ms:
        course.late += bisect_left(ready, watermark_ms, key=lambda row: row[0])
    course.watermark_ms = ready[-1][0] if watermark_ms is None else max(watermark_ms, ready[-1][0])


def _in_order(blocks: Iterator[Block], reorder_records: int, notice: Callable[[Block], None]) -> Iterator[list[Row]]:
    """The rows of each block, delayed by ``reorder_records`` so that later ones can move ahead.

    Sorting what is nearly sorted costs a comparison or two a record, several times less than a heap does.
    """
    held: list[Row] = []
    for block in blocks:
        notice(block)
        held += block.rows
        held.sort()
        cut = max(0, len(held) - reorder_records)
        yield held[:cut]
        held = held[cut:]
    yield held


class _Cursor:
    """Where the merge stands in one source: rows in order that wait to be taken, from position ``_at`` on."""

    first: Row  # set by peek

    def __init__(self, source: Source, reorder_records: int, course: Course) -> None:
        self.rows: list[Row] = []
        self._at = 0
        self._source = source
        self._course = course
        self._reorder_records = reorder_records
        self._rejects: list[tuple[int, Reject]] = []
        self._stretches = self._begin(self._notice)

    def peek(self) -> bool:
        """Learn the first record without staying open; False when there is none."""
        rows = next((rows for rows in self._begin(lambda block: None) if rows), None)
        if rows is not None:
            self.first = rows[0]
        return rows is not None

    def fill(self) -> Iterator[Stretch]:
        """Make sure there are rows, unless the source has no more; yields the rejects met on the way."""
        while not self.rows:
            rows = next(self._stretches, None)
            if self._rejects:
                yield [], self._rejects
                self._rejects = []
            if rows is None:
                return
            self.rows, self._at = rows, 0

    def take_all(self) -> list[Row]:
        """Every row there is."""
        rows = self.rows[self._at :] if self._at else self.rows
        self.rows = []
        return rows

    def take_until(self, horizon: Row) -> list[Row]:
        """The rows up to ``horizon``, it included."""
        cut = bisect_right(self.rows, horizon, lo=self._at)
        rows = self.rows[self._at : cut]
        self._at = cut
        if cut == len(self.rows):
            self.rows = []
        return rows

    def _begin(self, notice: Callable[[Block], None]) -> Iterator[list[Row]]:
        return _in_order(self._source.blocks(), self._reorder_records, notice)

    def _notice(self, block: Block) -> None:
        index = self._source.index
        self._rejects += [(index, reject) for reject in block.rejects]
        if block.damaged and self._source.file.name not in self._course.damaged_files:
            self._course.damaged_files.append(self._source.file.name)
