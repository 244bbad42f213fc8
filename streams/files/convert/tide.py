"""Payments of a Tide bank: ``transactions.parquet`` and ``labels.csv``; no loans, no balances.

One record a payment, naming both accounts. A deposit is told from the side of the account that receives it. The set holds a
few payments of nothing and of an account to itself: they are converted as they stand, and the replay rejects them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detectors.events import AccountTransaction, TransactionType
from streams.files.convert.topic_folder import TopicFolder, instant, parquet_rows

TYPES: dict[str, TransactionType] = {
    "DEPOSIT": "CASH_DEPOSIT",
    "WITHDRAWAL": "CASH_WITHDRAWAL",
    "TRANSFER": "TRANSFER",
    "PAYMENT": "PURCHASE",
}


def convert(source: Path, target: TopicFolder, currency: str | None) -> None:
    """Write the topic files of a Tide folder. ``currency`` replaces that of every payment; None leaves each its own."""
    for seq, row in enumerate(parquet_rows(source / "transactions.parquet")):
        target.transfer(_transfer(row, seq, currency or row["currency"]))
    target.copy_labels(source / "labels.csv")


def _transfer(row: dict[str, Any], seq: int, currency: str) -> AccountTransaction:
    incoming = row["txn_type"] == "DEPOSIT"
    own, other = ("payee", "payer") if incoming else ("payer", "payee")
    return AccountTransaction(
        event_time=instant(row["event_time_ms"]),
        source_seq=seq,
        txn_id=row["txn_id"],
        account_id=row[own],
        amount_minor=row["amount_minor"],
        currency=currency,
        direction="CREDIT" if incoming else "DEBIT",
        txn_type=TYPES[row["txn_type"]],
        cash_flag=row["txn_type"] in ("DEPOSIT", "WITHDRAWAL"),
        counterparty_account=row[other],
    )
