"""A state folder has one owner, who is named to the second."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streams.live.state_folder import CLAIM, StateFolder, StateFolderHeld, state_folder_mistakes

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
REPO = Path(__file__).parents[2]


def test_the_second_worker_is_told_who_has_the_folder_and_since_when(tmp_path: Path) -> None:
    with StateFolder(tmp_path / "state", now=lambda: NOON), pytest.raises(StateFolderHeld) as caught:
        StateFolder(tmp_path / "state").claim()
    told = str(caught.value)
    assert f"pid {os.getpid()} on {socket.gethostname()}, since 2026-03-02T12:00:00+00:00" in told
    assert "state_dir" in told


def test_a_released_folder_can_be_claimed_again(tmp_path: Path) -> None:
    with StateFolder(tmp_path):
        pass
    with StateFolder(tmp_path):
        assert "is held by" in state_folder_mistakes(tmp_path)[0]
    assert state_folder_mistakes(tmp_path, free_bytes_min=1) == []


def test_a_worker_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\n"
        "from streams.live.state_folder import StateFolder\n"
        "folder = StateFolder(pathlib.Path(sys.argv[1])).claim()\n"
        "print('claimed', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPO
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"claimed\n"
        assert f"pid {other.pid} " in state_folder_mistakes(tmp_path)[0]
        other.kill()
        other.wait()
        assert state_folder_mistakes(tmp_path, free_bytes_min=1) == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written (Not a directory)" in state_folder_mistakes(tmp_path / "file" / "state")[0]
    with pytest.raises(StateFolderHeld, match="state_dir"):
        StateFolder(Path("/proc/nothing/here")).claim()


def test_a_disk_that_is_nearly_full_is_told(tmp_path: Path) -> None:
    assert "MiB left" in state_folder_mistakes(tmp_path, free_bytes_min=1 << 60)[0]


def test_a_claim_that_is_not_signed_yet_is_told_all_the_same(tmp_path: Path) -> None:
    with StateFolder(tmp_path):
        (tmp_path / CLAIM).write_bytes(b"")
        assert "is held by another worker" in state_folder_mistakes(tmp_path)[0]


def test_who_may_wait_gets_the_folder_when_it_is_let_go(tmp_path: Path) -> None:
    first = StateFolder(tmp_path).claim()
    letting_go = threading.Timer(0.2, first.release)
    letting_go.start()
    with pytest.raises(StateFolderHeld):
        StateFolder(tmp_path).claim()
    StateFolder(tmp_path).claim(wait_seconds=20).release()
    letting_go.join()
