"""The durable state of one book: a SQLite file, and the forked child that writes it while the fold goes on.

One transaction is one checkpoint: either all of it is in the file, with the journal offset it belongs to, or the one
before is. The journal offset is committed to Kafka only after that.
"""

from __future__ import annotations

import gc
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import zstandard

from detectors.accounts import Account
from detectors.book_engine import engine_of as fresh_engine
from detectors.books import Books
from detectors.configuration import Configuration
from detectors.engine import Engine
from detectors.parts import engine_of
from streams.live import tables
from streams.live.child import CAN_FORK, Child, ChildFailed
from streams.live.fold import BookFold
from streams.live.rare_collection import spare_what_was_read
from streams.live.state_errors import (
    CheckpointFailed,
    DamagedState,
    NewerState,
    OtherGeneration,
    StateError,
    UnreachableState,
)
from streams.live.state_lock import WAIT_SECONDS, StateLock

__all__ = [
    "CheckpointFailed", "CheckpointFile", "Checkpointer", "DamagedState", "NewerState", "OtherGeneration", "Saved",
    "StateError", "UnreachableState",
]  # fmt: skip

ONE_BOOK = Books()

STATE_VERSION = 2
"""Of the tables and of what is in their cells; a fundtrail reads files up to its own."""

BUSY_SECONDS = 30.0


class Touched(NamedTuple):
    """What may have changed since the last checkpoint."""

    accounts: list[Account]
    profiles: bytearray  # by row: 1 when it may have


class Saved(NamedTuple):
    """A durable checkpoint: journal offsets below ``next_offset`` may be committed."""

    next_offset: int
    seconds: float  # of writing
    bytes: int  # of the file
    rows: int  # of accounts, written
    fork_pause_ms: float = 0.0  # how long the fold stood still


class CheckpointFile:
    """One book's file. Whoever loads or saves it holds a lock on it until :meth:`close`.

    Between checkpoints the engine notes which accounts it looks up; a checkpoint writes those, if the file still is what
    this object last loaded or saved, and everything otherwise.

    Args:
        generation: of the fold that writes and reads; see :func:`streams.live.fold.generation_of`.
        lock_wait_seconds: how long another worker's lock is waited for.
    """

    def __init__(self, path: Path, generation: str, lock_wait_seconds: float = WAIT_SECONDS) -> None:
        self.path = path
        self.generation = generation
        self.lock = StateLock(path, lock_wait_seconds)
        self._base: tuple[int, int] | None = None  # (next_offset, number of the save) from which accounts are noted

    def close(self) -> None:
        """Let go of the file: another worker may have it."""
        self.lock.release()

    # --- writing ----------------------------------------------------------------------------------------------------

    def save(self, fold: BookFold) -> Saved:
        """Write what has changed, in one transaction; returns when it is on the disk.

        Raises:
            CheckpointFailed: nothing was written; the next save writes it.
        """
        touched = self.take(fold)
        try:
            saved, number = self.write(fold, touched)
        except Exception as error:
            self.give_back(fold, touched)
            raise CheckpointFailed(f"{self.path}: no checkpoint was written: {why(error)}") from error
        self.settle(saved, number)
        return saved

    def take(self, fold: BookFold) -> Touched:
        """What was looked up since the last checkpoint; from now on the engine notes that of the next."""
        self.lock.take()
        return Touched(fold.engine.tracer.next_interval(), fold.engine.triage.take_touched())

    def give_back(self, fold: BookFold, touched: Touched) -> None:
        """The checkpoint that :meth:`take` was for has failed: the next one has what it was to write, too."""
        tracer = fold.engine.tracer
        tracer.touched = list(dict.fromkeys(touched.accounts + tracer.touched))
        fold.engine.triage.give_back_touched(touched.profiles)

    def settle(self, saved: Saved, number: int) -> None:
        """The checkpoint is durable: the accounts that are noted now belong to the one after it."""
        self._base = (saved.next_offset, number)

    def write(self, fold: BookFold, touched: Touched, wanted: Callable[[], bool] = lambda: True) -> tuple[Saved, int]:
        """One checkpoint in one transaction: (the checkpoint, its number in this file).

        Args:
            touched: what may have changed since the last one.
            wanted: asked before the end; when it says no, nothing is written.
        """
        started = time.monotonic()
        with self._opened() as file:
            file.execute("BEGIN IMMEDIATE")
            if not tables.has_tables(file):
                tables.make_tables(file)
            meta = tables.read_meta(file)
            number = int(meta.get("saves", 0)) + 1
            if self._base is None or self._base != (meta.get("next_offset"), meta.get("saves")):
                tables.clear(file)
                meta.clear()
                rows = tables.write_all(file, fold.engine)
                tables.write_profiles(file, fold.engine.triage, None)
            else:
                rows = tables.write_touched(file, fold.engine, touched.accounts)
                tables.write_profiles(file, fold.engine.triage, touched.profiles)
            seen = tables.write_recent(file, "seen", fold.engine.seen, meta)
            waiting = tables.write_recent(file, "waiting", fold.engine.triage.waiting, meta)
            tables.write_meta(file, {**self._meta_of(fold), **seen, **waiting, "saves": number})
            if not wanted():
                raise CheckpointFailed("the worker that had asked for it is gone")
            file.execute("COMMIT")
        return Saved(fold.next_offset, time.monotonic() - started, self.path.stat().st_size, rows), number

    def _meta_of(self, fold: BookFold) -> tables.Meta:
        return {
            "version": STATE_VERSION,
            "generation": self.generation,
            "book": fold.book,
            "next_offset": fold.next_offset,
            "watermarks": msgspec.json.encode(fold.watermarks).decode(),
            "counts": msgspec.json.encode(fold.counts).decode(),
            "accounts": fold.engine.tracer.number_of_accounts(),
        }

    # --- reading ----------------------------------------------------------------------------------------------------

    def load(self, configuration: Configuration, book: int, books: Books = ONE_BOOK) -> BookFold | None:
        """The fold at the last checkpoint; None when there is none. Accounts stay packed until something asks for them.

        Raises:
            OtherGeneration: written by another engine version or under another configuration.
            NewerState: written by a later fundtrail.
            DamagedState: no complete checkpoint can be read.
            UnreachableState: the file cannot be opened, or another worker has it.
        """
        with self._read() as file:
            return self._load(file, configuration, book, books) if file is not None else None

    def next_offset(self) -> int | None:
        """The journal offset of the last checkpoint; None when there is none. Raises as :meth:`load` does."""
        with self._read() as file:
            return int(tables.read_meta(file)["next_offset"]) if file is not None else None

    def look(self, book: int) -> None:
        """Whether :meth:`load` would know what to do with the file; raises what it would. Holds no lock afterwards."""
        try:
            with self._read() as file:
                if file is not None:
                    self._check(tables.read_meta(file), book)
        finally:
            self.close()

    def replace(self, other: Path) -> None:
        """Put another state file in the place of this one."""
        self.lock.take()
        for suffix in ("-wal", "-shm"):  # they belong to the file that goes
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        other.replace(self.path)
        self._base = None

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection | None]:
        """The file, if it holds a checkpoint; what goes wrong in words."""
        self.lock.take()
        if not self.path.exists():
            yield None
            return
        try:
            with self._opened() as file, collecting_nothing():
                yield file if tables.has_tables(file) else None
        except sqlite3.OperationalError as error:
            raise UnreachableState(f"{self.path}: {error}: see that this worker may read and write it") from error
        except (sqlite3.DatabaseError, zstandard.ZstdError, msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
            raise DamagedState(f"{self.path}: {error}. {_DAMAGED_REMEDY}") from error

    def _load(self, file: sqlite3.Connection, configuration: Configuration, book: int, books: Books) -> BookFold:
        meta = tables.read_meta(file)
        self._check(meta, book)
        fold = BookFold(book, configuration, self.generation, _engine(file, fresh_engine(configuration, books), meta))
        fold.next_offset = int(meta["next_offset"])
        fold.watermarks = msgspec.json.decode(str(meta["watermarks"]), type=dict[str, int])
        fold.counts = Counter(msgspec.json.decode(str(meta["counts"]), type=dict[str, int]))
        fold.engine.tracer.next_interval()
        fold.engine.triage.take_touched()
        self._base = (fold.next_offset, int(meta["saves"]))
        return fold

    def _check(self, meta: tables.Meta, book: int) -> None:
        version, generation = int(meta["version"]), meta["generation"]
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
            raise ValueError(f"it holds book {meta['book']}, not book {book}")

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """A connection that no process but this one has: none is open when a child is forked."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)) as file:
            file.execute("PRAGMA journal_mode = WAL")
            file.execute("PRAGMA synchronous = FULL")
            yield file


_DAMAGED_REMEDY = "Move it (with its -wal and -shm) away: a published snapshot is taken then, or the journal folded anew"


def _engine(file: sqlite3.Connection, fresh: Engine, meta: tables.Meta) -> Engine:
    seen = tables.read_seen(file, fresh.configuration.fold.seen_ids_max, meta)
    waiting = tables.read_waiting(file, fresh.configuration.learning.waiting_max, meta)
    graph, accounts, profiles = tables.read_graph(file), tables.read_accounts(file), tables.read_profiles(file)
    engine = engine_of(fresh, graph, accounts, seen, profiles, waiting)
    if engine.tracer.number_of_accounts() != meta["accounts"]:
        raise ValueError(f"{engine.tracer.number_of_accounts()} accounts where {meta['accounts']} were written")
    return engine


def why(error: Exception) -> str:
    """What went wrong with a checkpoint, with the remedy where there is one."""
    text = str(error) or type(error).__name__
    return f"{text}: free space there" if "full" in text else text


@contextmanager
def collecting_nothing() -> Iterator[None]:
    """No cycle collection: a million objects are made, none of them garbage; nor does a worker look at them afterwards."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        spare_what_was_read()
        if was_enabled:
            gc.enable()


class Checkpointer:
    """Writes checkpoints of one book in forked children, one at a time."""

    def __init__(self, file: CheckpointFile) -> None:
        self.file = file
        self._fold: BookFold | None = None  # of the checkpoint that is being written
        self._touched: Touched | None = None
        self._child: Child | None = None
        self._pause_ms = 0.0

    @property
    def running(self) -> bool:
        """Whether a checkpoint has begun whose end :meth:`poll` has not reported yet."""
        return self._fold is not None

    def begin(self, fold: BookFold) -> None:
        """Begin a checkpoint of the fold as it is now; the fold may go on at once.

        Raises:
            CheckpointFailed: there is no process to write it.
        """
        assert not self.running, "the checkpoint before has not been polled to its end"
        started = time.monotonic()
        self._touched, self._fold = self.file.take(fold), fold
        if CAN_FORK:
            parent = os.getpid()
            kept = self.file.lock.descriptor
            try:
                self._child = Child(lambda: self._written(lambda: os.getppid() == parent), () if kept is None else (kept,))
            except ChildFailed as error:
                raise self._failed(error) from error
        self._pause_ms = (time.monotonic() - started) * 1000.0

    def _written(self, wanted: Callable[[], bool]) -> bytes:
        assert self._fold is not None and self._touched is not None
        return msgspec.msgpack.encode(self.file.write(self._fold, self._touched, wanted))

    def poll(self) -> Saved | None:
        """The checkpoint once it is durable, else None; never waits.

        Raises:
            CheckpointFailed: it was not written; the one before still stands, and the next writes what this one should have.
        """
        return self._end(Child.poll)

    def wait(self) -> Saved | None:
        """The same, waited for; None when no checkpoint has begun."""
        return self._end(Child.wait)

    def stop(self) -> None:
        """End a checkpoint that is being written, if there is one; the next writes what this one should have."""
        if self._child is None:
            return
        self._child.kill()
        try:
            self._end(Child.wait)
        except CheckpointFailed:
            return  # as asked for; had it just ended, it would be durable

    def _end(self, ask: Callable[[Child], bytes | None]) -> Saved | None:
        if self._fold is None:
            return None
        try:
            report = self._report(ask)
        except Exception as error:
            raise self._failed(error) from error
        if report is None:
            return None
        self._fold, self._child, self._touched = None, None, None
        (next_offset, seconds, size, rows, _), number = msgspec.msgpack.decode(report)
        saved = Saved(next_offset, seconds, size, rows, self._pause_ms)
        self.file.settle(saved, number)
        return saved

    def _failed(self, error: Exception) -> CheckpointFailed:
        assert self._fold is not None and self._touched is not None
        self.file.give_back(self._fold, self._touched)
        self._fold, self._child, self._touched = None, None, None
        return CheckpointFailed(f"{self.file.path}: no checkpoint was written: {why(error)}")

    def _report(self, ask: Callable[[Child], bytes | None]) -> bytes | None:
        if self._child is not None:
            return ask(self._child)
        started = time.monotonic()  # nobody to do it beside us: the fold stands still
        report = self._written(lambda: True)
        self._pause_ms += (time.monotonic() - started) * 1000.0
        return report
