"""The composite case of a published audit from files to report, and what five hundred tax payers must not raise."""

from __future__ import annotations

import json
from collections import defaultdict
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

import pytest
from rich.console import Console

from detectors.engine import Engine
from detectors.events import AccountTransaction, Event, ListEntry, LoanDisbursement
from streams.files.replay import replay
from streams.people.explain import explain
from streams.people.report import write_report
from streams.scenarios.folding import SHIPPED
from streams.scenarios.notation import FIRST_DAY, instant, parse_file
from streams.settings import load_settings

SHOWN = {"T05", "T06", "T10", "T11", "T12", "T15"}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The case as topic files, replayed."""
    (scenario,) = parse_file(Path(__file__).parents[1] / "scenarios" / "audit_case.txt")
    folder = tmp_path_factory.mktemp("audit")
    topics: dict[str, list[str]] = defaultdict(list)
    for record in scenario.records:
        topics[record.topic].append(json.dumps(record.data, ensure_ascii=False))
    (folder / "in").mkdir()
    for topic, lines in topics.items():
        (folder / "in" / f"{topic}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    replay([folder / "in"], folder / "out", load_settings())
    return folder / "out"


def alerts_in(results: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (results / "alerts.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_audit_case_raises_what_it_shows_and_nothing_else(results: Path) -> None:
    summary = json.loads((results / "summary.json").read_text(encoding="utf-8"))
    assert set(summary["alerts"]) == SHOWN
    assert summary["records"]["rejected"] == 0
    loans = {f"L{number}" for number in range(1, 6)}
    for code in SHOWN - {"T11"}:
        assert {alert["subject"]["loan_id"] for alert in alerts_in(results) if alert["typology"] == code} == loans  # type: ignore[index]


def test_every_loan_of_the_audit_case_has_all_six_reasons(results: Path) -> None:
    lines = (results / "loan-risk.jsonl").read_text(encoding="utf-8").splitlines()
    last = {risk["loan_id"]: risk for risk in map(json.loads, lines)}
    assert len(last) == 5
    assert all(set(risk["reasons"]) == SHOWN and risk["state"] == "SUSPICIOUS" for risk in last.values())


def test_the_group_of_the_audit_case_is_explained_and_reported(results: Path) -> None:
    (group,) = {alert["alert_id"] for alert in alerts_in(results) if alert["subject"].get("account_id") == "boss"}  # type: ignore[attr-defined]
    console = Console(width=100, record=True, file=StringIO())
    explain(str(group), results, console)
    told = console.export_text()
    assert "5 loans (L1, L2, L3, ...) around account boss" in told
    assert "L5 · f5" in told
    page = write_report(results).read_text(encoding="utf-8")
    assert "5 loans (L1, L2, L3, ...) around account boss" in page


def tax_payers(*, listed: bool) -> list[Event]:
    """Five hundred borrowers pay the tax office, each what he owes."""
    chance = Random(5)
    events: list[Event] = []
    if listed:
        events.append(ListEntry(event_time=FIRST_DAY, list_name="HUB", account_id="tax"))
    for number in range(500):
        at = instant(1 + number // 40, 9, number % 40)
        loan = chance.randrange(50_000, 500_000) * 100
        tax = round(loan * chance.uniform(0.005, 0.06))
        named: dict[str, Any] = {"currency": "CNY", "customer_id": f"b{number}"}
        events.append(
            LoanDisbursement(event_time=at, loan_id=f"L{number}", amount_minor=loan, disburse_account=f"b{number}", **named)
        )
        events.append(AccountTransaction(
            event_time=at, txn_id=f"t{number}", account_id=f"b{number}", amount_minor=tax, direction="DEBIT",
            counterparty_account="tax", balance_after_minor=loan - tax, **named,
        ))  # fmt: skip
    return events


@pytest.mark.parametrize("listed", [True, False], ids=["on the list of hubs", "known as a hub by its payers only"])
def test_five_hundred_borrowers_who_pay_the_tax_office_are_no_group(listed: bool) -> None:
    engine = Engine(SHIPPED)
    assert [alert.typology for event in tax_payers(listed=listed) for alert in engine.apply(event).alerts] == []
    assert listed or engine.counters["hubs_by_degree"] == 1
