"""The common shape of a typology about several loans: money of each meets the others' on one account."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, TypeVar, cast

from msgspec import Struct

from detectors.alert_record import Contribution, LookAlike, Measure
from detectors.bounds import Bounds
from detectors.detector import Context, Payment
from detectors.events import PartyEvent
from detectors.finding import Finding
from detectors.groups import Group
from detectors.loans import Loan, Passage
from detectors.public_facts import related
from detectors.verdict import traced_by

DAY_MS = 86_400_000
P = TypeVar("P", bound=Struct)


class GroupRule(ABC, Generic[P]):
    """A typology that asks: how many loans' money met on one account in such a time, and what else ties them?

    One alert per group, naming its members; each member's risk state counts it. The group is judged by the rules of its first
    member.
    """

    code: ClassVar[str]
    name: ClassVar[str]
    name_zh: ClassVar[str]
    kind: ClassVar[Literal["BREACH", "PATTERN", "EVENT"]] = "PATTERN"
    uses: ClassVar[frozenset[str] | None] = None
    asks: ClassVar[frozenset[str]] = frozenset()
    payment_uses: ClassVar[frozenset[str]] = frozenset()
    bridged_uses: ClassVar[frozenset[str]] = frozenset()
    sees_one_book: ClassVar[bool] = True
    Parameters: ClassVar[type[Struct]]
    checks: ClassVar[tuple[str, ...]] = ()
    measures: ClassVar[tuple[str, ...]] = ()
    destination_en: ClassVar[str]
    destination_zh: ClassVar[str]

    @abstractmethod
    def counts(self, passage: Passage, context: Context) -> bool:
        """Whether a passage is of the kind that may make a group."""

    @abstractmethod
    def window_days(self, loan: Loan, context: Context) -> int:
        """Within how many days the members' money has to meet."""

    @abstractmethod
    def members_min(self, loan: Loan, context: Context) -> int:
        """How many borrowers make a group."""

    @abstractmethod
    def second_signals(self, group: Group, hits: Sequence[Passage], context: Context) -> Mapping[str, float]:
        """What else ties the members: name -> weight of those that are there (0 of those that are not)."""

    @abstractmethod
    def look_alikes(
        self, group: Group, hits: Sequence[Passage], signals: Mapping[str, float], context: Context
    ) -> tuple[LookAlike, ...]:
        """Innocent explanations; one NOT_EXCLUDED clears the finding."""

    @abstractmethod
    def sentence(self, group: Group, finding_minor: int, signals: Mapping[str, float]) -> tuple[str, str]:
        """What happened: (English, Chinese)."""

    def extra_measures(self, group: Group, hits: Sequence[Passage], context: Context) -> tuple[Measure, ...]:
        """What only this typology measures."""
        return ()

    def still_counts(self, hit: Passage, context: Context) -> bool:
        """Whether it counts, now that the payee's owner may be known who was not when it came."""
        return True

    def observe(self, passage: Passage, context: Context) -> tuple[Finding, ...]:
        """Let the loan join the group around the account its money came to, and judge the group anew."""
        if not self.counts(passage, context):
            return ()
        loan, transfer = passage.loan, passage.transfer
        group = context.groups.of(self.code, passage.payee.account_id, transfer.currency)
        context.groups.leave_before(group, transfer.event_time_ms - self.window_days(loan, context) * DAY_MS)
        if not context.groups.join(group, passage):
            return ()
        return self.judge(group, context)

    def reconsider(self, loan: Loan, seqs: frozenset[int], context: Context) -> tuple[Finding, ...]:
        """Judge the loan's groups anew when one of their passages has been undone."""
        findings: list[Finding] = []
        for group in context.groups.groups_of(self.code, loan):
            if any(hit.transfer.seq in seqs for hit in group.hits()):
                findings += self.judge(group, context)
        return tuple(findings)

    def judge(self, group: Group, context: Context) -> tuple[Finding, ...]:
        """The finding about a group that is large enough; nothing about a smaller one of which nothing was said."""
        hits = [hit for hit in group.hits() if hit.transfer.standing_minor and self.still_counts(hit, context)]
        borrowers = {hit.loan.borrower_id or hit.loan.loan_id for hit in hits}
        first = next(iter(group.loans.values()))
        members_min = self.members_min(first, context)
        if len(borrowers) < members_min and group.said is None:
            return ()
        signals = self.second_signals(group, hits, context) if hits else {}
        look_alikes = self.look_alikes(group, hits, signals, context) if hits else ()
        cleared = any(item.result == "NOT_EXCLUDED" for item in look_alikes)
        stands = len(borrowers) >= members_min and any(signals.values()) and not cleared
        return (self._finding(group, hits or group.hits(), len(borrowers), stands, signals, look_alikes, context),)

    def _finding(
        self, group: Group, hits: list[Passage], borrowers: int, stands: bool, signals: Mapping[str, float],
        look_alikes: tuple[LookAlike, ...], context: Context,
    ) -> Finding:  # fmt: skip
        by_loan: dict[int, list[Passage]] = {}
        for hit in hits:
            by_loan.setdefault(hit.loan.origin.number, []).append(hit)
        sums = [traced_by(own) for own in by_loan.values()]
        traced, fifo = sum(traced for traced, _ in sums), sum(fifo for _, fifo in sums)
        bounds = together([context.bounds(own[0].loan, own) for own in by_loan.values()] if stands else [], traced)
        members_min = self.members_min(next(iter(group.loans.values())), context)
        size = min(1.0, borrowers / (2 * members_min))
        contributions = (
            Contribution(feature="size_of_group", value=round(size, 4), weight=0.4, added=round(0.4 * size, 4)),
            *(Contribution(feature=name, value=1.0, weight=weight, added=weight) for name, weight in signals.items() if weight),
        )
        return Finding(
            typology=self.code, loan=None, group=group, stands=stands, hits=tuple(hits), bounds=bounds, traced_minor=traced,
            fifo_minor=fifo, severity="HIGH" if len([weight for weight in signals.values() if weight]) >= 2 else "MEDIUM",
            score=round(min(1.0, sum(item.added for item in contributions)), 4), destination_en=self.destination_en,
            destination_zh=self.destination_zh, contributions=contributions, look_alikes=look_alikes,
            account_id=group.account_id, related=tuple(related("between_members", one) for one in group.ties),
            measures=(
                Measure(name="borrowers", observed=borrowers, expected=1.0, threshold=members_min, unit="borrowers"),
                Measure(name="share_of_loans_attributed", observed=round(group.share(traced), 4), expected=None, threshold=None,
                        unit="ratio"),
                *self.extra_measures(group, hits, context),
            ),
            sentence=self.sentence(group, traced, signals),
        )  # fmt: skip

    def parameters(self, loan: Loan, context: Context) -> P:
        """This typology's parameters in the rule set of the loan."""
        return cast(P, context.rules(loan).parameters[self.code])

    # --- what a group typology is not asked --------------------------------------------------------------------------

    def paid(self, payment: Payment, loans: Sequence[Loan], context: Context) -> Iterable[Finding]:
        """Not asked for."""
        return ()

    def bridged(self, passage: Passage, context: Context) -> Iterable[Finding]:
        """Not asked for."""
        return ()

    def disbursed(self, loan: Loan, context: Context) -> Iterable[Finding]:
        """Not asked for."""
        return ()

    def heard(self, event: PartyEvent, loans: Sequence[Loan], context: Context) -> Iterable[Finding]:
        """Not asked for."""
        return ()

    def due(self, loan: Loan, at_ms: int, context: Context) -> Iterable[Finding]:
        """Not asked for."""
        return ()

    def snapshot(self) -> Mapping[str, object]:
        """Nothing: all of it is in the groups."""
        return {}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Nothing to restore."""


def together(bounds: Sequence[Bounds], traced: int) -> Bounds:
    """Bounds of several loans at once: sums of theirs, which are valid and perhaps wide."""
    if not bounds:
        return Bounds(0, traced, False, ("not computed: the finding does not stand",))
    notes = dict.fromkeys(note for one in bounds for note in one.rests_on)
    certain, possible = sum(one.certain_minor for one in bounds), sum(one.possible_minor for one in bounds)
    exact = all(one.exact for one in bounds) and len(bounds) == 1
    rests = (*list(notes)[:5], "the sum of the members' own bounds")
    return Bounds(min(certain, traced), max(possible, traced), exact, rests)
