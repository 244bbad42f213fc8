"""The folder a converter writes: topic files, and label files copied beside them."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow.parquet as pq

from detectors.events import AccountTransaction, LoanDisbursement
from detectors.money import EXPONENTS
from streams.files.writers import JsonlWriter, OutputFolder

PAYMENTS_FILE = "account-transactions.jsonl"
LOANS_FILE = "loan-disbursements.jsonl"
LABEL_FILES = ("labels.csv", "loan_labels.csv", "sources.txt", "terminals.txt")
PARQUET_BATCH_ROWS = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Converted = dict[str, int]
"""File -> records in it (for a label file: its lines)."""


class TopicFolder:
    """Takes transfers and payouts as they come; nothing is kept in memory. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self._folder = OutputFolder(path, [PAYMENTS_FILE, LOANS_FILE, *LABEL_FILES])
        self._writers: dict[str, JsonlWriter] = {}
        self._copied: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._folder.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._folder.__exit__(kind, error, trace)

    def transfer(self, record: AccountTransaction) -> None:
        """Append one account transaction."""
        self._writer(PAYMENTS_FILE).write(record)

    def payout(self, record: LoanDisbursement) -> None:
        """Append one loan disbursement."""
        self._writer(LOANS_FILE).write(record)

    def copy_labels(self, source: Path) -> None:
        """Copy a label file as it is, under its own name."""
        with source.open("rb") as original:
            shutil.copyfileobj(original, self._folder.file(source.name))
        with source.open("rb") as original:
            self._copied[source.name] = sum(1 for _ in original)

    def write_labels(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Write a label file."""
        lines = [",".join(map(str, row)) for row in (header, *rows)]
        self._folder.file(name).write(("\n".join(lines) + "\n").encode())
        self._copied[name] = len(lines)

    def commit(self) -> None:
        """Everything was written: give the files their names."""
        self._folder.commit()

    def converted(self) -> Converted:
        """What was written so far."""
        return {name: writer.records for name, writer in self._writers.items()} | self._copied

    def _writer(self, name: str) -> JsonlWriter:
        if name not in self._writers:
            self._writers[name] = self._folder.writer(name)
        return self._writers[name]


def instant(event_time_ms: int) -> datetime:
    """Milliseconds since 1970 as an instant in UTC, exactly."""
    return _EPOCH + timedelta(milliseconds=event_time_ms)


def minor_units(text: str, currency: str) -> int:
    """A decimal amount in minor units, exactly.

    Raises ``ValueError`` when it has more decimals than the currency, ``KeyError`` for an unknown currency.

    >>> minor_units("96396.5", "CZK")
    9639650
    """
    scaled = Decimal(text).scaleb(EXPONENTS[currency])
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{text} has more decimals than {currency}")
    return int(scaled)


def table_rows(path: Path, *, delimiter: str = ",", encoding: str = "utf-8") -> Iterator[dict[str, str]]:
    """The rows of a text table with a header, one at a time."""
    with path.open(encoding=encoding, newline="") as lines:
        yield from csv.DictReader(lines, delimiter=delimiter)


def parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet table, one at a time, from bounded batches."""
    with path.open("rb") as file, pq.ParquetFile(file) as table:
        for batch in table.iter_batches(PARQUET_BATCH_ROWS):
            columns = [column.to_pylist() for column in batch.columns]
            for cells in zip(*columns, strict=True):
                yield dict(zip(batch.schema.names, cells, strict=True))
