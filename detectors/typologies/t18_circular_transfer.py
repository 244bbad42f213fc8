"""T18 CIRCULAR_TRANSFER: loan money comes back to an account it had left, round strangers, in like amounts."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from detectors.alert_record import LookAlike, Measure
from detectors.detector import Context
from detectors.finding import Finding
from detectors.group_rule import together
from detectors.groups import Group
from detectors.loans import Loan, Passage
from detectors.lots import Transfer
from detectors.money import format_money
from detectors.tracer import Parcel
from detectors.use_rule import UseRule, clears
from detectors.uses import OTHER, PURCHASE
from detectors.verdict import Weighed

HOUR_MS = 3_600_000
NAMED_MAX = 3
"""Loans that the sentence names; the members of the alert are all of them."""
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

    Each loan is weighed by itself; those whose circles lead through the account where the first of them closed are one group
    and one alert, which names as members the loans that stand. What comes back to the borrower's side is T05's, so that one
    flow is not told twice. Misses circles through another bank, and circles in which an account keeps more than the
    tolerance.
    """

    code = "T18"
    name = "CIRCULAR_TRANSFER"
    name_zh = "循环转账"
    kind = "PATTERN"
    uses = frozenset({OTHER, PURCHASE})
    sees_one_book = True  # which loans go round the same accounts
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
        return msgspec.structs.replace(finding, measures=(*finding.measures, measure), severity="MEDIUM")

    def _judge_all(self, loan: Loan, context: Context) -> tuple[Finding, ...]:
        """The finding on the loan's group, once the loan stands or has stood."""
        alone = self.judge(loan, loan.hits[self.code], context)
        group = next(iter(context.groups.groups_of(self.code, loan)), None)
        if group is None and not alone.stands:
            return (alone,)
        group = group if group is not None else self._group_of(alone, context)
        joins = alone.stands and loan.origin.number not in group.loans
        for hit in alone.hits if alone.stands else ():
            context.groups.join(group, hit)
        others = [member for member in group.loans.values() if member is not loan]
        findings = [self.judge(member, member.hits[self.code], context) for member in others]
        return (self._of_group(group, [alone, *findings], joins, context),)

    def _group_of(self, alone: Finding, context: Context) -> Group:
        """The group around an account of the loan's circles; a new one around where its last circle closes."""
        closes, currency = alone.hits[-1].payee.account_id, alone.hits[-1].transfer.currency
        names = dict.fromkeys((closes, *(transfer.payer for hit in alone.hits for transfer in _way(hit))))
        known = (context.groups.find(self.code, name, currency) for name in names)
        return next((group for group in known if group is not None), None) or context.groups.of(self.code, closes, currency)

    def _of_group(self, group: Group, findings: list[Finding], joins: bool, context: Context) -> Finding:
        """One finding on all members that stand; on the last ones when none does any more."""
        standing = [finding for finding in findings if finding.stands]
        released = [finding.loan for finding in findings if not finding.stands and finding.loan is not None]
        for loan in released if standing else ():
            context.groups.leave(group, loan)
        told = standing or findings
        strongest = max(told, key=lambda finding: finding.score)
        hits = sorted((hit for finding in told for hit in finding.hits), key=lambda hit: hit.transfer.seq)
        traced = sum(finding.traced_minor for finding in told)
        bounds = together([finding.bounds for finding in told], traced) if len(told) > 1 else strongest.bounds
        return msgspec.structs.replace(
            strongest, loan=None, group=group, stands=bool(standing), hits=tuple(hits), bounds=bounds, traced_minor=traced,
            fifo_minor=sum(finding.fifo_minor for finding in told), account_id=group.account_id,
            measures=strongest.measures if len(told) == 1 else _of_members(group, traced), is_news=joins or bool(released),
            sentence=self._sentence(group, hits, traced), released=tuple(released) if standing else (),
        )  # fmt: skip

    def _sentence(self, group: Group, hits: list[Passage], traced_minor: int) -> tuple[str, str]:
        names = [loan.loan_id for loan in group.loans.values()]
        english, chinese = self.destination(hits)
        more_en, more_zh = (", ...", "等") if len(names) > NAMED_MAX else ("", "")
        amount, named = format_money(traced_minor, group.currency), names[:NAMED_MAX]
        loans = "1 loan" if len(names) == 1 else f"{len(names)} loans"
        return (
            f"Of {loans} ({', '.join(named)}{more_en}) {amount} went {english}.",
            f"{len(names)}笔贷款（{'、'.join(named)}{more_zh}）中共{amount}{chinese}。",
        )


def _of_members(group: Group, traced_minor: int) -> tuple[Measure, ...]:
    """What is measured of several loans together."""
    borrowers = {loan.borrower_id or loan.loan_id for loan in group.loans.values()}
    share = round(group.share(traced_minor), 4)
    return (
        Measure(name="borrowers", observed=len(borrowers), expected=None, threshold=None, unit="borrowers"),
        Measure(name="share_of_loans_attributed", observed=share, expected=None, threshold=None, unit="ratio"),
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
