"""No single plain feature may separate misuse from ordinary payments: what a simulator gives away, detectors would learn."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.events import AccountTransaction
from streams.simulate.plot import Label
from streams.simulate.world import simulate

AP_MAX = 0.10
AUC_MAX = 0.90
NEVER_S = 1e9
Scores = NDArray[np.float64]


class Debits(NamedTuple):
    """Debits to an account, a product or a shop, and which of them are misuse."""

    transactions: list[AccountTransaction]
    is_misuse: NDArray[np.bool_]
    since_payout_s: list[float]


def roc_auc(scores: Scores, truth: NDArray[np.bool_]) -> float:
    """Chance that a positive scores higher than a negative, ties half."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives = int(truth.sum())
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * (len(truth) - positives)))


def average_precision(scores: Scores, truth: NDArray[np.bool_]) -> float:
    """Mean precision at the positives, best first; equal scores stand together."""
    _, inverse = np.unique(-scores, return_inverse=True)
    hits = np.bincount(inverse, truth)
    found, taken = np.cumsum(hits), np.cumsum(np.bincount(inverse))
    return float((hits / truth.sum() * found / taken).sum())


def target_encoded(values: Sequence[Hashable], truth: NDArray[np.bool_]) -> Scores:
    """Each value replaced by its share of misuse: the best that this feature could do."""
    totals: dict[Hashable, list[int]] = defaultdict(lambda: [0, 0])
    for value, bad in zip(values, truth, strict=True):
        totals[value][0] += bool(bad)
        totals[value][1] += 1
    return np.array([totals[value][0] / totals[value][1] for value in values])


def read_debits(folder: Path) -> Debits:
    labels = [msgspec.json.decode(line, type=Label) for line in (folder / "labels.jsonl").read_bytes().splitlines()]
    guilty = {txn_id for label in labels if label.misused for txn_id in label.txn_ids}
    paid_out: dict[str, float] = {}
    debits, since = [], []
    for line in (folder / "account-transactions.jsonl").read_bytes().splitlines():
        txn = msgspec.json.decode(line, type=AccountTransaction)
        if txn.txn_type == "LOAN_CREDIT":
            paid_out[txn.account_id] = txn.event_time.timestamp()
        if txn.direction == "DEBIT" and txn.txn_type not in ("LOAN_INTEREST", "INTEREST"):
            debits.append(txn)
            since.append(min(NEVER_S, txn.event_time.timestamp() - paid_out.get(txn.account_id, -NEVER_S)))
    return Debits(debits, np.array([txn.txn_id in guilty for txn in debits]), since)


@pytest.fixture(scope="module")
def debits(tmp_path_factory: pytest.TempPathFactory) -> Debits:
    path = tmp_path_factory.mktemp("leaks")
    simulate(path, loans=1500, days=60, seed=11)
    return read_debits(path)


def _trailing_zeros(amount_minor: int) -> int:
    return len(str(amount_minor)) - len(str(amount_minor).rstrip("0"))


def _payments_of_account(debits: Debits) -> list[float]:
    counts = Counter(txn.account_id for txn in debits.transactions)
    return [counts[txn.account_id] for txn in debits.transactions]


NUMBERS: dict[str, Callable[[Debits], Sequence[float]]] = {
    "amount": lambda debits: [txn.amount_minor for txn in debits.transactions],
    "roundness": lambda debits: [_trailing_zeros(txn.amount_minor) for txn in debits.transactions],
    "hour of day": lambda debits: [txn.event_time.hour for txn in debits.transactions],
    "seconds since payout": lambda debits: debits.since_payout_s,
    "payments of the account": _payments_of_account,
}
VALUES: dict[str, Callable[[Debits], Sequence[Hashable]]] = {
    "type": lambda debits: [txn.txn_type for txn in debits.transactions],
    "memo": lambda debits: [txn.memo for txn in debits.transactions],
    "channel": lambda debits: [txn.channel for txn in debits.transactions],
    "account kind": lambda debits: [txn.account_kind for txn in debits.transactions],
    "source system": lambda debits: [txn.source_system for txn in debits.transactions],
    "missing fields": lambda debits: [(txn.memo is None, txn.counterparty_name is None, txn.end_to_end_id is None,
                                       txn.counterparty_account is None) for txn in debits.transactions],
    "hour of day": lambda debits: [txn.event_time.hour for txn in debits.transactions],
    "order of magnitude": lambda debits: [round(2 * math.log2(txn.amount_minor)) for txn in debits.transactions],
    "days since payout": lambda debits: [round(math.log2(max(1.0, since))) for since in debits.since_payout_s],
}  # fmt: skip


def test_there_is_enough_misuse_to_measure_and_it_is_rare(debits: Debits) -> None:
    assert 100 < debits.is_misuse.sum() < 0.01 * len(debits.is_misuse)


@pytest.mark.parametrize("feature", NUMBERS)
def test_no_number_separates_misuse_from_other_debits(feature: str, debits: Debits) -> None:
    scores = np.array(NUMBERS[feature](debits), dtype=np.float64)
    auc = roc_auc(scores, debits.is_misuse)
    precision = max(average_precision(scores, debits.is_misuse), average_precision(-scores, debits.is_misuse))
    assert max(auc, 1 - auc) <= AUC_MAX, (feature, auc)
    assert precision <= AP_MAX, (feature, precision)


@pytest.mark.parametrize("feature", VALUES)
def test_no_value_separates_misuse_from_other_debits(feature: str, debits: Debits) -> None:
    scores = target_encoded(VALUES[feature](debits), debits.is_misuse)
    assert roc_auc(scores, debits.is_misuse) <= AUC_MAX, feature
    assert average_precision(scores, debits.is_misuse) <= AP_MAX, feature


def test_the_measures_of_leaks_agree_with_a_case_done_by_hand() -> None:
    truth = np.array([True, False, True, False])
    assert roc_auc(np.array([4.0, 3.0, 2.0, 1.0]), truth) == 0.75
    assert average_precision(np.array([4.0, 3.0, 2.0, 1.0]), truth) == pytest.approx((1 + 2 / 3) / 2)
    assert roc_auc(np.array([9.0, 1.0, 9.0, 1.0]), truth) == average_precision(np.array([9.0, 1.0, 9.0, 1.0]), truth) == 1.0
