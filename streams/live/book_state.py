"""What a checkpoint says of itself, read beside the worker that writes it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import msgspec


class BookState(msgspec.Struct, frozen=True):
    """The durable state of one book, without the engine."""

    book: int
    next_offset: int  # of the journal: the first page not folded
    watermarks: dict[str, int]  # source partition (topic/partition) -> the last offset folded
    counts: dict[str, int]
    generation: str
    saved_at_ms: int


def read_states(state_dir: Path) -> dict[int, BookState]:
    """The books that have a readable checkpoint in a state folder; none where there is no folder."""
    found = (_read(file) for file in sorted(state_dir.glob("book-*.sqlite")))
    return {state.book: state for state in found if state is not None}


def _read(file: Path) -> BookState | None:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True, timeout=5)) as database:
            meta = dict(database.execute("SELECT name, value FROM meta"))
        return BookState(
            book=int(meta["book"]),
            next_offset=int(meta["next_offset"]),
            watermarks=msgspec.json.decode(meta["watermarks"], type=dict[str, int]),
            counts=msgspec.json.decode(meta["counts"], type=dict[str, int]),
            generation=str(meta["generation"]),
            saved_at_ms=_written_ms(file),
        )
    except (sqlite3.DatabaseError, msgspec.MsgspecError, KeyError, ValueError):
        return None  # not finished, damaged, or another version's: the worker says what it is when it starts


def _written_ms(file: Path) -> int:
    """When it was last written: a checkpoint may still stand in the write-ahead log."""
    files = [file, file.with_name(f"{file.name}-wal")]
    return max(round(part.stat().st_mtime * 1000) for part in files if part.exists())
