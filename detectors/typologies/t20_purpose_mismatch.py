"""T20 PURPOSE_MISMATCH: the first payees' line of business does not fit what the loan was given for."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from detectors.alert_record import LookAlike
from detectors.detector import Context
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.parties import BORROWER
from detectors.public_facts import meaning_of
from detectors.use_rule import HITS_MAX, UseRule, clears
from detectors.uses import ADVERSE, AGENCY, HUB, LOAN_INTEREST, LOAN_REPAYMENT, NO_CAPITAL, NO_TAX, OTHER, PURCHASE
from detectors.verdict import Weighed, has_business

HOUR_MS = 3_600_000
_BOUGHT = frozenset({OTHER, PURCHASE})
PUT_TO_USE = frozenset({LOAN_REPAYMENT, LOAN_INTEREST, AGENCY, HUB})
"""Wages, taxes, utilities, debt service: what pays them has not been passed on."""
_ONWARD = "T20~onward"
"""Where the payments that payees made with the money are kept."""
TRADERS = ("F51", "F52", "L72")
"""Wholesale, retail and business services: they deal in everything."""


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Which industries fit which purpose. Purposes that are not named, such as working capital, fit everything."""

    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.30  # of the loan
    window_days: Annotated[int, Meta(ge=1, le=3650)] = 30
    onward_ratio_min: Annotated[float, Meta(gt=0, le=1)] = 0.85  # of what a payee got, gone again ...
    onward_hours_max: Annotated[int, Meta(ge=1, le=720)] = 72  # ... within this time: the second signal
    fits: dict[str, tuple[str, ...]] = {}  # purpose code, or word in the purpose -> prefixes of industries that fit


class PurposeMismatch(UseRule[Parameters]):
    """First payments of at least a share of the loan to payees of industries that do not fit a narrow purpose.

    A weak sign by itself: industry codes are often missing or stale, and a shop may sell what its code does not say. So a
    second one is asked for: a payee whom the borrower's account had not paid before the loan has an adverse public record, or
    has no business of its own and passes the money on within ``onward_hours_max``. Misses purposes that the table does not
    name, payees without a code, and what a payee at another bank does with the money.
    """

    code = "T20"
    name = "PURPOSE_MISMATCH"
    name_zh = "用途与行业不符"
    kind = "PATTERN"
    Parameters = Parameters
    destination_en = "to payees whose business does not fit the purpose"
    destination_zh = "支付给与贷款用途不符的行业"
    checks = (
        "Look up the payee's registered and real business",
        "Read the invoice: what was bought?",
        "Ask whether the purpose on record was chosen for the rate",
    )
    measures = ("watch further payments", "ask for proof of use after review", "correct the purpose on record")

    def observe(self, passage: Passage, context: Context) -> tuple[Finding, ...]:
        """Count the payment; or what a payee that was counted has done with the money, and judge the loan anew."""
        loan = passage.loan
        if any(hit.payee.account_id == passage.payer.account_id for hit in loan.hits.get(self.code, ())):
            onward = loan.hits.setdefault(_ONWARD, [])
            if passage.transfer.use in PUT_TO_USE or _goes_back(passage) or len(onward) >= HITS_MAX or passage in onward:
                return ()
            onward.append(passage)
            return self._judge_all(loan, context)
        return super().observe(passage, context)

    def reconsider(self, loan: Loan, seqs: frozenset[int], context: Context) -> tuple[Finding, ...]:
        """Judge anew also when a payee's onward payment has been undone."""
        if any(hit.transfer.seq in seqs for hit in loan.hits.get(_ONWARD, ())):
            return self._judge_all(loan, context)
        return super().reconsider(loan, seqs, context)

    def counts(self, passage: Passage, context: Context) -> bool:
        loan, rules = passage.loan, self.parameters(passage.loan, context)
        if passage.transfer.use not in _BOUGHT:
            return False
        industry = passage.record.counterparty_industry
        if industry is None or passage.record.direction != "DEBIT":
            return False
        fitting = _fitting(loan, rules)
        if fitting is None or industry.startswith((*fitting, *TRADERS)):
            return False
        if context.side(loan, passage.payer, passage.transfer.event_time_ms) != BORROWER:
            return False
        return loan.hours_since_payout(passage.transfer.event_time_ms) <= rules.window_days * 24

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def destination(self, hits: list[Passage]) -> tuple[str, str]:
        industries = ", ".join(dict.fromkeys(hit.record.counterparty_industry or "" for hit in hits[-3:]))
        return (
            f"to payees of industry {industries}, which does not fit the purpose",
            f"支付给与贷款用途不符的行业（{industries}）",
        )

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        info = loan.info
        own = (info.borrower_industry or "")[:3] if info is not None else ""
        same = bool(own) and all((hit.record.counterparty_industry or "").startswith(own) for hit in hits)
        known = all(hit.payer.paid_before(hit.payee.account_id, loan.paid_ms) for hit in hits)
        seconds = self._second_signals(loan, hits, context)
        return (
            clears("known_payee", known, "all these payees had been paid before the loan" if known
                   else "a payee was paid for the first time"),
            clears("own_line_of_business", same, "the payees are of the borrower's own industry" if same
                   else "not the borrower's own industry"),
            clears("ordinary_payee", not seconds, "; ".join(seconds) if seconds
                   else "no payee with an adverse record, and none seen to pass the money on or back"),
            LookAlike(name="missing_or_stale_code", result="NOT_TESTABLE", detail="nothing tells how old an industry code is"),
        )  # fmt: skip

    def _second_signals(self, loan: Loan, hits: list[Passage], context: Context) -> list[str]:
        """What speaks against new payees beside their industry, in words; each stands for payees with enough of the loan."""
        rules = self.parameters(loan, context)
        paid: dict[str, list[Passage]] = {}
        for hit in hits:
            if not hit.payer.paid_before(hit.payee.account_id, loan.paid_ms):
                paid.setdefault(hit.payee.account_id, []).append(hit)
        adverse = [name for name, own in paid.items() if any(_is_adverse(hit, context) for hit in own)]
        emptied = [name for name, own in paid.items() if _is_emptied(loan, own, rules, context)]
        said = ((adverse, "has an adverse public record"), (emptied, "let the money go at once"))
        return [
            f"{', '.join(names[:3])} {what}"
            for names, what in said
            if names and loan.share(sum(hit.transfer.standing_minor for name in names for hit in paid[name])) >= rules.share_min
        ]

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """A code alone is weak, however certain it is whose money it was."""
        return msgspec.structs.replace(super().judge(loan, hits, context), severity="LOW")


def _is_emptied(loan: Loan, own: list[Passage], rules: Parameters, context: Context) -> bool:
    """Whether one payee passed most of what it got with these payments on, within the time, and has no business of its own."""
    payee, paid_minor = own[0].payee, sum(hit.transfer.standing_minor for hit in own)
    last_ms = max(hit.transfer.event_time_ms for hit in own) + rules.onward_hours_max * HOUR_MS
    onward = [hit for hit in loan.hits.get(_ONWARD, ()) if hit.payer.account_id == payee.account_id]
    quick = [hit for hit in onward if hit.transfer.event_time_ms <= last_ms]
    gone_minor = sum(hit.standing_minor() for hit in quick)
    if not paid_minor or gone_minor < rules.onward_ratio_min * paid_minor:
        return False
    return not has_business(context, loan, payee, quick[-1].transfer.event_time_ms)


def _is_adverse(hit: Passage, context: Context) -> bool:
    notes = context.parties.in_force(context.party_of(hit.payee), hit.transfer.event_time_ms)
    return any(meaning_of(note, context.codes) in (ADVERSE, NO_CAPITAL, NO_TAX) for note in notes)


def _goes_back(passage: Passage) -> bool:
    """To the very account it came from: a refund or a return, of which other typologies speak."""
    return all(
        parcel.trail.parent is not None and parcel.trail.parent.transfer.payer == passage.transfer.payee
        for parcel in passage.parcels
    )


def _fitting(loan: Loan, rules: Parameters) -> tuple[str, ...] | None:
    """Industries that fit the loan's purpose; None when its purpose fits everything, or is not known."""
    info = loan.info
    if info is None:
        return None
    for purpose, fitting in rules.fits.items():
        if info.purpose_code == purpose or purpose in (info.purpose_text or ""):
            return fitting
    return None
