"""Accounts as the fold knows them: balance, lots, who owns them, and a small profile of their traffic.

An account is *visible* once a record of its own (``account_id``) has been read. Everything else money goes to or comes
from is an account too, in another *place*: another bank, a pocket of securities or wealth products, or a sink that keeps
no lots (cash, a hub).
"""

from __future__ import annotations

from typing import ClassVar

from detectors.booking import Holding
from detectors.events import AccountTransaction
from detectors.lots import Lot, Transfer

HELD = "HELD"
OTHER_BANK = "OTHER_BANK"
IN_TRANSIT = "IN_TRANSIT"
OVERDRAFT = "OVERDRAFT"

DEPOSIT_KINDS = frozenset({"TIME", "STRUCTURED", "MARGIN"})
"""Kinds of account where money waits and comes back as it was: nobody pays out of them."""

PAYEES_MAX = 32
"""Counterparties remembered per payer; the one longest unused is forgotten first, and counted."""


class Claim:
    """A debit that found no money: a later-arriving credit with an earlier event time funds it."""

    __slots__ = ("amount_minor", "record", "transfer")

    def __init__(self, transfer: Transfer, amount_minor: int) -> None:
        self.transfer = transfer
        self.record: AccountTransaction | None = None  # set by the engine: what detectors read when it is funded
        self.amount_minor = amount_minor


class Gain:
    """What loan money on an account may have gained in value, and the lot (per ledger) that a gain would belong to."""

    __slots__ = ("lots", "room_minor")

    def __init__(self, ledgers: int) -> None:
        self.room_minor = 0
        self.lots: list[Lot | None] = [None] * ledgers


class Account:
    """One account in one currency."""

    APART: ClassVar[tuple[str, ...]] = ("noted",)
    """Fields that are no state."""

    __slots__ = ("account_id", "assumed_minor", "balance_known", "balance_minor", "claims", "currency", "customer_id",
                 "first_ms", "gain", "history", "history_from_seq", "holdings", "in_count", "in_minor", "is_sink",
                 "kind", "last_ms", "last_seq", "legs_awaited", "noted", "party_id", "payees", "payer_count", "place",
                 "reach_minor", "reach_ms", "unfunded_minor", "unfunded_ms", "unseen_minor")  # fmt: skip

    def __init__(self, account_id: str, currency: str, place: str, is_sink: bool) -> None:
        self.account_id = account_id
        self.currency = currency
        self.place = place
        self.is_sink = is_sink
        self.customer_id: str | None = None
        self.party_id: str | None = None
        self.kind: str | None = None
        self.balance_minor = 0
        self.balance_known = False  # False: an unknown opening balance stands behind balance_minor
        self.assumed_minor = 0  # the least that the unknown opening balance must have been
        self.holdings: list[Holding | None] | None = None  # per ledger; None: no labelled money
        self.reach_minor = 0  # an upper bound on the loan money it may hold
        self.reach_ms = 0
        self.history: list[Transfer] | None = None  # its debits since reach_minor rose above 0
        self.history_from_seq = 0  # complete from here on
        self.claims: list[Claim] | None = None
        self.gain: Gain | None = None
        self.unfunded_minor = 0  # part of its own money that came from an open claim
        self.unfunded_ms = 0
        self.unseen_minor = 0  # own money that only a stated balance showed
        self.last_seq = 0  # of its latest transfer in the fold
        self.legs_awaited = 0  # transfers known from the other side only: its stated balance may not hold them yet
        self.first_ms = 0
        self.last_ms = 0
        self.in_count = 0
        self.in_minor = 0
        self.payer_count = 0  # distinct payers, as far as the payers remember
        self.noted = 0  # no state: the interval between checkpoints in which it was looked up last
        self.payees: dict[str, int] | None = None  # payee -> first payment's event time, ms

    def set_apart(self) -> None:
        """Nobody has looked it up."""
        self.noted = 0

    @property
    def visible(self) -> bool:
        """Whether records of this account itself are read."""
        return self.place == HELD

    def labelled_minor(self, ledger: int = 0) -> int:
        """Loan money (ghosts included) it holds in a ledger."""
        holding = self.holdings[ledger] if self.holdings is not None else None
        return holding.labelled_minor if holding is not None else 0

    def pays(self, payee: str, event_time_ms: int) -> bool:
        """Note a payment to ``payee``; True when it is (as far as remembered) the first."""
        payees = self.payees
        if payees is None:
            payees = self.payees = {}
        if payee in payees:
            if len(payees) == PAYEES_MAX:  # somebody will have to go: whoever is used now stands last
                payees[payee] = payees.pop(payee)
            return False
        payees[payee] = event_time_ms
        if len(payees) > PAYEES_MAX:
            del payees[next(iter(payees))]
        return True

    def paid_before(self, payee: str, event_time_ms: int) -> bool:
        """Whether this account is known to have paid ``payee`` before that time."""
        return self.payees is not None and self.payees.get(payee, event_time_ms) < event_time_ms
