"""Replay: topic files through the engine into alerts, loan states, rejects and a summary."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, get_args

import msgspec
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from detectors.alert_record import Alert, LoanRisk, Severity
from detectors.engine import Engine, Outputs
from detectors.events import Event, Fault
from streams.codec import WHOLE_RECORD
from streams.files.inputs import find_topic_files
from streams.files.merge import REORDER_RECORDS, Course, merge
from streams.files.readers import Row, Source, open_sources
from streams.files.rejects import Reject, RejectLedger, StoppedAtReject, reject_of
from streams.files.writers import OutputFolder

if TYPE_CHECKING:
    from streams.settings import Settings

ALERTS, LOAN_RISK, REJECTS, SUMMARY = "alerts.jsonl", "loan-risk.jsonl", "rejects.jsonl", "summary.json"
REJECT_SPOOL = "rejects.unordered"
PROGRESS_RECORDS = 2_000
GC_THRESHOLD = (100_000, 50, 100)
SEVERITIES = get_args(Severity)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FoldEngine(Protocol):
    """What a replay asks of the engine."""

    def apply(self, event: Event, event_time_ms: int | None = None) -> Outputs:
        """Fold one record."""


@dataclass
class Tally(Course):
    """Where every record went: ``read = applied + rejected + duplicate``."""

    read: int = 0
    applied: int = 0
    rejected: int = 0
    duplicate: int = 0
    first_ms: int | None = None  # event times of the records given to the engine
    last_ms: int | None = None

    def check(self) -> None:
        """Assert that no record went missing."""
        accounted = self.applied + self.rejected + self.duplicate
        assert self.read == accounted, f"{self.read} records read but {accounted} accounted for: {self}"


class Records(msgspec.Struct, frozen=True):
    """Counts of records."""

    read: int
    applied: int
    rejected: int
    duplicate: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay did; the contents of summary.json."""

    records: Records
    alerts: dict[str, int]  # typology -> distinct alerts
    alerts_by_severity: dict[str, dict[str, int]]  # typology -> severity at the last revision -> distinct alerts
    alert_revisions: int  # lines of alerts.jsonl
    withdrawn: int  # distinct alerts whose last revision withdraws them
    loans: int
    seconds: float
    records_per_second: int
    event_time_first: str | None
    event_time_last: str | None
    files: list[str]
    ignored_files: list[str]
    damaged_files: list[str]  # could not be read to their end
    late: int
    counters: dict[str, int]
    configuration_digest: str
    alerts_sha256: str


def fold(
    sources: Sequence[Source],
    engine: FoldEngine,
    tally: Tally,
    on_reject: Callable[[int, Reject], None],
    *,
    reorder_records: int = REORDER_RECORDS,
) -> Iterator[tuple[Row, Outputs]]:
    """Merge the sources through the engine: every record that is no reject with what came out of it, in order.

    Rejects, whether of the codec or of the engine, go to ``on_reject`` with the index of their file. ``tally`` is brought
    up to date before each stretch's last record is yielded, and adds up once the iterator is exhausted.
    """
    apply = engine.apply
    for rows, rejects in merge(sources, tally, reorder_records=reorder_records):
        tally.read += len(rows) + len(rejects)
        tally.rejected += len(rejects)
        for index, reject in rejects:
            on_reject(index, reject)
        if rows:
            tally.first_ms = rows[0][0] if tally.first_ms is None else min(tally.first_ms, rows[0][0])
            tally.last_ms = tally.watermark_ms
        for row in rows:
            try:
                out = apply(row[5], row[0])
            except Exception as error:
                error.add_note(f"while applying {sources[row[3]].file.name}, line {row[4]}")
                raise
            status = out.status
            if status == "applied":
                tally.applied += 1
            elif status == "duplicate":
                tally.duplicate += 1
            else:
                tally.rejected += 1
                on_reject(row[3], _engine_reject(sources[row[3]], row, out))
            yield row, out


def replay(
    paths: Sequence[Path], out: Path, settings: Settings, *, strict: bool = False, console: Console | None = None
) -> Summary:
    """Fold topic files and write alerts.jsonl, loan-risk.jsonl, rejects.jsonl and summary.json into ``out``.

    The first three depend on nothing but the input and the settings, to the byte. ``console`` (a terminal) gets progress.

    Raises:
        InputError: the input cannot be read at all.
        OutputRefused: ``out`` is used for something else.
        StoppedAtReject: ``strict``, and a record was rejected; no output gets its name.
    """
    inputs = find_topic_files(paths)
    sources = open_sources(inputs.files)
    engine = Engine(settings.engine)
    tally = Tally()
    started = time.perf_counter()
    with _rare_collections(), OutputFolder(out, [ALERTS, LOAN_RISK, REJECTS, REJECT_SPOOL, SUMMARY]) as folder:
        ledger = RejectLedger(folder.file(REJECT_SPOOL))
        recorder = _Recorder(folder)
        steps = fold(sources, engine, tally, _stop_at if strict else ledger.add)
        with _Meter(console, tally, recorder) as meter:
            for row, outputs in steps:
                if outputs.alerts or outputs.risks:
                    recorder.take(outputs.alerts, outputs.risks)
                meter.tick(row[0])
        recorder.take((), engine.loan_risks())
        ledger.write_ordered(folder.file(REJECTS))
        folder.discard(REJECT_SPOOL)
        tally.check()
        summary = _summary(tally, recorder, engine, time.perf_counter() - started)
        names = [source.file.name for source in sources]
        summary = msgspec.structs.replace(summary, files=names, ignored_files=list(inputs.ignored))
        folder.file(SUMMARY).write(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
        folder.commit()
    return summary


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the cycle collector run rarely: the fold's state is large and has hardly a cycle (it costs a third otherwise)."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _stop_at(file_index: int, reject: Reject) -> None:
    raise StoppedAtReject(reject)


def _engine_reject(source: Source, row: Row, out: Outputs) -> Reject:
    fault = out.fault or Fault(WHOLE_RECORD, "the engine gave no reason")
    return reject_of(source.file, row[4], fault, row[6])


@dataclass
class _LastRevision:
    typology: str
    severity: str
    withdrawn: bool


@dataclass
class _Recorder:
    """Writes what comes out and remembers as much of it as the summary needs."""

    folder: OutputFolder
    alerts: dict[str, _LastRevision] = field(default_factory=dict)
    loans: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.alerts_file = self.folder.writer(ALERTS)
        self.risks_file = self.folder.writer(LOAN_RISK)

    def take(self, alerts: Iterable[Alert], risks: Iterable[LoanRisk]) -> None:
        """Write these, in this order."""
        for alert in alerts:
            self.alerts_file.write(alert)
            self.alerts[alert.alert_id] = _LastRevision(alert.typology, alert.severity, alert.status == "WITHDRAWN")
        for risk in risks:
            self.risks_file.write(risk)
            self.loans.add(risk.loan_id)

    def by_severity(self) -> dict[str, dict[str, int]]:
        """Typology -> severity -> distinct alerts, in the order of typologies and of rising severity."""
        counts = Counter((alert.typology, alert.severity) for alert in self.alerts.values())
        return {
            typology: {severity: n for severity in SEVERITIES if (n := counts[typology, severity])}
            for typology in sorted({typology for typology, _ in counts})
        }


class _Meter:
    """Shows how far a replay has come, on a terminal; does nothing elsewhere."""

    def __init__(self, console: Console | None, tally: Tally, recorder: _Recorder) -> None:
        self._tally = tally
        self._recorder = recorder
        self._until_update = PROGRESS_RECORDS
        self._started = time.perf_counter()
        self._progress: Progress | None = None
        if console is not None and console.is_terminal:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self._progress = Progress(*columns, console=console, transient=True)
            self._task = self._progress.add_task("reading", total=None)

    def __enter__(self) -> _Meter:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def tick(self, event_time_ms: int) -> None:
        """One record went through."""
        self._until_update -= 1
        if self._until_update == 0:
            self._until_update = PROGRESS_RECORDS
            if self._progress is not None:
                self._progress.update(self._task, description=self._state(event_time_ms))

    def _state(self, event_time_ms: int) -> str:
        rate = self._tally.applied / max(time.perf_counter() - self._started, 1e-9)
        return (
            f"{self._tally.read:,} records · {rate:,.0f}/s · {_rfc3339(event_time_ms)} · "
            f"{len(self._recorder.alerts):,} alerts · {self._tally.rejected:,} rejects"
        )


def _summary(tally: Tally, recorder: _Recorder, engine: Engine, seconds: float) -> Summary:
    by_severity = recorder.by_severity()
    return Summary(
        records=Records(tally.read, tally.applied, tally.rejected, tally.duplicate),
        alerts={typology: sum(counts.values()) for typology, counts in by_severity.items()},
        alerts_by_severity=by_severity,
        alert_revisions=recorder.alerts_file.records,
        withdrawn=sum(alert.withdrawn for alert in recorder.alerts.values()),
        loans=len(recorder.loans),
        seconds=round(seconds, 3),
        records_per_second=round(tally.read / max(seconds, 1e-9)),
        event_time_first=_rfc3339(tally.first_ms),
        event_time_last=_rfc3339(tally.last_ms),
        files=[],
        ignored_files=[],
        damaged_files=sorted(tally.damaged_files),
        late=tally.late,
        counters=engine.counters,
        configuration_digest=engine.configuration.digest(),
        alerts_sha256=recorder.alerts_file.sha256,
    )


def _rfc3339(event_time_ms: int | None) -> str | None:
    if event_time_ms is None:
        return None
    instant = _EPOCH + timedelta(milliseconds=event_time_ms)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
