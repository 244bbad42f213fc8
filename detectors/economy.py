"""Alert economy: what is not said, and why, so that what is said gets read.

Breach-type alerts always pass, though a revision of one that was said a short while ago waits. Pattern-type alerts have a
budget per thousand loans, rest for a while after an analyst has found them innocent, and say less loudly what concerns an
allowed counterparty. Everything held back is counted.
"""

from __future__ import annotations

from collections import deque

import msgspec
from msgspec import Struct

from detectors.alert_record import Contribution, LookAlike
from detectors.detector import Context
from detectors.finding import Finding
from detectors.loans import Passage, Published
from detectors.parties import ALLOW

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
TOO_SOON = "revisions_too_soon"
"""The counter of revisions that wait until some time has passed since the last one."""
INNOCENT = frozenset({"FALSE_POSITIVE", "DATA_ERROR", "APPROVED_EXCEPTION"})
"""Outcomes that settle an alert in the borrower's favour."""
SEVERITIES = ("LOW", "MEDIUM", "HIGH", "CRITICAL")


class AlertLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """What an alert may hold, when it is said again, and how many patterns are said at all."""

    path_steps_max: int = 60  # transfers in the path, those that carried most; the rest is counted in path_steps_left_out
    members_named_max: int = 50  # members a group alert names; the rest is counted in members_left_out
    revise_share_min: float = 0.10  # an open alert is revised when a traced figure changed by this share of the loan
    revise_hours_min: int = 24  # ... and no sooner after it was last said, unless it gets severer or more is certain
    revise_sooner_share_min: float = 0.10  # share of the loan by which the certain amount must have grown for that
    prior_alerts_max: int = 5  # earlier alerts of the same customer named in an alert
    customers_max: int = 100_000  # customers whose earlier alerts are remembered; the oldest is forgotten
    scores_max: int = 1_000  # scores kept per typology for the percentile
    percentile_scores_min: int = 20  # fewer give no percentile
    budget_per_1000_loans: int = 150  # pattern-type alerts opened per thousand loans followed, within budget_days
    budget_alerts_min: int = 100  # ... and never fewer than this, so that a small bank is not silenced
    budget_days: int = 30
    rest_days: int = 30  # a pattern that an analyst found innocent is not said again for so long, unless it gets severer
    allow_score_factor: float = 0.5  # the score of what concerns a counterparty on the ALLOW list


class AlertEconomy:
    """What has been spent of the budget."""

    __slots__ = ("limits", "opened_ms")

    def __init__(self, limits: AlertLimits) -> None:
        self.limits = limits
        self.opened_ms: deque[int] = deque()  # when the patterns within the budget's days were opened

    def withholds(self, finding: Finding, kind: str, said: Published | None, now_ms: int, loans_followed: int) -> str:
        """The counter of the reason why a finding is not said; "" when it is. Withdrawals are always said."""
        if not finding.stands:
            return ""
        if said is not None and self._too_soon(said, finding, now_ms):
            return TOO_SOON
        if kind != "PATTERN":
            return ""
        if said is not None and self._rests(said, finding, now_ms):
            return "revisions_resting"
        if said is None:
            return self._spend(now_ms, loans_followed)
        return ""

    def _too_soon(self, said: Published, finding: Finding, now_ms: int) -> bool:
        """Whether the alert was said a short while ago, and what has changed since can wait."""
        if said.status != "OPEN" or finding.is_news or not finding.hits:
            return False  # what rests on no loan money has no figures that grow
        if now_ms - said.revised_ms >= self.limits.revise_hours_min * HOUR_MS:
            return False
        if SEVERITIES.index(finding.severity) > SEVERITIES.index(said.severity):
            return False
        grown_minor = finding.bounds.certain_minor - said.certain_minor
        return finding.about.share(grown_minor) < self.limits.revise_sooner_share_min

    def _rests(self, said: Published, finding: Finding, now_ms: int) -> bool:
        if said.outcome not in INNOCENT or now_ms - said.outcome_ms >= self.limits.rest_days * DAY_MS:
            return False
        return SEVERITIES.index(finding.severity) <= SEVERITIES.index(said.severity)

    def _spend(self, now_ms: int, loans_followed: int) -> str:
        while self.opened_ms and self.opened_ms[0] <= now_ms - self.limits.budget_days * DAY_MS:
            self.opened_ms.popleft()
        room = max(self.limits.budget_alerts_min, self.limits.budget_per_1000_loans * loans_followed // 1000)
        if len(self.opened_ms) >= room:
            return "alerts_over_budget"
        self.opened_ms.append(now_ms)
        return ""


def lowered(finding: Finding, kind: str, context: Context, limits: AlertLimits) -> Finding:
    """The finding with what the allow list says of its counterparties: a lower score, in the open, and no silence.

    A pattern becomes LOW; the severity of a breach stays.
    """
    if not finding.stands or not context.parties.has_allowed:
        return finding
    allowed = [hit for hit in finding.hits if _is_allowed(hit, context)]
    if not allowed:
        return finding
    score = round(finding.score * limits.allow_score_factor, 4)
    names = ", ".join(dict.fromkeys(hit.payee.account_id for hit in allowed))
    item = LookAlike(name="allow_list", result="NOT_EXCLUDED", detail=f"on the allow list at the time of the payment: {names}")
    less = Contribution(feature="allow_list", value=1.0, weight=round(score - finding.score, 4),
                        added=round(score - finding.score, 4))  # fmt: skip
    severity = "LOW" if kind == "PATTERN" else finding.severity
    return msgspec.structs.replace(
        finding,
        severity=severity,
        score=score,
        look_alikes=(*finding.look_alikes, item),
        contributions=(*finding.contributions, less),
    )


def _is_allowed(hit: Passage, context: Context) -> bool:
    payee = hit.payee
    name = hit.record.counterparty_account if hit.record.direction == "DEBIT" else None
    at_ms = hit.transfer.event_time_ms
    party_id = payee.customer_id or payee.party_id
    lists = context.parties.lists_of(payee.account_id, party_id, at_ms)
    if name is not None and name != payee.account_id:
        lists += context.parties.lists_of(name, hit.record.counterparty_party_id, at_ms)
    return ALLOW in lists
