"""T06 ENTRUSTED_PAYEE_RETURN: the payee of an entrusted payment sends the money back or straight on."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from detectors.alert_record import LookAlike
from detectors.detector import Context
from detectors.loans import Loan, Passage
from detectors.use_rule import UseRule, clears
from detectors.uses import says
from detectors.verdict import Weighed

DAY_MS = 86_400_000


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    ratio_min: Annotated[float, Meta(gt=0, le=1)] = 0.80  # of the entrusted amount
    ratio_max: Annotated[float, Meta(gt=0, le=10)] = 1.05
    days_max: Annotated[int, Meta(ge=0, le=365)] = 3
    known_days_min: Annotated[int, Meta(ge=0, le=3650)] = 30  # a payee seen longer than this has other business


class EntrustedPayeeReturn(UseRule[Parameters]):
    """The listed payee returns the money to the borrower's side, or, being new and without other business, forwards it.

    Blind when the disbursement does not list its entrusted payments, or the payee banks elsewhere.
    """

    code = "T06"
    name = "ENTRUSTED_PAYEE_RETURN"
    name_zh = "受托支付收款人回流"
    Parameters = Parameters
    destination_en = "away from the entrusted payee"
    destination_zh = "由受托支付收款人转出"
    checks = (
        "Read the purchase contract and the delivery papers of the entrusted payment",
        "Check the payee's registration, staff and other customers",
        "Establish who received the forwarded money",
    )
    measures = ("watch the payee's account", "ask for proof of trade after review", "stop entrusted payments to this payee",
                "early repayment")  # fmt: skip

    def counts(self, passage: Passage, context: Context) -> bool:
        loan, transfer = passage.loan, passage.transfer
        if passage.payer.account_id not in loan.entrusted_accounts or passage.hops < 2:
            return False
        rules = self.parameters(loan, context)
        if transfer.event_time_ms - _arrived_ms(passage) > rules.days_max * DAY_MS:
            return False
        if _is_returned_payment(passage, context):
            return False
        return context.side(loan, passage.payee, transfer.event_time_ms) is not None or _has_no_other_business(
            passage, rules.known_days_min
        )

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        rules = self.parameters(loan, context)
        entrusted = sum(item.amount_minor for item in loan.info.entrusted_payments) if loan.info is not None else 0
        return max(0.01, min(1.0, rules.ratio_min * loan.share(entrusted)))

    def destination(self, hits: list[Passage]) -> tuple[str, str]:
        payee = hits[-1].payer.account_id
        onward = ", ".join(dict.fromkeys(hit.payee.account_id for hit in hits[-3:]))
        return f"{onward}, sent on by the entrusted payee {payee}", f"{onward}（由受托支付收款人{payee}转出）"

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        traded = all(hit.payer.paid_before(hit.payee.account_id, loan.paid_ms) for hit in hits)
        known = hits[0].payer.first_ms < loan.paid_ms
        return (
            clears("trade_before_loan", traded, f"the payee had paid these accounts before the loan: {'yes' if traded else 'no'}"),
            LookAlike(name="returned_payment", result="EXCLUDED", detail="no memo or reversal marks the money as a returned payment"),
            LookAlike(name="established_payee", result="EXCLUDED" if not known else "NOT_TESTABLE",
                      detail=f"the payee's account was {'' if known else 'not '}seen before the loan"),
        )  # fmt: skip


def _arrived_ms(passage: Passage) -> int:
    """When the oldest of the money that leaves had come to the payee."""
    return min(parcel.trail.parent.transfer.event_time_ms for parcel in passage.parcels if parcel.trail.parent is not None)


def _is_returned_payment(passage: Passage, context: Context) -> bool:
    """A payment sent back because it could not be booked: the same amount to the account it came from, and marked so."""
    marked = passage.record.reversal_flag or says(passage.record.memo, context.codes.refund_words)
    befores = [parcel.trail.parent.transfer for parcel in passage.parcels if parcel.trail.parent is not None]
    same = all(before.payer == passage.transfer.payee and before.amount_minor == passage.transfer.amount_minor for before in befores)
    return marked and same


def _has_no_other_business(passage: Passage, known_days_min: int) -> bool:
    payer = passage.payer
    is_new = passage.loan.paid_ms - payer.first_ms < known_days_min * DAY_MS
    return is_new and payer.in_count <= 3 and len(payer.payees or ()) <= 3
