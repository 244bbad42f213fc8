"""What a newcomer meets first holds: the tiny example, and the pages that quote it and the demo."""

from __future__ import annotations

import ast
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from detectors.alert_record import Alert
from detectors.events import EVENT_TYPES
from streams.files.replay import replay
from streams.files.results import Summary
from streams.people.explain import explain
from streams.settings import load_settings
from streams.simulate.world import simulate

REPO = Path(__file__).parents[2]
TINY = REPO / "examples" / "tiny"
TRANSACTIONS = "account-transactions.csv"
DEMO_WORLD: dict[str, Any] = {"loans": 300, "days": 60, "seed": 3, "misuse_share": 0.08}


def page(name: str) -> str:
    return (REPO / name).read_text(encoding="utf-8")


def run(source: Path, out: Path) -> tuple[Summary, list[Alert]]:
    summary = replay([source], out, load_settings())
    return summary, [msgspec.json.decode(line, type=Alert) for line in (out / "alerts.jsonl").read_bytes().splitlines()]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary, list[Alert]]:
    out = tmp_path_factory.mktemp("tiny") / "out"
    return out, *run(TINY, out)


def test_the_tiny_example_raises_one_alert_on_the_misused_loan(tiny: tuple[Path, Summary, list[Alert]]) -> None:
    _, _, [alert] = tiny
    assert (alert.typology, alert.subject.loan_id, alert.severity) == ("T01", "L-2001", "CRITICAL")
    assert (alert.traced_min_minor, alert.traced_estimate_minor, alert.traced_max_minor) == (7_150_000, 7_800_000, 7_800_000)
    assert [step.txn_id for step in alert.path] == ["T-07", "T-10"]


def test_the_tiny_example_clears_the_borrower_with_own_money(tiny: tuple[Path, Summary, list[Alert]]) -> None:
    _, summary, _ = tiny
    assert summary.counters["cleared_T01"] == 1


def test_the_tiny_example_accounts_for_every_record(tiny: tuple[Path, Summary, list[Alert]]) -> None:
    out, summary, _ = tiny
    assert msgspec.structs.astuple(summary.records) == (20, 18, 1, 1)
    reject = json.loads((out / "rejects.jsonl").read_text(encoding="utf-8"))
    assert (reject["file"], reject["line"], reject["field"]) == (TRANSACTIONS, 14, "amount_minor")
    assert (summary.counters["legs_matched"], summary.counters["payouts_matched"], summary.counters["reversals"]) == (3, 2, 1)


def test_the_returned_payment_is_undone_so_that_no_loan_money_left_with_it(tiny: tuple[Path, Summary, list[Alert]]) -> None:
    out, _, _ = tiny
    states = [json.loads(line) for line in (out / "loan-risk.jsonl").read_text(encoding="utf-8").splitlines()]
    last = {state["loan_id"]: state for state in states}["L-2001"]
    assert last["left_minor"] == {"OTHER_BANK": 600_000, "PURCHASE": 7_550, "SECURITIES": 7_800_000}
    assert last["held_minor"] == 10_000_000 - 600_000 - 7_550 - 7_800_000


def test_without_balances_nothing_is_certain_and_only_the_way_speaks(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    shutil.copy(TINY / "loan-disbursements.jsonl", source)
    text = (TINY / TRANSACTIONS).read_text(encoding="utf-8")
    (source / TRANSACTIONS).write_text(text.replace("balance_after_minor", "unread"), encoding="utf-8")
    _, alerts = run(source, tmp_path / "out")
    told = {alert.subject.loan_id: (alert.traced_min_minor, alert.traced_estimate_minor, alert.severity) for alert in alerts}
    assert told == {"L-2001": (0, 7_800_000, "MEDIUM")}


def test_the_readme_quotes_what_the_tiny_example_says(tiny: tuple[Path, Summary, list[Alert]]) -> None:
    out, _, [alert] = tiny
    console = Console(record=True, width=80, file=io.StringIO())
    explain(alert.alert_id, out, console)
    said = {line.strip() for line in console.export_text().splitlines()}
    readme = page("README.md")
    assert alert.sentence_en in readme
    assert alert.alert_id in readme
    assert set(quoted(readme, "How much of the loan is there")) <= said


def quoted(text: str, beginning: str) -> Iterator[str]:
    """The lines of the code block that begins so."""
    block = text.split(f"```\n{beginning}", 1)[1].split("```", 1)[0]
    yield from (line.strip() for line in (beginning + block).splitlines() if line.strip())


def test_the_page_on_reading_an_alert_quotes_an_alert_of_the_demo(tmp_path: Path) -> None:
    text = page("docs/reading-an-alert.md")
    simulate(tmp_path / "in", **DEMO_WORLD)
    _, alerts = run(tmp_path / "in", tmp_path / "out")
    told = [alert for alert in alerts if alert.alert_id in text]
    assert [alert.sentence_en in text and alert.sentence_zh in text for alert in told] == [True]


def test_the_demo_makes_the_world_that_the_pages_speak_of() -> None:
    calls = [node for node in ast.walk(ast.parse(page("examples/demo.py"))) if isinstance(node, ast.Call)]
    words = [[ast.unparse(argument) for argument in call.args] for call in calls]
    [simulated] = [arguments for arguments in words if "'simulate'" in arguments]
    options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in DEMO_WORLD.items())
    assert " ".join(simulated[2:]).replace("'", "") == options
    assert f"fundtrail simulate demo-out/in {options}" in page("docs/reading-an-alert.md")


@pytest.mark.parametrize("topic", sorted(EVENT_TYPES))
def test_the_formats_page_names_every_topic_and_field(topic: str) -> None:
    text = page("docs/formats.md")
    assert f"`{topic}`" in text
    fields = [*EVENT_TYPES[topic].__struct_fields__, *Summary.__struct_fields__]
    assert [field for field in fields if f"`{field}`" not in text] == []


def test_the_page_on_reading_an_alert_names_every_field_of_an_alert() -> None:
    text = page("docs/reading-an-alert.md") + page("docs/formats.md")
    assert [field for field in Alert.__struct_fields__ if f"`{field}`" not in text] == []
