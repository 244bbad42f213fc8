"""Each mistake in a worker's surroundings is told before anything is consumed, with its remedy."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.structs import OffsetAndMetadata

from streams.live.connection import admin_of, connection_of
from streams.live.preflight import preflight
from streams.live.state_folder import StateFolder
from streams.live.topics import create_missing, declared_topics, present_topics
from streams.live.trouble import BrokerTrouble
from streams.live_settings import DetectSettings, IntakeSettings, KafkaSettings, LiveSettings
from tests.broker.kafka import wait_until
from tests.broker.shared import Reached
from tests.broker.test_broker import send

HOUR_MS = 3_600_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Place:
    """A prefix on a broker and a state folder, and what a worker there would be told."""

    def __init__(self, bootstrap: str, prefix: str, state: Path) -> None:
        self.bootstrap, self.prefix = bootstrap, prefix
        kafka = KafkaSettings(prefix=prefix, request_timeout_ms=20_000)
        self.live = LiveSettings(kafka=kafka, detect=DetectSettings(state_dir=str(state)))
        self.connection = connection_of(kafka, bootstrap, {})

    def create(self, lanes: int = 1, books: int = 1, without: str = "") -> None:
        topics = [topic for topic in declared_topics(lanes=lanes, books=books) if topic.name != without]
        with admin_of(self.connection) as admin:
            create_missing(admin, self.prefix, topics, {})

    def configure(self, topic: str, **values: str) -> None:
        config = {name.replace("_", "."): value for name, value in values.items()}
        with KafkaAdminClient(bootstrap_servers=self.bootstrap) as admin:
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, self.prefix + topic, config)])

            def told() -> bool:
                return config.items() <= present_topics(admin, self.prefix, [topic])[topic].config.items()

            wait_until(told, 20, f"{topic} has {config}")

    def commit(self, group: str, topic: str, offset: int) -> None:
        with KafkaConsumer(
            bootstrap_servers=self.bootstrap, group_id=self.prefix + group, enable_auto_commit=False
        ) as consumer:
            partition = TopicPartition(self.prefix + topic, 0)
            consumer.assign([partition])
            consumer.commit({partition: OffsetAndMetadata(offset, "", -1)})

    def mistakes(self, *roles: str, **arguments) -> list[str]:
        arguments = {"free_bytes_min": 1, **arguments}
        live = arguments.pop("live", self.live)
        return preflight(live, roles or ("both",), self.connection, **arguments)


@pytest.fixture
def place(broker: Reached, prefix: str, state: Path) -> Place:
    return Place(broker.bootstrap, prefix, state)


def test_topics_as_declared_are_right_for_every_role(place: Place) -> None:
    place.create(lanes=3, books=2)
    for role in ("intake", "detect", "both"):
        assert place.mistakes(role) == []


def test_every_missing_topic_is_told_by_the_role_that_needs_it(place: Place) -> None:
    told = place.mistakes("detect")
    assert [sentence.split()[2].removeprefix(place.prefix) for sentence in told] == [
        "journal",
        "alerts",
        "loan-risk",
        "portfolio",
        "rejects",
    ]
    assert all("fundtrail topics create" in sentence for sentence in told)
    assert len(place.mistakes("both")) == 11


def test_numbers_of_partitions_that_do_not_fit_are_told(place: Place) -> None:
    place.create(lanes=2, without="dispositions")
    with admin_of(place.connection) as admin:
        admin.create_topics(
            {f"{place.prefix}dispositions": {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True
        )
        admin.create_partitions({f"{place.prefix}journal": 3})

    def told() -> str:
        return "\n".join(place.mistakes())

    wait_until(lambda: "3 books" in told(), 20, "the added partitions are seen")
    assert "the source topics must have equal numbers" in told()
    for topic in ("alerts", "loan-risk", "portfolio", "rejects"):
        assert f"{topic} has" in told()
    assert "kafka-topics --alter" in told()


def test_a_compacted_journal_is_told(place: Place) -> None:
    place.create()
    place.configure("journal", cleanup_policy="compact")
    assert ["is compacted" in sentence for sentence in place.mistakes()] == [True]


def test_topics_that_take_too_short_messages_are_told(place: Place) -> None:
    place.create()
    place.configure("journal", max_message_bytes="1048588")
    place.configure("rejects", max_message_bytes="1048588")
    told = place.mistakes()
    assert [sentence.split()[0] for sentence in told] == [f"{place.prefix}journal", f"{place.prefix}rejects"]
    assert "page_bytes_max" in told[0]
    assert "1,048,588 bytes" in told[0]
    assert place.mistakes("detect") == [], "detect's own rejects are short"
    long_pages = LiveSettings(kafka=place.live.kafka, detect=place.live.detect, intake=IntakeSettings(page_bytes_max=64 << 20))
    place.configure("journal", max_message_bytes="4194304")
    assert "takes messages of 4,194,304 bytes" in place.mistakes("intake", live=long_pages)[0]


def test_a_source_created_anew_is_told(place: Place) -> None:
    place.create()
    send(place.bootstrap, f"{place.prefix}account-transactions", [b"{}"] * 3)
    place.commit("fundtrail-intake", "account-transactions", 3)
    assert place.mistakes() == []
    place.commit("fundtrail-intake", "account-transactions", 4)
    told = place.mistakes()
    assert len(told) == 1
    assert f"{place.prefix}account-transactions/0 ends at 3, but {place.prefix}fundtrail-intake has read it up to 4" in told[0]
    assert place.mistakes("detect") == []


def test_a_journal_created_anew_is_told(place: Place) -> None:
    place.create()
    place.commit("fundtrail-detect", "journal", 7)
    assert f"{place.prefix}journal/0 ends at 0" in place.mistakes("detect")[0]


def test_records_deleted_unread_are_told(place: Place) -> None:
    place.create()
    topic = f"{place.prefix}dispositions"
    send(place.bootstrap, topic, [b"{}"] * 5)
    place.commit("fundtrail-intake", "dispositions", 2)
    with KafkaAdminClient(bootstrap_servers=place.bootstrap) as admin:
        admin.delete_records({TopicPartition(topic, 0): 4})
    told = place.mistakes()
    assert len(told) == 1
    assert "the broker deleted 2 messages that nobody had read" in told[0]
    assert f"--topic {topic}:0" in told[0]
    place.commit("fundtrail-intake", "dispositions", 4)
    assert place.mistakes() == [], "all that was deleted had been read"


def test_a_clock_behind_the_brokers_is_told(place: Place) -> None:
    place.create()
    assert place.mistakes(now_ms=lambda: 0) == [], "an empty journal says nothing about time"
    send(place.bootstrap, f"{place.prefix}journal", [b"a page"])
    assert place.mistakes() == []
    told = place.mistakes(now_ms=lambda: now_ms() - HOUR_MS)
    assert len(told) == 1
    assert "behind the broker's" in told[0]


def test_a_state_folder_in_use_is_told_to_detect_only(place: Place, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.live.preflight.STATE_WAIT_SECONDS", 0)
    place.create()
    with StateFolder(state):
        assert "is held by the worker with pid" in place.mistakes("detect")[0]
        assert place.mistakes("intake") == []
    assert "MiB left" in place.mistakes(free_bytes_min=1 << 60)[0]


def test_all_mistakes_are_told_together(place: Place, state: Path) -> None:
    place.create(without="alerts")
    place.configure("journal", cleanup_policy="compact", max_message_bytes="100000")
    state.write_text("a file")
    assert len(place.mistakes()) == 4


def test_no_broker_is_trouble_before_anything_else() -> None:
    with pytest.raises(BrokerTrouble, match="nobody listens there"):
        preflight(LiveSettings(), {"both"}, connection_of(KafkaSettings(), "127.0.0.1:1", {}))
