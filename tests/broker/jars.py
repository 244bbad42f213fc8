"""The jars of a real broker, fetched once by Maven into a folder that outlives test runs: ``python -m tests.broker.jars``."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POM = Path(__file__).with_name("pom.xml")
JAVA_MIN = 17
FETCH_SECONDS_MAX = 300


class NoBroker(Exception):
    """A broker cannot be had here; the message says why."""


def broker_jars() -> Path:
    """The folder with the jars of ``pom.xml``: $FUNDTRAIL_KAFKA_LIBS, or the cache, filled by Maven when it is empty.

    Raises:
        NoBroker: no Java, no Maven, or Maven failed.
    """
    check_java()
    if named := os.environ.get("FUNDTRAIL_KAFKA_LIBS"):
        if not any(Path(named).glob("kafka_*.jar")):
            raise NoBroker(f"FUNDTRAIL_KAFKA_LIBS names {named}, which holds no Kafka jars")
        return Path(named)
    # A changed pom.xml is another folder, so that a cache never mixes versions.
    folder = cache_folder() / f"kafka-{zlib.crc32(POM.read_bytes()):08x}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_suffix(".lock")):
            if not folder.is_dir():
                _fetch(folder)
    return folder


def cache_folder() -> Path:
    """Where the jars are kept for one user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fundtrail"


def check_java() -> None:
    """Raises ``NoBroker`` without a Java that Kafka 4 runs on."""
    if shutil.which("java") is None:
        raise NoBroker("there is no java (Debian: apt-get install openjdk-17-jre-headless)")
    said = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA_MIN:
        raise NoBroker(f"Kafka 4 needs Java {JAVA_MIN}, here is {said.splitlines()[0] if said else 'an unknown one'}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time; a process that dies lets go."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(folder: Path) -> None:
    if shutil.which("mvn") is None:
        raise NoBroker("there is no mvn to fetch the broker's jars (Debian: apt-get install maven)")
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = ["mvn", "-B", "-q", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
    try:
        done = subprocess.run(
            [*command, f"-DoutputDirectory={unfinished}"], capture_output=True, text=True, timeout=FETCH_SECONDS_MAX
        )
    except subprocess.TimeoutExpired as error:
        raise NoBroker(f"mvn did not fetch the broker's jars within {FETCH_SECONDS_MAX} s") from error
    if done.returncode != 0:
        raise NoBroker(f"mvn could not fetch the broker's jars: {(done.stdout + done.stderr)[-500:]}")
    unfinished.rename(folder)


if __name__ == "__main__":
    try:
        print(f"The broker's jars are in {broker_jars()}")
    except NoBroker as error:
        sys.exit(f"broker-jars: {error}")
