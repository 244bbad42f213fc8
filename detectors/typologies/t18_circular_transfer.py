"""T18 CIRCULAR_TRANSFER: loan money comes back to an account it had left, round strangers, in like amounts."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from detectors.alert_record import LookAlike, Measure
from detectors.detector import Context
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.lots import Transfer
from detectors.tracer import Parcel
from detectors.use_rule import UseRule, clears
from detectors.uses import OTHER, PURCHASE
from detectors.verdict import Weighed

HOUR_MS = 3_600_000
Edge = tuple[str, str]


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.20  # of the loan that went round
    edges_min: Annotated[int, Meta(ge=2, le=100)] = 3  # there and back between two accounts is trade or a refund
    edges_max: Annotated[int, Meta(ge=2, le=100)] = 5
    hours_max: Annotated[int, Meta(ge=1, le=8760)] = 72
    tolerance: Annotated[float, Meta(ge=0, lt=1)] = 0.05  # by which one edge may differ from the next


class CircularTransfer(UseRule[Parameters]):
    """A circle of transfers among accounts that are not the borrower's side.

    What comes back to the borrower's side is T05's, so that one flow is not told twice. Misses circles through another bank,
    and circles in which an account keeps more than the tolerance.
    """

    code = "T18"
    name = "CIRCULAR_TRANSFER"
    name_zh = "循环转账"
    kind = "PATTERN"
    uses = frozenset({OTHER, PURCHASE})
    Parameters = Parameters
    destination_en = "round in a circle"
    destination_zh = "循环转账"
    checks = (
        "Draw the circle with all its accounts and owners",
        "Ask for the trade behind each edge",
        "Look for other loans whose money went through the same accounts",
    )
    measures = (
        "watch the accounts of the circle",
        "enhanced due diligence on their owners",
        "ask for proof of trade after review",
    )

    def counts(self, passage: Passage, context: Context) -> bool:
        loan = passage.loan
        rules = self.parameters(loan, context)
        if passage.hops < rules.edges_min:
            return False
        if not any(_circle(parcel, rules) for parcel in passage.parcels):
            return False
        return context.side(loan, passage.payee, passage.transfer.event_time_ms) is None

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def destination(self, hits: list[Passage]) -> tuple[str, str]:
        members = list(dict.fromkeys(transfer.payer for hit in hits for transfer in _way(hit)))
        return f"round the circle {' -> '.join([*members, members[0]])}", f"在{'、'.join(members)}之间循环转账"

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        rules = self.parameters(loan, context)
        edges = _edges(hits)
        differ = _largest_step(edges)
        traded = any(_traded_before(edge, loan, context) for edge in edges)
        grouped = all(_of_one_group(edge, loan, hits[-1].transfer.event_time_ms, context) for edge in edges)
        return (
            clears("amounts_differ", differ > rules.tolerance, f"one edge differs from the next by {differ:.1%}"),
            clears("two_way_trade", traded, "two of the accounts had paid each other before the loan" if traded
                   else "no trade between the accounts before the loan"),
            clears("group_treasury", grouped, "all accounts belong to one group" if grouped
                   else "the accounts are of no common group"),
        )  # fmt: skip

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """A pattern, whatever the certain share."""
        finding = super().judge(loan, hits, context)
        measure = Measure(name="largest_step", observed=round(_largest_step(_edges(list(finding.hits))), 4), expected=None,
                          threshold=self.parameters(loan, context).tolerance, unit="ratio")  # fmt: skip
        return msgspec.structs.replace(
            finding, measures=(*finding.measures, measure), severity="MEDIUM", account_id=finding.hits[-1].payee.account_id
        )


def _circle(parcel: Parcel, rules: Parameters) -> list[Transfer]:
    """The last transfers of a parcel's way that lead from an account back to it; empty when they are none by the rules."""
    way = parcel.trail.transfers()[1:]
    home = way[-1].payee
    for length in range(rules.edges_min, min(rules.edges_max, len(way)) + 1):
        circle = way[-length:]
        if circle[0].payer == home:
            quick = circle[-1].event_time_ms - circle[0].event_time_ms <= rules.hours_max * HOUR_MS
            return circle if quick else []
    return []


def _way(hit: Passage) -> list[Transfer]:
    """The transfers of the circles that a passage closes, each from the last time that the money left the payee's account."""
    circles: dict[int, Transfer] = {}
    for parcel in hit.parcels:
        way = parcel.trail.transfers()[1:]
        starts = [i for i, transfer in enumerate(way) if transfer.payer == hit.payee.account_id]
        if starts:
            circles.update((transfer.seq, transfer) for transfer in way[starts[-1] :])
    return [circles[seq] for seq in sorted(circles)]


def _edges(hits: list[Passage]) -> dict[Edge, int]:
    """(payer, payee) -> what stands of the transfers between them, split payments summed."""
    transfers = {transfer.seq: transfer for hit in hits for transfer in _way(hit)}
    edges: dict[Edge, int] = {}
    for transfer in transfers.values():
        edge = (transfer.payer, transfer.payee)
        edges[edge] = edges.get(edge, 0) + transfer.standing_minor
    return edges


def _largest_step(edges: dict[Edge, int]) -> float:
    """By how much of the larger one an edge differs from the next at most."""
    amounts = list(edges.values())
    return max((1 - min(pair) / max(1, *pair) for pair in pairwise(amounts)), default=1.0)


def _traded_before(edge: Edge, loan: Loan, context: Context) -> bool:
    """The payee of an edge had paid its payer before the loan."""
    payee = context.tracer.look(edge[1], loan.account.currency)
    return payee is not None and payee.paid_before(edge[0], loan.paid_ms)


def _of_one_group(edge: Edge, loan: Loan, at_ms: int, context: Context) -> bool:
    accounts = [context.tracer.look(name, loan.account.currency) for name in edge]
    one, other = [context.party_of(account) if account is not None else None for account in accounts]
    if one is None or other is None:
        return False
    return one == other or (other, "GROUP_MEMBER") in context.parties.roles(one, at_ms)
