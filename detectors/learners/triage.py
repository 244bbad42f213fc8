"""Triage: every payment from account to account gets a score, and confirmed outcomes teach what deserves a look.

A score is made before anything is learned from its payment. Outcomes come late and only for what was reviewed; until then
the features of a payment, as scored, wait for it in a bounded memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import exp
from typing import Any

from msgspec import Struct

from detectors.accounts import Account
from detectors.learners.features import NAMES, features_of
from detectors.learners.score import Contribution, PaymentScore
from detectors.lots import Transfer
from detectors.profile import Profile

SCORECARD = (2.0, 0.3, 0.3, 0.4, 0.1, 0.3, 0.5)
"""Log-odds per unit of each feature before anything was learned."""
BIAS = -5.0


class LearningLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """What the learners keep and how fast they learn."""

    scoring: int = 1  # 0: no profiles, no scores
    profiles_max: int = 2_000_000  # accounts with a profile; the longest known is forgotten
    waiting_max: int = 500_000  # scored payments whose outcome may still come
    rate: float = 0.05  # of the weights, per outcome


class Triage:
    """Profiles, scores and the model that outcomes teach."""

    def __init__(self, limits: LearningLimits) -> None:
        self.limits = limits
        self.profiles: dict[str, Profile] = {}
        self.next_number = 0
        self.waiting: dict[str, tuple[int, tuple[float, ...]]] = {}  # by payment: when it was made, its features as scored
        self.bias = BIAS
        self.weights = list(SCORECARD)
        self.usual = [0.0] * len(NAMES)
        self.counts: Counter[str] = Counter()

    def see(self, transfer: Transfer, payer: Account, payee: Account) -> PaymentScore | None:
        """Score a payment from account to account, then let its accounts' profiles know of it; None: not one."""
        payer_profile = self._profile(payer, transfer.event_time_ms)
        payee_profile = self._profile(payee, transfer.event_time_ms)
        score = None
        if payer_profile is not None and payee_profile is not None:
            score = self._score(transfer, payer_profile, payee_profile)
        if payer_profile is not None:
            number = payee_profile.number if payee_profile is not None else -1
            payer_profile.send(number, transfer.amount_minor, transfer.event_time_ms)
        if payee_profile is not None:
            number = payer_profile.number if payer_profile is not None else -1
            payee_profile.receive(number, transfer.amount_minor, transfer.event_time_ms)
        return score

    @property
    def version(self) -> str:
        """What names the model in an alert: how far it has learned is part of it."""
        return f"triage-1/{self.counts['outcomes_learned']}"

    def since_ms(self, txn_id: str) -> int | None:
        """When a scored payment that awaits its outcome was made; None when it is not (or no longer) one."""
        waiting = self.waiting.get(txn_id)
        return waiting[0] if waiting is not None else None

    def learn(self, txn_id: str, outcome_is_misuse: bool, event_time_ms: int) -> bool:
        """Learn from a confirmed outcome of a scored payment; False when the payment is not remembered."""
        waiting = self.waiting.pop(txn_id, None)
        if waiting is None:
            self.counts["outcomes_of_forgotten_payments"] += 1
            return False
        features = waiting[1]
        self.counts["outcomes_learned"] += 1
        error = (1.0 if outcome_is_misuse else 0.0) - _squash(self._logit(features))
        self.bias += self.limits.rate * error
        for i, value in enumerate(features):
            self.weights[i] += self.limits.rate * error * value
        return True

    def explain(self, score: PaymentScore) -> list[Contribution]:
        """What made the score, by the present model: the weights and ``bias`` add up to the log-odds; largest first."""
        found = [
            Contribution(name, value, usual, weight * (value - usual))
            for name, value, usual, weight in zip(NAMES, score.features, self.usual, self.weights, strict=True)
        ]
        return sorted(found, key=lambda item: (-abs(item.weight), item.feature))

    def _score(self, transfer: Transfer, payer: Profile, payee: Profile) -> PaymentScore:
        features = features_of(payer, payee, transfer.amount_minor, transfer.event_time_ms)
        value = _squash(self._logit(features))
        self.waiting[transfer.txn_id] = (transfer.event_time_ms, features)
        if len(self.waiting) > self.limits.waiting_max:
            del self.waiting[next(iter(self.waiting))]
            self.counts["scored_payments_forgotten"] += 1
        self.counts["payments_scored"] += 1
        return PaymentScore(
            transfer.txn_id, transfer.event_time_ms, transfer.payer, transfer.payee, transfer.amount_minor, value, features
        )

    def _logit(self, features: tuple[float, ...]) -> float:
        return self.bias + sum([weight * value for weight, value in zip(self.weights, features, strict=True)])

    def _profile(self, account: Account, event_time_ms: int) -> Profile | None:
        if account.is_sink:
            return None
        profile = self.profiles.get(account.account_id)
        if profile is None:
            profile = self.profiles[account.account_id] = Profile(self.next_number, event_time_ms)
            self.next_number += 1
            if len(self.profiles) > self.limits.profiles_max:
                del self.profiles[next(iter(self.profiles))]
                self.counts["profiles_forgotten"] += 1
        return profile

    def snapshot(self) -> dict[str, Any]:
        """The state as plain data."""
        return {
            "profiles": [[name, profile.row()] for name, profile in self.profiles.items()],
            "next_number": self.next_number,
            "waiting": [[txn_id, since_ms, list(features)] for txn_id, (since_ms, features) in self.waiting.items()],
            "bias": self.bias,
            "weights": list(self.weights),
            "usual": list(self.usual),
            "counts": dict(self.counts),
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take the state that :meth:`snapshot` has given."""
        self.profiles = {name: Profile.of_row(row) for name, row in data["profiles"]}
        self.next_number = data["next_number"]
        self.waiting = {txn_id: (since_ms, tuple(features)) for txn_id, since_ms, features in data["waiting"]}
        self.bias, self.weights, self.usual = data["bias"], list(data["weights"]), list(data["usual"])
        self.counts = Counter(data["counts"])


def _squash(logit: float) -> float:
    return 1.0 / (1.0 + exp(-logit)) if logit > -700 else 0.0
