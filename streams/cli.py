"""The command ``fundtrail``: the parts are in :mod:`streams.commands`, each loading what it needs when it runs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from streams.commands import diff, files, rejects, shadow, status, watch
from streams.commands.leaving import EXIT_CODES
from streams.commands.load import load
from streams.commands.rules import rules
from streams.commands.topics import topics
from streams.commands.worker import worker

app = typer.Typer(
    help="Follows loan money through account transactions and alerts on misuse.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (*files.COMMANDS, *diff.COMMANDS, *watch.COMMANDS, *shadow.COMMANDS, *status.COMMANDS, load, worker):
    app.command(epilog=EXIT_CODES)(command)
app.add_typer(topics, name="topics")
app.add_typer(rejects.app, name="rejects")
app.add_typer(rules, name="rules")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"fundtrail {_version()}")
        raise typer.Exit


@app.callback()
def _fundtrail(
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


def _version() -> str:
    try:
        return version("fundtrail")
    except PackageNotFoundError:
        return "(not installed)"
