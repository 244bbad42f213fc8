"""T13 IDLE_CIRCULATION: loan money becomes a deposit: time, structured, or margin for drafts."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from detectors.accounts import DEPOSIT_KINDS, Account
from detectors.alert_record import LookAlike
from detectors.detector import Context
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.use_rule import UseRule, clears
from detectors.uses import TIME_DEPOSIT, says
from detectors.verdict import Weighed

DAY_MS = 86_400_000


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.20  # of the loan
    days_max: Annotated[int, Meta(ge=0, le=365)] = 1  # calendar days from the payout; 0: the same day
    hops_max: Annotated[int, Meta(ge=1, le=100)] = 3
    waiting_days_max: Annotated[int, Meta(ge=0, le=365)] = 5  # withdrawn within: it only waited
    margin_words: tuple[str, ...] = ("保证金", "margin")  # in the purpose: the contract asks for margin


class IdleCirculation(UseRule[Parameters]):
    """Loan money on accounts of kind TIME, STRUCTURED or MARGIN soon after the payout.

    Misses deposits at other banks, deposits made after the window, and feeds that state no kind of account.
    """

    code = "T13"
    name = "IDLE_CIRCULATION"
    name_zh = "资金空转"
    Parameters = Parameters
    destination_en = "into deposits"
    destination_zh = "转为定期、结构性存款或保证金"
    checks = (
        "Read who holds the deposit and for what it is pledged",
        "Ask which drafts the margin was paid for and who drew them",
        "Compare the deposit's rate with the loan's: who gains from the circle?",
    )
    measures = ("watch for withdrawal", "ask for proof of use after review", "stop further drawings", "early repayment")

    def counts(self, passage: Passage, context: Context) -> bool:
        if _is_deposit(passage.payer):
            return self.code in passage.loan.hits
        if not _is_deposit(passage.payee):
            return False
        loan, rules = passage.loan, self.parameters(passage.loan, context)
        days = context.day(passage.transfer.event_time_ms) - context.day(loan.paid_ms)
        return passage.hops <= rules.hops_max and days <= rules.days_max

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        rules, info = self.parameters(loan, context), loan.info
        purpose = info.purpose_text if info is not None else None
        margins = all(hit.payee.kind == "MARGIN" for hit in hits)
        named = all(hit.payee.account_id in loan.entrusted_accounts for hit in hits)
        required = margins and (named or says(purpose, rules.margin_words))
        waited = sum(_waited_minor(hit, rules.waiting_days_max) for hit in loan.hits.get(self.code, ()))
        still = loan.share(weighed.traced_minor - waited)
        return (
            clears("required_margin", required, "margin that the contract names" if required
                   else "the contract names no such margin"),
            clears("waiting", waited > 0 and still < rules.share_min,
                   f"{loan.share(waited):.1%} of the loan was withdrawn within {rules.waiting_days_max} days"),
        )  # fmt: skip

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """Only deposits are weighed; withdrawals are tested as a look-alike."""
        return super().judge(loan, [hit for hit in hits if not _is_deposit(hit.payer)], context)


def _is_deposit(account: Account) -> bool:
    return account.kind in DEPOSIT_KINDS or account.place == TIME_DEPOSIT


def _waited_minor(hit: Passage, days_max: int) -> int:
    """How much of a withdrawal had been deposited at most ``days_max`` days before."""
    if not _is_deposit(hit.payer):
        return 0
    quick = sum(
        parcel.amount_minor for parcel in hit.parcels
        if parcel.trail.parent is not None
        and hit.transfer.event_time_ms - parcel.trail.parent.transfer.event_time_ms <= days_max * DAY_MS
    )  # fmt: skip
    return min(quick, hit.transfer.standing_minor)
