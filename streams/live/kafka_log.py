"""Kafka as the log that the live stages write to: batches with awaited acknowledgement, and the tail of a partition."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder

from streams.live.log import Entry, Stored
from streams.live.names import topic_name

BATCH_BYTES_MAX = 1_000_000
REQUEST_BYTES_MAX = 4 << 20
TAIL_WAIT_S = 30


class KafkaLog:
    """Appends with an idempotent producer, ``acks=all``. ``clients`` are aiokafka's connection arguments."""

    def __init__(self, clients: dict[str, Any], prefix: str) -> None:
        self.clients = clients
        self.prefix = prefix
        self.producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect."""
        self.producer = AIOKafkaProducer(
            **self.clients,
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=REQUEST_BYTES_MAX,
        )
        await self.producer.start()

    async def stop(self) -> None:
        """Send what is under way and disconnect."""
        if self.producer is not None:
            await self.producer.stop()
            self.producer = None

    async def append(self, topic: str, partition: int, entries: Sequence[Entry]) -> int:
        """Append in order and wait for the acknowledgement; the first one's offset."""
        assert self.producer is not None, f"the log was not started before {len(entries)} messages for {topic}"
        name = topic_name(self.prefix, topic)
        waiting = [await self.producer.send_batch(batch, name, partition=partition) for batch in self._batches(entries)]
        stored = await asyncio.gather(*waiting)
        return int(stored[0].offset)

    def _batches(self, entries: Sequence[Entry]) -> list[BatchBuilder]:
        assert self.producer is not None
        batches = [self.producer.create_batch()]
        for entry in entries:
            if self._put(batches[-1], entry) is None:
                batches.append(self.producer.create_batch())
                assert self._put(batches[-1], entry) is not None, f"a message of {len(entry.value)} bytes fits no batch"
        return batches

    @staticmethod
    def _put(batch: BatchBuilder, entry: Entry) -> Any:
        return batch.append(key=entry.key, value=entry.value, timestamp=None, headers=list(entry.headers))

    async def tail(self, topic: str, partition: int, count: int) -> Sequence[Stored]:
        """The last ``count`` messages of a partition, oldest first."""
        tp = TopicPartition(topic_name(self.prefix, topic), partition)
        consumer = AIOKafkaConsumer(**self.clients, group_id=None, enable_auto_commit=False, fetch_max_wait_ms=100)
        await consumer.start()
        try:
            consumer.assign([tp])
            end = (await consumer.end_offsets([tp]))[tp]
            begin = (await consumer.beginning_offsets([tp]))[tp]
            return await asyncio.wait_for(self._read(consumer, tp, begin, end, count), TAIL_WAIT_S)
        finally:
            await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer, tp: TopicPartition, begin: int, end: int, count: int) -> list[Stored]:
        """Compaction leaves gaps, so a window that holds too few is read again from further back."""
        window = count
        while True:
            start = max(begin, end - window)
            found = await self._range(consumer, tp, start, end)
            if len(found) >= count or start == begin:
                return found[-count:]
            window *= 8

    async def _range(self, consumer: AIOKafkaConsumer, tp: TopicPartition, start: int, end: int) -> list[Stored]:
        consumer.seek(tp, start)
        found: list[Stored] = []
        while await consumer.position(tp) < end:
            for records in (await consumer.getmany(tp, timeout_ms=1_000)).values():
                found += [Stored(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in records if r.offset < end]
        return found
