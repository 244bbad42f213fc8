"""Two books, each with a worker, on a real Kafka.

Where what one book remits is there before the money moves on, the alerts are those of one book. In a rush they need not be
(tests/properties/test_books.py bounds how many differ); then each book still says what its own journal says, whatever the
order in which the books' records met there, and the money that was under way has arrived.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

from detectors.books import Books
from detectors.configuration import Configuration
from detectors.engine import ENGINE_VERSION
from detectors.events import Fault
from streams.codec import decode
from streams.files.replay import replay
from streams.live.fold import BookFold, generation_of
from streams.live.journal import decode_page
from streams.settings import load_settings
from streams.simulate.world import simulate
from tests.broker.live_run import ALERTS, JOURNAL, LiveRun, Worker, records_of, wait_until
from tests.broker.shared import Reached
from tests.properties.many_books import Bank, imbalances, underway_minor

BY_KIND = r"^(\d)"
"""Accounts of persons and of firms are in different books: what crosses is what loan money is spent on."""

SECTIONS = f"[intake]\nlinger_ms = 1\n[books]\npattern = '{BY_KIND}'\n"
WORKERS = ("first", "second")


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


def is_settled(live: LiveRun, workers: list[Worker], sent: int) -> bool:
    """Everything that was sent is journalled, and all that follows from it in either book is published and folded.

    Each worker has published what its pages said; only then are the journals' ends asked for, so that a page that another
    worker wrote meanwhile is seen.
    """
    told = [worker.metrics() for worker in workers]
    if sum(metrics['fundtrail_intake_records_total{outcome="journalled"}'] for metrics in told) < sent:
        return False
    folded = {}
    for metrics in told:
        offsets = {name: value for name, value in metrics.items() if name.startswith("fundtrail_journal_offset{")}
        if metrics["fundtrail_page_seconds_count"] != sum(offsets.values()):
            return False
        folded.update(offsets)
    return all(folded.get(f'fundtrail_journal_offset{{book="{book}"}}') == live.end(JOURNAL, book) for book in (0, 1))


def until_settled(live: LiveRun, workers: list[Worker], sent: int) -> None:
    """Waits for :func:`is_settled`."""
    wait_until(lambda: is_settled(live, workers, sent), f"rest after {sent} records", pause_s=0.005)


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
    with two_books(broker, prefix, tmp_path) as (live, workers):
        for end, batch in zip(accumulate(map(len, batches)), batches, strict=True):
            live.send(batch, first=end - len(batch))
            until_settled(live, workers, end)
        assert sorted(live.alerts(0) + live.alerts(1)) == sorted(expected)


def _until_something_crosses(
    configuration: Configuration, records: list[tuple[str, bytes]]
) -> Iterator[list[tuple[str, bytes]]]:
    """The records, each batch up to one from which something follows for another book."""
    bank, batch = Bank(configuration, 2, BY_KIND), []
    for topic, value in records:
        event = decode(topic, value)
        assert not isinstance(event, Fault)
        before = bank.remittances
        bank.read(event)
        batch.append((topic, value))
        if bank.remittances > before:
            yield batch
            batch = []
    yield batch


def test_in_a_rush_each_book_says_what_its_journal_says_and_no_money_is_lost_on_the_way(
    broker: Reached, prefix: str, tmp_path: Path
) -> None:
    """A month of payments in seconds: the books overtake each other by days of event time, which real time never does."""
    records = bank_of(tmp_path, loans=100, days=30, seed=7)
    with two_books(broker, prefix, tmp_path, "") as (live, workers):
        live.send(records)
        until_settled(live, workers, len(records))
        folds = []
        for book in (0, 1):
            fold, alerts = _refolded(live, book)
            assert live.alerts(book) == alerts
            assert alerts, f"book {book} had nothing to say"
            folds.append(fold)
    crossed = sum(fold.counts["journalled"] for fold in folds) - len(records) - _told_to_both(records)
    assert crossed > len(records) / 2, f"hardly anything crossed the books: {crossed} remittances"
    assert sum(fold.counts["repeated"] + fold.counts["rejected"] for fold in folds) == 0
    assert imbalances(fold.engine for fold in folds) == {}
    assert underway_minor(fold.engine for fold in folds) == {}


def _told_to_both(records: list[tuple[str, bytes]]) -> int:
    """Records that concern no account are journalled in each book."""
    return sum(topic not in ("account-transactions", "loan-disbursements") for topic, _ in records)


def _refolded(live: LiveRun, book: int) -> tuple[BookFold, list[bytes]]:
    """A book's journal folded in this process, and the alerts that follow."""
    configuration, layout = load_settings().engine, Books(2, book)
    fold = BookFold(book, configuration, generation_of(ENGINE_VERSION, configuration, layout), books=layout)
    said = [one for message in live.read(JOURNAL, book) for one in fold.fold(message.offset, decode_page(message.value))]
    return fold, [one.entry.value for one in said if one.topic == ALERTS]
