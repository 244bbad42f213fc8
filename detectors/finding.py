"""What one detector saw: a finding, not yet an alert."""

from __future__ import annotations

from msgspec import Struct

from detectors.alert_record import Contribution, LookAlike, Measure
from detectors.bounds import Bounds
from detectors.loans import Loan, Passage


class Finding(Struct, frozen=True, kw_only=True):
    """One detector's view of one subject, with its evidence. ``stands`` False: what was found before no longer holds."""

    typology: str
    loan: Loan
    stands: bool
    hits: tuple[Passage, ...]  # the passages it rests on, in time order
    bounds: Bounds
    traced_minor: int
    fifo_minor: int
    severity: str
    score: float
    destination_en: str
    destination_zh: str
    measures: tuple[Measure, ...] = ()
    look_alikes: tuple[LookAlike, ...] = ()
    contributions: tuple[Contribution, ...] = ()
    account_id: str | None = None  # for counterparty typologies: whose behaviour it is
