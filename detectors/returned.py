"""Returns by party, amount and time: whom the loan's money went to pays the borrower's side like sums, soon after.

An account that holds other money hides which money leaves it, and no order of booking brings that back. What it does not hide
is that the sums came back, and to whom: a supervisor's check of returns asks for no more. It says nothing for certain about
the money itself, so ``certain`` is 0 and the severity is never above MEDIUM.

Misses returns through further accounts with money of their own, and in other sums than had been paid.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from detectors.alert_record import Contribution, LookAlike, Measure
from detectors.bounds import Bounds
from detectors.detector import PAYMENT, Context, Payment
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.lots import Transfer
from detectors.money import format_money
from detectors.parties import BORROWER
from detectors.public_facts import borrower_words, related
from detectors.use_rule import HITS_MAX, P, UseRule, clears
from detectors.uses import POCKETS, says

DAY_MS = 86_400_000
RETURNS_MAX = 60
"""Payments back that are remembered per loan and typology; further ones are not looked at."""
_RESTS_ON = "the sums, the parties and the time; which money they were, the payer's balance does not tell"


class ReturnTerms(NamedTuple):
    """When payments back are a return."""

    ratio_min: float  # of what the loan had paid to the account
    ratio_max: float  # more is other business, as long as nothing has been said
    days_max: int  # from the first payment there to the last one back
    share_min: float  # of the loan


class ReturnRule(UseRule[P]):
    """A breach typology that also reads returns by party, amount and time, where following the money finds none."""

    asks = frozenset({PAYMENT})

    @abstractmethod
    def terms(self, loan: Loan, payee: str, context: Context) -> ReturnTerms:
        """When payments back by this account are a return of the loan."""

    @abstractmethod
    def is_outflow(self, passage: Passage, context: Context) -> bool:
        """Whether a payment to a stranger is one whose return this typology asks about."""

    def observe(self, passage: Passage, context: Context) -> tuple[Finding, ...]:
        """Note where the money goes, for it may come back; then judge as any typology does."""
        if self._may_return(passage, context) and self.is_outflow(passage, context):
            outflows = passage.loan.hits.setdefault(self._out_key, [])
            if len(outflows) < HITS_MAX and not any(hit is passage for hit in outflows):
                outflows.append(passage)
                context.watch(passage.payee, passage.loan)
        return super().observe(passage, context)

    def paid(self, payment: Payment, loans: Sequence[Loan], context: Context) -> tuple[Finding, ...]:
        """Somebody whom the loan had paid pays: is it the borrower's side?"""
        found: list[Finding] = []
        for loan in loans:
            if any(hit.payee is payment.payer for hit in loan.hits.get(self._out_key, ())):
                known = loan.related.setdefault(self.code, [])
                if len(known) < RETURNS_MAX and self._comes_back(payment, loan, context):
                    known.append(payment.transfer)
                    found.extend(self._judge_all(loan, context))
        return tuple(found)

    def reconsider(self, loan: Loan, seqs: frozenset[int], context: Context) -> tuple[Finding, ...]:
        """Judge anew also when a payment back, or one that it answers, has been undone."""
        outs = (hit.transfer for hit in loan.hits.get(self._out_key, ()))
        if any(transfer.seq in seqs for transfer in (*loan.related.get(self.code, ()), *outs)):
            return self._judge_all(loan, context)
        return super().reconsider(loan, seqs, context)

    def _judge_all(self, loan: Loan, context: Context) -> tuple[Finding, ...]:
        """What the money itself did goes first."""
        followed = super()._judge_all(loan, context)
        if any(finding.stands for finding in followed):
            return followed
        returned = self._judge_returns(loan, context)
        if returned is not None and (returned.stands or not followed):
            return (returned,)
        return followed

    @property
    def _out_key(self) -> str:
        """Where payments that may come back are kept, beside those that the rule counts."""
        return f"{self.code}~out"

    def _may_return(self, passage: Passage, context: Context) -> bool:
        """From an account of the borrower to a stranger who could pay back."""
        loan, payee, at_ms = passage.loan, passage.payee, passage.transfer.event_time_ms
        if payee.is_sink or payee.place in POCKETS or context.side(loan, payee, at_ms) is not None:
            return False
        return context.side(loan, passage.payer, at_ms) == BORROWER

    def _comes_back(self, payment: Payment, loan: Loan, context: Context) -> bool:
        """A payment to the borrower's side; money that goes back where it came from, and says so, is a refund."""
        transfer = payment.transfer
        if context.side(loan, payment.payee, transfer.event_time_ms) is None and payment.payee is not loan.account:
            return False
        if transfer.currency != loan.currency:
            return False
        marked = payment.record.reversal_flag or says(payment.record.memo, context.codes.refund_words)
        outs = [hit.transfer for hit in loan.hits[self._out_key] if hit.payee is payment.payer]
        whence = any(out.payer == transfer.payee for out in outs)
        return not (marked and whence and transfer.amount_minor <= sum(out.standing_minor for out in outs))

    def _judge_returns(self, loan: Loan, context: Context) -> Finding | None:
        """The return by the account that gave back most; None when nobody has paid the borrower's side."""
        by_payer: dict[str, list[Transfer]] = {}
        for transfer in loan.related.get(self.code, ()):
            by_payer.setdefault(transfer.payer, []).append(transfer)
        if not by_payer:
            return None
        name = max(by_payer, key=lambda name: sum(transfer.standing_minor for transfer in by_payer[name]))
        outs = [hit for hit in loan.hits[self._out_key] if hit.payee.account_id == name]
        until_ms = outs[0].transfer.event_time_ms + self.terms(loan, name, context).days_max * DAY_MS
        back = [transfer for transfer in by_payer[name] if transfer.event_time_ms <= until_ms] or by_payer[name][:1]
        return self._returned(loan, outs, back, context)

    def _returned(self, loan: Loan, outs: list[Passage], back: list[Transfer], context: Context) -> Finding:
        payer, last = outs[0].payee, back[-1]
        terms = self.terms(loan, payer.account_id, context)
        out_minor = sum(hit.transfer.standing_minor for hit in outs)
        back_minor = sum(transfer.standing_minor for transfer in back)
        possible = min(back_minor, out_minor)
        attributed = min(possible, sum(hit.standing_minor() for hit in outs))
        ratio = back_minor / out_minor if out_minor else 0.0
        days = (last.event_time_ms - outs[0].transfer.event_time_ms) / DAY_MS
        traded = any(payer.paid_before(name, loan.paid_ms) for name in {transfer.payee for transfer in back})
        too_much = ratio > terms.ratio_max and self.code not in loan.alerts
        like = ratio >= terms.ratio_min and days <= terms.days_max and loan.share(attributed) >= terms.share_min
        closeness, speed = max(0.0, 1.0 - abs(1.0 - ratio)), max(0.0, 1.0 - days / max(1, terms.days_max))
        contributions = (
            Contribution(feature="paid_by_the_loan", value=1.0, weight=0.3, added=0.3),
            Contribution(feature="amount_match", value=round(closeness, 4), weight=0.3, added=round(0.3 * closeness, 4)),
            Contribution(feature="speed", value=round(speed, 4), weight=0.1, added=round(0.1 * speed, 4)),
        )
        return Finding(
            typology=self.code, loan=loan, stands=like and not traded and not too_much, hits=tuple(outs),
            bounds=Bounds(0, possible, False, (_RESTS_ON,)), traced_minor=attributed, fifo_minor=0,
            severity="MEDIUM", score=round(sum(item.added for item in contributions), 4), destination_en=self.destination_en,
            destination_zh=self.destination_zh, account_id=payer.account_id, event_time_ms=last.event_time_ms,
            contributions=contributions, related=tuple(related("returned", transfer) for transfer in back),
            measures=(
                Measure(name="returned_of_outflow", observed=round(ratio, 4), expected=0.0, threshold=terms.ratio_min,
                        unit="ratio"),
                Measure(name="returned_of_loan", observed=round(loan.share(back_minor), 4), expected=0.0,
                        threshold=terms.share_min, unit="ratio"),
                Measure(name="days_until_returned", observed=round(days, 2), expected=None, threshold=terms.days_max,
                        unit="days"),
            ),
            look_alikes=(
                LookAlike(name="own_money", result="NOT_TESTABLE",
                          detail="the payer may have paid with other money; that does not change who paid whom how much"),
                clears("trade_before_loan", traded, "the payer had paid these accounts before the loan" if traded
                       else "the payer had not paid these accounts before the loan"),
                clears("beyond_ratio", too_much, f"{ratio:.1%} of what the loan had paid, against at most {terms.ratio_max:.0%}"),
                LookAlike(name="refund", result="EXCLUDED",
                          detail="no payment counted goes back where the money came from and says that it is a refund"),
            ),
            sentence=_sentence(loan, payer.account_id, out_minor, back, back_minor, ratio, days),
        )  # fmt: skip


def _sentence(
    loan: Loan, payer: str, out_minor: int, back: Sequence[Transfer], back_minor: int, ratio: float, days: float
) -> tuple[str, str]:  # fmt: skip
    who_en, who_zh = borrower_words(loan)
    out, came = format_money(out_minor, loan.currency), format_money(back_minor, loan.currency)
    names = list(dict.fromkeys(transfer.payee for transfer in back))
    english = (
        f"{payer} got {out} from the account of loan {loan.loan_id} of {who_en}, and within {days:.1f} days paid {came} "
        f"({ratio:.0%} of it) to the borrower's side ({', '.join(names)})."
    )
    chinese = (
        f"客户{who_zh}的借据{loan.loan_id}账户向{payer}支付{out}，{days:.1f}天内{payer}向借款人一方（{'、'.join(names)}）"
        f"转回{came}（占{ratio:.0%}）。"
    )
    return english, chinese
