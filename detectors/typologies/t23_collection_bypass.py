"""T23 COLLECTION_BYPASS: the takings no longer come in on the collection account, while the declared sales hold."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from detectors.accounts import Account
from detectors.alert_record import Contribution, LookAlike, Measure
from detectors.detector import LOAN, TIME, Context
from detectors.finding import NOTHING_TRACED, Finding
from detectors.loans import Loan, Passage
from detectors.money import format_money
from detectors.parties import Note
from detectors.public_facts import borrower_words, meaning_of, published_notes
from detectors.use_rule import UseRule
from detectors.uses import SALES_HELD

DAY_MS = 86_400_000


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    ratio_max: Annotated[float, Meta(gt=0, le=1)] = 0.30  # of the usual inflow; less is a bypass
    period_days: Annotated[int, Meta(ge=7, le=366)] = 30
    periods_min: Annotated[int, Meta(ge=1, le=12)] = 2  # low periods in a row: one may be a holiday
    baseline_days_min: Annotated[int, Meta(ge=7, le=3650)] = 90  # of history before the payout
    share_min: Annotated[float, Meta(gt=0, le=10)] = 0.02  # of the loan: the least usual inflow of a period


class CollectionBypass(UseRule[Parameters]):
    """Inflow per period on the loan's collection account, against what came in per period before the payout.

    The second signal that a pattern needs is a public note that declared sales hold, published after the payout. Misses
    borrowers without such a note, accounts without a history before the loan, and a slow decline.
    """

    code = "T23"
    name = "COLLECTION_BYPASS"
    name_zh = "回款绕开回笼账户"
    kind = "PATTERN"
    asks = frozenset({LOAN, TIME})
    uses = frozenset()
    sees_one_book = True
    Parameters = Parameters
    destination_en = "past the collection account"
    destination_zh = "回款绕开回笼账户"
    checks = (
        "Compare invoices and tax returns of the months with the account's inflow",
        "Ask whether buyers were told of another account",
        "Look at the borrower's accounts at other banks in the credit register",
    )
    measures = ("watch the collection account", "ask for the takings after review", "stop further drawings")

    def counts(self, passage: Passage, context: Context) -> bool:
        return False

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def disbursed(self, loan: Loan, context: Context) -> tuple[Finding, ...]:
        """Remember what usually comes in, and look again in a period."""
        account = _collection_account(loan, context)
        if account is None or not account.first_ms:
            return ()
        rules = self.parameters(loan, context)
        days = (loan.paid_ms - account.first_ms) / DAY_MS
        came_in = account.in_minor - (loan.amount_minor if account is loan.account else 0)
        if days < rules.baseline_days_min:
            return ()
        usual = round(came_in * rules.period_days / days)
        if loan.share(usual) < rules.share_min:
            return ()
        loan.marks[self.code] = [usual, 0, account.in_minor, 1]
        context.remind(self.code, loan, loan.paid_ms + rules.period_days * DAY_MS)
        return ()

    def due(self, loan: Loan, at_ms: int, context: Context) -> tuple[Finding, ...]:
        """A period is over: what came in?"""
        account, marks, rules = _collection_account(loan, context), loan.marks.get(self.code), self.parameters(loan, context)
        if account is None or marks is None:
            return ()
        usual, low_before, in_before, looks = marks
        if at_ms < loan.paid_ms + looks * rules.period_days * DAY_MS:
            return ()  # the reminder was for an earlier loan of that id
        came_in = account.in_minor - in_before
        low = low_before + 1 if came_in < rules.ratio_max * usual else 0
        loan.marks[self.code] = [usual, low, account.in_minor, looks + 1]
        context.remind(self.code, loan, loan.paid_ms + (looks + 1) * rules.period_days * DAY_MS)
        if low < rules.periods_min and self.code not in loan.alerts:
            return ()
        notes = [note for note in context.parties.in_force(loan.borrower_id, at_ms) if _says_sales_hold(note, loan, context)]
        return (self._finding(loan, account, (usual, came_in, low), notes, at_ms, context),)

    def _finding(
        self, loan: Loan, account: Account, figures: tuple[int, int, int], notes: list[Note], at_ms: int, context: Context
    ) -> Finding:  # fmt: skip
        usual, came_in, low = figures
        rules = self.parameters(loan, context)
        ratio = came_in / usual
        missing = round(1.0 - min(1.0, ratio), 4)
        unit = f"{loan.currency} minor units"
        now, before = format_money(came_in, loan.currency), format_money(usual, loan.currency)
        return Finding(
            typology=self.code, loan=loan, stands=low >= rules.periods_min and bool(notes), hits=(), bounds=NOTHING_TRACED,
            traced_minor=0, fifo_minor=0, severity="MEDIUM", score=round(0.2 + 0.5 * missing, 4),
            destination_en=self.destination_en, destination_zh=self.destination_zh, account_id=account.account_id,
            event_time_ms=at_ms, party_notes=published_notes(loan.borrower_id, notes),
            measures=(
                Measure(name="inflow_minor", observed=came_in, expected=usual, threshold=None, unit=unit),
                Measure(name="inflow_of_usual", observed=round(ratio, 4), expected=1.0, threshold=rules.ratio_max,
                        unit="ratio"),
                Measure(name="low_periods", observed=low, expected=0.0, threshold=rules.periods_min, unit="periods"),
            ),
            look_alikes=(
                LookAlike(name="holiday", result="EXCLUDED" if low >= rules.periods_min else "NOT_EXCLUDED",
                          detail=f"{low} low periods of {rules.period_days} days in a row"),
                LookAlike(name="season", result="EXCLUDED" if notes else "NOT_TESTABLE",
                          detail="declared sales hold" if notes else "no declared sales are published"),
            ),
            contributions=(
                Contribution(feature="declared_sales_hold", value=1.0, weight=0.2, added=0.2),
                Contribution(feature="inflow_missing", value=missing, weight=0.5, added=round(0.5 * missing, 4)),
            ),
            sentence=_sentence(loan, account, rules.period_days, now, before),
        )  # fmt: skip


def _sentence(loan: Loan, account: Account, days: int, now: str, before: str) -> tuple[str, str]:
    who_en, who_zh = borrower_words(loan)
    english = (
        f"Within {days} days {now} came in on {account.account_id}, the collection account of loan {loan.loan_id} of {who_en}, "
        f"where {before} is usual; declared sales hold."
    )
    chinese = (
        f"客户{who_zh}的借据{loan.loan_id}的回笼账户{account.account_id}{days}天内仅回款{now}，"
        f"而通常为{before}；申报销售未下降。"
    )
    return english, chinese


def _collection_account(loan: Loan, context: Context) -> Account | None:
    name = loan.info.collection_account if loan.info is not None else None
    return context.tracer.look(name, loan.currency) if name is not None else None


def _says_sales_hold(note: Note, loan: Loan, context: Context) -> bool:
    return note.published_ms >= loan.paid_ms and meaning_of(note, context.codes) == SALES_HELD
