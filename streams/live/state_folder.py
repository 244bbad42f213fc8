"""The folder of a worker's state belongs to one worker: two would overwrite each other's checkpoints."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import msgspec

CLAIM = "worker.lock"
STATE_FREE_BYTES_MIN = 1 << 30
"""Free space below which a worker does not start (1 GiB): room for a checkpoint of a million accounts beside the one before."""

LOOK_AGAIN_SECONDS = 0.05


class Holder(msgspec.Struct, frozen=True):
    """Who has a state folder."""

    pid: int
    host: str
    since: str


class StateFolderHeld(Exception):
    """The state folder belongs to another worker, or cannot be used. The message says who, and what to do."""


class StateFolder:
    """A claimed state folder. The claim ends with the process, however it ends; what the file says about the holder may stay.

    Use it as a context manager, or call :meth:`claim` and :meth:`release`.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.path = path
        self._now = now
        self._file: int | None = None

    def claim(self, wait_seconds: float = 0) -> StateFolder:
        """Make the folder, if need be, and make it ours.

        A killed worker's child that still writes a checkpoint holds the claim until it has ended: ``wait_seconds`` is for it.

        Raises:
            StateFolderHeld: another worker has it, or nothing can be written there.
        """
        assert self._file is None, f"{self.path} is claimed already"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path / CLAIM, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StateFolderHeld(_unwritable(self.path, error)) from error
        try:
            _lock(file, time.monotonic() + wait_seconds)
            self._sign(file)
        except BlockingIOError:
            told = _held(self.path, os.pread(file, 4_096, 0))
            os.close(file)
            raise StateFolderHeld(told) from None
        except OSError as error:
            os.close(file)
            raise StateFolderHeld(_unwritable(self.path, error)) from error
        self._file = file
        return self

    def release(self) -> None:
        """Let another worker have it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _sign(self, file: int) -> None:
        holder = Holder(os.getpid(), socket.gethostname(), self._now().isoformat(timespec="seconds"))
        os.ftruncate(file, 0)
        os.pwrite(file, msgspec.json.encode(holder), 0)
        os.fsync(file)

    def __enter__(self) -> StateFolder:
        return self.claim()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


def _lock(file: int, deadline: float) -> None:
    """Lock, or raise ``BlockingIOError`` when the deadline has passed and another still has it."""
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(LOOK_AGAIN_SECONDS)


def state_folder_mistakes(path: Path, free_bytes_min: int = STATE_FREE_BYTES_MIN, wait_seconds: float = 0) -> list[str]:
    """Why a worker cannot keep its state there; one sentence each with the remedy. Leaves the folder unclaimed."""
    try:
        StateFolder(path).claim(wait_seconds).release()
    except StateFolderHeld as error:
        return [str(error)]
    free = shutil.disk_usage(path).free
    if free < free_bytes_min:
        room = f"has {free >> 20:,} MiB left, and a worker wants {free_bytes_min >> 20:,}"
        return [f"the disk of the state folder {path} {room}: make room, or name a folder elsewhere with state_dir in [detect]"]
    return []


def _held(path: Path, signed: bytes) -> str:
    try:
        holder = msgspec.json.decode(signed, type=Holder)
        who = f"the worker with pid {holder.pid} on {holder.host}, since {holder.since}"
    except msgspec.MsgspecError:  # it has just claimed it and not signed yet
        who = "another worker"
    return f"the state folder {path} is held by {who}: stop that one, or name a folder for this one with state_dir in [detect]"


def _unwritable(path: Path, error: OSError) -> str:
    why = error.strerror or str(error)
    return (
        f"the state folder {path} cannot be written ({why}): grant it to this user, or name another with state_dir in [detect]"
    )
