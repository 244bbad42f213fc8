"""What is certain and what is possible: exact bounds on where a loan's money can be, by maximum flow.

An allocation of loan money to payments is feasible if and only if it is a flow in the time-expanded network of the loan's
subgraph: a node per account and stretch of time between its debits, an edge per transfer (capacity: its amount) and per
stretch boundary (capacity: the balance that stayed). Then, for a set of destination transfers,

* ``possible = max-flow(payout -> destinations)``,
* ``certain = paid out - max-flow(payout -> everywhere else)``.

On one account these are the auditors' rule ``max(0, E - (balance before + other inflows))`` and the lowest intermediate
balance. Where the subgraph is cut by a limit, the cut account counts as a way to everywhere *and* to the destinations, so
that the bounds err on the wide side and ``exact`` is False. An account whose opening balance is unknown may have kept
anything, so nothing that passed it is certain.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Collection
from operator import attrgetter

import msgspec
from msgspec import Struct

from detectors.abroad import REMITTED
from detectors.accounts import HELD, IN_TRANSIT, OTHER_BANK, OVERDRAFT
from detectors.lots import Origin, Transfer
from detectors.tracer import LENDER_ACCOUNT, LOAN_REPAYMENT, Tracer

UNLIMITED = 1 << 62
UNKNOWN_NAMED_MAX = 5
_ACCOUNTS = frozenset({HELD, IN_TRANSIT, OTHER_BANK, OVERDRAFT, REMITTED})
"""Places that say nothing of what the money is for."""


class BoundLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """How large a subgraph the bounds are computed on; what is beyond widens them (``exact`` = False)."""

    transfers_max: int = 2_000
    hops_max: int = 8
    state_transfers_max: int = 150  # in the subgraph behind a loan's state, which is bounded once per class of destination


class Bounds(Struct, frozen=True):
    """``certain_minor <= any allocation <= possible_minor`` for one loan and one set of destination transfers."""

    certain_minor: int
    possible_minor: int
    exact: bool
    rests_on: tuple[str, ...]  # what the figures presuppose, in words


class FlowNetwork:
    """A capacitated directed graph with Dinic's maximum flow (E. A. Dinic, 1970) on integer capacities."""

    def __init__(self) -> None:
        self.heads: list[list[int]] = []
        self.ends: list[int] = []
        self.capacities: list[int] = []

    def node(self) -> int:
        """A new node's number."""
        self.heads.append([])
        return len(self.heads) - 1

    def edge(self, tail: int, head: int, capacity: int) -> None:
        """An edge and its residual twin."""
        self.heads[tail].append(len(self.ends))
        self.ends.append(head)
        self.capacities.append(capacity)
        self.heads[head].append(len(self.ends))
        self.ends.append(tail)
        self.capacities.append(0)

    def max_flow(self, source: int, target: int) -> int:
        """The value of a maximum flow; capacities are left as they were."""
        kept = self.capacities
        self.capacities = kept.copy()
        total = 0
        while (levels := self._levels(source, target)) is not None:
            cursors = [0] * len(self.heads)
            while pushed := self._augment(source, target, levels, cursors):
                total += pushed
        self.capacities = kept
        return total

    def _levels(self, source: int, target: int) -> list[int] | None:
        levels = [-1] * len(self.heads)
        levels[source] = 0
        frontier = [source]
        for at in frontier:
            for edge in self.heads[at]:
                head = self.ends[edge]
                if self.capacities[edge] and levels[head] < 0:
                    levels[head] = levels[at] + 1
                    frontier.append(head)
        return levels if levels[target] >= 0 else None

    def _augment(self, source: int, target: int, levels: list[int], cursors: list[int]) -> int:
        """Push along one shortest path, by an explicit stack (paths may be as long as the stream)."""
        path: list[int] = []
        at = source
        while at != target:
            edges = self.heads[at]
            while cursors[at] < len(edges):
                edge = edges[cursors[at]]
                if self.capacities[edge] and levels[self.ends[edge]] == levels[at] + 1:
                    break
                cursors[at] += 1
            if cursors[at] < len(edges):
                path.append(edges[cursors[at]])
                at = self.ends[path[-1]]
            elif not path:
                return 0
            else:
                at = self.ends[path.pop() ^ 1]
                cursors[at] += 1
        pushed = min(self.capacities[edge] for edge in path)
        for edge in path:
            self.capacities[edge] -= pushed
            self.capacities[edge ^ 1] += pushed
        return pushed


class Reach:
    """The transfers that a loan's money can have gone with, in order, up to a moment; ``cut`` accounts lead to the unseen."""

    def __init__(self, tracer: Tracer, origin: Origin, until_seq: int, limits: BoundLimits) -> None:
        self.transfers: list[Transfer] = []
        self.cut: dict[str, None] = {}
        self.unknown: list[str] = []
        self._tracer, self._limits, self._until_seq = tracer, limits, until_seq
        self._hops: dict[str, int] = {}
        self._most: dict[str, int] = {}  # account -> no more than this of the loan can be there now
        self._queue: list[tuple[int, int, Transfer, list[Transfer], int]] = []  # (seq, tie, transfer, its history, place in it)
        self._pushes = 0
        self._seen: set[int] = set()
        self._returns: set[int] = set()  # ids of reversals out of a sink, which holds nothing else that could come back
        for payout in origin.payouts:
            self._push([payout], 0)
        while self._queue:
            if len(self.transfers) >= limits.transfers_max:
                self._cut_the_rest()
                break
            _, _, transfer, history, i = self._queue[0]
            if i + 1 < len(history) and history[i + 1].seq <= until_seq:  # the next of its account takes its place
                self._pushes += 1
                heapq.heapreplace(self._queue, (history[i + 1].seq, self._pushes, history[i + 1], history, i + 1))
            else:
                heapq.heappop(self._queue)
            if id(transfer) not in self._seen:
                self._seen.add(id(transfer))
                self._follow(transfer)

    def _cut_the_rest(self) -> None:
        """Too many transfers: whoever has more of them to make leads to the unseen from here on."""
        for _, _, transfer, _, _ in sorted(self._queue, key=lambda item: item[:2]):
            if transfer.payer == LENDER_ACCOUNT:
                self.transfers.append(transfer)
                self.cut[transfer.payee] = None
            elif transfer.payer in self._hops:
                self.cut[transfer.payer] = None

    def _push(self, history: list[Transfer], i: int) -> None:
        if i < len(history) and history[i].seq <= self._until_seq:
            self._pushes += 1
            heapq.heappush(self._queue, (history[i].seq, self._pushes, history[i], history, i))

    def _follow(self, transfer: Transfer) -> None:
        """Take a transfer in, unless nothing of the loan can be left on its payer."""
        payer, amount = transfer.payer, transfer.amount_minor
        if payer != LENDER_ACCOUNT and id(transfer) not in self._returns:
            most = self._most.get(payer, 0)
            if not most:
                return
            amount = min(amount, most)
            if transfer.payer_after_minor is not None and transfer.payer_after_minor < most:
                self._most[payer] = transfer.payer_after_minor
        self.transfers.append(transfer)
        for undo in transfer.undone_by or ():
            if self.is_sink(transfer.payee, transfer.currency):
                self._returns.add(id(undo))
            self._push([undo], 0)
        self._enter(transfer, amount)

    def _enter(self, transfer: Transfer, amount_minor: int) -> None:
        """The money may have reached the payee: its later debits are to be followed."""
        self._most[transfer.payee] = self._most.get(transfer.payee, 0) + amount_minor
        if transfer.payee in self._hops:
            return
        payee = self._tracer.look(transfer.payee, transfer.currency)
        if payee is None or payee.is_sink:
            return
        hop = self._hops[transfer.payee] = self._hops.get(transfer.payer, -1) + 1
        if not payee.balance_known:
            self.unknown.append(payee.account_id)
        if payee.history is None or payee.history_from_seq > transfer.seq or hop > self._limits.hops_max:
            self.cut[payee.account_id] = None
            return
        if payee.history and payee.history[-1].seq > transfer.seq:
            self._push(payee.history, bisect_right(payee.history, transfer.seq, key=_SEQ))

    def is_sink(self, account_id: str, currency: str) -> bool:
        """Whether money ends there: no debit of it is an edge."""
        account = self._tracer.look(account_id, currency)
        return account is None or account.is_sink

    def unseen_minor(self, paid_out_minor: int) -> int:
        """No more of the loan than this can have gone on to where limits hide it."""
        return min(paid_out_minor, sum(self._most.get(account_id, paid_out_minor) for account_id in self.cut))

    def place_of(self, transfer: Transfer) -> str:
        """Where the transfer's money stands when nothing moves it on."""
        account = self._tracer.look(transfer.payee, transfer.currency)
        return account.place if account is not None else ""

    def leading_to(self, destinations: Collection[int], resting: Collection[str] = ()) -> list[tuple[Transfer, bool]]:
        """The transfers that matter for these destinations: with each, whether its payee can still lead to one of them.

        Money on any other transfer is elsewhere for good, which needs no node. Read backwards, so that "still" means later.
        """
        leads = set(resting)
        bringing_back: set[int] = set()
        kept: list[tuple[Transfer, bool]] = []
        for transfer in reversed(self.transfers):
            onward = transfer.payee in leads
            if id(transfer) in self._returns:
                if onward:
                    bringing_back.add(id(transfer))
                    kept.append((transfer, True))
                continue
            returns = any(id(undo) in bringing_back for undo in transfer.undone_by or ())
            if transfer.seq in destinations or onward or returns:
                leads.add(transfer.payer)
                kept.append((transfer, onward))
            elif transfer.payer in leads or transfer.payer == LENDER_ACCOUNT:
                kept.append((transfer, False))
            if onward:
                bringing_back.add(id(transfer))  # should it be a reversal
        kept.reverse()
        return kept


_SEQ = attrgetter("seq")


class Subgraph:
    """The time-expanded network of one loan for one set of destinations.

    ``destinations`` are transfers (by ``seq``) with which money is gone; on the accounts of ``resting`` it is there as long as
    it has not left again.
    """

    def __init__(
        self, reach: Reach, origin: Origin, destinations: Collection[int], until_seq: int, resting: Collection[str] = ()
    ) -> None:  # fmt: skip
        self.flow = FlowNetwork()
        self.source, self.there, self.elsewhere = self.flow.node(), self.flow.node(), self.flow.node()
        self._reach, self._origin = reach, origin
        self._destinations, self._until_seq = destinations, until_seq
        self._now: dict[str, int] = {}  # account -> its node of the present stretch
        self.widened = False  # a reversal may have returned other money than it had brought
        self.overdraft_reversed = False
        self._inner: dict[int, int] = {}  # id of a reversal -> the node of what it brings back
        payouts = {id(payout) for payout in origin.payouts}
        self.paid_out_minor = sum(payout.amount_minor for payout in origin.payouts if payout.seq <= until_seq)
        kept = reach.leading_to(destinations, resting)
        self._onward = {id(transfer) for transfer, onward in kept if onward}
        seen = [transfer for transfer in reach.transfers if transfer.seq in destinations]
        self.taken_in_minor = (
            sum(transfer.standing_minor for transfer in seen)
            if len(seen) == len(destinations) and not resting
            else self.paid_out_minor
        )
        for transfer, onward in kept:
            if id(transfer) in payouts:
                self._arrive(self.source, transfer, True)
            else:
                self._pass(transfer, onward)
        for account_id, node in self._now.items():
            self.flow.edge(node, self.there if account_id in resting else self.elsewhere, UNLIMITED)

    def bounds(self) -> Bounds:
        """Certain and possible for the destinations."""
        paid_out = self.paid_out_minor
        cut = [self._now[account_id] for account_id in self._reach.cut if account_id in self._now]
        for node in cut:
            self.flow.edge(node, self.elsewhere, UNLIMITED)
        certain = self._routable(paid_out) - self.flow.max_flow(self.source, self.elsewhere)
        # where the subgraph is cut the unseen may lead to the destinations: no more is known than what they took in
        possible = self.taken_in_minor if self._reach.cut else self.flow.max_flow(self.source, self.there)
        if self._origin.funded_late or self.overdraft_reversed:  # ways that the network does not know
            certain, possible = 0, paid_out
        exact = (
            not cut and not self._origin.funded_late and not self._reach.cut and not (self.widened or self.overdraft_reversed)
        )
        return Bounds(max(0, certain), min(possible, paid_out), exact, self._rests_on())

    def _routable(self, paid_out_minor: int) -> int:
        """All of the loan, unless reversals force money back over accounts that were full: then what can flow at all."""
        if not self._inner:
            return paid_out_minor
        anywhere = self.flow.node()
        self.flow.edge(self.there, anywhere, UNLIMITED)
        self.flow.edge(self.elsewhere, anywhere, UNLIMITED)
        routable = self.flow.max_flow(self.source, anywhere)
        self.widened = self.widened or routable < paid_out_minor
        return routable

    def _rests_on(self) -> tuple[str, ...]:
        unknown = [name for name in self._reach.unknown if name in self._now]
        said = [f"opening balance of {name} unknown" for name in unknown[:UNKNOWN_NAMED_MAX]]
        if len(unknown) > UNKNOWN_NAMED_MAX:
            said.append(f"opening balance of {len(unknown) - UNKNOWN_NAMED_MAX} more accounts unknown")
        if self._reach.cut:
            said.append(f"history of {len(self._reach.cut)} accounts cut by a limit")
        if self.widened or self.overdraft_reversed:
            said.append("a reversal over an account that was overdrawn or full")
        if self._origin.funded_late:
            said.append("a credit that arrived late")
        return tuple(said) or ("all balances on the way known",)

    def _pass(self, transfer: Transfer, onward: bool) -> None:
        """A debit ends the payer's stretch: the money goes with the transfer or stays within the balance left."""
        inner = self._inner.get(id(transfer))
        if inner is not None:  # a reversal brings back what had ended at a destination or in a sink
            self._enter(inner, transfer)
        before = self._now.get(transfer.payer)
        if before is None:
            return
        after = self._now[transfer.payer] = self.flow.node()
        stays = transfer.payer_after_minor
        self.flow.edge(before, after, UNLIMITED if stays is None else stays)
        self._arrive(before, transfer, onward)

    def _arrive(self, tail: int, transfer: Transfer, onward: bool) -> None:
        ends_here = transfer.seq in self._destinations
        if onward and not ends_here:
            self._enter(tail, transfer)
            return
        inner = self.flow.node()
        undone = [undo for undo in transfer.undone_by or () if undo.seq <= self._until_seq]
        standing = transfer.amount_minor - sum(undo.amount_minor for undo in undone)
        self.flow.edge(tail, inner, transfer.amount_minor)
        self.flow.edge(inner, self.there if ends_here else self.elsewhere, standing)
        if undone and not self._reach.is_sink(transfer.payee, transfer.currency):
            # the payee may have passed it on before, and have given other money back
            self.widened = True
            self.flow.edge(inner, self.elsewhere, UNLIMITED)
            if onward:
                self._enter(inner, transfer)
        for undo in undone:
            if id(undo) in self._onward:
                self._inner[id(undo)] = inner
            else:
                self.flow.edge(inner, self.elsewhere, undo.amount_minor)

    def _enter(self, tail: int, transfer: Transfer) -> None:
        node = self._now.get(transfer.payee)
        if node is None:
            node = self._now[transfer.payee] = self.flow.node()
        stays = transfer.payee_after_minor
        if stays is not None and stays < transfer.amount_minor:  # an overdraft swallows part of it
            inner = self.flow.node()
            self.flow.edge(tail, inner, transfer.amount_minor)
            reversed_later = bool(transfer.undone_by)  # then the overdraft gives it back: where it was meanwhile is not known
            self.overdraft_reversed = self.overdraft_reversed or reversed_later
            self.flow.edge(inner, node, transfer.amount_minor if reversed_later else max(0, stays))
            self.flow.edge(inner, self.elsewhere, transfer.amount_minor - (0 if reversed_later else max(0, stays)))
        else:
            self.flow.edge(tail, node, transfer.amount_minor)


def whereabouts(tracer: Tracer, origin: Origin, limits: BoundLimits) -> dict[str, tuple[int, Bounds]]:
    """(Attributed, bounds) of a loan's money that is now at each class of destination where the detection ledger finds some.

    Money in a pocket (securities, products) is there until it is redeemed, money with a sink for good; accounts, here or at
    another bank, are no class. A repayment of the loan itself is not told from one of another loan, so that repayments of
    others are not certain once the loan has repaid itself.
    """
    places, repaid_minor, _, _ = origin.statement()
    wanted = {place: minor for place, minor in places.items() if minor > 0 and place not in _ACCOUNTS}
    if not wanted:
        return {}
    reach = Reach(tracer, origin, UNLIMITED, msgspec.structs.replace(limits, transfers_max=limits.state_transfers_max))
    ending: dict[str, set[int]] = {}
    resting: dict[str, set[str]] = {}
    for transfer in reach.transfers:
        place = reach.place_of(transfer)
        if reach.is_sink(transfer.payee, transfer.currency):
            ending.setdefault(place, set()).add(transfer.seq)
        elif place in wanted:
            resting.setdefault(place, set()).add(transfer.payee)
    unseen_minor = reach.unseen_minor(origin.paid_out_minor)
    found: dict[str, tuple[int, Bounds]] = {}
    for place, minor in wanted.items():
        graph = Subgraph(reach, origin, ending.get(place, frozenset()), UNLIMITED, resting.get(place, frozenset()))
        bounds = graph.bounds()
        mixed = place == LOAN_REPAYMENT and repaid_minor > 0
        certain = 0 if mixed else min(bounds.certain_minor, minor)
        possible = max(minor, min(origin.paid_out_minor, bounds.possible_minor + unseen_minor))
        found[place] = minor, Bounds(certain, possible, bounds.exact and not mixed, bounds.rests_on)
    return found


def bounds_of(
    tracer: Tracer, origin: Origin, destinations: Collection[int], until_seq: int, limits: BoundLimits | None = None
) -> Bounds:
    """Bounds on how much of a loan's money went with the transfers whose ``seq`` is in ``destinations``, up to ``until_seq``.

    Returns:
        :class:`Bounds`; 0 and 0 when there are no destinations.
    """
    if not destinations:
        return Bounds(0, 0, True, ("nothing to bound",))
    reach = Reach(tracer, origin, until_seq, limits or BoundLimits())
    payouts = {payout.seq for payout in origin.payouts}  # where the money starts is no destination
    return Subgraph(reach, origin, frozenset(destinations) - payouts, until_seq).bounds()
