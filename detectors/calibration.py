"""Calibration: what a payment's score means among the others, and a loan's by the payments that carried its money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from detectors.learners.score import PaymentScore
from detectors.rank import Rank


class CalibrationLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """What ranks are taken from."""

    scores_max: int = 10_000  # recent scores that a payment's score is ranked among


class Calibration:
    """Ranks scores as they come."""

    def __init__(self, limits: CalibrationLimits) -> None:
        self.limits = limits
        self.rank = Rank(limits.scores_max)

    def see(self, score: PaymentScore) -> PaymentScore:
        """The score with its rank among those before it."""
        return msgspec.structs.replace(score, percentile=self.rank.of(score.score))

    def snapshot(self) -> dict[str, Any]:
        """The state as plain data."""
        return {"scores": list(self.rank.recent)}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take the state that :meth:`snapshot` has given."""
        self.rank = Rank(self.limits.scores_max, data["scores"])
