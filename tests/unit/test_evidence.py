"""Every figure of an alert follows from the alert and the events that it names: checked for every alert of every scenario."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from detectors.alert import evidence_digest
from detectors.alert_record import Alert
from detectors.events import AccountTransaction
from detectors.typologies import TYPOLOGIES
from streams.scenarios.folding import events_of, fold
from streams.scenarios.notation import Scenario, parse_file

FOLDER = Path(__file__).parents[1] / "scenarios"
FILES = {path.stem[:3]: path for path in sorted(FOLDER.glob("T*.txt"))}


def told(code: str) -> Iterator[tuple[Scenario, Alert]]:
    """Every alert on a loan, of one typology, that its scenarios raise: each revision that is open."""
    for scenario in parse_file(FILES[code]):
        if scenario.known_bug:
            continue
        for alert in fold(scenario).alerts:
            if alert.typology == code and alert.status == "OPEN" and alert.subject.kind == "LOAN":
                yield scenario, alert


def records(scenario: Scenario) -> dict[str, list[AccountTransaction]]:
    """Transaction id -> the records that bear it."""
    found: dict[str, list[AccountTransaction]] = {}
    for event in events_of(scenario):
        if isinstance(event, AccountTransaction):
            found.setdefault(event.txn_id, []).append(event)
    return found


@pytest.mark.parametrize("code", [make.code for make in TYPOLOGIES])
def test_the_figures_of_an_alert_follow_from_its_evidence(code: str) -> None:
    for scenario, alert in told(code):
        place = f"{scenario.path.name}:{scenario.line} {alert.alert_id} revision {alert.revision}"
        loan = alert.subject.loan_amount_minor
        assert loan, place
        measures = {measure.name: measure.observed for measure in alert.measures}
        if "share_of_loan_attributed" in measures:
            assert measures["share_of_loan_attributed"] == round(alert.traced_estimate_minor / loan, 4), place
            assert measures["share_of_loan_certain"] == round(alert.traced_min_minor / loan, 4), place
        assert 0 <= alert.traced_min_minor <= alert.traced_estimate_minor <= alert.traced_max_minor, place
        for item in alert.contributions:
            assert item.added == pytest.approx(item.value * item.weight, abs=1e-4), place  # both are rounded
        if alert.contributions:
            assert alert.score == pytest.approx(min(1.0, sum(item.added for item in alert.contributions)), abs=1e-3), place
        assert evidence_digest(alert) == alert.evidence_digest, place


@pytest.mark.parametrize("code", [make.code for make in TYPOLOGIES])
def test_the_path_of_an_alert_is_made_of_payments_on_record(code: str) -> None:
    for scenario, alert in told(code):
        place = f"{scenario.path.name}:{scenario.line} {alert.alert_id} revision {alert.revision}"
        named = records(scenario)
        for step in alert.path:
            said = named[step.txn_id]
            assert any(record.amount_minor == step.amount_minor for record in said), f"{place}: {step}"
            accounts = {record.account_id for record in said}
            assert any(account in (step.payer, step.payee) for account in accounts), f"{place}: {step}"
            assert step.traced_minor > 0, f"{place}: {step}"
        if alert.path_steps_left_out == 0 and alert.path:
            begun = sum(step.traced_minor for step in alert.path if step.hop == 1)
            assert begun >= alert.traced_estimate_minor, f"{place}: less left the borrower's account than arrived"


def test_every_typology_raises_an_alert_in_its_own_scenarios() -> None:
    silent = [make.code for make in TYPOLOGIES if not any(fold_raises(make.code))]
    assert silent == []


def fold_raises(code: str) -> Iterator[bool]:
    """True for each scenario of the typology in which it alerts, on a loan or on a group."""
    for scenario in parse_file(FILES[code]):
        if not scenario.known_bug:
            yield any(alert.typology == code for alert in fold(scenario).alerts)
