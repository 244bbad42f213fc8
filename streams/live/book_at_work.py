"""One book of a worker: its fold, its checkpoints, its published snapshots."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from detectors.books import Books
from detectors.configuration import Configuration
from streams.live.checkpoint import Checkpointer, CheckpointFailed, CheckpointFile, OtherGeneration, Saved
from streams.live.detect import Detect, RawPage
from streams.live.fold import BookFold, Said
from streams.live.publishing import Publisher
from streams.live.snapshots import SnapshotFailed, fetch_newer
from streams.live_settings import DetectSettings

logger = logging.getLogger("fundtrail")

POLL_S = 0.02


class BookAtWork:
    """A book that this worker has. ``durable`` is the journal offset of its last durable checkpoint."""

    def __init__(self, detect: Detect, file: CheckpointFile, settings: DetectSettings) -> None:
        fold = detect.fold
        self.detect = detect
        self.file = file
        self.settings = settings
        self.checkpointer = Checkpointer(file)
        self.publisher = (
            Publisher(file.path, settings.publish_url, fold.book, fold.generation) if settings.publish_url else None
        )
        self.durable = fold.next_offset
        self.is_ours = False  # while another worker may have the book, nothing of it is folded or published here
        self.busy = asyncio.Lock()  # held while folded pages are not published yet
        self.saving = asyncio.Lock()
        self.counts, self.counters = Counter(fold.counts), fold.engine.counters  # as of the last step, for other threads
        self.drift = fold.engine.calibration.drift.figures()
        self.saved: Saved | None = None
        self.checkpoints_failed = 0
        self.saved_at = self.progress_at = self.published_at = time.monotonic()

    def fold_step(self, pages: Sequence[RawPage]) -> list[Said]:
        """Fold these pages; what follows must be published before the next. Runs beside the event loop."""
        said = self.detect.fold_pages(pages)
        fold = self.detect.fold
        self.counts, self.counters, self.progress_at = Counter(fold.counts), fold.engine.counters, time.monotonic()
        self.drift = fold.engine.calibration.drift.figures()
        return said

    async def checkpoint(self) -> None:
        """Make the state durable, unless nothing has happened since the last time."""
        async with self.saving:
            if await self._begin():
                await self._end()

    async def _begin(self) -> bool:
        async with self.busy:
            if self.detect.fold.next_offset == self.durable:
                return False
            self.detect.fault_points.reach("detect.checkpointing")
            self.checkpointer.begin(self.detect.fold)
            return True

    async def _end(self) -> None:
        try:
            while (saved := self.checkpointer.poll()) is None:
                await asyncio.sleep(POLL_S)
        except CheckpointFailed as error:
            self.checkpoints_failed += 1
            logger.error("book %d: %s", self.detect.fold.book, error)
            return
        self.detect.fault_points.reach("detect.checkpointed")
        self.saved, self.durable, self.saved_at = saved, saved.next_offset, time.monotonic()

    def publish_when_due(self) -> None:
        """Begin or end the publishing of a snapshot; never waits."""
        if self.publisher is None:
            return
        try:
            if self.publisher.running:
                self.publisher.poll()
            elif self.saved is not None and self._is_due():
                self.published_at = time.monotonic()
                self.publisher.begin()
        except SnapshotFailed as error:
            logger.error("book %d: no snapshot was published: %s", self.detect.fold.book, error)

    def _is_due(self) -> bool:
        return time.monotonic() - self.published_at >= self.settings.publish_interval_ms / 1000

    async def close(self) -> None:
        """Wait for what is under way, then let the file go."""
        async with self.saving, self.busy:
            self.file.close()


def open_fold(
    file: CheckpointFile, books: Books, configuration: Configuration, settings: DetectSettings, *, new_generation: bool
) -> BookFold:  # fmt: skip
    """The fold at the newest of the local checkpoint and the published snapshots; one at the journal's beginning without any.

    Raises:
        StateError: what is there cannot be used; the message says what to do.
    """
    book, generation = books.own, file.generation
    try:
        if settings.publish_url:
            fetched = fetch_newer(file, settings.publish_url, book, logger.warning)
            if fetched is not None:
                logger.warning("book %d: begins from the published snapshot at %d", book, fetched.next_offset)
        return file.load(configuration, book, books) or BookFold(book, configuration, generation, books=books)
    except OtherGeneration:
        if not new_generation:
            raise
    _put_aside(file.path, generation)
    return BookFold(book, configuration, generation, books=books)


def _put_aside(path: Path, generation: str) -> None:
    aside = path.with_name(f"{path.stem}.before-{generation}.sqlite")
    logger.warning("the state of another generation is now %s; the journal is folded anew", aside)
    path.replace(aside)
