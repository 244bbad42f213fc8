"""One worker per state file: a lock that dies with its holders, a child that still writes a checkpoint among them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from streams.live.state_errors import UnreachableState

try:
    import fcntl
except ImportError:  # no POSIX: nothing forks there either, and SQLite's own lock keeps writers apart
    fcntl = None  # type: ignore[assignment]

WAIT_SECONDS = 10.0
"""How long the last checkpoint of a worker that was killed may take to notice it."""
POLL_SECONDS = 0.02


class StateLock:
    """A lock beside a state file. A forked child shares it: it is free when the last of them has gone."""

    def __init__(self, path: Path, wait_seconds: float = WAIT_SECONDS) -> None:
        self.path = path
        self.wait_seconds = wait_seconds
        self.descriptor: int | None = None
        """What a child must keep open to share the lock; None while it is not held."""

    def take(self) -> None:
        """Take the lock, unless it is held already.

        Raises:
            UnreachableState: another worker keeps it, or the folder is not to be written.
        """
        if self.descriptor is not None or fcntl is None:
            return
        place = self.path.with_name(self.path.name + ".lock")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UnreachableState(f"{place}: {error.strerror}: set state_dir to a folder that may be written") from error
        deadline = time.monotonic() + self.wait_seconds
        while not _locked(descriptor):
            if time.monotonic() > deadline:
                owner = os.read(descriptor, 20).decode(errors="replace") or "unknown"
                os.close(descriptor)
                raise UnreachableState(
                    f"{self.path}: held by another worker (process {owner}): stop that one, or give this one its own state_dir"
                )
            time.sleep(POLL_SECONDS)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self.descriptor = descriptor

    def release(self) -> None:
        """Let go; free once a child that shares it has ended, too."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def __del__(self) -> None:
        self.release()


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
