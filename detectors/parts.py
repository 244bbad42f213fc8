"""An engine's state in parts of which a checkpoint writes only what has changed.

Plain accounts are rows (:mod:`detectors.rows`), profiles of counterparties too; the ids seen and the scored payments that wait
for an outcome are two generations that only grow; the rest, in which
loans, lots, trails, legs and the accounts tied by them refer to each other, is one graph. In the graph plain accounts stand
by their key, so that an account is one object again wherever it is met after loading.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from detectors import snapshot
from detectors.accounts import Account
from detectors.engine import SNAPSHOT_VERSION, Engine
from detectors.learners.triage import Halves
from detectors.lots import Transfer
from detectors.recent import Recent
from detectors.rows import ColdAccounts

Key = tuple[str, str]
"""(currency, account id)."""


def graph_of(engine: Engine, entangled: Collection[Key]) -> dict[str, Any]:
    """All state but plain accounts and the ids seen, as plain data.

    Args:
        entangled: the accounts that stand in the graph, every one of them.
    """
    tracer = engine.tracer
    tied = set(entangled)

    def has_row(account: Account) -> bool:
        if tracer.accounts.get(account.currency, {}).get(account.account_id) is not account:
            return False  # it was closed: only those that mention it know it
        stands_here = (account.currency, account.account_id) in tied
        assert stands_here or account.holdings is None, f"account {account.account_id} was changed untouched"
        return not stands_here

    state: dict[str, Any] = {name: value for name, value in vars(engine).items() if name in engine.state and name != "seen"}
    state["entangled"] = [tracer.accounts[currency][account_id] for currency, account_id in entangled]
    return {
        "version": SNAPSHOT_VERSION,
        "state": snapshot.freeze(state, has_row),
        "detectors": {detector.code: dict(detector.snapshot()) for detector in engine.detectors},
        "triage": {**engine.triage.small_parts(), "learned": engine.triage.learned()},
        "calibration": engine.calibration.snapshot(),
    }


def engine_of(
    fresh: Engine,
    graph: Mapping[str, Any],
    cold: ColdAccounts,
    seen: Recent[int],
    profiles: tuple[list[str], bytes] = ([], b""),
    waiting: Halves | None = None,
) -> Engine:
    """The engine whose parts these are; its plain accounts stay packed until something asks for them.

    Args:
        fresh: an engine of their configuration and book that has seen nothing yet; it is the one returned.
        cold: the plain accounts.
        profiles: accounts and packed rows of counterparty profiles, in their order.
        waiting: scored payments that wait for an outcome, those with one among them.

    Raises:
        LookupError: the parts do not belong together.
    """
    warm: dict[Key, Account] = {}

    def account(currency: str, account_id: str) -> Account:
        found = warm.get((currency, account_id)) or cold.take(currency, account_id)
        if found is None:
            raise LookupError(f"account {account_id} in {currency} is mentioned and has no row")
        warm[currency, account_id] = found
        return found

    def meet(transfers: dict[int, Transfer]) -> None:
        cold.resident = transfers

    state = snapshot.thaw(graph["state"], fresh.configuration, account, meet)
    engine = fresh
    engine.seen = seen
    for tied in state.pop("entangled"):
        warm[tied.currency, tied.account_id] = tied
    vars(engine).update(state)
    for (currency, account_id), one in warm.items():
        engine.tracer.accounts.setdefault(currency, {})[account_id] = one
    engine.legs.count_awaited()
    cold.resident = {
        seq: transfer for seq, transfer in cold.resident.items() if (transfer.currency, transfer.payer) in cold.holders
    }
    engine.tracer.cold = cold
    engine.begin()
    for detector in engine.detectors:
        detector.restore(graph["detectors"][detector.code])
    engine.triage.take_rows(*profiles)
    engine.triage.take_small_parts(graph["triage"])
    if waiting is not None:
        engine.triage.waiting = waiting
        for txn_id in graph["triage"]["learned"]:
            (waiting.new if txn_id in waiting.new else waiting.old)[txn_id] = None
    engine.calibration.restore(graph["calibration"])
    return engine
