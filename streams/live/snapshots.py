"""Published snapshots: copies of a book's state file at a URL, from which any worker can go on.

A copy's name says what it holds: book, generation, journal offset, and the SHA-256 of its bytes, so that a listing is enough to
choose one and a damaged one is recognised. It is written under another name first; the last few are kept.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import fsspec
import zstandard
from fsspec.core import url_to_fs

from streams.live.checkpoint import CheckpointFile
from streams.live.state_errors import StateError

KEPT = 3
COMPRESSION_LEVEL = 3
PIECE_BYTES = 1 << 20

_NAME = re.compile(r"book-(?P<book>\d+)_(?P<generation>.+)_(?P<offset>\d{20})_(?P<sha256>[0-9a-f]{64})\.sqlite\.zst")


class SnapshotFailed(StateError):
    """The place of published snapshots cannot be read or written; the message says what to do."""


class Snapshot(NamedTuple):
    """One published copy."""

    book: int
    generation: str
    next_offset: int
    sha256: str

    @property
    def name(self) -> str:
        return f"book-{self.book}_{self.generation}_{self.next_offset:020d}_{self.sha256}.sqlite.zst"

    @classmethod
    def parse(cls, name: str) -> Snapshot | None:
        """The opposite of ``name``; None for what is none, such as one that is still being written."""
        found = _NAME.fullmatch(name)
        return cls(int(found["book"]), found["generation"], int(found["offset"]), found["sha256"]) if found else None


class Published(NamedTuple):
    """A snapshot that stands at the URL."""

    next_offset: int
    bytes: int
    seconds: float


def publish(path: Path, url: str, book: int, generation: str, kept: int = KEPT) -> Published:
    """Copy the last checkpoint in a state file to a URL; the file may be written meanwhile.

    Raises:
        SnapshotFailed: the copy was not made; those before still stand.
    """
    started = time.monotonic()
    copy = path.with_name(f"{path.name}.{os.getpid()}.copy")
    packed = copy.with_suffix(".zst")
    try:
        with _failures_in_words(url):
            next_offset = _copy(path, copy)
            snapshot = Snapshot(book, generation, next_offset, _compress(copy, packed))
            files, folder = url_to_fs(url)
            files.makedirs(folder, exist_ok=True)
            unfinished = f"{folder}/.{snapshot.name}.{os.getpid()}"
            files.put_file(str(packed), unfinished)
            files.mv(unfinished, f"{folder}/{snapshot.name}")
            for old in _listed(files, folder, book, generation)[kept:]:
                files.rm_file(f"{folder}/{old.name}")
        return Published(next_offset, packed.stat().st_size, time.monotonic() - started)
    finally:
        copy.unlink(missing_ok=True)
        packed.unlink(missing_ok=True)


def newest(url: str, book: int, generation: str) -> Snapshot | None:
    """The latest snapshot of a book, by its name.

    Raises:
        SnapshotFailed: the URL cannot be read.
    """
    with _failures_in_words(url):
        files, folder = url_to_fs(url)
        return next(iter(_listed(files, folder, book, generation)), None)


def fetch_newer(
    file: CheckpointFile, url: str, book: int, report: Callable[[str], None] = lambda message: None
) -> Snapshot | None:
    """Put the latest sound snapshot in the place of a local state file, if it is ahead of it; None when the file stays.

    Args:
        report: is told of snapshots that are damaged, each in a sentence; the one before is taken.

    Raises:
        SnapshotFailed: the URL cannot be read.
        StateError: the local file cannot be read.
    """
    here = file.next_offset()
    with _failures_in_words(url):
        files, folder = url_to_fs(url)
        for snapshot in _listed(files, folder, book, file.generation):
            if here is not None and snapshot.next_offset <= here:
                return None
            fetched = file.path.with_name(f"{file.path.name}.{os.getpid()}.fetched")
            try:
                damage = _fetch(files, f"{folder}/{snapshot.name}", snapshot, fetched)
                if damage is None:
                    file.replace(fetched)
                    return snapshot
                report(f"{url}/{snapshot.name}: {damage}: the snapshot before it is taken; remove this one")
            finally:
                fetched.unlink(missing_ok=True)
    return None


def _listed(files: Any, folder: str, book: int, generation: str) -> list[Snapshot]:
    """The snapshots of a book and generation, latest first."""
    try:
        files.invalidate_cache(folder)
        names = files.ls(folder, detail=False)
    except FileNotFoundError:
        return []
    found = [snapshot for name in names if (snapshot := Snapshot.parse(name.rstrip("/").rpartition("/")[2])) is not None]
    mine = [snapshot for snapshot in found if (snapshot.book, snapshot.generation) == (book, generation)]
    return sorted(mine, key=lambda snapshot: (-snapshot.next_offset, snapshot.sha256))


def _copy(path: Path, copy: Path) -> int:
    """A consistent copy without gaps; returns the journal offset it goes with."""
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("VACUUM INTO ?", (str(copy),))
    with closing(sqlite3.connect(copy, isolation_level=None)) as file:
        (next_offset,) = file.execute("SELECT value FROM meta WHERE name = 'next_offset'").fetchone()
    return int(next_offset)


class _Digesting:
    """Passes on what is read from a file, and knows its SHA-256."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self.file.read(size)
        self.sha256.update(piece)
        return piece


def _compress(copy: Path, packed: Path) -> str:
    with copy.open("rb") as source, packed.open("wb") as target:
        zstandard.ZstdCompressor(level=COMPRESSION_LEVEL).copy_stream(source, target, read_size=PIECE_BYTES)
    with packed.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _fetch(files: Any, remote: str, snapshot: Snapshot, fetched: Path) -> str | None:
    """Bring a snapshot here, unpacked; returns what is wrong with it, if anything."""
    with files.open(remote, "rb") as source, fetched.open("wb") as target:
        digesting = _Digesting(source)
        try:
            zstandard.ZstdDecompressor().copy_stream(digesting, target, read_size=PIECE_BYTES)  # type: ignore[arg-type]
        except zstandard.ZstdError as error:
            return f"it cannot be unpacked ({error})"
        target.flush()
        os.fsync(target.fileno())
    if digesting.sha256.hexdigest() != snapshot.sha256:
        return "its bytes are not those that were published"
    return None


@contextmanager
def _failures_in_words(url: str) -> Iterator[None]:
    """What storage raises depends on whose it is: all of it becomes one message."""
    try:
        yield
    except StateError:
        raise
    except ImportError as error:
        raise SnapshotFailed(f"{url}: {error}: install what that kind of URL needs, or set publish_url to another") from error
    except (OSError, ValueError, sqlite3.Error, fsspec.exceptions.FSTimeoutError) as error:
        text = str(error) or type(error).__name__
        raise SnapshotFailed(f"{url}: {text}: see that publish_url is right and may be read and written") from error
