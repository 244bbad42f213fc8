"""`fundtrail status`: the live path as it stands, for somebody who was woken up."""

from __future__ import annotations

from collections.abc import Iterator

from streams.live.status import Accounting, Book, Group, Status
from streams.people.figures import counted, legible

LAGS_SHOWN_MAX = 40


def lines(status: Status) -> Iterator[str]:
    """What there is to know, problems last."""
    prefix = f', prefix "{status.prefix}"' if status.prefix else ""
    yield f"Broker {status.broker}{prefix}"
    for group in status.groups:
        yield ""
        yield from _group_lines(group)
    yield ""
    for book in status.books:
        yield _book_line(book)
    yield ""
    yield (
        f"Rejects: {status.rejects_distinct:,}, {status.rejects_open:,} of them not redriven ({status.rejects:,} messages)"
        + ("; fundtrail rejects list tells why" if status.rejects_open else "")
    )
    yield from _accounting_lines(status.accounting)
    yield ""
    if not status.problems:
        yield "All is well."
    for problem in status.problems:
        yield f"PROBLEM: {problem}."


def _group_lines(group: Group) -> Iterator[str]:
    workers = counted(len(group.members), "worker")
    yield f"{group.role.capitalize()}: group {group.name} is {group.state}, {workers}, {group.behind:,} behind"
    for member in group.members:
        yield legible(f"  {member.name} on {member.host}: {', '.join(member.partitions) or 'nothing assigned'}")
    some = [lag for lag in group.partitions if lag.end > lag.begin or lag.committed is not None]
    width = max((len(f"{lag.topic}/{lag.partition}") for lag in some), default=0)
    for lag in some[:LAGS_SHOWN_MAX]:
        committed = "nothing" if lag.committed is None else f"{lag.committed:,}"
        yield f"  {lag.topic + '/' + str(lag.partition):{width}}  committed {committed} of {lag.end:,}, {lag.behind:,} behind"
    if len(some) > LAGS_SHOWN_MAX:
        yield f"  ... and {len(some) - LAGS_SHOWN_MAX} partitions more (--json has all)"


def _book_line(book: Book) -> str:
    said = f"alerts {book.alerts_end:,}, loan states {book.loan_risk_end:,}"
    head = f"Book {book.book}: journal up to {book.journal_end:,}; {said}"
    state = book.checkpoint
    if state is None or book.checkpoint_age_s is None:
        return f"{head}; no checkpoint in this machine's state folder"
    behind = max(0, book.journal_end - state.next_offset)
    where = f"checkpoint at {state.next_offset:,} ({counted(behind, 'page')} behind)"
    return f"{head}; {where}, written {_age(book.checkpoint_age_s)} ago by generation {legible(state.generation)}"


def _age(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.0f} h"


def _accounting_lines(accounting: Accounting) -> Iterator[str]:
    if accounting.method != "none":
        verdict = {True: "adds up", False: "DOES NOT ADD UP", None: "cannot be told"}[accounting.holds]
        between = accounting.journalled + accounting.rejected - accounting.taken
        written = (
            f", {between:,} of them written and not committed yet" if accounting.method == "totals" and between > 0 else ""
        )
        yield (
            f"Accounting: {accounting.taken:,} taken, {accounting.journalled:,} journalled, {accounting.rejected:,} rejected"
            f"{written}: {verdict}"
        )
    for note in accounting.notes:
        yield f"  {note}"
