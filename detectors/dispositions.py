"""Analysts' outcomes: of an alert, a payment or a loan; which are believed, and which of them teach.

An outcome is refused with its reason, and teaches nothing, when its subject is not known, when it is dated before its
subject, or when it contradicts what was concluded before without saying that it corrects it. The same outcome again is a
duplicate. ``INCONCLUSIVE_MONITOR`` concludes nothing, so any outcome may follow it.

Misses: an outcome that was forgotten (``outcomes_max``) can neither be repeated nor contradicted; what it taught stays.
"""

from __future__ import annotations

from msgspec import Struct

from detectors.events import Disposition, Fault
from detectors.recent import Recent

LESSONS = {"MISUSE_CONFIRMED": True, "FALSE_POSITIVE": False, "APPROVED_EXCEPTION": False}
"""Outcome -> was it misuse. The other outcomes say nothing of that: wrong data, or nothing found out yet."""

INCONCLUSIVE = "INCONCLUSIVE_MONITOR"


class DispositionLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """What is remembered of outcomes."""

    outcomes_max: int = 500_000  # subjects whose outcome is remembered; the oldest half is forgotten


class Outcomes:
    """What was concluded so far, by subject."""

    __slots__ = ("held",)

    def __init__(self, limits: DispositionLimits) -> None:
        self.held: Recent[tuple[str, int]] = Recent(limits.outcomes_max)  # by subject: its outcome, and when it came up

    def fault_of(self, event: Disposition, event_time_ms: int, since_ms: int | None) -> Fault | None:
        """Why an outcome is not believed; ``since_ms``: when its subject came up, None when there is no such subject."""
        field, subject = subject_of(event)
        if since_ms is None:
            return Fault(field, f"{subject!r} is no {SUBJECTS[field]}")
        if event_time_ms < since_ms:
            return Fault("event_time", f"{event.event_time.isoformat()} is before the {field.removesuffix('_id')} it speaks of")
        held = self.of(field, subject)
        if held == event.outcome:
            return None
        if event.corrects is not None and event.corrects != held:
            return Fault("corrects", f"{event.corrects} where {held or 'no outcome'} of {subject!r} is held")
        if held in (None, INCONCLUSIVE) or event.corrects == held:
            return None
        return Fault("outcome", f"{event.outcome} contradicts {held} of {subject!r}; a correction says corrects: {held}")

    def repeats(self, event: Disposition) -> bool:
        """Whether this very outcome of this subject is held already."""
        return self.of(*subject_of(event)) == event.outcome

    def of(self, field: str, subject: str) -> str | None:
        """The outcome held of a subject, named by its field."""
        held = self.held.get(_key(field, subject))
        return held[0] if held is not None else None

    def since_ms(self, txn_id: str) -> int | None:
        """When a payment was made whose outcome is held; None when none is."""
        held = self.held.get(_key("txn_id", txn_id))
        return held[1] if held is not None else None

    def hold(self, event: Disposition, since_ms: int) -> None:
        """Remember a believed outcome."""
        self.held.put(_key(*subject_of(event)), (event.outcome, since_ms))


SUBJECTS = {
    "alert_id": "alert of a loan that is followed",
    "txn_id": "scored payment that awaits its outcome",
    "loan_id": "loan that is followed",
}


def subject_of(event: Disposition) -> tuple[str, str]:
    """(the field that names the subject, its id); a sound record names exactly one."""
    for field in SUBJECTS:
        named = getattr(event, field)
        if named is not None:
            return field, named
    raise AssertionError(f"a disposition of nothing: {event}")


def _key(field: str, subject: str) -> str:
    return f"{field}:{subject}"
