"""An output folder that is complete or visibly not: files get their names only when all of them are whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from streams.codec import encode

MARK = ".fundtrail-output"
MARK_TEXT = b"fundtrail made this folder and may replace its files.\n"
PART_SUFFIX = ".part"


class OutputRefused(Exception):
    """The folder for the output is in use for something else. The message says what to do."""


class JsonlWriter:
    """Writes records one a line, counting them and taking the SHA-256 of all bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.records = 0
        self._digest = hashlib.sha256()

    def write(self, record: Any) -> None:
        """Append one record."""
        self.write_encoded(encode(record))

    def write_encoded(self, record: bytes) -> None:
        """Append one record that is JSON already."""
        line = record + b"\n"
        self._digest.update(line)
        self.file.write(line)
        self.records += 1

    @property
    def sha256(self) -> str:
        """Of everything written so far, in hex."""
        return self._digest.hexdigest()


class OutputFolder:
    """Files under temporary names, renamed together by ``commit``. Use as a context manager.

    Entering removes the named files of an earlier run, so that a run that breaks leaves none of them behind. A folder that
    holds anything and was not made by fundtrail is refused with ``OutputRefused``.
    """

    def __init__(self, path: Path, names: Iterable[str]) -> None:
        self.path = path
        self._names = list(names)
        self._open: dict[str, BinaryIO] = {}

    def __enter__(self) -> Self:
        self._claim()
        for name in self._names:
            (self.path / name).unlink(missing_ok=True)
            (self.path / (name + PART_SUFFIX)).unlink(missing_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for file in self._open.values():
            file.close()

    def file(self, name: str) -> BinaryIO:
        """A new binary file, readable too, that will bear this name once committed."""
        assert name in self._names, f"{name} is not among the outputs {self._names}"
        self._open[name] = (self.path / (name + PART_SUFFIX)).open("w+b")
        return self._open[name]

    def writer(self, name: str) -> JsonlWriter:
        """A new file of JSON lines that will bear this name once committed."""
        return JsonlWriter(self.file(name))

    def discard(self, name: str) -> None:
        """Drop a file that served its purpose."""
        self._open.pop(name).close()
        (self.path / (name + PART_SUFFIX)).unlink()

    def commit(self) -> None:
        """Make every file durable, then give each its name, in the order they were opened."""
        for file in self._open.values():
            file.flush()
            os.fsync(file.fileno())
        for name in self._open:
            (self.path / (name + PART_SUFFIX)).replace(self.path / name)

    def _claim(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise OutputRefused(f"{self.path} is a file. Name a folder for the output.")
        self.path.mkdir(parents=True, exist_ok=True)
        mark = self.path / MARK
        if not mark.exists():
            if any(self.path.iterdir()):
                raise OutputRefused(
                    f"{self.path} holds files that fundtrail did not make. Name an empty or new folder, or empty this one."
                )
            mark.write_bytes(MARK_TEXT)
