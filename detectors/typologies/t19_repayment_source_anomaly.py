"""T19 REPAYMENT_SOURCE_ANOMALY: a due sum is paid with what a lender, a broker or a fresh borrower brought just before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from detectors.accounts import Account
from detectors.alert_record import Contribution, Measure
from detectors.detector import PAYMENT, Context, Payment
from detectors.finding import NOTHING_TRACED, Finding
from detectors.loans import Loan, Passage
from detectors.lots import Transfer
from detectors.money import format_money
from detectors.public_facts import borrower_words, related
from detectors.use_rule import UseRule, clears
from detectors.uses import LENDER, LOAN_INTEREST, LOAN_REPAYMENT

DAY_MS = 86_400_000
LENDER_SOURCE, BROKER_SOURCE, BORROWER_SOURCE = "a lender", "a broker", "a fresh borrower"
_IN_CHINESE = {LENDER_SOURCE: "放贷机构", BROKER_SOURCE: "中介", BORROWER_SOURCE: "新获贷客户"}


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    ratio_min: Annotated[float, Meta(gt=0, le=1)] = 0.90  # of the due sum that one source brought
    ratio_max: Annotated[float, Meta(ge=1, le=10)] = 1.10
    days_max: Annotated[int, Meta(ge=0, le=365)] = 3  # between the inflow and the repayment
    fresh_days_max: Annotated[int, Meta(ge=0, le=365)] = 30  # since the source was paid a loan out itself
    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.01  # of the loan that the repayment is


class RepaymentSourceAnomaly(UseRule[Parameters]):
    """A repayment whose amount came in, within days and almost to the cent, from somebody who lends or has just borrowed.

    The second signal that a pattern needs is in the rule: amount and time match, and the source is of a kind. Misses cash,
    sources at other banks that are on no list, and a loan that the repayment does not name.
    """

    code = "T19"
    name = "REPAYMENT_SOURCE_ANOMALY"
    name_zh = "还款来源异常"
    kind = "PATTERN"
    asks = frozenset({PAYMENT})
    payment_uses = frozenset({LOAN_REPAYMENT, LOAN_INTEREST})
    uses = frozenset()
    sees_one_book = True
    Parameters = Parameters
    destination_en = "from a lender, a broker or a fresh borrower, to repay the loan"
    destination_zh = "还款资金来自放贷机构、中介或新获贷客户"
    checks = (
        "Ask the record of the source: which loan, which business, which other customers it pays for",
        "Compare with the borrower's takings of the last months",
        "Check whether a new loan follows the repayment",
    )
    measures = ("watch the borrower's accounts", "renew the credit review", "no renewal before review")

    def counts(self, passage: Passage, context: Context) -> bool:
        return False

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def paid(self, payment: Payment, loans: Sequence[Loan], context: Context) -> tuple[Finding, ...]:
        """A repayment was made: where did the money come from?"""
        named = [loan for loan in loans if loan.loan_id == payment.record.related_loan_id]
        return tuple(finding for loan in named for finding in self._judge(loan, payment, context))

    def _judge(self, loan: Loan, payment: Payment, context: Context) -> tuple[Finding, ...]:
        rules = self.parameters(loan, context)
        due_minor, at_ms = payment.transfer.amount_minor, payment.transfer.event_time_ms
        if loan.share(due_minor) < rules.share_min:
            return ()
        for source, brought in _sources(payment, rules, context):
            kind = _kind_of(source, loan, at_ms, rules, context)
            ratio = sum(transfer.standing_minor for transfer in brought) / due_minor
            if kind is not None and rules.ratio_min <= ratio <= rules.ratio_max:
                return (self._finding(loan, payment, source, kind, brought, ratio, context),)
        return ()

    def _finding(
        self, loan: Loan, payment: Payment, source: Account, kind: str, brought: Sequence[Transfer], ratio: float,
        context: Context,
    ) -> Finding:  # fmt: skip
        at_ms, payer = payment.transfer.event_time_ms, payment.payer
        role = context.side(loan, source, at_ms)
        customer = source.paid_before(payer.account_id, loan.paid_ms)
        hours = (at_ms - brought[0].event_time_ms) / 3_600_000
        due = format_money(payment.transfer.amount_minor, loan.currency)
        closeness = round(1.0 - abs(1.0 - ratio), 4)
        rules = self.parameters(loan, context)
        return Finding(
            typology=self.code, loan=loan, stands=role is None and not customer, hits=(), bounds=NOTHING_TRACED, traced_minor=0,
            fifo_minor=0, severity="MEDIUM", score=round(0.3 + 0.4 * closeness, 4), destination_en=self.destination_en,
            destination_zh=self.destination_zh, account_id=source.account_id, event_time_ms=at_ms,
            related=(*(related("brought", transfer) for transfer in brought), related("repaid", payment.transfer)),
            measures=(
                Measure(name="due_minor", observed=payment.transfer.amount_minor, expected=None, threshold=None,
                        unit=f"{loan.currency} minor units"),
                Measure(name="brought_of_due", observed=round(ratio, 4), expected=0.0, threshold=rules.ratio_min, unit="ratio"),
                Measure(name="hours_before_due", observed=round(hours, 2), expected=None, threshold=rules.days_max * 24,
                        unit="hours"),
            ),
            look_alikes=(
                clears("family_or_guarantor", role is not None, f"the source is the borrower's {role}" if role is not None
                       else "the source is not on the borrower's side"),
                clears("customer_pays_in_time", customer, "the source had paid this account before the loan" if customer
                       else "the source had not paid this account before the loan"),
            ),
            contributions=(
                Contribution(feature="source_of_a_kind", value=1.0, weight=0.3, added=0.3),
                Contribution(feature="amount_match", value=closeness, weight=0.4, added=round(0.4 * closeness, 4)),
            ),
            sentence=_sentence(loan, due, source, kind, hours, ratio),
        )  # fmt: skip


def _sentence(loan: Loan, due: str, source: Account, kind: str, hours: float, ratio: float) -> tuple[str, str]:
    who_en, who_zh = borrower_words(loan)
    english = (
        f"{due} of loan {loan.loan_id} of {who_en} was repaid with money that {source.account_id}, {kind}, had brought "
        f"{hours:.0f} hours before ({ratio:.0%} of the sum)."
    )
    chinese = (
        f"客户{who_zh}的借据{loan.loan_id}归还{due}，资金系{_IN_CHINESE[kind]}{source.account_id}于{hours:.0f}小时前转入"
        f"（占还款额{ratio:.0%}）。"
    )
    return english, chinese


def _sources(payment: Payment, rules: Parameters, context: Context) -> list[tuple[Account, tuple[Transfer, ...]]]:
    """Who brought the money of a repayment: payers of large inflows just before, each with what it paid."""
    at_ms = payment.transfer.event_time_ms
    inflows = context.dealings.inflows_of(payment.payer, at_ms - rules.days_max * DAY_MS, at_ms)
    by_payer: dict[str, list[Transfer]] = {}
    for inflow in inflows:
        by_payer.setdefault(inflow.payer, []).append(inflow)
    found = ((context.tracer.look(name, payment.transfer.currency), tuple(brought)) for name, brought in by_payer.items())
    return [(account, brought) for account, brought in found if account is not None]


def _kind_of(source: Account, loan: Loan, at_ms: int, rules: Parameters, context: Context) -> str | None:
    party = context.party_of(source)
    lists = context.parties.lists_of(source.account_id, party, at_ms)
    if source.place == LENDER or "LENDER" in lists:
        return LENDER_SOURCE
    if "BROKER" in lists:
        return BROKER_SOURCE
    if party is None or party == loan.borrower_id:
        return None
    own = context.loans_of(party)
    if any(0 <= at_ms - other.paid_ms <= rules.fresh_days_max * DAY_MS for other in own):
        return BORROWER_SOURCE
    return None
