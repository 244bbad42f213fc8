"""One bank in several books, without Kafka: the real folds, and a post that carries their remittances at once or late."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from random import Random

import msgspec

from detectors.abroad import REMITTED
from detectors.book_engine import BookEngine
from detectors.books import Books, route
from detectors.configuration import Configuration
from detectors.engine import Engine
from detectors.events import EVENT_TYPES, Event
from detectors.typologies import TYPOLOGIES
from streams.codec import encode
from streams.live.fold import BookFold, Said
from streams.live.journal import PAGE_VERSION, Page, Record, Span
from streams.live.names import ALERTS, LOAN_RISK, PORTFOLIO
from streams.live.remittances import pages_of

TOPIC_OF = {record_type: topic for topic, record_type in EVENT_TYPES.items()}
MINUTE_MS = 60_000


def seen_in_any_book(configuration: Configuration) -> Configuration:
    """The configuration with only what depends on loan money and its own loan: what every number of books judges alike."""
    codes = tuple(make.code for make in TYPOLOGIES if not make.sees_one_book)
    rule_sets = tuple(
        msgspec.structs.replace(rules, parameters={code: _without_memories(own) for code, own in rules.parameters.items()})
        for rules in configuration.rule_sets
    )
    return msgspec.structs.replace(configuration, typologies=codes, rule_sets=rule_sets)


def _without_memories(parameters: msgspec.Struct) -> msgspec.Struct:
    """Without bridges and like sums: both ask for payments that carried no loan money, which one book has to see."""
    off = {name: value for name, value in (("bridge_days", 0), ("like_sums", False)) if hasattr(parameters, name)}
    return msgspec.structs.replace(parameters, **off)


class Bank:
    """So many books, each with its fold. Every record goes to the journals of the books that :func:`route` names.

    Without ``ticks`` nobody tells the books the time, as in a live stream of history. With ``late`` a remittance waits for up
    to so many source records, by seeded chance, in order for each pair of books.
    """

    def __init__(
        self, configuration: Configuration, number: int, pattern: str = "", *, late: int = 0, chance: Random | None = None,
        repeats: bool = False, ticks: bool = True,
    ) -> None:  # fmt: skip
        self.books = Books(number, 0, pattern)
        self.folds = [BookFold(i, configuration, "test", books=Books(number, i, pattern)) for i in range(number)]
        self.offsets: dict[str, int] = {}
        self.post: deque[tuple[int, Page]] = deque()
        self.held: list[tuple[int, int, int, Page]] = []  # (due, sender, to, page)
        self.late, self.chance, self.repeats, self.ticks = late, chance or Random(0), repeats, ticks
        self.alerts: list[bytes] = []
        self.risks: list[bytes] = []
        self.portfolio: dict[bytes, bytes] = {}  # as the compacted topic would hold it
        self.remittances = 0
        self.remitted_bytes = 0
        self.records = 0
        self.minute = -1

    def play(self, events: Iterable[Event]) -> Bank:
        """Read all records; returns itself."""
        for event in events:
            self.read(event)
        self.settle()
        return self

    def read(self, event: Event) -> None:
        """Journal one record, and deliver what is due."""
        self.records += 1
        topic = TOPIC_OF[type(event)]
        for book in route(event, self.books):
            source = f"{topic}/{book}"
            offset = self.offsets[source] = self.offsets.get(source, -1) + 1
            span = Span(topic, book, offset - 1, offset)
            self.fold(book, Page(PAGE_VERSION, 0, [span], [Record(0, offset, encode(event))]))
        self._deliver()
        self._tick()

    def settle(self) -> None:
        """Deliver everything."""
        while self.held or self.post:
            self.records += 1
            self._deliver()
        self._tell_time(max(fold.engine.watermark_ms or 0 for fold in self.folds))

    def fold(self, book: int, page: Page) -> None:
        """Give a page to a book."""
        fold = self.folds[book]
        said = fold.fold(fold.next_offset, page)
        for message in said:
            if message.topic == PORTFOLIO:
                self.portfolio[message.entry.key or b""] = message.entry.value
            if message.topic in (ALERTS, LOAN_RISK):
                (self.alerts if message.topic == ALERTS else self.risks).append(message.entry.value)
        self._send(book, said)

    def _send(self, sender: int, said: list[Said]) -> None:
        for to, page in pages_of(said, 0).items():
            self.remittances += len(page.records)
            self.remitted_bytes += sum(len(record.value) for record in page.records)
            if not self.late:
                self.post.append((to, page))
                if self.repeats:
                    self.post.append((to, page))
                continue
            due = self.records + self.chance.randrange(self.late + 1)
            due = max([due, *(held[0] for held in self.held if held[1:3] == (sender, to))])
            self.held.append((due, sender, to, page))

    def _deliver(self) -> None:
        due = [held for held in self.held if held[0] <= self.records]
        self.held = [held for held in self.held if held[0] > self.records]
        self.post.extend((to, page) for _, _, to, page in due)
        while self.post:
            self.fold(*self.post.popleft())

    def _tick(self) -> None:
        """Once a minute of event time all books are told how far it has come, as intake does."""
        now_ms = max(fold.engine.watermark_ms or 0 for fold in self.folds)
        if self.ticks and now_ms // MINUTE_MS > self.minute:
            self.minute = now_ms // MINUTE_MS
            self._tell_time(now_ms)

    def _tell_time(self, now_ms: int) -> None:
        for book, fold in enumerate(self.folds):
            if (fold.engine.watermark_ms or 0) < now_ms:
                self.fold(book, Page(PAGE_VERSION, 0, [], [], now_ms))
        self._deliver()

    # --- what is looked at ------------------------------------------------------------------------------------------

    def engines(self) -> Iterator[Engine]:
        """The engine of each book."""
        return (fold.engine for fold in self.folds)

    def imbalances(self) -> dict[str, int]:
        """See :func:`imbalances`."""
        return imbalances(self.engines())

    def underway_minor(self) -> dict[str, int]:
        """See :func:`underway_minor`."""
        return underway_minor(self.engines())

    def final_risks(self) -> list[bytes]:
        """The present state of every loan, sorted."""
        return sorted(encode(risk) for engine in self.engines() for risk in engine.loan_risks())

    def counters(self) -> dict[str, int]:
        """Counters, summed over the books."""
        total: dict[str, int] = {}
        for engine in self.engines():
            for name, count in engine.counters.items():
                total[name] = total.get(name, 0) + count
        return total


def imbalances(engines: Iterable[Engine]) -> dict[str, int]:
    """Loans whose money was made or lost, in a book or over all books; on its way counts as somewhere."""
    off: dict[str, int] = {}
    for book, engine in enumerate(engines):
        assert isinstance(engine, BookEngine)
        for origin in engine.book_tracer.origins.values():
            if origin.imbalance_minor():
                off[f"{origin.loan_id} in book {book}"] = origin.imbalance_minor()
    return off


def underway_minor(engines: Iterable[Engine]) -> dict[str, int]:
    """Per loan that is followed, of the engines of all books in their order: what has been remitted and not received."""
    total: dict[str, int] = {}
    tracers = [engine.book_tracer for engine in engines if isinstance(engine, BookEngine)]
    for tracer in tracers:
        for origin in tracer.origins.values():
            if tracers[origin.home].origins[origin.home_number].expired:
                continue
            sent = origin.places_minor.get(REMITTED, 0) - origin.received_minor
            key = f"{origin.home}/{origin.home_number}"
            total[key] = total.get(key, 0) + sent
    return {loan: amount for loan, amount in total.items() if amount}
