"""A small folder of labelled payments in the form of the AMLGentex and Tide sets, made up from a seed."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

START_MS = 1_767_225_600_000  # 2026-01-01
HOUR_MS = 3_600_000


def labelled_folder(path: Path, *, payments: int = 600, seed: int = 1, balances: bool = True) -> Path:
    """Payments among forty accounts, an hour apart; every twentieth begins a chain that hands money on within minutes.

    Args:
        balances: in the form of AMLGentex, with the outside world and loans; otherwise of Tide.
    """
    path.mkdir(parents=True)
    chance = random.Random(seed)
    rows: list[tuple[int, str, str, int, str]] = []
    labels = ["txn_id,pattern"]
    for n in range(payments):
        at_ms, payer, payee = START_MS + n * HOUR_MS, *(f"A{a:02d}" for a in chance.sample(range(40), 2))
        if balances and n % 5 == 3:
            rows.append((at_ms, payer, "EXT:spending", 100 * chance.randint(1, 90), "PURCHASE"))
        elif n % 20 == 7:
            amount = 100 * chance.randint(5_000, 9_000)
            chain = [f"A{a:02d}" for a in chance.sample(range(40), 4)]
            for hop, (sender, receiver) in enumerate(pairwise(chain)):
                labels.append(f"T{len(rows):05d},{'' if balances else 'Chain_'}{n}")
                rows.append((at_ms + hop * 60_000, sender, receiver, amount - hop, "TRANSFER"))
        else:
            rows.append((at_ms, payer, payee, 100 * chance.randint(10, 900), "TRANSFER"))
    columns: dict[str, list[object]] = {
        "txn_id": [f"T{n:05d}" for n in range(len(rows))],
        **{
            name: [row[i] for row in rows]
            for i, name in enumerate(("event_time_ms", "payer", "payee", "amount_minor", "txn_type"))
        },
    }
    if balances:
        columns |= {"payer_balance_minor": [10**9] * len(rows), "payee_balance_minor": [10**9] * len(rows)}
        _write_loans(path, chance)
    else:
        columns |= {"currency": ["CNY"] * len(rows)}
    pq.write_table(pa.table(columns), path / "transactions.parquet")
    (path / "labels.csv").write_text("\n".join(labels) + "\n")
    return path


def _write_loans(path: Path, chance: random.Random) -> None:
    loans, answers = ["loan_id,event_time_ms,account,amount_minor"], ["loan_id,misused,pattern"]
    for n in range(30):
        loans.append(
            f"L{n},{START_MS + n * 20 * HOUR_MS - 1000},A{chance.randrange(40):02d},{100 * chance.randint(900, 9_000)}"
        )
        answers.append(f"L{n},{int(n % 5 == 0)},-1")
    (path / "loans.csv").write_text("\n".join(loans) + "\n")
    (path / "loan_labels.csv").write_text("\n".join(answers) + "\n")
