"""What the syntax cannot show: two runs, with text hashed differently in each, write the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.layout.tree import REPO

FUNDTRAIL = [sys.executable, "-c", "from streams.cli import app; app()"]
RESULTS = ("alerts.jsonl", "loan-risk.jsonl", "rejects.jsonl")


def fundtrail(hash_seed: str, *words: str | Path) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(REPO)}
    subprocess.run([*FUNDTRAIL, *map(str, words)], check=True, capture_output=True, env=environment)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folders of two replays of one made-up world."""
    folder = tmp_path_factory.mktemp("two_runs")
    fundtrail("0", "simulate", folder / "in", "--loans", "80", "--days", "30", "--misuse-share", "0.3")
    for hash_seed in ("1", "2"):
        fundtrail(hash_seed, "replay", folder / "in", "--out", folder / hash_seed)
    return [folder / "1", folder / "2"]


@pytest.mark.parametrize("name", RESULTS)
def test_two_replays_give_the_same_bytes_however_text_is_hashed(results: list[Path], name: str) -> None:
    first, second = ((folder / name).read_bytes() for folder in results)
    assert first == second


def test_the_compared_replay_had_alerts(results: list[Path]) -> None:
    assert len((results[0] / "alerts.jsonl").read_bytes().splitlines()) > 3
