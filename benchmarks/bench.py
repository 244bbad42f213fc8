"""What an event costs, in units of decoding it: tracing alone, the engine, the whole replay, at 10k to 1M accounts.

Usage: ``python benchmarks/bench.py [--records N] [--accounts 10000,100000,1000000] [--borrowing-share X]
[--json FILE]``

Every size runs in a process of its own on the same seeded stream: one payment of every account first (so that all accounts
exist), then a month of payments with heavy-tailed payees, loans among them. ``all / first 7`` is the engine with every
typology over the engine with the first seven. Times are CPU seconds, the best of three for decoding (the yardstick) and one
for the rest; compare ratios, not seconds. ``answer`` is a digest of what was computed, so that a faster wrong answer is seen.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from detectors.accounts import HELD, Account
from detectors.engine import Engine
from detectors.events import AccountTransaction, Event, LoanDisbursement
from detectors.lots import Transfer
from detectors.tracer import LENDER_ACCOUNT, Tracer
from streams.codec import decoder_of
from streams.files.replay import replay
from streams.settings import load_settings

START = datetime(2026, 1, 5, tzinfo=UTC)
MONTH_MS = 30 * 86_400_000
BORROWING_SHARE = 0.05
"""Accounts that get a loan in the month: 6.5 % in the labelled payments of the evaluation, 0.2 % in Berka."""
FIRST_SEVEN = ("T01", "T02", "T05", "T06", "T08", "T09", "T12")
"""The typologies that need nothing but one loan's money and were there first: what all of them cost is told against these."""
OPENING_MINOR = 10_000_000
TRANSACTIONS, DISBURSEMENTS = "account-transactions", "loan-disbursements"


def stream(records: int, accounts: int, seed: int, borrowing_share: float = BORROWING_SHARE) -> Iterator[tuple[str, Event]]:
    """Payments and loans in time order; balances are true, so that nothing is assumed."""
    chance = random.Random(seed)
    balances = [OPENING_MINOR] * accounts
    loan_every = max(2, round(records / (accounts * borrowing_share)))
    for i in range(records):
        at = START + timedelta(milliseconds=i * MONTH_MS // records)
        payer = i if i < accounts and records > accounts else chance.randrange(accounts)
        if i % loan_every == loan_every - 1:
            amount = chance.choice((1_000_000, 5_000_000, 30_000_000))
            balances[payer] += amount
            yield DISBURSEMENTS, LoanDisbursement(
                event_time=at, loan_id=f"L{i}", amount_minor=amount, currency="CNY", disburse_account=f"A{payer}",
                customer_id=f"C{payer}", contract_sign_date="2026-01-01", product_class="WORKING_CAPITAL",
            )  # fmt: skip
            continue
        payee = int(accounts * chance.random() ** 2)
        if payee == payer:
            payee = (payer + 1) % accounts
        amount = max(1, min(int(math.exp(chance.gauss(10, 1.5))), balances[payer]))
        balances[payer] -= amount
        balances[payee] += amount
        yield TRANSACTIONS, AccountTransaction(
            event_time=at, txn_id=f"T{i}", account_id=f"A{payer}", customer_id=f"C{payer}", account_kind="BASIC",
            direction="DEBIT", amount_minor=amount, currency="CNY", counterparty_account=f"A{payee}",
            counterparty_name="示例贸易有限公司", balance_after_minor=balances[payer], channel="MOBILE",
            txn_type="TRANSFER" if i % 3 else "PURCHASE", memo="payment for goods", end_to_end_id=f"E{i}",
        )  # fmt: skip


def measure(records: int, accounts: int, seed: int, borrowing_share: float) -> dict[str, float | int | str]:
    """All figures of one size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = _write(folder / "in", records, accounts, seed, borrowing_share)
        gc.set_threshold(100_000, 50, 100)
        decode_s = min(_time_decoding(lines) for _ in range(3))
        events = [decoder_of(topic)(raw) for topic, raw in lines]
        gc.freeze()
        tracing_s, traced = _time_tracing(events)
        seven_s, _, _ = _time_engine(events, FIRST_SEVEN)
        engine_s, alerts, bytes_per_account = _time_engine(events)
        del events
        started = time.process_time()
        summary = replay([folder / "in"], folder / "out", load_settings())
        replay_s = time.process_time() - started
    return {
        "accounts": accounts, "records": records, "decode_us": decode_s / records * 1e6, "tracing_x": tracing_s / decode_s,
        "engine_x": engine_s / decode_s, "all_over_seven": engine_s / seven_s,
        "replay_x": replay_s / decode_s, "replay_records_per_second": records / replay_s,
        "bytes_per_account": bytes_per_account, "alerts": sum(summary.alerts.values()),
        "answer": hashlib.sha256(f"{traced} {alerts} {summary.alerts_sha256}".encode()).hexdigest()[:12],
    }  # fmt: skip


def _write(folder: Path, records: int, accounts: int, seed: int, borrowing_share: float) -> list[tuple[str, bytes]]:
    folder.mkdir()
    lines = [(topic, msgspec.json.encode(event)) for topic, event in stream(records, accounts, seed, borrowing_share)]
    for topic in (TRANSACTIONS, DISBURSEMENTS):
        (folder / f"{topic}.jsonl").write_bytes(b"".join(raw + b"\n" for name, raw in lines if name == topic))
    return lines


def _time_decoding(lines: list[tuple[str, bytes]]) -> float:
    decoders = {topic: decoder_of(topic) for topic in (TRANSACTIONS, DISBURSEMENTS)}
    started = time.process_time()
    for topic, raw in lines:
        decoders[topic](raw)
    return time.process_time() - started


def _time_tracing(events: list[Event]) -> tuple[float, int]:
    """The ledgers alone, on transfers that are ready: what following money costs without asking what it means."""
    tracer = Tracer()
    moved = 0
    started = time.process_time()
    for event in events:
        if isinstance(event, AccountTransaction):
            payer, payee = _funded(tracer, event.account_id), _funded(tracer, event.counterparty_account or "")
            movement = tracer.pay(_transfer(tracer, event, payer.account_id, payee.account_id), payer, payee)
            if movement is not None:
                moved += sum(parcel.amount_minor for parcel in movement.parcels[0])
        elif isinstance(event, LoanDisbursement):
            payee = _funded(tracer, event.disburse_account)
            transfer = _transfer(tracer, event, LENDER_ACCOUNT, payee.account_id)
            tracer.pay_out(tracer.open_origin(event.loan_id, event.event_time_ms), transfer, payee)
    return time.process_time() - started, moved


def _funded(tracer: Tracer, account_id: str) -> Account:
    account = tracer.find(account_id, "CNY")
    if account is None:
        account = tracer.account(account_id, "CNY", HELD)
        account.balance_minor, account.balance_known = OPENING_MINOR, True
    return account


def _transfer(tracer: Tracer, event: AccountTransaction | LoanDisbursement, payer: str, payee: str) -> Transfer:
    return Transfer(tracer.next_seq(), "", event.event_time_ms, payer, payee, event.amount_minor, "CNY", "OTHER")


def _time_engine(events: list[Event], typologies: tuple[str, ...] = ()) -> tuple[float, str, int]:
    engine = Engine(msgspec.structs.replace(load_settings().engine, typologies=typologies))
    digest = hashlib.sha256()
    before = _resident_bytes()
    started = time.process_time()
    for event in events:
        for alert in engine.apply(event).alerts:
            digest.update(alert.evidence_digest.encode())
    seconds = time.process_time() - started
    return seconds, digest.hexdigest(), (_resident_bytes() - before) // engine.counters["accounts"]


def _resident_bytes() -> int:
    """Memory of this process that is in use now; what the engine remembers besides accounts is in it too."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def _measure_apart(records: int, accounts: int, seed: int, borrowing_share: float) -> dict[str, float | int | str]:
    options = {"records": records, "accounts": accounts, "seed": seed, "borrowing-share": borrowing_share}
    command = [sys.executable, __file__, "--one", *(f"--{name}={value}" for name, value in options.items())]
    result: dict[str, float | int | str] = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
    )
    return result


def main() -> None:
    """Measure every size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_200_000, help="records per size (default 1,200,000)")
    parser.add_argument("--accounts", default="10000,100000,1000000", help="sizes, by comma")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--borrowing-share", type=float, default=BORROWING_SHARE, help="accounts that borrow in the month")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.accounts.split(",")]
    if arguments.one:
        print(json.dumps(measure(arguments.records, sizes[0], arguments.seed, arguments.borrowing_share)))
        return
    results = [_measure_apart(arguments.records, size, arguments.seed, arguments.borrowing_share) for size in sizes]
    _print(results)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _print(results: list[dict[str, float | int | str]]) -> None:
    table = Table(title="Cost per record, in units of decoding the same bytes")
    for column in (
        "accounts",
        "decode us",
        "tracing x",
        "engine x",
        "all / first 7",
        "replay x",
        "replay rec/s",
        "bytes/account",
        "alerts",
        "answer",
    ):
        table.add_column(column, justify="right")
    for row in results:
        table.add_row(
            f"{row['accounts']:,}", f"{row['decode_us']:.2f}", f"{row['tracing_x']:.1f}", f"{row['engine_x']:.1f}",
            f"{row['all_over_seven']:.2f}",
            f"{row['replay_x']:.1f}", f"{row['replay_records_per_second']:,.0f}", f"{row['bytes_per_account']:,}",
            f"{row['alerts']:,}", str(row["answer"]),
        )  # fmt: skip
    console = Console(width=140)
    console.print(table)
    rates = [float(row["replay_records_per_second"]) for row in results]
    if len(rates) > 1:
        console.print(
            f"replay rate at {results[-1]['accounts']:,} accounts / at {results[0]['accounts']:,}: {rates[-1] / rates[0]:.2f}"
        )


if __name__ == "__main__":
    main()
