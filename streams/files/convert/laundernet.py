"""Traced thefts of LaunderNetEvm41: ``flows.csv``, ``sources.txt`` and ``terminals.txt`` of one cluster.

Each flow is one record in US dollars. What a source passed on at first hand counts as one payout to it, a millisecond before
its first flow. Flows of one second keep the order of their blocks. The experts' names for addresses are left out.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from detectors.events import AccountTransaction, LoanDisbursement
from streams.files.convert.topic_folder import TopicFolder, minor_units, table_rows
from streams.files.inputs import InputError

CURRENCY = "USD"


def convert(source: Path, target: TopicFolder, currency: str | None) -> None:
    """Write the topic files of one cluster."""
    currency = currency or CURRENCY
    clusters = sorted(path.parent.name for path in source.glob("*/flows.csv"))
    if clusters and not (source / "flows.csv").exists():
        raise InputError(f"{source}: holds several clusters. Name one of its folders: {', '.join(clusters)}.")
    flows = sorted(
        table_rows(source / "flows.csv"), key=lambda row: (row["Timestamp"], int(row["Block"]))
    )  # files of some 100 rows
    origins = (source / "sources.txt").read_text(encoding="utf-8").split()
    for origin in origins:
        outflows = [row for row in flows if row["From"] == origin]
        if outflows:
            target.payout(_payout(origin, outflows, currency))
    seen: Counter[str] = Counter()
    for seq, row in enumerate(flows):
        seen[row["Tx_hash"]] += 1
        target.transfer(_transfer(row, seq, seen[row["Tx_hash"]], currency))
    target.copy_labels(source / "sources.txt")
    target.copy_labels(source / "terminals.txt")


def _payout(origin: str, outflows: list[dict[str, str]], currency: str) -> LoanDisbursement:
    return LoanDisbursement(
        event_time=_instant(outflows[0]["Timestamp"]) - timedelta(milliseconds=1),
        loan_id=f"STOLEN-{origin}",
        amount_minor=sum(minor_units(row["Value_in_USD"], currency) for row in outflows),
        currency=currency,
        disburse_account=origin,
    )


def _transfer(row: dict[str, str], seq: int, nth: int, currency: str) -> AccountTransaction:
    return AccountTransaction(
        event_time=_instant(row["Timestamp"]),
        source_seq=seq,
        txn_id=row["Tx_hash"] if nth == 1 else f"{row['Tx_hash']}#{nth}",  # one transaction can hold several flows
        account_id=row["From"],
        amount_minor=minor_units(row["Value_in_USD"], currency),
        currency=currency,
        direction="DEBIT",
        counterparty_account=row["To"],
    )


def _instant(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
