"""Detect under Faust: books come and go with the assignment; pages are folded, outputs published, checkpoints made."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from faust.types import TP

from detectors.configuration import Configuration
from streams.live.batches import BatchConsumer
from streams.live.checkpoint import Checkpointer, CheckpointFailed, CheckpointFile, OtherGeneration, Saved
from streams.live.detect import Detect, RawPage, published_positions
from streams.live.fault_points import FaultPoints
from streams.live.fold import BookFold
from streams.live.latency import Latency
from streams.live.log import Log
from streams.live.names import JOURNAL, topic_name
from streams.live.pause_guard import PauseGuard
from streams.live_settings import LiveSettings

logger = logging.getLogger("fundtrail")

POLL_S = 0.02
PAGES_A_STEP = 2
"""Pages folded before what follows from them is published: few, so that the first alert is not kept waiting."""


class Trimmed(Exception):
    """The journal no longer reaches back to the state."""


class BookAtWork:
    """One book with its checkpoints."""

    def __init__(self, detect: Detect, file: CheckpointFile) -> None:
        self.detect = detect
        self.checkpointer = Checkpointer(file)
        self.durable = detect.fold.next_offset  # the journal offset of the last durable checkpoint
        self.is_ours = False  # while another worker may have the book, nothing of it is folded or published here
        self.busy = asyncio.Lock()  # held while folded pages are not published yet
        self.saving = asyncio.Lock()
        self.counts = Counter(detect.fold.counts)  # the fold's, as of the last step: the fold works in another thread
        self.saved: Saved | None = None
        self.saved_at = self.progress_at = time.monotonic()


class DetectStage:
    """The books assigned to this worker."""

    def __init__(
        self, log: Log, configuration: Configuration, generation: str, settings: LiveSettings,
        fault_points: FaultPoints, guard: PauseGuard, *, new_generation: bool = False,
    ) -> None:  # fmt: skip
        self.log = log
        self.new_generation = new_generation
        self.configuration = configuration
        self.generation = generation
        self.settings = settings
        self.fault_points = fault_points
        self.guard = guard
        self.consumer: BatchConsumer | None = None
        self.books: dict[int, BookAtWork] = {}
        self.checkpoints_failed = 0
        self.latency = Latency()
        self.assigning = asyncio.Lock()  # an assignment that has been overtaken is done with before the next
        self.folding = ThreadPoolExecutor(1, "fold")  # beside the event loop, so that fetches and pages are not kept waiting

    # --- what the consumer asks ---------------------------------------------------------------------------------------

    async def assigned(self, committed: Mapping[TP, int | None]) -> Mapping[TP, int]:
        """Take these books over: state from the newest checkpoint, and on from its journal offset."""
        assert self.consumer is not None
        async with self.assigning:
            ours = {tp.partition for tp in committed}
            for book in set(self.books) - ours:
                await self._give_up(book)
            begins = await self.consumer.earliest_offsets(*committed) if committed else {}
            for tp in committed:
                await self._take_over(tp, begins.get(tp) or 0)
            return {tp: self.books[tp.partition].detect.fold.next_offset for tp in committed}

    async def revoked(self, partitions: set[TP]) -> None:
        """Publish what is folded, then rest: who gets a book next reads how far it was published.

        The state is kept: who gets the book back folds on, and who does not hears so in :meth:`assigned`.
        """
        for book in sorted({tp.partition for tp in partitions} & set(self.books)):
            at_work = self.books[book]
            async with at_work.busy:
                at_work.is_ours = False

    async def committable(self) -> Mapping[TP, int]:
        """The journal offset of each book's last durable checkpoint."""
        self.fault_points.reach("detect.committing")
        name = topic_name(self.settings.kafka.prefix, JOURNAL)
        return {TP(name, book): at_work.durable for book, at_work in self.books.items() if at_work.is_ours}

    def note(self, tp: TP) -> str:
        """Nothing beside the offset."""
        return ""

    # --- work ---------------------------------------------------------------------------------------------------------

    async def take(self, tp: TP, batch: list[Any]) -> None:
        """A fetch has brought pages of one book."""
        at_work = self.books.get(tp.partition)
        if at_work is None:
            return  # of an assignment that has ended
        pages = [RawPage(record.offset, record.value, record.timestamp) for record in batch]
        while pages:
            async with at_work.busy:
                if self.books.get(tp.partition) is not at_work or not at_work.is_ours:
                    return
                self.guard.check()
                step, pages = pages[:PAGES_A_STEP], pages[PAGES_A_STEP:]
                said = await asyncio.get_running_loop().run_in_executor(self.folding, at_work.detect.fold_pages, step)
                self.guard.check()
                await at_work.detect.publish(said)
                at_work.progress_at, at_work.counts = time.monotonic(), Counter(at_work.detect.fold.counts)
                self._note_latency(step)

    def lag(self, at_work: BookAtWork) -> int | None:
        """Journal pages not folded yet; None while that is not known."""
        assert self.consumer is not None
        tp = TP(topic_name(self.settings.kafka.prefix, JOURNAL), at_work.detect.fold.book)
        end, _ = self.consumer.end_and_position(tp)
        return None if end is None else max(0, end - at_work.detect.fold.next_offset)

    def _note_latency(self, pages: list[RawPage]) -> None:
        now_ms = time.time_ns() // 1_000_000
        for page in pages:
            self.latency.add(max(0, now_ms - page.written_at_ms) / 1000)

    async def checkpoint_for_ever(self) -> None:
        """Make the state of every book durable, again and again."""
        while True:
            await asyncio.sleep(self.settings.detect.checkpoint_interval_ms / 1000)
            for at_work in list(self.books.values()):
                await self.checkpoint(at_work)

    async def checkpoint(self, at_work: BookAtWork) -> None:
        """One checkpoint, unless nothing has happened since the last."""
        async with at_work.saving:
            await self._checkpoint(at_work)

    async def _checkpoint(self, at_work: BookAtWork) -> None:
        async with at_work.busy:
            if at_work.detect.fold.next_offset == at_work.durable:
                return
            self.fault_points.reach("detect.checkpointing")
            at_work.checkpointer.begin(at_work.detect.fold)
        try:
            while (saved := at_work.checkpointer.poll()) is None:
                await asyncio.sleep(POLL_S)
        except CheckpointFailed as error:
            self.checkpoints_failed += 1
            logger.error("book %d: %s", at_work.detect.fold.book, error)
            return
        self.fault_points.reach("detect.checkpointed")
        at_work.saved, at_work.durable, at_work.saved_at = saved, saved.next_offset, time.monotonic()

    async def finish(self) -> None:
        """A last checkpoint of everything, so that the next start folds nothing twice."""
        for at_work in list(self.books.values()):
            await self.checkpoint(at_work)

    async def _take_over(self, tp: TP, begin: int) -> None:
        book = tp.partition
        at_work = self.books.get(book)
        if at_work is None:
            file = CheckpointFile(Path(self.settings.detect.state_dir) / f"book-{book}.sqlite", self.generation)
            loaded = await asyncio.get_running_loop().run_in_executor(self.folding, self._load, file, book)
            fold = loaded or BookFold(book, self.configuration, self.generation)
            at_work = self.books[book] = BookAtWork(Detect(fold, self.log, {}, self.fault_points), file)
        fold = at_work.detect.fold
        if fold.next_offset < begin:
            raise Trimmed(
                f"book {book}: the journal begins at offset {begin}, but the state only reaches to {fold.next_offset}. What "
                "lies between was deleted by the journal's retention: restore a newer state folder or published snapshot"
            )
        at_work.detect.published = await published_positions(self.log, book)
        at_work.is_ours = True

    def _load(self, file: CheckpointFile, book: int) -> BookFold | None:
        try:
            return file.load(self.configuration, book)
        except OtherGeneration:
            if not self.new_generation:
                raise
        aside = file.path.with_suffix(f".before-{self.generation}.sqlite")
        logger.warning("book %d: the state of another generation is now %s; the journal is folded anew", book, aside)
        file.path.replace(aside)
        return None

    async def _give_up(self, book: int) -> None:
        at_work = self.books.pop(book)
        async with at_work.saving, at_work.busy:
            pass  # whatever was under way is done
