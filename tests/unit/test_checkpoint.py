"""Checkpoints: durable or not there at all, written beside the fold, and of the right generation."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from detectors.engine import Engine
from detectors.learners.triage import LearningLimits
from detectors.rows import WITH_HISTORY, kind_of
from streams.live import checkpoint, tables
from streams.live.checkpoint import (
    Checkpointer,
    CheckpointFailed,
    CheckpointFile,
    DamagedState,
    NewerState,
    OtherGeneration,
    Saved,
    UnreachableState,
)
from streams.live.child import Child
from streams.live.fold import BookFold
from streams.live.state_lock import StateLock
from streams.scenarios.folding import SHIPPED
from tests.unit.checkpoint_sample import GENERATION, fold_on, new_fold, payment

DEADLINE_SECONDS = 30.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "book-0.sqlite"


def load(path: Path, generation: str = GENERATION) -> BookFold:
    file = CheckpointFile(path, generation, lock_wait_seconds=0.0)
    try:
        fold = file.load(SHIPPED, 0)
    finally:
        file.close()
    assert fold is not None
    return fold


def until_polled(checkpointer: Checkpointer) -> Saved:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (saved := checkpointer.poll()) is None:
        assert time.monotonic() < deadline, "the checkpoint does not end"
    return saved


def same(fold: BookFold, other: BookFold) -> bool:
    places = (fold.next_offset, fold.watermarks, fold.counts) == (other.next_offset, other.watermarks, other.counts)
    return places and fold.engine.snapshot() == other.engine.snapshot()


def test_where_nothing_was_written_nothing_is_loaded(path: Path) -> None:
    assert CheckpointFile(path, GENERATION).load(SHIPPED, 0) is None


def test_a_fold_goes_on_from_its_file_as_if_it_had_never_stopped(path: Path) -> None:
    fold, file = new_fold(), CheckpointFile(path, GENERATION)
    said = fold_on(fold, 400)
    assert any(one.topic == "alerts" for one in said)
    saved = file.save(fold)
    assert (saved.next_offset, saved.bytes) == (20, path.stat().st_size)
    file.close()
    again = load(path)
    assert again.engine.counters == fold.engine.counters
    assert fold_on(again, 400) == fold_on(fold, 400)
    assert same(again, fold)


def test_a_checkpoint_is_written_beside_a_fold_that_goes_on(path: Path) -> None:
    fold, file = new_fold(), CheckpointFile(path, GENERATION)
    checkpointer = Checkpointer(file)
    assert checkpointer.wait() is None
    fold_on(fold, 200)
    checkpointer.begin(fold)
    assert checkpointer.running
    fold_on(fold, 200)
    saved = until_polled(checkpointer)
    assert not checkpointer.running
    assert saved.next_offset == 10
    assert saved.fork_pause_ms > 0.0
    file.close()
    at_checkpoint = new_fold()
    fold_on(at_checkpoint, 200)
    assert same(load(path), at_checkpoint)


def test_only_what_was_looked_up_since_is_written(path: Path) -> None:
    fold, file = new_fold(), CheckpointFile(path, GENERATION)
    fold_on(fold, 800)
    whole = file.save(fold)
    fold_on(fold, 20)
    changed = file.save(fold)
    assert changed.rows <= 40 < whole.rows
    assert file.save(fold).rows == 0
    file.close()
    assert same(load(path), fold)


def test_what_a_killed_child_should_have_written_is_in_the_next_checkpoint(path: Path) -> None:
    fold, file = new_fold(), CheckpointFile(path, GENERATION)
    checkpointer = Checkpointer(file)
    fold_on(fold, 200)
    file.save(fold)
    fold_on(fold, 200)
    checkpointer.begin(fold)
    checkpointer.stop()
    assert not checkpointer.running
    checkpointer.begin(fold)
    assert checkpointer._child is not None
    checkpointer._child.kill()
    with pytest.raises(CheckpointFailed, match=r"book-0\.sqlite: no checkpoint was written: it was killed by SIGKILL"):
        checkpointer.wait()
    assert not checkpointer.running
    file.close()
    before = new_fold()
    fold_on(before, 200)
    assert same(load(path), before)
    checkpointer.begin(fold)
    assert checkpointer.wait() is not None
    file.close()
    assert same(load(path), fold)


KILLED = """
import os, signal, sys
from pathlib import Path
from streams.live.checkpoint import Checkpointer, CheckpointFile
from tests.unit.checkpoint_sample import GENERATION, fold_on, new_fold
fold, file = new_fold(), CheckpointFile(Path(sys.argv[1]), GENERATION)
fold_on(fold, 200)
file.save(fold)
fold_on(fold, 400)
Checkpointer(file).begin(fold)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("attempt", range(3))
def test_a_worker_killed_beside_its_child_leaves_one_checkpoint_or_the_other(path: Path, attempt: int) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == -signal.SIGKILL
    again = CheckpointFile(path, GENERATION, DEADLINE_SECONDS).load(SHIPPED, 0)
    assert again is not None
    assert again.next_offset in (10, 30)
    undisturbed = new_fold()
    fold_on(undisturbed, again.next_offset * 20)
    assert same(again, undisturbed)


def test_on_a_full_disk_the_checkpoint_before_stands(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fold, file = new_fold(), CheckpointFile(path, GENERATION)
    fold_on(fold, 200)
    file.save(fold)
    fold_on(fold, 2_000)
    opened = CheckpointFile._opened

    class Small:
        def __init__(self, file: CheckpointFile) -> None:
            self.context = opened(file)

        def __enter__(self) -> sqlite3.Connection:
            connection = self.context.__enter__()
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages}")
            return connection

        def __exit__(self, *error: object) -> bool | None:
            return self.context.__exit__(*error)  # type: ignore[arg-type]

    checkpointer = Checkpointer(file)
    with monkeypatch.context() as patched:
        patched.setattr(CheckpointFile, "_opened", lambda self: Small(self))
        checkpointer.begin(fold)
        with pytest.raises(CheckpointFailed, match="full: free space there"):
            checkpointer.wait()
        with pytest.raises(CheckpointFailed, match="full: free space there"):
            file.save(fold)
    file.close()
    assert load(path).next_offset == 10
    file.save(fold)
    file.close()
    assert same(load(path), fold)


def test_a_file_of_another_generation_is_refused_with_both_names(path: Path) -> None:
    file = CheckpointFile(path, GENERATION)
    file.save(new_fold())
    file.close()
    with pytest.raises(OtherGeneration, match=r"written by 0\.1-abc, this worker is 0\.2-abc: run with the engine"):
        load(path, "0.2-abc")


def test_a_file_of_a_later_version_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = CheckpointFile(path, GENERATION)
    monkeypatch.setattr(checkpoint, "STATE_VERSION", checkpoint.STATE_VERSION + 1)
    file.save(new_fold())
    file.close()
    monkeypatch.undo()
    with pytest.raises(NewerState, match="run the fundtrail that wrote it"):
        load(path)


@pytest.mark.parametrize("left", [0.9, 0.5, 0.1])
def test_a_truncated_file_is_told_with_the_remedy(path: Path, left: float) -> None:
    fold, file = new_fold(), CheckpointFile(path, GENERATION)
    fold_on(fold, 2_000)
    file.save(fold)
    file.close()
    os.truncate(path, int(path.stat().st_size * left))
    with pytest.raises(DamagedState, match="Move it"):
        load(path)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM pieces", "DELETE FROM graph WHERE name = 'state'", "DELETE FROM meta WHERE name = 'saves'",
        "UPDATE graph SET packed = substr(packed, 1, 40)", "UPDATE meta SET value = 1 WHERE name = 'book'",
    ],
)  # fmt: skip
def test_parts_that_do_not_belong_together_are_told_with_the_remedy(path: Path, damage: str) -> None:
    fold, file = new_fold(), CheckpointFile(path, GENERATION)
    fold_on(fold, 400)
    file.save(fold)
    file.close()
    with closing(sqlite3.connect(path)) as state, state:
        state.execute(damage)
    with pytest.raises(DamagedState, match="Move it"):
        load(path)


def test_something_else_in_its_place_is_told_with_the_remedy(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a state file" * 1_000)
    with pytest.raises(DamagedState, match="not a database"):
        load(path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")  # a file where the folder should be
    with pytest.raises(UnreachableState, match="set state_dir to a folder"):
        CheckpointFile(tmp_path / "state" / "book-0.sqlite", GENERATION).load(SHIPPED, 0)


def test_two_workers_cannot_have_one_file(path: Path) -> None:
    one = CheckpointFile(path, GENERATION)
    assert one.load(SHIPPED, 0) is None
    with pytest.raises(UnreachableState, match=rf"process {os.getpid()}\): stop that one"):
        CheckpointFile(path, GENERATION, lock_wait_seconds=0.05).load(SHIPPED, 0)
    one.close()
    assert CheckpointFile(path, GENERATION).load(SHIPPED, 0) is None


def test_a_file_that_another_has_written_meanwhile_is_written_whole(path: Path) -> None:
    fold, file = new_fold(), CheckpointFile(path, GENERATION)
    fold_on(fold, 400)
    file.save(fold)
    file.close()
    other = CheckpointFile(path, GENERATION)
    behind = new_fold()
    fold_on(behind, 200)
    other.save(behind)
    other.close()
    fold_on(fold, 20)
    assert file.save(fold).rows > 40
    file.close()
    assert same(load(path), fold)


def test_the_lock_is_held_until_the_child_has_gone_too(path: Path) -> None:
    lock = StateLock(path)
    lock.take()
    assert lock.descriptor is not None
    reader, writer = os.pipe()
    child = Child(lambda: os.read(reader, 1), (lock.descriptor, reader))
    lock.release()
    with pytest.raises(UnreachableState):
        StateLock(path, wait_seconds=0.0).take()
    os.write(writer, b"x")
    assert child.wait() == b"x"
    StateLock(path, wait_seconds=0.0).take()
    os.close(reader)
    os.close(writer)


def test_a_child_whose_worker_is_gone_writes_nothing(path: Path) -> None:
    fold, file = new_fold(), CheckpointFile(path, GENERATION)
    fold_on(fold, 200)
    file.save(fold)
    fold_on(fold, 20)
    touched = file.take(fold)
    with pytest.raises(CheckpointFailed, match="is gone"):
        file.write(fold, touched, wanted=lambda: False)
    file.close()
    assert load(path).next_offset == 10


def test_where_no_process_can_be_forked_the_next_checkpoint_has_it_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fold, file = new_fold(), CheckpointFile(path, GENERATION)
    checkpointer = Checkpointer(file)
    fold_on(fold, 200)
    file.save(fold)
    fold_on(fold, 20)

    def no_more() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fork", no_more)
        with pytest.raises(CheckpointFailed, match="no process could be forked: Resource temporarily unavailable"):
            checkpointer.begin(fold)
    assert not checkpointer.running
    checkpointer.begin(fold)
    checkpointer.wait()
    file.close()
    assert same(load(path), fold)


def test_without_fork_the_fold_waits_for_its_checkpoint(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "CAN_FORK", False)
    fold = new_fold()
    fold_on(fold, 200)
    file = CheckpointFile(path, GENERATION)
    checkpointer = Checkpointer(file)
    checkpointer.begin(fold)
    saved = checkpointer.poll()
    assert saved is not None
    assert saved.fork_pause_ms >= saved.seconds * 1000.0
    file.close()
    assert same(load(path), fold)


def test_the_row_of_an_ordinary_account_takes_far_less_than_600_bytes(path: Path) -> None:
    fold, file = new_fold(), CheckpointFile(path, GENERATION)
    fold_on(fold, 2_000)
    file.save(fold)
    file.close()
    cold = load(path).engine.tracer.cold
    assert cold is not None
    sizes = [len(row) for row in cold.packed["CNY"].values()]
    assert sum(sizes) / len(sizes) < 150


def test_accounts_stay_packed_until_something_asks_for_them(path: Path) -> None:
    fold, file = new_fold(), CheckpointFile(path, GENERATION)
    fold_on(fold, 400)
    file.save(fold)
    file.close()
    again = load(path).engine.tracer
    assert again.cold is not None
    before = len(again.cold)
    assert again.look("a1", "CNY") is again.account("a1", "CNY", "HELD")
    assert again.find("nobody", "CNY") is None
    assert len(again.cold) == before - 1
    assert again.number_of_accounts() == fold.engine.tracer.number_of_accounts()


def test_the_other_sides_record_of_a_transfer_touches_its_payer(path: Path) -> None:
    """It changes the transfer that the payer's history holds, and nothing else of the payer."""
    fold, file = new_fold(), CheckpointFile(path, GENERATION)
    engine = fold.engine
    first = payment(3, "p", "q", balance_after_minor=500_000)
    engine.apply(payment(1, "p", "z", balance_after_minor=510_000))
    payer = engine.tracer.find("p", "CNY")
    assert payer is not None
    payer.reach_minor, payer.history = 400_000, []  # as if loan money might have come by
    engine.apply(first)
    file.save(fold)
    assert kind_of(payer) == WITH_HISTORY
    second = msgspec.structs.replace(
        first, txn_id="s3", account_id="q", counterparty_account="p", direction="CREDIT", balance_after_minor=77_000
    )
    engine.apply(second)
    file.save(fold)
    file.close()
    assert load(path).engine.snapshot() == engine.snapshot()


# --- pieces -------------------------------------------------------------------------------------------------------------


def test_pieces_stay_few_and_what_was_said_last_holds(path: Path) -> None:
    fold, file = new_fold(), CheckpointFile(path, GENERATION)
    fold_on(fold, 800)
    for _ in range(60):
        fold_on(fold, 20)
        file.save(fold)
    file.close()
    with closing(sqlite3.connect(path)) as state:
        sizes = [rows for (rows,) in state.execute("SELECT rows FROM pieces ORDER BY part")]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) <= 8
    assert same(load(path), fold)


def test_an_account_that_is_closed_is_in_no_piece(path: Path) -> None:
    fold, file = new_fold(), CheckpointFile(path, GENERATION)
    fold_on(fold, 400)
    file.save(fold)
    account = fold.engine.tracer.find("a1", "CNY")
    assert account is not None
    fold.engine.tracer.close(account)
    file.save(fold)
    file.close()
    assert load(path).engine.tracer.look("a1", "CNY") is None


def test_ids_seen_are_kept_through_many_turns(path: Path) -> None:
    small = msgspec.structs.replace(SHIPPED, fold=msgspec.structs.replace(SHIPPED.fold, seen_ids_max=50))
    fold, file = BookFold(0, small, GENERATION), CheckpointFile(path, GENERATION)
    for records in (20, 20, 40, 20, 200, 20):
        fold_on(fold, records)
        file.save(fold)
        with closing(sqlite3.connect(path)) as state:
            seen = tables.read_seen(state, 50, tables.read_meta(state))
        assert [getattr(seen, name) for name in seen.__slots__] == [getattr(fold.engine.seen, name) for name in seen.__slots__]
    file.close()


def test_profiles_and_waiting_payments_are_kept_with_what_was_learned_meanwhile(path: Path) -> None:
    small = msgspec.structs.replace(SHIPPED, learning=LearningLimits(profiles_max=6, waiting_max=40))
    fold, file = BookFold(0, small, GENERATION), CheckpointFile(path, GENERATION)
    accounts = [f"p{number}" for number in range(9)]
    for turn in range(60):
        for step in range(turn % 7):
            payer, payee = accounts[(turn + step) % 9], accounts[turn * step % 8]
            if payer != payee:
                fold.engine.apply(payment(turn * 10 + step, payer, payee, txn_id=f"{turn}-{step}"))
        waiting = [txn_id for txn_id, each in fold.engine.triage.waiting.new.items() if each is not None]
        for txn_id in waiting[: turn % 3]:  # those that an earlier checkpoint has, too
            assert fold.engine.triage.learn(txn_id, turn % 2 == 0, 0)
        if turn % 4 == 3:
            file.save(fold)
            file.close()
            loaded = file.load(small, 0)
            assert loaded is not None
            assert loaded.engine.triage.snapshot() == fold.engine.triage.snapshot()
    assert fold.engine.triage.waiting.turns > 3
    assert fold.engine.triage.counts["profiles_forgotten"] > 9
    assert fold.engine.triage.counts["scored_payments_forgotten"] > 0
    file.close()


def test_an_engine_that_nobody_checkpoints_notes_nothing() -> None:
    engine = Engine(SHIPPED)
    engine.apply(payment(1, "p", "q"))
    assert engine.tracer.touched == []
    assert engine.tracer.cold is None
