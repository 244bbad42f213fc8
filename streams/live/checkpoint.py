"""The durable state of one book: a SQLite file, and the forked child that writes it while the fold goes on.

One transaction is one checkpoint: either all of it is in the file, with the journal offset it belongs to, or the one
before is. The journal offset is committed to Kafka only after that.
"""

from __future__ import annotations

import gc
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import zstandard

from detectors.configuration import Configuration
from detectors.engine import Engine
from streams.live.child import CAN_FORK, Child, ChildFailed
from streams.live.fold import BookFold

STATE_VERSION = 1
"""Of the tables and of what is in their cells; a fundtrail reads files up to its own."""

BUSY_SECONDS = 30.0

TABLES = """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE graph (part INTEGER PRIMARY KEY, packed BLOB NOT NULL);
"""


class StateError(Exception):
    """The state of a book cannot be used; the message says what to do."""


class OtherGeneration(StateError):
    """Written by another engine version or under another configuration."""


class NewerState(StateError):
    """Written by a later fundtrail."""


class DamagedState(StateError):
    """No complete checkpoint can be read from the file."""


class CheckpointFailed(StateError):
    """A checkpoint was not written; the one before still stands, and the next writes what this one should have."""


class Saved(NamedTuple):
    """A durable checkpoint: journal offsets below ``next_offset`` may be committed."""

    next_offset: int
    seconds: float  # of writing
    bytes: int  # of the file
    rows: int  # written
    fork_pause_ms: float = 0.0  # how long the fold stood still


class CheckpointFile:
    """One book's file.

    Args:
        generation: of the fold that writes and reads; see :func:`streams.live.fold.generation_of`.
    """

    def __init__(self, path: Path, generation: str) -> None:
        self.path = path
        self.generation = generation

    def save(self, fold: BookFold) -> Saved:
        """Write what has changed, in one transaction; returns when it is on the disk."""
        started = time.monotonic()
        with self._opened() as file:
            file.execute("BEGIN IMMEDIATE")
            _make_tables(file)
            packed = zstandard.compress(msgspec.msgpack.encode(fold.engine.snapshot()), 1)
            file.execute("INSERT OR REPLACE INTO graph VALUES (0, ?)", (packed,))
            _note(file, self._meta(fold))
            file.execute("COMMIT")
        return Saved(fold.next_offset, time.monotonic() - started, self.path.stat().st_size, 1)

    def load(self, configuration: Configuration, book: int) -> BookFold | None:
        """The fold at the last checkpoint; None when there is none.

        Raises:
            OtherGeneration: see :class:`OtherGeneration`.
            NewerState: see :class:`NewerState`.
            DamagedState: see :class:`DamagedState`.
        """
        if not self.path.exists():
            return None
        try:
            with self._opened() as file, collecting_nothing():
                return self._load(file, configuration, book)
        except (sqlite3.DatabaseError, zstandard.ZstdError, msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
            raise DamagedState(f"{self.path}: {error}. {_DAMAGED_REMEDY}") from error

    def _load(self, file: sqlite3.Connection, configuration: Configuration, book: int) -> BookFold | None:
        if not file.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0]:
            return None  # a first checkpoint was never finished
        meta = dict(file.execute("SELECT name, value FROM meta"))
        self._check(meta, book)
        (packed,) = file.execute("SELECT packed FROM graph WHERE part = 0").fetchone()
        engine = Engine.restore(configuration, msgspec.msgpack.decode(zstandard.decompress(packed)))
        fold = BookFold(book, configuration, self.generation, engine)
        fold.next_offset = meta["next_offset"]
        fold.watermarks = msgspec.json.decode(meta["watermarks"], type=dict[str, int])
        fold.counts = Counter(msgspec.json.decode(meta["counts"], type=dict[str, int]))
        return fold

    def _meta(self, fold: BookFold) -> dict[str, int | str]:
        return {
            "version": STATE_VERSION,
            "generation": self.generation,
            "book": fold.book,
            "next_offset": fold.next_offset,
            "watermarks": msgspec.json.encode(fold.watermarks).decode(),
            "counts": msgspec.json.encode(fold.counts).decode(),
        }

    def _check(self, meta: dict[str, int | str], book: int) -> None:
        version, generation = meta["version"], meta["generation"]
        assert isinstance(version, int)
        if version > STATE_VERSION:
            raise NewerState(
                f"{self.path}: state version {version}, this fundtrail reads up to {STATE_VERSION}: run the fundtrail that "
                f"wrote it, or move the file away to fold the journal from its beginning"
            )
        if generation != self.generation:
            raise OtherGeneration(
                f"{self.path}: written by {generation}, this worker is {self.generation}: run with the engine and "
                f"configuration that wrote it, or move the file away to fold the journal from its beginning as a new generation"
            )
        if meta["book"] != book:
            raise DamagedState(
                f"{self.path}: holds book {meta['book']}, not book {book}: put each book's file back in its place"
            )

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)) as file:
            file.execute("PRAGMA journal_mode = WAL")
            file.execute("PRAGMA synchronous = FULL")
            yield file


_DAMAGED_REMEDY = "Move it (with its -wal and -shm) away: a published snapshot is taken then, or the journal folded anew"


def _make_tables(file: sqlite3.Connection) -> None:
    if not file.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0]:
        for statement in TABLES.split(";"):
            file.execute(statement)


def _note(file: sqlite3.Connection, meta: dict[str, int | str]) -> None:
    file.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items())


@contextmanager
def collecting_nothing() -> Iterator[None]:
    """No cycle collection: a million objects are made, and none of them is garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Checkpointer:
    """Writes checkpoints of one book in forked children, one at a time."""

    def __init__(self, file: CheckpointFile) -> None:
        self.file = file
        self._child: Child | None = None
        self._done: Saved | None = None
        self._pause_ms = 0.0

    @property
    def running(self) -> bool:
        """Whether a checkpoint has begun and its end was not yet reported by :meth:`poll`."""
        return self._child is not None or self._done is not None

    def begin(self, fold: BookFold) -> None:
        """Begin a checkpoint of the fold as it is now; the fold may go on at once."""
        assert not self.running, "the checkpoint before has not been polled to its end"
        started = time.monotonic()
        if CAN_FORK:
            self._child = Child(lambda: msgspec.msgpack.encode(self.file.save(fold)))
        else:
            self._done = self.file.save(fold)
        self._pause_ms = (time.monotonic() - started) * 1000.0

    def poll(self) -> Saved | None:
        """The checkpoint once it is durable, else None; never waits.

        Raises:
            CheckpointFailed: it was not written; the one before still stands.
        """
        return self._end(wait=False)

    def wait(self) -> Saved | None:
        """The same, waited for; None when no checkpoint has begun."""
        return self._end(wait=True)

    def _end(self, *, wait: bool) -> Saved | None:
        if self._done is not None:
            saved, self._done = self._done, None
            return saved._replace(fork_pause_ms=self._pause_ms)
        if self._child is None:
            return None
        try:
            report = self._child.wait() if wait else self._child.poll()
        except ChildFailed as error:
            self._child = None
            raise CheckpointFailed(f"{self.file.path}: no checkpoint was written: {error}") from error
        if report is None:
            return None
        self._child = None
        return Saved(*msgspec.msgpack.decode(report, type=tuple[int, float, int, int, float]))._replace(
            fork_pause_ms=self._pause_ms
        )
