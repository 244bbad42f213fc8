"""`fundtrail replay --from kafka`: the journal folded again, beside the workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from streams.commands.leaving import errors_in_one_line, settings_of
from streams.commands.reaching import Where, reading

if TYPE_CHECKING:
    from rich.console import Console

    from streams.files.results import Summary
    from streams.live.connection import Connection
    from streams.live.reading import Reader
    from streams.live.refold import Range
    from streams.settings import Settings


class Request(NamedTuple):
    """What was asked for."""

    out: Path | None
    to: str | None
    book: int | None
    since_ms: int | None
    until_ms: int | None
    where: Where


def refold(request: Request, show: Callable[[Console, Summary, Path], None]) -> None:
    """Fold the journal into a result folder or other topics."""
    from streams.live.refold import NoSuchBook, ranges, refold_into_files

    with errors_in_one_line(wrong_use=(NoSuchBook,)):
        from rich.console import Console

        console, settings = Console(), settings_of(request.where.config)
        with reading(request.where) as (connection, reader):
            books = ranges(reader, request.book, request.since_ms, request.until_ms)
            _warn_of_a_cut_journal(books)
            with _progress(console, books) as on_page:
                if request.out is not None:
                    show(console, refold_into_files(reader, settings.engine, books, request.out, on_page), request.out)
                else:
                    assert request.to is not None, "neither --out nor --to"
                    _into_topics(connection, reader, settings, books, request.to, on_page)


def _into_topics(
    connection: Connection, reader: Reader, settings: Settings, books: list[Range], to: str, on_page: Callable[[], None]
) -> None:
    from detectors.engine import ENGINE_VERSION
    from streams.live.beside import Beside, make_topics
    from streams.live.connection import producer_of
    from streams.live.fold import generation_of
    from streams.live.names import JOURNAL, OUTPUTS
    from streams.live.refold import Topics
    from streams.live.refold import refold as run

    if to == connection.settings.prefix:
        raise typer.BadParameter("the live topics have this prefix; name another one", param_hint="--to")
    names = {topic: to + topic for topic in OUTPUTS}
    full = reader.under("")
    made = make_topics(connection, full, names, len(reader.extents(JOURNAL)))
    with producer_of(connection) as producer:
        beside = Beside(producer, full, names, generation_of(ENGINE_VERSION, settings.engine))
        folded = run(reader, settings.engine, books, Topics(beside), on_page)
    typer.echo(f"{folded.records.read:,} records of {sum(book.pages for book in books):,} pages folded")
    typer.echo(f"{beside.sent:,} messages published, {beside.known:,} were there already")
    typer.echo(f"Topics: {', '.join(names.values())}" + (f" (made: {', '.join(made)})" if made else ""))


def _warn_of_a_cut_journal(books: Sequence[Range]) -> None:
    for book in books:
        if book.begin > 0:
            typer.echo(
                f"fundtrail: the journal of book {book.book} begins at offset {book.begin}; what was before is deleted, so the "
                "fold begins without it, and alerts that rest on it are missing or differ. Keep the journal for as long as "
                "you want to replay (retention.ms).",
                err=True,
            )


@contextmanager
def _progress(console: Console, books: Sequence[Range]) -> Iterator[Callable[[], None]]:
    from rich.progress import Progress

    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("pages", total=sum(book.pages for book in books))
        yield lambda: progress.advance(task)
