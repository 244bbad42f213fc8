"""The risk state of a loan: what its alerts and the analysts' outcomes come to, and where its money is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from detectors.accounts import HELD
from detectors.alert_record import LoanRisk, TracedUse
from detectors.bounds import Bounds
from detectors.economy import INNOCENT
from detectors.instants import rfc3339
from detectors.loans import Loan, Published

INCONCLUSIVE = "INCONCLUSIVE_MONITOR"

State = Literal["NORMAL", "WATCH", "SUSPICIOUS", "CONFIRMED", "CLEARED"]


def risk_of(loan: Loan, as_of_ms: int, whereabouts: Mapping[str, tuple[int, Bounds]]) -> LoanRisk:
    """The present state of a loan, with its conservation account.

    Args:
        whereabouts: its money by place, attributed and bounded; see :func:`detectors.bounds.whereabouts`.
    """
    unsettled = _unsettled(loan)
    reasons = sorted({code.partition("/")[0] for code in unsettled})
    places, repaid, reversed_minor, dropped = loan.origin.statement()
    return LoanRisk(
        loan_id=loan.loan_id, customer_id=loan.borrower_id, state=_state(loan, unsettled),
        score=max((said.score for said in unsettled.values()), default=0.0), reasons=tuple(reasons),
        open_alerts=tuple(sorted(said.alert_id for said in unsettled.values())), currency=loan.account.currency,
        paid_out_minor=loan.origin.paid_out_minor, held_minor=places.pop(HELD, 0), left_minor=dict(sorted(places.items())),
        repaid_minor=repaid, reversed_minor=reversed_minor, dropped_minor=dict(sorted(dropped.items())),
        as_of=rfc3339(as_of_ms), human_reviewed=bool(loan.outcomes), usable_for_pricing=_is_reviewed(loan),
        traced=_traced(whereabouts), alerted=_alerted(unsettled),
    )  # fmt: skip


def state_of(loan: Loan) -> tuple[State, bool]:
    """(Its state, whether an alert is open)."""
    unsettled = _unsettled(loan)
    return _state(loan, unsettled), bool(unsettled)


def _unsettled(loan: Loan) -> dict[str, Published]:
    """The loan's open alerts that no analyst has settled in its favour, by typology."""
    return {
        code: said
        for code, said in loan.alerts.items()
        if said.status == "OPEN" and loan.outcomes.get(said.alert_id) not in INNOCENT
    }


def _is_reviewed(loan: Loan) -> bool:
    """Whether a person has come to a conclusion, and on every alert that is open."""
    concluded = {name for name, outcome in loan.outcomes.items() if outcome != INCONCLUSIVE}
    return bool(concluded) and all(said.alert_id in concluded for said in loan.alerts.values() if said.status == "OPEN")


def _traced(whereabouts: Mapping[str, tuple[int, Bounds]]) -> dict[str, TracedUse]:
    """Where the loan's money is as a whole, whatever was alerted on."""
    return {
        place: TracedUse(certain_minor=bounds.certain_minor, attributed_minor=minor, possible_minor=bounds.possible_minor,
                         exact=bounds.exact)
        for place, (minor, bounds) in sorted(whereabouts.items())
    }  # fmt: skip


def _alerted(unsettled: dict[str, Published]) -> dict[str, TracedUse]:
    """Where the loan's own open alerts say that its money went; of two about one class of destination the larger."""
    traced: dict[str, TracedUse] = {}
    own = [said for code, said in unsettled.items() if "/" not in code and said.destination is not None]
    for said in sorted(own, key=lambda said: (said.destination or "", said.traced_minor)):
        traced[said.destination or ""] = TracedUse(
            certain_minor=said.certain_minor, attributed_minor=said.traced_minor, possible_minor=said.possible_minor,
            exact=said.exact,
        )  # fmt: skip
    return traced


def _state(loan: Loan, unsettled: dict[str, Published]) -> State:
    if "MISUSE_CONFIRMED" in loan.outcomes.values():
        return "CONFIRMED"
    if any(said.severity in ("HIGH", "CRITICAL") for said in unsettled.values()):
        return "SUSPICIOUS"
    if unsettled:
        return "WATCH"
    return "CLEARED" if loan.alerts else "NORMAL"
