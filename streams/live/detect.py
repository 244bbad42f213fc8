"""Detect: one book's pages are folded, what follows is published, the state is made durable.

The steps, numbered as in docs/architecture.md (intake has 1 to 4):

5. fold pages;
6. append what follows from them, and wait until the broker has it;
7. write a checkpoint of the state behind these pages;
8. only once it is durable is the journal's offset committable.

A crash before 7 is done folds the same pages again from the checkpoint before. The same outputs follow, at the same
positions; those up to the last position found in the output partitions at the start are not published again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from streams.live.fault_points import FaultPoints
from streams.live.fold import BookFold, Said
from streams.live.journal import Position, decode_page, encode_page
from streams.live.log import Entry, Log
from streams.live.names import ALERTS, JOURNAL, LOAN_RISK, OUTPUTS, PORTFOLIO, POSITION_HEADER
from streams.live.remittances import pages_of

ONCE = (ALERTS, LOAN_RISK, PORTFOLIO)
"""Topics whose partitions only the book's detect writes to, in the order of positions: their tail says how far it came.
Rejects are keyed by their source coordinates instead: a repeated one replaces the first."""

TAIL_MESSAGES = 1
REMITTANCES_A_PAGE = 200
"""They are larger than records: each tells lots and the facts of accounts."""


class RawPage(NamedTuple):
    """A journal message."""

    offset: int
    value: bytes
    written_at_ms: int = 0  # Kafka's timestamp; for metrics


class Detect:
    """One book at work. ``published``: per output topic, the last position that stands in its partition."""

    def __init__(self, fold: BookFold, log: Log, published: dict[str, Position], fault_points: FaultPoints) -> None:
        self.fold = fold
        self.log = log
        self.published = published
        self.fault_points = fault_points
        self.withheld = 0  # outputs recognised as published before
        self.sent = 0
        self.remitted = 0
        self.written_at_ms = 0  # of the last page folded, by its writer's clock

    async def take(self, pages: Sequence[RawPage]) -> None:
        """Fold these pages and publish what follows."""
        await self.publish(self.fold_pages(pages))

    def fold_pages(self, pages: Sequence[RawPage]) -> list[Said]:
        """Step 5. What follows must be published before the next pages are folded."""
        said: list[Said] = []
        for raw in pages:
            page = decode_page(raw.value)
            said += self.fold.fold(raw.offset, page)
            self.written_at_ms = page.written_at_ms
        self.fault_points.reach("detect.folded")
        return said

    async def publish(self, said: list[Said]) -> None:
        """Step 6."""
        for topic in OUTPUTS:
            entries = [message.entry for message in said if message.topic == topic and self._is_news(message)]
            if entries:
                await self.log.append(topic, self.fold.book, entries)
                self.sent += len(entries)
        await self._remit(said)
        if said:
            self.fault_points.reach("detect.published")

    async def _remit(self, said: list[Said]) -> None:
        """Remittances go into other books' journals; the fold there knows a repeated one by its number."""
        remittances = [message for message in said if message.book is not None]
        for begin in range(0, len(remittances), REMITTANCES_A_PAGE):
            for book, page in pages_of(remittances[begin : begin + REMITTANCES_A_PAGE], self.written_at_ms).items():
                await self.log.append(JOURNAL, book, [Entry(None, encode_page(page))])
                self.remitted += len(page.records)

    def _is_news(self, message: Said) -> bool:
        last = self.published.get(message.topic)
        if last is not None and message.position <= last:
            self.withheld += 1
            return False
        return True


async def published_positions(log: Log, book: int) -> dict[str, Position]:
    """How far the output partitions of a book have come, as their last messages say."""
    found: dict[str, Position] = {}
    for topic in ONCE:
        positions = [
            position for stored in await log.tail(topic, book, TAIL_MESSAGES) for position in _positions(stored.headers)
        ]
        if positions:
            found[topic] = max(positions)
    return found


def _positions(headers: Sequence[tuple[str, bytes]]) -> list[Position]:
    return [Position.parse(value) for name, value in headers if name == POSITION_HEADER]
