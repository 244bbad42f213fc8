"""``fundtrail topics``: create, check and describe what a broker has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.broker import BootstrapOption, PrefixOption, connected
from streams.commands.leaving import EXIT_CODES, WORLD_FAILED, ConfigOption, errors_in_one_line

if TYPE_CHECKING:
    from rich.table import Table

    from streams.live.topics import Topic

topics = typer.Typer(no_args_is_help=True, help="Create, check and describe the topics on the broker.", epilog=EXIT_CODES)

LanesOption = Annotated[
    int | None, typer.Option(min=1, help="Partitions of each source topic, instead of the declared number.")
]
BooksOption = Annotated[
    int | None, typer.Option(min=1, help="Partitions of the journal and of what detect writes, instead of the declared number.")
]
DeclarationOption = Annotated[
    Path | None,
    typer.Option("--declaration", help="Your copy of deploy/topics.toml; without it, the shipped one.", dir_okay=False),
]
DAY_MS = 86_400_000


@topics.command(epilog=EXIT_CODES)
def create(
    bootstrap: BootstrapOption = None,
    config: ConfigOption = None,
    prefix: PrefixOption = None,
    lanes: LanesOption = None,
    books: BooksOption = None,
    declaration: DeclarationOption = None,
) -> None:
    """Create the topics that are missing; what is there is left as it is, and what differs is told."""
    with errors_in_one_line():
        from streams.live.connection import admin_of
        from streams.live.topics import create_missing, declared_topics, differences, present_topics

        wanted = declared_topics(declaration, lanes=lanes, books=books)
        connection = connected(config, bootstrap, prefix)
        with admin_of(connection) as admin:
            there = present_topics(admin, connection.settings.prefix)
            created = create_missing(admin, connection.settings.prefix, wanted, there)
        for name in created:
            typer.echo(f"created  {name}")
        differing = differences([topic for topic in wanted if topic.name in there], there, connection.settings.prefix)
        for sentence in differing:
            typer.echo(f"differs  {sentence}")
        typer.echo(f"{len(created)} created, {len(there)} were there; {_left_alone(len(differing))}")


def _left_alone(count: int) -> str:
    if not count:
        return "nothing differs from the declaration"
    return f"{count} differences were left as they are: change them with Kafka's own tools (kafka-configs, kafka-topics)"


@topics.command(epilog=EXIT_CODES)
def check(
    bootstrap: BootstrapOption = None,
    config: ConfigOption = None,
    prefix: PrefixOption = None,
    lanes: LanesOption = None,
    books: BooksOption = None,
    declaration: DeclarationOption = None,
) -> None:
    """Say what differs from the declaration; exit code 1 when anything does."""
    with errors_in_one_line():
        from streams.live.connection import admin_of
        from streams.live.topics import declared_topics, differences, present_topics

        wanted = declared_topics(declaration, lanes=lanes, books=books)
        connection = connected(config, bootstrap, prefix)
        with admin_of(connection) as admin:
            there = present_topics(admin, connection.settings.prefix)
        differing = differences(wanted, there, connection.settings.prefix)
        for sentence in differing:
            typer.echo(sentence)
        if differing:
            remedy = "`fundtrail topics create` makes what is missing; the rest is for kafka-configs and kafka-topics"
            typer.echo(f"fundtrail: {len(differing)} differences from the declaration. {remedy}.", err=True)
            raise typer.Exit(WORLD_FAILED)
        typer.echo(f"all {len(wanted)} topics are as declared")


@topics.command(epilog=EXIT_CODES)
def describe(bootstrap: BootstrapOption = None, config: ConfigOption = None, prefix: PrefixOption = None) -> None:
    """Show the topics that are there: partitions, how long they keep what, how much they hold."""
    with errors_in_one_line():
        from rich.console import Console

        from streams.live.connection import admin_of
        from streams.live.topics import TOPICS, message_counts, present_topics

        connection = connected(config, bootstrap, prefix)
        with admin_of(connection) as admin:
            there = present_topics(admin, connection.settings.prefix)
            counts = message_counts(admin, connection.settings.prefix, there.values())
        Console().print(_table(connection.settings.prefix, list(there.values()), counts))
        missing = [name for name in TOPICS if name not in there]
        if missing:
            typer.echo(f"Not there: {', '.join(missing)}. `fundtrail topics create` makes them.")


def _table(prefix: str, there: list[Topic], counts: dict[str, int]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    table.add_column("Topic", no_wrap=True)
    for heading in ("Partitions", "Copies", "Cleanup", "Kept", "Largest", "Messages"):
        table.add_column(heading, justify="right", no_wrap=True)
    for topic in there:
        kept, largest = _days(topic.config["retention.ms"]), f"{int(topic.config['max.message.bytes']) / 2**20:.3g} MiB"
        figures = (
            topic.partitions,
            topic.replication,
            topic.config["cleanup.policy"],
            kept,
            largest,
            f"{counts[topic.name]:,}",
        )
        table.add_row(prefix + topic.name, *map(str, figures))
    return table


def _days(retention_ms: str) -> str:
    return "always" if retention_ms == "-1" else f"{int(retention_ms) / DAY_MS:.3g} d"
