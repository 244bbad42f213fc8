"""What durable state costs: bytes on the disk, checkpoints beside the fold, the pause of a fork, and the way back after a kill.

Usage: ``python benchmarks/restart.py [--accounts N] [--records N] [--days D] [--borrowing-share X] [--checkpoints K]
[--json FILE]``

A seeded stream (that of ``bench.py``: one payment of every account first, loans among them) is folded into one book. Then it
is checkpointed whole, and again and again while the fold goes on with pages of 500 records. At last another process loads
the file and folds a loan that is misused: the time is taken from before that process starts to its alert. ``answer`` is a
digest of the state and of that alert, which an undisturbed fold must share (the script checks it).
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import bench
from detectors.events import AccountTransaction, Event, LoanDisbursement
from streams.live.checkpoint import Checkpointer, CheckpointFile, Saved
from streams.live.child import Child
from streams.live.fold import BookFold
from streams.live.journal import Page, Record, Span
from streams.live.rare_collection import collect_rarely
from streams.settings import load_settings

PAGE_RECORDS = 500
GENERATION = "bench"
Figures = dict[str, float | int | str]


def pages(events: Iterator[tuple[str, Event]]) -> Iterator[Page]:
    """The records in pages, as intake would write them."""
    offset = 0
    while piece := list(islice(events, PAGE_RECORDS)):
        spans = [Span(topic, 0, offset - 1, offset + len(piece) - 1) for topic in (bench.TRANSACTIONS, bench.DISBURSEMENTS)]
        records = [
            Record(0 if topic == bench.TRANSACTIONS else 1, offset + i, msgspec.json.encode(event))
            for i, (topic, event) in enumerate(piece)
        ]
        offset += len(piece)
        yield Page(1, 0, spans, records)


def misuse(after_days: float) -> Page:
    """A loan that goes to securities at once."""
    at = bench.START + timedelta(days=after_days)
    loan = LoanDisbursement(
        event_time=at, loan_id="L-last", amount_minor=50_000_000, currency="CNY", disburse_account="A7", customer_id="C7",
        contract_sign_date="2026-01-01", product_class="WORKING_CAPITAL",
    )  # fmt: skip
    bought = AccountTransaction(
        event_time=at + timedelta(minutes=1), txn_id="T-last", account_id="A7", direction="DEBIT", amount_minor=50_000_000,
        currency="CNY", counterparty_account="BROKER", txn_type="SECURITIES_TRANSFER",
    )  # fmt: skip
    far = 1 << 40
    spans = [Span(bench.DISBURSEMENTS, 0, -1, far), Span(bench.TRANSACTIONS, 0, -1, far)]
    return Page(1, 0, spans, [Record(i, far, msgspec.json.encode(event)) for i, event in enumerate((loan, bought))])


def folded(records: int, accounts: int, seed: int, share: float, days: float) -> Iterator[Page]:
    """The pages of the whole stream, within ``days`` of event time."""
    bench.MONTH_MS = round(days * 86_400_000)
    return pages(bench.stream(records, accounts, seed, share))


def measure(arguments: argparse.Namespace) -> Figures:
    """All figures of one size."""
    beside = arguments.checkpoints * arguments.interval_pages + arguments.forks
    stream = folded(
        arguments.records + beside * PAGE_RECORDS, arguments.accounts, arguments.seed, arguments.share, arguments.days
    )
    gc.set_threshold(100_000, 50, 100)
    fold = BookFold(0, load_settings().engine, GENERATION)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        file = CheckpointFile(Path(name) / "book-0.sqlite", GENERATION)
        for page in islice(stream, arguments.records // PAGE_RECORDS):
            fold.fold(fold.next_offset, page)
        whole = _checkpoint(file, fold)
        changed, pages_s = _beside(file, fold, stream, arguments.checkpoints, arguments.interval_pages)
        figures = _figures(fold, whole, changed) | pages_s | _pauses(fold, stream, arguments.forks)
        _checkpoint(file, fold)
        file.close()
        figures |= _restart(file.path, fold, arguments.days + 1.0)
    return figures


class Costs:
    """What checkpoints took, in seconds on the clock and of the processor: the two differ where the machine is shared."""

    def __init__(self) -> None:
        self.saved: list[Saved] = []
        self.child_cpu_s: list[float] = []
        self._children_s = _children_cpu_s()

    def end(self, saved: Saved | None) -> None:
        if saved is not None:
            before, self._children_s = self._children_s, _children_cpu_s()
            self.child_cpu_s.append(self._children_s - before)
            self.saved.append(saved)


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _checkpoint(file: CheckpointFile, fold: BookFold) -> Costs:
    costs = Costs()
    checkpointer = Checkpointer(file)
    checkpointer.begin(fold)
    costs.end(checkpointer.wait())
    return costs


def _beside(
    file: CheckpointFile, fold: BookFold, stream: Iterator[Page], checkpoints: int, interval_pages: int
) -> tuple[Costs, Figures]:
    """Checkpoints while the fold goes on, and what its pages cost meanwhile."""
    checkpointer = Checkpointer(file)
    costs = Costs()
    pages_s: dict[bool, list[float]] = {True: [], False: []}
    for number, page in enumerate(islice(stream, checkpoints * interval_pages)):
        if number % interval_pages == 0 and not checkpointer.running and len(costs.saved) < checkpoints:
            checkpointer.begin(fold)
        started = time.process_time()
        fold.fold(fold.next_offset, page)
        pages_s[checkpointer.running].append(time.process_time() - started)
        costs.end(checkpointer.poll())
    costs.end(checkpointer.wait())
    figures: Figures = {}
    for name, running in (("alone", False), ("beside", True)):
        figures[f"page_ms_{name}"] = statistics.median(pages_s[running] or [0.0]) * 1e3
        figures[f"page_ms_{name}_max"] = max(pages_s[running] or [0.0]) * 1e3
    return costs, figures


def _pauses(fold: BookFold, stream: Iterator[Page], forks: int) -> Figures:
    """How long the fold stands still for a fork, again and again between its pages."""
    wall_ms, cpu_ms = [], []
    for page in islice(stream, forks):
        fold.fold(fold.next_offset, page)
        started, started_cpu = time.perf_counter(), time.process_time()
        child = Child(lambda: b"")
        wall_ms.append((time.perf_counter() - started) * 1e3)
        cpu_ms.append((time.process_time() - started_cpu) * 1e3)
        child.wait()
    return {
        "pause_ms_p50": statistics.median(wall_ms), "pause_ms_p99": _p99(wall_ms),
        "pause_cpu_ms_p50": statistics.median(cpu_ms), "pause_cpu_ms_p99": _p99(cpu_ms),
    }  # fmt: skip


def _figures(fold: BookFold, whole: Costs, changed: Costs) -> Figures:
    accounts = fold.engine.tracer.number_of_accounts()
    return {
        "accounts": accounts, "bytes_per_account": whole.saved[0].bytes / accounts, "whole_s": whole.saved[0].seconds,
        "whole_cpu_s": whole.child_cpu_s[0], "whole_pause_ms": whole.saved[0].fork_pause_ms, "checkpoints": len(changed.saved),
        "changed_rows": statistics.median(one.rows for one in changed.saved),
        "changed_s": statistics.median(one.seconds for one in changed.saved),
        "changed_cpu_s": statistics.median(changed.child_cpu_s), "changed_cpu_s_max": max(changed.child_cpu_s),
    }  # fmt: skip


def _p99(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, round(len(values) * 0.99))]


def _restart(path: Path, fold: BookFold, after_days: float) -> Figures:
    """Another process goes on from the file; this one says what it ought to say."""
    started = time.monotonic()
    command = [sys.executable, __file__, "--restarted", str(path), "--days", str(after_days)]
    told: Figures = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    wall_s = time.monotonic() - started
    expected = _answer(fold, after_days)
    assert told["answer"] == expected, f"restarted: {told['answer']}, undisturbed: {expected}"
    return told | {"restart_s": wall_s}


def _answer(fold: BookFold, after_days: float) -> str:
    said = fold.fold(fold.next_offset, misuse(after_days))
    assert any(one.topic == "alerts" for one in said), "the misused loan raised no alert"
    digest = hashlib.sha256(json.dumps(fold.engine.counters, sort_keys=True).encode())
    for one in said:
        digest.update(one.entry.value)
    return digest.hexdigest()[:12]


def restarted(path: Path, after_days: float) -> None:
    """What the new process does, as a worker does it."""
    started = time.monotonic()
    collect_rarely()
    fold = CheckpointFile(path, GENERATION).load(load_settings().engine, 0)
    assert fold is not None
    load_s = time.monotonic() - started
    answer = _answer(fold, after_days)
    print(json.dumps({"load_s": load_s, "restart_cpu_s": time.process_time(), "answer": answer}))


def main(options: list[str] | None = None) -> Figures:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--records", type=int, help="folded before the first checkpoint (default 1.2 for each account)")
    parser.add_argument("--days", type=float, default=30.0, help="of event time in which the records come")
    parser.add_argument("--borrowing-share", dest="share", type=float, default=0.05, help="accounts that get a loan")
    parser.add_argument("--checkpoints", type=int, default=5)
    parser.add_argument("--interval-pages", type=int, default=200, help=f"pages of {PAGE_RECORDS} records between checkpoints")
    parser.add_argument("--forks", type=int, default=100, help="forks whose pause is measured")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where the state file is put (default: the system's place for such)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--restarted", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args(options)
    if arguments.restarted is not None:
        restarted(arguments.restarted, arguments.days)
        return {}
    arguments.records = arguments.records or round(arguments.accounts * 1.2)
    figures = measure(arguments)
    for name, value in figures.items():
        print(f"{name:>20}  {value:,.3f}" if isinstance(value, float) else f"{name:>20}  {value}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return figures


if __name__ == "__main__":
    main()
