"""The two records of one payout: the loan ledger's disbursement and the deposit credit, in either order, counted once."""

from __future__ import annotations

from typing import NamedTuple

from detectors.loans import Loan
from detectors.lots import Transfer

DAY_MS = 86_400_000


class Half(NamedTuple):
    """One record of a payout that waits for the other."""

    is_credit: bool
    names_loan: bool  # whether the record says which loan it is of
    event_time_ms: int
    loan: Loan
    transfer: Transfer


Key = tuple[str, str, int]
"""(account, currency, amount in minor units) of a payout."""


class Payouts:
    """Waiting halves by (account, currency, amount)."""

    def __init__(self, days_max: int) -> None:
        self.days_max = days_max
        self.halves: dict[Key, list[Half]] = {}

    def match(self, key: Key, *, is_credit: bool, loan_id: str | None, event_time_ms: int) -> Half | None:
        """The other record of this payout, if it has come; it no longer waits."""
        waiting = self.halves.get(key, [])
        for half in waiting:
            if half.is_credit == is_credit or abs(half.event_time_ms - event_time_ms) > self.days_max * DAY_MS:
                continue
            if loan_id is not None and half.names_loan and half.loan.loan_id != loan_id:
                continue
            waiting.remove(half)
            if not waiting:
                del self.halves[key]
            return half
        return None

    def wait(self, key: Key, half: Half) -> None:
        """Let a record wait for the other one."""
        self.halves.setdefault(key, []).append(half)

    def forget(self, loan: Loan) -> None:
        """The loan is no longer followed."""
        for payout in loan.origin.payouts:
            key = (payout.payee, payout.currency, payout.amount_minor)
            waiting = [half for half in self.halves.get(key, ()) if half.loan is not loan]
            if waiting:
                self.halves[key] = waiting
            else:
                self.halves.pop(key, None)
