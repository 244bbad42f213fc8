"""The benchmarks run at toy size, give the same answer every time, and say what they claim to say."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

from detectors.accounts import HELD, Account
from detectors.ledgers import Parcel
from detectors.loans import Loan
from detectors.lots import Origin, Trail, Transfer
from detectors.tracer import Movement
from streams.files.replay import replay
from streams.settings import load_settings
from streams.simulate.world import STYLES, simulate
from tests.unit.labelled_sample import labelled_folder

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def _load(name: str) -> ModuleType:
    """A benchmark as a module; it is a script and in no package."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_benchmark_is_run_here_and_described() -> None:
    names = {path.stem for path in BENCHMARKS.glob("*.py")}
    with_a_broker = {"bench_live", "stock_faust"}  # run in tests/broker
    assert names - with_a_broker == {
        "account_days", "bench", "bookings_by_style", "detection", "innocent_pack", "maxflow", "peers", "restart",
    }  # fmt: skip
    text = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(names) if f"{name}.py" not in text] == []


def test_the_cost_per_record_is_measured_at_two_sizes(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    command = [sys.executable, str(BENCHMARKS / "bench.py"), "--records", "3000", "--accounts", "100,300", "--json", str(out)]
    environment = {"PYTHONPATH": str(BENCHMARKS.parent), "PATH": "/usr/bin:/bin"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    rows = json.loads(out.read_text())
    assert [row["accounts"] for row in rows] == [100, 300]
    assert all(0 < row["tracing_x"] < row["replay_x"] for row in rows)


def test_a_restarted_fold_gives_the_answer_of_an_undisturbed_one(tmp_path: Path) -> None:
    out = tmp_path / "restart.json"
    options = [
        "--accounts",
        "400",
        "--checkpoints",
        "3",
        "--interval-pages",
        "2",
        "--folder",
        str(tmp_path),
        "--json",
        str(out),
    ]
    environment = {"PYTHONPATH": str(BENCHMARKS.parent), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, str(BENCHMARKS / "restart.py"), *options]
    answers = []
    for _ in range(2):
        subprocess.run(command, check=True, capture_output=True, env=environment)
        figures = json.loads(out.read_text())
        assert figures["accounts"] >= 400
        assert 0 < figures["checkpoints"] <= 3
        answers.append(figures["answer"])
    assert answers[0] == answers[1]


def test_maximum_flow_methods_give_one_answer_per_size() -> None:
    rows = _load("maxflow").main(["--sizes", "20", "--loans", "2"])
    assert {row.answer for row in rows} - {"too large"} == {rows[0].answer}


@pytest.fixture(scope="module")
def bookings() -> ModuleType:
    return _load("bookings_by_style")


def _rows(bookings: ModuleType, styles: str) -> list[Any]:
    rows: list[Any] = bookings.main(["--loans", "12", "--days", "40", "--seed", "3", "--styles", styles])
    return rows


def test_each_style_of_the_simulator_has_a_destination(bookings: ModuleType) -> None:
    assert list(bookings.DESTINATIONS) == [name for name in bookings.DESTINATIONS if name in STYLES]
    assert bookings.DESTINATIONS.keys() == STYLES.keys()


def test_bookings_lie_between_certain_and_possible_for_every_style(bookings: ModuleType) -> None:
    for row in _rows(bookings, ",".join(STYLES)):
        assert row.loans > 0, row.style
        assert row.outside == 0, row.style
        assert all(row.shares["certain"] <= row.shares[name] <= row.shares["possible"] for name in bookings.BOOKINGS), row


def test_money_that_is_redeemed_and_bought_again_reaches_securities_once(bookings: ModuleType) -> None:
    origin = Origin(1, "L1", 0)
    account = Account("alice", "CNY", HELD, False)
    bought, redeemed, again = (Transfer(seq, f"t{seq}", seq, "alice", "broker", 900, "CNY", "SECURITIES") for seq in (2, 3, 4))
    first = Parcel(origin, 900, 1, Trail(bought, None))
    second = Parcel(origin, 900, 1, Trail(again, Trail(redeemed, first.trail)))
    movements = [Movement(bought, [[first]]), Movement(again, [[second]])]
    loan = Loan("L1", origin, account, 0)
    assert bookings._reached_minor(movements, 0, loan, {2, 4}) == 900
    bought.undone_minor = 300
    assert bookings._reached_minor(movements[:1], 0, loan, {2, 4}) == 600


def test_the_bookings_table_is_the_same_each_time_and_can_be_pasted(
    bookings: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _rows(bookings, "two_shells") == _rows(bookings, "two_shells")
    capsys.readouterr()
    bookings.show(_rows(bookings, "two_shells"), True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("| misuse two_shells | securities |")


@pytest.fixture(scope="module")
def detection() -> ModuleType:
    return _load("detection")


def test_detection_counts_every_loan_once_and_tells_its_errors(
    detection: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "detection.json"
    options = ["--loans", "120", "--days", "40", "--seeds", "5", "--misuse-share", "0.2", "--errors", "cash_out"]
    figures = detection.main([*options, "--json", str(out)])
    said = capsys.readouterr().out
    assert json.loads(out.read_text()) == figures
    assert figures["loans"] == 120
    counted = sum(row["loans"] for row in (*figures["misuse"], *figures["honest"]))
    assert counted == 120
    assert figures["misuse_together"]["loans"] == sum(row["loans"] for row in figures["misuse"])
    assert figures["standing_alerts"] == sum(row["alerts"] for row in figures["typologies"])
    assert "loans without their alert" in said


def test_detection_takes_a_loans_own_typology_for_its_alert(detection: ModuleType) -> None:
    world = detection.run(loans=60, days=40, seed=2, misuse_share=0.5)
    hit = [case for case in world.cases if case.has_own()]
    assert hit
    assert all(case.typology in {alert.typology for alert in case.alerts} for case in hit)
    assert all(not case.has_own() for case in world.cases if case.label is None)


def test_alerts_per_account_days_count_accounts_days_and_standing_alerts(tmp_path: Path) -> None:
    simulate(tmp_path / "topics", loans=40, days=20, seed=1)
    summary = replay([tmp_path / "topics"], tmp_path / "out", load_settings())
    lines = (tmp_path / "topics" / "account-transactions.jsonl").read_bytes().splitlines()
    accounts = {json.loads(line)["account_id"] for line in lines}
    (row,) = _load("account_days").main([str(tmp_path / "topics"), str(tmp_path / "out")])
    assert row["accounts"] >= len(accounts)
    assert row["days"] in (20, 21)
    assert row["standing_alerts"] == sum(summary.alerts.values()) - summary.withdrawn


def test_the_innocent_pack_counts_what_it_says(tmp_path: Path) -> None:
    out = tmp_path / "pack.json"
    command = [
        sys.executable,
        str(BENCHMARKS / "innocent_pack.py"),
        "--loans",
        "150",
        "--days",
        "40",
        "--seeds",
        "7",
        "--json",
        str(out),
    ]
    subprocess.run(command, check=True, capture_output=True)
    figures = json.loads(out.read_text())
    innocent, mixed = figures["innocent"], figures["mixed"]
    assert 140 <= innocent["loans"] <= 150  # some are planned for later than the last day
    assert {row["style"] for row in innocent["styles"]} >= {"ordinary", "tenant", "hedger", "waits_in_deposit", "revolver"}
    found = (
        mixed["eligible_own_alert"],
        mixed["eligible_any_breach"],
    )  # an own alert may be a pattern's, so neither holds the other
    assert 0 < max(found) <= mixed["eligible"] <= mixed["misused"]
    assert sum(row["misused"] for row in mixed["typologies"]) == mixed["misused"]
    assert sum(row["alerts"] for row in mixed["typologies"]) >= mixed["breach_alerts"]


def test_the_product_is_compared_with_the_peers_that_are_installed(tmp_path: Path) -> None:
    peers = _load("peers")
    folder = labelled_folder(tmp_path / "payments", payments=900)
    told: list[str] = []
    found = peers.compare(folder, ["none", "delayed:1"], {"gfp-1"}, told.append)
    always = {"product, none", "product, delayed:1", "product, same payments", "pass-through", "hst"}
    absent = [name for name in ("gfp-128", "challenger") if name not in found]
    assert always <= set(found)
    assert all(any(line.startswith(f"{name} is left out") for line in told) for name in absent)
    for row in found.values():
        assert 0 <= row["average_precision"] <= 1
    assert found["pass-through"]["average_precision"] > 0.3  # the sample's misuse hands money on whole
    assert found["product, none"]["payments_per_second"] > 0
    with Path("/dev/null").open("w") as nowhere:
        peers.show(found, Console(file=nowhere, width=110))


def test_the_pass_through_rule_and_the_trees_see_the_past_only(tmp_path: Path) -> None:
    peers = _load("peers")
    flows = peers.read_flows(labelled_folder(tmp_path / "payments", payments=300))
    half = len(flows.payer) // 2
    first = peers.Flows(flows.payments, *(column[:half] for column in flows[1:]))
    for method in (peers.pass_through, peers.half_space_trees):
        assert method(first).scores.tolist() == method(flows).scores[:half].tolist()
