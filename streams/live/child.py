"""A forked copy of this process that does one piece of work and reports it: the parent goes on folding meanwhile.

The copy sees memory as it was at the fork, so what it writes is consistent without stopping anybody. It shares nothing
else: it closes every file and socket it has inherited except those it is told to keep, runs no exit handlers and leaves
signals that are meant for the parent alone.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import warnings
from collections.abc import Callable, Collection
from typing import NoReturn

CAN_FORK = hasattr(os, "fork")
FAILED, DONE = b"!", b"+"
MESSAGE_BYTES_MAX = 4_000
"""A report must fit into the pipe (64 KiB on Linux, at least 4 KiB elsewhere), so that the child never waits for its reader."""

NICER_BY = 5
"""Where processors are short the child gets a third of what its parent gets: alerts are wanted at once, checkpoints are not."""


class ChildFailed(Exception):
    """The child did not finish; the message says why."""


class Child:
    """One forked copy at work. ``work`` returns its report; an exception becomes :class:`ChildFailed` in the parent.

    Args:
        keep: file descriptors that the child does not close.
    """

    def __init__(self, work: Callable[[], bytes], keep: Collection[int] = ()) -> None:
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: the child takes no lock of theirs
            try:
                self.pid = os.fork()
            except OSError as error:
                os.close(reader)
                os.close(writer)
                raise ChildFailed(f"no process could be forked: {error.strerror}") from error
        if self.pid == 0:
            _live(work, writer, {writer, *keep})
        os.close(writer)
        self._reader = reader

    def poll(self) -> bytes | None:
        """The report if the child has ended, else None.

        Raises:
            ChildFailed: it ended without one.
        """
        pid, status = self._ended(os.WNOHANG)
        return self._report(status) if pid else None

    def wait(self) -> bytes:
        """The report, waited for."""
        return self._report(self._ended(0)[1])

    def _ended(self, options: int) -> tuple[int, int]:
        try:
            return os.waitpid(self.pid, options)
        except ChildProcessError:  # somebody else has waited for it: what it has told is all there is
            return self.pid, 0

    def kill(self) -> None:
        """End the child at once; what it was writing is undone by SQLite."""
        os.kill(self.pid, signal.SIGKILL)

    def _report(self, status: int) -> bytes:
        try:
            told = b""
            while select.select([self._reader], [], [], 0)[0] and (piece := os.read(self._reader, 1 << 16)):
                told += piece
        finally:
            os.close(self._reader)
        if os.WIFSIGNALED(status):
            raise ChildFailed(f"it was killed by {signal.Signals(os.WTERMSIG(status)).name}")
        if told[:1] == DONE:
            return told[1:]
        raise ChildFailed(
            told[1:].decode(errors="replace") or f"it ended with status {os.waitstatus_to_exitcode(status)} and told nothing"
        )


def _live(work: Callable[[], bytes], writer: int, keep: Collection[int]) -> NoReturn:
    """The child's whole life; nothing of the parent's runs after it."""
    try:
        os.nice(NICER_BY)
        gc.disable()  # a collection would touch, and so copy, every page
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group: the parent decides
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _close_all_but(keep)
        report = DONE + work()
    except BaseException as error:
        report = FAILED + f"{type(error).__name__}: {error}".encode()
    try:
        os.write(writer, report[:MESSAGE_BYTES_MAX])
    finally:
        os._exit(0 if report[:1] == DONE else 1)


def _close_all_but(keep: Collection[int]) -> None:
    """Sockets above all: a listening one would keep the port from the next worker."""
    first = 3
    for kept in sorted(keep):
        os.closerange(first, kept)
        first = kept + 1
    os.closerange(first, _descriptors_max())


def _descriptors_max() -> int:
    try:
        return os.sysconf("SC_OPEN_MAX")
    except (ValueError, OSError):
        return 1 << 16 if sys.platform != "win32" else 0
