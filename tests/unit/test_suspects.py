"""Payments that stand out by their score become alerts, within the budget, with the evidence that made the score."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from detectors.alert_record import Alert
from detectors.configuration import Configuration
from detectors.engine import Engine
from detectors.events import AccountTransaction, Disposition, Event, LoanDisbursement
from detectors.learners.score import PaymentScore
from streams.codec import encode
from streams.scenarios.folding import SHIPPED

START = datetime(2026, 3, 2, tzinfo=UTC)


def wanting(**changes: float) -> Configuration:
    """Score-based alerts from the two hundredth payment on."""
    limits = msgspec.structs.replace(SHIPPED.budget, **({"alerts_per_day": 2.0, "scores_min": 200} | changes))
    return msgspec.structs.replace(SHIPPED, budget=limits)


def payments(count: int, seed: int = 1) -> list[Event]:
    """Everyday payments among sixty accounts, four an hour; now and then somebody hands on all that has just come in."""
    chance = random.Random(seed)
    stream: list[Event] = []
    for n in range(count):
        payer, payee = chance.sample(range(60), 2)
        amount = 1_000 * chance.randint(10, 300)
        stream.append(paid(f"t{n}", 15 * n, f"a{payer}", f"a{payee}", amount))
        if n % 50 == 49:
            stream.append(paid(f"m{n}", 15 * n + 1, f"a{payee}", f"new{n % 8}", amount))
    return stream


def paid(txn_id: str, minutes: int, payer: str, payee: str, amount_minor: int) -> AccountTransaction:
    return AccountTransaction(
        event_time=START + timedelta(minutes=minutes), txn_id=txn_id, account_id=payer, amount_minor=amount_minor,
        currency="CNY", direction="DEBIT", counterparty_account=payee,
    )  # fmt: skip


def alerts_of(configuration: Configuration, events: list[Event]) -> list[Alert]:
    engine = Engine(configuration)
    return [alert for event in events for alert in engine.apply(event).alerts]


STREAM = payments(2_400)


@pytest.fixture(scope="module")
def alerts() -> list[Alert]:
    return alerts_of(wanting(), STREAM)


def test_without_a_budget_no_payment_is_said_for_its_score_alone() -> None:
    assert alerts_of(SHIPPED, STREAM) == []


def test_as_many_are_opened_as_were_asked_for(alerts: list[Alert]) -> None:
    opened = [alert for alert in alerts if alert.revision == 1]
    days = 2_400 * 15 / 1_440
    assert len(opened) == pytest.approx(2 * days, rel=0.1)
    assert len({alert.alert_id for alert in opened}) == len(opened)


def test_an_alert_names_its_payments_its_rank_its_model_and_what_made_the_score(alerts: list[Alert]) -> None:
    alert = alerts[0]
    assert (alert.typology, alert.kind, alert.subject.kind) == ("S01", "PATTERN", "ACCOUNT")
    assert alert.score_percentile is not None and alert.score_percentile > 95
    assert [payment.role for payment in alert.related] == ["stands_out"]
    assert alert.related[0].payee == alert.subject.account_id
    assert alert.model_version.endswith("/0")  # outcomes learned so far
    weights = [abs(item.weight) for item in alert.contributions[:5]]
    assert weights == sorted(weights, reverse=True)
    assert all(item.usual is not None for item in alert.contributions)
    assert alert.related[0].txn_id in alert.sentence_en and alert.related[0].txn_id in alert.sentence_zh
    assert [item.name for item in alert.look_alikes] == ["drift"]


def test_the_contributions_add_up_to_the_scores_log_odds(alerts: list[Alert]) -> None:
    firsts = [alert for alert in alerts if alert.revision == 1]
    assert firsts
    for alert in firsts:
        odds = sum(item.added for item in alert.contributions)
        assert 1 / (1 + math.exp(-odds)) == pytest.approx(alert.score, abs=0.001)


def test_without_the_evidence_it_names_a_payment_scores_lower_and_is_said_no_more(alerts: list[Alert]) -> None:
    """What stands out of a payment that hands on what has just come in is that it came in."""
    named = next(alert for alert in alerts if alert.revision == 1 and alert.related[0].txn_id.startswith("m"))
    handed_on = named.related[0].txn_id
    without = [event for event in STREAM if getattr(event, "txn_id", "") != f"t{handed_on[1:]}"]
    engine = Engine(wanting())
    scores: dict[str, PaymentScore] = {}
    said: list[Alert] = []
    for event in without:
        outputs = engine.apply(event)
        scores |= {score.txn_id: score for score in outputs.scores}
        said += outputs.alerts
    threshold = named.measures[0].threshold
    assert threshold is not None
    assert scores[handed_on].score < named.score
    assert scores[handed_on].percentile < threshold
    assert handed_on not in {payment.txn_id for alert in said for payment in alert.related}


def test_payments_to_one_account_within_the_episode_are_one_alert_said_again_as_they_double(alerts: list[Alert]) -> None:
    said_again = [alert for alert in alerts if alert.revision > 1]
    assert said_again
    assert all(len(alert.related) > 1 for alert in said_again if alert.revision == 2)
    many = alerts_of(wanting(episode_days=1), STREAM)
    assert sum(alert.revision > 1 for alert in many) < len(said_again)


def test_an_outcome_of_the_alert_teaches_its_payments(alerts: list[Alert]) -> None:
    engine = Engine(wanting())
    first = next(alert for event in STREAM for alert in engine.apply(event).alerts)
    last = engine.apply(Disposition(
        event_time=START + timedelta(days=30), alert_id=first.alert_id, outcome="MISUSE_CONFIRMED",
    ))  # fmt: skip
    assert last.status == "applied"
    assert engine.counters["outcomes_learned"] >= 1
    assert engine.triage.since_ms(first.related[0].txn_id) is None


def test_a_breach_with_certain_evidence_is_said_though_the_budget_is_spent() -> None:
    engine = Engine(wanting(overdraft_max=0.0, alerts_per_day=0.001))
    for event in STREAM[:300]:
        engine.apply(event)
    at = START + timedelta(days=4)
    engine.apply(LoanDisbursement(event_time=at, loan_id="L", amount_minor=10_000_000, currency="CNY", disburse_account="z"))
    breach = msgspec.structs.replace(
        paid("b", 4 * 1_440 + 60, "z", "broker", 9_000_000), txn_type="SECURITIES_TRANSFER", balance_after_minor=1_000_000
    )
    assert [alert.typology for alert in engine.apply(breach).alerts] == ["T01"]


def test_a_restore_in_the_middle_gives_the_same_alerts(alerts: list[Alert]) -> None:
    engine = Engine(wanting())
    before = [alert for event in STREAM[:1_500] for alert in engine.apply(event).alerts]
    engine = Engine.restore(engine.configuration, msgspec.json.decode(msgspec.json.encode(engine.snapshot())))
    after = [alert for event in STREAM[1_500:] for alert in engine.apply(event).alerts]
    assert encode(before + after) == encode(alerts)


def test_episodes_beyond_the_limit_are_forgotten_with_their_alerts() -> None:
    engine = Engine(wanting(episodes_max=3))
    said = [alert for event in STREAM for alert in engine.apply(event).alerts]
    assert engine.counters["episodes_forgotten"] > 0
    assert len(engine.suspects.episodes) == len(engine.subject_of_alert) == 3
    late = Disposition(event_time=START + timedelta(days=40), alert_id=said[0].alert_id, outcome="FALSE_POSITIVE")
    assert engine.apply(late).status == "rejected"
