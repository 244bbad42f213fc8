"""``fundtrail load``: topic files onto Kafka."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.broker import BootstrapOption, PrefixOption, connected
from streams.commands.leaving import ConfigOption, errors_in_one_line

if TYPE_CHECKING:
    from streams.live.load import Loaded


def _speed(text: str) -> float | None:
    """``max`` or a number above 0."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise typer.BadParameter(f"{text!r} is neither 'max' nor a number above 0, such as 10 for ten times event time")
    return speed


def load(
    paths: Annotated[list[Path], typer.Argument(help="Folders or files named after their topic.")],
    speed: Annotated[
        str, typer.Option("--speed", "-s", help="max, or how many times faster than event time, such as 10.")
    ] = "max",
    bootstrap: BootstrapOption = None,
    config: ConfigOption = None,
    prefix: PrefixOption = None,
    progress: Annotated[
        Path | None,
        typer.Option(
            "--progress", help="Where to keep how far it came; without it, a file in .fundtrail-load.", dir_okay=False
        ),
    ] = None,
) -> None:
    """Send topic files to Kafka in event-time order; run again, it goes on where it stopped."""
    event_time_speed = _speed(speed)
    with errors_in_one_line():
        from rich.console import Console

        from streams.live.load import load as run

        connection = connected(config, bootstrap, prefix)
        loaded = run(paths, connection, speed=event_time_speed, progress=progress, console=Console(stderr=True))
        for line in _said(loaded):
            typer.echo(line)


def _said(loaded: Loaded) -> list[str]:
    if not loaded.sent and loaded.already:
        lines = [f"all {loaded.already:,} records were sent before; to send them once more, remove {loaded.progress}"]
    else:
        before = f", {loaded.already:,} before" if loaded.already else ""
        lines = [f"{loaded.sent:,} records sent{before}; {loaded.seconds:.1f} s, {loaded.records_per_second:,} records/s"]
    if loaded.undecodable:
        cut = f", of {loaded.cut:,} only the beginning" if loaded.cut else ""
        lines.append(f"{loaded.undecodable:,} lines are no records and were sent as they stand, for intake to reject{cut}")
    lines += [f"{name} could not be read to its end: the rest was not sent" for name in loaded.damaged_files]
    if loaded.ignored_files:
        lines.append(f"Not sent (no source topic): {', '.join(loaded.ignored_files)}")
    return lines
