"""Commands that read and write files."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.broker import BootstrapOption, PrefixOption
from streams.commands.leaving import ConfigOption, errors_in_one_line, settings_of
from streams.commands.reaching import Where, instant
from streams.commands.refold import Request, refold

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from streams.files.results import Summary

SEVERITY_ORDER = ("CRITICAL", "HIGH", "MEDIUM", "LOW")


class SourceKind(enum.StrEnum):
    """The data sets that convert knows."""

    berka = "berka"
    payments = "payments"
    tide = "tide"
    laundernet = "laundernet"


class Origin(enum.StrEnum):
    """Where replay can read from besides files."""

    kafka = "kafka"


def replay(
    paths: Annotated[list[Path] | None, typer.Argument(help="Folders or files named after their topic.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for alerts, loan states, rejects, summary.")] = None,
    config: ConfigOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first reject (exit code 3).")] = False,
    origin: Annotated[Origin | None, typer.Option("--from", help="Fold the live journal instead of files.")] = None,
    since: Annotated[
        int | None,
        typer.Option(parser=instant, metavar="TIME", help="Journal: write what follows from pages written then or later."),
    ] = None,
    until: Annotated[
        int | None, typer.Option(parser=instant, metavar="TIME", help="Journal: stop before pages written then or later.")
    ] = None,
    book: Annotated[int | None, typer.Option(min=0, help="Journal: only this book; without it, all in their order.")] = None,
    to: Annotated[
        str | None, typer.Option(metavar="PREFIX", help="Journal: publish to topics with this prefix instead of files.")
    ] = None,
    bootstrap: BootstrapOption = None,
    prefix: PrefixOption = None,
) -> None:
    """Fold topic files, or the live journal, and write alerts, loan states, rejects, a summary and the configuration."""
    if origin is not None:
        if paths or strict or (out is None) == (to is None):
            raise typer.BadParameter("--from kafka takes no paths and no --strict, and either --out or --to")
        refold(Request(out, to, book, since, until, Where(config, bootstrap, prefix)), _show_summary)
        return
    if not paths or out is None or to is not None or book is not None or since is not None or until is not None:
        raise typer.BadParameter("name the files and --out; --since, --until, --book and --to need --from kafka")
    with errors_in_one_line():
        from rich.console import Console

        from streams.files.replay import replay as run

        console = Console()
        summary = run(paths, out, settings_of(config), strict=strict, console=console)
        _show_summary(console, summary, out)


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder for the topic files and labels.jsonl.")],
    loans: Annotated[int, typer.Option(min=1, help="How many loans.")] = 1_000,
    days: Annotated[int, typer.Option(min=1, help="How many days.")] = 90,
    seed: Annotated[int, typer.Option(help="The same seed gives the same world.")] = 1,
    misuse_share: Annotated[float, typer.Option(min=0, max=1, help="Share of the loans that are misused.")] = 0.03,
) -> None:
    """Make up a small bank: topic files, and the labels of what was done to each loan."""
    from rich.console import Console
    from rich.progress import Progress

    from streams.files.writers import OutputFolder
    from streams.simulate.world import simulate as run

    console = Console(stderr=True)
    with (
        errors_in_one_line(wrong_use=(ValueError,)),
        OutputFolder(out, []),
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task("days", total=days)
        counts = run(
            out,
            loans=loans,
            days=days,
            seed=seed,
            misuse_share=misuse_share,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    for name, records in counts.items():
        typer.echo(f"{records:>12,}  {out / name}.jsonl")


def explain(
    alert_id: Annotated[str, typer.Argument(help="The alert's id, as in alerts.jsonl.")],
    folder: Annotated[Path, typer.Option("--in", "-i", help="The folder that replay wrote.", file_okay=False)],
) -> None:
    """Tell one alert: what was seen, the money's path, the bounds, what was tested."""
    from rich.console import Console

    from streams.people.explain import AlertNotFound
    from streams.people.explain import explain as run
    from streams.people.folder import FolderMistake

    with errors_in_one_line(wrong_use=(AlertNotFound,), world_failed=(FolderMistake,)):
        run(alert_id, folder, Console())


def report(
    folder: Annotated[Path, typer.Argument(help="The folder that replay wrote.", file_okay=False)],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The page; without it, report.html in the folder.")] = None,
) -> None:
    """Write one self-contained page with the alerts of a replay."""
    from streams.people.folder import FolderMistake
    from streams.people.report import write_report

    with errors_in_one_line(world_failed=(FolderMistake,)):
        typer.echo(f"The report is in {write_report(folder, out)}")


def convert(
    kind: Annotated[SourceKind, typer.Argument(help="The data set.")],
    source: Annotated[Path, typer.Argument(help="The folder that holds it.")],
    out: Annotated[Path, typer.Argument(help="Folder for the topic files.")],
    currency: Annotated[
        str | None, typer.Option(help="The currency of the amounts, where the data set names none (payments: CNY is assumed).")
    ] = None,
) -> None:
    """Turn a public data set into topic files."""
    with errors_in_one_line():
        from streams.files.convert import convert as run

        for name, records in run(kind.value, source, out, currency).items():
            typer.echo(f"{records:>12,}  {out / name}")


def evaluate(
    directory: Annotated[Path, typer.Argument(help="Labelled payments, traced thefts, or Berka.", file_okay=False)],
    config: ConfigOption = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the measures here.")] = None,
    labels: Annotated[
        str,
        typer.Option(
            metavar="PLAN",
            help="Payments: which outcomes the fold is told, and when: immediate, delayed:DAYS, feedback:BUDGET:DAYS or none.",
        ),
    ] = "none",
    seeds: Annotated[
        str | None, typer.Option(metavar="1,2,3", help="Payments: one fold each; without it 1,2,3 where chance has a part.")
    ] = None,
    details: Annotated[
        Path | None, typer.Option(help="Payments: write everything measured here: by seed, typology, with the spread.")
    ] = None,
) -> None:
    """Measure a folder that comes with an answer key: how well scores rank, or how much of traced thefts is followed."""
    with errors_in_one_line():
        import msgspec

        from streams.commands.measuring import Request, run

        report = run(Request(directory, settings_of(config).engine, labels, seeds), typer.echo)
        for file, content in ((json_file, report.measures), (details, report.details)):
            if file is not None:
                file.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
                typer.echo(f"The measures are in {file}")
        if json_file is None:
            typer.echo(report.text)


def _show_summary(console: Console, summary: Summary, out: Path) -> None:
    import msgspec

    records = summary.records
    counts = msgspec.structs.asdict(records)
    read = f"{counts.pop('read'):,} read"
    order = ("applied", "duplicate", "rejected", "repeated", "ahead")
    lines = [
        f"{read}: " + ", ".join(f"{counts[name]:,} {name}" for name in order if name in counts),
        f"{sum(summary.alerts.values()) - summary.withdrawn:,} alerts open, {summary.withdrawn:,} withdrawn",
        f"{summary.loans:,} loans; {summary.late:,} records late",
        f"{summary.seconds:.1f} s, {summary.records_per_second:,} records/s",
    ]
    lines += [f"{name} could not be read to its end: see rejects.jsonl" for name in summary.damaged_files]
    if summary.ignored_files:
        lines.append(f"Not read (no topic): {', '.join(summary.ignored_files)}")
    lines.append(f"Results are in {out}: alerts.jsonl, loan-risk.jsonl, portfolio.jsonl, rejects.jsonl, summary.json")
    console.print(_alert_table(summary) if summary.alerts else "No alerts.")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _alert_table(summary: Summary) -> Table:
    from rich.table import Table

    severities = sorted({name for counts in summary.alerts_by_severity.values() for name in counts}, key=SEVERITY_ORDER.index)
    table = Table(title="Alerts", caption="distinct alerts by typology and severity, withdrawn ones included")
    table.add_column("Typology")
    for severity in severities:
        table.add_column(severity, justify="right")
    table.add_column("All", justify="right")
    for typology, counts in summary.alerts_by_severity.items():
        cells = [str(counts.get(severity, "")) for severity in severities]
        table.add_row(typology, *cells, str(summary.alerts[typology]))
    return table


COMMANDS = (replay, simulate, explain, report, convert, evaluate)
"""In the order of the help page."""
