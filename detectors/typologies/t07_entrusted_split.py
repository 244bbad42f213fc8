"""T07 ENTRUSTED_SPLIT: payments to one payee group, each just below the sum from which the bank must pay the payee itself."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from detectors.alert_record import LookAlike, Measure
from detectors.detector import Context
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.parties import BORROWER
from detectors.use_rule import UseRule, clears
from detectors.uses import OTHER, PURCHASE, says
from detectors.verdict import Weighed

DAY_MS = 86_400_000
GROUPING_ROLES = frozenset({"LEGAL_REP", "CONTROLLER", "SPOUSE", "SAME_ADDRESS", "SAME_PHONE", "GROUP_MEMBER"})
CAPPED_CHANNELS = frozenset({"MOBILE", "EBANK", "ONLINE"})
CAP_SHARE = 0.98
"""From this share of a channel's daily cap on, a payment is taken to be as large as the channel allows."""


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds are from memory of the measures, not read in the original; the rest is proposed."""

    consumption_minor: Annotated[int, Meta(gt=0)] = 30_000_000  # CNY 300,000: personal consumption loans
    business_minor: Annotated[int, Meta(gt=0)] = 50_000_000  # CNY 500,000: personal business loans
    working_capital_minor: Annotated[int, Meta(gt=0)] = 1_000_000_000  # CNY 10 million
    fixed_asset_minor: Annotated[int, Meta(gt=0)] = 1_000_000_000  # CNY 10 million
    band_min: Annotated[float, Meta(gt=0, lt=1)] = 0.80  # of the threshold: from here up to it a payment is just below
    payments_min: Annotated[int, Meta(ge=2, le=100)] = 2
    window_days: Annotated[int, Meta(ge=1, le=365)] = 5  # from the first to the last of the payments
    exposure_days: Annotated[int, Meta(ge=1, le=3650)] = 90  # after the payout
    known_days_min: Annotated[int, Meta(ge=1, le=3650)] = 30  # a payee paid so long before the loan is an old supplier
    caps_minor: tuple[int, ...] = (20_000_000, 50_000_000)  # what channels let through in a day
    stage_words: tuple[str, ...] = ("进度款", "尾款", "分期", "stage payment", "instalment")


class EntrustedSplit(UseRule[Parameters]):
    """Self-made payments of loan money that together would have had to be an entrusted payment.

    Payees form one group by party, or by a link between their parties or to a third one. Misses payees whose ties nobody
    has recorded, loans in other currencies than CNY, and parts smaller than the band.
    """

    code = "T07"
    name = "ENTRUSTED_SPLIT"
    name_zh = "化整为零规避受托支付"
    uses = frozenset({OTHER, PURCHASE})
    Parameters = Parameters
    destination_en = "in parts just below the entrusted-payment threshold"
    destination_zh = "以略低于受托支付标准的金额拆分支付"
    checks = (
        "Read the contract with the payee: one purchase or several?",
        "Establish who stands behind the payees and whether they belong together",
        "Ask why the payments were not made as entrusted payments",
    )
    measures = (
        "watch further payments",
        "ask for the purchase papers after review",
        "pay this payee by entrusted payment only",
        "stop further drawings",
    )

    def counts(self, passage: Passage, context: Context) -> bool:
        loan, transfer = passage.loan, passage.transfer
        rules = self.parameters(loan, context)
        threshold = _threshold_minor(loan, rules)
        if threshold is None or not rules.band_min * threshold <= transfer.amount_minor < threshold:
            return False
        if passage.payee.is_sink and passage.transfer.use != PURCHASE:
            return False
        if passage.payee.account_id in loan.entrusted_accounts:
            return False  # the bank pays it, whatever the parts
        if context.side(loan, passage.payer, transfer.event_time_ms) != BORROWER:
            return False
        if context.side(loan, passage.payee, transfer.event_time_ms) == BORROWER:
            return False
        return loan.hours_since_payout(transfer.event_time_ms) <= rules.exposure_days * 24

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        """Loan money of the threshold's size: below it no entrusted payment was due."""
        threshold = _threshold_minor(loan, self.parameters(loan, context)) or loan.amount_minor
        return max(0.01, min(1.0, loan.share(threshold)))

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        rules = self.parameters(loan, context)
        known_ms = loan.paid_ms - rules.known_days_min * DAY_MS
        old = all(hit.payer.paid_before(hit.payee.account_id, known_ms) for hit in hits)
        days = [context.day(hit.transfer.event_time_ms) for hit in hits]
        apart = len(set(days)) == len(days)
        capped = apart and len(hits) > 1 and all(_fills_a_cap(hit, rules) for hit in hits[:-1]) and _is_capped(hits[-1])
        staged = apart and all(says(hit.record.memo, rules.stage_words) for hit in hits)
        stated = [hit.record.counterparty_industry for hit in hits if hit.record.counterparty_industry is not None]
        staged = staged and bool(stated) and all(industry.startswith("E") for industry in stated)
        few = len(hits) < rules.payments_min
        return (
            clears("purchase_cycle", old, f"paid for {rules.known_days_min} days and more before the loan" if old
                   else f"a payee was not paid {rules.known_days_min} days before the loan"),
            clears("channel_cap", capped, "one payment a day, each but the last as large as its channel allows" if capped
                   else "the payments do not follow a channel's daily cap"),
            clears("stage_payments", staged, "building work, paid by stages on different days" if staged
                   else "not stages of building work"),
            clears("single_payment", few, f"{len(hits)} payments within {rules.window_days} days to one payee group"),
        )  # fmt: skip

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """The payee group and the days in which most was paid are weighed by themselves.

        Payments that call themselves stages, on different days, to payees of whom no record says whether they build, may be
        stages or not: a pattern, until somebody has looked.
        """
        window_ms = self.parameters(loan, context).window_days * DAY_MS
        standing = [hit for hit in hits if hit.transfer.standing_minor] or hits
        chosen = max(_clusters(_groups(standing, context), window_ms), key=_paid_minor)
        finding = super().judge(loan, chosen, context)
        threshold = _threshold_minor(loan, self.parameters(loan, context)) or 0
        largest = max(hit.transfer.amount_minor for hit in chosen)
        measure = Measure(name="largest_payment", observed=float(largest), expected=None, threshold=float(threshold),
                          unit=f"{loan.account.currency} minor units")  # fmt: skip
        count = Measure(name="payments", observed=float(len(chosen)), expected=1.0,
                        threshold=float(self.parameters(loan, context).payments_min), unit="payments")  # fmt: skip
        finding = msgspec.structs.replace(finding, measures=(*finding.measures, measure, count))
        if _may_be_stages(chosen, self.parameters(loan, context), context):
            return msgspec.structs.replace(finding, kind="PATTERN", severity="MEDIUM")
        return finding


def _threshold_minor(loan: Loan, rules: Parameters) -> int | None:
    """From which sum this loan's payments must be entrusted ones; None: no such sum is known."""
    if loan.account.currency != "CNY":
        return None
    product = loan.info.product_class if loan.info is not None else "OTHER"
    by_product = {
        "PERSONAL_CONSUMPTION": rules.consumption_minor,
        "PERSONAL_BUSINESS": rules.business_minor,
        "WORKING_CAPITAL": rules.working_capital_minor,
        "FIXED_ASSET": rules.fixed_asset_minor,
    }
    return by_product.get(product)


def _may_be_stages(hits: list[Passage], rules: Parameters, context: Context) -> bool:
    """They say that they are stages, lie on different days, and nothing is known of the payees' industry."""
    days = {context.day(hit.transfer.event_time_ms) for hit in hits}
    called = all(says(hit.record.memo, rules.stage_words) for hit in hits)
    return called and len(days) == len(hits) and all(hit.record.counterparty_industry is None for hit in hits)


def _fills_a_cap(hit: Passage, rules: Parameters) -> bool:
    amount = hit.transfer.amount_minor
    return _is_capped(hit) and any(cap * CAP_SHARE <= amount <= cap for cap in rules.caps_minor)


def _is_capped(hit: Passage) -> bool:
    return hit.record.channel in CAPPED_CHANNELS


def _groups(hits: list[Passage], context: Context) -> list[list[Passage]]:
    """The payments by payee group: payees of one party, or whose parties a link ties together."""
    groups: list[tuple[set[str], list[Passage]]] = []
    for hit in hits:
        names, members = _names(hit, context), [hit]
        apart = []
        for others, its_hits in groups:
            if names & others:
                names, members = names | others, its_hits + members
            else:
                apart.append((others, its_hits))
        groups = [*apart, (names, members)]
    return [sorted(members, key=lambda hit: hit.transfer.seq) for _, members in groups]


def _names(hit: Passage, context: Context) -> set[str]:
    """The payee's account, its party, and the parties that are tied to it at that time."""
    party = context.party_of(hit.payee)
    if party is None:
        return {hit.payee.account_id}
    roles = context.parties.roles(party, hit.transfer.event_time_ms)
    return {hit.payee.account_id, party} | {other for other, role in roles if role in GROUPING_ROLES}


def _clusters(groups: list[list[Passage]], window_ms: int) -> list[list[Passage]]:
    """Every run of one group's payments that lies within the window."""
    return [
        [later for later in group[i:] if later.transfer.event_time_ms - first.transfer.event_time_ms <= window_ms]
        for group in groups
        for i, first in enumerate(group)
    ]


def _paid_minor(hits: list[Passage]) -> int:
    return sum(hit.standing_minor() for hit in hits)
