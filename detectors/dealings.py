"""What the fold remembers of payments that carried no loan's money: what a later loan or repayment makes telling.

Nothing here follows money. Each memory answers one question of a typology, in two generations of bounded size
(:class:`~detectors.recent.Recent`); what is forgotten is counted. With several books each remembers the payments that one of
its own records shows from end to end: what crosses books is not noted.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from detectors.accounts import Account
from detectors.events import AccountTransaction, LoanDisbursement
from detectors.lots import Transfer
from detectors.recent import Recent
from detectors.uses import LOAN_REPAYMENT, POCKETS, PROPERTY, SECURITIES, WEALTH

DAY_MS = 86_400_000
PURCHASES = frozenset({SECURITIES, WEALTH, PROPERTY, LOAN_REPAYMENT})
"""Classes of use that a later loan may repay the funding of."""
FUNDED_WITHIN_MS = 7 * DAY_MS
"""An inflow this long before a purchase may have funded it."""
LARGE_PARTS = 4
"""An inflow is large from this part (one in so many) of what the account held before."""


class DealingLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """How much is remembered of payments without loan money; beyond, the older half is forgotten and counted."""

    inflow_accounts_max: int = 50_000  # accounts whose large inflows are remembered
    inflows_max: int = 8  # large inflows per account
    funders_max: int = 50_000  # accounts that funded a purchase of what loans must not buy, or repaid a loan
    purchases_max: int = 8  # such purchases per funder
    woken_accounts_max: int = 50_000  # accounts that were paid after a long rest
    idle_days_min: int = 60  # a rest this long is long
    watched_accounts_max: int = 100_000  # accounts whose payments a detector has asked for
    mortgages_max: int = 200_000  # mortgages that are remembered, also when they are too old to be followed


class Purchase(NamedTuple):
    """Somebody bought (or repaid) what a loan must not pay for."""

    transfer: Transfer
    loan_id: str | None  # of a repayment: the loan that it repays, when it is named
    memo: str | None
    funders: tuple[Transfer, ...]  # large inflows of the account just before


class Mortgage(NamedTuple):
    """What is remembered of a mortgage."""

    customer_id: str | None
    collateral_ids: tuple[str, ...]


class Dealings:
    """Bounded memories of payments, by account id."""

    def __init__(self, limits: DealingLimits | None = None) -> None:
        self.limits = limits or DealingLimits()
        self.inflows: Recent[list[Transfer]] = Recent(self.limits.inflow_accounts_max)
        self.funded: Recent[list[Purchase]] = Recent(self.limits.funders_max)  # by funder, else by who repaid
        self.woken: Recent[tuple[int, int]] = Recent(self.limits.woken_accounts_max)  # (rest in ms, when it ended)
        self.watched: Recent[list[str]] = Recent(self.limits.watched_accounts_max)  # loans that wait for the account's payments
        self.mortgages: Recent[Mortgage] = Recent(self.limits.mortgages_max)
        self._idle_ms = self.limits.idle_days_min * DAY_MS

    # --- noting: on the way of every payment, so it is short --------------------------------------------------------

    def note(self, transfer: Transfer, payer: Account, payee: Account, record: AccountTransaction) -> None:
        """A payment is about to be applied; the accounts are as they were before it."""
        if not payee.is_sink:
            if transfer.event_time_ms - payee.last_ms >= self._idle_ms and payee.last_ms:
                self.woken.put(payee.account_id, (transfer.event_time_ms - payee.last_ms, transfer.event_time_ms))
            if transfer.amount_minor * LARGE_PARTS >= payee.balance_minor and payee.place == "HELD":
                self.note_inflow(transfer, payee)
        if transfer.use in PURCHASES and not payer.is_sink and payer.place not in POCKETS:
            self._note_purchase(transfer, payer, record)

    def note_second_leg(self, transfer: Transfer, payee: Account) -> None:
        """The payee's own record of a payment: until now its account was not known to be one of this bank."""
        before_minor = payee.balance_minor - transfer.amount_minor
        if transfer.amount_minor * LARGE_PARTS >= before_minor:
            known = self.inflows.get(payee.account_id)
            if known is None or transfer not in known:
                self.note_inflow(transfer, payee)

    def note_inflow(self, transfer: Transfer, payee: Account) -> None:
        """An inflow that is large for its account."""
        known = self.inflows.get(payee.account_id)
        kept = [transfer] if known is None else [*known[1 - self.limits.inflows_max :], transfer]
        self.inflows.put(payee.account_id, kept)

    def _note_purchase(self, transfer: Transfer, payer: Account, record: AccountTransaction) -> None:
        since_ms = transfer.event_time_ms - FUNDED_WITHIN_MS
        funders = tuple(
            inflow for inflow in self.inflows.get(payer.account_id) or ()
            if inflow.event_time_ms >= since_ms and inflow.currency == transfer.currency
        )  # fmt: skip
        bought = Purchase(transfer, record.related_loan_id, record.memo, funders)
        names = [inflow.payer for inflow in funders if not inflow.payer.startswith("~")]
        if transfer.use == LOAN_REPAYMENT:
            names.append(payer.account_id)
        for name in dict.fromkeys(names):
            known = self.funded.get(name) or []
            self.funded.put(name, [*known[1 - self.limits.purchases_max :], bought])

    def note_loan(self, event: LoanDisbursement) -> None:
        """A mortgage is remembered for as long as there is room, also when it was paid out long before."""
        if event.product_class == "MORTGAGE":
            self.mortgages.put(event.loan_id, Mortgage(event.customer_id, event.collateral_ids))

    def watch(self, account_id: str, loan_id: str) -> None:
        """Tell the detectors of every payment that the account makes from now on; a loan waits for it."""
        known = self.watched.get(account_id) or []
        if loan_id not in known:
            self.watched.put(account_id, [*known, loan_id][-self.limits.inflows_max :])

    # --- what detectors ask -----------------------------------------------------------------------------------------

    def inflows_of(self, account: Account, since_ms: int, until_ms: int) -> tuple[Transfer, ...]:
        """Large inflows that still stand, of a stretch of time, in their order."""
        return tuple(
            inflow for inflow in self.inflows.get(account.account_id) or ()
            if since_ms <= inflow.event_time_ms <= until_ms and inflow.currency == account.currency and inflow.standing_minor
        )  # fmt: skip

    def forgotten(self) -> dict[str, int]:
        """What the limits made it forget, by counter."""
        return {
            "inflow_accounts_forgotten": self.inflows.forgotten,
            "funders_forgotten": self.funded.forgotten,
            "woken_accounts_forgotten": self.woken.forgotten,
            "watched_accounts_forgotten": self.watched.forgotten,
            "mortgages_forgotten": self.mortgages.forgotten,
        }
