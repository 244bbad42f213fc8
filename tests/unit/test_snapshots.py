"""Published snapshots: chosen by name, recognised when damaged, and taken only when ahead of what is here."""

from __future__ import annotations

import time
from pathlib import Path

import fsspec
import pytest

from streams.live.checkpoint import CheckpointFile, DamagedState
from streams.live.fold import BookFold
from streams.live.publishing import Publisher
from streams.live.snapshots import Snapshot, SnapshotFailed, fetch_newer, newest, publish
from streams.scenarios.folding import SHIPPED
from tests.unit.checkpoint_sample import GENERATION, fold_on, new_fold


class Worker:
    """A fold with its file, and where it publishes."""

    def __init__(self, folder: Path, url: str, book: int = 0) -> None:
        self.file = CheckpointFile(folder / f"book-{book}.sqlite", GENERATION)
        self.fold = new_fold()
        self.url = url

    def publish(self, records: int) -> None:
        fold_on(self.fold, records)
        self.file.save(self.fold)
        publish(self.file.path, self.url, 0, GENERATION)

    def published(self) -> list[Path]:
        return sorted(path for path in Path(self.url).glob("*") if not path.name.startswith("."))


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path / "one", str(tmp_path / "published"))


def fetched(tmp_path: Path, url: str) -> tuple[Snapshot | None, BookFold | None, list[str]]:
    """What a worker that has nothing of its own finds there."""
    file = CheckpointFile(tmp_path / "another" / "book-0.sqlite", GENERATION)
    reports: list[str] = []
    snapshot = fetch_newer(file, url, 0, reports.append)
    return snapshot, file.load(SHIPPED, 0), reports


def test_another_worker_goes_on_from_what_was_published(worker: Worker, tmp_path: Path) -> None:
    worker.publish(400)
    snapshot, fold, reports = fetched(tmp_path, worker.url)
    assert snapshot is not None
    assert snapshot == newest(worker.url, 0, GENERATION)
    assert fold is not None
    assert reports == []
    assert fold_on(fold, 200) == fold_on(worker.fold, 200)
    assert fold.engine.snapshot() == worker.fold.engine.snapshot()


def test_the_last_three_are_kept_and_nothing_unfinished_is_left(worker: Worker) -> None:
    for _ in range(5):
        worker.publish(20)
    offsets = [snapshot.next_offset for path in worker.published() if (snapshot := Snapshot.parse(path.name))]
    assert offsets == [3, 4, 5]
    assert len(list(Path(worker.url).iterdir())) == 3
    assert [path.name for path in worker.file.path.parent.glob("*.copy*")] == []


@pytest.mark.parametrize("left", [0.0, 0.5, 0.99])
def test_of_a_truncated_snapshot_the_one_before_is_taken(worker: Worker, tmp_path: Path, left: float) -> None:
    worker.publish(400)
    worker.publish(200)
    last = worker.published()[-1]
    last.write_bytes(last.read_bytes()[: int(last.stat().st_size * left)])
    snapshot, fold, reports = fetched(tmp_path, worker.url)
    assert snapshot is not None
    assert fold is not None
    assert (snapshot.next_offset, fold.next_offset) == (20, 20)
    assert len(reports) == 1
    assert last.name in reports[0]
    assert list((tmp_path / "another").glob("*.fetched")) == []


def test_a_tampered_snapshot_is_not_taken(worker: Worker, tmp_path: Path) -> None:
    worker.publish(400)
    (path,) = worker.published()
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    snapshot, fold, reports = fetched(tmp_path, worker.url)
    assert (snapshot, fold, len(reports)) == (None, None, 1)


def test_the_newer_of_local_and_published_wins(worker: Worker, tmp_path: Path) -> None:
    worker.publish(400)
    fold_on(worker.fold, 20)
    worker.file.save(worker.fold)
    assert fetch_newer(worker.file, worker.url, 0) is None
    assert worker.file.next_offset() == 21
    behind = Worker(tmp_path / "behind", worker.url)
    fold_on(behind.fold, 40)
    behind.file.save(behind.fold)
    taken = fetch_newer(behind.file, worker.url, 0)
    assert taken is not None
    assert behind.file.next_offset() == taken.next_offset == 20


def test_a_damaged_local_file_is_left_for_people_to_see(worker: Worker) -> None:
    worker.publish(400)
    worker.file.path.write_bytes(b"rubbish" * 10_000)
    with pytest.raises(DamagedState):
        fetch_newer(worker.file, worker.url, 0)


def test_snapshots_of_other_books_and_generations_are_passed_over(worker: Worker) -> None:
    worker.publish(400)
    assert newest(worker.url, 1, GENERATION) is None
    assert newest(worker.url, 0, GENERATION + "x") is None


def test_where_nothing_was_published_yet_nothing_is_found(tmp_path: Path) -> None:
    assert newest(str(tmp_path / "nowhere"), 0, GENERATION) is None


def test_any_storage_of_fsspec_will_do(tmp_path: Path) -> None:
    worker = Worker(tmp_path / "one", "memory://published/snapshots")
    worker.publish(200)
    worker.publish(200)
    snapshot, fold, _ = fetched(tmp_path, worker.url)
    assert snapshot is not None
    assert fold is not None
    assert fold.next_offset == 20
    assert len(fsspec.filesystem("memory").ls("/published/snapshots")) == 2


@pytest.mark.parametrize("url", ["nosuch://bucket/path", "/proc/nowhere/published"])
def test_a_url_that_cannot_be_used_is_told_with_the_setting(worker: Worker, url: str) -> None:
    worker.url = url
    with pytest.raises(SnapshotFailed, match="publish_url"):
        worker.publish(20)


def test_publishing_goes_on_beside_the_fold(worker: Worker) -> None:
    fold_on(worker.fold, 400)
    worker.file.save(worker.fold)
    publisher = Publisher(worker.file.path, worker.url, 0, GENERATION)
    assert publisher.wait() is None
    publisher.begin()
    assert publisher.running
    fold_on(worker.fold, 20)
    worker.file.save(worker.fold)
    deadline = time.monotonic() + 30.0
    while (published := publisher.poll()) is None:
        assert time.monotonic() < deadline, "publishing does not end"
    assert not publisher.running
    assert published.next_offset in (20, 21)
    assert [path.stat().st_size for path in worker.published()] == [published.bytes]


def test_a_failure_to_publish_is_told_to_the_worker(worker: Worker) -> None:
    publisher = Publisher(worker.file.path, "/proc/nowhere", 0, GENERATION)
    worker.file.save(worker.fold)
    publisher.begin()
    with pytest.raises(SnapshotFailed, match="see that publish_url is right"):
        publisher.wait()
    assert not publisher.running


def test_a_name_says_what_a_snapshot_holds() -> None:
    snapshot = Snapshot(3, "0.1.0-0123456789abcdef", 42, "a" * 64)
    assert Snapshot.parse(snapshot.name) == snapshot
    assert Snapshot.parse("." + snapshot.name) is None
