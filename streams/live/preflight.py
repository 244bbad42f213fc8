"""What must be right before a worker consumes anything: every mistake in a sentence with its remedy."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kafka import TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorError

from streams.codec import ORIGINAL_BYTES_MAX, RECORD_BYTES_MAX
from streams.live.connection import Connection, admin_of, connection_of, reach
from streams.live.names import (
    ALERTS,
    DETECT_GROUP,
    INTAKE_GROUP,
    JOURNAL,
    LOAN_RISK,
    PORTFOLIO,
    REJECTS,
    SOURCES,
    topic_name,
)
from streams.live.state_folder import STATE_FREE_BYTES_MIN, state_folder_mistakes
from streams.live.topics import Topic, partition_mistakes, present_topics
from streams.live_settings import IntakeSettings, LiveSettings

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

INTAKE, DETECT, BOTH = "intake", "detect", "both"
NEEDED = {INTAKE: (*SOURCES, JOURNAL, REJECTS), DETECT: (JOURNAL, ALERTS, LOAN_RISK, PORTFOLIO, REJECTS)}
"""Role -> topics it reads or writes."""

MESSAGE_SLACK_BYTES = 64 << 10
"""What a message holds besides records: the page's frame, a reject's reason and field names, Kafka's own header."""

PAGE_RECORD_SLACK_BYTES = 32
"""What a page adds to each record: its offset, its span, its length."""

CLOCK_SKEW_MS_MAX = 60_000
"""How far this machine's clock may be behind the broker's: a stream's time moves on by it (ticks), in steps of a minute."""

STATE_WAIT_SECONDS = 5
"""How long a child of a killed worker may take to end its checkpoint before the folder counts as held."""

_COORDINATOR_COMES = (CoordinatorNotAvailableError, CoordinatorLoadInProgressError, NotCoordinatorError)


def preflight(
    live: LiveSettings,
    roles: Collection[str],
    connection: Connection | None = None,
    *,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    free_bytes_min: int = STATE_FREE_BYTES_MIN,
) -> list[str]:
    """The mistakes that would stop a worker in these roles (``intake``, ``detect`` or ``both``), or make it wrong.

    Changes nothing on the broker. Not to be called inside a running event loop. What it finds it finds before any input is
    consumed; an empty list is no promise about what happens later.

    Raises:
        BrokerTrouble: no broker that answers and lets us in.
        SettingsError: broker settings that cannot work.
    """
    asked = {INTAKE, DETECT} if BOTH in roles else set(roles)
    assert asked and asked <= NEEDED.keys(), f"roles are intake, detect or both, not {roles}"
    connection = connection or connection_of(live.kafka)
    prefix = connection.settings.prefix
    reach(connection)
    mistakes = []
    if DETECT in asked:
        mistakes += state_folder_mistakes(Path(live.detect.state_dir), free_bytes_min, STATE_WAIT_SECONDS)
    needed = tuple(dict.fromkeys(name for role in sorted(asked, reverse=True) for name in NEEDED[role]))
    with admin_of(connection) as admin:
        there = present_topics(admin, prefix, needed)
        mistakes += [_missing(topic_name(prefix, name)) for name in needed if name not in there]
        mistakes += [
            f"{sentence}. Add partitions with kafka-topics --alter, or create all anew with `fundtrail topics create`"
            for sentence in partition_mistakes({name: topic.partitions for name, topic in there.items()})
        ]
        mistakes += _configuration_mistakes(there, prefix, live.intake, asked)
        if INTAKE in asked:
            mistakes += _offset_mistakes(admin, connection, INTAKE_GROUP, [there[name] for name in SOURCES if name in there])
        if DETECT in asked:
            mistakes += _offset_mistakes(admin, connection, DETECT_GROUP, [there[name] for name in (JOURNAL,) if name in there])
        if JOURNAL in there:
            mistakes += _clock_mistakes(admin, prefix, there[JOURNAL], now_ms())
    return mistakes


def _missing(full: str) -> str:
    return f"the topic {full} is not there: `fundtrail topics create` makes it (or correct prefix in [kafka])"


def _configuration_mistakes(there: Mapping[str, Topic], prefix: str, intake: IntakeSettings, roles: set[str]) -> Iterator[str]:
    journal, rejects = there.get(JOURNAL), there.get(REJECTS)
    if journal is not None and "compact" in journal.config["cleanup.policy"]:
        yield (
            f"{topic_name(prefix, JOURNAL)} is compacted, which would lose records: set its cleanup.policy to delete with "
            "kafka-configs --alter"
        )
    if journal is not None and INTAKE in roles:
        page = intake.page_bytes_max + RECORD_BYTES_MAX + intake.page_records_max * PAGE_RECORD_SLACK_BYTES
        yield from _too_short(journal, prefix, page, "a page (page_bytes_max in [intake], and the record that fills it)")
    if rejects is not None and DETECT in roles:
        yield from _too_short(rejects, prefix, _in_base64(ORIGINAL_BYTES_MAX), "a reject")
    sources = [int(there[name].config["max.message.bytes"]) for name in SOURCES if name in there]
    if rejects is not None and INTAKE in roles and sources:
        yield from _too_short(
            rejects,
            prefix,
            _in_base64(max(sources)),
            "the reject of the longest message that the source topics let in, in base64",
        )


def _in_base64(length: int) -> int:
    return (length + 2) // 3 * 4


def _too_short(topic: Topic, prefix: str, content_bytes: int, what: str) -> Iterator[str]:
    least, has = content_bytes + MESSAGE_SLACK_BYTES, int(topic.config["max.message.bytes"])
    if has < least:
        yield (
            f"{topic_name(prefix, topic.name)} takes messages of {has:,} bytes, and {what} may have {least:,}: raise its "
            "max.message.bytes with kafka-configs --alter"
        )


def _offset_mistakes(admin: KafkaAdminClient, connection: Connection, group: str, topics: list[Topic]) -> Iterator[str]:
    """Partitions that were created anew, or that have lost records nobody had read."""
    prefix = connection.settings.prefix
    partitions = [
        TopicPartition(topic_name(prefix, topic.name), number) for topic in topics for number in range(topic.partitions)
    ]
    if not partitions:
        return
    group = topic_name(prefix, group)
    committed = _committed(admin, connection, group, partitions)
    begins = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.EARLIEST))
    ends = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
    for partition, read in committed.items():
        name, begin, end = f"{partition.topic}/{partition.partition}", begins[partition].offset, ends[partition].offset
        if read > end:
            yield (
                f"{name} ends at {end:,}, but {group} has read it up to {read:,}: it was created anew, and its records would "
                "be taken for repeated. Take another prefix in [kafka]; or stop all workers, delete every topic and group of "
                "this prefix and the state folder, and create the topics again"
            )
        elif read < begin:
            which = f"--group {group} --topic {partition.topic}:{partition.partition}"
            reset = f"kafka-consumer-groups {which} --reset-offsets --to-earliest --execute"
            yield (
                f"{name} begins at {begin:,}, but {group} has read it only up to {read:,}: the broker deleted {begin - read:,} "
                f"messages that nobody had read. Lengthen retention.ms, send them again, and go on from the beginning: {reset}"
            )


def _committed(
    admin: KafkaAdminClient, connection: Connection, group: str, partitions: list[TopicPartition]
) -> dict[TopicPartition, int]:
    """Offsets that the group has committed. A new cluster first has to make the topic that holds them."""
    deadline = time.monotonic() + connection.settings.request_timeout_ms / 1000
    while True:
        try:
            found = admin.list_group_offsets({group: partitions}).get(group, {})
        except _COORDINATOR_COMES:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return {partition: offset.offset for partition, offset in found.items() if offset.offset >= 0}


def _clock_mistakes(admin: KafkaAdminClient, prefix: str, journal: Topic, now_ms: int) -> Iterator[str]:
    """A clock behind the broker's: the broker has stamped a page at a time that is yet to come here.

    Kafka has no question for its time, so a clock that is ahead cannot be seen without writing; the broker itself refuses
    messages stamped more than an hour ahead (``message.timestamp.after.max.ms``).
    """
    if journal.config["message.timestamp.type"] != "LogAppendTime":
        return
    name = topic_name(prefix, JOURNAL)
    newest = {TopicPartition(name, number): OffsetSpec.MAX_TIMESTAMP for number in range(journal.partitions)}
    ahead_ms = max(found.timestamp for found in admin.list_partition_offsets(newest).values()) - now_ms
    if ahead_ms > CLOCK_SKEW_MS_MAX:
        yield (
            f"this machine's clock is at least {ahead_ms // 1000:,} s behind the broker's, which stamped a page of {name} at a "
            "time yet to come here: set both clocks (NTP)"
        )
