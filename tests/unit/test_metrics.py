"""What a worker shows of drift: the figures of its books as of their last step, under the documented names."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detectors.drift import DriftLimits, stability
from streams.live.book_at_work import BookAtWork
from streams.live.checkpoint import CheckpointFile
from streams.live.detect import Detect
from streams.live.detect_stage import DetectStage
from streams.live.fault_points import FaultPoints
from streams.live.fold import BookFold
from streams.live.metrics import Collector
from streams.live.pause_guard import PauseGuard
from streams.live_settings import LiveSettings
from streams.settings import load_settings

BOOK, WINDOW, BINS = 3, 200, 10
SMALL = msgspec.structs.replace(load_settings().engine, drift=DriftLimits(window=WINDOW, bins=BINS))
NOWHERE: Any = None  # the log: nothing is published here


class NoJournal:
    """The consumer of a worker that has not heard from its broker yet."""

    def end_and_position(self, tp: object) -> tuple[None, None]:
        return None, None


class Worker:
    """A detect stage with one book, and what a scrape of it says."""

    def __init__(self, file: CheckpointFile) -> None:
        points = FaultPoints()
        self.file = file
        self.fold = file.load(SMALL, BOOK) or BookFold(BOOK, SMALL, "g")
        self.at_work = BookAtWork(Detect(self.fold, NOWHERE, {}, points), file, LiveSettings().detect)
        self.stage = DetectStage(NOWHERE, SMALL, "g", LiveSettings(), points, PauseGuard(60_000))
        self.stage.consumer = NoJournal()  # type: ignore[assignment]
        self.stage.books[BOOK] = self.at_work

    def see(self, scores: list[float]) -> None:
        """Payments are scored, a step ends."""
        for score in scores:
            self.fold.engine.calibration.drift.look(score, ["amount"], [0.5])
        self.at_work.fold_step([])

    def shown(self, name: str) -> dict[tuple[str, str], float]:
        """(book, what is watched) -> value."""
        (family,) = [family for family in Collector(None, self.stage).collect() if family.name == name]
        return {(sample.labels["book"], sample.labels["name"]): sample.value for sample in family.samples}


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    file = CheckpointFile(tmp_path / "book.sqlite", "g")
    yield Worker(file)
    file.close()


def values(mean: float, seed: int, count: int = WINDOW) -> list[float]:
    chance = random.Random(seed)
    return [chance.gauss(mean, 1) for _ in range(count)]


def index_by_hand(reference: list[float], window: list[float]) -> float:
    """The population stability index over the deciles of the reference, half a value added to each bin."""
    edges = sorted(reference)[WINDOW // BINS :: WINDOW // BINS]
    shares = [
        [(sum(low <= value < high for value in some) + 0.5) / (len(some) + 0.5 * BINS)
         for low, high in zip([float("-inf"), *edges], [*edges, float("inf")], strict=True)]
        for some in (reference, window)
    ]  # fmt: skip
    return stability(*shares)


def test_without_scores_nothing_is_shown_of_drift(worker: Worker) -> None:
    assert worker.shown("fundtrail_drift_index") == worker.shown("fundtrail_drift_active") == {}


def test_the_index_is_that_of_the_last_full_window_by_book_and_name(worker: Worker) -> None:
    reference, window = values(0.0, 1), values(0.6, 2)
    worker.see(reference)
    assert worker.shown("fundtrail_drift_index") == {("3", "amount"): 0.0, ("3", "score"): 0.0}
    worker.see(window)
    index = worker.shown("fundtrail_drift_index")
    assert index["3", "score"] == pytest.approx(index_by_hand(reference, window))
    assert index["3", "score"] > 0.25
    assert index["3", "amount"] < 0.01, "a feature that does not move does not drift"


def test_a_drift_is_shown_as_long_as_it_lasts(worker: Worker) -> None:
    worker.see(values(0.0, 1))
    shown = []
    for mean, seed in ((0.0, 2), (2.0, 3), (2.0, 4), (0.0, 5)):
        worker.see(values(mean, seed))
        shown.append(worker.shown("fundtrail_drift_active"))
    assert [one["3", "score"] for one in shown] == [0.0, 1.0, 1.0, 0.0]
    assert [one["3", "amount"] for one in shown] == [0.0] * 4
    assert worker.at_work.counters["drifts"] == 1


def test_a_scrape_during_a_step_sees_the_step_before(worker: Worker) -> None:
    worker.see(values(0.0, 1))
    before = worker.shown("fundtrail_drift_index")
    for score in values(2.0, 3):
        worker.fold.engine.calibration.drift.look(score, ["amount"], [0.5])
    assert worker.shown("fundtrail_drift_index") == before
    worker.at_work.fold_step([])
    assert worker.shown("fundtrail_drift_index") != before


def test_a_restart_shows_the_drift_at_once(worker: Worker) -> None:
    worker.see(values(0.0, 1) + values(2.0, 2))
    worker.file.save(worker.fold)
    again = Worker(worker.file)
    assert again.fold is not worker.fold
    assert again.shown("fundtrail_drift_index") == worker.shown("fundtrail_drift_index")
    assert again.shown("fundtrail_drift_active")["3", "score"] == 1.0
