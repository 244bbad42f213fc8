"""An alert budget that is kept: how high a payment must rank to be said, so that as many are said as were asked for.

Credit is earned with loans paid out or with days, and spent by alerts. A payment is said when its conformal p-value is at most
``share * exp(credit / 2)``, ``share`` being the alerts earned per scored payment lately. Where as many pass as are earned,
credit stays near 0; what is not spent lets lower ranks pass and what is overspent asks for higher ones, e-fold for every two
alerts. It is the integral control of adaptive conformal inference (Gibbs and Candes, NeurIPS 2021) with alerts for errors.

So alerts said and earned differ by a handful at any time, whatever scores do, within two bounds: none below the top
``tail_share_max`` is said, even when credit is left, and none while ``overdraft_max`` is overspent.
"""

from __future__ import annotations

from math import exp

from msgspec import Struct

DAY_MS = 86_400_000
SOFTNESS = 2.0
"""Alerts of credit that change what passes e-fold: less swings, more lags."""


class BudgetLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """How many score-based alerts are wanted. Both budgets at 0: none."""

    alerts_per_1000_loans: float = 0.0  # opened per thousand loans paid out
    alerts_per_day: float = 0.0  # opened per day and team, in event time
    teams: int = 1
    scores_min: int = 1_000  # payments scored before the first alert
    tail_share_max: float = 0.05  # none below the top 5 % is said
    overdraft_max: float = 5.0  # alerts
    credit_max: float = 50.0  # alerts; what is earned beyond is lost and counted (budget_unspent)
    memory_payments: int = 10_000  # scored payments over which the alerts earned per payment are averaged
    episode_days: int = 30  # payments to one account within so many days are one alert
    episodes_max: int = 20_000  # alerts whose payments are remembered; the oldest is forgotten and takes no outcome any more


class Budget:
    """What is earned, and what passes."""

    __slots__ = ("earned", "earned_lately", "last_ms", "limits", "scored", "scored_lately", "spent", "unspent")

    def __init__(self, limits: BudgetLimits) -> None:
        self.limits = limits
        self.earned = 0.0
        self.spent = 0
        self.unspent = 0.0
        self.scored = 0
        self.earned_lately = 0.0  # fading over memory_payments
        self.scored_lately = 0.0
        self.last_ms: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether any alert is wanted at all."""
        return bool(self.limits.alerts_per_1000_loans or self.limits.alerts_per_day)

    @property
    def credit(self) -> float:
        """Alerts earned and not spent; below 0 it is overdrawn."""
        return self.earned - self.spent - self.unspent

    def lend(self) -> None:
        """A loan was paid out."""
        self._earn(self.limits.alerts_per_1000_loans / 1000)

    def see(self, event_time_ms: int) -> float:
        """A payment was scored; the share of payments that may be said now: it is, when its p-value is at most that."""
        limits = self.limits
        if limits.alerts_per_day:
            if self.last_ms is not None and event_time_ms > self.last_ms:
                self._earn(limits.alerts_per_day * limits.teams * (event_time_ms - self.last_ms) / DAY_MS)
            self.last_ms = event_time_ms if self.last_ms is None else max(self.last_ms, event_time_ms)
        self.scored += 1
        fading = 1 - 1 / limits.memory_payments
        self.earned_lately *= fading
        self.scored_lately = self.scored_lately * fading + 1
        if self.scored < limits.scores_min or self.credit - 1 < -limits.overdraft_max:
            return 0.0
        share = self.earned_lately / self.scored_lately
        return min(limits.tail_share_max, share * exp(min(self.credit, limits.credit_max) / SOFTNESS))

    def spend(self) -> None:
        """An alert was opened."""
        self.spent += 1

    def _earn(self, alerts: float) -> None:
        self.earned += alerts
        self.earned_lately += alerts
        over = self.credit - self.limits.credit_max
        if over > 0:
            self.unspent += over
