"""`fundtrail diff`: two runs compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.commands.leaving import DIFFERENT, errors_in_one_line


def diff(
    run_a: Annotated[str, typer.Argument(help="A folder that replay wrote.")],
    run_b: Annotated[str, typer.Argument(help="The other one.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the whole comparison here too; - for standard output instead of text.")
    ] = None,
    all_revisions: Annotated[bool, typer.Option("--all-revisions", help="Compare every revision, not only the last.")] = False,
    show: Annotated[int, typer.Option(min=0, help="Alerts told one by one, of those added, removed and changed.")] = 20,
) -> None:
    """Show which alerts two runs say differently, what differs, and why. Ends with 0 when they are equal, with 4 when not."""
    with errors_in_one_line(wrong_use=_mistakes()):
        import msgspec

        from streams.files.diff import diff as compare
        from streams.files.runs import read_run
        from streams.people.difference import as_data, lines

        difference = compare(read_run(Path(run_a)), read_run(Path(run_b)), all_revisions=all_revisions)
        if json_file is not None:
            data = msgspec.json.format(msgspec.json.encode(as_data(difference)), indent=2) + b"\n"
            if str(json_file) == "-":
                typer.echo(data.decode(), nl=False)
            else:
                json_file.write_bytes(data)
        if str(json_file) != "-":
            for line in lines(difference, show):
                typer.echo(line)
    if not difference.equal:
        raise typer.Exit(DIFFERENT)


def _mistakes() -> tuple[type[Exception], ...]:
    from streams.files.runs import RunMistake

    return (RunMistake,)


COMMANDS = (diff,)
