"""Replay: topic files through the engine into alerts, loan states, rejects and a summary."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from detectors.engine import Engine, Outputs
from detectors.events import Event, Fault
from streams.codec import WHOLE_RECORD
from streams.files.inputs import find_topic_files
from streams.files.merge import REORDER_RECORDS, Course, merge
from streams.files.readers import Row, Source, open_sources
from streams.files.rejects import Reject, RejectLedger, StoppedAtReject, reject_of
from streams.files.results import REJECTS, RESULT_FILES, Recorder, Records, Summary, rfc3339
from streams.files.writers import OutputFolder

if TYPE_CHECKING:
    from streams.settings import Settings

REJECT_SPOOL = "rejects.unordered"
PROGRESS_RECORDS = 2_000
GC_THRESHOLD = (100_000, 50, 100)


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
    """Fold topic files and write the files of a result folder (:data:`RESULT_FILES`) into ``out``.

    Alerts, loan states and rejects depend on nothing but the input and the settings, to the byte. ``console`` (a terminal)
    gets progress.

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
    with rare_collections(), OutputFolder(out, [*RESULT_FILES, REJECT_SPOOL]) as folder:
        ledger = RejectLedger(folder.file(REJECT_SPOOL))
        recorder = Recorder(folder)
        steps = fold(sources, engine, tally, _stop_at if strict else ledger.add)
        with _Meter(console, tally, recorder) as meter:
            for row, outputs in steps:
                if outputs.alerts or outputs.risks or outputs.portfolio:
                    recorder.take(outputs.alerts, outputs.risks)
                    recorder.take_portfolio(outputs.portfolio)
                meter.tick(row[0])
        recorder.take((), engine.loan_risks())
        recorder.take_portfolio(engine.portfolio_shares())
        ledger.write_ordered(folder.file(REJECTS))
        folder.discard(REJECT_SPOOL)
        tally.check()
        summary = _summary(tally, recorder, engine, time.perf_counter() - started)
        names = [source.file.name for source in sources]
        summary = msgspec.structs.replace(summary, files=names, ignored_files=list(inputs.ignored))
        recorder.finish(summary, settings.engine)
    return summary


@contextmanager
def rare_collections() -> Iterator[None]:
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


class _Meter:
    """Shows how far a replay has come, on a terminal; does nothing elsewhere."""

    def __init__(self, console: Console | None, tally: Tally, recorder: Recorder) -> None:
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
            f"{self._tally.read:,} records · {rate:,.0f}/s · {rfc3339(event_time_ms)} · "
            f"{len(self._recorder.alerts):,} alerts · {self._tally.rejected:,} rejects"
        )


def _summary(tally: Tally, recorder: Recorder, engine: Engine, seconds: float) -> Summary:
    records = Records(tally.read, tally.applied, tally.rejected, tally.duplicate)
    return msgspec.structs.replace(
        recorder.summary(records, engine.configuration, seconds),
        event_time_first=rfc3339(tally.first_ms),
        event_time_last=rfc3339(tally.last_ms),
        damaged_files=sorted(tally.damaged_files),
        late=tally.late,
        counters=engine.counters,
        portfolio=list(engine.portfolio_shares()),
    )
