"""A loan as the fold knows it: its particulars, its money's origin, and the passages that rules have counted."""

from __future__ import annotations

from detectors.accounts import Account
from detectors.events import AccountTransaction, LoanDisbursement
from detectors.lots import Origin, Transfer
from detectors.ruleset import RuleSet
from detectors.tracer import Parcel

LOAN_ITSELF = ""
"""Instead of an alert's id: the outcome is of the whole loan."""


class Passage:
    """A transfer that carried money of one loan: what detectors observe."""

    __slots__ = ("fifo_minor", "hops", "loan", "parcels", "payee", "payer", "record", "traced_minor", "transfer")

    def __init__(
        self, loan: Loan, transfer: Transfer, record: AccountTransaction, payer: Account, payee: Account,
        parcels: list[Parcel], fifo_minor: int,
    ) -> None:  # fmt: skip
        self.loan = loan
        self.transfer = transfer
        self.record = record
        self.payer = payer
        self.payee = payee
        self.parcels = parcels
        self.fifo_minor = fifo_minor
        if len(parcels) == 1:  # by far the most frequent
            self.traced_minor, self.hops = parcels[0].amount_minor, parcels[0].hops
        else:
            self.traced_minor = sum([parcel.amount_minor for parcel in parcels])
            self.hops = min([parcel.hops for parcel in parcels])

    def standing_minor(self) -> int:
        """Traced money that still is where the transfer brought it: what a reversal took back does not count."""
        return min(self.traced_minor, self.transfer.standing_minor)

    def fresh_minor(self, counted: set[int]) -> int:
        """Traced money that has not come through one of the counted transfers (by ``seq``) already."""
        fresh = 0
        for parcel in self.parcels:
            step = parcel.trail.parent
            while step is not None and step.transfer.seq not in counted:
                step = step.parent
            if step is None:
                fresh += parcel.amount_minor
        return min(fresh, self.transfer.standing_minor)


class Published:
    """What subscribers last heard of one alert."""

    __slots__ = ("alert_id", "certain_minor", "destination", "exact", "outcome", "outcome_ms", "possible_minor", "revised_ms",
                 "revision", "said_ms", "score", "severity", "status", "traced_minor", "waits")  # fmt: skip

    def __init__(self, alert_id: str) -> None:
        self.alert_id = alert_id
        self.revision = 0
        self.said_ms = 0  # event time at which it was first said
        self.revised_ms = 0  # ... and last
        self.waits = False  # a revision is held back until it may be said
        self.status = "WITHDRAWN"
        self.severity = "LOW"
        self.score = 0.0
        self.traced_minor = 0
        self.certain_minor = 0
        self.possible_minor = 0
        self.exact = True
        self.destination: str | None = None  # class of where the money went; None: the alert traces none
        self.outcome: str | None = None  # the analyst's, and when
        self.outcome_ms = 0


class Loan:
    """One loan. ``info`` is None as long as only its deposit credit has been seen."""

    __slots__ = ("account", "alerts", "amount_minor", "borrower_id", "cells", "counted_minor", "entrusted_accounts", "flagged",
                 "hits", "info", "kept_until_ms", "last_traced", "loan_id",
                 "marks", "origin", "outcomes", "paid_ms", "pending", "principal_repaid_minor", "related", "risk_state",
                 "rule_set", "rule_why", "stood", "suspicion")  # fmt: skip

    def __init__(self, loan_id: str, origin: Origin, account: Account, paid_ms: int) -> None:
        self.loan_id = loan_id
        self.origin = origin
        self.account = account
        self.paid_ms = paid_ms
        self.amount_minor = 0
        self.info: LoanDisbursement | None = None
        self.borrower_id: str | None = None
        self.cells: tuple[str, ...] = ()  # of the portfolio, that it counts in
        self.counted_minor = 0  # ... and with how much
        self.flagged = False
        self.entrusted_accounts: frozenset[str] = frozenset()
        self.rule_set: RuleSet | None = None
        self.rule_why = ""
        self.hits: dict[str, list[Passage]] = {}  # typology -> passages it counts
        self.pending: list[Passage] = []  # passages seen before the loan's particulars
        self.alerts: dict[str, Published] = {}  # typology (of a group: and alert id) -> what was last said of it
        self.outcomes: dict[str, str] = {}  # alert_id or LOAN_ITSELF -> the analyst's outcome
        self.risk_state = "NORMAL"
        self.related: dict[str, list[Transfer]] = {}  # typology -> payments it counts that carried no money of the loan
        self.marks: dict[str, list[int]] = {}  # typology -> figures it keeps between two looks
        self.suspicion = 0.0  # the highest score of a payment that carried its money, over hops
        self.principal_repaid_minor = 0  # by records that name it, whosever money it was
        self.kept_until_ms = 0  # above 0: its money is followed no more, and it is kept until then for the sake of its record
        self.last_traced: dict[str, list[int]] = {}  # then: place -> [attributed, certain, possible, exact] when it last was
        self.stood: dict[str, tuple[int, ...]] = {}  # typology -> the passages (by ``seq``) on which it last stood

    def lighten(self, kept_until_ms: int) -> None:
        """Its money is followed no more: what was remembered of its way is let go, its record stays."""
        self.kept_until_ms = kept_until_ms
        self.hits, self.related, self.stood, self.pending = {}, {}, {}, []
        self.origin.payouts = []

    @property
    def owed_minor(self) -> int:
        """What was paid out less repayments of principal and payouts that were taken back, as far as records show them."""
        repaid_minor = max(self.principal_repaid_minor, self.origin.repaid_minor)
        return max(0, self.origin.paid_out_minor - repaid_minor - self.origin.reversed_minor)

    @property
    def currency(self) -> str:
        """The currency that it was paid out in."""
        return self.account.currency

    def has_heard(self, typology: str) -> bool:
        """Whether something was ever said of it under a typology, alone or as a member of a group."""
        return typology in self.alerts or any(key.startswith(f"{typology}/") for key in self.alerts)

    def share(self, amount_minor: int) -> float:
        """An amount as a share of the loan; a ratio for judging, never money."""
        return amount_minor / self.amount_minor if self.amount_minor else 0.0

    def hours_since_payout(self, event_time_ms: int) -> float:
        """Hours from the payout to that moment."""
        return (event_time_ms - self.paid_ms) / 3_600_000
