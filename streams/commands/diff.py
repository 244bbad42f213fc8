"""`fundtrail diff`: two runs compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.broker import BootstrapOption, PrefixOption
from streams.commands.leaving import DIFFERENT, ConfigOption, errors_in_one_line, settings_of
from streams.commands.reaching import Where, instant, reading

if TYPE_CHECKING:
    from streams.files.diff import Difference
    from streams.files.runs import Run


def diff(
    run_a: Annotated[str, typer.Argument(help="A folder that replay wrote, or kafka:TOPIC.")],
    run_b: Annotated[str, typer.Argument(help="The other one.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the whole comparison here too; - for standard output instead of text.")
    ] = None,
    all_revisions: Annotated[bool, typer.Option("--all-revisions", help="Compare every revision, not only the last.")] = False,
    show: Annotated[int, typer.Option(min=0, help="Alerts told one by one, of those added, removed and changed.")] = 20,
    since: Annotated[
        int | None, typer.Option(parser=instant, metavar="TIME", help="Only revisions scored then or later, in event time.")
    ] = None,
    until: Annotated[
        int | None, typer.Option(parser=instant, metavar="TIME", help="Only revisions scored before, in event time.")
    ] = None,
    config_a: Annotated[Path | None, typer.Option(help="The settings of A, where it is a topic: they tell the keys.")] = None,
    config_b: Annotated[Path | None, typer.Option(help="The settings of B, where it is a topic.")] = None,
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    prefix: PrefixOption = None,
) -> None:
    """Show which alerts two runs say differently, what differs, and why. Ends with 0 when they are equal, with 4 when not."""
    from streams.files.runs import RunMistake

    with errors_in_one_line(wrong_use=(RunMistake,)):
        from streams.files.diff import diff as compare
        from streams.files.runs import within

        sides = ((run_a, config_a), (run_b, config_b))
        runs = (_run(name, own, Where(config or own, bootstrap, prefix)) for name, own in sides)
        a, b = (within(run, since, until) for run in runs)
        difference = compare(a, b, all_revisions=all_revisions)
        _tell(difference, json_file, show)
    if not difference.equal:
        raise typer.Exit(DIFFERENT)


def _run(name: str, its_config: Path | None, where: Where) -> Run:
    from streams.files.runs import read_run

    if not name.startswith("kafka:"):
        return read_run(Path(name))
    from streams.live.topic_run import TopicRun, read_topic_run

    configuration = settings_of(its_config).engine if its_config is not None else None
    with reading(where) as (_, reader):
        return read_topic_run(reader, TopicRun.parse(name), configuration)


def _tell(difference: Difference, json_file: Path | None, show: int) -> None:
    import msgspec

    from streams.people.difference import as_data, lines

    if json_file is not None:
        data = msgspec.json.format(msgspec.json.encode(as_data(difference)), indent=2) + b"\n"
        if str(json_file) == "-":
            typer.echo(data.decode(), nl=False)
            return
        json_file.write_bytes(data)
    for line in lines(difference, show):
        typer.echo(line)


COMMANDS = (diff,)
