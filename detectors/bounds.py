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
from collections.abc import Collection

from msgspec import Struct

from detectors.accounts import Account
from detectors.lots import Origin, Transfer
from detectors.tracer import Tracer

UNLIMITED = 1 << 62


class BoundLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """How large a subgraph the bounds are computed on; what is beyond widens them (``exact`` = False)."""

    transfers_max: int = 2_000
    hops_max: int = 8


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


class Subgraph:
    """The network of one loan up to a moment, built in the order of its transfers."""

    def __init__(
        self, tracer: Tracer, origin: Origin, destinations: Collection[int], until_seq: int, limits: BoundLimits
    ) -> None:
        self.flow = FlowNetwork()
        self.source, self.there, self.elsewhere = self.flow.node(), self.flow.node(), self.flow.node()
        self.exact = not origin.funded_late
        self.unknown: list[str] = []
        self.cut: list[str] = []
        self._tracer, self._limits = tracer, limits
        self._destinations, self._until_seq = destinations, until_seq
        self._now: dict[str, int] = {}  # account -> its node of the present stretch
        self._hops: dict[str, int] = {}
        self._inner: dict[int, int] = {}  # id of a reversal -> the node of what it brings back
        self._queue: list[tuple[int, int, Transfer]] = []
        self._queued: set[int] = set()
        self._build(origin)

    def bounds(self, paid_out_minor: int) -> Bounds:
        """Certain and possible for the destinations."""
        for account_id in self.cut:
            self.flow.edge(self._now[account_id], self.elsewhere, UNLIMITED)
        certain = paid_out_minor - self.flow.max_flow(self.source, self.elsewhere)
        for account_id in self.cut:
            self.flow.edge(self._now[account_id], self.there, UNLIMITED)
        possible = self.flow.max_flow(self.source, self.there)
        return Bounds(max(0, certain), min(possible, paid_out_minor), self.exact and not self.cut, self._rests_on())

    def _rests_on(self) -> tuple[str, ...]:
        said = [f"opening balance of {name} unknown" for name in self.unknown[:5]]
        if len(self.unknown) > 5:
            said.append(f"opening balance of {len(self.unknown) - 5} more accounts unknown")
        if self.cut:
            said.append(f"history of {len(self.cut)} accounts cut by a limit")
        if not self.exact:
            said.append("a credit that arrived late")
        return tuple(said) or ("all balances on the way known",)

    def _build(self, origin: Origin) -> None:
        for payout in origin.payouts:
            self._push(payout)
        taken = 0
        while self._queue:
            _, _, transfer = heapq.heappop(self._queue)
            taken += 1
            if taken > self._limits.transfers_max and transfer not in origin.payouts:
                self._cut_account(transfer.payer)
                continue
            if transfer in origin.payouts:
                self._arrive(self.source, transfer, 0)
            else:
                self._pass(transfer)
        for node in self._now.values():
            self.flow.edge(node, self.elsewhere, UNLIMITED)

    def _push(self, transfer: Transfer) -> None:
        if transfer.seq <= self._until_seq and id(transfer) not in self._queued:
            self._queued.add(id(transfer))
            heapq.heappush(self._queue, (transfer.seq, len(self._queued), transfer))

    def _pass(self, transfer: Transfer) -> None:
        """A debit ends the payer's stretch: the money goes with the transfer or stays within the balance left."""
        inner = self._inner.get(id(transfer))
        if inner is not None:
            self._come_back(inner, transfer)
        if transfer.payer not in self._now:
            return
        before = self._now[transfer.payer]
        after = self._now[transfer.payer] = self.flow.node()
        stays = transfer.payer_after_minor
        self.flow.edge(before, after, UNLIMITED if stays is None else stays)
        self._arrive(before, transfer, self._hops[transfer.payer] + 1)

    def _arrive(self, tail: int, transfer: Transfer, hop: int) -> None:
        standing = transfer.amount_minor - sum(
            undo.amount_minor for undo in transfer.undone_by or () if undo.seq <= self._until_seq
        )
        payee = self._tracer.find(transfer.payee, transfer.currency)
        ends_here = transfer.seq in self._destinations and hop > 0
        if ends_here or payee is None or payee.is_sink:
            head = self.there if ends_here else self.elsewhere
            inner = self.flow.node()
            self.flow.edge(tail, inner, transfer.amount_minor)
            self.flow.edge(inner, head, standing)
            for undo in transfer.undone_by or ():
                self._inner[id(undo)] = inner
                self._push(undo)
            return
        self._enter(tail, transfer, payee, hop)

    def _come_back(self, inner: int, undo: Transfer) -> None:
        """A reversal brings back what had ended at a destination or in a sink."""
        payer = self._tracer.find(undo.payee, undo.currency)
        assert payer is not None, f"{undo.txn_id} returns money to {undo.payee}, which is not known"
        self._enter(inner, undo, payer, self._hops[undo.payee])

    def _enter(self, tail: int, transfer: Transfer, payee: Account, hop: int) -> None:
        node = self._now.get(payee.account_id)
        if node is None:
            node = self._now[payee.account_id] = self.flow.node()
            self._hops[payee.account_id] = hop
            self._open(payee, transfer.seq, hop)
        stays = transfer.payee_after_minor
        if stays is not None and stays < transfer.amount_minor:  # an overdraft swallows part of it
            inner = self.flow.node()
            self.flow.edge(tail, inner, transfer.amount_minor)
            self.flow.edge(inner, node, max(0, stays))
            self.flow.edge(inner, self.elsewhere, transfer.amount_minor - max(0, stays))
        else:
            self.flow.edge(tail, node, transfer.amount_minor)

    def _open(self, payee: Account, seq: int, hop: int) -> None:
        """The money reaches an account for the first time: its later debits become edges."""
        if not payee.balance_known:
            self.unknown.append(payee.account_id)
        if payee.history is None or payee.history_from_seq > seq or hop > self._limits.hops_max:
            self._cut_account(payee.account_id)
            return
        for transfer in payee.history:
            if transfer.seq > seq:
                self._push(transfer)

    def _cut_account(self, account_id: str) -> None:
        if account_id not in self.cut and account_id in self._now:
            self.cut.append(account_id)


def bounds_of(
    tracer: Tracer, origin: Origin, destinations: Collection[int], until_seq: int, limits: BoundLimits | None = None
) -> Bounds:
    """Bounds on how much of a loan's money went with the transfers whose ``seq`` is in ``destinations``, up to ``until_seq``.

    Returns:
        :class:`Bounds`; 0 and 0 when there are no destinations.
    """
    if not destinations:
        return Bounds(0, 0, True, ("nothing to bound",))
    subgraph = Subgraph(tracer, origin, frozenset(destinations), until_seq, limits or BoundLimits())
    return subgraph.bounds(origin.paid_out_minor)
