"""Weighing a breach: from counted passages to bounds, look-alikes, score and severity.

The question is whether the loan's money is at the forbidden place *for certain*. It is when ``certain`` reaches the rule's
share. When it does not, own money may have paid, and the finding is cleared, unless the way itself speaks: every account
on it passed on what it got, in like amounts and within days, and had no such habit before. Where an opening balance is
unknown nothing can be certain; the finding then rests on the attributed share and says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from detectors.alert_record import Contribution, LookAlike, Measure
from detectors.bounds import Bounds
from detectors.detector import Context
from detectors.loans import Loan, Passage

CHAIN_HOURS_MAX = 72
"""A way speaks for itself only when each account on it passed the money on within this time."""
CHAIN_RATIO_MIN = 0.85
"""... and at least this share of what it had received."""
HABIT_PAYMENTS_MIN = 3
"""Earlier payments to the same place that make a habit."""
CRITICAL_SHARE = 0.5
"""Certain share of the loan from which a breach is critical."""


class Weighed(Struct, frozen=True, kw_only=True):
    """The weight of a set of passages against one loan."""

    bounds: Bounds
    traced_minor: int
    fifo_minor: int
    share: float
    certain_share: float
    hours: float  # from the payout to the last passage
    chain_ratio: float | None  # least ratio passed on along the way; None for a direct payment
    habit: bool
    alerts: bool
    severity: str
    score: float
    contributions: tuple[Contribution, ...]
    look_alikes: tuple[LookAlike, ...]
    measures: tuple[Measure, ...]


def traced_by(hits: Sequence[Passage]) -> tuple[int, int]:
    """Money that went with the passages, none counted twice: (by the detection ledger, by FIFO)."""
    counted = {hit.transfer.seq for hit in hits}
    traced = sum(hit.fresh_minor(counted - {hit.transfer.seq}) for hit in hits)
    return traced, sum(min(hit.fifo_minor, hit.transfer.standing_minor) for hit in hits)


def weigh(context: Context, loan: Loan, hits: Sequence[Passage], share_min: float, code: str) -> Weighed:
    """Weigh the passages that a rule counts.

    Args:
        hits: standing passages, in time order, at least one.
        share_min: the share of the loan from which the rule is broken.
    """
    traced, fifo = traced_by(hits)
    if loan.share(traced) < share_min and code not in loan.alerts:
        bounds = Bounds(0, traced, False, ("not computed: below the rule's share",))  # nobody asks; a flow costs more
    else:
        bounds = context.bounds(loan, hits)
    # what limits cut from the subgraph widens the bounds; the ledgers' own figures stay inside them by construction
    bounds = Bounds(min(bounds.certain_minor, traced), max(bounds.possible_minor, traced), bounds.exact, bounds.rests_on)
    share, certain_share = loan.share(traced), loan.share(bounds.certain_minor)
    hours = loan.hours_since_payout(max(hit.transfer.event_time_ms for hit in hits))
    chain = chain_ratio(hits)
    habit = any(_is_habit(loan, hit) for hit in hits)
    unknown = any(note.startswith("opening balance") for note in bounds.rests_on)
    certain = certain_share >= share_min
    way_speaks = chain is not None and chain >= CHAIN_RATIO_MIN and not habit
    alerts = share >= share_min and (certain or way_speaks or (unknown and not habit))
    contributions = _contributions(context, loan, certain_share, share, hours, chain, habit)
    score = round(min(1.0, sum(item.added for item in contributions)), 4)
    return Weighed(
        bounds=bounds, traced_minor=traced, fifo_minor=fifo, share=share, certain_share=certain_share, hours=hours,
        chain_ratio=chain, habit=habit, alerts=alerts, severity=_severity(certain, certain_share, hours), score=score,
        contributions=contributions, look_alikes=(_own_money(bounds, certain, unknown), _habit(loan, habit, hits)),
        measures=(
            Measure(name="share_of_loan_certain", observed=round(certain_share, 4), expected=0.0, threshold=share_min, unit="ratio"),
            Measure(name="share_of_loan_attributed", observed=round(share, 4), expected=0.0, threshold=share_min, unit="ratio"),
            Measure(name="hours_since_payout", observed=round(hours, 2), expected=None, threshold=None, unit="hours"),
        ),
    )  # fmt: skip


def chain_ratio(hits: Sequence[Passage]) -> float | None:
    """The least share of what an account on the way received that it passed on in time; None without such an account."""
    least: float | None = None
    for hit in hits:
        for parcel in hit.parcels:
            way = parcel.trail.transfers()[1:]
            for arrived, left in zip(way, way[1:], strict=False):
                if left.event_time_ms - arrived.event_time_ms > CHAIN_HOURS_MAX * 3_600_000:
                    ratio = 0.0
                else:
                    ratio = min(arrived.amount_minor, left.amount_minor) / max(arrived.amount_minor, left.amount_minor)
                least = ratio if least is None else min(least, ratio)
    return least


def _is_habit(loan: Loan, hit: Passage) -> bool:
    """The payer used this very place before the payout, repeatedly and in sums of this size."""
    place = hit.payee
    if place.is_sink or place.first_ms >= loan.paid_ms or place.in_count <= HABIT_PAYMENTS_MIN:
        return False
    return hit.transfer.amount_minor * place.in_count <= 2 * place.in_minor


def _severity(certain: bool, certain_share: float, hours: float) -> str:
    if not certain:
        return "MEDIUM"
    return "CRITICAL" if certain_share >= CRITICAL_SHARE else "HIGH"


def _contributions(
    context: Context, loan: Loan, certain_share: float, share: float, hours: float, chain: float | None, habit: bool
) -> tuple[Contribution, ...]:
    card = context.rules(loan).scorecard
    values = {
        "certain_share": (min(1.0, certain_share), card.certain_share),
        "attributed_share": (min(1.0, share), card.attributed_share),
        "speed": (max(0.0, 1.0 - hours / 168.0), card.speed),
        "amount_match": (chain if chain is not None else min(1.0, share), card.amount_match),
        "no_habit": (0.0 if habit else 1.0, card.no_habit),
    }
    return tuple(
        Contribution(feature=name, value=round(value, 4), weight=weight, added=round(value * weight, 4))
        for name, (value, weight) in values.items()
    )


def _own_money(bounds: Bounds, certain: bool, unknown: bool) -> LookAlike:
    detail = f"at least {bounds.certain_minor} minor units cannot have been other money; {'; '.join(bounds.rests_on)}"
    if certain:
        return LookAlike(name="own_money", result="EXCLUDED", detail=detail)
    return LookAlike(name="own_money", result="NOT_TESTABLE" if unknown else "NOT_EXCLUDED", detail=detail)


def _habit(loan: Loan, habit: bool, hits: Sequence[Passage]) -> LookAlike:
    place = hits[-1].payee
    if place.is_sink:
        return LookAlike(name="own_habit", result="NOT_TESTABLE", detail="no history is kept per payer for this destination")
    detail = f"{place.in_count} payments by this payer to {place.account_id} so far; the first was {_before(loan, place.first_ms)}"
    return LookAlike(name="own_habit", result="NOT_EXCLUDED" if habit else "EXCLUDED", detail=detail)


def _before(loan: Loan, event_time_ms: int) -> str:
    days = (loan.paid_ms - event_time_ms) / 86_400_000
    return f"{days:.0f} days before the payout" if days >= 0 else f"{-days:.1f} days after the payout"
