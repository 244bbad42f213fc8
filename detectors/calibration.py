"""Calibration: what a payment's score means among the others, and whether scores and features still are what they were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from detectors.drift import Drift, DriftLimits
from detectors.learners.features import NAMES
from detectors.learners.score import PaymentScore
from detectors.rank import Rank


class CalibrationLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """What ranks are taken from."""

    scores_max: int = 10_000  # recent scores that a payment's score is ranked among


class Calibration:
    """Ranks scores as they come, and watches for drift.

    Args:
        ranks: whether anybody asks how a score ranks; scores are remembered all the same.
    """

    def __init__(self, limits: CalibrationLimits, drift_limits: DriftLimits, *, ranks: bool) -> None:
        self.limits = limits
        self.ranks = ranks
        self.rank = Rank(limits.scores_max)
        self.drift = Drift(drift_limits)

    def see(self, score: PaymentScore) -> PaymentScore:
        """The score with its rank among those before it, where ranks are wanted."""
        if self.drift.is_due():
            self.drift.look(score.score, NAMES, score.features)
        if self.ranks:
            return msgspec.structs.replace(score, rank=self.rank.of(score.score))
        self.rank.note(score.score)
        return score

    def snapshot(self) -> dict[str, Any]:
        """The state as plain data."""
        return {"scores": list(self.rank.recent), "drift": self.drift.snapshot()}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take the state that :meth:`snapshot` has given."""
        self.rank = Rank(self.limits.scores_max, data["scores"])
        self.drift.restore(data["drift"])
