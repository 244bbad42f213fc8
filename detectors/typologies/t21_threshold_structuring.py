"""T21 THRESHOLD_STRUCTURING: loan money leaves in daily sums just below what the bank must report."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from detectors.alert_record import LookAlike, Measure
from detectors.detector import Context
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.use_rule import UseRule, clears
from detectors.uses import CASH, OTHER, says
from detectors.verdict import Weighed

DAY_MS = 86_400_000
Unit = tuple[str, int, str]
"""(customer, calendar day, what counts together: cash or transfers)."""


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Reporting thresholds are inclusive, per customer and Beijing day, payments and receipts apart; the rest is proposed."""

    cash_minor: dict[str, int] = {}  # currency -> daily sum of cash that is reported; no entry: nothing is
    corporate_minor: dict[str, int] = {}  # transfers from accounts of firms
    personal_minor: dict[str, int] = {}  # transfers from personal accounts
    band_min: Annotated[float, Meta(gt=0, lt=1)] = 0.80  # of the threshold: a day's sum from here up to it is just below
    sums_min: Annotated[int, Meta(ge=2, le=100)] = 3
    window_days: Annotated[int, Meta(ge=1, le=365)] = 3  # calendar days in which so many sums fall
    exposure_days: Annotated[int, Meta(ge=1, le=3650)] = 90  # after the payout
    hops_max: Annotated[int, Meta(ge=1, le=100)] = 3
    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.10  # of the loan
    atm_cap_minor: Annotated[int, Meta(gt=0)] = 2_000_000  # what a machine gives in a day


class ThresholdStructuring(UseRule[Parameters]):
    """Several daily sums of one kind, each just below the reporting threshold, of one customer or of several runners.

    A day on which a customer reaches the threshold is reported by law and hides nothing, so it does not count. Misses sums
    without loan money in them, sums smaller than the band, and other banks.
    """

    code = "T21"
    name = "THRESHOLD_STRUCTURING"
    name_zh = "拆分规避大额报告"
    kind = "PATTERN"
    uses = frozenset({CASH, OTHER})
    Parameters = Parameters
    destination_en = "out in sums just below the reporting threshold"
    destination_zh = "以略低于大额报告标准的金额拆分转出"
    checks = (
        "List the customer's payments of those days, own money included",
        "Ask the branch who drew the cash and what was said at the counter",
        "Decide whether a suspicious-transaction report is due",
    )
    measures = ("watch further withdrawals", "enhanced due diligence", "report under the anti-money-laundering rules")

    def counts(self, passage: Passage, context: Context) -> bool:
        loan, rules = passage.loan, self.parameters(passage.loan, context)
        if passage.payer.is_sink or passage.hops > rules.hops_max or _threshold_minor(passage, rules) is None:
            return False
        if passage.record.txn_type == "CASH_DEPOSIT" or _is_wage(passage, context):
            return False
        if passage.transfer.use != CASH and context.side(loan, passage.payee, passage.transfer.event_time_ms) == "BORROWER":
            return False  # between own accounts nothing is paid
        return loan.hours_since_payout(passage.transfer.event_time_ms) <= rules.exposure_days * 24

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        rules = self.parameters(loan, context)
        sums = len(_near(hits, rules, context))
        machine = all(hit.record.channel == "ATM" and hit.transfer.amount_minor <= rules.atm_cap_minor for hit in hits)
        return (
            clears("too_few_sums", sums < rules.sums_min, f"{sums} daily sums just below the threshold"),
            clears("atm_cap", machine, "drawn at machines, as much as they give" if machine
                   else "not only what machines give in a day"),
            LookAlike(name="daily_takings", result="EXCLUDED", detail="receipts are not counted"),
            LookAlike(name="salaries", result="EXCLUDED", detail="no payment counted is marked as wages"),
        )  # fmt: skip

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """The days on which most sums fall are weighed by themselves."""
        rules = self.parameters(loan, context)
        if self.code not in loan.alerts and _near_at_most(hits, rules, context) < rules.sums_min:
            return self.unweighed(loan, hits[-1:])
        standing = [hit for hit in hits if hit.transfer.standing_minor] or hits
        near = _near(standing, rules, context)
        days = sorted({day for _, day, _ in near})
        spans = [[unit for unit in near if first <= unit[1] < first + rules.window_days] for first in days]
        chosen = max(spans, key=len, default=[])
        kept = [hit for unit in chosen for hit in near[unit]] or standing[-1:]
        kept.sort(key=lambda hit: hit.transfer.seq)
        if len(chosen) < rules.sums_min and self.code not in loan.alerts:
            return self.unweighed(loan, kept)
        finding = super().judge(loan, kept, context)
        measure = Measure(name="sums_below_threshold", observed=float(len(chosen)), expected=0.0,
                          threshold=float(rules.sums_min), unit="daily sums")  # fmt: skip
        return msgspec.structs.replace(finding, measures=(*finding.measures, measure), severity="MEDIUM")


def _is_wage(passage: Passage, context: Context) -> bool:
    """Wages are paid in cash from a basic account only; a memo on another account's cash says nothing."""
    wage = says(passage.record.memo, context.codes.wage_words)
    return wage and (passage.transfer.use != CASH or passage.payer.kind == "BASIC")


def _threshold_minor(passage: Passage, rules: Parameters) -> int | None:
    """From which daily sum payments of this kind and currency are reported."""
    currency = passage.transfer.currency
    if passage.transfer.use == CASH:
        return rules.cash_minor.get(currency)
    personal = (passage.payer.kind or "").startswith("PERSONAL")
    return (rules.personal_minor if personal else rules.corporate_minor).get(currency)


def _near_at_most(hits: list[Passage], rules: Parameters, context: Context) -> int:
    """No more daily sums than this lie just below their threshold: as many as what was paid on each day could make.

    A payment that reaches the threshold by itself is in no such sum.
    """
    currency = hits[0].transfer.currency
    both = [table[currency] for table in (rules.corporate_minor, rules.personal_minor) if table.get(currency)]
    cash = rules.cash_minor.get(currency, 0)
    bounds = {True: (cash, cash), False: (min(both, default=0), max(both, default=0))}
    by_day: dict[tuple[int, bool], int] = {}
    for hit in hits:
        transfer = hit.transfer
        is_cash, minor = transfer.use == CASH, transfer.amount_minor - transfer.undone_minor
        if minor < bounds[is_cash][1]:
            key = (context.day(transfer.event_time_ms), is_cash)
            by_day[key] = by_day.get(key, 0) + minor
    most = 0
    for (_, is_cash), total in by_day.items():
        least = rules.band_min * bounds[is_cash][0]
        if total >= least:
            most += int(total / least)
    return most


def _near(hits: list[Passage], rules: Parameters, context: Context) -> dict[Unit, list[Passage]]:
    """The daily sums that lie just below their threshold, with the payments in them."""
    units: dict[Unit, list[Passage]] = {}
    for hit in hits:
        customer = hit.payer.customer_id or hit.payer.account_id
        kind = "cash" if hit.transfer.use == CASH else "transfer"
        units.setdefault((customer, context.day(hit.transfer.event_time_ms), kind), []).append(hit)
    near = {}
    for unit, payments in units.items():
        threshold = _threshold_minor(payments[0], rules)
        total = sum(hit.transfer.standing_minor for hit in payments)
        if threshold is not None and rules.band_min * threshold <= total < threshold:
            near[unit] = payments
    return near
