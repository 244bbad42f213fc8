"""The contract between the engine and a detector.

A detector turns observations into findings. It knows nothing of files, Kafka, clocks or other detectors; time comes with
the observation, everything else it may ask of the :class:`Context`. What it remembers of a loan it keeps in
``loan.hits[code]``, what it remembers of several in a group, so that the engine's snapshot holds it.

Every detector sees passages: transfers that carried money of a loan. What else it wants to be told it names in ``asks``;
who does not ask costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple, Protocol

from msgspec import Struct

from detectors.accounts import Account
from detectors.bounds import BoundLimits, Bounds, bounds_of
from detectors.dealings import Dealings
from detectors.events import AccountTransaction, PartyEvent
from detectors.finding import Finding
from detectors.groups import Group, Groups
from detectors.loans import Loan, Passage
from detectors.lots import Transfer
from detectors.parties import Parties
from detectors.ruleset import RuleSet
from detectors.tracer import Tracer
from detectors.uses import CodeLists

PAYMENT = "PAYMENT"
LOAN = "LOAN"
PARTY = "PARTY"
TIME = "TIME"
AGAIN = "again "
"""Before a typology's code: a reminder that what it has found is to be judged again."""


class Payment(NamedTuple):
    """A payment, whether or not it carried a loan's money: of a class in ``payment_uses``, or by an account that is watched.

    It is told after what it carried; ``payer`` and ``payee`` are as they are then.
    """

    transfer: Transfer
    record: AccountTransaction
    payer: Account
    payee: Account


class Context:
    """What a detector may ask: the ledgers, the parties, the memories, the rules. Read only, but for what it may order.

    It may order two things: that an account's payments be told (:meth:`watch`) and to be reminded (``remind``).
    """

    def __init__(self, tracer: Tracer, parties: Parties, codes: CodeLists, bound_limits: BoundLimits) -> None:
        self.tracer = tracer
        self.parties = parties
        self.codes = codes
        self.bound_limits = bound_limits
        self.utc_offset_ms = 0
        self.dealings = Dealings()
        self.groups = Groups()
        self.loans_of: Callable[[str], Sequence[Loan]] = _nobodys_loans  # the loans of a customer
        self.remind: Callable[[str, Loan, int], None] = _nobody_reminds  # (code, loan, event time in ms)

    def watch(self, account: Account, loan: Loan) -> None:
        """From now on tell of every payment that the account makes, for the sake of this loan."""
        self.dealings.watch(account.account_id, loan.loan_id)

    def bounds(self, loan: Loan, hits: Sequence[Passage]) -> Bounds:
        """Bounds on the loan's money that went with these passages, up to the last of them."""
        until_seq = max((hit.transfer.seq for hit in hits), default=0)
        return bounds_of(self.tracer, loan.origin, {hit.transfer.seq for hit in hits}, until_seq, self.bound_limits)

    def certain_at_most(self, loan: Loan, hits: Sequence[Passage]) -> int | None:
        """No more than this of the loan went with these passages for certain, as the second ledger shows; None: not known.

        What it did with the loan's money could have been. So no more is certain than it took there, and what it has lost sight
        of by a limit, which may have gone there.
        """
        dropped_minor = loan.origin.beside_dropped_minor
        if dropped_minor is None or len(self.tracer.bookings) < 2 or self.tracer.limits.gain_percent_max:
            return None
        return dropped_minor + sum(hit.fifo_minor for hit in hits)

    def side(self, loan: Loan, account: Account, at_ms: int) -> str | None:
        """The role of an account's owner on the borrower's side; None for a stranger."""
        return self.parties.side(loan.info, loan.borrower_id, account, at_ms)

    def day(self, event_time_ms: int) -> int:
        """The calendar day (a running number) of the configured time zone."""
        return (event_time_ms + self.utc_offset_ms) // 86_400_000

    @staticmethod
    def party_of(account: Account) -> str | None:
        """Who owns the account, as far as records say: its customer, else the party that payments to it name."""
        return account.customer_id or account.party_id

    @staticmethod
    def rules(about: Loan | Group) -> RuleSet:
        """The rule set that judges this loan, or group."""
        rules = about.rule_set
        assert rules is not None, f"{about} is judged before its rule set is chosen"
        return rules


def _nobodys_loans(customer_id: str) -> Sequence[Loan]:
    return ()


def _nobody_reminds(code: str, loan: Loan, at_ms: int) -> None:
    raise AssertionError(f"{code} wants to be reminded of loan {loan.loan_id} at {at_ms}, and no engine is there to do it")


class Described(Protocol):
    """What an alert says of the detector behind it."""

    code: ClassVar[str]
    name: ClassVar[str]
    name_zh: ClassVar[str]
    kind: ClassVar[Literal["BREACH", "PATTERN", "EVENT"]]
    checks: ClassVar[tuple[str, ...]]
    measures: ClassVar[tuple[str, ...]]


class Detector(Described, Protocol):
    """What the engine asks of a detector. ``uses`` None: it wants every passage, else those of these classes of use.

    ``asks`` names what else it wants: ``PAYMENT`` (:meth:`paid`), ``LOAN`` (:meth:`disbursed`), ``PARTY`` (:meth:`heard`),
    ``TIME`` (:meth:`due`). ``sees_one_book`` says that it judges by what one book knows of several loans or of payments without
    loan money: with several books it may see less.
    """

    uses: ClassVar[frozenset[str] | None]
    asks: ClassVar[frozenset[str]]
    payment_uses: ClassVar[frozenset[str]]
    bridged_uses: ClassVar[frozenset[str]]
    sees_one_book: ClassVar[bool]
    Parameters: ClassVar[type[Struct]]

    def observe(self, passage: Passage, context: Context) -> Iterable[Finding]:
        """A transfer has carried money of ``passage.loan``."""

    def reconsider(self, loan: Loan, seqs: frozenset[int], context: Context) -> Iterable[Finding]:
        """Transfers (by ``seq``) have been undone, in whole or part."""

    def paid(self, payment: Payment, loans: Sequence[Loan], context: Context) -> Iterable[Finding]:
        """A payment of interest was made. ``loans``: that which it names, and those that wait for the payer's payments."""

    def bridged(self, passage: Passage, context: Context) -> Iterable[Finding]:
        """Loan money went to somebody who had funded a purchase of a class in ``bridged_uses``."""

    def disbursed(self, loan: Loan, context: Context) -> Iterable[Finding]:
        """A loan was paid out and its particulars are known."""

    def heard(self, event: PartyEvent, loans: Sequence[Loan], context: Context) -> Iterable[Finding]:
        """Something became publicly known of a party, or no longer holds. ``loans``: those it owes."""

    def due(self, loan: Loan, at_ms: int, context: Context) -> Iterable[Finding]:
        """The time it wanted to be reminded of has come, or has just passed."""

    def snapshot(self) -> Mapping[str, object]:
        """What it remembers beyond ``loan.hits``, as plain data."""

    def restore(self, data: Mapping[str, object]) -> None:
        """The opposite of :meth:`snapshot`."""
