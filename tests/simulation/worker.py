"""A simulated worker process: the real stages, each behind a consumer whose fetches and rebalances the world decides."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from faust.types import TP

from streams.live.batches import Batch, BatchConsumer
from streams.live.detect_stage import DetectStage
from streams.live.fault_points import FaultPoints
from streams.live.intake_stage import IntakeStage
from streams.live.log import Entry, Headers, Stored
from streams.live.names import JOURNAL, SOURCES
from streams.live.pause_guard import PauseGuard
from tests.simulation.broker import Group, Mail
from tests.simulation.loop import Killed, Process, Task

if TYPE_CHECKING:
    from tests.simulation.machine import CheckpointChild, StateFile
    from tests.simulation.world import World

BATCHES_QUEUED_MAX = 4
COMMIT_MS = 60
FETCH_EVERY_MS = 20
FETCH_IDLE_MS = 40


class SendFailed(Exception):
    """The broker could not be had."""


class Fetched(NamedTuple):
    """A record as aiokafka has it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: Headers


class KillingPoints(FaultPoints):
    """Fault points that the plan has armed."""

    def __init__(self, world: World, process: Process) -> None:
        super().__init__()
        self.world = world
        self.process = process

    def reach(self, name: str) -> None:
        """Die here, if the plan says so."""
        self.world.trace(self.process.name, "reaches", name)
        if self.world.weather.kills_at(name):
            raise Killed(name)


class Request:
    """An append on its way to the broker."""

    def __init__(self, topic: str, partition: int, entries: list[Entry], stands: int, *, is_told: bool) -> None:
        self.topic = topic
        self.partition = partition
        self.entries = entries
        self.stands = stands  # how many of the entries will stand in the log
        self.is_told = is_told  # whether the caller is told of success
        self.has_landed = False


class WorkerLog:
    """The log as one process has it: requests that take time, fail, and land although their sender is dead."""

    def __init__(self, world: World, worker: Worker) -> None:
        self.world = world
        self.worker = worker
        self.under_way: list[Request] = []

    async def append(self, topic: str, partition: int, entries: Sequence[Entry]) -> int:
        """As :class:`streams.live.log.Log` says."""
        world, weather = self.world, self.world.weather
        request = Request(topic, partition, list(entries), len(entries), is_told=True)
        if weather.strikes(world.plan.append_failure_share):
            request.stands, request.is_told = weather.random.randint(0, len(entries)), False
        done = world.loop.create_future()
        self.under_way.append(request)
        world.loop.after_ms(weather.random.random() * world.plan.append_ms_max, None, self.land, request, done)
        first = await done
        return int(first)

    async def tail(self, topic: str, partition: int, count: int) -> Sequence[Stored]:
        """As :class:`streams.live.log.Log` says."""
        done = self.world.loop.create_future()
        wait_ms = self.world.weather.random.random() * self.world.plan.ask_ms_max
        self.world.loop.after_ms(wait_ms, None, self._read, topic, partition, count, done)
        found: Sequence[Stored] = await done
        return found

    def land(self, request: Request, done: Any) -> None:
        """The broker has it; the sender hears so a little later."""
        if request.has_landed:
            return
        request.has_landed = True
        self.under_way.remove(request)
        entries = request.entries[: request.stands]
        first = self.world.partitions.store(request.topic, request.partition, entries, self.worker)
        wait_ms = self.world.weather.random.random() * 5
        self.world.loop.after_ms(wait_ms, self.worker, self._tell, done, first, request.is_told)

    def settle(self) -> None:
        """The sender is dead: what is under way has landed, in part or not at all; or it still will."""
        weather = self.world.weather
        for request in list(self.under_way):
            if weather.strikes(self.world.plan.late_landing_share):
                continue
            request.stands = min(request.stands, weather.random.randint(0, len(request.entries)))
            self.land(request, None)

    @staticmethod
    def _tell(done: Any, first: int, is_told: bool) -> None:
        if done.done():
            return
        if is_told:
            done.set_result(first)
        else:
            done.set_exception(SendFailed("no acknowledgement"))

    def _read(self, topic: str, partition: int, count: int, done: Any) -> None:
        found = list(self.world.partitions.of(topic, partition)[-count:])
        wait_ms = self.world.weather.random.random() * self.world.plan.ask_ms_max
        self.world.loop.after_ms(wait_ms, self.worker, _answer, done, found)


class SimConsumer:
    """What Faust's consumer is to a stage, and a member of its group. Offers and commits with the product's own code."""

    # Any, because mypy cannot know that a method which is lent finds all that it asks of its new owner
    perform_seek: Any = BatchConsumer.perform_seek
    expect_reading: Any = BatchConsumer.expect_reading
    _next_round: Any = BatchConsumer._next_round
    reads: Any = BatchConsumer.reads
    force_commit: Any = BatchConsumer.force_commit

    def __init__(self, world: World, worker: Worker, stage: Any, group: Group, topics: Sequence[str]) -> None:
        self.world = world
        self.process = worker
        self.stage = stage
        self.group = group
        self.topics = tuple(topics)
        self.name = f"{worker.name}/{group.name}"
        self.mail: deque[Mail] = deque()
        self.unread: deque[Mail] = deque()
        self.is_kicked = False
        self.numbers: tuple[int, ...] = ()
        self.generation = -1
        self.flows = False
        self.positions: dict[TP, int] = {}
        self.ends: dict[TP, int] = {}
        self.fetched: dict[TP, int] = {}
        self.reading: int | None = None
        self.rounds = 0
        self.is_assigned = False
        self.fetching = asyncio.Lock()
        self.queues: dict[str, deque[tuple[int, TP, Batch]]] = {topic: deque() for topic in topics}
        self.seeking: Task | None = None
        self._committed_offset: dict[TP, int | None] = {}
        self._read_offset: dict[TP, int | None] = {}
        self._mailbox: Any = None
        self._bells: dict[str, Any] = {}
        stage.consumer = self

    def start(self) -> None:
        """Answer the group, feed the agents, commit."""
        self.process.start(self._answer_mail())
        self.process.start(self._commit_for_ever())
        for topic in self.topics:
            self.process.start(self._agent(topic))
        self.process.start(self._drain())

    # --- what a stage asks --------------------------------------------------------------------------------------------

    def assignment(self) -> dict[TP, None]:
        """The partitions of this member; a dict, because the order of a set of texts differs from run to run."""
        return {TP(topic, number): None for number in self.numbers for topic in self.topics}

    async def earliest_offsets(self, *tps: TP) -> Mapping[TP, int]:
        """Where the partitions begin."""
        await self._pause(self.world.plan.ask_ms_max)
        return {tp: self.world.partitions.begin(*tp) for tp in tps}

    async def committed_notes(self, *tps: TP) -> dict[TP, str]:
        """What stands beside the committed offsets."""
        await self._pause(3)
        return {tp: self.group.notes[tp] for tp in tps if tp in self.group.notes}

    def end_and_position(self, tp: TP) -> tuple[int | None, int | None]:
        """As the last fetch saw it."""
        return self.ends.get(tp), self.positions.get(tp)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """What the group has committed."""
        await self._pause(3)
        return {tp: self.group.committed[tp] for tp in self.assignment() if tp in self.group.committed}

    async def seek_wait(self, positions: Mapping[TP, int]) -> None:
        """Read on from there."""
        await self._pause(3)
        self.positions.update(positions)

    async def _commit_offsets(self, offsets: Mapping[TP, int]) -> bool:
        generation, notes = self.generation, {tp: self.stage.note(tp) for tp in offsets}
        await self._pause(5)
        taken = self.group.commit(self, generation, offsets)
        if taken:
            self.group.notes.update(notes)
        await self._pause(5)
        if taken:
            self._committed_offset.update(offsets)
        return taken

    async def _pause(self, wait_ms_max: float) -> None:
        done = self.world.loop.create_future()
        self.world.loop.after_ms(self.world.weather.random.random() * wait_ms_max, self.process, _answer, done, None)
        await done

    # --- the group ----------------------------------------------------------------------------------------------------

    def read_mail(self) -> None:
        """One message more has come."""
        self.unread.append(self.mail.popleft())
        if self._mailbox is not None and not self._mailbox.done():
            self._mailbox.set_result(None)

    async def _answer_mail(self) -> None:
        while True:
            while not self.unread:
                self._mailbox = self.world.loop.create_future()
                await self._mailbox
            mail = self.unread.popleft()
            self.world.trace(self.name, mail.what, mail.number, list(mail.numbers))
            if mail.what == "assigned":
                self._begin(mail.number, tuple(mail.numbers))
                continue
            await self._let_go()
            if mail.what == "rebalance":
                self.group.rejoin(self, mail.number)
            elif self not in self.group.members:
                self.group.join(self)

    async def _let_go(self) -> None:
        """What Faust does when partitions are revoked; a batch at work and a seek under way go on."""
        self.expect_reading(is_assigned=False)
        revoked = self.assignment()
        self.flows = False
        for queue in self.queues.values():
            queue.clear()
        self._committed_offset.clear()
        await self._pause(2)
        letting_go = self.stage.revoked(set(revoked))
        if inspect.isawaitable(letting_go):
            await letting_go

    def _begin(self, generation: int, numbers: tuple[int, ...]) -> None:
        """A new generation: a seek of the one before is cancelled; where the stage says, reading begins."""
        self.expect_reading(is_assigned=True)
        if self.seeking is not None:
            self.world.loop.soon(self.process, self.seeking.cancel)
        self.generation, self.numbers = generation, numbers
        tps = self.assignment()
        self.positions = {tp: self.group.committed.get(tp, self.world.partitions.begin(*tp)) for tp in tps}
        self.ends = {}
        asks = self.perform_seek() if numbers else self.stage.assigned({})
        self.seeking = self.process.start(asks, self._flow)

    def _flow(self, _: Any) -> None:
        self.flows, self.seeking = True, None

    # --- records ------------------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """What Faust's fetcher does: one request after another, each answer to the queues of the agents."""
        while True:
            if not self.flows:
                await self._pause(FETCH_EVERY_MS)
                continue
            batches = await self._getmany()
            for tp, batch in batches.items():
                if self.flows:
                    self.queues[tp.topic].append((self.generation, tp, batch))
                    bell = self._bells.get(tp.topic)
                    if bell is not None and not bell.done():
                        bell.set_result(None)
            await self._pause(0.1 if batches else FETCH_IDLE_MS)

    async def _getmany(self) -> dict[TP, Batch]:
        """What the thread's consumer hands out has left it: the next request reads on behind it."""
        async with self.fetching:
            reading = self.reading
            await self._pause(self.world.plan.fetch_ms_max)
            found = self._hand_out()
            await self._pause(2)
        return {tp: Batch(reading, records) for tp, records in found.items()}

    def _hand_out(self) -> dict[TP, list[Any]]:
        found: dict[TP, list[Any]] = {}
        for tp in self.assignment():
            if len(self.queues[tp.topic]) < BATCHES_QUEUED_MAX and tp in self.positions:
                batch = self._records(tp)
                if batch:
                    found[tp] = batch
                    self.positions[tp] = batch[-1].offset + 1
                    self.fetched[tp] = batch[-1].offset
        return found

    def _records(self, tp: TP) -> list[Fetched]:
        messages = self.world.partitions.of(*tp)
        self.ends[tp] = len(messages)
        at = self.positions[tp]
        count = self.world.weather.random.randint(1, self.world.plan.batch_records_max)
        return [Fetched(m.offset, m.timestamp_ms, *m[2:]) for m in messages[at : at + count]]

    async def _agent(self, topic: str) -> None:
        queue = self.queues[topic]
        while True:
            while not queue:
                self._bells[topic] = self.world.loop.create_future()
                await self._bells[topic]
            generation, tp, batch = queue.popleft()
            if generation == self.generation and self.flows and self.reads(batch):
                await self.stage.take(tp, batch.records)

    async def _commit_for_ever(self) -> None:
        while True:
            await self._pause(2 * COMMIT_MS)
            await self.force_commit()


class Worker(Process):
    """One incarnation of a worker: both roles, one state folder that outlives it."""

    def __init__(self, world: World, number: int, life: int) -> None:
        super().__init__(world.loop, f"w{number}.{life}")
        self.world = world
        self.number = number
        self.life = life
        self.state_dir: Path = world.state_dir(number)
        self.log = WorkerLog(world, self)
        self.files: list[StateFile] = []
        self.children: list[CheckpointChild] = []
        url = str(world.folder / "published") if world.plan.publishes else ""
        detect_settings = msgspec.structs.replace(world.settings.detect, state_dir=str(self.state_dir), publish_url=url)
        settings = msgspec.structs.replace(world.settings, detect=detect_settings)
        points, self.guard = KillingPoints(world, self), PauseGuard(settings.kafka.session_timeout_ms)
        clock_ms = lambda: world.loop.now_ms  # noqa: E731
        self.intake = IntakeStage(self.log, world.route, world.books, settings, clock_ms, points, self.guard)
        self.detect = DetectStage(self.log, world.configuration, world.generation, settings, points, self.guard)
        self.members = [
            SimConsumer(world, self, self.intake, world.intake_group, SOURCES),
            SimConsumer(world, self, self.detect, world.detect_group, (JOURNAL,)),
        ]

    def begin(self) -> None:
        """What the product's worker starts."""
        for member in self.members:
            member.start()
        self.start(self.intake.work())
        self.start(self.detect.checkpoint_for_ever())
        self.start(self.guard.beat())

    async def leave(self) -> None:
        """A stop that was asked for."""
        await self.detect.finish()
        for member in self.members:
            await member.force_commit()
        raise Killed("stopped")

    def on_worked(self) -> None:
        """Pages have been folded."""
        self.world.checkers.folded(self)

    def on_death(self, why: BaseException) -> None:
        """The world goes on without it."""
        self.log.settle()
        for child in self.children:
            child.settle()
        for file in self.files:
            file.close()
        self.world.died(self, why)

    @property
    def is_zombie(self) -> bool:
        """Whether what it writes to a book's outputs comes under a name that others may have taken over."""
        return self.is_dead or self.members[1].is_kicked

    @property
    def waiting(self) -> Counter[str]:
        """For messages."""
        return Counter({str(number): lane.lane.buffered for number, lane in self.intake.lanes.items()})


def _answer(done: Any, result: Any) -> None:
    if not done.done():
        done.set_result(result)
