"""Evaluate a bank whose loans have a repayment status (Berka): how many alerts, and whether the risk of a loan tells who pays.

The status is no label of misuse: a loan may be misused and repaid, and honest and lost. So this reports how often the product
speaks on a real bank, and how the loans' scores rank those not repaid (B: finished unpaid, D: running in debt) against the
amount alone; never misuse found. Only loans paid out while there are transactions count: of the others nothing was seen.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import msgspec
import numpy as np

from detectors.configuration import Configuration
from detectors.engine import Engine, Outputs
from detectors.events import AccountTransaction, LoanDisbursement
from streams.files.convert import convert
from streams.files.evaluate.measures import average_precision
from streams.files.inputs import find_topic_files
from streams.files.merge import merge
from streams.files.readers import Row, open_sources
from streams.files.replay import rare_collections

LOANS, UNPAID = "loan.asc", ("B", "D")
DAY_MS = 86_400_000


class Repayment(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder with repayment statuses shows."""

    alerts: int
    alerts_per_1000_account_days: float
    accounts: int
    days: float
    loans: int  # paid out while there are transactions
    unpaid: int  # of them, with status B or D
    average_precision: float | None  # of the loans' scores, for the unpaid
    average_precision_by_amount: float | None
    share_unpaid: float  # what a ranking at random would give
    loans_with_a_score: int


class _Seen:
    """What one fold has shown."""

    def __init__(self) -> None:
        self.alerts: set[str] = set()
        self.accounts: set[str] = set()
        self.loans: dict[str, tuple[int, int]] = {}  # by loan: when paid out, amount
        self.scores: dict[str, float] = {}  # by loan: the highest
        self.first_ms: int | None = None
        self.last_ms = 0

    def take(self, row: Row, outputs: Outputs) -> None:
        event = row[5]
        if isinstance(event, AccountTransaction):
            self.first_ms = row[0] if self.first_ms is None else self.first_ms
            self.last_ms = row[0]
            self.accounts.add(event.account_id)
        elif isinstance(event, LoanDisbursement):
            self.loans[event.loan_id] = row[0], event.amount_minor
        self.alerts.update(alert.alert_id for alert in outputs.alerts if alert.status == "OPEN")
        for score in outputs.loan_scores:
            self.raise_to(score.loan_id, score.score)
        for risk in outputs.risks:
            self.raise_to(risk.loan_id, risk.score)

    def raise_to(self, loan_id: str, score: float) -> None:
        self.scores[loan_id] = max(score, self.scores.get(loan_id, 0.0))


def evaluate(directory: Path, *, configuration: Configuration) -> Repayment:
    """Measure one folder.

    Raises:
        InputError: it lacks a file or cannot be read.
    """
    engine, seen = Engine(configuration), _Seen()
    with tempfile.TemporaryDirectory(prefix="fundtrail-") as name, rare_collections():
        topics = Path(name) / "topics"
        convert("berka", directory, topics)
        with (topics / "loan_labels.csv").open(encoding="utf-8", newline="") as lines:
            status = {row["loan_id"]: row["status"] for row in csv.DictReader(lines)}
        for rows, _ in merge(open_sources(find_topic_files([topics]).files)):
            for row in rows:
                seen.take(row, engine.apply(row[5], row[0]))
    return _measured(seen, status)


def _measured(seen: _Seen, status: dict[str, str]) -> Repayment:
    first_ms = seen.first_ms or 0
    kept = [loan_id for loan_id, (paid_ms, _) in seen.loans.items() if first_ms <= paid_ms <= seen.last_ms]
    unpaid = np.array([status[loan_id] in UNPAID for loan_id in kept], bool)
    days = (seen.last_ms - first_ms) / DAY_MS
    account_days = max(1.0, len(seen.accounts) * days)
    return Repayment(
        alerts=len(seen.alerts), alerts_per_1000_account_days=1000 * len(seen.alerts) / account_days,
        accounts=len(seen.accounts), days=days, loans=len(kept), unpaid=int(unpaid.sum()),
        average_precision=average_precision(np.array([seen.scores.get(loan_id, 0.0) for loan_id in kept]), unpaid),
        average_precision_by_amount=average_precision(np.array([float(seen.loans[loan_id][1]) for loan_id in kept]), unpaid),
        share_unpaid=float(unpaid.mean()) if kept else 0.0, loans_with_a_score=sum(loan_id in seen.scores for loan_id in kept),
    )  # fmt: skip
