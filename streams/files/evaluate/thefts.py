"""Evaluate: fold a labelled folder through the product's own engine and compare what it followed with the answer key.

Traced thefts (a folder like ``laundernet/cluster-3``): each source becomes a disbursement of what it pays out at first hand,
and the experts' flows are the key. They hold illicit flows only, so this measures coverage, never precision. Values there
are dollar valuations at the time of each flow, not booked amounts, so gains on the followed money are followed too, up to
``gain_percent_max``; every limit can be set in the settings file.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from detectors.configuration import Configuration
from detectors.engine import Engine
from detectors.events import AccountTransaction
from detectors.tracer import Movement, TraceLimits
from streams.files.convert import convert
from streams.files.inputs import InputError, find_topic_files
from streams.files.readers import open_sources
from streams.files.rejects import Reject
from streams.files.replay import Tally, fold

FLOWS, SOURCES, TERMINALS = "flows.csv", "sources.txt", "terminals.txt"

VALUED_FLOWS = TraceLimits(hops_max=1_000, lot_minor_min=100, age_days_max=3_650, gain_percent_max=25)
"""Limits for traced thefts: no hop or age limit in effect, parcels from one dollar, a quarter of gain. A settings file with a
``[trace]`` section replaces them."""


class MissedFlow(msgspec.Struct, frozen=True):
    """A flow of the answer key that no followed money went with."""

    txn_id: str
    event_time: str
    payer: str
    payee: str
    amount_minor: int
    why: str


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the experts' flows the one streaming pass has followed. Shares are ratios of 1."""

    flow_coverage_count: float  # flows that carried followed money / flows
    flow_coverage_amount: float  # their amounts / all amounts
    flow_attributed_amount: float  # followed money itself / all amounts
    terminal_coverage_count: float  # terminals that followed money reached / terminals that any flow reaches
    terminal_coverage_amount: float  # amounts of covered flows into terminals / amounts of all flows into terminals
    flows: int
    terminals: int
    rejected: int
    limits: TraceLimits
    missed: list[MissedFlow]
    seconds: float


def evaluate(directory: Path, *, configuration: Configuration) -> Coverage:
    """Measure one folder.

    Raises:
        InputError: the folder is none that can be evaluated, or lacks a file.
    """
    for name in (FLOWS, SOURCES, TERMINALS):
        if not (directory / name).is_file():
            raise InputError(f"{directory}: holds no {name}. Name a folder with {FLOWS}, {SOURCES} and {TERMINALS}.")
    if configuration.trace == TraceLimits():
        configuration = msgspec.structs.replace(configuration, trace=VALUED_FLOWS)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="fundtrail-") as name:
        topics = Path(name) / "topics"
        convert("laundernet", directory, topics)
        flows, covered, rejected = _follow(topics, configuration)
    terminals = set((directory / TERMINALS).read_text(encoding="utf-8").split())
    return _coverage(flows, covered, terminals, rejected, configuration.trace, time.perf_counter() - started)


def _follow(topics: Path, configuration: Configuration) -> tuple[list[AccountTransaction], dict[str, int], int]:
    """All flows in order, and for those that carried followed money how much: ``txn_id`` -> minor units."""
    engine, tally = Engine(configuration), Tally()
    flows: list[AccountTransaction] = []
    covered: dict[str, int] = {}
    rejects: list[Reject] = []
    sources = open_sources(find_topic_files([topics]).files)
    for row, outputs in fold(sources, engine, tally, lambda _, reject: rejects.append(reject)):
        event = row[5]
        if isinstance(event, AccountTransaction) and outputs.status == "applied":
            flows.append(event)
        _add_movements(covered, outputs.movements)
    return flows, covered, tally.rejected


def _add_movements(covered: dict[str, int], movements: Iterable[Movement]) -> None:
    for movement in movements:
        txn_id = movement.transfer.txn_id
        carried = sum(parcel.amount_minor for parcel in movement.parcels[0])
        if carried:
            covered[txn_id] = covered.get(txn_id, 0) + carried


def _coverage(
    flows: list[AccountTransaction], covered: dict[str, int], terminals: set[str], rejected: int, limits: TraceLimits,
    seconds: float,
) -> Coverage:  # fmt: skip
    into_terminals = [flow for flow in flows if flow.counterparty_account in terminals]
    reached = {flow.counterparty_account for flow in into_terminals if flow.txn_id in covered}
    total = sum(flow.amount_minor for flow in flows)
    return Coverage(
        flow_coverage_count=_ratio(sum(flow.txn_id in covered for flow in flows), len(flows)),
        flow_coverage_amount=_ratio(_covered_minor(flows, covered), total),
        flow_attributed_amount=_ratio(sum(covered.values()), total),
        terminal_coverage_count=_ratio(len(reached), len({flow.counterparty_account for flow in into_terminals})),
        terminal_coverage_amount=_ratio(_covered_minor(into_terminals, covered), sum(f.amount_minor for f in into_terminals)),
        flows=len(flows), terminals=len(terminals), rejected=rejected, limits=limits,
        missed=list(_missed(flows, covered)), seconds=round(seconds, 3),
    )  # fmt: skip


def _covered_minor(flows: Iterable[AccountTransaction], covered: dict[str, int]) -> int:
    return sum(flow.amount_minor for flow in flows if flow.txn_id in covered)


def _ratio(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _missed(flows: list[AccountTransaction], covered: dict[str, int]) -> Iterable[MissedFlow]:
    """Uncovered flows, each with the nearest reason."""
    holders: set[str] = set()
    for flow in flows:
        payee = flow.counterparty_account or ""
        if flow.txn_id in covered:
            holders.add(payee)
            continue
        if flow.account_id in holders:
            why = "the payer had already sent on all the followed money it had received, gains allowed for"
        else:
            why = "no followed money had reached the payer by then"
        yield MissedFlow(flow.txn_id, flow.event_time.isoformat(), flow.account_id, payee, flow.amount_minor, why)
