"""Weighing a breach: from counted passages to bounds, look-alikes, score and severity.

The question is whether the loan's money is at the forbidden place *for certain*. It is when ``certain`` reaches the rule's
share. When it does not, own money may have paid, and the finding is cleared, unless one of two things speaks. The *way*: every
account on it passed on what it got, in like amounts and within days. Or *both ledgers*: not only when loan money is taken to
leave first, but also when money leaves in the order it came (the legal default), a large share of the loan went there within a
week; savings that were there before the loan come first in that order and clear their owner. Neither speaks against a habit
from before the loan, nor through an account that many pay: there, in and out are a trade. Money that passed through such an
account slowly, or in other amounts, is the trader's own, however certain it is where it came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from detectors.accounts import IN_TRANSIT, Account
from detectors.alert_record import Contribution, LookAlike, Measure
from detectors.bounds import Bounds
from detectors.detector import Context
from detectors.loans import Loan, Passage
from detectors.lots import Transfer
from detectors.money import format_money
from detectors.parties import BORROWER
from detectors.tracer import Parcel
from detectors.uses import POCKETS

CHAIN_HOURS_MAX = 72
"""A way speaks for itself only as far as each account on it passed the money on within this time."""
CHAIN_RATIO_MIN = 0.85
"""... and at least this share of what it had received."""
HABIT_PAYMENTS_MIN = 3
"""Earlier payments to the same place that make a habit."""
BUSINESS_PAYMENTS_MIN = 12
"""Payments received so far, from ..."""
BUSINESS_PAYERS_MIN = 4
"""... so many payers, make an account one with business of its own: in and out are its trade, not a way."""
TRADE_RATIO_MIN = 0.95
"""Where an account on the way has a trade, it has to have passed on this share, and no more than it got ..."""
TRADE_ACCOUNTS_MIN = 2
"""... and so many accounts must have done so: one payment of such a size may be chance."""
BOTH_SHARE_MIN = 0.30
"""Share of the loan from which the two ledgers together speak ..."""
BOTH_HOURS_MAX = 168
"""... when the money left within this time."""
NAMED_MAX = 5
"""Accounts of unknown opening balance named in an alert; more are counted."""
ALL_KNOWN = "all balances on the way known"
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
    chain_ratio: float | None  # least ratio that an account on a quick way passed on; None without such an account
    habit: bool
    alerts: bool
    unproven: bool  # it alerts although nobody knows the borrower's own money: a pattern, whatever the rule
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


def weigh(
    context: Context, loan: Loan, hits: Sequence[Passage], share_min: float, code: str, certain_part: float = 1.0,
    tells_unproven: bool = False,
) -> Weighed:  # fmt: skip
    """Weigh the passages that a rule counts.

    Args:
        hits: standing passages, in time order, at least one.
        share_min: the share of the loan from which the rule is broken.
        certain_part: how much of that share has to be certain; less than 1 for patterns only.
        tells_unproven: whether the finding may be told although this verdict does not alert, so that its figures matter.
    """
    traced, fifo = traced_by(hits)
    share = loan.share(traced)
    between = list(_between(context, loan, hits))
    hours = loan.hours_since_payout(max(hit.transfer.event_time_ms for hit in hits))
    quick = [hit for hit in hits if _is_quick(hit)]
    chain = chain_ratio(quick)
    habit = bool(_habitual_places(loan, hits))
    unknown = any(not account.balance_known for account in between)
    # asked before the first alert only: payments drummed up afterwards must not withdraw it
    last_ms = hits[-1].transfer.event_time_ms
    trades = not loan.has_heard(code) and _trades(context, loan, hits, last_ms)
    own = all(context.side(loan, account, last_ms) == BORROWER for account in between)
    all_quick = len(quick) == len(hits)
    likeness = chain is not None and chain >= CHAIN_RATIO_MIN
    way_speaks = share >= share_min and not habit and _way_speaks(context, loan, quick, share_min, code, last_ms)
    by_both = min(share, loan.share(fifo)) >= max(share_min, BOTH_SHARE_MIN) and hours <= BOTH_HOURS_MAX
    both_agree = by_both and not habit and (own or (all_quick and not trades and not unknown))
    speaks = way_speaks or both_agree or tells_unproven
    bounds = _not_needed(context, loan, hits, code, traced, share_min, 0.0 if speaks else certain_part)
    if bounds is None:
        bounds = context.bounds(loan, hits)
    # what limits cut from the subgraph widens the bounds; the ledgers' own figures stay inside them by construction
    bounds = Bounds(
        min(bounds.certain_minor, traced), max(bounds.possible_minor, traced), bounds.exact, _rests_on(bounds, between)
    )
    certain_share = loan.share(bounds.certain_minor)
    proven = certain_share >= share_min * certain_part
    certain = proven and (not trades or (all_quick and likeness))
    both_speak = both_agree and (unknown or bounds.certain_minor > 0)  # where other money sufficed, nothing speaks
    alerts = share >= share_min and (certain or way_speaks or both_speak)
    contributions = _contributions(context, loan, certain_share, share, hours, chain, habit)
    score = round(min(1.0, sum(item.added for item in contributions)), 4)
    return Weighed(
        bounds=bounds, traced_minor=traced, fifo_minor=fifo, share=share, certain_share=certain_share, hours=hours,
        chain_ratio=chain, habit=habit, alerts=alerts,
        unproven=alerts and unknown and not certain and not way_speaks,
        severity=_severity(certain, certain_share, hours), score=score,
        contributions=contributions,
        look_alikes=(_own_money(loan, bounds, proven, unknown), _habit(loan, hits), _trade(chain, trades, way_speaks)),
        measures=(
            _share_measure("share_of_loan_certain", certain_share, share_min),
            _share_measure("share_of_loan_attributed", share, share_min),
            Measure(name="hours_since_payout", observed=round(hours, 2), expected=None, threshold=None, unit="hours"),
        ),
    )  # fmt: skip


def _not_needed(
    context: Context, loan: Loan, hits: Sequence[Passage], code: str, traced_minor: int, share_min: float, certain_part: float
) -> Bounds | None:
    """Bounds that stand in for those nobody asks for: nothing was said of the loan yet, and nothing can stand; else None.

    Most purchases are such; a flow costs a hundred times more than seeing so.
    """
    if loan.has_heard(code):
        return None
    if loan.share(traced_minor) < share_min:
        return Bounds(0, traced_minor, False, ("not computed: below the rule's share",))
    most_minor = context.certain_at_most(loan, hits)
    if most_minor is None or loan.share(most_minor) >= share_min * certain_part:
        return None
    return Bounds(0, traced_minor, False, ("not computed: less than the rule's share can be certain",))


def _share_measure(name: str, share: float, share_min: float) -> Measure:
    return Measure(name=name, observed=round(share, 4), expected=0.0, threshold=share_min, unit="ratio")


def chain_ratio(hits: Sequence[Passage]) -> float | None:
    """The least ratio between what an account on the way received and what it passed on; None without such an account.

    Payments are summed per account, so that splitting and merging them hides nothing.
    """
    return min((min(sums) / max(sums) if max(sums) else 0.0 for sums in passed_on_by(hits).values()), default=None)


def passed_on_by(hits: Sequence[Passage]) -> dict[str, tuple[int, int]]:
    """What each account between the borrower's and the destination got and paid, each payment once: (received, passed on)."""
    received: dict[str, dict[int, int]] = {}
    passed_on: dict[str, dict[int, int]] = {}
    for hit in hits:
        for arrived, left in _stays(hit):
            received.setdefault(left.payer, {})[arrived.seq] = arrived.standing_minor
            passed_on.setdefault(left.payer, {})[left.seq] = left.standing_minor
    return {name: (sum(received[name].values()), sum(passed_on[name].values())) for name in received}


def alike(hits: Sequence[Passage], ratio_min: float, ratio_max: float) -> list[Passage]:
    """The passages on whose way every account passed on what it got: payment by payment, or all of an account together.

    Who passed on other sums is left out with the passages through him, and the rest is looked at anew.
    """
    by_themselves = {id(hit) for hit in hits if _echoes(hit, ratio_min, ratio_max)}
    rest = [hit for hit in hits if id(hit) not in by_themselves]
    while rest:
        unlike = {
            account for account, (got, gone) in passed_on_by(rest).items() if not ratio_min * got <= gone <= ratio_max * got
        }
        kept = [hit for hit in rest if not any(left.payer in unlike for _, left in _stays(hit))]
        if len(kept) == len(rest):
            break
        rest = kept
    chosen = by_themselves | {id(hit) for hit in rest}
    return [hit for hit in hits if id(hit) in chosen]


def _echoes(hit: Passage, ratio_min: float, ratio_max: float) -> bool:
    """Whether one of its parcels came in one payment after the other of like sums."""
    return any(
        all(ratio_min * got.standing_minor <= left.standing_minor <= ratio_max * got.standing_minor for got, left in stays)
        for parcel in hit.parcels if (stays := _stays_of(parcel))
    )  # fmt: skip


def _way_speaks(
    context: Context, loan: Loan, quick: Sequence[Passage], share_min: float, code: str, last_ms: int
) -> bool:  # fmt: skip
    """Whether the accounts on the way passed on what they got; where one has a trade, two have to have, and more closely."""
    like = alike(quick, CHAIN_RATIO_MIN, 1 / CHAIN_RATIO_MIN)
    if not like or loan.share(traced_by(like)[0]) < share_min:
        return False
    if loan.has_heard(code) or not _trades(context, loan, like, last_ms):
        return True
    closely = alike(quick, TRADE_RATIO_MIN, 1.0)
    accounts = {left.payer for hit in closely for _, left in _stays(hit)}
    return len(accounts) >= TRADE_ACCOUNTS_MIN and loan.share(traced_by(closely)[0]) >= share_min


def _trades(context: Context, loan: Loan, hits: Sequence[Passage], at_ms: int) -> bool:
    return any(has_business(context, loan, account, at_ms) for account in _between(context, loan, hits))


def _stays(hit: Passage) -> Iterator[tuple[Transfer, Transfer]]:
    """The stays of the money on accounts between the borrower's and the destination: (payment in, payment out).

    A way that comes back out of securities or a product starts anew there: buying and redeeming is no passing on.
    """
    for parcel in hit.parcels:
        yield from _stays_of(parcel)


def _stays_of(parcel: Parcel) -> list[tuple[Transfer, Transfer]]:
    way = parcel.trail.transfers()[1:]
    start = max((i + 1 for i, transfer in enumerate(way[:-1]) if transfer.use in POCKETS), default=0)
    return list(zip(way[start:], way[start + 1 :], strict=False))


def _is_quick(hit: Passage) -> bool:
    stays = list(_stays(hit))
    return bool(stays) and all(
        left.event_time_ms - arrived.event_time_ms <= CHAIN_HOURS_MAX * 3_600_000 for arrived, left in stays
    )


def _between(context: Context, loan: Loan, hits: Sequence[Passage]) -> Iterator[Account]:
    """The accounts that the money stood on before its last payment, the borrower's first."""
    currency = loan.account.currency
    names = dict.fromkeys(
        transfer.payee for hit in hits for parcel in hit.parcels for transfer in parcel.trail.transfers()[:-1]
    )
    found = (context.tracer.look(name, currency) for name in names)
    return (
        account for account in found if account is not None and account.place not in POCKETS and account.place != IN_TRANSIT
    )


def _rests_on(bounds: Bounds, between: Sequence[Account]) -> tuple[str, ...]:
    """What the bounds presuppose, as far as it concerns these passages: balances of accounts elsewhere do not."""
    unknown = [account.account_id for account in between if not account.balance_known]
    notes = [f"opening balance of {name} unknown" for name in unknown[:NAMED_MAX]]
    if len(unknown) > NAMED_MAX:
        notes.append(f"opening balance of {len(unknown) - NAMED_MAX} more accounts unknown")
    notes += [note for note in bounds.rests_on if not note.startswith("opening balance") and note != ALL_KNOWN]
    return tuple(notes) or (ALL_KNOWN,)


def _habitual_places(loan: Loan, hits: Sequence[Passage]) -> list[Account]:
    """Pockets that their owner paid into before the loan's money came, repeatedly and in sums of this size.

    Only pockets (securities, products) keep a history per payer; what the loan itself has paid in makes no habit.
    """
    places = {hit.payee.account_id: hit.payee for hit in hits if hit.payee.place in POCKETS}
    habitual = []
    for place in places.values():
        counted = [hit.transfer.amount_minor for hit in hits if hit.payee is place]
        payments, paid_minor = place.in_count - len(counted), place.in_minor - sum(counted)
        if place.first_ms < loan.paid_ms and payments >= HABIT_PAYMENTS_MIN and max(counted) * payments <= 2 * paid_minor:
            habitual.append(place)
    return habitual


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


def _own_money(loan: Loan, bounds: Bounds, certain: bool, unknown: bool) -> LookAlike:
    least = format_money(bounds.certain_minor, loan.account.currency)
    detail = f"at least {least} cannot have been other money; {'; '.join(bounds.rests_on)}"
    if certain:
        return LookAlike(name="own_money", result="EXCLUDED", detail=detail)
    return LookAlike(name="own_money", result="NOT_TESTABLE" if unknown else "NOT_EXCLUDED", detail=detail)


def _habit(loan: Loan, hits: Sequence[Passage]) -> LookAlike:
    place = hits[-1].payee
    if place.place not in POCKETS:
        return LookAlike(
            name="own_habit", result="NOT_TESTABLE", detail="no history per payer is kept for this kind of destination"
        )
    habitual = _habitual_places(loan, hits)
    place = habitual[0] if habitual else place
    count = "1 payment" if place.in_count == 1 else f"{place.in_count} payments"
    detail = f"{count} to {place.account_id} so far; the first was {_before(loan, place.first_ms)}"
    return LookAlike(name="own_habit", result="NOT_EXCLUDED" if habitual else "EXCLUDED", detail=detail)


def has_business(context: Context, loan: Loan, account: Account, at_ms: int) -> bool:
    """A stranger's account that many pay: what it passes on may be its own trade."""
    if account.in_count < BUSINESS_PAYMENTS_MIN or account.payer_count < BUSINESS_PAYERS_MIN:
        return False
    return context.side(loan, account, at_ms) is None


def _trade(chain: float | None, trades: bool, way_speaks: bool) -> LookAlike:
    """Whether an account on the way has business of its own; without a quick way there is nothing to test."""
    if chain is None:
        return LookAlike(name="own_business", result="NOT_TESTABLE", detail="no account passed the money on within days")
    many = f"{BUSINESS_PAYMENTS_MIN} payments and more from {BUSINESS_PAYERS_MIN} payers and more"
    if not trades:
        return LookAlike(name="own_business", result="EXCLUDED", detail="no account on the way is paid by many")
    detail = f"an account on the way has received {many}"
    if way_speaks:
        kept = f"{TRADE_ACCOUNTS_MIN} accounts and more passed on at least {TRADE_RATIO_MIN:.0%} of what they got"
        return LookAlike(name="own_business", result="EXCLUDED", detail=f"{detail}, but {kept}")
    return LookAlike(name="own_business", result="NOT_EXCLUDED", detail=detail)


def _before(loan: Loan, event_time_ms: int) -> str:
    hours = abs(loan.hours_since_payout(event_time_ms))
    span = "less than an hour" if hours < 1 else f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"
    return f"{span} {'before' if event_time_ms < loan.paid_ms else 'after'} the payout"
