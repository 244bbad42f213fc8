"""Everything the fold depends on besides its events: one frozen value, made once at the edge."""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import Struct

from detectors.bounds import BoundLimits
from detectors.budget import BudgetLimits
from detectors.calibration import CalibrationLimits
from detectors.dealings import DealingLimits
from detectors.dispositions import DispositionLimits
from detectors.drift import DriftLimits
from detectors.economy import AlertLimits
from detectors.groups import GroupLimits
from detectors.learners.triage import LearningLimits
from detectors.legs import LegLimits
from detectors.parties import PartyLimits
from detectors.portfolio import PortfolioLimits
from detectors.ruleset import RuleSet
from detectors.tracer import TraceLimits
from detectors.uses import CodeLists


class FoldLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """What the fold remembers; beyond it, it forgets the oldest and counts that."""

    seen_ids_max: int = 1_000_000  # business ids remembered against duplicates
    reversible_max: int = 200_000  # transfers that a reversal can still name
    pending_passages_max: int = 500  # passages of a loan whose particulars have not come
    announce_hours_max: int = 24  # how long a loan's particulars are awaited; then it is judged without them
    payout_match_days_max: int = 3  # between the two records of one payout
    kept_loans_max: int = 50_000  # loans kept by their record alone, once their money is too old to be followed
    kept_days_max: int = 1_095  # ... for so long after the payout, where no maturity is stated
    kept_after_maturity_days_max: int = 90  # ... or after the maturity
    hub_payers_min: int = 500  # distinct payers that make an account a hub
    time_leap_days_max: int = 3_650  # an event this far ahead of the stream is a reject: its date is a mistake


class Configuration(Struct, frozen=True, kw_only=True):
    """Rule sets, code lists and limits. The same configuration and the same events give the same alerts, to the byte."""

    rule_sets: tuple[RuleSet, ...]
    codes: CodeLists = CodeLists()
    bookings: tuple[str, ...] = ("loan_first", "fifo")  # the first is the detection ledger
    trace: TraceLimits = TraceLimits()
    bounds: BoundLimits = BoundLimits()
    legs: LegLimits = LegLimits()
    alerts: AlertLimits = AlertLimits()
    budget: BudgetLimits = BudgetLimits()
    calibration: CalibrationLimits = CalibrationLimits()
    drift: DriftLimits = DriftLimits()
    dispositions: DispositionLimits = DispositionLimits()
    fold: FoldLimits = FoldLimits()
    parties: PartyLimits = PartyLimits()
    dealings: DealingLimits = DealingLimits()
    groups: GroupLimits = GroupLimits()
    portfolio: PortfolioLimits = PortfolioLimits()
    typologies: tuple[str, ...] = ()  # codes of those that judge; empty: all of them
    learning: LearningLimits = LearningLimits()
    utc_offset_minutes: int = 480  # of the calendar days that rules speak of; 480 = Beijing

    def digest(self) -> str:
        """16 hex digits that change when anything in the configuration does."""
        return hashlib.sha256(msgspec.json.encode(self, enc_hook=None, order="deterministic")).hexdigest()[:16]
