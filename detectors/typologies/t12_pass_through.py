"""T12 PASS_THROUGH: a counterparty's account takes loan money in and passes nearly all of it on at once."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from detectors.accounts import HELD
from detectors.alert_record import LookAlike, Measure
from detectors.detector import Context
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.use_rule import UseRule, clears
from detectors.uses import AGENCY, HUB, LOAN_INTEREST, LOAN_REPAYMENT
from detectors.verdict import Weighed

PUT_TO_USE = frozenset({LOAN_REPAYMENT, LOAN_INTEREST, AGENCY, HUB})
"""Wages, taxes, utilities, debt service: what pays them has not been passed on."""

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    ratio_min: Annotated[float, Meta(gt=0, le=1)] = 0.95  # out of the loan money that came in
    hours_max: Annotated[int, Meta(ge=1, le=720)] = 24
    residue_max: Annotated[float, Meta(ge=0, le=1)] = 0.05  # balance left against what came in (fees of 0.5-3 % are shaved)
    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.20  # of the loan that passed through
    payments_max: Annotated[int, Meta(ge=0, le=10000)] = 6  # incoming payments ever: more is other business
    payees_max: Annotated[int, Meta(ge=1, le=1000)] = 3  # one who spreads money over many payees buys something


class PassThrough(UseRule[Parameters]):
    """An account of a stranger to the loan through which the money only passes.

    The second signal that a pattern needs is in the rule: no other business, and nothing is left. Misses accounts that wait
    longer than ``hours_max`` or hide the flow among their own trade.
    """

    code = "T12"
    name = "PASS_THROUGH"
    name_zh = "快进快出"
    kind = "PATTERN"
    Parameters = Parameters
    destination_en = "through an account that passed it on at once"
    destination_zh = "经他人账户快进快出"
    checks = (
        "Check when and how the account was opened and who operates it",
        "Follow the onward payments to their last visible place",
        "Compare the account's traffic with its owner's declared business",
    )
    measures = ("watch the account", "enhanced due diligence on the counterparty", "refuse it as an entrusted payee")

    def counts(self, passage: Passage, context: Context) -> bool:
        loan, payer = passage.loan, passage.payer
        if passage.hops < 2 or payer.place != HELD or passage.transfer.use in PUT_TO_USE or _goes_back(passage):
            return False
        rules = self.parameters(loan, context)
        if payer.in_count > rules.payments_max or len(payer.payees or ()) > rules.payees_max:
            return False
        if passage.transfer.event_time_ms - _arrived_ms(passage) > rules.hours_max * HOUR_MS:
            return False
        return context.side(loan, payer, passage.transfer.event_time_ms) is None

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def destination(self, hits: list[Passage]) -> tuple[str, str]:
        names = ", ".join(dict.fromkeys(hit.payer.account_id for hit in hits[-3:]))
        return f"through {names}, which passed it on at once", f"经{names}快进快出"

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        mule = hits[-1].payer
        ratio, residue, keeps = self._margin(loan, hits, context)
        before = mule.first_ms < loan.paid_ms - 30 * DAY_MS
        entrusted = mule.account_id in loan.entrusted_accounts and before
        return (
            clears("keeps_a_margin", keeps, f"{ratio:.1%} of what came in passed on; left on the account: {residue}"),
            clears("known_entrusted_payee", entrusted, "the contract's payee, known for more than 30 days before the loan"
                   if entrusted else "not a payee of the contract, or not known before"),
            LookAlike(name="other_business", result="EXCLUDED",
                      detail=f"payments received so far: {mule.in_count}; accounts paid so far: {len(mule.payees or ())}"),
        )  # fmt: skip

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """One alert per loan, on the account that passed on most; what a later account keeps does not clear an earlier one."""
        by_mule: dict[str, list[Passage]] = {}
        for hit in hits:
            if hit.transfer.standing_minor:
                by_mule.setdefault(hit.payer.account_id, []).append(hit)
        passing = [own for own in by_mule.values() if not self._margin(loan, own, context)[2]]
        own = max(passing, key=_passed_minor, default=next(reversed(by_mule.values()), hits))
        finding = super().judge(loan, own, context)
        passed, arrived = _passed_and_arrived(own, own[-1].payer.account_id)
        measures = (*finding.measures, Measure(name="passed_on", observed=round(passed / arrived, 4) if arrived else 0.0,
                    expected=0.5, threshold=self.parameters(loan, context).ratio_min, unit="ratio"))  # fmt: skip
        return msgspec.structs.replace(finding, measures=measures, account_id=own[-1].payer.account_id, severity="MEDIUM")

    def _margin(self, loan: Loan, hits: list[Passage], context: Context) -> tuple[float, str, bool]:
        """(Ratio passed on, what its last payment left in words, whether that is a margin)."""
        rules, mule = self.parameters(loan, context), hits[-1].payer
        passed, arrived = _passed_and_arrived(hits, mule.account_id)
        ratio = passed / arrived if arrived else 0.0
        if not mule.balance_known:
            return ratio, "not known", ratio < rules.ratio_min
        left = max(0, hits[-1].transfer.payer_after_minor or 0) / arrived if arrived else 0.0
        return ratio, f"{left:.1%} of it", ratio < rules.ratio_min or left > rules.residue_max


def _goes_back(passage: Passage) -> bool:
    """To the very account it came from: a refund or a return, which is no passing on."""
    return all(
        parcel.trail.parent is not None and parcel.trail.parent.transfer.payer == passage.transfer.payee
        for parcel in passage.parcels
    )


def _arrived_ms(passage: Passage) -> int:
    return min(parcel.trail.parent.transfer.event_time_ms for parcel in passage.parcels if parcel.trail.parent is not None)


def _passed_and_arrived(hits: list[Passage], account_id: str) -> tuple[int, int]:
    """Amounts of the transfers out of the account, and of those that had brought the money."""
    incoming = {}
    for hit in hits:
        for parcel in hit.parcels:
            before = parcel.trail.parent
            if before is not None and before.transfer.payee == account_id:
                incoming[before.transfer.seq] = before.transfer.amount_minor
    return sum(hit.transfer.standing_minor for hit in hits), sum(incoming.values())


def _passed_minor(hits: list[Passage]) -> int:
    return sum(hit.transfer.standing_minor for hit in hits)
