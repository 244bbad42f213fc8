"""What the product finds instead of the machine: a clock, a disk that may be full, children that the world schedules."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import msgspec

from streams.live import book_at_work, checkpoint, detect_stage, intake_stage, pause_guard
from streams.live.checkpoint import CheckpointFile, Saved
from streams.live.child import ChildFailed
from streams.live.fold import BookFold
from streams.live.snapshots import Published, publish
from tests.simulation.worker import Worker

if TYPE_CHECKING:
    from tests.simulation.world import World

CHILD_MS_MAX = 60
PUBLISH_MS_MAX = 80
IDLE_WAIT_S = 0.02


class Running:
    """The world that runs: the product's classes are made without one."""

    world: World

    @classmethod
    def worker(cls) -> Worker:
        """Whose code runs."""
        worker = cls.world.loop.process
        assert isinstance(worker, Worker)
        return worker


class StateFile(CheckpointFile):
    """A checkpoint file that is written beside its place; :class:`CheckpointChild` puts it there. The disk may be full."""

    staged: Path | None = None
    saves = 0

    def __init__(self, path: Path, generation: str) -> None:
        super().__init__(path, generation, lock_wait_seconds=0)
        self.worker = Running.worker()
        self.worker.files.append(self)

    def replace(self, other: Path) -> None:
        """A published snapshot takes its place."""
        super().replace(other)
        next_offset = self.next_offset()
        assert next_offset is not None
        self.worker.world.checkers.saved(self.worker, 0, next_offset)

    def write(self, fold: BookFold, touched: Any, wanted: Callable[[], bool] = lambda: True) -> tuple[Saved, int]:
        """As the product does, elsewhere."""
        world = self.worker.world
        if world.weather.strikes(world.plan.disk_full_share):
            raise OSError(28, "No space left on device")
        StateFile.saves += 1
        path, staged = self.path, self.path.with_name(f"{self.path.name}.{StateFile.saves}")
        if path.exists():
            shutil.copyfile(path, staged)
        self.path = staged
        try:
            written = super().write(fold, touched)
        finally:
            self.path = path
        self.staged = staged
        return written


class CheckpointChild:
    """A forked child that writes a checkpoint: what it sees is of the fork, when it is done the world decides."""

    def __init__(self, work: Callable[[], bytes], keep: Any = ()) -> None:
        self.worker = Running.worker()
        self.report = b""
        self.failure = ""
        self.is_done = False
        try:
            self.report = work()
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"
        self.file = next((file for file in self.worker.files if file.staged is not None), None)
        self.staged: Path | None = None
        if self.file is not None:
            self.staged, self.file.staged = self.file.staged, None
        self.worker.children.append(self)
        world = self.worker.world
        world.loop.after_ms(world.weather.random.random() * CHILD_MS_MAX, self.worker, self._finish)

    def poll(self) -> bytes | None:
        """As :class:`streams.live.child.Child` says."""
        if not self.is_done:
            return None
        if self.failure:
            raise ChildFailed(self.failure)
        return self.report

    def settle(self) -> None:
        """The worker is dead: unless it had asked for the last time already, the child writes nothing."""
        world = self.worker.world
        if not self.is_done and world.weather.strikes(world.plan.orphan_share):
            self._finish()

    def _finish(self) -> None:
        self.is_done = True
        self.worker.children.remove(self)
        if self.staged is not None and self.file is not None:
            os.replace(self.staged, self.file.path)
            (next_offset, *_), _ = msgspec.msgpack.decode(self.report)
            self.worker.world.saved(self.worker, self.file.path, next_offset)


class SnapshotPublisher:
    """Publishes with the product's own code, a while after it was asked to."""

    def __init__(self, path: Path, url: str, book: int, generation: str) -> None:
        self.arguments = (path, url, book, generation)
        self.running = False
        self.published: Published | None = None

    def begin(self) -> None:
        """As :class:`streams.live.publishing.Publisher` says."""
        self.running, self.published = True, None
        world = Running.world
        world.loop.after_ms(world.weather.random.random() * PUBLISH_MS_MAX, Running.worker(), self._publish)

    def poll(self) -> Published | None:
        """As :class:`streams.live.publishing.Publisher` says."""
        self.running = self.published is None
        return self.published

    def _publish(self) -> None:
        self.published = publish(*self.arguments)


class VirtualTime:
    """The module ``time``, as far as stages use it."""

    def __init__(self, world: World) -> None:
        self.loop = world.loop

    def monotonic(self) -> float:
        """Seconds."""
        return self.loop.now_us / 1e6

    def time_ns(self) -> int:
        """Nanoseconds."""
        return self.loop.now_us * 1000


@contextmanager
def in_virtual_time(world: World) -> Iterator[None]:
    """The product's modules with the world's clock, disk and children."""
    clock = VirtualTime(world)
    with ExitStack() as patches:
        for module in (pause_guard, detect_stage, intake_stage, book_at_work):
            patches.enter_context(mock.patch.object(module, "time", clock))
        patches.enter_context(mock.patch.object(intake_stage, "IDLE_WAIT_S", IDLE_WAIT_S))
        patches.enter_context(mock.patch.object(detect_stage, "CheckpointFile", StateFile))
        patches.enter_context(mock.patch.object(book_at_work, "Publisher", SnapshotPublisher))
        patches.enter_context(mock.patch.object(checkpoint, "Child", CheckpointChild))
        patches.enter_context(mock.patch.object(logging.getLogger("fundtrail"), "disabled", True))
        Running.world = world
        yield
