"""What one detector saw: a finding, not yet an alert."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from detectors.alert_record import Contribution, LookAlike, Measure, PartyNote, RelatedPayment
from detectors.bounds import Bounds
from detectors.groups import Group
from detectors.loans import Loan, Passage, Published

NOTHING_TRACED = Bounds(0, 0, True, ("no loan money is traced by this alert",))
"""The bounds of a finding that rests on no passage."""


class Finding(Struct, frozen=True, kw_only=True):
    """One detector's view of one subject, with its evidence. ``stands`` False: what was found before no longer holds.

    The subject is the loan, or the group when there is one (then ``loan`` is any member, or None for an account by itself).
    """

    typology: str
    loan: Loan | None
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
    group: Group | None = None
    sentence: tuple[str, str] | None = None  # (English, Chinese), where the usual one does not fit
    related: tuple[RelatedPayment, ...] = ()  # payments it rests on that carried no money of the loan, or need not have
    party_notes: tuple[PartyNote, ...] = ()  # public facts it rests on
    percentile: float | None = None  # where its score stands; None: among the alerts of its kind
    is_news: bool = False  # to be said whatever its figures
    model_version: str | None = None  # where it is not the rules' scorecard
    kind: Literal["BREACH", "PATTERN", "EVENT"] | None = None  # where it is weaker than its typology's kind
    restricted: bool = False  # only for those whom restricted alerts are routed to
    event_time_ms: int | None = None  # of what completed it, when that is no passage
    released: tuple[Loan, ...] = ()  # loans that were members of the group and are no more

    @property
    def about(self) -> Loan | Group:
        """Whom the alert is about."""
        subject = self.group if self.group is not None else self.loan
        assert subject is not None, f"a finding of {self.typology} is about nobody"
        return subject

    @property
    def said(self) -> Published | None:
        """What subscribers last heard of it; None when nothing."""
        if self.group is not None:
            return self.group.said
        return self.loan.alerts.get(self.typology) if self.loan is not None else None
