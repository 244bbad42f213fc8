"""Intake: source records of one lane become pages of the journal, or rejects.

The steps, numbered as in docs/architecture.md:

1. release the next records of the lane, in order;
2. append their rejects, and wait until the broker has them;
3. append their pages, and wait until the broker has them;
4. only now are their source offsets committable.

A crash between any two repeats records from the last commit on; the spans of the pages tell the fold which it knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from detectors.events import Event, Fault
from streams.live.decoders import decode_with
from streams.live.fault_points import FaultPoints
from streams.live.journal import PAGE_VERSION, Page, Record, Span, encode_page
from streams.live.lane import Lane, SourceRecord
from streams.live.log import Entry, Log
from streams.live.names import DECODER_HEADER, JOURNAL, REJECTS
from streams.live.rejects import entry_of, live_reject
from streams.live_settings import IntakeSettings

Route = Callable[[str, Event], tuple[int, ...]]
"""(topic, event) -> the books it concerns."""


class Accepted(NamedTuple):
    """A record on its way into the journal."""

    topic: str
    offset: int
    value: bytes
    books: tuple[int, ...]


class Intake:
    """One lane's intake.

    ``counts``: every record that came in is *journalled*, *rejected* or *duplicate* (``in`` is their sum once nothing waits).
    """

    def __init__(
        self, number: int, after: dict[str, int], log: Log, route: Route, books: int, settings: IntakeSettings,
        fault_points: FaultPoints, last_order: int | None = None,
    ) -> None:  # fmt: skip
        self.number = number
        self.log = log
        self.route = route
        self.settings = settings
        self.fault_points = fault_points
        self.lane = Lane(after, settings, last_order)
        self.handed = [dict(after) for _ in range(books)]  # book -> topic -> the last offset its journal knows of
        self.durable = dict(after)  # topic -> the last offset whose record or reject the broker has
        self.durable_order = last_order  # of the last such record; committed beside the offsets
        self.counts: Counter[str] = Counter()
        self.latest_ms: int | None = None  # event time
        self.active_ms = 0  # by the clock: when it last had something to write

    async def step(self, now_ms: int, at_end: Callable[[str], bool]) -> int:
        """Release and write once; returns how many records went."""
        records = self.lane.release(now_ms, at_end)
        if not records:
            await self._tick(now_ms)
            return 0
        self.fault_points.reach("intake.released")
        self.active_ms = now_ms
        accepted, rejects = self._sort(records)
        if rejects:
            await self.log.append(REJECTS, self.number, rejects)
            self.fault_points.reach("intake.rejected")
        await self._write(accepted, now_ms)
        self.fault_points.reach("intake.journalled")
        self.durable.update(self.lane.after)
        self.durable_order = self.lane.last_order
        self.counts["journalled"] += len(accepted)
        self.counts["rejected"] += len(rejects)
        return len(records)

    async def committable(self, now_ms: int) -> Mapping[str, int]:
        """Topic -> the first offset still needed. Every book's journal is brought up to it before."""
        behind = [book for book, handed in enumerate(self.handed) if handed != self.durable]
        for book in behind:
            await self._append_page(book, [], now_ms)
        self.fault_points.reach("intake.committing")
        return {topic: offset + 1 for topic, offset in self.durable.items() if offset >= 0}

    def _sort(self, records: list[SourceRecord]) -> tuple[list[Accepted], list[Entry]]:
        accepted: list[Accepted] = []
        rejects: list[Entry] = []
        for record in records:
            event, value = decode_with(self._decoder_of(record), record.topic, record.value)
            if isinstance(event, Fault):
                rejects.append(self._reject(record, event))
            else:
                self._note_time(event)
                accepted.append(Accepted(record.topic, record.offset, value, self.route(record.topic, event)))
        return accepted, rejects

    def _decoder_of(self, record: SourceRecord) -> str:
        for name, value in record.headers:
            if name == DECODER_HEADER:
                return value.decode("utf-8", "backslashreplace")
        return self.settings.decoder

    def _reject(self, record: SourceRecord, fault: Fault) -> Entry:
        reject = live_reject(
            record.topic, self.number, record.offset, "intake", fault, record.value,
            timestamp_ms=record.timestamp_ms, key=record.key, headers=record.headers,
        )  # fmt: skip
        return entry_of(reject)

    def _note_time(self, event: Event) -> None:
        event_time_ms = event.event_time_ms
        if self.latest_ms is None or event_time_ms > self.latest_ms:
            self.latest_ms = event_time_ms

    async def _write(self, accepted: list[Accepted], now_ms: int) -> None:
        by_book: dict[int, list[Accepted]] = {}
        for record in accepted:
            for book in record.books:
                by_book.setdefault(book, []).append(record)
        for book in sorted(by_book):
            await self._append_page(book, by_book[book], now_ms)

    async def _append_page(self, book: int, records: list[Accepted], now_ms: int, tick_ms: int | None = None) -> None:
        """One page that brings the book up to what the lane has released."""
        handed, released = self.handed[book], self.lane.after
        topics = [topic for topic in released if released[topic] > handed[topic]]
        number = {topic: index for index, topic in enumerate(topics)}
        spans = [Span(topic, self.number, handed[topic], released[topic]) for topic in topics]
        page = Page(PAGE_VERSION, now_ms, spans, [Record(number[r.topic], r.offset, r.value) for r in records], tick_ms)
        await self.log.append(JOURNAL, book, [Entry(None, encode_page(page))])
        handed.update(released)
        self.counts["pages"] += 1

    async def _tick(self, now_ms: int) -> None:
        """Let time move on in a live stream that has gone quiet."""
        if self.latest_ms is None or now_ms - self.active_ms < self.settings.tick_idle_ms:
            return
        if now_ms - self.latest_ms > self.settings.tick_lag_ms_max:
            return
        self.active_ms = now_ms
        self.latest_ms = max(self.latest_ms, now_ms - self.settings.tick_idle_ms)
        for book in range(len(self.handed)):
            await self._append_page(book, [], now_ms, self.latest_ms)
        self.counts["ticks"] += 1
