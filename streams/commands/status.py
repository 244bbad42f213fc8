"""`fundtrail status`: is the live path whole, and where does it stand."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from streams.commands.broker import BootstrapOption, PrefixOption
from streams.commands.leaving import WORLD_FAILED, ConfigOption, errors_in_one_line, settings_of
from streams.commands.reaching import Where, reading


def status(
    full: Annotated[bool, typer.Option("--full", help="Account for every record, however long the journal is.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same as data.")] = False,
    state_dir: Annotated[
        Path | None, typer.Option(help="A worker's state folder; goes before the settings' state_dir.", file_okay=False)
    ] = None,
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    prefix: PrefixOption = None,
) -> None:
    """Show groups, lag, checkpoints, rejects and the accounts. Ends with 1 when something must be done."""
    with errors_in_one_line():
        import msgspec

        from streams.live.status import status as look
        from streams.people.status import lines

        folder = state_dir or Path(settings_of(config).live.detect.state_dir)
        with reading(Where(config, bootstrap, prefix)) as (connection, reader):
            found = look(connection, reader, folder, time.time_ns() // 1_000_000, full=full)
        if as_json:
            typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        else:
            for line in lines(found):
                typer.echo(line)
    if found.problems:
        raise typer.Exit(WORLD_FAILED)


COMMANDS = (status,)
