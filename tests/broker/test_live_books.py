"""Two books, each with a worker, on a real Kafka.

Where what one book remits is there before the money moves on, the alerts are those of one book. In a rush they need not be
(tests/properties/test_books.py bounds how many differ); then each book still says what its own journal says, whatever the
order in which the books' records met there, and the money that was under way has arrived.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detectors.books import Books
from detectors.configuration import Configuration
from detectors.engine import ENGINE_VERSION
from detectors.events import Fault
from streams.codec import decode
from streams.files.replay import replay
from streams.live.fold import BookFold, Said, generation_of
from streams.live.journal import REMITTANCES, decode_page
from streams.settings import load_settings
from streams.simulate.world import simulate
from tests.broker.live_run import ALERTS, JOURNAL, LiveRun, Worker, records_of, wait_until
from tests.broker.shared import Reached
from tests.properties.many_books import Bank, imbalances, underway_minor

BY_KIND = r"^(\d)"
"""Accounts of persons and of firms are in different books: what crosses is what loan money is spent on."""

SECTIONS = f"[intake]\nlinger_ms = 1\n[books]\npattern = '{BY_KIND}'\n"
WORKERS = ("first", "second")
COUNTED_ONCE = ("journalled", "repeated", "ahead")


@contextmanager
def two_books(broker: Reached, prefix: str, folder: Path, sections: str = SECTIONS) -> Iterator[tuple[LiveRun, list[Worker]]]:
    """A run with two books and a worker for each."""
    live = LiveRun(broker.bootstrap, prefix, folder / "live", books=2, sections=sections)
    workers = [live.start(state=state) for state in WORKERS]
    try:
        wait_until(lambda: all(worker.metrics()["fundtrail_detect_books"] == 1 for worker in workers), "one book for each")
        yield live, workers
    finally:
        for worker in workers:
            worker.kill()
        live.close()


def records_folded(workers: list[Worker]) -> float:
    """Journal records that were new to their book, over all books: what a rebalance has had written twice is not."""
    return sum(
        value if 'outcome="journalled"' in name else -value
        for worker in workers
        for name, value in worker.metrics().items()
        if name.startswith("fundtrail_detect_records_total{") and any(f'outcome="{one}"' in name for one in COUNTED_ONCE)
    )


def bank_of(folder: Path, *, loans: int, days: int, seed: int) -> list[tuple[str, bytes]]:
    """The records of a small simulated bank."""
    source = folder / "bank"
    source.mkdir()
    simulate(source, loans=loans, days=days, seed=seed, misuse_share=0.33)
    return list(records_of(source))


def test_two_books_find_what_one_finds_where_remittances_arrive_before_the_money_moves_on(
    broker: Reached, prefix: str, tmp_path: Path
) -> None:
    records = bank_of(tmp_path, loans=20, days=10, seed=3)
    settings = load_settings()
    replay([tmp_path / "bank"], tmp_path / "replayed", settings)
    expected = (tmp_path / "replayed" / "alerts.jsonl").read_bytes().splitlines()
    batches = list(_until_something_crosses(settings.engine, records))
    assert len(batches) > 200 and len(expected) > 4, f"{len(batches)} batches, {len(expected)} alerts"
    sent = 0
    with two_books(broker, prefix, tmp_path) as (live, workers):
        for batch, folded in batches:
            sent += live.send(batch, first=sent)
            wait_until(lambda: records_folded(workers) == folded, f"{folded} records folded after {sent}", pause_s=0.005)  # noqa: B023
        wait_until(lambda: live.end(ALERTS, 0) + live.end(ALERTS, 1) >= len(expected), "all alerts")
        assert sorted(live.alerts(0) + live.alerts(1)) == sorted(expected)


def _until_something_crosses(
    configuration: Configuration, records: list[tuple[str, bytes]]
) -> Iterator[tuple[list[tuple[str, bytes]], int]]:
    """The records, each batch up to one from which something follows for another book, and how many records the books' journals
    have had then, remittances included.
    """
    bank, batch, before = Bank(configuration, 2, BY_KIND, ticks=False), [], 0
    for topic, value in records:
        event = decode(topic, value)
        assert not isinstance(event, Fault)
        bank.read(event)
        batch.append((topic, value))
        if bank.remittances > before:
            yield batch, sum(fold.counts["journalled"] for fold in bank.folds)
            batch, before = [], bank.remittances
    yield batch, sum(fold.counts["journalled"] for fold in bank.folds)


class Refolded:
    """A book's journal folded in this process: the fold, the alerts that follow, the last remittance to the other book."""

    def __init__(self, live: LiveRun, book: int) -> None:
        configuration, layout = load_settings().engine, Books(2, book)
        self.fold = BookFold(book, configuration, generation_of(ENGINE_VERSION, configuration, layout), books=layout)
        pages = [(message.offset, decode_page(message.value)) for message in live.read(JOURNAL, book)]
        said = [one for offset, page in pages for one in self.fold.fold(offset, page)]
        self.alerts = [one.entry.value for one in said if one.topic == ALERTS]
        self.remitted = max((_number(one) for one in said if one.book is not None), default=-1)
        self.received = self.fold.watermarks.get(f"{REMITTANCES}/{1 - book}", -1)


def _number(remittance: Said) -> int:
    assert remittance.entry.key is not None
    return int(remittance.entry.key.rpartition(b"/")[2])


def test_in_a_rush_each_book_says_what_its_journal_says_and_no_money_is_lost_on_the_way(
    broker: Reached, prefix: str, tmp_path: Path
) -> None:
    """A month of payments in seconds: the books overtake each other by days of event time, which real time never does."""
    records = bank_of(tmp_path, loans=100, days=30, seed=7)
    books: list[Refolded] = []

    def all_has_arrived() -> bool:
        books[:] = [Refolded(live, book) for book in (0, 1)]
        return books[0].remitted == books[1].received and books[1].remitted == books[0].received

    with two_books(broker, prefix, tmp_path, "") as (live, _):
        live.send(records)
        wait_until(lambda: live.taken_in() == len(records), "records taken in")
        wait_until(all_has_arrived, "every remittance in the other book's journal", pause_s=1)
        for number, book in enumerate(books):
            wait_until(lambda: live.end(ALERTS, number) >= len(book.alerts), f"alerts of book {number}")  # noqa: B023
            assert live.alerts(number) == book.alerts
            assert book.alerts, f"book {number} had nothing to say"
    crossed = books[0].received + books[1].received + 2
    assert crossed > len(records) / 2, f"hardly anything crossed the books: {crossed} remittances"
    assert sum(book.fold.counts["rejected"] for book in books) == 0
    assert imbalances(book.fold.engine for book in books) == {}
    assert underway_minor(book.fold.engine for book in books) == {}
