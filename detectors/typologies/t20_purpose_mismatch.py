"""T20 PURPOSE_MISMATCH: the first payees' line of business does not fit what the loan was given for."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from detectors.alert_record import LookAlike
from detectors.detector import Context
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.parties import BORROWER
from detectors.use_rule import UseRule, clears
from detectors.uses import OTHER, PURCHASE
from detectors.verdict import Weighed

TRADERS = ("F51", "F52", "L72")
"""Wholesale, retail and business services: they deal in everything."""


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Which industries fit which purpose. Purposes that are not named, such as working capital, fit everything."""

    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.30  # of the loan
    window_days: Annotated[int, Meta(ge=1, le=3650)] = 30
    fits: dict[str, tuple[str, ...]] = {}  # purpose code, or word in the purpose -> prefixes of industries that fit


class PurposeMismatch(UseRule[Parameters]):
    """First payments of at least a share of the loan to payees of industries that do not fit a narrow purpose.

    A weak sign by itself: industry codes are often missing or stale. Misses purposes that the table does not name, and payees
    without a code.
    """

    code = "T20"
    name = "PURPOSE_MISMATCH"
    name_zh = "用途与行业不符"
    kind = "PATTERN"
    uses = frozenset({OTHER, PURCHASE})
    Parameters = Parameters
    destination_en = "to payees whose business does not fit the purpose"
    destination_zh = "支付给与贷款用途不符的行业"
    checks = (
        "Look up the payee's registered and real business",
        "Read the invoice: what was bought?",
        "Ask whether the purpose on record was chosen for the rate",
    )
    measures = ("watch further payments", "ask for proof of use after review", "correct the purpose on record")

    def counts(self, passage: Passage, context: Context) -> bool:
        loan, rules = passage.loan, self.parameters(passage.loan, context)
        industry = passage.record.counterparty_industry
        if industry is None or passage.record.direction != "DEBIT":
            return False
        fitting = _fitting(loan, rules)
        if fitting is None or industry.startswith((*fitting, *TRADERS)):
            return False
        if context.side(loan, passage.payer, passage.transfer.event_time_ms) != BORROWER:
            return False
        return loan.hours_since_payout(passage.transfer.event_time_ms) <= rules.window_days * 24

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def destination(self, hits: list[Passage]) -> tuple[str, str]:
        industries = ", ".join(dict.fromkeys(hit.record.counterparty_industry or "" for hit in hits[-3:]))
        return (
            f"to payees of industry {industries}, which does not fit the purpose",
            f"支付给与贷款用途不符的行业（{industries}）",
        )

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        info = loan.info
        own = (info.borrower_industry or "")[:3] if info is not None else ""
        same = bool(own) and all((hit.record.counterparty_industry or "").startswith(own) for hit in hits)
        known = all(hit.payer.paid_before(hit.payee.account_id, loan.paid_ms) for hit in hits)
        return (
            clears("known_payee", known, "all these payees had been paid before the loan" if known
                   else "a payee was paid for the first time"),
            clears("own_line_of_business", same, "the payees are of the borrower's own industry" if same
                   else "not the borrower's own industry"),
            LookAlike(name="missing_or_stale_code", result="NOT_TESTABLE", detail="nothing tells how old an industry code is"),
        )  # fmt: skip

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """A code alone is weak, however certain it is whose money it was."""
        return msgspec.structs.replace(super().judge(loan, hits, context), severity="LOW")


def _fitting(loan: Loan, rules: Parameters) -> tuple[str, ...] | None:
    """Industries that fit the loan's purpose; None when its purpose fits everything, or is not known."""
    info = loan.info
    if info is None:
        return None
    for purpose, fitting in rules.fits.items():
        if info.purpose_code == purpose or purpose in (info.purpose_text or ""):
            return fitting
    return None
