"""The contract between the engine and a detector.

A detector turns observations into findings. It knows nothing of files, Kafka, clocks or other detectors; time comes with
the observation, everything else it may ask of the :class:`Context`. What it remembers of a loan it keeps in
``loan.hits[code]``, so that the engine's snapshot holds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Literal, Protocol

from msgspec import Struct

from detectors.accounts import Account
from detectors.bounds import BoundLimits, Bounds, bounds_of
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.parties import Parties
from detectors.ruleset import RuleSet
from detectors.tracer import Tracer
from detectors.uses import CodeLists


class Context:
    """What a detector may ask: the ledgers, the parties, the rules. Read only."""

    def __init__(self, tracer: Tracer, parties: Parties, codes: CodeLists, bound_limits: BoundLimits) -> None:
        self.tracer = tracer
        self.parties = parties
        self.codes = codes
        self.bound_limits = bound_limits
        self.utc_offset_ms = 0

    def bounds(self, loan: Loan, hits: Sequence[Passage]) -> Bounds:
        """Bounds on the loan's money that went with these passages, up to the last of them."""
        until_seq = max((hit.transfer.seq for hit in hits), default=0)
        return bounds_of(self.tracer, loan.origin, {hit.transfer.seq for hit in hits}, until_seq, self.bound_limits)

    def side(self, loan: Loan, account: Account, at_ms: int) -> str | None:
        """The role of an account's owner on the borrower's side; None for a stranger."""
        return self.parties.side(loan.info, loan.borrower_id, account, at_ms)

    def day(self, event_time_ms: int) -> int:
        """The calendar day (a running number) of the configured time zone."""
        return (event_time_ms + self.utc_offset_ms) // 86_400_000

    @staticmethod
    def rules(loan: Loan) -> RuleSet:
        """The rule set that judges this loan."""
        assert loan.rule_set is not None, f"loan {loan.loan_id} is judged before its rule set is chosen"
        return loan.rule_set


class Detector(Protocol):
    """What the engine asks of a detector. ``uses`` None: it wants every passage, else those of these classes of use."""

    code: ClassVar[str]
    name: ClassVar[str]
    name_zh: ClassVar[str]
    kind: ClassVar[Literal["BREACH", "PATTERN", "EVENT"]]
    uses: ClassVar[frozenset[str] | None]
    Parameters: ClassVar[type[Struct]]
    checks: ClassVar[tuple[str, ...]]
    measures: ClassVar[tuple[str, ...]]

    def observe(self, passage: Passage, context: Context) -> Iterable[Finding]:
        """A transfer has carried money of ``passage.loan``."""

    def reconsider(self, loan: Loan, seqs: frozenset[int], context: Context) -> Iterable[Finding]:
        """Transfers (by ``seq``) have been undone, in whole or part."""

    def snapshot(self) -> Mapping[str, object]:
        """What it remembers beyond ``loan.hits``, as plain data."""

    def restore(self, data: Mapping[str, object]) -> None:
        """The opposite of :meth:`snapshot`."""
