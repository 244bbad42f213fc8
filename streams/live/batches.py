"""A Faust consumer that hands over what one fetch brought of a partition as one message, and commits what it is told to.

Faust spends four asyncio tasks on each message. Where records are small and many, as on source topics, that costs several
times what the records themselves do. Here a *batch* (all records of one partition that a fetch has brought) travels
through Faust's channels and agents as a single event; groups, rebalances, agents and the worker stay Faust's.

Offsets are not committed by acknowledging events but by asking the *stage*, who knows what is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol, cast

import faust
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as _TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP, Message
from faust.types.tuples import ConsumerMessage

FETCH_WAIT_MS_MAX = 20
"""How long the broker may hold a fetch that finds nothing. aiokafka has one fetch under way per broker, so that a quiet
topic's fetch holds up the busy ones for that long."""


PAUSED_LOOK_S = 0.005
"""How often to look whether a partition may be read again. Faust pauses one whose batches pile up before the stage."""


class Stage(Protocol):
    """What the consumer asks of whoever works on the batches."""

    consumer: BatchConsumer | None

    async def assigned(self, committed: Mapping[TP, int | None]) -> Mapping[TP, int]:
        """These partitions are ours now, with what the group has committed; returns from where to read each of them."""

    async def revoked(self, partitions: set[TP]) -> None:
        """These partitions are about to be somebody else's, who gets them once this returns: write nothing more of theirs."""

    async def committable(self) -> Mapping[TP, int]:
        """The offsets up to which everything is durable: the first one still needed, per partition."""

    def note(self, tp: TP) -> str:
        """A word to keep beside a committed offset, for the next owner."""


class Batch(NamedTuple):
    """What one fetch brought of one partition, and in which reading: see :class:`BatchConsumer`."""

    reading: int | None
    records: list[Any]


class BatchThread(AIOKafkaConsumerThread):
    """aiokafka's consumer in its thread."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS_MAX
        return consumer

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """As the base class's, with the stage's word beside each offset."""
        note = cast(BatchConsumer, self.consumer).stage.note
        ours = {tp: offset for tp, offset in offsets.items() if tp in self.assignment()}
        marked = {_TopicPartition(*tp): OffsetAndMetadata(offset, note(TP(*tp))) for tp, offset in ours.items()}
        try:
            await self._ensure_consumer().commit(marked)
        except (CommitFailedError, IllegalStateError) as error:  # a rebalance came between: the next owner commits
            self.log.warning("Not committed: %s", error)
            return False
        return True

    async def notes(self, partitions: tuple[TP, ...]) -> dict[TP, str]:
        """What stands beside the committed offsets."""
        coordinator = self._ensure_consumer()._coordinator
        found = await coordinator.fetch_committed_offsets([_TopicPartition(*tp) for tp in partitions])
        return {TP(*tp): marked.metadata for tp, marked in found.items()}

    async def _fetch_records(self, *arguments: Any, **options: Any) -> Any:
        records = await super()._fetch_records(*arguments, **options)
        fetched = cast(BatchConsumer, self.consumer).fetched
        for tp, batch in records.items():
            if batch:
                fetched[TP(*tp)] = batch[-1].offset
        return records


class BatchConsumer(Consumer):
    """Delivers batches; leaves the rest of Faust's consumer as it is.

    A *reading* begins when the stage has said from where and the consumer has been set there; it ends when partitions are
    revoked. Faust lets records flow between the two as well, when a rebalance overtakes a slow start: batches from outside
    the present reading may leave gaps and belong to somebody else, so they are not for the stage (:meth:`reads`).
    """

    stage: Stage  # set by the app before it starts

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.reading: int | None = None
        self.rounds = 0  # assignments, seeks and revocations so far: only the last of them may begin a reading
        self.is_assigned = False
        self.fetching = asyncio.Lock()  # no request is under way while the consumer is set
        self.fetched: dict[TP, int] = {}  # the last offset that a fetch has brought, handed over or still on its way
        super().__init__(*arguments, **options)

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, Batch]:  # type: ignore[override]
        """A request's answer, with the reading it was asked in."""
        async with self.fetching:
            reading = self.reading
            records = await super()._getmany(active_partitions, timeout)
        return {tp: Batch(reading, list(batch)) for tp, batch in records.items() if batch}

    async def _wait_next_records(self, timeout: float) -> Any:
        """As the base class's, which sleeps for a second when all partitions are paused, and as long when the others have
        nothing: what came right behind a pile would wait so long, although the pile is gone in milliseconds.
        """
        while self.flow_active and self._paused_partitions and not self._get_active_partitions():
            await asyncio.sleep(PAUSED_LOOK_S)
        return await super()._wait_next_records(PAUSED_LOOK_S if self._paused_partitions else timeout)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """One message per partition and fetch: its value is the list of records, its offset the last one's."""
        records, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if not records or self.should_stop:
            return
        for tp, batch in records.items():
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            if active is None or tp in active:
                yield tp, self._batch_message(tp, cast(Batch, batch))

    def reads(self, batch: Batch) -> bool:
        """Whether a batch is of the present reading."""
        return batch.reading is not None and batch.reading == self.reading

    def _batch_message(self, tp: TP, batch: Batch) -> ConsumerMessage:
        last = batch.records[-1]
        return ConsumerMessage(
            tp.topic, tp.partition, last.offset, last.timestamp / 1000, last.timestamp_type, [], None, cast(Any, batch),
            None, 0, 0, tp, generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    async def perform_seek(self) -> None:
        """Ask the stage where to read on, and begin to read there, unless this seek is overtaken."""
        mine = self._next_round()
        self.fetched.clear()
        found = await self.seek_to_committed()
        committed = {TP(*tp): _offset(found.get(tp)) for tp in self.assignment()}
        self._committed_offset.update(committed)  # before the stage may name less, of a state that is behind another worker's
        positions = dict(await self.stage.assigned(committed))
        async with self.fetching:
            await self.seek_wait(positions)
            for tp in self.assignment():
                self._read_offset[tp] = positions.get(TP(*tp))
            if self.is_assigned and self.rounds == mine:
                self.reading = mine

    def expect_reading(self, *, is_assigned: bool) -> None:
        """What comes from here on is not for the stage, until a seek that begins while we have an assignment."""
        self.is_assigned = is_assigned
        self._next_round()

    def _next_round(self) -> int:
        self.reading = None
        self.rounds += 1
        return self.rounds

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Nothing flows any more; then let go. The group goes on when this returns, or when the session has timed out."""
        self.expect_reading(is_assigned=False)
        await super().on_partitions_revoked(revoked)
        await self.stage.revoked({TP(*tp) for tp in revoked})

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """With nothing assigned Faust never asks where to read on; the stage hears of it here."""
        self.expect_reading(is_assigned=True)
        await super().on_partitions_assigned(assigned, generation_id)
        if not assigned:
            await self.stage.assigned({})

    async def committed_notes(self, *partitions: TP) -> dict[TP, str]:
        """What the stage kept beside the committed offsets."""
        thread = cast(BatchThread, self._thread)
        return cast("dict[TP, str]", await thread.call_thread(thread.notes, partitions))

    @property
    def has_joined(self) -> bool:
        """Whether the group has given us an assignment, be it an empty one."""
        consumer = self._thread._consumer
        subscription = consumer._subscription.subscription if consumer is not None else None
        return subscription is not None and subscription.assignment is not None

    @property
    def has_coordinator(self) -> bool:
        """Whether the broker that keeps the group answers, as far as heartbeats tell."""
        consumer = self._thread._consumer
        coordinator = consumer._coordinator if consumer is not None else None
        return coordinator is not None and getattr(coordinator, "coordinator_id", None) is not None

    def end_and_position(self, tp: TP) -> tuple[int | None, int | None]:
        """The partition's end as the last fetch saw it, and from where the next one reads; None while not known."""
        consumer = self._thread._consumer
        subscription = consumer._subscription.subscription if consumer is not None else None
        assignment = subscription.assignment if subscription is not None else None
        if assignment is None or tp not in assignment.tps:
            return None, None
        state = assignment.state_value(tp)
        return state.highwater, state._position

    def track_message(self, message: Message) -> None:
        """Nothing to track: the stage knows what is done."""

    def ack(self, message: Message) -> bool:
        """Nothing to acknowledge: the stage knows what is done."""
        return False

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit what the stage says is durable."""
        ours = {TP(*tp) for tp in self.assignment()}
        offsets = {
            tp: offset
            for tp, offset in (await self.stage.committable()).items()
            if tp in ours and offset > (self._committed_offset.get(tp) or 0)
        }
        return bool(offsets) and await self._commit_offsets(offsets)


class BatchTransport(Transport):
    """The transport whose consumers deliver batches."""

    Consumer: ClassVar[type[BatchConsumer]] = BatchConsumer


class BatchSchema(faust.Schema[Any, Any]):
    """Leaves a batch as it is; the stage decodes."""

    def loads_key(self, app: Any, message: Message, **_: Any) -> Any:
        """Batches have no key."""
        return None

    def loads_value(self, app: Any, message: Message, **_: Any) -> Any:
        """The records."""
        return message.value


class BatchApp(faust.App):
    """A Faust app whose agents receive batches, for one stage."""

    def __init__(self, name: str, stage: Stage, **settings: Any) -> None:
        super().__init__(name, **settings)
        self.stage = stage

    def _new_transport(self) -> Any:
        return BatchTransport(self.conf.broker_consumer, self)

    def _new_consumer(self) -> Any:
        consumer = cast(BatchConsumer, super()._new_consumer())
        consumer.stage = self.stage
        self.stage.consumer = consumer
        return consumer

    def batch_topic(self, name: str) -> Any:
        """A topic whose events are batches; it is never created from here."""
        return self.topic(name, schema=BatchSchema(), acks=False, internal=False, allow_empty=True)


def _offset(committed: int | None) -> int | None:
    return committed if committed is not None and committed >= 0 else None
