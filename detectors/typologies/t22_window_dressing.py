"""T22 WINDOW_DRESSING: a loan paid out just before a period ends and repaid with its own money just after."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from detectors.alert_record import LookAlike, Measure
from detectors.detector import Context
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.use_rule import UseRule, clears
from detectors.uses import LOAN_REPAYMENT, says
from detectors.verdict import Weighed


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.80  # of the loan that repays it
    last_days: Annotated[int, Meta(ge=1, le=28)] = 3  # of the period in which it was paid out
    period_months: Annotated[int, Meta(ge=1, le=12)] = 1  # 1: every month's end, 3: quarters
    repaid_days_max: Annotated[int, Meta(ge=1, le=365)] = 10  # after the payout
    hops_max: Annotated[int, Meta(ge=1, le=100)] = 4
    short_purposes: tuple[str, ...] = (
        "工资",
        "纳税",
        "缴税",
        "税款",
        "wage",
        "tax",
    )  # words of purposes that are short by nature


class WindowDressing(UseRule[Parameters]):
    """Repayment of the loan from the loan's own money, across a period's end.

    Misses loans repaid with other money, and repayments that do not name the loan.
    """

    code = "T22"
    name = "WINDOW_DRESSING"
    name_zh = "冲时点"
    kind = "PATTERN"
    uses = frozenset({LOAN_REPAYMENT})
    certain_part = 0.5
    Parameters = Parameters
    destination_en = "back to the lender, across a period's end,"
    destination_zh = "跨期末原路归还贷款"
    checks = (
        "Ask what the loan was needed for in these days",
        "Look for other loans of the branch paid out and repaid around the same date",
        "Compare the branch's balances at the period's end with its average",
    )
    measures = ("report average balances beside those of the day", "review the branch's loans of these days")

    def counts(self, passage: Passage, context: Context) -> bool:
        loan, rules = passage.loan, self.parameters(passage.loan, context)
        if passage.transfer.use != LOAN_REPAYMENT or passage.record.related_loan_id != loan.loan_id:
            return False
        if passage.hops > rules.hops_max:
            return False
        days = context.day(passage.transfer.event_time_ms) - context.day(loan.paid_ms)
        left = _days_to_period_end(loan.paid_ms + context.utc_offset_ms, rules.period_months)
        return left < rules.last_days and left < days <= rules.repaid_days_max

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        rules, info = self.parameters(loan, context), loan.info
        short = info is not None and says(info.purpose_text, rules.short_purposes)
        revolving = info is not None and info.occur_type == "REVOLVING_DRAW"
        return (
            clears("short_purpose", short, "wages or taxes, short by nature" if short else "not a wage or tax loan"),
            clears("revolving_line", revolving, f"booked as {info.occur_type if info is not None else 'unknown'}"),
        )  # fmt: skip

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """A pattern, whatever the certain share."""
        finding = super().judge(loan, hits, context)
        rules = self.parameters(loan, context)
        left = _days_to_period_end(loan.paid_ms + context.utc_offset_ms, rules.period_months)
        measure = Measure(name="days_before_period_end", observed=float(left), expected=None,
                          threshold=float(rules.last_days), unit="days")  # fmt: skip
        return msgspec.structs.replace(finding, measures=(*finding.measures, measure), severity="MEDIUM")


def _days_to_period_end(local_ms: int, months: int) -> int:
    """Whole days from a moment to the last day of its period; 0 on that day.

    Args:
        local_ms: the moment in ms, already moved to the calendar of the rules.
        months: of a period; periods begin in January.
    """
    day = datetime.fromtimestamp(local_ms // 1000, UTC).date()
    month = (day.month - 1) // months * months + months  # the period's last, 1 to 12
    after = day.replace(year=day.year + 1, month=1, day=1) if month >= 12 else day.replace(month=month + 1, day=1)
    return (after - timedelta(days=1) - day).days
