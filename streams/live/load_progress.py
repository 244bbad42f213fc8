"""How far a load has come: a small file says where it began, the broker says what arrived."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from kafka import TopicPartition

from streams.files.inputs import InputError, TopicFile
from streams.live.names import ORDER_HEADER
from streams.live.trouble import BrokerTrouble

if TYPE_CHECKING:
    from kafka import KafkaConsumer

ENDS_BYTES = 64 << 10
"""How much of a file's beginning and end tells it from others of the same name and length."""

LOOK_BACK_RECORDS = 64
LOOK_BACK_RECORDS_MAX = 10_000
"""How far from its end a partition is searched for an earlier load's numbers: other senders need not number their records."""

SETTLE_SECONDS = 0.2
"""A killed load's last request may still be on its way: the ends of the partitions must stand still for so long."""

Place = tuple[str, int]
"""A partition: topic without prefix, number."""


class Arrived(NamedTuple):
    """What stands in a partition of a load that was interrupted."""

    number: int  # the last one
    records_max: int  # how many of this load it can be at most


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """The file. ``digest`` names input and topics; ``first`` is the number of the first record."""

    digest: str
    files: tuple[str, ...]
    lanes: int
    first: int
    begins: dict[str, int]  # "topic/partition" -> the offset at which this load began
    sent: int = 0  # acknowledged when this was written; for people
    finished: bool = False


def load_digest(files: Sequence[TopicFile], cluster_id: str, topics: Iterable[Mapping[str, Any]]) -> str:
    """Names one input on its way into certain topics: topics that were created anew are others."""
    digest = hashlib.sha256()
    for file in files:
        size = file.path.stat().st_size
        with file.path.open("rb") as content:
            ends = content.read(ENDS_BYTES)
            content.seek(max(0, size - ENDS_BYTES))
            ends += content.read(ENDS_BYTES)
        digest.update(f"{file.path.name}\0{size}\0".encode() + ends)
    digest.update(cluster_id.encode())
    for topic in topics:
        digest.update(f"\0{topic['name']}\0{topic['topic_id']}".encode())
    return digest.hexdigest()


def progress_path(digest: str) -> Path:
    """Where a load keeps its progress when nothing else is said: in the current folder."""
    return Path(".fundtrail-load") / f"{digest[:16]}.json"


def read_progress(path: Path) -> Load | None:
    """What the file says; None when there is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Load)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise InputError(f"{path}: this is no progress of a load ({error}). Name another file with --progress.") from error


def write_progress(path: Path, load: Load) -> None:
    """Replace the file at one stroke; it is durable when this returns."""
    unfinished = path.with_name(path.name + ".unfinished")
    with unfinished.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(load), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Two loads of the same input would send everything twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{path}: another load with this progress is running. Wait for it, or stop it.") from error
        yield


def begin(consumer: KafkaConsumer, places: Mapping[Place, TopicPartition]) -> tuple[int, dict[str, int]]:
    """The number of a load's first record, behind all that stand in the topics, and the offsets at which it begins."""
    ends = _settled_ends(consumer, list(places.values()))
    last = (
        _last_number(consumer, partition, max(0, ends[partition] - LOOK_BACK_RECORDS_MAX), ends[partition], 0)
        for partition in places.values()
    )
    first = max((number + 1 for number in last if number is not None), default=0)
    return first, {f"{topic}/{lane}": ends[partition] for (topic, lane), partition in places.items()}


def arrived_so_far(consumer: KafkaConsumer, places: Mapping[Place, TopicPartition], state: Load) -> dict[Place, Arrived]:
    """How far an interrupted load has come, in each partition in which anything of it stands.

    Raises:
        BrokerTrouble: the broker has deleted what would say it.
    """
    ends = _settled_ends(consumer, list(places.values()))
    found = {}
    for (topic, lane), partition in places.items():
        begin, end = state.begins[f"{topic}/{lane}"], ends[partition]
        number = _last_number(consumer, partition, begin, end, state.first)
        if number is not None:
            found[topic, lane] = Arrived(number, end - begin)
        elif (kept := consumer.beginning_offsets([partition])[partition]) > begin:
            raise BrokerTrouble(
                f"{partition.topic}/{partition.partition}: the broker has deleted the {kept - begin:,} messages that could say "
                "where an interrupted load has to go on. Lengthen retention.ms, remove the load's progress file, and load "
                "again: records sent twice are counted as duplicates."
            )
    return found


def _settled_ends(consumer: KafkaConsumer, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """The end of each partition, once nothing more arrives."""
    while True:
        ends: dict[TopicPartition, int] = dict(consumer.end_offsets(partitions))
        time.sleep(SETTLE_SECONDS)
        if consumer.end_offsets(partitions) == ends:
            return ends


def _last_number(consumer: KafkaConsumer, partition: TopicPartition, begin: int, end: int, first: int) -> int | None:
    """The greatest number >= ``first`` that stands in a partition between two offsets; None when there is none.

    Numbers rise within a partition, so it is the last one; others may have sent records without a number behind it.
    """
    kept = max(begin, consumer.beginning_offsets([partition])[partition])
    span, upto = LOOK_BACK_RECORDS, end
    while upto > kept:
        start = max(kept, end - span)
        numbers = [number for number in _numbers(consumer, partition, start, upto) if number >= first]
        if numbers:
            return max(numbers)
        span, upto = span * 8, start
    return None


def _numbers(consumer: KafkaConsumer, partition: TopicPartition, start: int, end: int) -> list[int]:
    """The numbers of the records from ``start`` up to ``end``."""
    consumer.assign([partition])
    consumer.seek(partition, start)
    found: list[int] = []
    patience = consumer.config["request_timeout_ms"] / 1000
    silent_until = time.monotonic() + patience
    while consumer.position(partition) < end:
        records = consumer.poll(timeout_ms=500).get(partition, [])
        found += [number for record in records if record.offset < end and (number := number_of(record.headers)) is not None]
        if records:
            silent_until = time.monotonic() + patience
        elif time.monotonic() > silent_until:
            raise BrokerTrouble(f"{partition.topic}/{partition.partition}: the broker sends nothing. Look whether it is well.")
    return found


def number_of(headers: Iterable[tuple[str, bytes]]) -> int | None:
    """The number in a record's header; None when it has none."""
    for name, value in headers:
        if name == ORDER_HEADER and value.isdigit():
            return int(value)
    return None
