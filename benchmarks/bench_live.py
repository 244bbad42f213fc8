"""The live path on a real broker: throughput against an empty stock Faust agent, the fold against the embedded one, latency.

Usage: ``python benchmarks/bench_live.py [--records N] [--accounts N] [--seconds S] [--json FILE] [PART ...]``

Parts: ``throughput`` (an empty stock Faust agent, then intake and detect in one process with everything on, over the
same topics), ``fold`` (detect alone from journal pages against the embedded replay of the same records), ``latency``
(from the producer's timestamp of a source record to the broker's timestamp of the alert that follows from it, at shares
of the measured rate, and at half of it in bursts of a second), ``books`` (two workers on two books against one on one).
The broker runs beside, on the other core; how much processor time it takes is said. Compare ratios within one run;
``answer`` digests the alerts.

Two streams: *payments* (those of bench.py, 5 % of the accounts borrowing) and *bank* (a simulated bank with 30 % of its loans
misused: far denser in loan money, and full of alerts).

A broker is started from Maven's jars unless ``KAFKA_BOOTSTRAP_SERVERS`` names one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.bench import TRANSACTIONS, stream
from streams.files.replay import replay
from streams.live.journal import Page, Position, decode_page
from streams.live.names import ALERTS, JOURNAL, LOAN_RISK, ORDER_HEADER, POSITION_HEADER
from streams.settings import load_settings
from streams.simulate.world import simulate
from tests.broker.jars import broker_jars
from tests.broker.kafka import QUICK_JVM, Broker
from tests.broker.live_run import LiveRun, Worker, records_of, wait_until

Result = dict[str, float | int | str]
LATENCY_SHARES = (0.1, 0.5, 0.8)
BURST_SHARE = 0.5
"""Of the rate: a second's records are sent at once, then nothing for the rest of the second."""

STOCK = Path(__file__).with_name("stock_faust.py")
FOLDED = 'fundtrail_detect_records_total{book="0",outcome="journalled"}'


@contextmanager
def reached(folder: Path) -> Iterator[tuple[str, Callable[[], float]]]:
    """(bootstrap servers, processor seconds the broker has taken so far)."""
    named = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if named:
        yield named, lambda: float("nan")
        return
    broker = Broker(folder / "broker", broker_jars(), QUICK_JVM[:-1])
    broker.start()
    try:
        yield broker.bootstrap, lambda: _processor_seconds(broker.pid)
    finally:
        broker.kill()


def _processor_seconds(pid: int | None) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Bench:
    """One broker, one folder; each measurement under a prefix of its own."""

    def __init__(self, bootstrap: str, broker_seconds: Callable[[], float], folder: Path) -> None:
        self.bootstrap = bootstrap
        self.broker_seconds = broker_seconds
        self.folder = folder
        self.slower_cpu = 0.0  # processor seconds of the busiest worker of the last sharing

    def run(self, *, books: int = 1, lanes: int = 1) -> LiveRun:
        prefix = f"bench-{uuid.uuid4().hex[:8]}."
        return LiveRun(self.bootstrap, prefix, self.folder / prefix, books=books, lanes=lanes)

    # --- throughput ---------------------------------------------------------------------------------------------------

    def throughput(self, source: Path, records: int) -> Result:
        """An empty stock agent and the whole live path over the same topics."""
        live = self.run()
        live.load(source)
        stock_s, stock_cpu = self._stock(live, records)
        ours_s, ours_cpu, broker_cpu, answer = self._ours(live, records)
        return {
            "records": records,
            "stock_per_second": round(records / stock_s),
            "ours_per_second": round(records / ours_s),
            "ratio": round(stock_s / ours_s, 2),
            "stock_cpu_us": round(stock_cpu / records * 1e6, 1),
            "ours_cpu_us": round(ours_cpu / records * 1e6, 1),
            "broker_cpu_share": round(broker_cpu / ours_s, 2),
            "answer": answer,
        }

    def _stock(self, live: LiveRun, records: int) -> tuple[float, float]:
        """Seconds and processor seconds from its first to its last record; it counts the account transactions only."""
        count = live.end(TRANSACTIONS)
        command = [sys.executable, str(STOCK), self.bootstrap, live.prefix + TRANSACTIONS, str(count)]
        told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
        seconds, cpu = (float(word) for word in told.split()[-2:])
        return seconds * records / count, cpu * records / count

    def _ours(self, live: LiveRun, records: int) -> tuple[float, float, float, str]:
        with live.running(settings=live.settings(checkpoint_ms=10_000)) as worker:
            wait_until(lambda: worker.metrics()["fundtrail_intake_pages_total"] > 0, "first page", 60)
            began, cpu, broker_cpu, before = time.monotonic(), worker_cpu(worker), self.broker_seconds(), _folded(worker)
            wait_until(lambda: _folded(worker) >= records, "all records folded", 900)
            seconds = (time.monotonic() - began) * records / max(1, records - before)
            spent = worker_cpu(worker) - cpu
            return seconds, spent, self.broker_seconds() - broker_cpu, digest(live.alerts())

    # --- the fold alone -----------------------------------------------------------------------------------------------

    def fold(self, source: Path, records: int) -> Result:
        """Detect from the journal against the embedded replay of the same files."""
        out = self.folder / "embedded"
        began_cpu = time.process_time()
        summary = replay([source], out, load_settings())
        embedded_cpu = time.process_time() - began_cpu
        live = self.run()
        live.load(source)
        with live.running("intake", "intake") as worker:
            written = 'fundtrail_intake_records_total{outcome="journalled"}'
            wait_until(lambda: worker.metrics()[written] >= records, "the journal", 900)
        with live.running("detect", "detect", settings=live.settings(checkpoint_ms=10_000)) as worker:
            wait_until(lambda: _folded(worker) > 0, "first page folded", 60)
            began, cpu, before = time.monotonic(), worker_cpu(worker), _folded(worker)
            wait_until(lambda: _folded(worker) >= records, "all records folded", 900)
            scale = records / max(1, records - before)
            seconds, spent = (time.monotonic() - began) * scale, (worker_cpu(worker) - cpu) * scale
        return {
            "records": records,
            "embedded_per_second": summary.records_per_second,
            "detect_per_second": round(records / seconds),
            "ratio": round(records / seconds / summary.records_per_second, 2),
            "embedded_cpu_us": round(embedded_cpu / records * 1e6, 1),
            "detect_cpu_us": round(spent / records * 1e6, 1),
            "same_alerts": str(digest(live.alerts()) == digest((out / "alerts.jsonl").read_bytes().splitlines())),
        }

    # --- books --------------------------------------------------------------------------------------------------------

    def books(self, source: Path, records: int) -> Result:
        """Two workers on two books against one on one, each with everything on; two lanes and two intakes feed the two."""
        one_s, one_cpu, one_broker = self._share(source, records, 1)
        two_s, two_cpu, two_broker = self._share(source, records, 2)
        return {
            "records": records,
            "one_per_second": round(records / one_s),
            "two_per_second": round(records / two_s),
            "ratio": round(one_s / two_s, 2),
            "one_cpu_us": round(one_cpu / records * 1e6, 1),
            "two_cpu_us": round(two_cpu / records * 1e6, 1),
            "slower_of_two_cpu_ratio": round(one_cpu / self.slower_cpu, 2),
            "one_broker_cpu_share": round(one_broker / one_s, 2),
            "two_broker_cpu_share": round(two_broker / two_s, 2),
        }

    def _share(self, source: Path, records: int, number: int) -> tuple[float, float, float]:
        """(seconds, processor seconds of all workers, of the broker) that so many workers take for everything."""
        live = self.run(books=number, lanes=number)
        by_lane: list[list[tuple[str, bytes]]] = [[] for _ in range(number)]
        for topic, value in records_of(source):
            by_lane[_lane_of(topic, value, number)].append((topic, value))
        for lane, some in enumerate(by_lane):
            live.send(some, lane=lane)
        workers = [live.start(state=f"worker{i}", settings=live.settings(checkpoint_ms=10_000)) for i in range(number)]
        try:
            for worker in workers:
                wait_until(lambda worker=worker: _has_one_of_each(worker), "a lane and a book for each", 120)  # type: ignore[misc]
            wait_until(lambda: all(_folded_in_all_books(worker) > 0 for worker in workers), "first pages", 60)
            began, before = time.monotonic(), sum(map(_folded_in_all_books, workers))
            cpu, broker = [worker_cpu(worker) for worker in workers], self.broker_seconds()
            wait_until(lambda: live.taken_in() == records and all(map(_is_at_end, workers)), "all records folded", 900)
            folded = sum(map(_folded_in_all_books, workers))
            scale = folded / max(1, folded - before)
            spent = [(worker_cpu(worker) - before) * scale for worker, before in zip(workers, cpu, strict=True)]
            self.slower_cpu = max(spent)
            return (time.monotonic() - began) * scale, sum(spent), (self.broker_seconds() - broker) * scale
        finally:
            for worker in workers:
                worker.kill()

    # --- latency ------------------------------------------------------------------------------------------------------

    def latency(self, source: Path, rate: float, share: float, seconds: float, burst: int = 1) -> Result:
        """A bank's records at a steady rate; from the source's timestamp to the broker's of what follows: alerts, loan states
        (there are more of these), and the journal page between.

        Args:
            burst: records that are sent at once.
        """
        live = self.run()
        self._stamp_on_append(live)
        per_second = rate * share
        chosen = list(_first(records_of(source), int(per_second * seconds)))
        with live.running(settings=live.settings(checkpoint_ms=10_000)) as worker:
            wait_until(lambda: '"ok": true' in _health(worker), "a ready worker", 60)
            self._send_steadily(live, chosen, per_second, burst)
            wait_until(lambda: _folded(worker) >= len(chosen), "all records folded", 120)
            pauses = worker.metrics()['fundtrail_checkpoint_pause_seconds{book="0"}']
        waits = _Waits(live)
        alerts, states, pages = sorted(waits.until(ALERTS)), sorted(waits.until(LOAN_RISK)), sorted(waits.until_journal())
        return {
            "share_of_rate": share,
            "records_per_second": round(per_second),
            "burst": burst,
            "alerts": len(alerts),
            "p50_ms": _quantile(alerts, 0.5),
            "p99_ms": _quantile(alerts, 0.99),
            "p99.9_ms": _quantile(alerts, 0.999),
            "max_ms": alerts[-1] if alerts else 0,
            "states": len(states),
            "states_p50_ms": _quantile(states, 0.5),
            "states_p99_ms": _quantile(states, 0.99),
            "journal_p50_ms": _quantile(pages, 0.5),
            "journal_p99_ms": _quantile(pages, 0.99),
            "checkpoint_pause_ms": round(pauses * 1000, 1),
        }

    def _stamp_on_append(self, live: LiveRun) -> None:
        from kafka.admin import ConfigResource, ConfigResourceType

        stamped = [
            ConfigResource(ConfigResourceType.TOPIC, live.prefix + topic, {"message.timestamp.type": "LogAppendTime"})
            for topic in (ALERTS, LOAN_RISK, JOURNAL)
        ]
        with KafkaAdminClient(bootstrap_servers=self.bootstrap) as admin:
            admin.alter_configs(stamped)

    def _send_steadily(self, live: LiveRun, records: list[tuple[str, bytes]], per_second: float, burst: int) -> None:
        began = time.monotonic()
        with KafkaProducer(bootstrap_servers=self.bootstrap, acks="all", linger_ms=2) as producer:
            for number, (topic, value) in enumerate(records):
                if number % max(20, burst) == 0 and (early := began + number / per_second - time.monotonic()) > 0:
                    time.sleep(early)
                producer.send(live.prefix + topic, value=value, headers=[(ORDER_HEADER, b"%d" % number)], partition=0)
            producer.flush()


class _Waits:
    """From the timestamps of source records to the broker's of what follows from them, in milliseconds."""

    def __init__(self, live: LiveRun) -> None:
        self.live = live
        self.pages = {message.offset: (message.timestamp, decode_page(message.value)) for message in live.read(JOURNAL)}
        self.sent: dict[str, dict[int, int]] = {}

    def until(self, topic: str) -> Iterator[int]:
        """For each message of an output."""
        for message in self.live.read(topic):
            place = Position.parse(dict(message.headers)[POSITION_HEADER])
            _, page = self.pages[place.offset]
            yield max(0, message.timestamp - self._sent_ms(page, place.record))

    def until_journal(self) -> Iterator[int]:
        """For each record."""
        for written_ms, page in self.pages.values():
            yield from (max(0, written_ms - self._sent_ms(page, number)) for number in range(len(page.records)))

    def _sent_ms(self, page: Page, number: int) -> int:
        record = page.records[number]
        topic = page.spans[record.span].topic
        if topic not in self.sent:
            self.sent[topic] = {message.offset: message.timestamp for message in self.live.read(topic)}
        return self.sent[topic][record.offset]


def _first(records: Iterator[tuple[str, bytes]], count: int) -> Iterator[tuple[str, bytes]]:
    for _, record in zip(range(count), records, strict=False):
        yield record


def _quantile(ordered: list[int], share: float) -> int:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0


def _lane_of(topic: str, value: bytes, lanes: int) -> int:
    """As `fundtrail load` deals records out."""
    field = {"account-transactions": "account_id", "loan-disbursements": "disburse_account"}.get(topic)
    return zlib.crc32(str(msgspec.json.decode(value)[field]).encode()) % lanes if field is not None else 0


def _has_one_of_each(worker: Worker) -> bool:
    metrics = worker.metrics()
    return metrics["fundtrail_detect_books"] == 1 and metrics["fundtrail_intake_lanes"] == 1


def _folded_in_all_books(worker: Worker) -> float:
    """Journal records, those of remittances between books among them."""
    return _sum_of(worker, "fundtrail_detect_records_total{", 'outcome="journalled"')


def _is_at_end(worker: Worker) -> bool:
    return _sum_of(worker, "fundtrail_journal_lag_pages{", "") == 0 == worker.metrics()["fundtrail_intake_waiting"]


def _sum_of(worker: Worker, begin: str, part: str) -> float:
    return sum(value for name, value in worker.metrics().items() if name.startswith(begin) and part in name)


def _folded(worker: Worker) -> int:
    return int(worker.metrics().get(FOLDED, 0))


def _health(worker: Worker) -> str:
    try:
        return worker.get("/health/ready")
    except OSError as error:
        return str(error)


def worker_cpu(worker: Worker) -> float:
    """Processor seconds of a worker process."""
    return _processor_seconds(worker.process.pid)


def digest(alerts: list[bytes]) -> str:
    """16 hex digits of the alerts in their order."""
    return hashlib.sha256(b"\n".join(alerts)).hexdigest()[:16]


def write_stream(folder: Path, records: int, accounts: int, seed: int) -> Path:
    """The benchmark's records as topic files."""
    folder.mkdir()
    files: dict[str, Any] = {}
    for topic, event in stream(records, accounts, seed):
        if topic not in files:
            files[topic] = (folder / f"{topic}.jsonl").open("wb")
        files[topic].write(msgspec.json.encode(event) + b"\n")
    for file in files.values():
        file.close()
    return folder


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", default=["throughput", "fold", "books", "latency"])
    parser.add_argument("--records", type=int, default=300_000)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument(
        "--rate", type=float, default=8_000, help="of which latency takes shares, unless throughput is measured"
    )
    parser.add_argument("--seconds", type=float, default=20, help="of sending, for each latency")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as made, reached(Path(made)) as (bootstrap, broker_seconds):
        folder = Path(made)
        bench = Bench(bootstrap, broker_seconds, folder)
        bank = folder / "bank"
        bank.mkdir()
        counts = simulate(bank, loans=max(50, options.records // 175), days=90, seed=options.seed, misuse_share=0.3)
        records = sum(counts.values()) - counts["labels"]
        (bank / "labels.jsonl").unlink()
        rate = options.rate
        if "throughput" in options.parts:
            payments = write_stream(folder / "payments", options.records, options.accounts, options.seed)
            results["throughput"] = {
                "payments": bench.throughput(payments, options.records),
                "bank": bench.throughput(bank, records),
            }
            rate = float(results["throughput"]["bank"]["ours_per_second"])
            print(json.dumps(results["throughput"]), flush=True)
        if "fold" in options.parts:
            results["fold"] = bench.fold(bank, records)
            print(json.dumps(results["fold"]), flush=True)
        if "books" in options.parts:
            results["books"] = bench.books(bank, records)
            print(json.dumps(results["books"]), flush=True)
        if "latency" in options.parts:
            results["latency"] = []
            for share in LATENCY_SHARES:
                results["latency"].append(bench.latency(bank, rate, share, options.seconds))
                print(json.dumps(results["latency"][-1]), flush=True)
            results["bursts"] = bench.latency(bank, rate, BURST_SHARE, options.seconds, round(rate * BURST_SHARE))
            print(json.dumps(results["bursts"]), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
