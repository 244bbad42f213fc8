"""T04 MORTGAGE_SWAP: somebody settles the mortgage, then a business loan on the same house repays him."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from detectors.alert_record import LookAlike
from detectors.dealings import Mortgage, Purchase
from detectors.detector import Context
from detectors.loans import Loan, Passage
from detectors.use_rule import UseRule, clears
from detectors.uses import LOAN_REPAYMENT, says


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.20  # of the loan that repays the third party
    bridge_days: Annotated[int, Meta(ge=1, le=365)] = 30  # between settling and payout, and between payout and repayment


class MortgageSwap(UseRule[Parameters]):
    """A mortgage of the borrower's side, or on the loan's own collateral, settled with a third party's money before the payout.

    A mortgage is known by the loan ledger's record of it, however old, or by the memo of the repayment. Misses mortgages at
    other banks, and third parties who are repaid through others.
    """

    code = "T04"
    name = "MORTGAGE_SWAP"
    name_zh = "经营贷置换按揭"
    uses = frozenset()
    bridged_uses = frozenset({LOAN_REPAYMENT})
    sees_one_book = True
    Parameters = Parameters
    destination_en = "to a third party who had settled the mortgage"
    destination_zh = "偿还代结清按揭的第三方"
    checks = (
        "Compare the collateral of the loan with that of the settled mortgage, in the land register",
        "Establish who the third party is, and whether it settles mortgages for others too",
        "Check the business behind the loan: turnover, staff, takings",
    )
    measures = ("watch the third party", "ask for proof of use after review", "stop further drawings", "early repayment")

    def counts(self, passage: Passage, context: Context) -> bool:
        return False

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def is_bridge(self, bought: Purchase, loan: Loan, context: Context) -> bool:
        """Whether what was repaid is a mortgage of the borrower's side or on the loan's collateral."""
        if loan.info is None or loan.info.product_class == "MORTGAGE":
            return False
        mortgage = _mortgage(bought, context)
        if mortgage is None:
            own = bought.transfer.payer == loan.account.account_id
            return own and says(bought.memo, context.codes.mortgage_words)
        if loan.borrower_id is not None and mortgage.customer_id == loan.borrower_id:
            return True
        return bool(set(mortgage.collateral_ids) & set(loan.info.collateral_ids))

    def bridge_look_alikes(self, loan: Loan, bought: list[Purchase], context: Context) -> tuple[LookAlike, ...]:
        named = loan.info.refinanced_loan_ids if loan.info is not None else ()
        refinanced = all(purchase.loan_id in named for purchase in bought)
        other_house = all(_is_other_house(purchase, loan, context) for purchase in bought)
        return (
            clears("approved_refinancing", refinanced, "the loan was booked as refinancing this mortgage" if refinanced
                   else "the loan was not booked as refinancing this mortgage"),
            clears("genuine_sale", other_house, "the mortgaged house does not secure the loan and may have been sold"
                   if other_house else "the house still stands for the loan, or its collateral is not stated"),
        )  # fmt: skip


def _mortgage(bought: Purchase, context: Context) -> Mortgage | None:
    return context.dealings.mortgages.get(bought.loan_id) if bought.loan_id is not None else None


def _is_other_house(bought: Purchase, loan: Loan, context: Context) -> bool:
    mortgage = _mortgage(bought, context)
    stated = loan.info.collateral_ids if loan.info is not None else ()
    if mortgage is None or not mortgage.collateral_ids or not stated:
        return False
    return not set(mortgage.collateral_ids) & set(stated)
