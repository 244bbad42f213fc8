"""`fundtrail shadow`: a second configuration on the live journal."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.broker import BootstrapOption, PrefixOption
from streams.commands.leaving import errors_in_one_line, settings_of
from streams.commands.reaching import Where, instant, reading

if TYPE_CHECKING:
    from streams.live.shadow import Course

REPORT_SECONDS = 10.0


def shadow(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The settings to try, [kafka] included.", dir_okay=False)],
    since: Annotated[
        int | None,
        typer.Option(parser=instant, metavar="TIME", help="Say only what follows from pages written then or later (RFC 3339)."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Stop at the journal's present end.")] = False,
    bootstrap: BootstrapOption = None,
    prefix: PrefixOption = None,
) -> None:
    """Fold the live journal under other settings and say the alerts on alerts-shadow, until Ctrl-C."""
    with errors_in_one_line():
        from detectors.engine import ENGINE_VERSION
        from streams.live.beside import Beside, make_topics
        from streams.live.connection import producer_of
        from streams.live.fold import generation_of
        from streams.live.names import ALERTS, ALERTS_SHADOW, JOURNAL, topic_name
        from streams.live.shadow import Shadow

        settings = settings_of(config)
        generation = generation_of(ENGINE_VERSION, settings.engine)
        try:
            with reading(Where(config, bootstrap, prefix)) as (connection, reader), producer_of(connection) as producer:
                names = {ALERTS: topic_name(connection.settings.prefix, ALERTS_SHADOW)}
                full = reader.under("")
                make_topics(connection, full, names, len(reader.extents(JOURNAL)))
                run = Shadow(reader, Beside(producer, full, names, generation), settings.engine, since)
                typer.echo(f"Generation {generation}, to {names[ALERTS]}", err=True)
                run.run(once, _reporter())
                course = run.course()
        except KeyboardInterrupt:
            return
        typer.echo(f"{course.sent:,} alerts said, {course.known:,} were there already")


def _reporter() -> Callable[[Course], None]:
    """Says how far it is now and then, and once when the journal's end is reached."""
    last_s, caught_up = time.monotonic(), False

    def report(course: Course) -> None:
        nonlocal last_s, caught_up
        reached = course.behind == 0 and not caught_up
        if reached or (course.behind and time.monotonic() - last_s > REPORT_SECONDS):
            last_s, caught_up = time.monotonic(), caught_up or reached
            where = "at the journal's end" if reached else f"{course.behind:,} pages behind"
            typer.echo(f"{where}: {course.sent:,} alerts said, {course.known:,} were there already", err=True)

    return report


COMMANDS = (shadow,)
