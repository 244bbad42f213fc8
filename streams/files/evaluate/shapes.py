"""What a pattern of payments looks like: named by who pays whom, for answer keys that only number their patterns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable


def shape_of(payments: Iterable[tuple[str, str]]) -> str:
    """One word: cycle, fan_in, fan_out, bipartite, gather_scatter, scatter_gather, chain, layers, single or other.

    >>> shape_of([("a", "hub"), ("b", "hub"), ("c", "hub")])
    'fan_in'
    >>> shape_of([("a", "b"), ("b", "c"), ("c", "a")])
    'cycle'
    """
    payees: dict[str, set[str]] = defaultdict(set)
    payers: dict[str, set[str]] = defaultdict(set)
    for payer, payee in payments:
        payees[payer].add(payee)
        payers[payee].add(payer)
    both = payees.keys() & payers.keys()
    sources, sinks = payees.keys() - both, payers.keys() - both
    if not sources and not sinks:
        is_ring = all(len(payees[name]) == 1 and len(payers[name]) == 1 for name in both)
        return "cycle" if is_ring else "other"
    if not both:
        if len(sinks) == 1:
            return "fan_in" if len(sources) > 1 else "single"
        return "fan_out" if len(sources) == 1 else "bipartite"
    if len(both) == 1:
        return "gather_scatter" if len(sources) > 1 or len(sinks) > 1 else "chain"
    if all(len(payees[name]) == 1 and len(payers[name]) == 1 for name in both):
        through = {next(iter(payers[name])) for name in both} <= sources and {
            next(iter(payees[name])) for name in both
        } <= sinks
        if through and len(sources) == 1 and len(sinks) == 1:
            return "scatter_gather"
        if len(sources) == 1 and len(sinks) == 1 and len(both) == sum(map(len, payees.values())) - 1:
            return "chain"
    return "layers"
