"""A worker in bad surroundings says what is wrong and what to do, ends with 1, and has consumed nothing."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import CoordinatorNotAvailableError

from streams.commands.leaving import WORLD_FAILED
from streams.live.names import INTAKE_GROUP
from streams.live_settings import KafkaSettings
from tests.broker.kafka import USER, Broker
from tests.broker.live_run import JOURNAL, LiveRun, Worker, wait_until
from tests.broker.shared import Reached

RECORD = ("dispositions", b"{}")
"""What waits at the source: no sound record, but intake would have to take it to say so."""

CLOCK_BEHIND = "import time; now = time.time_ns; time.time_ns = lambda: now() - 3_600 * 10**9"
DISK_FULL = "import shutil; shutil.disk_usage = lambda path: type('Usage', (), {'free': 5 << 20})"


@pytest.fixture
def live(broker: Reached, prefix: str, tmp_path: Path) -> Iterator[LiveRun]:
    run = LiveRun(broker.bootstrap, prefix, tmp_path / "live")
    run.send([RECORD])
    yield run
    run.close()


def refused(run: LiveRun, worker: Worker, *words: str) -> str:
    """What it said: one line or a list, without a traceback, with all of these words; and nothing was consumed."""
    try:
        assert worker.ends(60) == WORLD_FAILED
        said = worker.said()
        assert said.startswith("fundtrail: ") and "Traceback" not in said
        missing = [word for word in words if word not in said]
        assert not missing, f"{missing} not in: {said}"
    finally:
        worker.kill()
    assert taken(run) == (0, 0)
    return said


def committed(run: LiveRun) -> int:
    """Partitions with committed source offsets; where no group has ever asked, there is nothing that could tell."""
    group = run.prefix + INTAKE_GROUP
    with KafkaAdminClient(bootstrap_servers=run.bootstrap) as admin:
        try:
            return sum(one.offset >= 0 for one in admin.list_group_offsets({group: None})[group].values())
        except CoordinatorNotAvailableError:
            return 0


def taken(run: LiveRun) -> tuple[int, int]:
    """(messages in journal and rejects, partitions with committed source offsets)."""
    with KafkaAdminClient(bootstrap_servers=run.bootstrap) as admin:
        there = set(admin.list_topics())
    return sum(run.end(topic) for topic in (JOURNAL, "rejects") if run.prefix + topic in there), committed(run)


def configure(run: LiveRun, topic: str, **config: str) -> None:
    values = {name.replace("_", "."): value for name, value in config.items()}
    with KafkaAdminClient(bootstrap_servers=run.bootstrap) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, run.prefix + topic, values)])


def test_an_unknown_broker(live: LiveRun) -> None:
    there, live.bootstrap = live.bootstrap, "127.0.0.1:1"
    worker = live.start()
    live.bootstrap = there
    refused(live, worker, "no broker can be used. 127.0.0.1:1: nobody listens there")


def test_a_wrong_password(own_broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = LiveRun(own_broker.bootstrap, "locked.", tmp_path / "live")
    run.send([RECORD])
    settings = run.settings()
    text = settings.read_text(encoding="utf-8")
    way = f'security_protocol = "SASL_PLAINTEXT"\nsasl_mechanism = "PLAIN"\nusername = "{USER}"\n'
    settings.write_text(text.replace("[kafka]\n", f"[kafka]\n{way}"), encoding="utf-8")
    monkeypatch.setenv(KafkaSettings().password_env, "a guess")
    run.bootstrap = own_broker.sasl_bootstrap
    worker = run.start(settings=settings)
    run.bootstrap = own_broker.bootstrap
    said = refused(run, worker, "refuses the user", KafkaSettings().password_env)
    assert "a guess" not in said
    run.close()


def test_a_missing_topic(live: LiveRun) -> None:
    with KafkaAdminClient(bootstrap_servers=live.bootstrap) as admin:
        admin.delete_topics([f"{live.prefix}alerts"])
    refused(live, live.start(), f"the topic {live.prefix}alerts is not there", "fundtrail topics create")


def test_a_misconfigured_topic(live: LiveRun) -> None:
    configure(live, JOURNAL, cleanup_policy="compact")
    configure(live, "rejects", max_message_bytes="1048588")
    refused(live, live.start(), "is compacted, which would lose records", "takes messages of 1,048,588 bytes", "kafka-configs")


def test_too_few_partitions(live: LiveRun) -> None:
    with KafkaAdminClient(bootstrap_servers=live.bootstrap) as admin:
        admin.create_partitions({f"{live.prefix}{name}": 2 for name in (JOURNAL, "dispositions")})
    refused(live, live.start(), "must have equal numbers", "alerts has 1 partitions", "kafka-topics --alter")


def test_a_clock_behind_the_brokers(live: LiveRun, monkeypatch: pytest.MonkeyPatch) -> None:
    live.send([("journal", b"a page, stamped by the broker")])
    monkeypatch.setattr("tests.broker.test_bad_weather.taken", lambda run: (live.end(JOURNAL) - 1, 0))
    refused(live, live.start(before=CLOCK_BEHIND), "this machine's clock is at least 3,", "NTP")


def test_a_full_disk(live: LiveRun) -> None:
    refused(live, live.start(before=DISK_FULL), "has 5 MiB left", "make room")


def test_a_state_folder_that_cannot_be_written(live: LiveRun) -> None:
    (live.folder / "file").write_text("not a folder", encoding="utf-8")
    blocked = ["--state-dir", str(live.folder / "file" / "state")]
    refused(live, live.start(more=blocked), "cannot be written", "state_dir in [detect]")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_state_folder_without_rights(live: LiveRun) -> None:
    (live.folder / "state").mkdir(mode=0o500)
    refused(live, live.start(), "cannot be written (Permission denied)", "state_dir in [detect]")


def test_two_workers_with_one_state_folder(live: LiveRun) -> None:
    with live.running() as first:
        wait_until(lambda: live.end("rejects") == 1, "the record's reject")
        second = live.start(role="detect")
        try:
            assert second.ends(60) == WORLD_FAILED
            assert f"is held by the worker with pid {first.process.pid}" in second.said()
            assert "stop that one" in second.said()
        finally:
            second.kill()


def test_state_of_a_later_version_of_another_generation_or_damaged(live: LiveRun) -> None:
    """Three books' files, each with its own mistake; all of them are told together."""
    state = live.folder / "state"
    state.mkdir()
    metas: list[dict[str, object]] = [{"version": 99}, {"version": 1, "generation": "0-another"}]
    for book, meta in enumerate(metas):
        with sqlite3.connect(state / f"book-{book}.sqlite") as file:
            file.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value)")
            file.executemany("INSERT INTO meta VALUES (?, ?)", {"generation": "0", "book": book, **meta}.items())
        file.close()
    (state / "book-2.sqlite").write_bytes(b"SQLite format 3\0" + b"torn" * 100)
    said = refused(live, live.start(), "state version 99", "written by 0-another", "--new-generation", "book-2.sqlite")
    assert said.count("\n- ") == 3
    (state / "book-0.sqlite").unlink()
    (state / "book-2.sqlite").unlink()
    with live.running(more=["--new-generation"]):
        wait_until(lambda: live.end("rejects") == 1, "the record's reject")


def test_a_worker_leaves_nothing_where_it_is_started(live: LiveRun) -> None:
    with live.running() as worker:
        wait_until(lambda: worker.metrics()["fundtrail_intake_lanes"] == 1, "a lane")
    assert not list(Path.cwd().glob(f"{live.prefix}*"))
