"""Start a worker: everything that can be wrong is looked for before any input is consumed."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from detectors.books import Books
from streams.live.checkpoint import CheckpointFile
from streams.live.connection import Connection, admin_of, connection_of
from streams.live.names import JOURNAL
from streams.live.preflight import STATE_WAIT_SECONDS, preflight
from streams.live.state_errors import OtherGeneration, StateError
from streams.live.state_folder import StateFolder
from streams.live.topics import present_topics
from streams.live.worker import Worker
from streams.live_settings import BookSettings
from streams.settings import Settings, SettingsError


class NotFit(Exception):
    """What a worker needs is not there. The message names every mistake with its remedy."""


def start_worker(settings: Settings, roles: tuple[str, ...], bootstrap: str | None, *, new_generation: bool = False) -> None:
    """Run a worker until it is told to stop.

    Raises:
        SettingsError: settings that cannot work.
        BrokerTrouble: no broker that answers and lets us in.
        NotFit: topics, offsets, clocks or the state folder are not as they must be.
        StateFolderHeld: another worker has the state folder.
    """
    connection = connection_of(settings.live.kafka, bootstrap)
    _demand_none(preflight(settings.live, roles, connection))
    StateFolder(Path(settings.live.detect.state_dir)).claim(STATE_WAIT_SECONDS)
    worker = Worker(settings, roles, connection, books_of(connection, settings.live.books), new_generation=new_generation)
    if "detect" in roles:
        _demand_none(state_mistakes(Path(settings.live.detect.state_dir), worker.generation, new_generation=new_generation))
    worker.run()


def state_mistakes(state_dir: Path, generation: str, *, new_generation: bool) -> list[str]:
    """What detect would stumble over when it gets one of the books it has a state of; one sentence each with the remedy."""
    mistakes = []
    for path in sorted(state_dir.glob("book-*.sqlite")):
        number = path.stem.removeprefix("book-")
        if not number.isdigit():
            continue  # put aside by an earlier generation
        try:
            CheckpointFile(path, generation).look(int(number))
        except OtherGeneration as error:
            if not new_generation:
                mistakes.append(f"{error}; --new-generation does that and keeps the file")
        except StateError as error:
            mistakes.append(str(error))
    return mistakes


def _demand_none(mistakes: list[str]) -> None:
    if mistakes:
        raise NotFit("nothing was consumed:\n" + "\n".join(f"- {mistake}" for mistake in mistakes))


def with_arguments(settings: Settings, *, prefix: str | None, state_dir: Path | None, port: int | None) -> Settings:
    """The settings with what the command line says instead."""
    live = settings.live
    if prefix is not None:
        live = msgspec.structs.replace(live, kafka=msgspec.structs.replace(live.kafka, prefix=prefix))
    if state_dir is not None:
        live = msgspec.structs.replace(live, detect=msgspec.structs.replace(live.detect, state_dir=str(state_dir)))
    if port is not None:
        live = msgspec.structs.replace(live, metrics=msgspec.structs.replace(live.metrics, port=port))
    return msgspec.structs.replace(settings, live=live)


def books_of(connection: Connection, settings: BookSettings) -> Books:
    """The books: as many as the journal has partitions."""
    with admin_of(connection) as admin:
        number = present_topics(admin, connection.settings.prefix)[JOURNAL].partitions
    try:
        re.compile(settings.pattern)
        return Books(number, 0, settings.pattern)
    except (re.error, ValueError) as error:
        raise SettingsError(f"[books] {error}") from None
