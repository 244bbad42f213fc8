"""`fundtrail watch`: alerts as they are said."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.broker import BootstrapOption, PrefixOption
from streams.commands.leaving import ConfigOption, errors_in_one_line, settings_of
from streams.commands.reaching import Where, instant, reading

if TYPE_CHECKING:
    from rich.console import Console

    from streams.live.log import Stored
    from streams.live.reading import Reader
    from streams.people.watch import Seen


class SeverityKind(enum.StrEnum):
    """From the gravest down."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


def watch(
    severity: Annotated[
        SeverityKind | None, typer.Option(case_sensitive=False, help="Only alerts this grave or graver.")
    ] = None,
    typology: Annotated[list[str] | None, typer.Option(help="Only this typology, such as T01 (may be repeated).")] = None,
    loan: Annotated[list[str] | None, typer.Option(help="Only this loan (may be repeated).")] = None,
    customer: Annotated[list[str] | None, typer.Option(help="Only this customer (may be repeated).")] = None,
    since: Annotated[
        int | None,
        typer.Option(parser=instant, metavar="TIME", help="Begin with alerts said then (RFC 3339), not now."),
    ] = None,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Begin with the first alert there is.")] = False,
    until_end: Annotated[bool, typer.Option("--until-end", help="Stop at the last alert there is now.")] = False,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many alerts.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The alerts as they are, one JSON object a line.")] = False,
    topic: Annotated[str, typer.Option(help="The topic of alerts, without the prefix.")] = "alerts",
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    prefix: PrefixOption = None,
) -> None:
    """Show alerts as they are said, until Ctrl-C."""
    if since is not None and from_beginning:
        raise typer.BadParameter("either --since or --from-beginning")
    with errors_in_one_line():
        from rich.console import Console

        from streams.people.watch import Filter, seen

        settings = settings_of(config)
        wanted = Filter(
            severity.value if severity is not None else None,
            frozenset(code.upper() for code in typology or ()),
            frozenset(loan or ()),
            frozenset(customer or ()),
        )
        console, offset = Console(soft_wrap=True), settings.engine.utc_offset_minutes
        try:
            with reading(Where(config, bootstrap, prefix)) as (_, reader):
                shown = 0
                for one in seen(_messages(reader, topic, since, from_beginning, until_end), wanted):
                    shown += _show(one, console, as_json, offset)
                    if shown == count:
                        return
        except KeyboardInterrupt:
            return


def _messages(
    reader: Reader, topic: str, since_ms: int | None, from_beginning: bool, until_end: bool
) -> Iterator[tuple[int, Stored]]:
    extents = reader.extents(topic)
    begins = {number: extent.begin if from_beginning else extent.end for number, extent in extents.items()}
    if since_ms is not None:
        begins = reader.offsets_at(topic, since_ms)
    if until_end:
        yield from reader.stretch(topic, {number: extent._replace(begin=begins[number]) for number, extent in extents.items()})
        return
    batches: Iterable[list[tuple[int, Stored]]] = reader.follow(topic, begins)
    for batch in batches:
        yield from batch


def _show(one: Seen, console: Console, as_json: bool, utc_offset_minutes: int) -> int:
    """Show one; 1 when it was an alert."""
    from streams.people.watch import alert_text

    if one.alert is None:
        typer.echo(f"fundtrail: {one.news}", err=True)
        return 0
    if as_json:
        typer.echo(one.raw.decode())
    else:
        console.print(alert_text(one.alert, utc_offset_minutes), highlight=False)
        console.file.flush()
    return 1


COMMANDS = (watch,)
