"""Topic files of a folder, each in the order of event time, written while the world runs.

Records wait in memory only until the world's clock has passed their time, because nothing earlier can come after that.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO

import msgspec

from detectors.events import Event
from streams.simulate.rhythm import BEIJING

TOPICS = ("loan-disbursements", "account-transactions", "party-links", "list-entries")
PENDING_MAX = 20_000
"""Records of all topics held before a flush is tried."""


def instant(time_s: int) -> datetime:
    """Unix seconds as a Beijing time with its offset."""
    return datetime.fromtimestamp(time_s, BEIJING)


class FolderWriter:
    """Writes records to ``<folder>/<topic>.jsonl``; use as a context manager."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.counts = dict.fromkeys(TOPICS, 0)
        self._files: dict[str, IO[bytes]] = {topic: (folder / f"{topic}.jsonl").open("wb") for topic in TOPICS}
        self._pending: dict[str, list[tuple[int, int, bytes]]] = {topic: [] for topic in TOPICS}
        self._encode = msgspec.json.Encoder().encode
        self._number = 0
        self._waiting = 0

    def put(self, topic: str, time_s: int, record: Event) -> None:
        """Take a record whose time is not before the last flush."""
        self._number += 1
        self._waiting += 1
        self._pending[topic].append((time_s, self._number, self._encode(record)))

    def flush(self, before_s: int) -> None:
        """Write what is older than ``before_s``, once enough is waiting; the caller promises nothing older will come."""
        if self._waiting >= PENDING_MAX:
            self._write(before_s)

    def _write(self, before_s: int) -> None:
        self._waiting = 0
        for topic, pending in self._pending.items():
            pending.sort()
            ready = bisect_left(pending, (before_s,))
            self._files[topic].writelines(line + b"\n" for _, _, line in pending[:ready])
            self.counts[topic] += ready
            del pending[:ready]
            self._waiting += len(pending)

    def __enter__(self) -> FolderWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._write(1 << 62)
        for file in self._files.values():
            file.close()
