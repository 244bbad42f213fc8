"""Replay of two stories against the alerts that were read and approved, as text.

``WRITE_GOLDEN=1 pytest tests/golden`` writes the files anew; read the difference before keeping it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from detectors.alert_record import Alert, LoanRisk
from detectors.money import format_money
from streams.scenarios.folding import fold
from streams.scenarios.notation import parse_file

FOLDER = Path(__file__).parent


def as_text(alert: Alert) -> Iterator[str]:
    """An alert as lines: everything a reader would notice, without the digest of the configuration."""

    def money(amount_minor: int) -> str:
        return format_money(amount_minor, alert.currency)

    yield f"{alert.alert_id} revision {alert.revision} {alert.status} {alert.severity} score {alert.score}"
    yield f"  {alert.sentence_en}"
    yield f"  {alert.sentence_zh}"
    yield f"  at {alert.event_time}, scored {alert.scored_time}, about account {alert.subject.account_id or '-'}"
    yield (
        f"  certain {money(alert.traced_min_minor)}, attributed {money(alert.traced_estimate_minor)}, "
        f"possible {money(alert.traced_max_minor)}, fifo {money(alert.traced_fifo_minor)}, exact {alert.bounds_exact}"
    )
    yield f"  rests on: {'; '.join(alert.bounds_rest_on)}"
    yield f"  rules {alert.rule_set.rule_set_id}: {alert.rule_set.why}"
    for measure in alert.measures:
        yield f"  {measure.name} {measure.observed} {measure.unit} (threshold {measure.threshold})"
    for step in alert.path:
        yield (
            f"  hop {step.hop} {step.event_time} {step.payer} -> {step.payee} {money(step.amount_minor)}"
            f" carrying {money(step.traced_minor)} [{step.use}] {step.txn_id}"
        )
    for item in alert.look_alikes:
        yield f"  {item.name}: {item.result}, {item.detail}"
    yield f"  left the bank {alert.left_bank}, hops {alert.hops_visible}, evidence {alert.evidence_digest[:16]}"


def risk_as_text(risk: LoanRisk) -> str:
    """A loan's state in a line."""
    left = ", ".join(f"{place} {format_money(amount, risk.currency)}" for place, amount in risk.left_minor.items())
    return (
        f"loan {risk.loan_id} {risk.state} {','.join(risk.reasons) or '-'}: held {format_money(risk.held_minor, risk.currency)}"
        f"; left {left or '-'}; repaid {format_money(risk.repaid_minor, risk.currency)}"
        f"; dropped {sum(risk.dropped_minor.values())}"
    )


def story(name: str) -> str:
    """The whole story's alerts and final states."""
    (scenario,) = parse_file(FOLDER / f"{name}.txt")
    folding = fold(scenario)
    lines = [line for alert in folding.alerts for line in as_text(alert)] or ["no alerts"]
    return "\n".join([*lines, "", *map(risk_as_text, folding.engine.loan_risks()), ""])


@pytest.mark.parametrize("name", ["ordinary_day", "misuse_week"])
def test_the_story_gives_the_approved_alerts(name: str) -> None:
    approved, told = FOLDER / f"{name}.alerts", story(name)
    if os.environ.get("WRITE_GOLDEN") == "1":
        approved.write_text(told, encoding="utf-8")
    assert told == approved.read_text(encoding="utf-8")


def test_an_ordinary_day_has_no_alerts() -> None:
    assert story("ordinary_day").startswith("no alerts\n")


def test_the_week_shows_every_typology_and_a_withdrawal() -> None:
    told = story("misuse_week")
    for code in ("T01", "T02", "T05", "T06", "T08", "T09", "T12"):
        assert f"{code}-" in told
    assert " WITHDRAWN " in told
