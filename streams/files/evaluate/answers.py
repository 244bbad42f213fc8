"""The answer key of a labelled folder: which payments and loans are misuse. It is read for measuring, never by the engine."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from streams.files.convert.payments import OUTSIDE
from streams.files.evaluate.measures import Flags, Floats
from streams.files.evaluate.shapes import shape_of
from streams.files.inputs import InputError

TRANSACTIONS, LABELS, LOANS, LOAN_LABELS = "transactions.parquet", "labels.csv", "loans.csv", "loan_labels.csv"
COLUMNS = ("txn_id", "event_time_ms", "payer", "payee", "amount_minor")


class Payments(NamedTuple):
    """The payments that are to be scored, in the order of time, and the answer for each."""

    txn_ids: list[str]
    event_time_ms: NDArray[np.int64]
    amount_minor: Floats
    positive: Flags
    patterns: dict[Hashable, list[int]]  # pattern -> its rows
    typologies: dict[Hashable, str]  # pattern -> what kind it is
    accounts: int  # every account of the folder
    days: float  # from its first record to its last

    def last(self, share: float) -> Payments:
        """The last ``share`` of the payments; patterns keep the rows that are in it."""
        start = int(len(self.txn_ids) * (1 - share) + 1e-9)
        patterns = {name: [row - start for row in rows if row >= start] for name, rows in self.patterns.items()}
        return self._replace(
            txn_ids=self.txn_ids[start:], event_time_ms=self.event_time_ms[start:], amount_minor=self.amount_minor[start:],
            positive=self.positive[start:], patterns={name: rows for name, rows in patterns.items() if rows},
        )  # fmt: skip


class Loans(NamedTuple):
    """The loans, and the answer for each."""

    loan_ids: list[str]
    event_time_ms: NDArray[np.int64]
    misused: Flags


def read_payments(directory: Path) -> Payments:
    """What the folder says of its payments from account to account.

    Raises:
        InputError: a file lacks columns, cannot be read, or the two do not fit together.
    """
    table = _table(directory / TRANSACTIONS)
    txn_ids, times, payers, payees, amounts = (table.column(name).to_pylist() for name in COLUMNS)
    wanted = [row for row in range(len(txn_ids)) if not payers[row].startswith(OUTSIDE) and not payees[row].startswith(OUTSIDE)]
    wanted.sort(key=lambda row: times[row])  # stable: payments of one instant keep the order of the file
    ids = [txn_ids[row] for row in wanted]
    row_of = dict(zip(ids, range(len(ids)), strict=True))
    if len(set(txn_ids)) != len(txn_ids):
        raise InputError(f"{directory / TRANSACTIONS}: a txn_id stands there twice. Each payment needs its own.")
    positive = np.zeros(len(ids), bool)
    patterns: dict[Hashable, list[int]] = defaultdict(list)
    kinds: dict[Hashable, str] = {}
    known = set(txn_ids)
    for line, label in _rows(directory / LABELS, ("txn_id", "pattern")):
        if label["txn_id"] not in known:
            raise InputError(f"{directory / LABELS}, line {line}: {label['txn_id']} is no payment of {TRANSACTIONS}.")
        row = row_of.get(label["txn_id"])
        if row is None:
            continue  # with the outside world: not asked for
        positive[row] = True
        patterns[label["pattern"]].append(row)
        kinds[label["pattern"]] = label.get("typology") or ""
    for name, rows in patterns.items():
        rows.sort()
        kinds[name] = kinds[name] or _kind_of(str(name), [(payers[wanted[row]], payees[wanted[row]]) for row in rows])
    accounts = {name for name in (*payers, *payees) if not name.startswith(OUTSIDE)}
    return Payments(
        ids, np.array([times[row] for row in wanted], np.int64), np.array([amounts[row] for row in wanted], np.float64),
        positive, dict(patterns), kinds, len(accounts), (max(times) - min(times)) / 86_400_000,
    )  # fmt: skip


def read_loans(directory: Path) -> Loans | None:
    """What the folder says of its loans; None where it has none.

    Raises:
        InputError: one of the two files is missing or unreadable, or they do not fit together.
    """
    if not (directory / LOANS).exists() and not (directory / LOAN_LABELS).exists():
        return None
    answers = {}
    for line, label in _rows(directory / LOAN_LABELS, ("loan_id", "misused")):
        if label["misused"] not in ("0", "1"):
            raise InputError(f"{directory / LOAN_LABELS}, line {line}: misused is {label['misused']!r}, not 0 or 1.")
        answers[label["loan_id"]] = label["misused"] == "1"
    loans = [(row["loan_id"], _whole(directory / LOANS, line, row["event_time_ms"]))
             for line, row in _rows(directory / LOANS, ("loan_id", "event_time_ms"))]  # fmt: skip
    names = [name for name, _ in loans]
    without = sorted(set(names) ^ set(answers))
    if without:
        raise InputError(f"{directory}: {LOANS} and {LOAN_LABELS} name different loans, such as {without[0]}.")
    return Loans(names, np.array([paid for _, paid in loans], np.int64), np.array([answers[name] for name in names], bool))


def _kind_of(pattern: str, payments: list[tuple[str, str]]) -> str:
    """The name of a numbered pattern (``UTurn_7``) without its number; a bare number is named by its shape."""
    name = pattern.rstrip("0123456789").rstrip("_- ")
    return name or shape_of(payments)


def _table(path: Path) -> pa.Table:
    try:
        with path.open("rb") as file:
            table = pq.read_table(file)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file. A folder of labelled payments needs it.") from None
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet: {error}") from error
    missing = [name for name in COLUMNS if name not in table.schema.names]
    if missing:
        raise InputError(f"{path}: has no column {', '.join(missing)}.")
    empty = [name for name in COLUMNS if table.column(name).null_count]
    if empty:
        raise InputError(f"{path}: column {empty[0]} has empty cells.")
    if not table.num_rows:
        raise InputError(f"{path}: holds no payment.")
    return table.select(list(COLUMNS))


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines)
            missing = [name for name in columns if name not in (rows.fieldnames or ())]
            if missing:
                raise InputError(f"{path}: has no column {', '.join(missing)}.")
            for line, row in enumerate(rows, start=2):
                if any(row[name] is None for name in columns):
                    raise InputError(f"{path}, line {line}: has fewer cells than the header.")
                yield line, row
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file. A folder of labelled payments needs it.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def _whole(path: Path, line: int, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{path}, line {line}: event_time_ms is {text!r}, not a whole number.") from None
