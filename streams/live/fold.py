"""One book's fold: journal pages through the engine, each output with its position in the journal.

Nothing here knows Kafka, files or the clock: the worker, ``replay --from kafka`` and the simulation fold with this.
"""

from __future__ import annotations

import zlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from detectors.alert_record import Alert, LoanRisk, PortfolioShare
from detectors.book_engine import BookEngine, engine_of
from detectors.books import Books
from detectors.configuration import Configuration
from detectors.engine import Engine, Outputs
from detectors.events import Fault, Tick
from detectors.remittance import Remittance
from streams.codec import decode, encode
from streams.live.journal import REMITTANCES, Page, Position, Record, Span
from streams.live.log import Entry
from streams.live.names import ALERTS, GENERATION_HEADER, LOAN_RISK, PORTFOLIO, POSITION_HEADER, REJECTS
from streams.live.rejects import entry_of, live_reject
from streams.live.remittances import decode_remittance

COUNTED = ("applied", "duplicate", "rejected", "repeated", "ahead")
"""Every record of a journal partition is counted as one of these: journalled = their sum."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Said(NamedTuple):
    """One message that follows from a record: the topic it belongs on, and the position it follows from.

    ``book``: for a remittance, the book in whose journal partition it belongs, as a record of a page
    (:func:`streams.live.remittances.pages_of`). Everything else belongs on the partition of the book that says it.
    """

    topic: str
    position: Position
    entry: Entry
    book: int | None = None


class BookFold:
    """The fold of one journal partition, and how far it has come.

    ``next_offset`` is the offset of the first page not folded yet; ``watermarks`` hold, per source partition
    (``topic/partition``), the last source offset that was folded; ``counts`` how many records the journal held
    (``journalled``) and where they went (:data:`COUNTED`).
    """

    def __init__(
        self, book: int, configuration: Configuration, generation: str, engine: Engine | None = None,
        books: Books | None = None,
    ) -> None:  # fmt: skip
        self.book = book
        self.generation = generation
        self.engine = engine or engine_of(configuration, books or Books())
        self.next_offset = 0
        self.watermarks: dict[str, int] = {}
        self.counts: Counter[str] = Counter()
        self._header = (GENERATION_HEADER, generation.encode())

    def fold(self, offset: int, page: Page) -> list[Said]:
        """Fold one page and return what follows from it, in order. A page before ``next_offset`` is skipped whole."""
        if offset < self.next_offset:
            return []
        said: list[Said] = []
        self.counts["journalled"] += len(page.records)
        open_spans = [span.after <= self.watermarks.get(f"{span.topic}/{span.partition}", -1) for span in page.spans]
        for index, record in enumerate(page.records):
            self._fold_record(Position(offset, index, 0), page.spans[record.span], record, open_spans[record.span], said)
        for span, is_open in zip(page.spans, open_spans, strict=True):
            if is_open:
                self._advance(f"{span.topic}/{span.partition}", span.upto)
        if page.tick_ms is not None:
            outputs = self.engine.apply(_tick(page.tick_ms))
            self._say(Position(offset, len(page.records), 0), outputs, said)
        self.next_offset = offset + 1
        return said

    def _fold_record(self, position: Position, span: Span, record: Record, is_open: bool, said: list[Said]) -> None:
        source = f"{span.topic}/{span.partition}"
        if not is_open:
            self.counts["ahead"] += 1
            return
        if record.offset <= self.watermarks.get(source, -1):
            self.counts["repeated"] += 1
            return
        self._advance(source, record.offset)
        outputs = self._apply(span.topic, record.value)
        self.counts[outputs.status] += 1
        if outputs.fault is not None:
            reject = live_reject(span.topic, span.partition, record.offset, "detect", outputs.fault, record.value)
            said.append(Said(REJECTS, position, entry_of(reject, self._headers(position))))
        if outputs.alerts or outputs.risks or outputs.portfolio or outputs.remittances:
            self._say(position, outputs, said)

    def _apply(self, topic: str, value: bytes) -> Outputs:
        if topic == REMITTANCES:
            remittance = decode_remittance(value)
            if isinstance(remittance, Fault):
                return Outputs("rejected", remittance)
            if not isinstance(self.engine, BookEngine):
                return Outputs("rejected", Fault("to", "a remittance where there is one book"))
            return self.engine.receive(remittance)
        event = decode(topic, value)
        return Outputs("rejected", event) if isinstance(event, Fault) else self.engine.apply(event)

    def _say(self, position: Position, outputs: Outputs, said: list[Said]) -> None:
        offset, index, number = position
        for alert in outputs.alerts:
            said.append(self._message(ALERTS, Position(offset, index, number), alert.alert_id, alert))
            number += 1
        for risk in outputs.risks:
            said.append(self._message(LOAN_RISK, Position(offset, index, number), risk.loan_id, risk))
            number += 1
        for share in outputs.portfolio:
            key = f"{self.book}/{share.currency}/{share.dimension}/{share.value}"
            said.append(self._message(PORTFOLIO, Position(offset, index, number), key, share))
            number += 1
        for remittance in outputs.remittances:
            said.append(self._remittance(Position(offset, index, number), remittance))
            number += 1

    def _message(self, topic: str, position: Position, key: str, value: Alert | LoanRisk | PortfolioShare) -> Said:
        return Said(topic, position, Entry(key.encode(), encode(value), self._headers(position)))

    def _remittance(self, position: Position, remittance: Remittance) -> Said:
        key = f"{remittance.sender}/{remittance.to}/{remittance.number}".encode()
        return Said(REMITTANCES, position, Entry(key, encode(remittance), self._headers(position)), remittance.to)

    def _headers(self, position: Position) -> tuple[tuple[str, bytes], ...]:
        return ((POSITION_HEADER, str(position).encode()), self._header)

    def _advance(self, source: str, offset: int) -> None:
        if offset > self.watermarks.get(source, -1):
            self.watermarks[source] = offset


def _tick(event_time_ms: int) -> Tick:
    return Tick(event_time=_EPOCH + timedelta(milliseconds=event_time_ms))


def generation_of(engine_version: str, configuration: Configuration, books: Books | None = None) -> str:
    """What a checkpoint and everything published is marked with: who folded, under which configuration, in which books."""
    dealt = f"-{books.number}x{zlib.crc32(books.pattern.encode()):08x}" if books is not None and books.number > 1 else ""
    return f"{engine_version}-{configuration.digest()}{dealt}"
