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


BUSINESS_PRODUCTS = frozenset({"WORKING_CAPITAL", "PERSONAL_BUSINESS"})
"""Product classes whose money is not for shops."""


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.20
    window_days: Annotated[int, Meta(ge=1, le=3650)] = 3
    hops_max: Annotated[int, Meta(ge=1, le=100)] = 3
    general_account_share_min: Annotated[float, Meta(gt=0, le=1)] = 0.01  # a general account may not pay out cash at all
    merchant_share_min: Annotated[float, Meta(gt=0, le=1)] = 0.90  # card purchases at one merchant
    merchant_share_max: Annotated[float, Meta(gt=0, le=10)] = 1.00
    business_merchant_share_min: Annotated[float, Meta(gt=0, le=1)] = 0.50  # ... of a loan for business, where households buy
    quasi_cash_share_min: Annotated[float, Meta(gt=0, le=1)] = 0.50  # where merchants are needed to make the finding
    habit_share_max: Annotated[float, Meta(ge=0, le=1)] = 0.05  # a withdrawal up to it may be a habit from before the loan


class CashOut(UseRule[Parameters]):
    """Cash withdrawals, quasi-cash and jewellery merchants, nearly the whole loan at one merchant.

    Cash from a GENERAL account is a breach in itself, whatever the share. Misses cash paid out at other banks.
    """

    code = "T09"
    name = "CASH_OUT"
    name_zh = "套现"
    uses = frozenset({CASH, QUASI_CASH, PURCHASE})
    Parameters = Parameters
    tells_unproven = True  # of general accounts
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
        if passage.transfer.use == PURCHASE and not _is_new_merchant(passage, context):
            return False
        return loan.hours_since_payout(passage.transfer.event_time_ms) <= rules.window_days * 24

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        rules = self.parameters(loan, context)
        if all(_from_general_account(hit) for hit in hits):
            return rules.general_account_share_min
        return rules.share_min if all(hit.transfer.use == CASH for hit in hits) else rules.quasi_cash_share_min

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """Cash from general accounts first, then all cash, then merchants too: the strongest that stands.

        A general account may not pay cash whoever's it is, so there own money is no excuse. Merchant codes are weak evidence: a
        finding that needs them is a pattern.
        """
        hits = _at_one_merchant(loan, hits, self.parameters(loan, context)) or hits[-1:]
        general = [hit for hit in hits if _from_general_account(hit)]
        cash = [hit for hit in hits if hit.transfer.use == CASH]
        finding = super().judge(loan, general or cash or hits, context)
        if general and not finding.stands:
            enough = loan.share(finding.traced_minor) >= self.parameters(loan, context).general_account_share_min
            if enough and any(hit.transfer.standing_minor for hit in general):
                return msgspec.structs.replace(finding, stands=True, severity="MEDIUM")
        for wider in (cash, hits):
            if finding.stands or not wider or len(wider) == len(finding.hits):
                continue
            finding = super().judge(loan, wider, context)
        if any(hit.transfer.use != CASH for hit in finding.hits):
            return msgspec.structs.replace(finding, severity="LOW", kind="PATTERN")
        return finding

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        info = loan.info
        farms = info is not None and ((info.borrower_industry or "").startswith(FARMING) or info.purpose_code == "AGRICULTURE")
        farmer = info is not None and info.borrower_type == "FARMER" and farms
        general = any(_from_general_account(hit) for hit in hits)
        habit = _is_habit(loan, hits, self.parameters(loan, context)) and not general
        return (
            clears(
                "approved_cash_use",
                farmer and not general,
                f"farm purchases with approved cash use: {'yes' if farmer else 'no'}",
            ),
            clears(
                "cash_habit",
                habit,
                "cash was drawn before the loan, and no large sums since"
                if habit
                else "no habit of drawing such small sums from before the loan",
            ),
            LookAlike(
                name="wages_in_cash", result="EXCLUDED", detail="no withdrawal counted is marked as wages from a basic account"
            ),
        )


def _is_new_merchant(passage: Passage, context: Context) -> bool:
    """One who was not paid before the loan, and whose line nobody states, or, for a business loan, where households buy."""
    mcc = passage.record.counterparty_mcc
    nameless = mcc is None and passage.record.counterparty_industry is None
    if not nameless and not (mcc in context.codes.household_mcc and _is_for_business(passage.loan)):
        return False
    return not passage.payer.paid_before(passage.payee.account_id, passage.loan.paid_ms)


def _is_for_business(loan: Loan) -> bool:
    return loan.info is not None and loan.info.product_class in BUSINESS_PRODUCTS


def _at_one_merchant(loan: Loan, hits: list[Passage], rules: Parameters) -> list[Passage]:
    """The hits without purchases, but for those that come to (nearly) the whole loan at one merchant.

    Who takes a loan for business and spends most of it by card where households buy has not bought stock there.
    """
    spent: dict[str, int] = {}
    for hit in hits:
        if hit.transfer.use == PURCHASE:
            spent[hit.payee.account_id] = spent.get(hit.payee.account_id, 0) + hit.transfer.standing_minor
    least = rules.business_merchant_share_min if _is_for_business(loan) else rules.merchant_share_min
    whole = {merchant for merchant, minor in spent.items() if least <= loan.share(minor) <= rules.merchant_share_max}
    return [hit for hit in hits if hit.transfer.use != PURCHASE or hit.payee.account_id in whole]


def _is_habit(loan: Loan, hits: list[Passage], rules: Parameters) -> bool:
    """Only withdrawals, by somebody who drew cash before the loan too, and none of them large."""
    return all(
        hit.transfer.use == CASH
        and hit.payer.paid_before(hit.payee.account_id, loan.paid_ms)
        and loan.share(hit.transfer.amount_minor) <= rules.habit_share_max
        for hit in hits
    )


def _from_general_account(hit: Passage) -> bool:
    return hit.transfer.use == CASH and hit.payer.kind == "GENERAL"
