"""How commands read beside the live path: a reader of the broker that settings and options name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from streams.commands.broker import connected

if TYPE_CHECKING:
    from streams.live.connection import Connection
    from streams.live.reading import Reader


class Where(NamedTuple):
    """The options that say which broker and which topics are meant."""

    config: Path | None
    bootstrap: str | None
    prefix: str | None


def instant(text: str) -> int:
    """An option's instant as milliseconds since 1970; wrong usage for anything else."""
    from streams.live.reading import instant_ms

    try:
        return instant_ms(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@contextmanager
def reading(where: Where) -> Iterator[tuple[Connection, Reader]]:
    """A reader, and the connection it goes over."""
    from streams.live.reading import reader_of

    connection = connected(*where)
    with reader_of(connection) as reader:
        yield connection, reader
