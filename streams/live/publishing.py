"""Publishes snapshots beside the worker: in a process of its own, so that neither the fold nor a fork ever waits for storage.

It is no forked child and no thread: storage clients bring threads and connections that a fork must not inherit, and a thread
in SQLite at the moment of a fork would leave its locks taken in the checkpoint's child.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from streams.live.snapshots import KEPT, Published, SnapshotFailed, publish
from streams.live.state_errors import StateError


class Task(msgspec.Struct, frozen=True):
    """What is to be published where."""

    path: str
    url: str
    book: int
    generation: str
    kept: int = KEPT


class Publisher:
    """Publishes one book's state file, one copy at a time."""

    def __init__(self, path: Path, url: str, book: int, generation: str) -> None:
        self.task = Task(str(path), url, book, generation)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether a copy has begun whose end :meth:`poll` has not reported yet."""
        return self._process is not None

    def begin(self) -> None:
        """Begin to publish the last durable checkpoint."""
        assert not self.running, "the copy before has not been polled to its end"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streams.live.publishing", msgspec.json.encode(self.task).decode()],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def poll(self) -> Published | None:
        """The copy once it stands at the URL, else None; never waits.

        Raises:
            SnapshotFailed: it was not published; those before still stand.
        """
        return self._end() if self._process is not None and self._process.poll() is not None else None

    def wait(self) -> Published | None:
        """The same, waited for; None when no copy has begun."""
        return self._end() if self._process is not None else None

    def _end(self) -> Published | None:
        assert self._process is not None
        process, self._process = self._process, None
        told, complaint = process.communicate()
        if process.returncode == 0:
            return Published(*msgspec.json.decode(told, type=tuple[int, int, float]))
        lines = complaint.decode(errors="replace").strip().splitlines()
        raise SnapshotFailed(lines[-1] if lines else f"publishing ended with status {process.returncode}")


def main(argument: str) -> int:
    """One copy; the outcome on stdout, or one line on stderr."""
    task = msgspec.json.decode(argument, type=Task)
    try:
        published = publish(Path(task.path), task.url, task.book, task.generation, task.kept)
    except StateError as error:
        print(str(error).replace("\n", " "), file=sys.stderr)
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(published))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
