"""T08 LOAN_REPAYS_LOAN: a new loan's money repays an old one."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from detectors.alert_record import LookAlike
from detectors.dealings import Purchase
from detectors.detector import Context
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.parties import BORROWER
from detectors.use_rule import UseRule, clears
from detectors.uses import LENDER, LOAN_REPAYMENT
from detectors.verdict import Weighed

RENEWALS = frozenset({"RENEWAL_NO_REPAY", "ROLLOVER", "REPAY_THEN_LEND", "RESTRUCTURE", "EXTENSION"})

INSTALMENT_RATIO_MAX = 1.25
"""A repayment up to this many times an earlier one of the same loan is another instalment."""


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.50
    window_days: Annotated[int, Meta(ge=1, le=3650)] = 3
    hops_max: Annotated[int, Meta(ge=1, le=100)] = 4
    bridge_days: Annotated[int, Meta(ge=0, le=365)] = 30  # bought before, the funder repaid after; 0: no bridges


class LoanRepaysLoan(UseRule[Parameters]):
    """Repayment of principal of another loan from traced money, here or, from the borrower's own account, to another lender.

    Repaying the loan itself early is no misuse. Other lenders are known by list or industry code; what else is repaid at
    another bank is not seen.
    """

    code = "T08"
    name = "LOAN_REPAYS_LOAN"
    name_zh = "借新还旧"
    uses = frozenset({LOAN_REPAYMENT, LENDER})
    bridged_uses = frozenset({LOAN_REPAYMENT})
    Parameters = Parameters
    destination_en = "into the repayment of other loans"
    destination_zh = "用于归还其他贷款"
    checks = (
        "Check whether the new loan was approved as a renewal of the old one",
        "Check the old loan's overdue days and classification before the repayment",
        "Compare due dates: was a scheduled instalment paid?",
    )
    measures = ("watch the loan's classification", "explain the renewal after review", "stop further drawings", "reclassify")

    def counts(self, passage: Passage, context: Context) -> bool:
        loan = passage.loan
        if passage.transfer.use == LENDER:
            if context.side(loan, passage.payer, passage.transfer.event_time_ms) != BORROWER:
                return False  # somebody else's debt, or money lent on: T10 asks
        elif passage.transfer.use != LOAN_REPAYMENT or passage.record.related_loan_id == loan.loan_id:
            return False
        rules = self.parameters(loan, context)
        hours = loan.hours_since_payout(passage.transfer.event_time_ms)
        return passage.hops <= rules.hops_max and hours <= rules.window_days * 24

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def destination(self, hits: list[Passage]) -> tuple[str, str]:
        loans = ", ".join(dict.fromkeys(_what(hit, "an unnamed loan", "a loan of ") for hit in hits[-3:]))
        in_chinese = "、".join(dict.fromkeys(_what(hit, "未载明的贷款", "贷款机构") for hit in hits[-3:]))
        return f"into the repayment of {loans}", f"用于归还贷款{in_chinese}"

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        info = loan.info
        renewal = all(_is_approved(loan, hit) for hit in hits)
        revolving = info is not None and info.occur_type == "REVOLVING_DRAW"
        kind = info.occur_type if info is not None else "unknown"
        instalment = all(_is_instalment(loan, hit, context) for hit in hits)
        nameless = any(hit.record.related_loan_id is None and hit.transfer.use != LENDER for hit in hits)
        return (
            clears("approved_renewal", renewal, f"booked as {kind}, refinancing {_named(info)}"),
            clears("scheduled_instalment", instalment, "the account had repaid this loan before, in like sums" if instalment
                   else "no like sum repaid this loan before the new one was paid out"),
            clears("revolving_line", revolving, f"booked as {kind}"),
            LookAlike(name="repays_itself", result="NOT_TESTABLE" if nameless else "EXCLUDED",
                      detail="a repayment names no loan, perhaps this" if nameless else "each repayment names another loan"),
        )  # fmt: skip

    def is_bridge(self, bought: Purchase, loan: Loan, context: Context) -> bool:
        """Another loan of the borrower's side. A mortgage that somebody settled is T04's, others' loans are their business."""
        if bought.loan_id == loan.loan_id or (bought.loan_id is not None and bought.loan_id in context.dealings.mortgages):
            return False
        payer, at_ms = context.tracer.look(bought.transfer.payer, loan.currency), bought.transfer.event_time_ms
        if payer is loan.account or (payer is not None and context.side(loan, payer, at_ms) is not None):
            return True
        own = context.loans_of(loan.borrower_id) if loan.borrower_id is not None else ()
        return any(other.loan_id == bought.loan_id for other in own)

    def bridge_look_alikes(self, loan: Loan, bought: list[Purchase], context: Context) -> tuple[LookAlike, ...]:
        info = loan.info
        named = info.refinanced_loan_ids if info is not None else ()
        renewal = info is not None and info.occur_type in RENEWALS and all(one.loan_id in named for one in bought)
        kind = info.occur_type if info is not None else "unknown"
        return (clears("approved_renewal", renewal, f"booked as {kind}, refinancing {_named(info)}"),)

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """What an approval covers is left out; a repayment that names no loan weighs less."""
        finding = super().judge(loan, [hit for hit in hits if not _is_approved(loan, hit)] or hits, context)
        if any(hit.record.related_loan_id is None for hit in finding.hits):
            return msgspec.structs.replace(finding, severity="MEDIUM")
        return finding


def _is_instalment(loan: Loan, hit: Passage, context: Context) -> bool:
    """The same account had repaid the same loan in like sums before this one was paid out: the schedule went on."""
    of = hit.record.related_loan_id
    return of is not None and any(
        one.loan_id == of and one.transfer.payer == hit.payer.account_id and one.transfer.event_time_ms < loan.paid_ms
        and hit.transfer.amount_minor <= INSTALMENT_RATIO_MAX * one.transfer.amount_minor
        for one in context.dealings.funded.get(hit.payer.account_id) or ()
    )  # fmt: skip


def _is_approved(loan: Loan, hit: Passage) -> bool:
    """The loan was booked as the renewal of the one that is repaid."""
    info = loan.info
    return info is not None and info.occur_type in RENEWALS and hit.record.related_loan_id in info.refinanced_loan_ids


def _what(hit: Passage, unnamed: str, of_lender: str) -> str:
    """Which loan is repaid, as far as the record says."""
    if hit.record.related_loan_id is not None:
        return hit.record.related_loan_id
    return f"{of_lender}{hit.payee.account_id}" if hit.transfer.use == LENDER else unnamed


def _named(info: object) -> str:
    ids = getattr(info, "refinanced_loan_ids", ())
    return ", ".join(ids) if ids else "no named loan"
