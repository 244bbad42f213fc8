"""``fundtrail load`` onto a real broker: in order, whole, resumable to the record whenever it is killed."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.consumer.fetcher import ConsumerRecord
from typer.testing import CliRunner

from streams.cli import app
from streams.commands.leaving import DONE, WORLD_FAILED, WRONG_USE
from streams.files.readers import open_topic_files
from streams.live.connection import connection_of
from streams.live.load import load
from streams.live.load_progress import number_of, read_progress
from streams.live.names import SOURCES
from streams.live.sendable import Course, Message, messages
from streams.live.trouble import BrokerTrouble
from streams.live_settings import KafkaSettings
from tests.broker.kafka import Broker, wait_until
from tests.broker.shared import Reached
from tests.broker.test_broker import send
from tests.broker.test_preflight import Place
from tests.unit.feed_sample import jsonl, misused_loans, payout, transfer, write

REPO = Path(__file__).parents[2]
RUNNER = CliRunner()


def run(*arguments: object) -> tuple[int, str, str]:
    result = RUNNER.invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def place(broker: Reached, prefix: str, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)  # the progress stands in the current folder
    return Place(broker.bootstrap, prefix, state)


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    payouts, transfers = misused_loans()
    write(folder / "loan-disbursements.jsonl", jsonl(payouts))
    write(folder / "account-transactions.jsonl", jsonl(transfers) + b"nonsense\n" + b"x" * (2 << 20))
    return folder


def large_feed(folder: Path, records: int) -> Path:
    write(folder / "loan-disbursements.jsonl", jsonl(payout(number, number * 10) for number in range(records // 100)))
    write(folder / "account-transactions.jsonl", jsonl(transfer(number) for number in range(records)))
    return folder


def wanted(folder: Path, lanes: int, first: int = 0) -> list[Message]:
    return list(messages(open_topic_files([folder]), lanes, 12 << 20, Course(), first))


def stored(place: Place) -> dict[tuple[str, int], list[ConsumerRecord]]:
    """Everything in the source topics, by topic and partition, in the order of the partition."""
    found: dict[tuple[str, int], list[ConsumerRecord]] = {}
    with KafkaConsumer(bootstrap_servers=place.bootstrap, auto_offset_reset="earliest", fetch_max_bytes=64 << 20) as consumer:
        names = [name for name in SOURCES if consumer.partitions_for_topic(place.prefix + name)]
        partitions = [
            TopicPartition(place.prefix + name, number)
            for name in names
            for number in consumer.partitions_for_topic(place.prefix + name) or ()
        ]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)

        def read() -> bool:
            for partition, records in consumer.poll(timeout_ms=200).items():
                found.setdefault((partition.topic[len(place.prefix) :], partition.partition), []).extend(records)
            return all(consumer.position(partition) >= ends[partition] for partition in partitions)

        wait_until(read, 30, "everything is read")
    return found


def as_messages(place: Place) -> list[tuple[Any, ...]]:
    """What stands in the source topics, in the order of the numbers."""
    found = []
    for (topic, partition), records in stored(place).items():
        numbers = [number_of(record.headers) or 0 for record in records]
        assert numbers == sorted(numbers), f"{topic}/{partition}: numbers rise within a partition"
        found += [(number, topic, partition, record.key, record.value) for number, record in zip(numbers, records, strict=True)]
    return sorted(found)


def test_everything_is_sent_in_the_order_of_a_replay(place: Place, feed: Path) -> None:
    place.create(lanes=3)
    before_ms = time.time_ns() // 1_000_000
    write(feed / "labels.jsonl", b"")
    write(feed / "ticks.jsonl", b'{"event_time": "2026-01-05T10:00:00Z"}')
    code, said, _ = run("load", feed, "--bootstrap", place.bootstrap, "--prefix", place.prefix)
    assert code == DONE
    (feed / "ticks.jsonl").unlink()
    assert as_messages(place) == [message[:5] for message in wanted(feed, lanes=3)]
    assert re.search(r"^314 records sent; [0-9.]+ s, [0-9,]+ records/s\n", said)
    assert "2 lines are no records and were sent as they stand" in said
    assert "Not sent (no source topic): labels.jsonl, ticks.jsonl" in said
    oldest_ms = min(record.timestamp for records in stored(place).values() for record in records)
    assert oldest_ms >= before_ms, "by the time of the records, the broker would delete them at once"


def test_a_second_run_sends_nothing_and_says_how_to_send_again(place: Place, feed: Path) -> None:
    place.create()
    load([feed], place.connection)
    again = load([feed], place.connection)
    assert (again.sent, again.already) == (0, 314)
    code, said, _ = run("load", feed, "--bootstrap", place.bootstrap, "--prefix", place.prefix)
    assert code == DONE
    assert f"all 314 records were sent before; to send them once more, remove {again.progress}" in said
    assert len(as_messages(place)) == 314


def test_another_load_numbers_on_behind_what_stands_there(place: Place, feed: Path, tmp_path: Path) -> None:
    place.create(lanes=2)
    load([feed], place.connection)
    write(tmp_path / "next" / "account-transactions.jsonl", jsonl([transfer(900), transfer(901)]))
    load([tmp_path / "next"], place.connection)
    assert [message[0] for message in as_messages(place)] == list(range(316))


def kill_after(place: Place, command: list[str], count: int, environment: dict[str, str], folder: Path) -> bool:
    """Run a load and SIGKILL it once at least so many records have arrived; False when it had ended before."""
    with (
        KafkaConsumer(bootstrap_servers=place.bootstrap) as consumer,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process,
    ):
        partitions = [TopicPartition(place.prefix + name, number) for name in SOURCES for number in range(2)]

        def far_enough() -> bool:
            return process.poll() is not None or sum(consumer.end_offsets(partitions).values()) >= count

        deadline = time.monotonic() + 60
        while not far_enough():
            assert time.monotonic() < deadline, f"{count} records do not arrive"
        process.kill()
        _, complaint = process.communicate()
        assert process.returncode in (-9, DONE), complaint
        return process.returncode == -9


@pytest.mark.parametrize("seed", range(2))
def test_a_load_killed_at_random_moments_loses_and_doubles_nothing(place: Place, tmp_path: Path, seed: int) -> None:
    records, chance = 8_000, random.Random(seed)
    place.create(lanes=2)
    folder = large_feed(tmp_path / "in", records)
    environment = {**os.environ, "PYTHONPATH": str(REPO), "PYTHONWARNINGS": "ignore"}
    script = "from streams.cli import app; app()"
    command = [sys.executable, "-c", script, "load", str(folder), "-b", place.bootstrap, "--prefix", place.prefix]
    kills = [
        kill_after(place, command, count, environment, tmp_path) for count in sorted(chance.sample(range(1, records // 2), 2))
    ]
    assert kills[0], "the load was over before it could be killed: take more records"
    last = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (last.returncode, last.stderr) == (DONE, "")
    if all(kills):
        assert " before; " in last.stdout
    assert as_messages(place) == [message[:5] for message in wanted(folder, lanes=2)]


def test_a_load_waits_out_a_broker_that_comes_back(own_broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = Place(own_broker.bootstrap, "bounce.", tmp_path / "state")
    place.create(lanes=2)
    folder = large_feed(tmp_path / "in", 6_000)
    command = [sys.executable, "-c", "from streams.cli import app; app()", "load", str(folder), "-b", place.bootstrap]
    command += ["--prefix", place.prefix, "--speed", "60000"]  # 6,000 minutes in 6 s
    environment = {**os.environ, "PYTHONPATH": str(REPO), "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        with KafkaConsumer(bootstrap_servers=place.bootstrap) as consumer:
            partitions = [TopicPartition("bounce.account-transactions", number) for number in range(2)]
            wait_until(lambda: sum(consumer.end_offsets(partitions).values()) > 500, 30, "the load is under way")
        own_broker.kill()
        own_broker.start()
        _, complaint = process.communicate(timeout=90)
        assert process.returncode == DONE, complaint
    assert as_messages(place) == [message[:5] for message in wanted(folder, lanes=2)]


def test_at_a_speed_the_distances_of_event_time_are_kept(place: Place, tmp_path: Path) -> None:
    place.create()
    write(tmp_path / "in" / "account-transactions.jsonl", jsonl(transfer(n) for n in (0, 5, 6, 16)))  # minutes
    load([tmp_path / "in"], place.connection, speed=600)
    _, second, third, fourth = (record.timestamp for record in stored(place)["account-transactions", 0])
    assert third - second >= 90, "a minute in a tenth of a second"
    assert fourth - third >= 990, "ten minutes in a second"


def test_progress_of_another_load_is_refused(place: Place, feed: Path, tmp_path: Path) -> None:
    place.create()
    mine = tmp_path / "mine.json"
    options = ("--bootstrap", place.bootstrap, "--prefix", place.prefix, "--progress", mine)
    assert run("load", feed, *options)[0] == DONE
    kept = read_progress(mine)
    assert kept is not None
    assert kept.finished
    assert kept.sent == 314
    write(feed / "dispositions.jsonl", b"{}")
    code, _, complaint = run("load", feed, *options)
    assert code == WORLD_FAILED
    assert "the progress of another load (other files" in complaint
    mine.write_text("{}")
    assert run("load", feed, *options)[0] == WORLD_FAILED


def test_lanes_added_during_a_load_are_told(place: Place, feed: Path) -> None:
    place.create()
    loaded = load([feed], place.connection)
    with KafkaAdminClient(bootstrap_servers=place.bootstrap) as admin:
        admin.create_partitions({place.prefix + name: 2 for name in SOURCES})

    def told() -> bool:
        code, _, complaint = run("load", feed, "-b", place.bootstrap, "--prefix", place.prefix, "--progress", loaded.progress)
        return code == WORLD_FAILED and "1 lanes, which are 2 now" in complaint

    wait_until(told, 20, "the added lanes are told")


def test_topics_created_anew_are_loaded_from_the_start(place: Place, feed: Path) -> None:
    place.create()
    load([feed], place.connection)
    with KafkaAdminClient(bootstrap_servers=place.bootstrap) as admin:
        ours = [name for name in admin.list_topics() if name.startswith(place.prefix)]
        admin.delete_topics(ours)
        wait_until(lambda: not set(ours) & set(admin.list_topics()), 20, "the topics are gone")
    place.create()
    assert load([feed], place.connection).sent == 314


def test_records_missing_within_what_was_sent_are_told(place: Place, feed: Path) -> None:
    place.create()
    loaded = load([feed], place.connection)
    state = json.loads(loaded.progress.read_bytes())
    state |= {"finished": False, "begins": {key: begin + 5 for key, begin in state["begins"].items()}}
    loaded.progress.write_text(json.dumps(state))
    with pytest.raises(BrokerTrouble, match="5 records of an interrupted load are missing"):
        load([feed], place.connection)


def test_unread_ends_of_an_interrupted_load_that_are_gone_are_told(place: Place, feed: Path) -> None:
    place.create()
    loaded = load([feed], place.connection)
    loaded.progress.write_text(json.dumps(json.loads(loaded.progress.read_bytes()) | {"finished": False}))
    with KafkaAdminClient(bootstrap_servers=place.bootstrap) as admin:
        admin.delete_records({TopicPartition(f"{place.prefix}loan-disbursements", 0): 6})
    with pytest.raises(BrokerTrouble, match="has deleted the 6 messages"):
        load([feed], place.connection)


def test_records_of_others_behind_ours_do_not_confuse_it(place: Place, feed: Path) -> None:
    place.create()
    loaded = load([feed], place.connection)
    loaded.progress.write_text(json.dumps(json.loads(loaded.progress.read_bytes()) | {"finished": False}))
    send(place.bootstrap, f"{place.prefix}account-transactions", [b"of another system"] * 200)
    again = load([feed], place.connection)
    assert (again.sent, again.already) == (0, 314)


def test_what_cannot_be_loaded_is_told_before_anything_is_sent(place: Place, feed: Path, tmp_path: Path) -> None:
    there = ("--bootstrap", place.bootstrap, "--prefix", place.prefix)
    code, _, complaint = run("load", feed, *there)
    assert code == WORLD_FAILED
    assert f"not there: {place.prefix}loan-disbursements, {place.prefix}account-transactions." in complaint
    assert run("load", tmp_path / "none", *there)[0] == WORLD_FAILED
    for speed in ("0", "-1", "fast", "nan", "inf"):
        assert run("load", feed, *there, "--speed", speed)[0] == WRONG_USE
    write(tmp_path / "only" / "ticks.jsonl", b"")
    assert "intake makes them" in run("load", tmp_path / "only", *there)[2]
    assert not (tmp_path / ".fundtrail-load").exists()


def test_a_record_longer_than_the_topic_takes_is_told(place: Place, tmp_path: Path) -> None:
    place.create()
    for name in SOURCES:
        place.configure(name, max_message_bytes="100000")
    write(tmp_path / "in" / "account-transactions.jsonl", jsonl([transfer(0), transfer(1, memo="m", colour="c" * 100_000)]))
    with pytest.raises(BrokerTrouble, match="takes no record of 100,"):
        load([tmp_path / "in"], place.connection)


def test_a_broker_that_stays_away_ends_the_load_and_the_next_run_goes_on(
    own_broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("streams.live.load.STALL_SECONDS_MAX", 1)
    place = Place(own_broker.bootstrap, "away.", tmp_path / "state")
    place.create()
    folder = large_feed(tmp_path / "in", 3_000)
    connection = connection_of(KafkaSettings(prefix="away.", request_timeout_ms=1_000), own_broker.bootstrap, {})
    calls = iter(range(10**9))

    def pausing(*arguments) -> float:
        if next(calls) == 1_000:
            own_broker.pause()
        return 0

    monkeypatch.setattr("streams.live.load._Pace.seconds_until", pausing)
    with pytest.raises(BrokerTrouble, match="no answer"):
        load([folder], connection)
    own_broker.resume()
    wait_until(lambda: load([folder], place.connection).sent >= 0, 30, "the load is done")
    assert as_messages(place) == [message[:5] for message in wanted(folder, lanes=1)]
