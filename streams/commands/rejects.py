"""`fundtrail rejects`: what the live path refused, and how it gets in after a fix."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.broker import BootstrapOption, PrefixOption
from streams.commands.leaving import (
    EXIT_CODES,
    WORLD_FAILED,
    ConfigOption,
    errors_in_one_line,
    settings_of,
)
from streams.commands.reaching import Where, instant, reading

if TYPE_CHECKING:
    from streams.live.connection import Connection
    from streams.live.reading import Reader
    from streams.live.redrive import Planned, Redrive, Refused
    from streams.live.reject_shelf import Coordinates, RejectShelf, Selection, Shelved
    from streams.settings import Settings

app = typer.Typer(help="Lists, shows and redrives what the live path refused.", no_args_is_help=True, epilog=EXIT_CODES)


class StageKind(enum.StrEnum):
    """Who rejects."""

    intake = "intake"
    detect = "detect"


CoordinatesArgument = Annotated[list[str] | None, typer.Argument(metavar="[TOPIC/PARTITION/OFFSET]...", show_default=False)]
TopicOption = Annotated[list[str] | None, typer.Option("--topic", help="Only of this source topic (may be repeated).")]
StageOption = Annotated[StageKind | None, typer.Option("--stage", help="Only those of intake, or of detect.")]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Only where field or reason hold this text.")
]
SinceOption = Annotated[
    int | None, typer.Option("--since", parser=instant, metavar="TIME", help="Only those rejected then or later (RFC 3339).")
]


@app.command("list", epilog=EXIT_CODES)
def list_rejects(
    at: CoordinatesArgument = None,
    topic: TopicOption = None,
    stage: StageOption = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Those too that were redriven.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Rejects told one by one.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON for each, to be mended and redriven.")] = False,
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    prefix: PrefixOption = None,
) -> None:
    """Show how many records were rejected for which reason, and which ones."""
    with _opened(Where(config, bootstrap, prefix)) as (settings, _, _, shelf):
        from streams.people.reject_list import item_lines, mending_line, summary_lines

        items = shelf.selected(_selection(at, topic, stage, reason, since))
        items = [item for item in items if everything or item.redriven_to is None]
        if as_json:
            for item in items:
                typer.echo(mending_line(item, shelf.whole(item)))
            return
        if not items:
            typer.echo("No rejects" + (" like that." if shelf.items else "."))
        else:
            for line in summary_lines(items):
                typer.echo(line)
            typer.echo("")
            for line in item_lines(items, limit, settings.engine.utc_offset_minutes):
                typer.echo(line)


@app.command(epilog=EXIT_CODES)
def show(
    at: Annotated[str, typer.Argument(metavar="TOPIC/PARTITION/OFFSET", help="The rejected record's coordinates.")],
    raw: Annotated[bool, typer.Option("--raw", help="Write the original bytes and nothing else.")] = False,
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    prefix: PrefixOption = None,
) -> None:
    """Show one reject in full, its original readable."""
    with _opened(Where(config, bootstrap, prefix)) as (settings, connection, reader, shelf):
        from streams.live.redrive import Redrive
        from streams.people.reject_list import reject_lines

        item = _known(shelf, _coordinates(at))
        reject = shelf.whole(item)
        if not raw:
            for line in reject_lines(item, reject, settings.engine.utc_offset_minutes):
                typer.echo(line)
            return
        original = Redrive(reader, shelf, {}, None, connection.settings.prefix).original(reject)
        typer.echo(reject.kept if original is None else original, nl=False)
        if original is None:
            kept = f"{len(reject.kept):,} of {reject.original_length:,} bytes"
            typer.echo(f"fundtrail: only {kept} are kept, and the source topic no longer has the record.", err=True)
            raise typer.Exit(WORLD_FAILED)


@app.command(epilog=EXIT_CODES)
def redrive(
    at: CoordinatesArgument = None,
    topic: TopicOption = None,
    stage: StageOption = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    corrected: Annotated[
        Path | None, typer.Option("--from", help="Send these mended records instead of the originals (see list --json).")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also what was redriven before.")] = False,
    unchecked: Annotated[bool, typer.Option("--unchecked", help="Also what this fundtrail would reject again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    prefix: PrefixOption = None,
) -> None:
    """Send rejected records to their source topic again after a fix: in order, each once."""
    from streams.live.corrections import CorrectionMistake

    with (
        errors_in_one_line(wrong_use=(CorrectionMistake,)),
        _opened(Where(config, bootstrap, prefix)) as (settings, connection, reader, shelf),
    ):
        from streams.live.corrections import read_corrections
        from streams.live.redrive import Redrive

        selection = _selection(at, topic, stage, reason, since)
        values = read_corrections(corrected) if corrected is not None else {}
        if corrected is not None:
            for coordinates in values:
                _known(shelf, coordinates)
            selection = selection._replace(coordinates=(selection.coordinates & values.keys()) or frozenset(values))
        items = shelf.selected(selection)
        decoder = None if unchecked else settings.live.intake.decoder
        run = Redrive(reader, shelf, values, decoder, connection.settings.prefix)
        refused = _dry(run, items, again) if dry_run else _send(connection, run, shelf, items, again)
        for one in refused:
            typer.echo(f"fundtrail: {one.item.at} is not sent: {one.why}", err=True)
        if refused:
            raise typer.Exit(WORLD_FAILED)


def _send(connection: Connection, run: Redrive, shelf: RejectShelf, items: list[Shelved], again: bool) -> list[Refused]:
    from streams.live.connection import consumer_of, producer_of
    from streams.live.names import topic_name
    from streams.live.redrive import REDRIVE_GROUP

    refused: list[Refused] = []
    group = topic_name(connection.settings.prefix, REDRIVE_GROUP)
    with producer_of(connection) as producer, consumer_of(connection, group_id=group) as notes:
        found = run.find_unmarked(notes, items)
        run.mark(producer, found)
        marked = {sent.item.at for sent in found}
        wanted = [item for item in items if again or (item.redriven_to is None and item.at not in marked)]
        sent = sum(len(done) for done in run.run(producer, notes, _planned(run, wanted, refused)))
    typer.echo(f"{sent:,} redriven")
    if found:
        typer.echo(f"{len(found):,} had been sent by a run that was interrupted: marked, not sent again")
    before = len(items) - len(wanted) - sum(item.at in marked for item in items)
    if before:
        typer.echo(f"{before:,} were redriven before (--again sends them too)")
    return refused


def _dry(run: Redrive, items: list[Shelved], again: bool) -> list[Refused]:
    refused: list[Refused] = []
    wanted = [item for item in items if again or item.redriven_to is None]
    for planned in _planned(run, wanted, refused):
        typer.echo(f"would send {planned.item.at}: {len(planned.entry.value):,} bytes ({planned.item.field})")
    typer.echo(f"{len(wanted) - len(refused):,} would be redriven, {len(items) - len(wanted):,} were before")
    return refused


def _planned(run: Redrive, items: list[Shelved], refused: list[Refused]) -> Iterator[Planned]:
    from streams.live.redrive import Planned

    for one in run.plan(items):
        if isinstance(one, Planned):
            yield one
        else:
            refused.append(one)


@contextmanager
def _opened(
    where: Where, wrong_use: tuple[type[Exception], ...] = ()
) -> Iterator[tuple[Settings, Connection, Reader, RejectShelf]]:
    with errors_in_one_line(wrong_use=wrong_use):
        from streams.live.reject_shelf import RejectShelf

        settings = settings_of(where.config)
        with reading(where) as (connection, reader), RejectShelf() as shelf:
            shelf.fill(reader)
            if shelf.foreign:
                typer.echo(f"fundtrail: {shelf.foreign:,} messages on the topic are no rejects; left out.", err=True)
            yield settings, connection, reader, shelf


def _selection(
    at: list[str] | None, topic: list[str] | None, stage: StageKind | None, reason: str | None, since_ms: int | None
) -> Selection:
    from streams.live.reject_shelf import Selection

    coordinates = frozenset(_coordinates(text) for text in at or ())
    return Selection(coordinates, frozenset(topic or ()), stage.value if stage is not None else None, reason, since_ms)


def _coordinates(text: str) -> Coordinates:
    from streams.live.reject_shelf import Coordinates

    try:
        return Coordinates.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _known(shelf: RejectShelf, at: Coordinates) -> Shelved:
    item = shelf.items.get(at)
    if item is None:
        raise typer.BadParameter(f"{at} is no reject; `fundtrail rejects list --all` shows which there are")
    return item
