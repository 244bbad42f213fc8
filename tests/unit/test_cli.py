"""The command line: exit codes that scripts can trust and messages that people can act on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.commands.leaving import DONE, STOPPED_AT_REJECT, WORLD_FAILED, WRONG_USE
from tests.unit.feed_sample import jsonl, misused_loans, transfer, write

RUNNER = CliRunner()
COMMANDS = (
    "replay", "simulate", "explain", "report", "convert", "evaluate", "diff", "watch", "shadow", "status",
    "rejects", "rejects list", "rejects show", "rejects redrive",
)  # fmt: skip


def run(*arguments: object) -> tuple[int, str, str]:
    result = RUNNER.invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    payouts, transfers = misused_loans()
    write(tmp_path / "in" / "loan-disbursements.jsonl", jsonl(payouts))
    write(tmp_path / "in" / "account-transactions.jsonl", jsonl(transfers))
    return tmp_path / "in"


def test_a_replay_tells_alerts_records_and_where_the_results_are(feed: Path, tmp_path: Path) -> None:
    write(feed / "labels.jsonl", b"")
    code, said, complaints = run("replay", feed, "--out", tmp_path / "out")
    assert (code, complaints) == (DONE, "")
    assert "T01" in said
    assert "312 read: 312 applied, 0 duplicate, 0 rejected" in said
    assert "Not read (no topic): labels.jsonl" in said
    assert f"Results are in {tmp_path / 'out'}" in said
    assert (tmp_path / "out" / "summary.json").exists()


def test_a_replay_without_alerts_says_so(tmp_path: Path) -> None:
    write(tmp_path / "in" / "account-transactions.jsonl", jsonl([transfer(1)]))
    assert "No alerts." in run("replay", tmp_path / "in", "--out", tmp_path / "out")[1]


def test_strict_ends_with_its_own_code_and_names_the_reject(feed: Path, tmp_path: Path) -> None:
    write(feed / "account-transactions-b.jsonl", b"nonsense\n")
    code, said, complaints = run("replay", feed, "--out", tmp_path / "out", "--strict")
    assert (code, said) == (STOPPED_AT_REJECT, "")
    assert "account-transactions-b.jsonl, line 1" in complaints
    assert run("replay", feed, "--out", tmp_path / "out")[0] == DONE, "without --strict a reject stops nothing"


def test_what_the_world_refuses_ends_with_one_and_one_message(feed: Path, tmp_path: Path) -> None:
    code, said, complaints = run("replay", tmp_path / "none", "--out", tmp_path / "out")
    assert (code, said) == (WORLD_FAILED, "")
    assert complaints == f"fundtrail: {tmp_path / 'none'}: there is no such file or folder. Check the path.\n"
    code, _, complaints = run("report", tmp_path / "none")
    assert code in (WORLD_FAILED, WRONG_USE)
    assert complaints.count("Traceback") == 0
    code, _, complaints = run("replay", feed, "--out", "/proc/nothing/here")
    assert code == WORLD_FAILED
    assert "Mend that" in complaints


def test_what_the_user_got_wrong_ends_with_two(feed: Path, tmp_path: Path) -> None:
    write(tmp_path / "bad.toml", b"no_such_key = 1\nutc_offset_minutes = 'noon'\n")
    code, _, complaints = run("replay", feed, "--out", tmp_path / "out", "--config", tmp_path / "bad.toml")
    assert code == WRONG_USE
    assert "no_such_key" in complaints
    assert "utc_offset_minutes" in complaints, "all mistakes are told together"
    code, _, complaints = run("replay", feed, "--out", feed)
    assert code == WRONG_USE
    assert "holds files that fundtrail did not make" in complaints
    assert run("replay", feed)[0] == WRONG_USE
    assert run("convert", "swift", feed, tmp_path / "out")[0] == WRONG_USE
    assert run("simulate", tmp_path / "sim", "--loans", "0")[0] == WRONG_USE


def test_a_made_up_bank_can_be_replayed_reported_and_explained(tmp_path: Path) -> None:
    world, out = tmp_path / "world", tmp_path / "out"
    code, said, _ = run("simulate", world, "--loans", 60, "--days", 12, "--seed", 3, "--misuse-share", 0.2)
    assert code == DONE
    assert str(world / "loan-disbursements.jsonl") in said
    assert run("replay", world, "--out", out)[0] == DONE
    alert_id = json.loads((out / "alerts.jsonl").read_bytes().splitlines()[0])["alert_id"]
    code, said, _ = run("explain", alert_id, "--in", out)
    assert code == DONE
    assert alert_id in said
    code, said, _ = run("report", out)
    assert code == DONE
    assert (out / "report.html").exists()
    code, _, complaints = run("explain", "T99-none", "--in", out)
    assert code == WRONG_USE
    assert "T99-none" in complaints
    assert run("replay", world, "--out", out)[0] == DONE, "an output folder of ours can be written again"


def test_a_simulation_does_not_write_into_a_folder_in_use(feed: Path) -> None:
    before = (feed / "account-transactions.jsonl").read_bytes()
    assert run("simulate", feed, "--loans", 5, "--days", 1)[0] == WRONG_USE
    assert (feed / "account-transactions.jsonl").read_bytes() == before


def test_convert_lists_what_it_wrote(tmp_path: Path) -> None:
    source = tmp_path / "src"
    write(source / "flows.csv", b"Timestamp,Block,Tx_hash,From,To,Value_in_USD\n2024-07-16 12:06:35,9,0xc,0xs,0xb,0.5\n")
    write(source / "sources.txt", b"0xs")
    write(source / "terminals.txt", b"0xb")
    code, said, _ = run("convert", "laundernet", source, tmp_path / "out")
    assert code == DONE
    assert f"1  {tmp_path / 'out' / 'account-transactions.jsonl'}" in said


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_tells_the_exit_codes(command: str) -> None:
    code, said, _ = run(*command.split(), "--help")
    assert code == DONE
    assert all(words in " ".join(said.split()) for words in ("0 done", "2 wrong usage", "3 --strict stopped"))


def test_the_version_comes_without_a_command() -> None:
    code, said, _ = run("--version")
    assert code == DONE
    assert said.startswith("fundtrail ")


def test_starting_loads_neither_the_engine_nor_tables() -> None:
    script = (
        "import sys, streams.cli; print(sorted({'detectors.engine', 'pyarrow', 'faust', 'river', 'numpy'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
