"""Redrive: rejected records are sent to their source topic again after a fix, in order, each once.

The steps of a run, so that it may be killed between any two:

1. look for records that an interrupted run has sent without saying so (they carry the header ``fundtrail-redrive-of``), from
   where that run had noted that it would send;
2. mark those: a message on ``rejects`` with the same key that says where the record went;
3. note, as the committed offset of the group ``fundtrail-redrive``, where each source partition ends: what is sent from
   now on comes behind it;
4. send a batch, and wait until the broker has it;
5. mark the batch, and wait likewise; then 3 with the next one.

Whatever was sent and not marked therefore stands behind the noted offset. Only one redrive at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata

from detectors.events import Fault
from streams.live.decoders import decode_with
from streams.live.log import Entry, Headers
from streams.live.names import DECODER_HEADER, FOLLOWS_HEADER, ORDER_HEADER, REDRIVE_HEADER, REJECTS, SOURCES, topic_name
from streams.live.reading import Extent, Reader, header
from streams.live.reject_shelf import Coordinates, RejectShelf, Shelved
from streams.live.rejects import LiveReject, entry_of

if TYPE_CHECKING:
    from kafka import KafkaConsumer, KafkaProducer

REDRIVE_GROUP = "fundtrail-redrive"
BATCH_RECORDS = 100
JSON = b"json"


class Refused(NamedTuple):
    """A reject that is not sent again, and why."""

    item: Shelved
    why: str


class Planned(NamedTuple):
    """A reject and the message that is sent in its place."""

    item: Shelved
    reject: LiveReject
    entry: Entry


class Redriven(NamedTuple):
    """One that went, and where it stands now."""

    item: Shelved
    to: str


class Redrive:
    """One run.

    Args:
        corrected: mended values by coordinates; where there is one it goes instead of the original bytes.
        decoder: the configured one, to see whether a record would be rejected again; None: not looked at.
    """

    def __init__(
        self, reader: Reader, shelf: RejectShelf, corrected: Mapping[Coordinates, bytes], decoder: str | None, prefix: str,
    ) -> None:  # fmt: skip
        self._reader = reader
        self._shelf = shelf
        self._corrected = corrected
        self._decoder = decoder
        self._prefix = prefix
        self._orders: dict[tuple[str, int], bytes | None] = {}

    def plan(self, items: Iterable[Shelved]) -> Iterator[Planned | Refused]:
        """What would be sent for each, in their order."""
        for item in items:
            reject = self._shelf.whole(item)
            entry = self._entry(item, reject)
            yield Planned(item, reject, entry) if isinstance(entry, Entry) else Refused(item, entry)

    def find_unmarked(self, notes: KafkaConsumer, items: Iterable[Shelved]) -> list[Redriven]:
        """Step 1: what was sent to the source partitions of these without a mark."""
        first_ms: dict[tuple[str, int], int] = {}
        for item in items:
            place = (item.at.topic, item.at.partition)
            first_ms[place] = min(item.written_ms, first_ms.get(place, item.written_ms))
        found = [sent for place in sorted(first_ms) for sent in self._sent_to(notes, *place, first_ms[place])]
        unmarked = {sent.item.at: sent for sent in found if sent.item.redriven_to is None}
        return [unmarked[at] for at in sorted(unmarked)]

    def note(self, notes: KafkaConsumer, places: Iterable[tuple[str, int]]) -> None:
        """Step 3."""
        ends = {
            self._partition(topic, partition): OffsetAndMetadata(self._reader.extents(topic)[partition].end, "", -1)
            for topic, partition in sorted(set(places))
        }
        notes.assign(list(ends))
        notes.commit(ends)

    def send(self, producer: KafkaProducer, batch: Sequence[Planned]) -> list[Redriven]:
        """Step 4."""
        futures = [
            producer.send(
                topic_name(self._prefix, planned.item.at.topic),
                partition=planned.item.at.partition,
                key=planned.entry.key,
                value=planned.entry.value,
                headers=list(planned.entry.headers),
            )
            for planned in batch
        ]
        return [
            Redriven(planned.item, str(planned.item.at._replace(offset=future.get().offset)))
            for planned, future in zip(batch, futures, strict=True)
        ]

    def mark(self, producer: KafkaProducer, done: Sequence[Redriven]) -> None:
        """Steps 2 and 5."""
        futures = []
        for sent in done:
            key, value, _ = entry_of(msgspec.structs.replace(self._shelf.whole(sent.item), redriven_to=sent.to))
            futures.append(producer.send(topic_name(self._prefix, REJECTS), partition=sent.item.home, key=key, value=value))
        for future in futures:
            future.get()

    def run(self, producer: KafkaProducer, notes: KafkaConsumer, planned: Iterable[Planned]) -> Iterator[list[Redriven]]:
        """Steps 3 to 5 for everything, batch by batch; yields what went, once it is marked."""
        places: set[tuple[str, int]] = set()
        for batch in _batches(planned):
            its_places = {(one.item.at.topic, one.item.at.partition) for one in batch}
            places |= its_places
            self.note(notes, its_places)
            done = self.send(producer, batch)
            self.mark(producer, done)
            yield done
        if places:
            self.note(notes, places)  # the next run need not look at what is marked

    # --- the message --------------------------------------------------------------------------------------------------

    def _entry(self, item: Shelved, reject: LiveReject) -> Entry | str:
        """The message to send, or why there is none."""
        if item.at.topic not in SOURCES or item.at.partition not in self._reader.extents(item.at.topic):
            return "its source topic or partition is not there (any more): send the record anew from where it came"
        value = self._corrected.get(item.at)
        headers = reject.source_headers
        if value is not None or reject.stage == "detect":  # both are JSON, whatever the source's own format
            headers = (*_without(headers, DECODER_HEADER), (DECODER_HEADER, JSON))
        value = value if value is not None else self.original(reject)
        if value is None:
            kept = f"only {len(reject.kept):,} of its {reject.original_length:,} bytes are kept"
            return f"{kept}, and the source topic no longer has it: send it anew, or give a mended record with --from"
        fault = self._fault(reject.topic, value, headers)
        if fault is not None:
            return f"it would be rejected again: {fault.field}: {fault.reason}"
        return Entry(reject.source_key, value, self._headers(item.at, headers))

    def original(self, reject: LiveReject) -> bytes | None:
        """All bytes of the original: the reject's own, or the source topic's; None when neither has them."""
        if reject.is_whole:
            return reject.kept
        if not self._reader.has(reject.topic):
            return None
        stored = self._reader.one(reject.topic, reject.partition, reject.offset)
        if stored is None or hashlib.sha256(stored.value).hexdigest() != reject.original_sha256:
            return None
        return stored.value

    def _fault(self, topic: str, value: bytes, headers: Headers) -> Fault | None:
        if self._decoder is None:
            return None
        named = header(headers, DECODER_HEADER)
        decoder = named.decode("utf-8", "backslashreplace") if named is not None else self._decoder
        event, _ = decode_with(decoder, topic, value)
        return event if isinstance(event, Fault) else None

    def _headers(self, at: Coordinates, headers: Headers) -> Headers:
        """The original's, without its place in the old order.

        Where the partition is ordered by numbers the record gets the last one: without a number it would stand behind all
        that ever come, and hold up whatever follows it in its topic.
        """
        order = self._order_now(at.topic, at.partition)
        place = ((ORDER_HEADER, order),) if order is not None else ()
        return (*_without(headers, ORDER_HEADER, FOLLOWS_HEADER, REDRIVE_HEADER), *place, (REDRIVE_HEADER, str(at).encode()))

    def _order_now(self, topic: str, partition: int) -> bytes | None:
        place = (topic, partition)
        if place not in self._orders:
            last = self._reader.last(topic, partition)
            self._orders[place] = header(last.headers, ORDER_HEADER) if last is not None else None
        return self._orders[place]

    # --- what was sent before -----------------------------------------------------------------------------------------

    def _sent_to(self, notes: KafkaConsumer, topic: str, partition: int, first_ms: int) -> Iterator[Redriven]:
        extent = self._reader.extents(topic).get(partition)
        if extent is None:
            return
        begin = notes.committed(self._partition(topic, partition))
        if begin is None:  # never noted, or forgotten by the broker: nothing was sent before the first reject
            begin = self._reader.offsets_at(topic, first_ms)[partition]
        for _, stored in self._reader.stretch(topic, {partition: Extent(max(begin, extent.begin), extent.end)}):
            of = header(stored.headers, REDRIVE_HEADER)
            item = self._shelf.items.get(_coordinates(of)) if of is not None else None
            if item is not None:
                yield Redriven(item, f"{topic}/{partition}/{stored.offset}")

    def _partition(self, topic: str, partition: int) -> TopicPartition:
        return TopicPartition(topic_name(self._prefix, topic), partition)


def _coordinates(raw: bytes) -> Coordinates:
    try:
        return Coordinates.parse(raw.decode("utf-8", "replace"))
    except ValueError:
        return Coordinates("", 0, 0)  # somebody else's header: no reject has these


def _without(headers: Headers, *names: str) -> Headers:
    return tuple((name, value) for name, value in headers if name not in names)


def _batches(planned: Iterable[Planned]) -> Iterator[list[Planned]]:
    batch: list[Planned] = []
    for one in planned:
        batch.append(one)
        if len(batch) == BATCH_RECORDS:
            yield batch
            batch = []
    if batch:
        yield batch
