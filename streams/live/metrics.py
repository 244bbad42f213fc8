"""What an SRE watches, read from the stages whenever somebody asks: nothing is counted twice, nothing in the hot path."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from streams.live.book_at_work import BookAtWork
from streams.live.detect_stage import DetectStage
from streams.live.fold import COUNTED
from streams.live.intake_stage import IntakeStage
from streams.live.latency import Latency

INTAKE_OUTCOMES = ("journalled", "rejected", "duplicate", "unwritten")


class Described(NamedTuple):
    """One metric: its name, what it says, and how to read it. A name that ends in ``_total`` is a counter."""

    name: str
    text: str
    value: Callable[[Any], float]


def intake_difference(intake: IntakeStage) -> int:
    """0 as long as *in = journalled + rejected + duplicate* (with what waits or was handed back)."""
    counts = intake.counts
    return counts["in"] - intake.waiting - sum(counts[outcome] for outcome in INTAKE_OUTCOMES)


def fold_difference(at_work: BookAtWork) -> int:
    """0 as long as *journalled = applied + duplicate + rejected + repeated + ahead*."""
    counts = at_work.counts
    return counts["journalled"] - sum(counts[outcome] for outcome in COUNTED)


OF_INTAKE = (
    Described("fundtrail_intake_in_total", "Source records received.", lambda intake: intake.counts["in"]),
    Described("fundtrail_intake_pages_total", "Journal pages written.", lambda intake: intake.counts["pages"]),
    Described("fundtrail_intake_ticks_total", "Ticks written while no record came.", lambda intake: intake.counts["ticks"]),
    Described("fundtrail_intake_unordered_total", "Pages written although an earlier record may have been missing.",
              lambda intake: intake.counts["unordered"]),
    Described("fundtrail_intake_waiting", "Source records received and not yet written.", lambda intake: intake.waiting),
    Described("fundtrail_intake_lanes", "Lanes assigned to this worker.", lambda intake: len(intake.lanes)),
    Described("fundtrail_intake_accounting_difference", "in - (journalled + rejected + duplicate): 0, or a bug.",
              intake_difference),
)  # fmt: skip

OF_DETECT = (
    Described("fundtrail_detect_books", "Books assigned to this worker.", lambda detect: len(detect.books)),
    Described("fundtrail_checkpoints_failed_total", "Checkpoints that could not be written.",
              lambda detect: sum(book.checkpoints_failed for book in list(detect.books.values()))),
)  # fmt: skip

OF_BOOK = (
    Described("fundtrail_detect_accounting_difference", "journalled - (applied + rejected + ...): 0, or a bug.",
              fold_difference),
    Described("fundtrail_journal_offset", "Journal offset folded next.", lambda book: book.detect.fold.next_offset),
    Described("fundtrail_watermark_seconds", "Event time the fold has come to.",
              lambda book: (book.detect.fold.engine.watermark_ms or 0) / 1000),
    Described("fundtrail_published_total", "Alerts, loan states and rejects published.", lambda book: book.detect.sent),
    Described("fundtrail_withheld_total", "Outputs recognised as published before.", lambda book: book.detect.withheld),
    Described("fundtrail_checkpoint_age_seconds", "Since the last durable checkpoint.",
              lambda book: time.monotonic() - book.saved_at),
    Described("fundtrail_checkpoint_pause_seconds", "How long the last checkpoint stopped the fold.",
              lambda book: book.saved.fork_pause_ms / 1000 if book.saved else 0.0),
    Described("fundtrail_checkpoint_seconds", "How long the last checkpoint took to write.",
              lambda book: book.saved.seconds if book.saved else 0.0),
    Described("fundtrail_state_bytes", "Size of the state file.", lambda book: book.saved.bytes if book.saved else 0),
)  # fmt: skip

LABELLED = {
    "fundtrail_intake_records_total": "Source records by what became of them.",
    "fundtrail_detect_records_total": "Journal records by what became of them, since the state began.",
    "fundtrail_journal_lag_pages": "Journal pages not folded yet.",
    "fundtrail_fold_counter": "The fold's own counters: what was matched, cleared, forgotten, withheld.",
    "fundtrail_drift_index": "Population stability index of the last window of scores, or of a feature.",
    "fundtrail_drift_active": "1 while scores, or a feature, are distributed otherwise than before.",
    "fundtrail_page_seconds": "From a journal page's Kafka timestamp to the acknowledgement of what follows.",
}
"""Those with labels or a shape of their own."""


class Collector:
    """A prometheus-client collector over the stages that this worker runs."""

    def __init__(self, intake: IntakeStage | None, detect: DetectStage | None) -> None:
        self.intake = intake
        self.detect = detect

    def collect(self) -> Iterator[Metric]:
        """Every metric, as documented in docs/metrics.md."""
        if self.intake is not None:
            yield from (_single(described, self.intake) for described in OF_INTAKE)
            yield _intake_records(self.intake)
        if self.detect is not None:
            yield from (_single(described, self.detect) for described in OF_DETECT)
            books = {str(number): at_work for number, at_work in list(self.detect.books.items())}
            yield from (_by_book(described, books) for described in OF_BOOK)
            yield from (
                _detect_records(books),
                _lag(self.detect, books),
                _fold_counters(books),
                _drift("fundtrail_drift_index", books, 0),
                _drift("fundtrail_drift_active", books, 1),
                _histogram(self.detect.latency),
            )


def _single(described: Described, stage: object) -> Metric:
    family = CounterMetricFamily if described.name.endswith("_total") else GaugeMetricFamily
    return family(described.name, described.text, value=described.value(stage))


def _by_book(described: Described, books: Mapping[str, BookAtWork]) -> Metric:
    kind = CounterMetricFamily if described.name.endswith("_total") else GaugeMetricFamily
    family = kind(described.name, described.text, labels=["book"])
    for book, at_work in books.items():
        family.add_metric([book], described.value(at_work))
    return family


def _intake_records(intake: IntakeStage) -> Metric:
    name = "fundtrail_intake_records_total"
    family, counts = CounterMetricFamily(name, LABELLED[name], labels=["outcome"]), intake.counts
    for outcome in INTAKE_OUTCOMES:
        family.add_metric([outcome], counts[outcome])
    return family


def _detect_records(books: Mapping[str, BookAtWork]) -> Metric:
    name = "fundtrail_detect_records_total"
    family = CounterMetricFamily(name, LABELLED[name], labels=["book", "outcome"])
    for book, at_work in books.items():
        for outcome in ("journalled", *COUNTED):
            family.add_metric([book, outcome], at_work.counts[outcome])
    return family


def _lag(detect: DetectStage, books: Mapping[str, BookAtWork]) -> Metric:
    name = "fundtrail_journal_lag_pages"
    family = GaugeMetricFamily(name, LABELLED[name], labels=["book"])
    for book, at_work in books.items():
        family.add_metric([book], detect.lag(at_work) or 0)
    return family


def _fold_counters(books: Mapping[str, BookAtWork]) -> Metric:
    name = "fundtrail_fold_counter"
    family = GaugeMetricFamily(name, LABELLED[name], labels=["book", "name"])
    for book, at_work in books.items():
        for counter, value in at_work.counters.items():
            family.add_metric([book, counter], value)
    return family


def _drift(name: str, books: Mapping[str, BookAtWork], figure: int) -> Metric:
    family = GaugeMetricFamily(name, LABELLED[name], labels=["book", "name"])
    for book, at_work in books.items():
        for watched, figures in at_work.drift.items():
            family.add_metric([book, watched], float(figures[figure]))
    return family


def _histogram(latency: Latency) -> Metric:
    name = "fundtrail_page_seconds"
    family, total, buckets = HistogramMetricFamily(name, LABELLED[name]), 0, []
    for bound, count in zip((*latency.BOUNDS, "+Inf"), latency.counts, strict=True):
        total += count
        buckets.append((str(bound), total))
    family.add_metric([], buckets, latency.sum)
    return family
