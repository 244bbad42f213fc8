"""The evidence of every alert suffices to recompute its figures: of every alert of every scenario, new typologies included."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from detectors.alert_record import Alert
from detectors.typologies import TYPOLOGIES
from streams.scenarios.folding import SHIPPED, fold
from streams.scenarios.notation import Scenario, parse_file
from tests.scenarios.recompute import Records, disagreements

FOLDER = Path(__file__).parent
SCENARIOS = {
    path.stem: [scenario for scenario in parse_file(path) if not scenario.known_bug] for path in sorted(FOLDER.glob("*.txt"))
}


def records_of(scenario: Scenario) -> Records:
    return Records([(record.topic, record.data) for record in scenario.records if not record.again], SHIPPED.codes)


@pytest.mark.parametrize("file", SCENARIOS)
def test_every_alert_of_the_file_can_be_recomputed_from_its_evidence(file: str) -> None:
    wrong = []
    for scenario in SCENARIOS[file]:
        records = records_of(scenario)
        for alert in fold(scenario).alerts:
            wrong += [
                f"{scenario.title}: {alert.alert_id} revision {alert.revision}: {what}"
                for what in disagreements(alert, records)
            ]
    assert wrong == []


def test_every_typology_is_among_the_alerts_recomputed() -> None:
    raised = {alert.typology for scenarios in SCENARIOS.values() for scenario in scenarios for alert in fold(scenario).alerts}
    assert {make.code for make in TYPOLOGIES} - raised == set()


def first_alert(file: str) -> tuple[Alert, Records]:
    for scenario in SCENARIOS[file]:
        alerts = fold(scenario).alerts
        if alerts:
            return alerts[0], records_of(scenario)
    raise AssertionError(f"{file} raises no alert")


@pytest.mark.parametrize("file", ["T01_securities_diversion", "T11_nominee_aggregation", "T25_borrower_distress_event"])
def test_a_figure_that_was_changed_is_noticed(file: str) -> None:
    alert, records = first_alert(file)
    measures = (msgspec.structs.replace(alert.measures[0], observed=alert.measures[0].observed + 1), *alert.measures[1:])
    found = list(disagreements(msgspec.structs.replace(alert, measures=measures), records))
    assert any(alert.measures[0].name in what for what in found)
    assert any("digest" in what for what in found)


def test_a_payment_that_was_changed_is_noticed() -> None:
    alert, records = first_alert("T01_securities_diversion")
    path = (msgspec.structs.replace(alert.path[0], amount_minor=1), *alert.path[1:])
    assert any(
        "in the alert, not so in the records" in what
        for what in disagreements(msgspec.structs.replace(alert, path=path), records)
    )
