"""The live path as it stands: groups, lag, checkpoints, rejects, and whether everything is accounted for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from kafka.errors import RetriableError

from streams.live.accounting import (
    Place,
    RejectCounts,
    SourceAccount,
    Walk,
    account,
    count_rejects,
    offsets_told,
)
from streams.live.book_state import BookState, read_states
from streams.live.connection import Connection, admin_of
from streams.live.journal import REMITTANCES, decode_page
from streams.live.names import (
    ALERTS,
    DETECT_GROUP,
    INTAKE_GROUP,
    JOURNAL,
    LOAN_RISK,
    SOURCES,
    topic_name,
    topic_of,
)
from streams.live.reading import Extent, Reader

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

PAGES_READ_MAX = 20_000
"""A journal of so many pages (some millions of records, a minute) is read through without being asked to."""

GROUPS = {"intake": INTAKE_GROUP, "detect": DETECT_GROUP}
RETRY_SECONDS = 0.2
FOLDED = ("applied", "duplicate", "rejected")


class Lag(msgspec.Struct, frozen=True):
    """How far a group is in one partition."""

    topic: str
    partition: int
    begin: int
    end: int
    committed: int | None

    @property
    def behind(self) -> int:
        """Messages still to read, as far as offsets tell."""
        return max(0, self.end - max(self.begin, self.committed or 0))


class Member(msgspec.Struct, frozen=True):
    """A worker in a group."""

    name: str
    host: str
    partitions: tuple[str, ...]  # topic/partition


class Group(msgspec.Struct, frozen=True):
    """A consumer group."""

    role: str
    name: str
    state: str
    members: tuple[Member, ...]
    partitions: tuple[Lag, ...]

    @property
    def behind(self) -> int:
        """Of all partitions."""
        return sum(lag.behind for lag in self.partitions)


class Book(msgspec.Struct, frozen=True):
    """A book: its partition of the journal, of what comes out, and its checkpoint in the local state folder."""

    book: int
    journal_begin: int
    journal_end: int
    alerts_end: int
    loan_risk_end: int
    checkpoint: BookState | None
    checkpoint_age_s: float | None


class Accounting(msgspec.Struct, frozen=True):
    """Whether what was taken in is accounted for."""

    method: str  # records, totals, none
    holds: bool | None  # None: not looked at
    taken: int
    journalled: int
    rejected: int
    without_record: int
    sources: tuple[SourceAccount, ...]
    notes: tuple[str, ...]


class Status(msgspec.Struct, frozen=True):
    """Everything that ``fundtrail status`` tells. ``problems`` make it end with 1."""

    broker: str
    prefix: str
    groups: tuple[Group, ...]
    books: tuple[Book, ...]
    rejects: int
    rejects_distinct: int
    rejects_open: int
    accounting: Accounting
    problems: tuple[str, ...]


def status(connection: Connection, reader: Reader, state_dir: Path, now_ms: int, *, full: bool) -> Status:
    """Look at everything once. Committed offsets are read first: what they cover must be found behind them.

    Raises:
        BrokerTrouble: the broker does not answer, or a topic is missing.
    """
    with admin_of(connection) as admin:
        prefix, patience_ms = connection.settings.prefix, connection.settings.request_timeout_ms
        intake = _group(admin, reader, prefix, "intake", SOURCES, patience_ms)
        detect = _group(admin, reader, prefix, "detect", (JOURNAL,), patience_ms)
    states = read_states(state_dir)
    rejects = count_rejects(reader)
    accounting = _accounting(reader, intake, states, rejects, full)
    return Status(
        broker=connection.servers,
        prefix=connection.settings.prefix,
        groups=(intake, detect),
        books=tuple(_books(reader, states, now_ms)),
        rejects=rejects.messages,
        rejects_distinct=rejects.distinct,
        rejects_open=rejects.open,
        accounting=accounting,
        problems=(*_problems((intake, detect)), *_accounting_problems(accounting)),
    )


def _group(admin: KafkaAdminClient, reader: Reader, prefix: str, role: str, topics: tuple[str, ...], patience_ms: int) -> Group:
    name = topic_name(prefix, GROUPS[role])
    offsets = _patiently(lambda: admin.list_group_offsets({name: None})[name], patience_ms)
    described = _patiently(lambda: admin.describe_groups([name])[name], patience_ms)
    committed = {
        (topic_of(prefix, tp.topic), tp.partition): at.offset
        for tp, at in offsets.items()
        if tp.topic.startswith(prefix) and at.offset >= 0
    }
    members = tuple(sorted((_member(member, prefix) for member in described["members"]), key=lambda member: member.name))
    lags = tuple(
        Lag(topic, number, extent.begin, extent.end, committed.get((topic, number)))
        for topic in topics
        for number, extent in reader.extents(topic).items()
    )
    return Group(role, name, described["group_state"], members, lags)


def _patiently(ask: Callable[[], Any], patience_ms: int) -> Any:
    """Ask again as long as the broker says that it will soon be able to answer: its coordinators come up after a start."""
    until = time.monotonic() + patience_ms / 1000
    while True:
        try:
            return ask()
        except RetriableError:
            if time.monotonic() > until:
                raise
            time.sleep(RETRY_SECONDS)


def _member(member: Mapping[str, object], prefix: str) -> Member:
    assignment = member["member_assignment"]
    assigned = assignment.get("assigned_partitions", ()) if isinstance(assignment, Mapping) else ()
    partitions = [f"{topic['topic'].removeprefix(prefix)}/{number}" for topic in assigned for number in topic["partitions"]]
    name = member["group_instance_id"] or member["client_id"]
    return Member(str(name), str(member["client_host"]).lstrip("/"), tuple(sorted(partitions)))


def _books(reader: Reader, states: Mapping[int, BookState], now_ms: int) -> list[Book]:
    alerts, risks = reader.extents(ALERTS), reader.extents(LOAN_RISK)
    nothing = Extent(0, 0)
    return [
        Book(
            number, extent.begin, extent.end, alerts.get(number, nothing).end, risks.get(number, nothing).end,
            state := states.get(number), round((now_ms - state.saved_at_ms) / 1000, 1) if state is not None else None,
        )
        for number, extent in reader.extents(JOURNAL).items()
    ]  # fmt: skip


# --- accounting -------------------------------------------------------------------------------------------------------


def _accounting(
    reader: Reader, intake: Group, states: Mapping[int, BookState], rejects: RejectCounts, full: bool
) -> Accounting:
    committed: dict[Place, int] = {
        (lag.topic, lag.partition): lag.committed for lag in intake.partitions if lag.committed is not None
    }
    journal = reader.extents(JOURNAL)
    pages = sum(extent.end - extent.begin for extent in journal.values())
    if not full and pages > PAGES_READ_MAX:
        if len(journal) != 1 or 0 not in states or any(lag.begin for lag in intake.partitions):
            note = f"not looked at: the journal has {pages:,} pages. --full reads them"
            return Accounting("none", None, sum(committed.values()), 0, 0, 0, (), (note,))
        totals = _of_totals(reader, intake, states[0], journal[0], rejects)
        if totals.holds:
            return totals  # else which ones, and whether there are records at all at these offsets, only the journal tells
    sources, notes = account(reader, committed, rejects)
    return _of_records(sources, notes, rejects)


def _of_records(sources: list[SourceAccount], notes: list[str], rejects: RejectCounts) -> Accounting:
    lost = sum(source.lost for source in sources)
    without = sum(source.without_record for source in sources)
    if without:
        notes = [*notes, f"{without:,} source offsets hold no record (marks of transactions, or deleted meanwhile)"]
    if lost and not rejects.is_whole:
        notes = [*notes, "rejects of old were deleted by their retention, and may be what is missing"]
    return Accounting(
        "records",
        None if lost and not rejects.is_whole else not lost,
        sum(source.taken for source in sources),
        sum(source.journalled for source in sources),
        sum(source.rejected for source in sources),
        without,
        tuple(sources),
        tuple(notes),
    )


def _of_totals(reader: Reader, intake: Group, state: BookState, journal: Extent, rejects: RejectCounts) -> Accounting:
    """Totals of one book: the checkpoint's counts and the pages behind it, between what is committed and what is there."""
    journalled = sum(state.counts.get(name, 0) for name in FOLDED)
    journalled -= sum(upto + 1 for source, upto in state.watermarks.items() if source.startswith(f"{REMITTANCES}/"))
    walk = Walk(state.watermarks)
    for _, stored in reader.stretch(JOURNAL, {state.book: Extent(max(journal.begin, state.next_offset), journal.end)}):
        journalled += sum(place[0] != REMITTANCES for place, _ in walk.taken(decode_page(stored.value)))
    taken = sum(lag.committed or 0 for lag in intake.partitions)
    there = sum(reader.extents(lag.topic)[lag.partition].end for lag in intake.partitions)
    rejected = len(rejects.at_intake)
    note = "in total, by the checkpoint's counts and the pages behind it; --full looks at every record"
    return Accounting("totals", taken <= journalled + rejected <= there, taken, journalled, rejected, 0, (), (note,))


# --- what to do -------------------------------------------------------------------------------------------------------


def _problems(groups: tuple[Group, ...]) -> list[str]:
    found = []
    for group in groups:
        if not group.members:
            found.append(
                f"no worker is in the group {group.name}, {group.behind:,} messages wait: start one "
                f"(fundtrail worker --role {group.role})"
            )
            continue
        taken = {partition for member in group.members for partition in member.partitions}
        free = [f"{lag.topic}/{lag.partition}" for lag in group.partitions if f"{lag.topic}/{lag.partition}" not in taken]
        if free and group.state == "Stable":
            found.append(f"nobody reads {', '.join(free)}: restart the workers, they joined before the partitions were made")
    return found


def _accounting_problems(accounting: Accounting) -> list[str]:
    if accounting.holds is not False:
        return []
    return [
        f"{source.topic}/{source.partition}: {source.lost:,} records were taken and are neither in the journal nor among the "
        f"rejects: offsets {offsets_told(source.lost_offsets, source.lost)}. Send them again from the source, keep journal and "
        "logs, and file an issue"
        for source in accounting.sources
        if source.lost
    ]
