"""Load: topic files onto the source topics, in the order of a replay, resumable to the record.

Each record carries its number in the header ``fundtrail-order``. Within a partition numbers rise, and what has arrived is
always a beginning of what was sent there (idempotent, one request under way at a time). So the last number in a partition
says how far it has come, and a load that was killed goes on behind it.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from kafka import TopicPartition
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from streams.files.inputs import InputError, Inputs, find_topic_files
from streams.files.readers import open_sources
from streams.live.connection import Connection, admin_of, consumer_of, producer_of
from streams.live.load_progress import (
    Arrived,
    Load,
    Place,
    arrived_so_far,
    begin,
    load_digest,
    one_at_a_time,
    progress_path,
    read_progress,
    write_progress,
)
from streams.live.names import FOLLOWS_HEADER, ORDER_HEADER, SOURCES, topic_name
from streams.live.sendable import Course, Message, messages
from streams.live.topics import Topic, described, partition_mistakes, present_topics
from streams.live.trouble import BrokerTrouble

if TYPE_CHECKING:
    from kafka import KafkaProducer
    from rich.console import Console

UNACKNOWLEDGED_RECORDS_MAX = 20_000
UNACKNOWLEDGED_BYTES_MAX = 32 << 20
"""How much may be under way. Beyond it, load waits: the client itself would take everything into memory."""

BATCH_BYTES = 256 << 10
LINGER_MS = 20
STALL_SECONDS_MAX = 60
"""How long the broker may acknowledge nothing before load gives up. Running it again goes on where it stopped."""

NEVER_MS = 2**31 - 1
MESSAGE_SLACK_BYTES = 4 << 10
"""What a message holds besides its value: key, header, Kafka's own frame."""

PRODUCER = {
    "linger_ms": LINGER_MS,
    "batch_size": BATCH_BYTES,
    "max_in_flight_requests_per_connection": 1,
    "delivery_timeout_ms": NEVER_MS,  # a message given up while later ones go on would leave a gap
    "max_block_ms": STALL_SECONDS_MAX * 1000,
}

DRAIN_RECORDS = 256
WRITE_SECONDS = 2.0
SHOW_SECONDS = 0.2
Show = Callable[[int, int | None], None]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Loaded:
    """What a load did. ``records = sent + already``."""

    sent: int
    already: int  # sent by a run before this one
    undecodable: int  # lines that are no record; sent all the same, for intake to reject
    cut: int  # undecodable lines of which only the beginning was sent
    seconds: float
    files: tuple[str, ...]
    ignored_files: tuple[str, ...]
    damaged_files: tuple[str, ...]
    progress: Path

    @property
    def records_per_second(self) -> int:
        """How fast this run sent."""
        return round(self.sent / max(self.seconds, 1e-9))


@dataclass(frozen=True)
class _Plan:
    """What there is to do: the files, where they go, where this load stands."""

    inputs: Inputs
    prefix: str
    lanes: int
    bytes_max: int  # longest value that every source topic takes
    progress: Path
    state: Load
    arrived: dict[Place, Arrived]


def load(
    paths: Sequence[Path],
    connection: Connection,
    *,
    speed: float | None = None,
    progress: Path | None = None,
    console: Console | None = None,
) -> Loaded:
    """Send topic files to the source topics; run again, it goes on where it stopped.

    ``speed`` is event time per time, None as fast as possible. Messages have the present as Kafka's timestamp, or the broker
    would delete old records at once. ``console`` (a terminal) gets progress.

    Raises:
        InputError: the input cannot be read, or the progress belongs to another load.
        BrokerTrouble: topics that are missing or do not fit, or a broker that fails.
    """
    started = time.perf_counter()
    with _planned(paths, connection, progress) as plan:
        course = Course()
        sender = _Sender(plan, speed)
        if not plan.state.finished:
            sources = open_sources(plan.inputs.files)
            with producer_of(connection, **PRODUCER) as producer, _shown(console) as show:
                for message in messages(sources, plan.lanes, plan.bytes_max, course, plan.state.first):
                    sender.send(producer, message, show)
                sender.finish()
    return Loaded(
        sent=sender.sent,
        already=plan.state.sent if plan.state.finished else sum(sender.skipped.values()),
        undecodable=course.undecodable,
        cut=course.cut,
        seconds=time.perf_counter() - started,
        files=plan.state.files,
        ignored_files=plan.inputs.ignored,
        damaged_files=tuple(sorted(course.damaged_files)),
        progress=plan.progress,
    )


@contextmanager
def _planned(paths: Sequence[Path], connection: Connection, progress: Path | None) -> Iterator[_Plan]:
    """The plan, as long as nobody else carries it out."""
    inputs = _loadable(find_topic_files(paths))
    prefix = connection.settings.prefix
    with admin_of(connection) as admin:
        topics = present_topics(admin, prefix, SOURCES)
        lanes, bytes_max = _check_topics(topics, inputs, prefix)
        digest = load_digest(inputs.files, admin.describe_cluster()["cluster_id"], described(admin, prefix, topics))
    path = progress or progress_path(digest)
    with one_at_a_time(path):
        state = read_progress(path)
        if state is not None and (state.digest, state.lanes) != (digest, lanes):
            raise InputError(_of_another_load(path, state.lanes, lanes))
        places = {(topic, lane): TopicPartition(topic_name(prefix, topic), lane) for topic in topics for lane in range(lanes)}
        arrived: dict[Place, Arrived] = {}
        with consumer_of(connection) as consumer:
            if state is None:
                files = tuple(file.name for file in inputs.files)
                first, begins = begin(consumer, places)
                state = Load(digest=digest, files=files, lanes=lanes, first=first, begins=begins)
                write_progress(path, state)
            elif not state.finished:
                arrived = arrived_so_far(consumer, places, state)
        yield _Plan(inputs, prefix, lanes, bytes_max, path, state, arrived)


def _loadable(inputs: Inputs) -> Inputs:
    """Without ticks: intake makes them itself."""
    ticks = tuple(file.name for file in inputs.files if file.topic not in SOURCES)
    files = tuple(file for file in inputs.files if file.topic in SOURCES)
    if not files:
        raise InputError(f"{', '.join(ticks)}: ticks are not loaded, intake makes them. Name files of other topics.")
    return Inputs(files, (*inputs.ignored, *ticks))


def _check_topics(topics: dict[str, Topic], inputs: Inputs, prefix: str) -> tuple[int, int]:
    """The number of lanes, and the longest value that every source topic takes."""
    missing = [topic_name(prefix, file.topic) for file in inputs.files if file.topic not in topics]
    if missing:
        told = ", ".join(dict.fromkeys(missing))
        raise BrokerTrouble(f"not there: {told}. `fundtrail topics create` makes the topics (or correct the prefix).")
    mistakes = partition_mistakes({name: topic.partitions for name, topic in topics.items()})
    if mistakes:
        raise BrokerTrouble(f"{mistakes[0]}. Add partitions with kafka-topics --alter.")
    lanes = max(topic.partitions for topic in topics.values())
    return lanes, min(int(topic.config["max.message.bytes"]) for topic in topics.values()) - MESSAGE_SLACK_BYTES


def _of_another_load(path: Path, lanes_then: int, lanes: int) -> str:
    why = f"{lanes_then} lanes, which are {lanes} now" if lanes != lanes_then else "other files, or topics created anew since"
    return (
        f"{path}: this is the progress of another load ({why}). Name another file with --progress, or remove this one to send "
        "everything from the start; what was sent before is then counted as duplicates."
    )


class _Sender:
    """Sends what has not arrived yet, at the asked speed, with a bounded amount under way."""

    def __init__(self, plan: _Plan, speed: float | None) -> None:
        self.sent = 0
        self._last_of_lane: dict[int, int] = {}
        self.skipped: Counter[Place] = Counter()  # sent by a run before this one
        self._names = {topic: topic_name(plan.prefix, topic) for topic in SOURCES}
        self._plan = plan
        self._pace = _Pace(speed)
        self._under_way: deque[tuple[Any, int]] = deque()  # the client's promise, and the bytes
        self._bytes_under_way = 0
        self._write_at = time.monotonic() + WRITE_SECONDS

    def send(self, producer: KafkaProducer, message: Message, show: Show) -> None:
        """Send one message, unless it has arrived before."""
        place = (message.topic, message.partition)
        before = self._last_of_lane.get(message.partition, -1)
        self._last_of_lane[message.partition] = message.number
        arrived = self._plan.arrived.get(place)
        if arrived is not None and message.number <= arrived.number:
            self.skipped[place] += 1
            return
        if len(message.value) > self._plan.bytes_max:
            raise BrokerTrouble(_too_long(self._names[message.topic], len(message.value)))
        if message.event_time_ms is not None:
            self._wait_for(message.event_time_ms, show)
        headers = [(ORDER_HEADER, b"%d" % message.number), (FOLLOWS_HEADER, b"%d" % before)]
        name = self._names[message.topic]
        promise = producer.send(name, message.value, message.key, headers=headers, partition=message.partition)
        self._under_way.append((promise, len(message.value)))
        self._bytes_under_way += len(message.value)
        self.sent += 1
        if self.sent % DRAIN_RECORDS == 0 or self._bytes_under_way > UNACKNOWLEDGED_BYTES_MAX:
            self._drain()
            show(self.sent, message.event_time_ms)

    def finish(self) -> None:
        """Wait until everything is acknowledged, and write down that nothing is left to send.

        Raises:
            BrokerTrouble: less stands in a partition than was sent there.
        """
        self._drain(leave=0)
        for place, count in self.skipped.items():
            there = self._plan.arrived[place].records_max
            if count > there:
                name = f"{self._names[place[0]]}/{place[1]}"
                raise BrokerTrouble(
                    f"{name}: {count - there:,} records of an interrupted load are missing among those before its last one. "
                    f"Remove {self._plan.progress} and load again: records sent twice are counted as duplicates."
                )
        self._write(finished=True)

    def _wait_for(self, event_time_ms: int, show: Show) -> None:
        while (seconds := self._pace.seconds_until(event_time_ms)) > 0:
            self._drain()
            show(self.sent, event_time_ms)
            time.sleep(min(seconds, SHOW_SECONDS))

    def _drain(self, leave: int = UNACKNOWLEDGED_RECORDS_MAX) -> None:
        """Forget what is acknowledged, and wait for more of it while too much is under way. Raises what a sending raised."""
        while self._under_way:
            promise, size = self._under_way[0]
            too_much = len(self._under_way) > leave or self._bytes_under_way > UNACKNOWLEDGED_BYTES_MAX
            if not promise.is_done and not too_much:
                break
            promise.get(timeout=STALL_SECONDS_MAX)
            self._under_way.popleft()
            self._bytes_under_way -= size
        if time.monotonic() >= self._write_at:
            self._write()

    def _write(self, *, finished: bool = False) -> None:
        self._write_at = time.monotonic() + WRITE_SECONDS
        acknowledged = sum(self.skipped.values()) + self.sent - len(self._under_way)
        write_progress(self._plan.progress, msgspec.structs.replace(self._plan.state, sent=acknowledged, finished=finished))


def _too_long(name: str, length: int) -> str:
    return (
        f"{name} takes no record of {length:,} bytes: raise its max.message.bytes with kafka-configs --alter; then load again."
    )


class _Pace:
    """Event time against the clock: the first record sent is due at once, the others at their distance divided by the speed."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._began: tuple[int, float] | None = None

    def seconds_until(self, event_time_ms: int) -> float:
        """How long a record has to wait; not above 0 when it is due."""
        if self._speed is None:
            return 0
        if self._began is None:
            self._began = (event_time_ms, time.monotonic())
        first_ms, began = self._began
        return began + (event_time_ms - first_ms) / 1000 / self._speed - time.monotonic()


@contextmanager
def _shown(console: Console | None) -> Iterator[Show]:
    """What a load tells on a terminal while it runs; nothing elsewhere."""
    if console is None or not console.is_terminal:
        yield lambda sent, event_time_ms: None
        return
    started = time.perf_counter()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("reading", total=None)

        def show(sent: int, event_time_ms: int | None) -> None:
            rate = sent / max(time.perf_counter() - started, 1e-9)
            reached = f" · {_EPOCH + timedelta(milliseconds=event_time_ms):%Y-%m-%d %H:%M}" if event_time_ms is not None else ""
            progress.update(task, description=f"{sent:,} sent · {rate:,.0f}/s{reached}")

        yield show
