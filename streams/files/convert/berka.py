"""The Czech bank of the PKDD'99 challenge: ``trans*.asc``, ``loan.asc`` and ``disp.asc``.

Dates carry no time of day: a record gets noon at +01:00, and the order of the file as ``source_seq``. Amounts become haler.
A loan's status is what came of it later, so it goes to ``loan_labels.csv`` and not into the record. The payouts themselves
are not among the bank's transactions.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import chain
from pathlib import Path

from detectors.events import AccountTransaction, LoanDisbursement, TransactionType
from streams.files.convert.topic_folder import TopicFolder, minor_units, table_rows
from streams.files.inputs import InputError

CURRENCY = "CZK"
ENCODING = "windows-1250"
PRAGUE = timezone(timedelta(hours=1))
NO_ACCOUNT = ("", "0")

BY_SYMBOL: dict[str, TransactionType] = {
    "UVER": "LOAN_PRINCIPAL",  # a loan instalment
    "SIPO": "AGENCY_PAYMENT",  # household bills, collected together
    "UROK": "INTEREST",
    "SANKC. UROK": "INTEREST",  # penalty interest
    "DUCHOD": "PAYROLL_AGENCY",  # a pension
    "SLUZBY": "OTHER",  # the bank's fee
}
BY_OPERATION: dict[str, TransactionType] = {
    "VKLAD": "CASH_DEPOSIT",
    "VYBER": "CASH_WITHDRAWAL",
    "VYBER KARTOU": "CASH_WITHDRAWAL",
    "PREVOD Z UCTU": "TRANSFER",
    "PREVOD NA UCET": "TRANSFER",
    "": "OTHER",
}
NO_CASH_SYMBOLS = ("UROK", "SANKC. UROK", "SLUZBY")  # booked by the bank itself, whatever the operation says


def convert(source: Path, target: TopicFolder, currency: str | None) -> None:
    """Write the topic files of a Berka folder."""
    currency = currency or CURRENCY
    owners = {row["account_id"]: row["client_id"] for row in _rows(source / "disp.asc") if row["type"] == "OWNER"}
    loans = list(_rows(source / "loan.asc"))
    for seq, row in enumerate(loans):
        target.payout(_payout(row, seq, currency, owners))
    instalments = {row["account_id"]: (row["loan_id"], minor_units(row["payments"], currency)) for row in loans}
    transactions = sorted(source.glob("trans*.asc"))
    if not transactions:
        raise InputError(f"{source}: there is no trans*.asc. A berka source needs it.")
    for seq, row in enumerate(chain.from_iterable(map(_rows, transactions))):
        target.transfer(_transfer(row, seq, currency, owners, instalments))
    target.write_labels("loan_labels.csv", ("loan_id", "status"), ((f"L{row['loan_id']}", row["status"]) for row in loans))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    return table_rows(path, delimiter=";", encoding=ENCODING)


def _payout(row: dict[str, str], seq: int, currency: str, owners: dict[str, str]) -> LoanDisbursement:
    paid_out = _noon(row["date"])
    months = paid_out.year * 12 + paid_out.month - 1 + int(row["duration"])
    return LoanDisbursement(
        event_time=paid_out,
        source_seq=seq,
        loan_id=f"L{row['loan_id']}",
        amount_minor=minor_units(row["amount"], currency),
        currency=currency,
        disburse_account=row["account_id"],
        customer_id=owners.get(row["account_id"]),
        maturity_date=f"{months // 12:04d}-{months % 12 + 1:02d}-{min(paid_out.day, 28):02d}",
    )


def _transfer(
    row: dict[str, str], seq: int, currency: str, owners: dict[str, str], instalments: dict[str, tuple[str, int]]
) -> AccountTransaction:
    symbol, operation = row["k_symbol"].strip(), row["operation"].strip()
    txn_type = BY_SYMBOL.get(symbol) or BY_OPERATION[operation]
    amount_minor = minor_units(row["amount"], currency)
    loan_id, instalment_minor = instalments.get(row["account_id"], (None, None))
    repays = txn_type == "LOAN_PRINCIPAL" and instalment_minor == amount_minor
    return AccountTransaction(
        event_time=_noon(row["date"]),
        source_seq=seq,
        txn_id=row["trans_id"],
        account_id=row["account_id"],
        customer_id=owners.get(row["account_id"]),
        amount_minor=amount_minor,
        currency=currency,
        direction="CREDIT" if row["type"] == "PRIJEM" else "DEBIT",
        txn_type=txn_type,
        cash_flag=BY_OPERATION[operation] in ("CASH_DEPOSIT", "CASH_WITHDRAWAL") and symbol not in NO_CASH_SYMBOLS,
        balance_after_minor=minor_units(row["balance"], currency),
        counterparty_account=None if row["account"] in NO_ACCOUNT else row["bank"] + row["account"],
        counterparty_bank_code=row["bank"] or None,
        related_loan_id=f"L{loan_id}" if repays else None,
    )


def _noon(date: str) -> datetime:
    """``YYMMDD`` of the nineteen-hundreds."""
    return datetime(1900 + int(date[:2]), int(date[2:4]), int(date[4:6]), 12, tzinfo=PRAGUE)
