"""Detect under Faust: books come and go with the assignment; pages are folded, outputs published, checkpoints made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
from faust.types import TP

from detectors.books import Books
from detectors.configuration import Configuration
from streams.live.batches import BatchConsumer
from streams.live.book_at_work import BookAtWork, open_fold
from streams.live.checkpoint import ONE_BOOK, CheckpointFile
from streams.live.detect import Detect, RawPage, published_positions
from streams.live.fault_points import FaultPoints
from streams.live.fold import BookFold
from streams.live.latency import Latency
from streams.live.log import Log
from streams.live.names import JOURNAL, topic_name
from streams.live.pause_guard import PauseGuard
from streams.live_settings import LiveSettings

PAGES_A_STEP = 2
"""Pages folded before what follows from them is published: few, so that the first alert is not kept waiting."""


class Trimmed(Exception):
    """The journal no longer reaches back to the state."""


class DetectStage:
    """The books assigned to this worker."""

    def __init__(
        self, log: Log, configuration: Configuration, generation: str, settings: LiveSettings,
        fault_points: FaultPoints, guard: PauseGuard, *, new_generation: bool = False,
        layout: Books = ONE_BOOK,
    ) -> None:  # fmt: skip
        self.log = log
        self.layout = layout
        self.new_generation = new_generation
        self.configuration = configuration
        self.generation = generation
        self.settings = settings
        self.fault_points = fault_points
        self.guard = guard
        self.consumer: BatchConsumer | None = None
        self.books: dict[int, BookAtWork] = {}
        self.latency = Latency()
        self.opening: dict[int, CheckpointFile] = {}  # taken by an assignment that may be overtaken before it has the state
        self.assigning = asyncio.Lock()  # an assignment that has been overtaken is done with before the next
        self.folding = ThreadPoolExecutor(1, "fold")  # beside the event loop, so that fetches and pages are not kept waiting

    # --- what the consumer asks ---------------------------------------------------------------------------------------

    async def assigned(self, committed: Mapping[TP, int | None]) -> Mapping[TP, int]:
        """Take these books over: state from the newest checkpoint, and on from its journal offset."""
        assert self.consumer is not None
        async with self.assigning:
            ours = {tp.partition for tp in committed}
            for book in sorted({*self.books, *self.opening} - ours):
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
                said = await asyncio.get_running_loop().run_in_executor(self.folding, at_work.fold_step, step)
                self.guard.check()
                await at_work.detect.publish(said)
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
        """Make the state of every book durable, and publish it, again and again."""
        while True:
            await asyncio.sleep(self.settings.detect.checkpoint_interval_ms / 1000)
            for at_work in list(self.books.values()):
                await at_work.checkpoint()
                at_work.publish_when_due()

    async def finish(self) -> None:
        """A last checkpoint of everything, so that the next start folds nothing twice."""
        for at_work in list(self.books.values()):
            await at_work.checkpoint()

    async def _take_over(self, tp: TP, begin: int) -> None:
        book = tp.partition
        at_work = self.books.get(book)
        if at_work is None:
            path = Path(self.settings.detect.state_dir) / f"book-{book}.sqlite"
            file = self.opening.setdefault(book, CheckpointFile(path, self.generation))
            fold = await asyncio.get_running_loop().run_in_executor(self.folding, self._open, file, book)
            detect = Detect(fold, self.log, {}, self.fault_points)
            at_work = self.books[book] = BookAtWork(detect, file, self.settings.detect)
            del self.opening[book]
        fold = at_work.detect.fold
        if fold.next_offset < begin:
            raise Trimmed(
                f"book {book}: the journal begins at offset {begin}, but the state only reaches to {fold.next_offset}. What "
                "lies between was deleted by the journal's retention: restore a newer state folder or published snapshot"
            )
        at_work.detect.published = await published_positions(self.log, book)
        at_work.is_ours = True

    def _open(self, file: CheckpointFile, book: int) -> BookFold:
        settings = self.settings.detect
        layout = msgspec.structs.replace(self.layout, own=book)
        return open_fold(file, layout, self.configuration, settings, new_generation=self.new_generation)

    async def _give_up(self, book: int) -> None:
        """Let its file go; when this is cut short, the next assignment does it."""
        if book in self.books:
            await self.books[book].close()
            del self.books[book]
        if book in self.opening:
            await asyncio.get_running_loop().run_in_executor(self.folding, self.opening[book].close)
            del self.opening[book]
