"""Evaluate on labelled payments: labels reach the engine as outcomes, when they are due, and in no other way."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.commands.measuring import Request, run
from streams.files.convert import convert
from streams.files.evaluate.answers import read_payments
from streams.files.evaluate.labelling import plan_of
from streams.files.evaluate.scoring import Run, fold
from streams.files.evaluate.shapes import shape_of
from streams.files.inputs import InputError
from streams.scenarios.folding import SHIPPED
from tests.unit.labelled_sample import labelled_folder

KEYS = {
    "payments": {
        "average_precision", "precision_at_0.01", "recall_at_0.01", "amount_recall_at_0.01", "precision_at_0.001",
        "recall_at_0.001", "pattern_recall_at_0.01", "median_delay_days", "scored", "positives",
    },
    "loans": {"average_precision", "precision_at_0.1", "median_days_to_alert"},
    "payments_per_second": None, "bytes_per_account": None, "alerts_per_1000_account_days": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled_folder(tmp_path_factory.mktemp("labelled") / "payments")


@pytest.fixture(scope="module")
def topics(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("topics") / "out"
    convert("payments", sample, out)
    return out


def folded(sample: Path, topics: Path, labels: str, seed: int = 1, shuffle: bool = False) -> Run:
    payments = read_payments(sample)
    if shuffle:
        random.Random(5).shuffle(payments.positive)  # type: ignore[arg-type]
    return fold(topics, SHIPPED, plan_of(labels), payments, seed)


def test_the_measures_have_exactly_the_agreed_keys(sample: Path) -> None:
    measures = run(Request(sample, SHIPPED, "delayed:1", "1"), lambda _: None).measures
    assert {key: set(value) if isinstance(value, dict) else None for key, value in measures.items()} == KEYS


def test_only_payments_from_account_to_account_are_measured(sample: Path) -> None:
    payments = read_payments(sample)
    table = pq.read_table(sample / "transactions.parquet").to_pylist()
    assert payments.txn_ids == [row["txn_id"] for row in table if not row["payee"].startswith("EXT:")]
    assert 0 < payments.positive.sum() < len(table) / 5


def test_without_labels_the_scores_do_not_depend_on_them(sample: Path, topics: Path) -> None:
    assert folded(sample, topics, "none").scores == folded(sample, topics, "none", shuffle=True).scores
    assert folded(sample, topics, "immediate").scores != folded(sample, topics, "immediate", shuffle=True).scores


def test_labels_later_than_the_stream_teach_nothing(sample: Path, topics: Path) -> None:
    assert folded(sample, topics, "delayed:4000").scores == folded(sample, topics, "none").scores


def test_labels_teach_from_the_moment_they_are_due_and_not_before(sample: Path, topics: Path) -> None:
    without, taught = folded(sample, topics, "none"), folded(sample, topics, "delayed:10")
    payments = read_payments(sample)
    due_ms = int(payments.event_time_ms[0]) + 10 * 86_400_000
    before = [txn_id for txn_id, at_ms in zip(payments.txn_ids, payments.event_time_ms, strict=True) if at_ms < due_ms]
    assert 100 < len(before) < len(payments.txn_ids)
    assert [taught.scores[txn_id] for txn_id in before] == [without.scores[txn_id] for txn_id in before]
    assert taught.scores != without.scores
    assert (taught.told > 100, taught.refused) == (True, 0)


def test_every_outcome_told_is_of_a_payment_that_was_scored(sample: Path, topics: Path) -> None:
    at_once = folded(sample, topics, "immediate")
    assert (at_once.told, at_once.refused) == (len(at_once.scores) - 1, 0)  # the last one's comes after the stream


def test_feedback_tells_of_the_engines_own_top_and_a_sample_only(sample: Path, topics: Path) -> None:
    some, wide = folded(sample, topics, "feedback:0.05:0"), folded(sample, topics, "feedback:0.5:0")
    assert 0 < some.told < 0.2 * len(some.scores) < wide.told < len(wide.scores)


def test_the_random_sample_differs_by_seed_and_is_the_same_for_one(sample: Path, topics: Path) -> None:
    told = [folded(sample, topics, "feedback:0.000001:0", seed).told for seed in (1, 1, 2, 3)]
    assert told[0] == told[1]
    assert len(set(told)) > 1


def test_where_chance_has_a_part_three_seeds_are_folded_and_their_spread_is_said(sample: Path) -> None:
    details = run(Request(sample, SHIPPED, "feedback:0.05:1"), lambda _: None).details
    assert sorted(details.by_seed) == [1, 2, 3]
    low, high = details.spread["payments"]["average_precision"]
    assert low <= details.measures["payments"]["average_precision"] <= high


def test_alerts_by_score_are_judged_when_a_budget_asks_for_them(sample: Path) -> None:
    assert run(Request(sample, SHIPPED, "immediate", "1"), lambda _: None).details.alerts_by_score is None
    budget = msgspec.structs.replace(SHIPPED.budget, alerts_per_day=24.0, scores_min=100, episode_days=1)
    report = run(Request(sample, msgspec.structs.replace(SHIPPED, budget=budget), "immediate", "1"), lambda _: None)
    judged = report.details.alerts_by_score
    assert judged is not None
    assert judged["opened"] > 5
    assert 0.1 < judged["precision"] <= judged["precision_with_later_payments"] <= 1.0
    assert 0.0 < judged["pattern_recall"] <= 1.0
    assert any("alerts by score" in line for line in report.text.splitlines())


def test_a_folder_in_the_form_of_tide_is_measured_without_loans(tmp_path: Path) -> None:
    report = run(Request(labelled_folder(tmp_path / "t", balances=False), SHIPPED, "none", "1"), lambda _: None)
    assert report.measures["loans"] is None
    assert set(report.details.by_typology) == {"Chain"}
    assert report.measures["payments"]["scored"] > 100


def test_the_command_writes_the_measures(sample: Path, tmp_path: Path) -> None:
    out, more = tmp_path / "m.json", tmp_path / "d.json"
    arguments = ["evaluate", str(sample), "--labels", "none", "--seeds", "1", "--json", str(out), "--details", str(more)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert set(json.loads(out.read_text())) == set(KEYS)
    assert json.loads(more.read_text())["labels"] == "none"


def without_labels(folder: Path) -> None:
    (folder / "labels.csv").unlink()


def without_loans(folder: Path) -> None:
    (folder / "loans.csv").unlink()


def cut_parquet(folder: Path) -> None:
    whole = (folder / "transactions.parquet").read_bytes()
    (folder / "transactions.parquet").write_bytes(whole[: len(whole) // 2])


def label_of_nobody(folder: Path) -> None:
    with (folder / "labels.csv").open("a") as lines:
        lines.write("T99999,7\n")


def labels_without_a_column(folder: Path) -> None:
    (folder / "labels.csv").write_text("txn,pattern\nT00001,7\n")


def other_loans(folder: Path) -> None:
    (folder / "loan_labels.csv").write_text("loan_id,misused,pattern\nL900,1,7\n")


def misused_perhaps(folder: Path) -> None:
    (folder / "loan_labels.csv").write_text("loan_id,misused,pattern\nL1,perhaps,7\n")


def no_payer(folder: Path) -> None:
    table = pq.read_table(folder / "transactions.parquet")
    pq.write_table(table.drop_columns(["payer"]), folder / "transactions.parquet")


@pytest.mark.parametrize(
    ("spoil", "saying"),
    [
        (without_labels, "labels.csv: there is no such file"), (without_loans, "loans.csv: there is no such file"),
        (cut_parquet, "cannot be read as Parquet"), (label_of_nobody, "T99999 is no payment"),
        (labels_without_a_column, "has no column txn_id"), (other_loans, "name different loans"),
        (misused_perhaps, "line 2: misused is 'perhaps'"), (no_payer, "has no column payer"),
    ],
)  # fmt: skip
def test_a_folder_that_lacks_something_is_refused_with_its_name(
    tmp_path: Path, spoil: Callable[[Path], None], saying: str
) -> None:
    folder = labelled_folder(tmp_path / "p", payments=40)
    spoil(folder)
    with pytest.raises(InputError, match=saying):
        run(Request(folder, SHIPPED, "none", "1"), lambda _: None)


@pytest.mark.parametrize("text", ["", "delayed", "delayed:x", "feedback:0.01", "feedback:0:7", "feedback:2:7", "delayed:-1"])
def test_a_plan_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="labels"):
        plan_of(text)


def test_a_folder_of_something_else_is_refused_with_what_is_expected(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path)])
    assert result.exit_code == 1
    assert "transactions.parquet" in result.output


def thefts_folder(path: Path) -> Path:
    path.mkdir()
    (path / "flows.csv").write_text(
        "Timestamp,Block,Tx_hash,From,To,Value_in_USD\n"
        "2026-01-01 00:00:00,1,0x1,thief,mixer,100.00\n2026-01-01 01:00:00,2,0x2,mixer,shop,99.00\n"
    )
    (path / "sources.txt").write_text("thief\n")
    (path / "terminals.txt").write_text("shop\n")
    return path


def test_traced_thefts_are_still_measured(tmp_path: Path) -> None:
    measures: Any = run(Request(thefts_folder(tmp_path / "c"), SHIPPED), lambda _: None).measures
    assert msgspec.to_builtins(measures)["flow_coverage_count"] == 1.0


def test_traced_thefts_without_their_ends_are_refused(tmp_path: Path) -> None:
    folder = thefts_folder(tmp_path / "c")
    (folder / "terminals.txt").unlink()
    with pytest.raises(InputError, match=r"holds no terminals\.txt"):
        run(Request(folder, SHIPPED), lambda _: None)


@pytest.mark.parametrize(
    ("payments", "shape"),
    [
        ("ab cb", "fan_in"), ("ab ac", "fan_out"), ("ab bc ca", "cycle"), ("ab ac db dc", "bipartite"), ("ab", "single"),
        ("ah bh hc hd", "gather_scatter"), ("ab ac bz cz", "scatter_gather"), ("ab bc cd", "chain"),
        ("ab bc ac cd bd", "layers"),
    ],
)  # fmt: skip
def test_a_numbered_pattern_is_named_by_its_shape(payments: str, shape: str) -> None:
    assert shape_of([(pair[0], pair[1]) for pair in payments.split()]) == shape


def berka_folder(path: Path) -> Path:
    path.mkdir()
    (path / "disp.asc").write_text('"disp_id";"client_id";"account_id";"type"\n1;1;1;"OWNER"\n2;2;2;"OWNER"\n')
    loans = ["1;1;930102;100000;12;8333;B", "2;2;930103;50000;12;4166;A", "3;2;980103;90000;12;4166;D"]
    (path / "loan.asc").write_text(
        "\n".join(['"loan_id";"account_id";"date";"amount";"duration";"payments";"status"', *loans]) + "\n"
    )
    head = '"trans_id";"account_id";"date";"type";"operation";"amount";"balance";"k_symbol";"bank";"account"'
    rows = [f'{n};{1 + n % 2};9301{n:02d};"VYDAJ";"PREVOD NA UCET";900;{9000 - 9 * n};"";"AB";"{n % 3}7"' for n in range(1, 29)]
    (path / "trans_1993.asc").write_text("\n".join([head, *rows]) + "\n")
    return path


def test_a_bank_with_repayment_statuses_is_measured_on_the_loans_of_its_time(tmp_path: Path) -> None:
    measures = run(Request(berka_folder(tmp_path / "b"), SHIPPED), lambda _: None).measures
    assert (measures.loans, measures.unpaid, measures.accounts) == (2, 1, 2)
    assert measures.average_precision_by_amount == 1.0
    assert measures.alerts_per_1000_account_days == 0
