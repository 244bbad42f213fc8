"""Bridges: a forbidden purchase first, funded by somebody; the loan then repays him.

No way of ordering mixed money can show this, since the loan's money never goes to the purchase. What shows it is the funder:
he brought the money just before the purchase, and gets like money from the loan soon after its payout.

Misses funders whose money was small beside what the buyer held, and who are repaid through others.
"""

from __future__ import annotations

from collections.abc import Sequence

from detectors.alert_record import LookAlike, Measure, RelatedPayment
from detectors.dealings import Purchase
from detectors.detector import Context
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.lots import Transfer
from detectors.parties import BORROWER
from detectors.public_facts import related
from detectors.verdict import Weighed, weigh

DAY_MS = 86_400_000
RATIO_MIN, RATIO_MAX = 0.80, 1.25
"""Between what the loan paid the funder and what he had brought."""
_IN_CHINESE = {"SECURITIES": "证券", "WEALTH": "理财产品", "PROPERTY": "房产", "LOAN_REPAYMENT": "归还其他贷款"}
_IN_ENGLISH = {
    "SECURITIES": "securities", "WEALTH": "wealth products", "PROPERTY": "property",
    "LOAN_REPAYMENT": "the repayment of a loan",
}  # fmt: skip


def bridges_of(passage: Passage, uses: frozenset[str], days_max: int, context: Context) -> list[Purchase]:
    """Purchases by the borrower's side, before the payout, that the passage's payee had funded (or, a repayment, made)."""
    if not days_max:
        return []
    loan, funder = passage.loan, passage.payee
    at_ms = passage.transfer.event_time_ms
    if at_ms - loan.paid_ms > days_max * DAY_MS or context.side(loan, funder, at_ms) == BORROWER:
        return []
    found = []
    for bought in context.dealings.funded.get(funder.account_id) or ():
        transfer = bought.transfer
        if transfer.use not in uses or transfer.currency != loan.currency or not transfer.standing_minor:
            continue
        if loan.paid_ms - days_max * DAY_MS <= transfer.event_time_ms < loan.paid_ms and _is_of_side(bought, passage, context):
            found.append(bought)
    return found


def _is_of_side(bought: Purchase, passage: Passage, context: Context) -> bool:
    """Whether the buyer stands on the borrower's side; who repays a loan for somebody may be anybody."""
    loan, name = passage.loan, bought.transfer.payer
    if name == loan.account.account_id:
        return True
    if name == passage.payee.account_id:
        return bought.transfer.use == "LOAN_REPAYMENT"
    buyer = context.tracer.look(name, loan.currency)
    return buyer is not None and context.side(loan, buyer, bought.transfer.event_time_ms) is not None


def brought_by(bought: Sequence[Purchase], funder: str) -> list[Transfer]:
    """What a funder brought for these purchases, each payment once; what he repaid himself counts as brought."""
    found: dict[int, Transfer] = {}
    for purchase in bought:
        own = (purchase.transfer,) if purchase.transfer.payer == funder else purchase.funders
        for transfer in own:
            if transfer.payer == funder and transfer.standing_minor:
                found[transfer.seq] = transfer
    return list(found.values())


def judge_bridge(
    code: str, loan: Loan, hits: list[Passage], bought: list[Purchase], share_min: float, context: Context,
    further: tuple[LookAlike, ...],
) -> Finding:  # fmt: skip
    """The finding on passages to one funder.

    Args:
        hits: passages to him, in time order, at least one.
        bought: the purchases he funded, at least one, each once.
        further: look-alikes of the typology itself.
    """
    funder = hits[-1].payee
    weighed = weigh(context, loan, hits, share_min, code)
    brought = brought_by(bought, funder.account_id)
    brought_minor = sum(transfer.standing_minor for transfer in brought)
    bought_minor = sum(purchase.transfer.standing_minor for purchase in bought)
    replaced_minor = min(weighed.traced_minor, brought_minor, bought_minor)
    paid_minor = sum(hit.transfer.standing_minor for hit in hits)
    ratio = paid_minor / brought_minor if brought_minor else 0.0
    look_alikes = (*weighed.look_alikes, *_innocent(loan, hits, brought, ratio), *further)
    cleared = any(item.result == "NOT_EXCLUDED" and item.name not in ("own_money", "own_habit") for item in look_alikes)
    use = bought[-1].transfer.use
    return Finding(
        typology=code, loan=loan, stands=weighed.alerts and loan.share(replaced_minor) >= share_min and not cleared,
        hits=tuple(hits), bounds=weighed.bounds, traced_minor=weighed.traced_minor, fifo_minor=weighed.fifo_minor,
        severity="HIGH" if weighed.severity == "CRITICAL" else weighed.severity, score=weighed.score,
        destination_en=f"back to {funder.account_id}, who had funded {_IN_ENGLISH[use]} before the payout",
        destination_zh=f"偿还{funder.account_id}（其于放款前垫资用于{_IN_CHINESE[use]}）",
        measures=(*weighed.measures, *_measures(loan, weighed, bought, brought_minor, bought_minor, replaced_minor, share_min)),
        look_alikes=look_alikes, contributions=weighed.contributions, related=_related(brought, bought),
        account_id=funder.account_id,
    )  # fmt: skip


def _innocent(loan: Loan, hits: list[Passage], brought: list[Transfer], ratio: float) -> tuple[LookAlike, ...]:
    since_ms = min((transfer.event_time_ms for transfer in brought), default=loan.paid_ms)
    traded = hits[-1].payer.paid_before(hits[-1].payee.account_id, since_ms)
    unlike = not RATIO_MIN <= ratio <= RATIO_MAX
    return (
        LookAlike(name="trade_before_loan", result="NOT_EXCLUDED" if traded else "EXCLUDED",
                  detail="the funder had been paid before he brought money" if traded
                  else "the funder had not been paid before he brought money"),
        LookAlike(name="unlike_amounts", result="NOT_EXCLUDED" if unlike else "EXCLUDED",
                  detail=f"he got {ratio:.0%} of what he had brought"),
    )  # fmt: skip


def _measures(
    loan: Loan, weighed: Weighed, bought: list[Purchase], brought_minor: int, bought_minor: int, replaced_minor: int,
    share_min: float,
) -> tuple[Measure, ...]:  # fmt: skip
    unit = f"{loan.currency} minor units"
    days = (loan.paid_ms - bought[-1].transfer.event_time_ms) / DAY_MS
    return (
        Measure(name="funded_minor", observed=brought_minor, expected=0.0, threshold=None, unit=unit),
        Measure(name="bought_minor", observed=bought_minor, expected=0.0, threshold=None, unit=unit),
        Measure(name="share_replaced", observed=round(loan.share(replaced_minor), 4), expected=0.0, threshold=share_min,
                unit="ratio"),
        Measure(name="days_bought_before_payout", observed=round(days, 2), expected=None, threshold=None, unit="days"),
    )  # fmt: skip


def _related(brought: list[Transfer], bought: list[Purchase]) -> tuple[RelatedPayment, ...]:
    bought_seqs = {purchase.transfer.seq for purchase in bought}
    funded = tuple(related("funded", transfer) for transfer in brought if transfer.seq not in bought_seqs)
    return funded + tuple(related("bought", purchase.transfer) for purchase in bought)
