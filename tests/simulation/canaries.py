"""Planted bugs. Each is a small change of the product's code that simulation must notice within a few hundred worlds.

A canary is a context manager; while it is open, the bug is there. Some are bugs that simulation has found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock
from weakref import WeakKeyDictionary

from faust.types import TP

from streams.live import detect, detect_stage
from streams.live.book_at_work import BookAtWork
from streams.live.detect import Detect, RawPage
from streams.live.detect_stage import DetectStage
from streams.live.fold import BookFold, Said
from streams.live.intake import Intake
from streams.live.intake_stage import IntakeStage
from streams.live.journal import Page, Position
from streams.live.lane import Lane
from streams.live.log import Log
from streams.live.names import JOURNAL, OUTPUTS
from tests.simulation.checkers import Violation
from tests.simulation.faults import plan_of
from tests.simulation.worker import SimConsumer
from tests.simulation.world import World, simulate

CANARIES: dict[str, Callable[[], AbstractContextManager[Any]]] = {}
"""By the sentence that says what is wrong."""


def caught(name: str, folder: Path, seeds_max: int, first: int = 0) -> tuple[int, Violation] | None:
    """The first seed under which a canary is noticed, and how."""
    with CANARIES[name]():
        for seed in range(first, first + seeds_max):
            try:
                simulate(seed, folder)
            except Violation as violation:
                return seed, violation
    return None


def _canary(sentence: str) -> Callable[[Callable[[], Iterator[None]]], Callable[[], AbstractContextManager[None]]]:
    def plant(change: Callable[[], Iterator[None]]) -> Callable[[], AbstractContextManager[None]]:
        CANARIES[sentence] = contextmanager(change)
        return CANARIES[sentence]

    return plant


def _instead(owner: Any, name: str, other: Any) -> Any:
    return mock.patch.object(owner, name, other)


# --- intake -----------------------------------------------------------------------------------------------------------


@_canary("source offsets are committed before the journal has their records")
def _committed_before_journalled() -> Iterator[None]:
    async def committable(self: IntakeStage) -> Mapping[TP, int]:
        return {
            TP(topic, number): offset + 1
            for number, lane in self.lanes.items() for topic, offset in lane.lane.after.items() if offset >= 0
        }  # fmt: skip

    with _instead(IntakeStage, "committable", committable):
        yield


@_canary("source offsets are committed with the records that were read, not those written")
def _committed_as_received() -> Iterator[None]:
    async def committable(self: Intake, now_ms: int) -> Mapping[str, int]:
        return {topic: offset + 1 for topic, offset in self.lane.received.items() if offset >= 0}

    with _instead(Intake, "committable", committable):
        yield


@_canary("a lane releases without waiting for its other topics")
def _lane_does_not_wait() -> Iterator[None]:
    with _instead(Lane, "_gate", lambda self, now_ms, at_end: (1 << 62, False)):
        yield


@_canary("a lane is taken away while its page is being written")
def _lane_taken_away() -> Iterator[None]:
    async def revoked(self: IntakeStage, partitions: set[TP]) -> None:
        self._retire({tp.partition for tp in partitions})

    with _instead(IntakeStage, "revoked", revoked):
        yield


@_canary("a lane begins behind what retention has deleted, as if the journal knew")
def _begins_behind_retention() -> Iterator[None]:
    begun: WeakKeyDictionary[Lane, dict[str, int]] = WeakKeyDictionary()
    real_miss, real_append = Lane.miss, Intake._append_page

    def miss(self: Lane, begins: Mapping[str, int]) -> None:
        begun[self] = {topic: begin for topic, begin in begins.items() if begin > self.received[topic] + 1}
        real_miss(self, begins)

    async def append(self: Intake, book: int, records: Any, now_ms: int, tick_ms: int | None = None) -> None:
        for topic, begin in begun[self.lane].items():
            self.handed[book][topic] = max(self.handed[book][topic], begin - 1)
        await real_append(self, book, records, now_ms, tick_ms)

    with _instead(Lane, "miss", miss), _instead(Intake, "_append_page", append):
        yield


@_canary("a full lane holds up the others")
def _full_lane_holds_up() -> Iterator[None]:
    with _instead(IntakeStage, "_should_wait", lambda self, lane, topic: lane.lane.is_full(topic)):
        yield


# --- fold -------------------------------------------------------------------------------------------------------------


@_canary("spans are ignored: any page moves the watermark")
def _spans_ignored() -> Iterator[None]:
    real = BookFold.fold

    def fold(self: BookFold, offset: int, page: Page) -> list[Said]:
        spans = [type(span)(span.topic, span.partition, -1, span.upto) for span in page.spans]
        return real(self, offset, Page(page.version, page.written_at_ms, spans, page.records, page.tick_ms))

    with _instead(BookFold, "fold", fold):
        yield


@_canary("a repeated record is told by < instead of <=")
def _repeated_by_less() -> Iterator[None]:
    real = BookFold._fold_record

    def fold_record(self: BookFold, position: Any, span: Any, record: Any, is_open: bool, said: list[Said]) -> None:
        source = f"{span.topic}/{span.partition}"
        if self.watermarks.get(source) == record.offset:
            self.watermarks[source] -= 1
        real(self, position, span, record, is_open, said)

    with _instead(BookFold, "_fold_record", fold_record):
        yield


# --- detect -----------------------------------------------------------------------------------------------------------


@_canary("the journal offset is committed before the checkpoint is durable")
def _committed_before_checkpoint() -> Iterator[None]:
    async def committable(self: DetectStage) -> Mapping[TP, int]:
        return {TP(JOURNAL, book): at_work.detect.fold.next_offset for book, at_work in self.books.items()}

    with _instead(DetectStage, "committable", committable):
        yield


@_canary("the tail of the outputs is not read")
def _tail_not_read() -> Iterator[None]:
    async def published(log: Log, book: int) -> dict[str, Position]:
        return {}

    with _instead(detect_stage, "published_positions", published):
        yield


@_canary("what was published is told by < instead of <=")
def _published_by_less() -> Iterator[None]:
    def is_news(self: Detect, message: Said) -> bool:
        last = self.published.get(message.topic)
        return last is None or not message.position < last

    with _instead(Detect, "_is_news", is_news):
        yield


@_canary("a checkpoint is taken between fold and publish")
def _checkpoint_between() -> Iterator[None]:
    async def begin(self: BookAtWork) -> bool:
        if self.detect.fold.next_offset == self.durable:
            return False
        self.checkpointer.begin(self.detect.fold)
        return True

    with _instead(BookAtWork, "_begin", begin):
        yield


@_canary("what was published is remembered when it is sent, not read when a book is taken over")
def _remembered_when_sent() -> Iterator[None]:
    remembered: dict[tuple[int, str], Position] = {}
    real_publish, real_run = Detect.publish, World.run

    def run(self: World) -> None:
        remembered.clear()
        real_run(self)

    async def publish(self: Detect, said: list[Said]) -> None:
        for message in said:
            remembered[self.fold.book, message.topic] = message.position
        await real_publish(self, said)

    async def published(log: Log, book: int) -> dict[str, Position]:
        return {topic: remembered[book, topic] for topic in OUTPUTS if (book, topic) in remembered}

    with (
        _instead(World, "run", run), _instead(Detect, "publish", publish),
        _instead(detect_stage, "published_positions", published),
    ):  # fmt: skip
        yield


@_canary("what was published is taken from the state, which may be one from before")
def _published_as_of_state() -> Iterator[None]:
    real = DetectStage._take_over

    async def take_over(self: DetectStage, tp: TP, begin: int) -> None:
        await real(self, tp, begin)
        at_work = self.books[tp.partition]
        last = Position(at_work.detect.fold.next_offset - 1, 1 << 30, 0)
        at_work.detect.published = dict.fromkeys(at_work.detect.published, last)

    with _instead(DetectStage, "_take_over", take_over):
        yield


@_canary("a book is folded on while another worker may have it")
def _folded_while_revoked() -> Iterator[None]:
    async def revoked(self: DetectStage, partitions: set[TP]) -> None:
        await asyncio.sleep(0)

    with _instead(DetectStage, "revoked", revoked):
        yield


@_canary("outputs are lost when an append fails: the failure is swallowed")
def _failure_swallowed() -> Iterator[None]:
    real = Detect.publish

    async def publish(self: Detect, said: list[Said]) -> None:
        try:
            await real(self, said)
        except Exception:
            await asyncio.sleep(0)

    with _instead(Detect, "publish", publish):
        yield


@_canary("only the first page of a batch is folded")
def _pages_skipped() -> Iterator[None]:
    real = Detect.fold_pages

    def fold_pages(self: Detect, pages: Sequence[RawPage]) -> list[Said]:
        said = real(self, pages[:1])
        self.fold.next_offset = pages[-1].offset + 1
        return said

    with _instead(Detect, "fold_pages", fold_pages):
        yield


# --- both -------------------------------------------------------------------------------------------------------------


@_canary("what was fetched before the present assignment is used")
def _stale_batches() -> Iterator[None]:
    with _instead(SimConsumer, "reads", lambda self, batch: True):
        yield


__all__ = ["CANARIES", "Random", "caught", "detect", "plan_of"]
