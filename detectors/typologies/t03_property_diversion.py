"""T03 PROPERTY_DIVERSION: loan money buys houses: developers, agencies, deed tax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from detectors.alert_record import LookAlike
from detectors.dealings import Purchase
from detectors.detector import Context, Payment
from detectors.echo import Echo, EchoRule, EchoTerms
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.use_rule import clears
from detectors.uses import OTHER, PROPERTY, says
from detectors.verdict import TRADE_RATIO_MIN, Weighed


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.10  # of the loan
    window_days: Annotated[int, Meta(ge=1, le=3650)] = 90  # after the payout
    hops_max: Annotated[int, Meta(ge=1, le=100)] = 4
    fee_share_max: Annotated[float, Meta(gt=0, le=1)] = 0.20  # a first rent or fee above this share is not taken for one
    fee_words: tuple[str, ...] = ("房租", "租金", "物业", "rent", "property fee")
    decoration_words: tuple[str, ...] = ("装修", "decoration", "renovation")
    lists: tuple[str, ...] = ("PROPERTY_FIRM",)  # whose entries are paid for property
    house_products: tuple[str, ...] = ("MORTGAGE",)  # product classes that pay for houses
    echo_days_max: Annotated[int, Meta(ge=0, le=365)] = 3  # to the like sum that is paid on
    bridge_days: Annotated[int, Meta(ge=0, le=365)] = 30  # bought before, the funder repaid after; 0: no bridges
    like_sums: bool = True  # whether sums paid on by whom the loan had paid are read beside the money itself


class PropertyDiversion(EchoRule[Parameters]):
    """Payees on the property list, industry K7010 or K7030, MCC 7013, memos that speak of a down payment or deed tax.

    Misses houses bought from private sellers when no memo says so, and purchases at another bank. A refund by a listed firm
    is seen only when it names the payment it reverses: listed firms keep no lots.
    """

    code = "T03"
    name = "PROPERTY_DIVERSION"
    name_zh = "挪用入楼市"
    uses = frozenset({PROPERTY, OTHER})
    bridged_uses = frozenset({PROPERTY})
    Parameters = Parameters
    destination_en = "into property"
    destination_zh = "流入房地产"
    checks = (
        "Ask the property register for purchases of the borrower's side around the payment",
        "Compare the payee with the contract's payees and the stated purpose",
        "Ask which contract the payment belongs to: purchase, rent, management fee, decoration",
    )
    measures = ("watch the remaining balance", "ask for proof of use after review", "stop further drawings", "early repayment")

    def counts(self, passage: Passage, context: Context) -> bool:
        loan, transfer = passage.loan, passage.transfer
        rules = self.parameters(loan, context)
        if not _is_paid_to_property(passage, rules, context):
            return passage.payer.account_id in {hit.payee.account_id for hit in loan.hits.get(self.code, ())}
        if _is_fee(passage, rules):
            return False
        return passage.hops <= rules.hops_max and loan.hours_since_payout(transfer.event_time_ms) <= rules.window_days * 24

    def terms(self, loan: Loan, context: Context) -> EchoTerms:
        rules = self.parameters(loan, context)
        return EchoTerms(TRADE_RATIO_MIN, 1.0, rules.echo_days_max, rules.share_min, of_trader="PATTERN")

    def goes_astray(self, payment: Payment, loan: Loan, context: Context) -> bool:
        rules = self.parameters(loan, context)
        words = (*rules.fee_words, *rules.decoration_words)
        return payment.transfer.use == PROPERTY and payment.record.direction == "DEBIT" and not says(payment.record.memo, words)

    def echo_look_alikes(self, loan: Loan, echoes: Sequence[Echo], context: Context) -> tuple[LookAlike, ...]:
        return (_house_loan(self.parameters(loan, context), loan),)

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        rules = self.parameters(loan, context)
        info = loan.info
        purpose = info.purpose_text if info is not None else None
        decorates = says(purpose, rules.decoration_words) and all(_is_decoration(hit, rules) for hit in hits)
        back = sum(_refunded_minor(hit, hits) for hit in loan.hits.get(self.code, ()))
        refunded = back > 0 and loan.share(weighed.traced_minor - back) < rules.share_min
        return (
            _house_loan(rules, loan),
            clears("decoration_loan", decorates, "the loan is for decoration and so say the memos" if decorates
                   else "not a decoration that the loan was given for"),
            clears("refunded_purchase", refunded, f"{loan.share(back):.1%} of the loan came back from the firm"),
            LookAlike(name="rent_or_fee", result="EXCLUDED",
                      detail="no payment counted is a usual or small rent or management fee"),
        )  # fmt: skip

    def bridge_look_alikes(self, loan: Loan, bought: list[Purchase], context: Context) -> tuple[LookAlike, ...]:
        return (_house_loan(self.parameters(loan, context), loan),)

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """Only payments to the firms are weighed; what they pay back is tested as a look-alike."""
        rules = self.parameters(loan, context)
        payees = {hit.payee.account_id for hit in hits if _is_paid_to_property(hit, rules, context)}
        return super().judge(loan, [hit for hit in hits if hit.payer.account_id not in payees], context)


def _house_loan(rules: Parameters, loan: Loan) -> LookAlike:
    product = loan.info.product_class if loan.info is not None else "OTHER"
    return clears("house_loan", product in rules.house_products, f"the product class is {product}")


def _is_paid_to_property(passage: Passage, rules: Parameters, context: Context) -> bool:
    """The payee is a property firm. A record of the receiving side describes the payer: there only the list tells."""
    if passage.transfer.use == PROPERTY and passage.record.direction == "DEBIT":
        return True
    payee = passage.payee
    if not context.parties.has_lists:
        return False
    listed = context.parties.lists_of(payee.account_id, context.party_of(payee), passage.transfer.event_time_ms)
    return any(name in rules.lists for name in listed)


def _is_fee(passage: Passage, rules: Parameters) -> bool:
    """Rent or management fee: the memo says so, and the payee was paid before the loan or the sum is small."""
    loan, transfer = passage.loan, passage.transfer
    if not says(passage.record.memo, rules.fee_words):
        return False
    usual = passage.payer.paid_before(passage.payee.account_id, loan.paid_ms)
    return usual or loan.share(transfer.amount_minor) <= rules.fee_share_max


def _is_decoration(hit: Passage, rules: Parameters) -> bool:
    return says(hit.record.memo, rules.decoration_words) or (hit.record.counterparty_industry or "").startswith("E")


def _refunded_minor(hit: Passage, purchases: list[Passage]) -> int:
    """What a firm that was paid gave back to the account that had paid it."""
    paid = {(purchase.payee.account_id, purchase.payer.account_id) for purchase in purchases}
    return hit.standing_minor() if (hit.payer.account_id, hit.payee.account_id) in paid else 0
