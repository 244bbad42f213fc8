"""Maximum flow on loan subgraphs: the product's own Dinic, networkx and SciPy, on the same networks.

Usage: ``python benchmarks/maxflow.py [--sizes 20,200,2000] [--loans N] [--loan-minor 500000000] [--seed S] [--json FILE]``

A loan spreads through a little economy by seeded payments; the networks are those that :func:`detectors.bounds.bounds_of`
builds for it, taken down as it asks for their flows. Times are CPU seconds per flow, the best of three; building the graph
in the library's own form, which the product would have to do too, is timed apart and counted in the ratio. Compare ratios,
not seconds.
``answer`` is a digest of all flow values: the same for every method that is exact.

SciPy's maximum flow takes 32-bit capacities only, at most 2,147,483,647 minor units: CNY 21,474,836.47. Capacities are cut to
the money that the source can send, which changes no flow; a loan above that limit would still have to be divided down, and
the bounds would no longer be exact. Such networks are reported as ``too large``, not computed wrongly.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from rich.console import Console
from rich.table import Table

from detectors import bounds
from detectors.accounts import HELD
from detectors.bounds import BoundLimits, FlowNetwork, bounds_of
from detectors.lots import Origin, Transfer
from detectors.tracer import LENDER_ACCOUNT, TraceLimits, Tracer

ACCOUNTS_PER_TRANSFERS = 8  # an account makes about this many payments of a loan's subgraph
SINK_SHARE = 0.3
INT32_MAX = 2**31 - 1
T = TypeVar("T")


class Network(NamedTuple):
    """A flow problem as plain data: capacities are cut to what the source can send."""

    nodes: int
    source: int
    target: int
    edges: list[tuple[int, int, int]]  # tail, head, capacity


class Recorder(FlowNetwork):
    """Takes down every flow problem it is asked, then solves it."""

    taken: list[Network]

    def max_flow(self, source: int, target: int) -> int:
        """As :meth:`FlowNetwork.max_flow`."""
        self.taken.append(network_of(self, source, target))
        return super().max_flow(source, target)


def network_of(flow: FlowNetwork, source: int, target: int) -> Network:
    """The problem as edges; every second stored edge is a residual twin and carries nothing."""
    edges = [(flow.ends[i + 1], flow.ends[i], flow.capacities[i]) for i in range(0, len(flow.ends), 2)]
    supply = sum(capacity for tail, _, capacity in edges if tail == source)
    return Network(len(flow.heads), source, target, [(tail, head, min(capacity, supply)) for tail, head, capacity in edges])


# --- networks -----------------------------------------------------------------------------------------------------------


def loan_networks(transfers: int, loan_minor: int, chance: random.Random) -> list[Network]:
    """The networks of ``certain`` and ``possible`` for one loan that spreads over about ``transfers`` payments."""
    tracer = Tracer(("loan_first", "fifo"), TraceLimits(hops_max=50, history_transfers_max=10**6))
    names = [f"A{i}" for i in range(max(3, transfers // ACCOUNTS_PER_TRANSFERS))]
    for name in names:
        account = tracer.account(name, "CNY", HELD)
        account.balance_known, account.balance_minor = True, chance.randrange(1 + loan_minor // 10)
    for sink in ("broker", "shop"):
        tracer.account(sink, "CNY", sink.upper(), True)
    origin = tracer.open_origin("L1", 0)
    payout = Transfer(tracer.next_seq(), "payout", 0, LENDER_ACCOUNT, names[0], loan_minor, "CNY", "LOAN")
    tracer.pay_out(origin, payout, tracer.account(names[0], "CNY", HELD))
    to_broker = [paid.seq for paid in _spread(tracer, names, transfers, chance) if paid.payee == "broker"]
    return _taken_down(tracer, origin, to_broker, transfers)


def _spread(tracer: Tracer, names: list[str], transfers: int, chance: random.Random) -> Iterator[Transfer]:
    """Payments by accounts that hold money, mostly the loan's, with shares of their balance like a trader's."""
    reached = [names[0]]
    for i in range(transfers):
        payer = tracer.account(chance.choice(reached), "CNY", HELD)
        if payer.balance_minor < 2:
            continue
        into_sink = chance.random() < SINK_SHARE
        others = ("broker", "shop") if into_sink else [name for name in names if name != payer.account_id]
        payee_id = chance.choice(others)
        payee = tracer.account(payee_id, "CNY", HELD)
        amount = max(1, payer.balance_minor * chance.randrange(5, 60) // 100)
        transfer = Transfer(tracer.next_seq(), f"t{i}", i, payer.account_id, payee_id, amount, "CNY", "X")
        tracer.pay(transfer, payer, payee)
        if not into_sink and payee_id not in reached:
            reached.append(payee_id)
        yield transfer


def _taken_down(tracer: Tracer, origin: Origin, destinations: list[int], transfers: int) -> list[Network]:
    Recorder.taken = []
    own = bounds.FlowNetwork
    bounds.FlowNetwork = Recorder  # type: ignore[misc]
    try:
        bounds_of(tracer, origin, destinations, 10**12, BoundLimits(transfers_max=2 * transfers + 10, hops_max=10**6))
    finally:
        bounds.FlowNetwork = own  # type: ignore[misc]
    return Recorder.taken


# --- methods ------------------------------------------------------------------------------------------------------------

Solve = Callable[[], int]
Build = Callable[[Network], Solve | None]


def dinic(network: Network) -> Solve:
    """The product's own."""
    flow = FlowNetwork()
    for _ in range(network.nodes):
        flow.node()
    for tail, head, capacity in network.edges:
        flow.edge(tail, head, capacity)
    return lambda: flow.max_flow(network.source, network.target)


def networkx_by(name: str) -> Build:
    """One of networkx's algorithms by name."""
    from networkx import DiGraph, maximum_flow_value
    from networkx.algorithms import flow as algorithms

    def build(network: Network) -> Solve:
        graph = DiGraph()
        graph.add_nodes_from((network.source, network.target))
        for (tail, head), capacity in _joined(network).items():
            graph.add_edge(tail, head, capacity=capacity)
        by = getattr(algorithms, name)
        return lambda: int(maximum_flow_value(graph, network.source, network.target, flow_func=by))

    return build


def scipy_dinic(network: Network) -> Solve | None:
    """SciPy's Dinic on a sparse matrix; None when an edge does not fit 32 bits."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_flow

    joined = {pair: capacity for pair, capacity in _joined(network).items() if capacity}
    supply = sum(capacity for (tail, _), capacity in joined.items() if tail == network.source)
    if supply > INT32_MAX:
        return None
    tails, heads = [tail for tail, _ in joined], [head for _, head in joined]
    capacities = [min(capacity, supply) for capacity in joined.values()]
    matrix = csr_array((capacities, (tails, heads)), shape=(network.nodes, network.nodes), dtype="int32")
    return lambda: int(maximum_flow(matrix, network.source, network.target).flow_value)


def _joined(network: Network) -> dict[tuple[int, int], int]:
    """Parallel edges as one, which these libraries need; the sum is cut again, so that it never overflows."""
    supply = sum(capacity for tail, _, capacity in network.edges if tail == network.source)
    joined: dict[tuple[int, int], int] = {}
    for tail, head, capacity in network.edges:
        joined[tail, head] = min(supply, joined.get((tail, head), 0) + capacity)
    return joined


def methods() -> dict[str, Build]:
    """All methods by name; those whose library is not installed are left out."""
    found: dict[str, Build] = {"own Dinic": dinic}
    try:
        for name in ("preflow_push", "shortest_augmenting_path"):
            found[f"networkx {name}"] = networkx_by(name)
    except ImportError:
        pass
    try:
        import scipy.sparse.csgraph  # noqa: F401
    except ImportError:
        return found
    found["scipy maximum_flow"] = scipy_dinic
    return found


# --- measuring ----------------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """One method at one size. Seconds are per flow; ``answer`` is "too large" when amounts do not fit."""

    transfers: int
    nodes: int
    edges: int
    method: str
    build_s: float
    flow_s: float
    answer: str


def measure(transfers: int, loans: int, loan_minor: int, seed: int) -> list[Row]:
    """All methods on the networks of ``loans`` seeded loans."""
    chance = random.Random(seed)
    networks = [network for _ in range(loans) for network in loan_networks(transfers, loan_minor, chance)]
    return [_row(transfers, name, build, networks) for name, build in methods().items()]


def _row(transfers: int, name: str, build: Build, networks: list[Network]) -> Row:
    nodes = sum(network.nodes for network in networks) // len(networks)
    edges = sum(len(network.edges) for network in networks) // len(networks)
    build_s, solvers = _best_of_three(lambda: [solve for network in networks if (solve := build(network)) is not None])
    build_s /= len(networks)
    if len(solvers) < len(networks):
        return Row(transfers, nodes, edges, name, build_s, 0.0, "too large")
    flow_s, values = _best_of_three(lambda: [solve() for solve in solvers])
    answer = hashlib.blake2b(repr(values).encode(), digest_size=6).hexdigest()
    return Row(transfers, nodes, edges, name, build_s, flow_s / len(networks), answer)


def _best_of_three(work: Callable[[], T]) -> tuple[float, T]:
    best, done = float("inf"), None
    for _ in range(3):
        gc.collect()
        start = time.process_time()
        done = work()
        best = min(best, time.process_time() - start)
    assert done is not None
    return best, done


def show(rows: list[Row]) -> None:
    """Print the rows; ratios are to the product's own at the same size, building included."""
    table = Table("transfers", "nodes", "edges", "method", "build, ms", "flow, ms", "ratio", "answer")
    own = {row.transfers: row.build_s + row.flow_s for row in rows if row.method == "own Dinic"}
    for row in rows:
        ratio = f"{(row.build_s + row.flow_s) / own[row.transfers]:.2f}" if row.answer != "too large" else ""
        figures = (f"{row.build_s * 1000:.3f}", f"{row.flow_s * 1000:.3f}" if ratio else "", ratio)
        table.add_row(str(row.transfers), str(row.nodes), str(row.edges), row.method, *figures, row.answer)
    Console(width=120).print(table)


def main(arguments: list[str] | None = None) -> list[Row]:
    """Run from the command line; returns what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default="20,200,2000", help="payments per loan, separated by commas")
    parser.add_argument("--loans", type=int, default=10)
    parser.add_argument("--loan-minor", type=int, default=500_000_000, help="the loan; CNY 5,000,000.00 by default")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    rows = [row for size in given.sizes.split(",") for row in measure(int(size), given.loans, given.loan_minor, given.seed)]
    show(rows)
    if given.json is not None:
        given.json.write_text(json.dumps([row._asdict() for row in rows], indent=1) + "\n")
    return rows


if __name__ == "__main__":
    main()
