"""Payments of an AMLGentex bank: ``transactions.parquet``, ``loans.csv`` and their label files.

One record a payment, naming both accounts; the outside world (``EXT:...``) is no account. The data set names no currency:
CNY is assumed. Its loans are an overlay, so no balance shows a payout and no ``LOAN_CREDIT`` is made up for one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detectors.events import AccountTransaction, LoanDisbursement, TransactionType
from streams.files.convert.topic_folder import TopicFolder, instant, parquet_rows, table_rows

CURRENCY = "CNY"
OUTSIDE = "EXT:"
TYPES: dict[str, TransactionType] = {
    "TRANSFER": "TRANSFER",
    "PURCHASE": "PURCHASE",
    "CASH_WITHDRAWAL": "CASH_WITHDRAWAL",
    "INCOME": "OTHER",
}


def convert(source: Path, target: TopicFolder, currency: str | None) -> None:
    """Write the topic files of an AMLGentex folder."""
    currency = currency or CURRENCY
    for seq, row in enumerate(table_rows(source / "loans.csv")):
        target.payout(
            LoanDisbursement(
                event_time=instant(int(row["event_time_ms"])),
                source_seq=seq,
                loan_id=row["loan_id"],
                amount_minor=int(row["amount_minor"]),
                currency=currency,
                disburse_account=row["account"],
            )
        )
    for seq, payment in enumerate(parquet_rows(source / "transactions.parquet")):
        target.transfer(_transfer(payment, seq, currency))
    target.copy_labels(source / "labels.csv")
    target.copy_labels(source / "loan_labels.csv")


def _transfer(row: dict[str, Any], seq: int, currency: str) -> AccountTransaction:
    incoming = row["payer"].startswith(OUTSIDE)
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
        cash_flag=row["txn_type"] == "CASH_WITHDRAWAL",
        balance_after_minor=row[f"{own}_balance_minor"],
        counterparty_account=None if row[other].startswith(OUTSIDE) else row[other],
    )
