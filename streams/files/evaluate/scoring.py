"""Evaluate labelled payments: the product's own fold over the folder, and how its scores rank against the answer key.

The converters turn the folder into topic files without its labels; the engine folds them like any others and scores each
payment before anything is learned from it. Outcomes reach it as ``dispositions`` when the plan says that they are known. The
last fifth of the payments from account to account is measured; what came before is only there to be learned from.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
from msgspec import Struct

from detectors.configuration import Configuration
from detectors.engine import Engine, Outputs
from detectors.events import AccountTransaction
from detectors.suspects import SuspiciousPayment
from streams.files.convert import convert
from streams.files.evaluate.answers import TRANSACTIONS, Loans, Payments, read_loans, read_payments
from streams.files.evaluate.labelling import Plan, Teacher
from streams.files.evaluate.measures import Top, average_precision, delays, median, pattern_recall
from streams.files.inputs import InputError, find_topic_files
from streams.files.merge import merge
from streams.files.readers import open_sources
from streams.files.replay import rare_collections

MEASURED_SHARE = 0.2
LOANS_TOP = 0.1
DAY_MS = 86_400_000


class Run(Struct):
    """What one fold over the folder gave."""

    seed: int
    scores: dict[str, float] = {}  # by payment
    loan_scores: dict[str, list[tuple[int, float]]] = {}  # by loan: each time its score rose, and to what
    alerts: set[str] = set()
    by_score: dict[str, dict[str, None]] = {}  # alerts by score alone: the payments that each has named, in their order
    records: int = 0  # account transactions given to the engine
    seconds: float = 0.0  # of processor time, in the fold alone: applying records and outcomes
    told: int = 0  # outcomes
    refused: int = 0  # of them
    bytes_per_account: float = 0.0


class Evaluated(Struct, kw_only=True):
    """All measures of a folder: of each seed, and what they come to together."""

    measures: dict[str, Any]  # the mean over the seeds; the counts are those of one seed
    spread: dict[str, Any]  # (smallest, largest) over the seeds
    by_typology: dict[str, dict[str, float]]
    by_seed: dict[int, dict[str, Any]]
    labels: str
    outcomes_told: list[int]
    outcomes_refused: list[int]
    all_loans: dict[str, Any] | None
    alerts_by_score: dict[str, Any] | None  # None: the budget asks for none


def is_seeded(configuration: Configuration) -> bool:
    """Whether the learners' own chance depends on a seed."""
    return "seed" in configuration.learning.__struct_fields__


def evaluate(
    directory: Path, *, configuration: Configuration, plan: Plan, seeds: Sequence[int], progress: Callable[[str], None]
) -> Evaluated:
    """Measure one folder.

    Args:
        seeds: one fold each.
        progress: told what is going on.

    Raises:
        InputError: the folder lacks a file, or holds one that cannot be read or does not fit the others.
    """
    payments, loans = read_payments(directory), read_loans(directory)
    runs = []
    with tempfile.TemporaryDirectory(prefix="fundtrail-") as name:
        topics = Path(name) / "topics"
        progress(f"{directory.name}: {len(payments.txn_ids):,} payments from account to account; converting")
        convert(kind_of(directory), directory, topics)
        (topics / "labels.csv").unlink(missing_ok=True)  # nobody reads it; nobody could
        for seed in seeds:
            runs.append(fold(topics, configuration, plan, payments, seed))
            progress(f"seed {seed}: {runs[-1].records / runs[-1].seconds:,.0f} payments/s")
    by_seed = {run.seed: measures_of(run, payments, loans) for run in runs}
    return Evaluated(
        measures=_together(list(by_seed.values()), lambda values: sum(values) / len(values)),
        spread=_together(list(by_seed.values()), lambda values: (min(values), max(values))),
        by_typology=by_typology(runs[0], payments), by_seed=by_seed, labels=plan.text,
        outcomes_told=[run.told for run in runs], outcomes_refused=[run.refused for run in runs],
        all_loans=loan_measures(runs[0], loans, None) if loans is not None else None,
        alerts_by_score=measures_of_alerts(runs[0], payments),
    )  # fmt: skip


def kind_of(directory: Path) -> str:
    """Which converter reads the folder: balances beside the payments are AMLGentex's, currencies Tide's."""
    columns = pq.read_schema(directory / TRANSACTIONS).names
    kind = "payments" if "payer_balance_minor" in columns else "tide"
    needed = {"payments": ("payee_balance_minor",), "tide": ("currency",)}[kind]
    missing = [name for name in (*needed, "txn_type") if name not in columns]
    if missing:
        raise InputError(f"{directory / TRANSACTIONS}: has no column {', '.join(missing)}.")
    return kind


def fold(
    topics: Path, configuration: Configuration, plan: Plan, payments: Payments, seed: int,
    features: dict[str, tuple[float, ...]] | None = None,
) -> Run:  # fmt: skip
    """One fold over topic files. Only ``plan`` decides which answers the engine gets to know.

    Args:
        features: takes each payment's features as scored.
    """
    engine = Engine(_seeded(configuration, seed))
    engine.calibration.ranks = engine.calibration.ranks or plan.is_random
    answers = dict(zip(payments.txn_ids, payments.positive.tolist(), strict=True)) if plan.budget != 0 else {}
    teacher = Teacher(plan, answers.__getitem__, random.Random(f"audit-{seed}"))
    run = Run(seed)
    with rare_collections():
        for rows, _ in merge(open_sources(find_topic_files([topics]).files)):
            started = time.process_time()
            for row in rows:
                for outcome, due_ms in teacher.due(row[0]):
                    run.refused += engine.apply(outcome, due_ms).status != "applied"
                outputs = engine.apply(row[5], row[0])
                if outputs.scores or outputs.alerts or outputs.loan_scores:
                    _take(run, outputs, teacher)
                    if features is not None:
                        features.update((score.txn_id, score.features) for score in outputs.scores)
            run.seconds += time.process_time() - started
            run.records += sum(type(row[5]) is AccountTransaction for row in rows)
    run.told = teacher.told
    run.bytes_per_account = bytes_of(engine) / max(1, payments.accounts)
    return run


def _take(run: Run, outputs: Outputs, teacher: Teacher) -> None:
    for score in outputs.scores:
        run.scores[score.txn_id] = score.score
        teacher.see(score)
    for loan in outputs.loan_scores:
        run.loan_scores.setdefault(loan.loan_id, []).append((loan.event_time_ms, loan.score))
    for alert in outputs.alerts:
        if alert.status == "OPEN":
            run.alerts.add(alert.alert_id)
        if alert.typology == SuspiciousPayment.code:
            run.by_score.setdefault(alert.alert_id, {}).update(dict.fromkeys(payment.txn_id for payment in alert.related))


def _seeded(configuration: Configuration, seed: int) -> Configuration:
    """The configuration with the learners' chance drawn anew."""
    if not is_seeded(configuration):
        return configuration
    learning = msgspec.structs.replace(configuration.learning, seed=seed)
    return msgspec.structs.replace(configuration, learning=learning)


def bytes_of(engine: Engine) -> int:
    """What the profiles of accounts take, packed; the model and what waits for outcomes do not grow with the accounts."""
    return engine.triage.packed_bytes()


# --- measures -----------------------------------------------------------------------------------------------------------


def measures_of(run: Run, payments: Payments, loans: Loans | None) -> dict[str, Any]:
    """The measures of one fold, under the keys that ``--json`` writes."""
    measured = payments.last(MEASURED_SHARE)
    top, thin = (Top(scores_of(run, measured), share) for share in (0.01, 0.001))
    positive = measured.positive
    whole = {name: rows for name, rows in measured.patterns.items() if len(rows) == len(payments.patterns[name])}
    waits = delays(top, measured.event_time_ms, whole)
    first_ms = int(measured.event_time_ms[0])
    return {
        "payments": {
            "average_precision": average_precision(scores_of(run, measured), positive),
            "precision_at_0.01": top.precision(positive),
            "recall_at_0.01": top.recall(positive),
            "amount_recall_at_0.01": top.recall(measured.amount_minor * positive) if positive.any() else None,
            "precision_at_0.001": thin.precision(positive),
            "recall_at_0.001": thin.recall(positive),
            "pattern_recall_at_0.01": pattern_recall(top, measured.patterns),
            "median_delay_days": median([wait / DAY_MS for wait in waits]),
            "scored": len(measured.txn_ids),
            "positives": int(positive.sum()),
        },
        "loans": loan_measures(run, loans, first_ms) if loans is not None else None,
        "payments_per_second": run.records / run.seconds,
        "bytes_per_account": run.bytes_per_account,
        "alerts_per_1000_account_days": 1000 * len(run.alerts) / (payments.accounts * payments.days),
    }


def scores_of(run: Run, payments: Payments) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Each payment's score; 0 for one that the engine did not score (a payment of nothing, or of an account to itself)."""
    return np.array([run.scores.get(txn_id, 0.0) for txn_id in payments.txn_ids])


def measures_of_alerts(run: Run, payments: Payments) -> dict[str, Any] | None:
    """Of the alerts by score opened within the measured part: how many are right, by the payment that opened each or by any."""
    if not run.by_score:
        return None
    measured = payments.last(MEASURED_SHARE)
    answers = dict(zip(measured.txn_ids, measured.positive.tolist(), strict=True))
    opened = [list(named) for named in run.by_score.values() if next(iter(named)) in answers]
    found = {txn_id for named in opened for txn_id in named if answers.get(txn_id)}
    return {
        "opened": len(opened),
        "precision": sum(answers[named[0]] for named in opened) / len(opened) if opened else None,
        "precision_with_later_payments": sum(not found.isdisjoint(named) for named in opened) / len(opened) if opened else None,
        "pattern_recall": sum(any(measured.txn_ids[row] in found for row in rows) for rows in measured.patterns.values())
        / max(1, len(measured.patterns)),
    }  # fmt: skip


def loan_measures(run: Run, loans: Loans, since_ms: int | None) -> dict[str, Any] | None:
    """How the loans' scores rank those paid out since then; None where there are none."""
    kept = [row for row, paid_ms in enumerate(loans.event_time_ms.tolist()) if since_ms is None or paid_ms >= since_ms]
    if not kept:
        return None
    rises = [run.loan_scores.get(loans.loan_ids[row], []) for row in kept]
    scores = np.array([rise[-1][1] if rise else 0.0 for rise in rises])
    misused = loans.misused[kept]
    top = Top(scores, LOANS_TOP)
    waits = []
    for row, rise, is_misused in zip(kept, rises, misused.tolist(), strict=True):
        reached = next((at_ms for at_ms, score in rise if score >= top.score_min), None)
        if is_misused and reached is not None:
            waits.append((reached - int(loans.event_time_ms[row])) / DAY_MS)
    return {
        "average_precision": average_precision(scores, misused),
        "precision_at_0.1": top.precision(misused),
        "median_days_to_alert": median(waits),
    }


def by_typology(run: Run, payments: Payments) -> dict[str, dict[str, float]]:
    """Of each kind of pattern: how many, how many payments, and which share of them is in the top 1 %."""
    measured = payments.last(MEASURED_SHARE)
    top = Top(scores_of(run, measured), 0.01)
    found: dict[str, dict[str, float]] = {}
    for kind in sorted({payments.typologies[name] for name in measured.patterns}):
        patterns = {name: rows for name, rows in measured.patterns.items() if payments.typologies[name] == kind}
        flags = np.zeros(len(measured.txn_ids), bool)
        flags[[row for rows in patterns.values() for row in rows]] = True
        found[kind] = {
            "patterns": len(patterns), "payments": int(flags.sum()),
            "recall_at_0.01": top.recall(flags) or 0.0, "pattern_recall_at_0.01": pattern_recall(top, patterns) or 0.0,
        }  # fmt: skip
    return found


def _together(found: Sequence[Any], combine: Callable[[list[float]], Any]) -> Any:
    """One tree of measures out of several of one shape; counts stay as they are."""
    first = found[0]
    if isinstance(first, dict):
        return {key: _together([each[key] for each in found], combine) for key in first}
    values = [value for value in found if value is not None]
    if not values:
        return None
    return first if isinstance(first, int) and len(set(values)) == 1 else combine(values)
