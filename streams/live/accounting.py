"""The accounting of the live path: every source offset that intake has committed is in the journal or among the rejects.

``committed - beginning = journalled + rejected``, for each source partition, distinct offsets counted. Journalled is what
the fold takes: a record in a page of a writer that had lost its partition (*ahead*) counts only where its present owner
brings it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from streams.live.journal import Page, decode_page
from streams.live.names import JOURNAL, REJECTS
from streams.live.reading import Extent, Reader

OFFSETS_SHOWN_MAX = 10
_JOURNALLED, _REJECTED = 1, 2

Place = tuple[str, int]
"""Source topic (without prefix) and partition."""


class Ledger:
    """Which offsets of one source partition have been accounted for, of those from ``begin`` up to ``end``."""

    def __init__(self, begin: int, end: int) -> None:
        self.begin = begin
        self.end = end
        self._marks = bytearray(max(0, end - begin))  # one byte an offset

    def journalled(self, offset: int) -> None:
        """The journal has it."""
        if self.begin <= offset < self.end:
            self._marks[offset - self.begin] = _JOURNALLED

    def rejected(self, offset: int) -> None:
        """It is among the rejects. Rejected at first and taken on a second reading (by a later version) is journalled."""
        if self.begin <= offset < self.end and not self._marks[offset - self.begin]:
            self._marks[offset - self.begin] = _REJECTED

    def begin_at(self, offset: int) -> None:
        """Leave out what lies before: what became of it can no longer be known."""
        if offset > self.begin:
            del self._marks[: offset - self.begin]
            self.begin = min(offset, self.end)

    @property
    def counts(self) -> tuple[int, int]:
        """(journalled, rejected)"""
        return self._marks.count(_JOURNALLED), self._marks.count(_REJECTED)

    def missing(self) -> Iterator[Extent]:
        """Runs of offsets that are neither, in order."""
        at = self._marks.find(0)
        while at >= 0:
            ends = [found for mark in (_JOURNALLED, _REJECTED) if (found := self._marks.find(mark, at)) >= 0]
            end = min(ends, default=len(self._marks))
            yield Extent(self.begin + at, self.begin + end)
            at = self._marks.find(0, end)


class Walk:
    """A book's journal as its fold takes it, without the engine: the same rule of spans and watermarks."""

    def __init__(self, watermarks: Mapping[str, int] | None = None) -> None:
        self.watermarks = dict(watermarks or {})
        self.first_after: dict[Place, int] = {}  # where the journal's first page of a source begins

    def taken(self, page: Page) -> Iterator[tuple[Place, int]]:
        """The records that the fold takes: their source and offset."""
        sources = [f"{span.topic}/{span.partition}" for span in page.spans]
        opened = [span.after <= self.watermarks.get(source, -1) for span, source in zip(page.spans, sources, strict=True)]
        for record in page.records:
            source = sources[record.span]
            if opened[record.span] and record.offset > self.watermarks.get(source, -1):
                self.watermarks[source] = record.offset
                yield (page.spans[record.span].topic, page.spans[record.span].partition), record.offset
        for span, source, is_open in zip(page.spans, sources, opened, strict=True):
            if is_open:
                self.watermarks[source] = max(span.upto, self.watermarks.get(source, -1))

    def begin_in_the_middle(self, page: Page) -> None:
        """The pages before this one are deleted: take its word for how far its writer was."""
        for span in page.spans:
            self.watermarks.setdefault(f"{span.topic}/{span.partition}", span.after)
            self.first_after.setdefault((span.topic, span.partition), span.after)


class RejectCounts(NamedTuple):
    """The topic of rejects, counted."""

    messages: int
    distinct: int
    open: int  # not redriven
    at_intake: frozenset[tuple[Place, int]]
    is_whole: bool  # nothing was deleted by retention


class SourceAccount(msgspec.Struct, frozen=True):
    """One source partition: ``taken = journalled + rejected + without_record + len(lost)`` where it adds up."""

    topic: str
    partition: int
    begin: int
    committed: int
    taken: int
    journalled: int
    rejected: int
    without_record: int  # offsets that hold no record: marks of transactions, or deleted meanwhile
    lost: int  # in the source, and neither journalled nor rejected
    lost_offsets: tuple[int, ...]  # the first of them


class _Reject(msgspec.Struct):
    topic: str
    partition: int
    offset: int
    stage: str
    redriven_to: str | None = None


_decode_reject = msgspec.json.Decoder(_Reject).decode


def count_rejects(reader: Reader) -> RejectCounts:
    """Read the topic of rejects through."""
    extents = reader.extents(REJECTS)
    distinct: set[tuple[Place, int]] = set()
    at_intake: set[tuple[Place, int]] = set()
    redriven: set[tuple[Place, int]] = set()
    messages = 0
    for _, stored in reader.stretch(REJECTS, extents):
        messages += 1
        try:
            reject = _decode_reject(stored.value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        key = ((reject.topic, reject.partition), reject.offset)
        distinct.add(key)
        if reject.stage == "intake":
            at_intake.add(key)
        if reject.redriven_to is not None:
            redriven.add(key)
    is_whole = all(extent.begin == 0 for extent in extents.values())
    return RejectCounts(messages, len(distinct), len(distinct) - len(redriven), frozenset(at_intake), is_whole)


def account(reader: Reader, committed: Mapping[Place, int], rejects: RejectCounts) -> tuple[list[SourceAccount], list[str]]:
    """Account for every offset below the committed ones, and say what could not be looked at.

    ``committed`` must have been read before, so that whatever it covers is in the journal by now.
    """
    ledgers = {place: Ledger(reader.extents(place[0])[place[1]].begin, end) for place, end in sorted(committed.items())}
    notes = _walk_journal(reader, ledgers)
    for place, offset in rejects.at_intake:
        if place in ledgers:
            ledgers[place].rejected(offset)
    return [_account_of(reader, place, ledger) for place, ledger in ledgers.items()], notes


def _walk_journal(reader: Reader, ledgers: Mapping[Place, Ledger]) -> list[str]:
    notes = []
    for book, extent in reader.extents(JOURNAL).items():
        walk = Walk()
        for _, stored in reader.stretch(JOURNAL, {book: extent}):
            page = decode_page(stored.value)
            if extent.begin > 0:
                walk.begin_in_the_middle(page)
            for place, offset in walk.taken(page):
                if place in ledgers:
                    ledgers[place].journalled(offset)
        for place, after in walk.first_after.items():
            if place in ledgers:
                ledgers[place].begin_at(after + 1)
        if extent.begin > 0:
            notes.append(f"the journal of book {book} begins at offset {extent.begin}: what was taken before is not looked at")
    return notes


def _account_of(reader: Reader, place: Place, ledger: Ledger) -> SourceAccount:
    journalled, rejected = ledger.counts
    lost: list[int] = []
    without = count = 0
    for run in ledger.missing():
        held = [stored.offset for _, stored in reader.stretch(place[0], {place[1]: run})]
        without += run.end - run.begin - len(held)
        count += len(held)
        lost += held[: OFFSETS_SHOWN_MAX - len(lost)]
    taken = max(0, ledger.end - ledger.begin)
    return SourceAccount(
        *place, ledger.begin, ledger.end, taken, journalled, rejected, without, count, tuple(lost[:OFFSETS_SHOWN_MAX])
    )


def offsets_told(offsets: Iterable[int], count: int) -> str:
    """Offsets for people, runs of neighbours as from-to."""
    runs: list[list[int]] = []
    for offset in offsets:
        if runs and offset == runs[-1][1] + 1:
            runs[-1][1] = offset
        else:
            runs.append([offset, offset])
    told = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
    shown = sum(last - first + 1 for first, last in runs)
    return told + (f" and {count - shown:,} more" if count > shown else "")
