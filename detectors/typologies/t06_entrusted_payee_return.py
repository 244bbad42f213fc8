"""T06 ENTRUSTED_PAYEE_RETURN: the payee of an entrusted payment sends the money back or straight on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from detectors.alert_record import LookAlike
from detectors.detector import Context, Payment
from detectors.echo import Echo, EchoRule, EchoTerms
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.use_rule import clears
from detectors.uses import says
from detectors.verdict import Weighed

DAY_MS = 86_400_000
LIKE_AMOUNT_MIN = 0.90
"""From this ratio on a payee's payment is taken for the entrusted money itself, whatever the two traded before."""
RETURN_SHARE_MIN = 0.01
"""Share of the loan from which sums that come back are worth an alert."""


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    ratio_min: Annotated[float, Meta(gt=0, le=1)] = 0.80  # of the entrusted amount
    ratio_max: Annotated[float, Meta(gt=0, le=10)] = 1.05  # more is other business, unless the money is certain
    days_max: Annotated[int, Meta(ge=0, le=365)] = 3
    known_days_min: Annotated[int, Meta(ge=0, le=3650)] = 30  # a payee seen longer than this has other business
    like_sums: bool = True  # whether sums paid on by whom the loan had paid are read beside the money itself


class EntrustedPayeeReturn(EchoRule[Parameters]):
    """The listed payee returns the money to the borrower's side, or, being new and without other business, forwards it.

    Blind when the disbursement does not list its entrusted payments, or the payee banks elsewhere.
    """

    code = "T06"
    name = "ENTRUSTED_PAYEE_RETURN"
    name_zh = "受托支付收款人回流"
    Parameters = Parameters
    destination_en = "on from the entrusted payee"
    destination_zh = "由受托支付收款人转出"
    astray = ("to the borrower's side", "流向借款人一方")
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

    def is_outflow(self, passage: Passage, context: Context) -> bool:
        return passage.payee.account_id in passage.loan.entrusted_accounts

    def terms(self, loan: Loan, context: Context) -> EchoTerms:
        rules = self.parameters(loan, context)
        return EchoTerms(rules.ratio_min, rules.ratio_max, rules.days_max, RETURN_SHARE_MIN, of_trader="BREACH")

    def goes_astray(self, payment: Payment, loan: Loan, context: Context) -> bool:
        return context.side(loan, payment.payee, payment.transfer.event_time_ms) is not None

    def echo_look_alikes(self, loan: Loan, echoes: Sequence[Echo], context: Context) -> tuple[LookAlike, ...]:
        whole = all(_is_sent_back_whole(echo) for echo in echoes)
        return (
            clears("returned_payment", whole, "the very sum came back in one payment to the account it was from"
                   if whole else "in other sums, in parts, or to another account than the money came from"),
        )  # fmt: skip

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        entrusted = loan.share(_entrusted_minor(loan, {hit.payer.account_id for hit in hits}))
        return max(0.01, min(1.0, self.parameters(loan, context).ratio_min * entrusted))

    def destination(self, hits: list[Passage]) -> tuple[str, str]:
        payee = hits[-1].payer.account_id
        onward = ", ".join(dict.fromkeys(hit.payee.account_id for hit in hits[-3:]))
        return f"to {onward}, sent on by the entrusted payee {payee}", f"由受托支付收款人{payee}转往{onward}"

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        rules = self.parameters(loan, context)
        ratio = _passed_minor(hits) / max(1, _entrusted_minor(loan, {hit.payer.account_id for hit in hits}))
        traded = ratio < LIKE_AMOUNT_MIN and all(hit.payer.paid_before(hit.payee.account_id, loan.paid_ms) for hit in hits)
        too_much = ratio > rules.ratio_max and weighed.certain_share < self.share_min(loan, hits, context)
        known = hits[0].payer.first_ms < loan.paid_ms
        return (
            clears("trade_before_loan", traded, "the payee had paid these accounts before the loan, in other amounts" if traded
                   else "the payee had not paid these accounts before the loan, or the amounts match too well"),
            clears("beyond_ratio", too_much, f"{ratio:.1%} of the entrusted amount, against at most {rules.ratio_max:.0%}"),
            LookAlike(name="returned_payment", result="EXCLUDED", detail="no payment counted is a refund to its payer"),
            LookAlike(name="established_payee", result="EXCLUDED" if not known else "NOT_TESTABLE",
                      detail=f"the payee's account was {'' if known else 'not '}seen before the loan"),
        )  # fmt: skip

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """Each payee is held to its own entrusted amount; those that passed on enough of theirs are weighed together."""
        by_payee: dict[str, list[Passage]] = {}
        for hit in hits:
            if hit.transfer.standing_minor:
                by_payee.setdefault(hit.payer.account_id, []).append(hit)
        ratio_min = self.parameters(loan, context).ratio_min
        chosen = {
            payee for payee, passed in by_payee.items() if _passed_minor(passed) >= ratio_min * _entrusted_minor(loan, {payee})
        } or {hits[-1].payer.account_id}
        return super().judge(loan, [hit for hit in hits if hit.payer.account_id in chosen], context)


def _is_sent_back_whole(echo: Echo) -> bool:
    same = {transfer.payee for transfer in echo.on} == {hit.transfer.payer for hit in echo.outs}
    return same and len(echo.on) == len(echo.outs) and echo.on_minor == echo.out_minor


def _entrusted_minor(loan: Loan, payees: set[str]) -> int:
    payments = loan.info.entrusted_payments if loan.info is not None else ()
    return sum(payment.amount_minor for payment in payments if payment.payee_account in payees)


def _passed_minor(hits: list[Passage]) -> int:
    return sum(hit.transfer.standing_minor for hit in hits)


def _arrived_ms(passage: Passage) -> int:
    """When the oldest of the money that leaves had come to the payee."""
    return min(parcel.trail.parent.transfer.event_time_ms for parcel in passage.parcels if parcel.trail.parent is not None)


def _is_returned_payment(passage: Passage, context: Context) -> bool:
    """A returned or refunded payment: back to the account it came from, not more than that, and marked so.

    The money is then on the borrower's account again, and is followed on from there.
    """
    marked = passage.record.reversal_flag or says(passage.record.memo, context.codes.refund_words)
    befores = {
        parcel.trail.parent.transfer.seq: parcel.trail.parent.transfer
        for parcel in passage.parcels if parcel.trail.parent is not None
    }  # fmt: skip
    same = all(before.payer == passage.transfer.payee for before in befores.values())
    return marked and same and passage.transfer.amount_minor <= sum(before.amount_minor for before in befores.values())


def _has_no_other_business(passage: Passage, known_days_min: int) -> bool:
    payer = passage.payer
    is_new = passage.loan.paid_ms - payer.first_ms < known_days_min * DAY_MS
    return is_new and payer.in_count <= 3 and len(payer.payees or ()) <= 3
