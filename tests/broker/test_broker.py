"""The broker of the tests is a real one, and survives what the tests do to it."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from tests.broker.jars import NoBroker, broker_jars
from tests.broker.kafka import MESSAGE_BYTES_MAX, Broker, answers, wait_until
from tests.broker.shared import Reached, shared_broker


def make_topic(bootstrap: str, topic: str) -> None:
    with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
        longest = {"max.message.bytes": str(MESSAGE_BYTES_MAX)}
        options = {"num_partitions": 1, "replication_factor": 1, "configs": longest}
        admin.create_topics({topic: options}, wait_for_metadata=True)


def send(bootstrap: str, topic: str, values: list[bytes]) -> None:
    with KafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=MESSAGE_BYTES_MAX) as producer:
        for sent in [producer.send(topic, value) for value in values]:
            sent.get(timeout=20)


def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    with KafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", max_partition_fetch_bytes=MESSAGE_BYTES_MAX
    ) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        values: list[bytes] = []

        def enough() -> bool:
            for records in consumer.poll(timeout_ms=200).values():
                values.extend(record.value for record in records)
            return len(values) >= count

        wait_until(enough, 20, lambda: f"{count} records of {topic}, {len(values)} came")
        return values


def test_what_is_sent_is_read_again(broker: Reached, prefix: str) -> None:
    make_topic(broker.bootstrap, f"{prefix}smoke")
    values = [b"one", b"two", b"x" * (10 << 20)]
    send(broker.bootstrap, f"{prefix}smoke", values)
    assert read(broker.bootstrap, f"{prefix}smoke", 3) == values


def test_a_killed_broker_comes_back_with_its_data_on_its_port(own_broker: Broker) -> None:
    topic, bootstrap = f"survivor-{uuid.uuid4().hex}", own_broker.bootstrap
    make_topic(bootstrap, topic)
    send(bootstrap, topic, [b"before"])
    own_broker.kill()
    assert not answers(bootstrap)
    own_broker.start()
    send(bootstrap, topic, [b"between"])
    own_broker.restart()
    send(bootstrap, topic, [b"after"])
    assert read(bootstrap, topic, 3) == [b"before", b"between", b"after"]


def test_a_paused_broker_is_silent_and_a_resumed_one_answers(own_broker: Broker) -> None:
    own_broker.pause()
    assert not answers(own_broker.bootstrap)
    own_broker.resume()
    wait_until(lambda: answers(own_broker.bootstrap), 20, "the resumed broker answers")


def test_two_users_have_one_broker_and_it_ends_with_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    try:
        broker_jars()
    except NoBroker as error:
        pytest.skip(f"no broker of our own: {error}")
    script = (
        "import sys, pathlib\n"
        "from tests.broker.shared import shared_broker\n"
        "with shared_broker(pathlib.Path(sys.argv[1])) as reached:\n"
        "    print(reached.bootstrap, flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as other:
        assert other.stdout is not None
        with shared_broker(tmp_path) as ours:
            assert other.stdout.readline().strip() == ours.bootstrap
        assert answers(ours.bootstrap), "the other one still uses it"
        other.kill()
    wait_until(lambda: not answers(ours.bootstrap), 20, "the broker ends after its last user was killed")
    wait_until(lambda: not (tmp_path / "broker").exists(), 20, "its data is gone")


@pytest.mark.parametrize(("required", "outcome"), [("", "1 skipped"), ("1", "1 error")])
def test_without_a_broker_a_test_skips_and_where_one_is_required_it_fails(required: str, outcome: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "PYTEST_"))}
    environment |= {"REQUIRE_BROKER": required, "PATH": str(tmp_path)}
    smoke = f"{__file__}::{test_what_is_sent_is_read_again.__name__}"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "run"), smoke]
    said = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=Path(__file__).parents[2]).stdout
    assert outcome in said
    assert "there is no java" in said
