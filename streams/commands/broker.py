"""What commands that talk to a broker have in common: options, and the connection they give."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.leaving import settings_of

if TYPE_CHECKING:
    from streams.live.connection import Connection

BootstrapOption = Annotated[
    str | None,
    typer.Option("--bootstrap", "-b", help="host:port of a broker; without it KAFKA_BOOTSTRAP_SERVERS, else the settings'."),
]
PrefixOption = Annotated[
    str | None, typer.Option("--prefix", help="Before the name of every topic; without it the settings' (as shipped: nothing).")
]


def connected(config: Path | None, bootstrap: str | None, prefix: str | None) -> Connection:
    """A connection by settings and options, to a broker that answers.

    Raises:
        SettingsError: settings that cannot work.
        BrokerTrouble: no broker that lets us in.
    """
    import msgspec

    from streams.live.connection import connection_of, reach

    kafka = settings_of(config).live.kafka
    if prefix is not None:
        kafka = msgspec.structs.replace(kafka, prefix=prefix)
    connection = connection_of(kafka, bootstrap)
    reach(connection)
    return connection
