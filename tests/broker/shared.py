"""One broker for all processes of a test run: whoever needs it first has it started, the last one's end stops it.

A guard process owns the broker. Every test process that uses it holds a shared lock; the guard waits for an exclusive one,
which it gets when the last user has ended, however it ended.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.broker.docker import DockerBroker, docker_engine
from tests.broker.jars import NoBroker, broker_jars, locked
from tests.broker.kafka import START_SECONDS_MAX, Broker, answers, wait_until

USERS, INFO, SAID = "users", "broker.json", "guard.log"


class Reached(NamedTuple):
    """A broker that tests share. Nobody may stop it."""

    bootstrap: str
    sasl_bootstrap: str | None  # None: it has no listener of ours that asks for a password


@contextmanager
def shared_broker(folder: Path) -> Iterator[Reached]:
    """The broker of everybody who names the same folder: $KAFKA_BOOTSTRAP_SERVERS, or Maven's jars, or Docker.

    Raises:
        NoBroker: none can be had.
    """
    if named := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        if not answers(named):
            raise NoBroker(f"KAFKA_BOOTSTRAP_SERVERS names {named}, and no broker answers there")
        yield Reached(named, None)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / USERS).open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        with locked(folder / "start.lock"):
            if not (folder / INFO).exists():
                _start_guard(folder)
        yield Reached(**json.loads((folder / INFO).read_text()))


def _start_guard(folder: Path) -> None:
    jars = ""
    try:
        jars = str(broker_jars())
    except NoBroker as error:
        if not docker_engine():
            raise NoBroker(f"{error}; and there is no Docker engine; and KAFKA_BOOTSTRAP_SERVERS is not set") from error
    with (folder / SAID).open("wb") as said:
        guard = subprocess.Popen(
            [sys.executable, "-m", "tests.broker.shared", str(folder), jars],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip

    def is_there() -> bool:
        assert guard.poll() is None, f"the broker did not start:\n{(folder / SAID).read_text()[-2_000:]}"
        return (folder / INFO).exists()

    wait_until(is_there, 3 * START_SECONDS_MAX, "the shared broker starts")
    guard.returncode = 0  # it outlives this process on purpose: nobody here waits for it


def _guard(folder: Path, jars: str) -> None:
    broker = Broker(folder / "broker", Path(jars)) if jars else DockerBroker()
    broker.start()
    try:
        info = {"bootstrap": broker.bootstrap, "sasl_bootstrap": broker.sasl_bootstrap}
        (folder / "info.unfinished").write_text(json.dumps(info))
        (folder / "info.unfinished").rename(folder / INFO)
        with (folder / USERS).open("a") as users:
            fcntl.flock(users, fcntl.LOCK_EX)  # until the last user has ended
    finally:
        (folder / INFO).unlink(missing_ok=True)
        broker.kill()  # nobody reads its data again
        shutil.rmtree(folder / "broker", ignore_errors=True)


if __name__ == "__main__":
    _guard(Path(sys.argv[1]), sys.argv[2])
