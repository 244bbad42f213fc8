"""T14 DORMANT_ACTIVATION: an account that had rested for months takes a good part of a loan in and is emptied at once."""

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
from detectors.uses import POCKETS
from detectors.verdict import Weighed

DAY_MS = 86_400_000


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    idle_days_min: Annotated[int, Meta(ge=60, le=3650)] = (
        180  # without any payment; below dealings.idle_days_min it is not noted
    )
    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.50  # of the loan that went through the account
    window_days: Annotated[int, Meta(ge=1, le=365)] = 7  # from the first payment after the rest
    emptied_days_max: Annotated[int, Meta(ge=0, le=365)] = 3  # between the money's coming and its going on


class DormantActivation(UseRule[Parameters]):
    """A stranger's account, at rest for at least ``idle_days_min``, through which loan money goes soon after it was woken.

    The second signal that a pattern needs is the quick emptying. Misses accounts that were never seen before (they have no
    rest to speak of), accounts at other banks, and such as a small payment had woken longer than ``window_days`` before.
    """

    code = "T14"
    name = "DORMANT_ACTIVATION"
    name_zh = "休眠账户激活"
    kind = "PATTERN"
    sees_one_book = True
    Parameters = Parameters
    destination_en = "through an account that had been at rest"
    destination_zh = "经长期休眠账户转出"
    checks = (
        "Check who operates the account now, and whether its papers were renewed when it was woken",
        "Follow the onward payments to their last visible place",
        "Compare with the same season of the year before",
    )
    measures = ("watch the account", "renew the account's identification", "limit its channels after review")

    def counts(self, passage: Passage, context: Context) -> bool:
        loan, payer, transfer = passage.loan, passage.payer, passage.transfer
        if passage.hops < 2 or payer.place != HELD or passage.payee.place in POCKETS:
            return False
        woken = context.dealings.woken.get(payer.account_id)
        if woken is None:
            return False
        rules = self.parameters(loan, context)
        rest_ms, at_ms = woken
        if rest_ms < rules.idle_days_min * DAY_MS or not 0 <= transfer.event_time_ms - at_ms <= rules.window_days * DAY_MS:
            return False
        if transfer.event_time_ms - _arrived_ms(passage) > rules.emptied_days_max * DAY_MS:
            return False
        return context.side(loan, payer, transfer.event_time_ms) is None

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def destination(self, hits: list[Passage]) -> tuple[str, str]:
        names = ", ".join(dict.fromkeys(hit.payer.account_id for hit in hits[-3:]))
        return f"through {names}, which had been at rest", f"经休眠账户{names}转出"

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        seasonal = all(_paid_before_rest(hit, context) for hit in hits)
        return (
            clears("seasonal_firm", seasonal, "the account pays whom it had paid before its rest" if seasonal
                   else "at least one payee was never paid before the rest"),
            LookAlike(name="opened_for_the_loan", result="EXCLUDED", detail="the account was in use before its rest"),
        )  # fmt: skip

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """As a breach is weighed, but never graver than MEDIUM; the alert is about the account."""
        finding = super().judge(loan, hits, context)
        account = finding.hits[-1].payer
        rest_ms, _ = context.dealings.woken.get(account.account_id) or (0, 0)
        rest = Measure(name="days_at_rest", observed=round(rest_ms / DAY_MS, 1), expected=None,
                       threshold=self.parameters(loan, context).idle_days_min, unit="days")  # fmt: skip
        return msgspec.structs.replace(
            finding, severity="MEDIUM", account_id=account.account_id, measures=(*finding.measures, rest)
        )


def _arrived_ms(passage: Passage) -> int:
    return min(parcel.trail.parent.transfer.event_time_ms for parcel in passage.parcels if parcel.trail.parent is not None)


def _paid_before_rest(hit: Passage, context: Context) -> bool:
    _, at_ms = context.dealings.woken.get(hit.payer.account_id) or (0, 0)
    return hit.payer.paid_before(hit.payee.account_id, at_ms)
