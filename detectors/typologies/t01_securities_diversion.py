"""T01 SECURITIES_DIVERSION: loan money reaches a securities or futures account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from detectors.alert_record import LookAlike
from detectors.detector import Context, Payment
from detectors.echo import Echo, EchoRule, EchoTerms
from detectors.loans import Loan, Passage
from detectors.use_rule import clears
from detectors.uses import OTHER, SECURITIES
from detectors.verdict import TRADE_RATIO_MIN, Weighed


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.10  # of the loan
    window_days: Annotated[int, Meta(ge=1, le=3650)] = 90  # after the payout
    hops_max: Annotated[int, Meta(ge=1, le=100)] = 4  # payments from the borrower's account to the securities account
    echo_days_max: Annotated[int, Meta(ge=0, le=365)] = 3  # to the like sum that is paid on
    bridge_days: Annotated[int, Meta(ge=0, le=365)] = 30  # bought before, the funder repaid after; 0: no bridges
    like_sums: bool = True  # whether sums paid on by whom the loan had paid are read beside the money itself


class SecuritiesDiversion(EchoRule[Parameters]):
    """Bank-securities transfers, payees on the securities list, MCC 6211, industry J67.

    Catches direct purchases and purchases through other accounts that pass the money on. Misses what is bought with own
    money while the loan pays for what own money would have paid (nobody can tell), and purchases at another bank.
    """

    code = "T01"
    name = "SECURITIES_DIVERSION"
    name_zh = "挪用入股市/期货"
    uses = frozenset({SECURITIES, OTHER})
    bridged_uses = frozenset({SECURITIES})
    Parameters = Parameters
    destination_en = "to securities or futures accounts"
    destination_zh = "流向证券/期货账户"
    checks = (
        "Ask the securities clearing records of the paying account for the days around the payment",
        "Compare the stated purpose and the contract with the payment's memo and payee",
        "Check who controls the account that paid the securities firm",
    )
    measures = ("watch the remaining balance", "ask for proof of use after review", "stop further drawings", "early repayment")

    def counts(self, passage: Passage, context: Context) -> bool:
        rules = self.parameters(passage.loan, context)
        hours = passage.loan.hours_since_payout(passage.transfer.event_time_ms)
        return passage.transfer.use == SECURITIES and passage.hops <= rules.hops_max and hours <= rules.window_days * 24

    def terms(self, loan: Loan, context: Context) -> EchoTerms:
        rules = self.parameters(loan, context)
        return EchoTerms(TRADE_RATIO_MIN, 1.0, rules.echo_days_max, rules.share_min, of_trader=None)

    def goes_astray(self, payment: Payment, loan: Loan, context: Context) -> bool:
        return payment.transfer.use == SECURITIES

    def echo_look_alikes(self, loan: Loan, echoes: Sequence[Echo], context: Context) -> tuple[LookAlike, ...]:
        return (_hedging(loan),)

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        firm = hits[-1].record.counterparty_account or "the firm"
        is_customer = all(_is_customer(loan, hit, hits) for hit in hits)
        detail = (
            f"{firm} had paid the borrower before the loan and had never been paid"
            if is_customer else f"nothing shows that {firm} buys from the borrower"
        )  # fmt: skip
        return (
            clears("firm_is_customer", is_customer, detail),
            _hedging(loan),
        )


def _is_customer(loan: Loan, hit: Passage, hits: list[Passage]) -> bool:
    """The firm buys from the borrower: before the loan it paid and was not paid. An investor pays in before he redeems."""
    if hit.record.txn_type == "SECURITIES_TRANSFER":
        return False
    firm = hit.payee
    paid_in_before = firm.in_count - sum(other.payee is firm for other in hits)
    return not paid_in_before and firm.paid_before(loan.account.account_id, loan.paid_ms)


def _hedging(loan: Loan) -> LookAlike:
    hedging = loan.info is not None and loan.info.purpose_code == "HEDGING"
    return clears("approved_hedging", hedging, f"the contract's purpose is hedging: {_yes(hedging)}")


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"
