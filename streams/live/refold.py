"""Replay from Kafka: the journal folded again from its beginning, beside the workers, into files or other topics.

A fold needs everything that came before, so it always begins with the first page there is; ``since`` only decides from
which page on what follows is written. The end is the journal's end at the start.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from detectors.alert_record import PortfolioShare
from detectors.configuration import Configuration
from detectors.engine import ENGINE_VERSION
from detectors.events import Event
from detectors.portfolio import added_up
from streams.codec import decode, encode
from streams.files.replay import rare_collections
from streams.files.results import REJECTS as REJECTS_FILE
from streams.files.results import RESULT_FILES, JournalRecords, Recorder, Summary, rfc3339
from streams.files.writers import JsonlWriter, OutputFolder
from streams.live.beside import Beside
from streams.live.fold import COUNTED, BookFold, Said, generation_of
from streams.live.journal import Page, decode_page
from streams.live.names import ALERTS, JOURNAL, LOAN_RISK, PORTFOLIO, REJECTS
from streams.live.reading import Extent, Reader


class NoSuchBook(ValueError):
    """The journal has no such partition; the message says which there are."""


class Range(NamedTuple):
    """What is folded of one book, and from which page on it is said."""

    book: int
    begin: int
    say_from: int
    end: int

    @property
    def pages(self) -> int:
        """How many pages there are to fold."""
        return max(0, self.end - self.begin)


class Sink(Protocol):
    """Where the outputs go, book by book."""

    def begin(self, book: int) -> None:
        """A book's fold begins."""

    def take(self, book: int, said: Sequence[Said]) -> None:
        """What follows from one page."""

    def end(self, fold: BookFold) -> None:
        """The book is folded to its end."""


@dataclass
class Folded:
    """What a refold came to."""

    counts: Counter[str] = field(default_factory=Counter)
    counters: Counter[str] = field(default_factory=Counter)  # the engines', all books together
    first_ms: int | None = None
    last_ms: int | None = None

    def add(self, fold: BookFold, first_ms: int | None) -> None:
        """One more book."""
        self.counts += fold.counts
        self.counters.update(fold.engine.counters)
        self.first_ms = min((ms for ms in (self.first_ms, first_ms) if ms is not None), default=None)
        self.last_ms = max((ms for ms in (self.last_ms, fold.engine.watermark_ms) if ms is not None), default=None)

    @property
    def records(self) -> JournalRecords:
        """Where every record went."""
        counts = {name: self.counts[name] for name in COUNTED}
        return JournalRecords(read=sum(counts.values()), **counts)


def ranges(reader: Reader, book: int | None, since_ms: int | None, until_ms: int | None) -> list[Range]:
    """The journal's books with what is to be folded of them. Times are those at which pages were written.

    Raises:
        NoSuchBook: ``book`` is none of the journal's partitions.
    """
    extents = reader.extents(JOURNAL)
    if book is not None and book not in extents:
        raise NoSuchBook(f"book {book} is not there; the journal has the books 0 to {len(extents) - 1}")
    say_from = reader.offsets_at(JOURNAL, since_ms) if since_ms is not None else {}
    until = reader.offsets_at(JOURNAL, until_ms) if until_ms is not None else {}
    return [
        Range(number, extent.begin, say_from.get(number, 0), min(extent.end, until.get(number, extent.end)))
        for number, extent in extents.items()
        if book in (None, number)
    ]


def refold(
    reader: Reader, configuration: Configuration, books: Iterable[Range], sink: Sink, on_page: Callable[[], None]
) -> Folded:
    """Fold each range in the order of books, one after the other, so that the outputs do not depend on who was faster."""
    folded = Folded()
    generation = generation_of(ENGINE_VERSION, configuration)
    with rare_collections():
        for book in books:
            fold = BookFold(book.book, configuration, generation)
            first_ms: int | None = None
            sink.begin(book.book)
            for said, page in folded_pages(reader, fold, book):
                first_ms = first_ms if first_ms is not None else _first_time(page)
                if fold.next_offset > book.say_from:
                    sink.take(book.book, said)
                on_page()
            sink.end(fold)
            folded.add(fold, first_ms)
    return folded


def folded_pages(reader: Reader, fold: BookFold, book: Range) -> Iterator[tuple[list[Said], Page]]:
    """Each page of a range with what follows from it."""
    for _, stored in reader.stretch(JOURNAL, {book.book: Extent(book.begin, book.end)}):
        page = decode_page(stored.value)
        if book.begin > 0:
            begin_in_the_middle(fold, page)
        yield fold.fold(stored.offset, page), page


def begin_in_the_middle(fold: BookFold, page: Page) -> None:
    """Take the page's word for how far its writer was in sources not met before: the pages that told it are deleted."""
    for span in page.spans:
        fold.watermarks.setdefault(f"{span.topic}/{span.partition}", span.after)


def _first_time(page: Page) -> int | None:
    """The event time of the page's first record that is one; None when it has none."""
    for record in page.records:
        event = decode(page.spans[record.span].topic, record.value)
        if isinstance(event, Event):
            return event.event_time_ms
    return None


class Files:
    """A result folder as ``replay`` writes it. Books stand one behind the other; one book gives what the folder would give."""

    def __init__(self, folder: OutputFolder) -> None:
        self.recorder = Recorder(folder)
        self.rejects = JsonlWriter(folder.file(REJECTS_FILE))
        self.portfolio: dict[tuple[str, str, str], PortfolioShare] = {}  # of the books that have ended

    def begin(self, book: int) -> None:
        """Nothing to prepare."""

    def take(self, book: int, said: Sequence[Said]) -> None:
        """Append the outputs to their files."""
        for message in said:
            if message.topic == ALERTS:
                self.recorder.take_alert(message.entry.value)
            elif message.topic == LOAN_RISK:
                self.recorder.take_risk(message.entry.value)
            elif message.topic == PORTFOLIO:
                self.recorder.take_share(message.entry.value)
            elif message.topic == REJECTS:
                self.rejects.write_encoded(message.entry.value)

    def end(self, fold: BookFold) -> None:
        """The last state of every loan that is followed, and the portfolio of the books so far, together."""
        for risk in fold.engine.loan_risks():
            self.recorder.take_risk(encode(risk))
        self.portfolio = added_up((*self.portfolio.values(), *fold.engine.portfolio_shares()))
        self.recorder.take_portfolio(self.portfolio.values())


def refold_into_files(
    reader: Reader, configuration: Configuration, books: Sequence[Range], out: Path, on_page: Callable[[], None]
) -> Summary:
    """Refold into a result folder.

    Raises:
        OutputRefused: ``out`` is used for something else.
    """
    started = time.perf_counter()
    with OutputFolder(out, RESULT_FILES) as folder:
        files = Files(folder)
        folded = refold(reader, configuration, books, files, on_page)
        summary = msgspec.structs.replace(
            files.recorder.summary(folded.records, configuration, time.perf_counter() - started),
            event_time_first=rfc3339(folded.first_ms),
            event_time_last=rfc3339(folded.last_ms),
            files=[f"{JOURNAL}/{book.book}/{book.begin}-{book.end}" for book in books],
            late=folded.counters["late"],
            counters=dict(sorted(folded.counters.items())),
            portfolio=list(files.portfolio.values()),
        )
        files.recorder.finish(summary, configuration)
    return summary


class Topics:
    """Other topics; nothing is said there that a live worker would not say."""

    def __init__(self, beside: Beside) -> None:
        self.beside = beside

    def begin(self, book: int) -> None:
        """Look how far an earlier run came."""
        self.beside.begin(book)

    def take(self, book: int, said: Sequence[Said]) -> None:
        """Publish what is news."""
        self.beside.publish(book, said)

    def end(self, fold: BookFold) -> None:
        """Nothing more to say."""
