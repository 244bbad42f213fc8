"""A small feed as a journal on a broker, with what a worker under it would have published."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from detectors.engine import ENGINE_VERSION
from streams.live.fold import BookFold, Said, generation_of
from streams.live.journal import PAGE_VERSION, Page, Record, Span, encode_page
from streams.live.log import Entry, Stored
from streams.settings import load_settings
from tests.unit.feed_sample import jsonl, misused_loans, read_all, write


class Source(NamedTuple):
    """One record of a source topic."""

    topic: str
    value: bytes


def feed(folder: Path, loans: int = 6) -> Path:
    """Topic files: loans that go to a broker, and among the payments a record that the fold rejects."""
    payouts, transfers = misused_loans(loans)
    contradiction = {**transfers[10], "amount_minor": 7, "source_seq": 10_000}
    write(folder / "loan-disbursements.jsonl", jsonl(payouts))
    write(folder / "account-transactions.jsonl", jsonl([*transfers, contradiction]))
    return folder


def in_order(folder: Path) -> list[Source]:
    """The records of a folder as the replay of it would apply them."""
    rows, rejects = read_all(folder)
    assert not rejects
    topics = {"LoanDisbursement": "loan-disbursements", "AccountTransaction": "account-transactions"}
    return [Source(topics[type(row[5]).__name__], row[6]) for row in rows if isinstance(row[6], bytes)]


def pages(sources: Sequence[Source], page_records: int = 40, after: Counter[str] | None = None) -> list[Page]:
    """The records as pages of one lane, in order."""
    after = after if after is not None else Counter()
    made = []
    for first in range(0, len(sources), page_records):
        some = sources[first : first + page_records]
        topics = sorted({source.topic for source in some})
        before = dict(after)
        records = []
        for source in some:
            records.append(Record(topics.index(source.topic), after[source.topic], source.value))
            after[source.topic] += 1
        spans = [Span(topic, 0, before.get(topic, 0) - 1, after[topic] - 1) for topic in topics]
        made.append(Page(PAGE_VERSION, 1_767_000_000_000, spans, records))
    return made


def make_topics(bootstrap: str, prefix: str, partitions: dict[str, int]) -> None:
    """Topics with these numbers of partitions."""
    with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
        admin.create_topics({prefix + name: {"num_partitions": n} for name, n in partitions.items()}, wait_for_metadata=True)


def produce(
    bootstrap: str, topic: str, entries: Iterable[Entry], partition: int = 0, timestamps_ms: Iterable[int] | None = None
) -> list[int]:
    """Append to a partition; returns the offsets."""
    times = iter(timestamps_ms) if timestamps_ms is not None else None
    with KafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        futures = [
            producer.send(
                topic, partition=partition, key=entry.key, value=entry.value, headers=list(entry.headers),
                timestamp_ms=next(times) if times is not None else None,
            )
            for entry in entries
        ]  # fmt: skip
        return [future.get(30).offset for future in futures]


def produce_pages(
    bootstrap: str, prefix: str, some: Sequence[Page], book: int = 0, timestamps_ms: Iterable[int] | None = None
) -> None:
    """Append pages to a book of the journal."""
    produce(bootstrap, f"{prefix}journal", [Entry(None, encode_page(page)) for page in some], book, timestamps_ms)


def fold_of(some: Sequence[Page], book: int = 0) -> list[Said]:
    """What follows from these pages, under the shipped settings."""
    configuration = load_settings(None).engine
    fold = BookFold(book, configuration, generation_of(ENGINE_VERSION, configuration))
    return [message for offset, page in enumerate(some) for message in fold.fold(offset, page)]


def publish_live(bootstrap: str, prefix: str, some: Sequence[Page], book: int = 0) -> None:
    """Publish what a worker would have said to these pages."""
    said = fold_of(some, book)
    for topic in ("alerts", "loan-risk", "portfolio", "rejects"):
        produce(bootstrap, prefix + topic, [message.entry for message in said if message.topic == topic], book)


def messages(bootstrap: str, topic: str, partition: int = 0) -> list[Stored]:
    """Everything in a partition."""
    found: list[Stored] = []
    with KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False) as consumer:
        tp = TopicPartition(topic, partition)
        consumer.assign([tp])
        consumer.seek_to_beginning(tp)
        end = consumer.end_offsets([tp])[tp]
        deadline = time.monotonic() + 30
        while consumer.position(tp) < end and time.monotonic() < deadline:
            for record in consumer.poll(timeout_ms=200).get(tp, ()):
                found.append(Stored(record.offset, record.timestamp, record.key, record.value, tuple(record.headers)))
    return found


def groups_on(bootstrap: str, topic: str) -> set[str]:
    """Consumer groups that have members on a topic or offsets committed in it."""
    with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
        names = [group["group_id"] for group in admin.list_groups()]
        committed = {name: admin.list_group_offsets({name: None})[name] for name in names}
        members = {name: str(described["members"]) for name, described in admin.describe_groups(names).items()}
    return {name for name in names if any(tp.topic == topic for tp in committed[name]) or topic in members[name]}


def settings_file(folder: Path, prefix: str, more: str = "") -> Path:
    """A settings file that names the prefix."""
    return write(
        folder / f"settings{len(list(folder.glob('settings*')))}.toml", f'{more}\n[kafka]\nprefix = "{prefix}"\n'.encode()
    )
