"""T10 ON_LENDING: loan money is lent on, to a lender through others or to a person who then pays interest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from detectors.alert_record import LookAlike, Measure
from detectors.detector import PAYMENT, Context, Payment
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.lots import Transfer
from detectors.public_facts import related
from detectors.use_rule import UseRule, clears
from detectors.uses import LENDER, OTHER, PURCHASE, says
from detectors.verdict import Weighed

DAY_MS = 86_400_000
YEAR_DAYS = 365


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.20  # of the loan that was lent on
    window_days: Annotated[int, Meta(ge=1, le=3650)] = 90  # after the payout
    hops_max: Annotated[int, Meta(ge=1, le=100)] = 6  # payments from the borrower's account to the lender
    period_days: Annotated[int, Meta(ge=7, le=366)] = 30  # between payments of interest
    tolerance_days: Annotated[int, Meta(ge=0, le=15)] = 3  # by which they may be early or late
    inflows_min: Annotated[int, Meta(ge=2, le=24)] = 2  # payments of interest; the first one period after the money left
    rate_min: Annotated[float, Meta(gt=0, le=10)] = 0.08  # a year, of what was lent on
    rate_max: Annotated[float, Meta(gt=0, le=10)] = 0.36
    spread_max: Annotated[float, Meta(ge=0, le=1)] = 0.05  # by which payments of interest may differ


class OnLending(UseRule[Parameters]):
    """Money that reaches a lender's account through others; or an unrelated party that pays like amounts back, month by month.

    The second signal that a pattern needs is the way through others, or the interest. Misses interest in cash or at another
    bank, loans to others that are repaid in one sum, and interest that starts after the loan is no longer followed.
    """

    code = "T10"
    name = "ON_LENDING"
    name_zh = "转借他人"
    kind = "PATTERN"
    asks = frozenset({PAYMENT})
    sees_one_book = True
    Parameters = Parameters
    destination_en = "to others as a loan"
    destination_zh = "转借他人"
    checks = (
        "Ask in the credit file for the contract behind the payment",
        "List all payments between the two parties, also before the loan",
        "Check whether the payee lends to others, and with which licence",
    )
    measures = ("watch both accounts", "ask for proof of trade after review", "stop further drawings", "early repayment")

    def counts(self, passage: Passage, context: Context) -> bool:
        rules = self.parameters(passage.loan, context)
        if passage.loan.hours_since_payout(passage.transfer.event_time_ms) > rules.window_days * 24:
            return False
        if _is_to_lender(passage):
            return passage.hops <= rules.hops_max
        if passage.hops != 1 or passage.transfer.use not in (OTHER, PURCHASE) or passage.payee.is_sink:
            return False
        loan = passage.loan
        if loan.share(passage.traced_minor) < rules.share_min or passage.payee.account_id in loan.entrusted_accounts:
            return False
        if context.side(loan, passage.payee, passage.transfer.event_time_ms) is not None:
            return False
        context.watch(passage.payee, loan)
        return True

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def destination(self, hits: list[Passage]) -> tuple[str, str]:
        names = ", ".join(dict.fromkeys(hit.payee.account_id for hit in hits[-3:]))
        if all(_is_to_lender(hit) for hit in hits):
            return f"to a lender ({names}), through other accounts", f"经他人账户流向放贷机构（{names}）"
        return f"to {names}, who pays it back like a loan at interest", f"转借{names}，后者按期付息"

    def paid(self, payment: Payment, loans: Sequence[Loan], context: Context) -> tuple[Finding, ...]:
        """A payee of loan money pays: is it interest?"""
        findings = []
        for loan in loans:
            direct = [hit for hit in loan.hits.get(self.code, ()) if hit.payee is payment.payer and not _is_to_lender(hit)]
            if not direct or not _comes_to(loan, payment, context):
                continue
            known = loan.related.setdefault(self.code, [])
            if len(known) < _RELATED_MAX and not says(payment.record.memo, context.codes.rent_words):
                known.append(payment.transfer)
                findings.append(self.judge(loan, loan.hits[self.code], context))
        return tuple(findings)

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """The lender's way first; else the one payee whose payments look most like interest."""
        to_lender = [hit for hit in hits if _is_to_lender(hit)]
        if to_lender:
            found = super().judge(loan, to_lender, context)
            if found.stands or len(to_lender) == len(hits):
                return msgspec.structs.replace(found, severity="MEDIUM")
        rules = self.parameters(loan, context)
        by_payee: dict[str, list[Passage]] = {}
        for hit in hits:
            if not _is_to_lender(hit):
                by_payee.setdefault(hit.payee.account_id, []).append(hit)
        interest = {name: _interest(loan.related.get(self.code, ()), own, rules) for name, own in by_payee.items()}
        name = max(by_payee, key=lambda name: len(interest[name]))
        finding = super().judge(loan, by_payee[name], context)
        return _with_interest(finding, by_payee[name], interest[name], rules)

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        if all(_is_to_lender(hit) for hit in hits):
            return (
                LookAlike(name="repays_own_debt", result="EXCLUDED",
                          detail="the money went through other accounts, not from the borrower to the lender"),
            )  # fmt: skip
        own_side = any(context.side(loan, hit.payee, hit.transfer.event_time_ms) is not None for hit in hits)
        traded = any(
            one.paid_before(other.account_id, loan.paid_ms)
            for hit in hits for one, other in ((hit.payer, hit.payee), (hit.payee, hit.payer))
        )  # fmt: skip
        return (
            clears("trade_before_loan", traded, "the two had paid each other before the loan" if traded
                   else "no payment between the two before the loan"),
            LookAlike(name="rent", result="EXCLUDED", detail="payments whose memo says rent do not count as interest"),
            clears("approved_intercompany", own_side, "the payee is on the borrower's side" if own_side
                   else "the payee is not on the borrower's side, nor a payee of the contract"),
        )  # fmt: skip


_RELATED_MAX = 60
"""Payments back that are remembered per loan."""


def _with_interest(
    finding: Finding, hits: list[Passage], interest: Sequence[Transfer], rules: Parameters
) -> Finding:  # fmt: skip
    lent_minor = sum(hit.transfer.standing_minor for hit in hits)
    paid_minor = sum(transfer.amount_minor for transfer in interest)
    rate = _rate(interest, lent_minor, rules)
    measures = (
        *finding.measures,
        Measure(name="interest_payments", observed=len(interest), expected=0.0, threshold=rules.inflows_min,
                unit="payments"),
        Measure(name="interest_paid_minor", observed=paid_minor, expected=None, threshold=None,
                unit=f"{hits[-1].transfer.currency} minor units"),
        Measure(name="rate_a_year", observed=round(rate, 4), expected=None, threshold=rules.rate_min, unit="ratio"),
    )  # fmt: skip
    is_interest = len(interest) >= rules.inflows_min and rules.rate_min <= rate <= rules.rate_max
    last = interest[-1].event_time_ms if interest else None
    return msgspec.structs.replace(
        finding, stands=finding.stands and is_interest, severity="MEDIUM", measures=measures,
        account_id=hits[-1].payee.account_id, related=tuple(related("interest", transfer) for transfer in interest),
        event_time_ms=last,
    )  # fmt: skip


def _is_to_lender(passage: Passage) -> bool:
    return passage.transfer.use == LENDER and passage.hops >= 2


def _comes_to(loan: Loan, payment: Payment, context: Context) -> bool:
    """Whether the payment goes to the borrower, on any account."""
    if payment.payee is loan.account:
        return True
    return context.side(loan, payment.payee, payment.transfer.event_time_ms) == "BORROWER"


def _interest(payments: Sequence[Transfer], hits: Sequence[Passage], rules: Parameters) -> list[Transfer]:
    """The longest run of like payments by the payee, one period after the money left and one period apart."""
    left_ms = hits[0].transfer.event_time_ms
    run: list[Transfer] = []
    for payment in payments:
        if payment.payer != hits[0].payee.account_id or not payment.standing_minor:
            continue
        before_ms = run[-1].event_time_ms if run else left_ms
        late_days = (payment.event_time_ms - before_ms) / DAY_MS - rules.period_days
        like = not run or abs(payment.amount_minor - run[0].amount_minor) <= rules.spread_max * run[0].amount_minor
        if abs(late_days) <= rules.tolerance_days and like:
            run.append(payment)
    return run


def _rate(interest: Sequence[Transfer], lent_minor: int, rules: Parameters) -> float:
    """What was paid per year, as a share of what was lent."""
    if not interest or not lent_minor:
        return 0.0
    each = sum(transfer.amount_minor for transfer in interest) / len(interest)
    return each * YEAR_DAYS / rules.period_days / lent_minor
