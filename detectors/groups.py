"""Subjects of alerts that are no single loan: a group of loans around an account, or an account by itself."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from detectors.loans import Loan, Passage, Published
from detectors.lots import Transfer
from detectors.ruleset import RuleSet


class GroupLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """How many groups are kept, and how large; beyond, the oldest is forgotten and counted."""

    groups_max: int = 20_000  # accounts around which a group may be forming
    members_max: int = 200  # loans per group; the oldest member is forgotten first
    passages_max: int = 20  # passages per member


class Group:
    """Loans that have something in common: an account that their money met on.

    An alert about an account without loans is the same with no members; ``own_rules`` then says by whose rules.
    """

    __slots__ = ("account_id", "currency", "loans", "own_rules", "own_why", "passages", "said", "tied", "ties", "typology")

    def __init__(self, typology: str, account_id: str, currency: str) -> None:
        self.typology = typology
        self.account_id = account_id
        self.currency = currency
        self.loans: dict[int, Loan] = {}  # origin number -> member, in the order in which they joined
        self.passages: dict[int, list[Passage]] = {}  # origin number -> what joined it
        self.ties: list[Transfer] = []  # further payments that tie members together
        self.tied: list[str] = []  # ... each to which loan
        self.said: Published | None = None
        self.own_rules: RuleSet | None = None
        self.own_why = ""

    @property
    def rule_set(self) -> RuleSet | None:
        """The rules it is judged by: its own, else those of its first member."""
        first = next(iter(self.loans.values()), None)
        return self.own_rules or (first.rule_set if first is not None else None)

    @property
    def rule_why(self) -> str:
        """Why by these."""
        first = next(iter(self.loans.values()), None)
        if self.own_rules is not None or first is None:
            return self.own_why
        return f"{first.rule_why} (loan {first.loan_id}, the first of the group)"

    @property
    def amount_minor(self) -> int:
        """What its members were paid out together."""
        return sum(loan.amount_minor for loan in self.loans.values())

    @property
    def paid_ms(self) -> int:
        """When the first of them was."""
        return min((loan.paid_ms for loan in self.loans.values()), default=0)

    def share(self, amount_minor: int) -> float:
        """An amount as a share of all loans together."""
        whole = self.amount_minor
        return amount_minor / whole if whole else 0.0

    def hits(self) -> list[Passage]:
        """All passages, in time order."""
        return sorted((hit for hits in self.passages.values() for hit in hits), key=lambda hit: hit.transfer.seq)


class Groups:
    """Groups by typology and account."""

    def __init__(self, limits: GroupLimits | None = None) -> None:
        self.limits = limits or GroupLimits()
        self.groups: dict[str, Group] = {}
        self.keys_of: dict[int, list[str]] = {}  # origin number -> keys of the groups it is in
        self.counts: Counter[str] = Counter()

    def of(self, typology: str, account_id: str, currency: str) -> Group:
        """The group around an account; made when there is none."""
        key = _key(typology, account_id, currency)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(typology, account_id, currency)
            if len(self.groups) > self.limits.groups_max:
                self._drop(next(iter(self.groups)))
                self.counts["groups_forgotten"] += 1
        return group

    def find(self, typology: str, account_id: str, currency: str) -> Group | None:
        """The group around an account, if there is one."""
        return self.groups.get(_key(typology, account_id, currency))

    def groups_of(self, typology: str, loan: Loan) -> list[Group]:
        """The groups of a typology that a loan is in."""
        keys = self.keys_of.get(loan.origin.number)
        if not keys:
            return []
        groups = [self.groups[key] for key in keys]
        return [group for group in groups if group.typology == typology]

    def join(self, group: Group, passage: Passage) -> bool:
        """A loan's money meets the others'; False when the passage is known already or adds nothing."""
        loan, number = passage.loan, passage.loan.origin.number
        hits = group.passages.setdefault(number, [])
        if len(hits) >= self.limits.passages_max or any(hit is passage for hit in hits):
            return False
        hits.append(passage)
        if number not in group.loans:
            group.loans[number] = loan
            self.keys_of.setdefault(number, []).append(_key(group.typology, group.account_id, group.currency))
        if len(group.loans) > self.limits.members_max:
            self._leave(group, next(iter(group.loans)))
            self.counts["members_forgotten"] += 1
        return True

    def leave(self, group: Group, loan: Loan) -> None:
        """A loan is no longer a member."""
        self._leave(group, loan.origin.number)

    def leave_before(self, group: Group, event_time_ms: int) -> None:
        """Members whose last passage is older have not met the others; a group that was alerted on keeps its members."""
        if group.said is not None:
            return
        gone = [number for number, hits in group.passages.items() if hits[-1].transfer.event_time_ms < event_time_ms]
        for number in gone:
            self._leave(group, number)

    def forget(self, loan: Loan) -> None:
        """The loan is no longer followed."""
        for key in list(self.keys_of.get(loan.origin.number, ())):
            group = self.groups[key]
            self._leave(group, loan.origin.number)
            if not group.loans:
                del self.groups[key]

    def _leave(self, group: Group, number: int) -> None:
        del group.loans[number], group.passages[number]
        keys = self.keys_of[number]
        keys.remove(_key(group.typology, group.account_id, group.currency))
        if not keys:
            del self.keys_of[number]

    def _drop(self, key: str) -> None:
        group = self.groups[key]
        for number in list(group.loans):
            self._leave(group, number)
        del self.groups[key]


def _key(typology: str, account_id: str, currency: str) -> str:
    return f"{typology} {currency} {account_id}"
