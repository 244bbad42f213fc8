"""A small feed and the ways to write it as files: what the file adapters' tests read."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from streams.files.merge import Course, merge
from streams.files.readers import Row, open_topic_files
from streams.files.rejects import Reject

START = datetime(2026, 1, 5, 1, tzinfo=UTC)
Cells = dict[str, Any]


def at(minutes: float) -> str:
    """An instant, minutes after the feed's start."""
    return (START + timedelta(minutes=minutes)).isoformat(timespec="milliseconds")


def transfer(number: int, minutes: float | None = None, **changes: Any) -> Cells:
    """The cells of one transfer; two numbers never give the same one."""
    return {
        "event_time": at(number if minutes is None else minutes),
        "txn_id": f"X{number}",
        "account_id": f"A{number % 7}",
        "amount_minor": 1_000 + number,
        "currency": "CNY",
        "direction": "DEBIT",
        "counterparty_account": f"B{number % 5}",
        **changes,
    }


def payout(number: int, minutes: float) -> Cells:
    """The cells of one loan."""
    return {
        "event_time": at(minutes),
        "loan_id": f"L{number}",
        "amount_minor": 1_000_000,
        "currency": "CNY",
        "disburse_account": f"A{number % 7}",
        "product_class": "WORKING_CAPITAL",
        "guarantor_party_ids": [f"G{number}"],
    }


def misused_loans(loans: int = 6) -> tuple[list[Cells], list[Cells]]:
    """Payouts and transfers in order of time: each loan goes to a broker within the hour, among ordinary payments."""
    rng = Random(7)
    payouts = [payout(n, n * 60) for n in range(loans)]
    transfers = [transfer(n, n * 60 + 30, account_id=f"A{n % 7}", amount_minor=900_000) for n in range(loans)]
    for cells in transfers:
        cells |= {"txn_type": "SECURITIES_TRANSFER", "counterparty_account": "BROKER", "balance_after_minor": 100_000}
    transfers += [
        transfer(100 + n, rng.randrange(loans * 60), account_id=f"C{n % 9}", memo='5" pipe, "new"') for n in range(300)
    ]
    transfers.sort(key=lambda cells: cells["event_time"])
    return payouts, [{**cells, "source_seq": seq} for seq, cells in enumerate(transfers)]


def jsonl(rows: Iterable[Cells]) -> bytes:
    """One JSON object a line."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def csv_bytes(rows: Sequence[Cells]) -> bytes:
    """Comma-separated with a header; what is nested stands as JSON."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    for row in rows:
        writer.writerow({key: json.dumps(cell) if isinstance(cell, list) else cell for key, cell in row.items()})
    return text.getvalue().encode()


def write_parquet(path: Path, rows: Sequence[Cells], group_rows: int = 50) -> Path:
    """A table with instants as timestamps of a time zone."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    data = {column: [row.get(column) for row in rows] for column in columns}
    times = [datetime.fromisoformat(row["event_time"]) for row in rows]
    table = pa.table(data | {"event_time": pa.array(times, pa.timestamp("ns", "Asia/Shanghai"))})
    pq.write_table(table, path, row_group_size=group_rows)
    return path


def write(path: Path, data: bytes) -> Path:
    """Write bytes, compressed as the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    elif path.suffix == ".zst":
        data = zstandard.ZstdCompressor().compress(data)
    path.write_bytes(data)
    return path


def read_all(*paths: Path, course: Course | None = None) -> tuple[list[Row], list[Reject]]:
    """Everything under the paths, in the order of the stream."""
    rows: list[Row] = []
    rejects: list[Reject] = []
    for some_rows, some_rejects in merge(open_topic_files(paths), course):
        rows += some_rows
        rejects += [reject for _, reject in some_rejects]
    return rows, rejects


def ids(rows: Iterable[Row]) -> list[str]:
    """The business ids of records, in order."""
    return [str(getattr(row[5], "txn_id", None) or getattr(row[5], "loan_id", "?")) for row in rows]
