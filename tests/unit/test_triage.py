"""Triage: scores of payments from account to account, given before anything is learned from them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from detectors.engine import Engine
from detectors.events import AccountTransaction
from detectors.learners.score import PaymentScore
from streams.scenarios.folding import SHIPPED

START = datetime(2026, 3, 2, tzinfo=UTC)


def payment(number: int, payer: str, payee: str | None, minutes: int, amount_minor: int = 50_000) -> AccountTransaction:
    return AccountTransaction(
        event_time=START + timedelta(minutes=minutes),
        txn_id=f"t{number}",
        account_id=payer,
        amount_minor=amount_minor,
        currency="CNY",
        direction="DEBIT",
        counterparty_account=payee,
    )


def scores_of(engine: Engine, payments: list[AccountTransaction]) -> list[PaymentScore]:
    return [score for txn in payments for score in engine.apply(txn).scores]


def ring(count: int, start: int = 0) -> list[AccountTransaction]:
    """Payments round a small ring of accounts, with some of them to nobody named."""
    return [
        payment(n, f"a{n % 7}", f"a{n * 3 % 7}" if n % 7 != n * 3 % 7 else None, 11 * n, 10_000 + n)
        for n in range(start, count)
    ]


def test_only_payments_from_account_to_account_are_scored() -> None:
    engine = Engine(SHIPPED)
    assert [score.txn_id for score in scores_of(engine, [payment(1, "a", "b", 0), payment(2, "a", None, 1)])] == ["t1"]


def test_an_outcome_changes_later_scores_of_payments_like_it() -> None:
    taught, untaught = Engine(SHIPPED), Engine(SHIPPED)
    for engine in (taught, untaught):
        scores_of(engine, ring(60))
    for n in range(60):
        taught.triage.learn(f"t{n}", True, 0)
    later = ring(90, start=60)
    assert sum(s.score for s in scores_of(taught, later)) > sum(s.score for s in scores_of(untaught, later))


def test_an_outcome_of_a_payment_that_was_never_scored_teaches_nothing_and_is_counted() -> None:
    engine = Engine(SHIPPED)
    assert not engine.triage.learn("nobody", True, 0)
    assert engine.counters["outcomes_of_forgotten_payments"] == 1


def test_a_restored_triage_gives_the_same_scores() -> None:
    whole, first = Engine(SHIPPED), Engine(SHIPPED)
    for engine in (whole, first):
        scores_of(engine, ring(50))
        engine.triage.learn("t8", True, 0)
    second = Engine.restore(SHIPPED, msgspec.json.decode(msgspec.json.encode(first.snapshot())))
    assert scores_of(second, ring(90, start=50)) == scores_of(whole, ring(90, start=50))
    assert second.snapshot() == whole.snapshot()


def test_without_scoring_there_are_no_scores_and_no_profiles() -> None:
    engine = Engine(msgspec.structs.replace(SHIPPED, learning=msgspec.structs.replace(SHIPPED.learning, scoring=0)))
    assert scores_of(engine, ring(20)) == []
