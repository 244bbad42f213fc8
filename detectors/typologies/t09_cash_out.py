"""T09 CASH_OUT: loan money is turned into cash."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from detectors.alert_record import LookAlike
from detectors.detector import Context
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.use_rule import UseRule, clears
from detectors.uses import CASH, PURCHASE, QUASI_CASH, says
from detectors.verdict import Weighed

FARMING = "A"
"""Section A of GB/T 4754: agriculture, forestry, animal husbandry and fishery."""


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.20
    window_days: Annotated[int, Meta(ge=1, le=3650)] = 3
    hops_max: Annotated[int, Meta(ge=1, le=100)] = 3
    general_account_share_min: Annotated[float, Meta(gt=0, le=1)] = 0.01  # a general account may not pay out cash at all
    merchant_share_min: Annotated[float, Meta(gt=0, le=1)] = 0.90  # card purchases at one merchant
    merchant_share_max: Annotated[float, Meta(gt=0, le=10)] = 1.00


class CashOut(UseRule[Parameters]):
    """Cash withdrawals, quasi-cash and jewellery merchants, nearly the whole loan at one merchant.

    Cash from a GENERAL account is a breach in itself, whatever the share. Misses cash paid out at other banks.
    """

    code = "T09"
    name = "CASH_OUT"
    name_zh = "套现"
    uses = frozenset({CASH, QUASI_CASH, PURCHASE})
    Parameters = Parameters
    destination_en = "into cash or quasi-cash"
    destination_zh = "变为现金或类现金"
    checks = (
        "Compare withdrawals with wage lists and purchase slips",
        "Check the merchant's business and its dealings with the borrower",
        "See whether cash came back to another account of the borrower's side",
    )
    measures = (
        "watch further withdrawals",
        "ask for proof of use after review",
        "limit cash on the account",
        "early repayment",
    )

    def counts(self, passage: Passage, context: Context) -> bool:
        loan, rules = passage.loan, self.parameters(passage.loan, context)
        if passage.transfer.use not in self.uses or passage.hops > rules.hops_max:
            return False
        if says(passage.record.memo, context.codes.wage_words) and passage.payer.kind == "BASIC":
            return False
        if passage.transfer.use == PURCHASE and not _is_whole_loan_at_one_merchant(passage, rules):
            return False
        return loan.hours_since_payout(passage.transfer.event_time_ms) <= rules.window_days * 24

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        rules = self.parameters(loan, context)
        general = loan.share(sum(hit.standing_minor() for hit in hits if _from_general_account(hit)))
        return rules.general_account_share_min if general >= rules.general_account_share_min else rules.share_min

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """Card purchases alone are a weak sign, however certain it is whose money it was: merchant codes are weak evidence."""
        finding = super().judge(loan, hits, context)
        if all(hit.record.txn_type == "PURCHASE" for hit in finding.hits):
            return msgspec.structs.replace(finding, severity="LOW")
        return finding

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        info = loan.info
        farms = info is not None and ((info.borrower_industry or "").startswith(FARMING) or info.purpose_code == "AGRICULTURE")
        farmer = info is not None and info.borrower_type == "FARMER" and farms
        general = any(_from_general_account(hit) for hit in hits)
        return (
            clears(
                "approved_cash_use",
                farmer and not general,
                f"farm purchases with approved cash use: {'yes' if farmer else 'no'}",
            ),
            LookAlike(
                name="wages_in_cash", result="EXCLUDED", detail="no withdrawal counted is marked as wages from a basic account"
            ),
        )


def _is_whole_loan_at_one_merchant(passage: Passage, rules: Parameters) -> bool:
    """One purchase of (nearly) the whole loan at a merchant whose line of business nobody states."""
    share = passage.loan.share(passage.transfer.amount_minor)
    nameless = passage.record.counterparty_mcc is None and passage.record.counterparty_industry is None
    new = not passage.payer.paid_before(passage.payee.account_id, passage.loan.paid_ms)
    return nameless and new and rules.merchant_share_min <= share <= rules.merchant_share_max


def _from_general_account(hit: Passage) -> bool:
    return hit.transfer.use == CASH and hit.payer.kind == "GENERAL"
