"""How commands reach the broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streams.live.connection import Connection
    from streams.live.reading import Reader
    from streams.live_settings import KafkaSettings

BootstrapOption = Annotated[
    str | None,
    typer.Option("--bootstrap", help="The broker, host:port; goes before KAFKA_BOOTSTRAP_SERVERS and the settings."),
]


def instant(text: str) -> int:
    """An option's instant as milliseconds since 1970; wrong usage for anything else."""
    from streams.live.reading import instant_ms

    try:
        return instant_ms(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def reached(kafka: KafkaSettings, bootstrap: str | None) -> Connection:
    """The connection, once a broker has answered; ``BrokerTrouble`` says why none did."""
    from streams.live.connection import connection_of, reach

    connection = connection_of(kafka, bootstrap)
    reach(connection)
    return connection


@contextmanager
def reading(kafka: KafkaSettings, bootstrap: str | None) -> Iterator[tuple[Connection, Reader]]:
    """A reader of the broker that the settings name, and the connection it goes over."""
    from streams.live.reading import reader_of

    connection = reached(kafka, bootstrap)
    with reader_of(connection) as reader:
        yield connection, reader
