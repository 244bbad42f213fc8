"""A live run for tests: topics under a prefix, records on them, workers as processes, what came out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import CoordinatorNotAvailableError

from streams.files.inputs import find_topic_files
from streams.files.merge import merge
from streams.files.readers import open_sources
from streams.live.journal import decode_page
from streams.live.names import (
    ALERTS,
    FOLLOWS_HEADER,
    INTAKE_GROUP,
    JOURNAL,
    LOAN_RISK,
    ORDER_HEADER,
    PORTFOLIO,
    REJECTS,
    SOURCES,
)
from streams.live.topics import create_missing, declared_topics

REPOSITORY = Path(__file__).parents[2]
FUNDTRAIL = [sys.executable, "-c", "from streams.cli import app; app()"]
SESSION_MS = 6_000
DEADLINE_S = 120

SETTINGS = """
[kafka]
session_timeout_ms = {session}
[detect]
checkpoint_interval_ms = {checkpoint}
publish_url = "{publish}"
publish_interval_ms = {publish_every}
"""


def wait_until(done: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S, pause_s: float = 0.1) -> None:
    """Poll until ``done()``; an assertion with the last answer when it does not come."""
    until = time.monotonic() + deadline_s
    while not (answer := done()):
        assert time.monotonic() < until, f"no {what} within {deadline_s} s; last answer {answer!r}"
        time.sleep(pause_s)


class LiveRun:
    """One prefix on one broker."""

    def __init__(
        self, bootstrap: str, prefix: str, folder: Path, *, books: int = 1, lanes: int = 1, sections: str = ""
    ) -> None:  # fmt: skip
        """``sections`` of a configuration file, for workers and tools alike."""
        self.bootstrap = bootstrap
        self.sections = sections
        self.prefix = prefix
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
            create_missing(admin, prefix, declared_topics(books=books, lanes=lanes), {})
        self.consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, group_id=None)

    def close(self) -> None:
        self.consumer.close()

    # --- in -----------------------------------------------------------------------------------------------------------

    def load(self, source: Path, *, lane: int = 0) -> int:
        """Every record of a folder, in the order of its replay."""
        return self.send(records_of(source), lane=lane)

    def send(self, records: Iterable[tuple[str, bytes]], *, lane: int = 0, first: int = 0) -> int:
        """(topic, value) in order."""
        sent = first
        with KafkaProducer(bootstrap_servers=self.bootstrap, acks="all", linger_ms=5, max_request_size=20 << 20) as producer:
            for topic, value in records:
                headers = [(ORDER_HEADER, str(sent).encode()), (FOLLOWS_HEADER, str(sent - 1).encode())]
                producer.send(self.prefix + topic, value=value, headers=headers, partition=lane)
                sent += 1
            producer.flush()
        return sent - first

    # --- out ----------------------------------------------------------------------------------------------------------

    def end(self, topic: str, partition: int = 0) -> int:
        tp = TopicPartition(self.prefix + topic, partition)
        return int(self.consumer.end_offsets([tp])[tp])

    def read(self, topic: str, partition: int = 0) -> list[Any]:
        """All messages of a partition."""
        tp = TopicPartition(self.prefix + topic, partition)
        self.consumer.assign([tp])
        self.consumer.seek_to_beginning(tp)
        end, found = self.end(topic, partition), []
        while self.consumer.position(tp) < end:
            for records in self.consumer.poll(timeout_ms=500).values():
                found += records
        return found

    def alerts(self, partition: int = 0) -> list[bytes]:
        return [message.value for message in self.read(ALERTS, partition)]

    def rejects(self) -> dict[str, bytes]:
        """Coordinates -> the last reject of them."""
        return {message.key.decode(): message.value for message in self.read(REJECTS)}

    def taken_in(self) -> int:
        """How many source records intake has committed."""
        group = self.prefix + INTAKE_GROUP
        with KafkaAdminClient(bootstrap_servers=self.bootstrap) as admin:
            try:
                offsets = admin.list_group_offsets({group: None})[group]
            except CoordinatorNotAvailableError:  # a broker that no group has ever asked makes its topic of offsets now
                return 0
            return sum(max(0, one.offset) for one in offsets.values())

    def tool(self, *arguments: object) -> tuple[int, str]:
        """A command beside the workers; (exit code, complaints)."""
        where = ["--bootstrap", self.bootstrap, "--config", str(self.settings(with_prefix=True))]
        done = subprocess.run(
            [*FUNDTRAIL, *map(str, arguments), *where], capture_output=True, text=True, timeout=DEADLINE_S,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip
        return done.returncode, done.stderr

    def assert_alerts(self, expected: list[bytes]) -> None:
        """The same alerts in the same bytes; else where they part, and where intake left the order of the load."""
        found = self.alerts()
        if found == expected:
            return
        part = next(
            (i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), min(len(found), len(expected))
        )
        twice = len(found) - len(set(found))
        raise AssertionError(
            f"{len(found)} alerts for {len(expected)}, {twice} of them twice; they part at {part}: "
            f"{found[part : part + 1]} for {expected[part : part + 1]}; {self.disorder()}"
        )

    def disorder(self) -> str:
        """Where the journal's order is not that of the order headers."""
        order = {
            (topic, message.offset): int(dict(message.headers)[ORDER_HEADER])
            for topic in SOURCES
            for message in self.read(topic)
        }
        seen: dict[str, int] = {}
        last = -1
        for page_message in self.read(JOURNAL):
            page = decode_page(page_message.value)
            for record in page.records:
                span = page.spans[record.span]
                if span.after > seen.get(span.topic, -1) or record.offset <= seen.get(span.topic, -1):
                    continue
                seen[span.topic] = record.offset
                place = order[span.topic, record.offset]
                if place < last:
                    return f"page {page_message.offset} has {span.topic}/{record.offset} ({place}) behind {last}"
                last = place
        return "the journal is in order"

    # --- workers ------------------------------------------------------------------------------------------------------

    def settings(self, *, checkpoint_ms: int = 1_000, publish: Path | None = None, with_prefix: bool = False) -> Path:
        path = self.folder / ("tools.toml" if with_prefix else "settings.toml")
        text = SETTINGS.format(session=SESSION_MS, checkpoint=checkpoint_ms, publish=publish or "", publish_every=1_000)
        if with_prefix:
            text = text.replace("[kafka]", f'[kafka]\nprefix = "{self.prefix}"')
        path.write_text(text + self.sections, encoding="utf-8")
        return path

    def start(
        self,
        role: str = "both",
        state: str = "state",
        *,
        fault: str = "",
        settings: Path | None = None,
        more: Iterable[str] = (),
        before: str = "",
    ) -> Worker:
        """A worker as a process of its own; ``before`` is what its Python does first."""
        arguments = ["worker", "--bootstrap", self.bootstrap, "--prefix", self.prefix, "--role", role, "--port", "0"]
        arguments += ["--state-dir", str(self.folder / state), "--config", str(settings or self.settings()), *more]
        return Worker(arguments, self.folder / f"{state}-{role}.log", fault, before)

    @contextmanager
    def running(self, role: str = "both", state: str = "state", **options: Any) -> Iterator[Worker]:
        worker = self.start(role, state, **options)
        try:
            yield worker
            worker.stop()
        finally:
            worker.kill()

    def until_alerts(self, count: int, worker: Worker | None = None, deadline_s: float = DEADLINE_S) -> None:
        """Until so many alerts stand in the topic; fails at once when the worker ends."""

        def done() -> bool:
            assert worker is None or worker.is_running, worker.said()[-3000:]
            return self.end(ALERTS) >= count

        wait_until(done, f"{count} alerts (there are {self.end(ALERTS)})", deadline_s)


class Worker:
    """A worker process."""

    def __init__(self, arguments: list[str], log: Path, fault: str, before: str = "") -> None:
        self.log = log
        self.begin = log.stat().st_size if log.exists() else 0
        environment = {**os.environ, "FUNDTRAIL_FAULT": fault, "PYTHONPATH": str(REPOSITORY)}
        with log.open("ab") as output:
            command = [*FUNDTRAIL[:-1], f"{before}\n{FUNDTRAIL[-1]}", *arguments]
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL, also when it is stopped."""
        if self.is_running:
            self.process.kill()
        self.process.wait()

    def stop(self, deadline_s: float = 60) -> int:
        """SIGTERM, and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(deadline_s)

    def ends(self, deadline_s: float = 60) -> int:
        """Its exit code, once it ends by itself."""
        return self.process.wait(deadline_s)

    def said(self) -> str:
        """What it has logged."""
        return self.log.read_bytes()[self.begin :].decode()

    @property
    def address(self) -> str:
        """Where it serves metrics."""
        said: list[str] = []

        def told() -> bool:
            said[:] = [word for word in self.said().split() if word.startswith("http://")]
            return bool(said)

        wait_until(told, "metrics address in the log", 30)
        return said[-1].rstrip(".,;")

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics."""
        text = self.get("/metrics")
        return {
            line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if not line.startswith("#")
        }

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.address + path, timeout=10) as answer:
            return str(answer.read().decode())


def records_of(source: Path) -> Iterator[tuple[str, bytes]]:
    """(topic, bytes) of a folder's records, in the order of its replay."""
    sources = open_sources(find_topic_files([source]).files)
    for rows, _ in merge(sources):
        for row in rows:
            assert isinstance(row[6], bytes)
            yield sources[row[3]].file.topic, row[6]


__all__ = [
    "ALERTS",
    "JOURNAL",
    "LOAN_RISK",
    "PORTFOLIO",
    "REJECTS",
    "SESSION_MS",
    "LiveRun",
    "Worker",
    "records_of",
    "wait_until",
]
