"""Outcomes: which are believed, what they teach, and that a refused one changes nothing at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from detectors.engine import Engine, Outputs
from detectors.events import AccountTransaction, Disposition, LoanDisbursement
from streams.codec import decode
from streams.scenarios.folding import SHIPPED

START = datetime(2026, 3, 2, tzinfo=UTC)


def payment(txn_id: str, hours: float, payee: str = "bob", txn_type: Any = "TRANSFER") -> AccountTransaction:
    return AccountTransaction(
        event_time=START + timedelta(hours=hours), txn_id=txn_id, account_id="alice", amount_minor=9_000_000, currency="CNY",
        direction="DEBIT", counterparty_account=payee, txn_type=txn_type, balance_after_minor=1_000_000,
    )  # fmt: skip


def outcome(name: str, hours: float, event_id: str | None = None, **subject: str) -> Disposition:
    when = START + timedelta(hours=hours)
    return Disposition(event_time=when, outcome=name, event_id=event_id, **subject)  # type: ignore[arg-type]


def engine_with_a_payment() -> Engine:
    engine = Engine(SHIPPED)
    engine.apply(payment("t1", 1))
    return engine


def learned(engine: Engine) -> int:
    return engine.counters.get("outcomes_learned", 0)


@pytest.mark.parametrize(
    ("name", "taught"),
    [
        ("MISUSE_CONFIRMED", 1), ("FALSE_POSITIVE", 1), ("APPROVED_EXCEPTION", 1),
        ("DATA_ERROR", 0), ("INCONCLUSIVE_MONITOR", 0),
    ],
)  # fmt: skip
def test_only_conclusions_teach(name: str, taught: int) -> None:
    engine = engine_with_a_payment()
    assert engine.apply(outcome(name, 5, txn_id="t1")).status == "applied"
    assert learned(engine) == taught


def test_what_teaches_changes_the_model_and_what_does_not_leaves_it_as_it_was() -> None:
    models = {}
    for name in ("MISUSE_CONFIRMED", "FALSE_POSITIVE", "APPROVED_EXCEPTION", "INCONCLUSIVE_MONITOR", "DATA_ERROR"):
        engine = engine_with_a_payment()
        before = engine.triage.snapshot()
        engine.apply(outcome(name, 5, txn_id="t1"))
        models[name] = engine.triage.snapshot()
        assert (models[name] == before) == (name in ("INCONCLUSIVE_MONITOR", "DATA_ERROR"))
    assert models["FALSE_POSITIVE"] == models["APPROVED_EXCEPTION"] != models["MISUSE_CONFIRMED"]


REFUSED = [
    ("of a payment nobody saw", outcome("MISUSE_CONFIRMED", 5, txn_id="t9"), "txn_id"),
    ("of an alert nobody raised", outcome("MISUSE_CONFIRMED", 5, alert_id="T01-x"), "alert_id"),
    ("of a loan nobody paid out", outcome("MISUSE_CONFIRMED", 5, loan_id="L9"), "loan_id"),
    ("dated before its payment", outcome("MISUSE_CONFIRMED", 0.5, txn_id="t1"), "event_time"),
    ("of what was concluded otherwise", outcome("MISUSE_CONFIRMED", 6, txn_id="t2"), "outcome"),
    ("correcting what was not said", outcome("FALSE_POSITIVE", 6, txn_id="t1", corrects="MISUSE_CONFIRMED"), "corrects"),
]


@pytest.mark.parametrize(("event", "field"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_refused_outcome_says_why_and_teaches_nothing(event: Disposition, field: str) -> None:
    engine = engine_with_a_payment()
    engine.apply(payment("t2", 2))
    engine.apply(outcome("FALSE_POSITIVE", 4, txn_id="t2"))
    before = engine.triage.snapshot()
    outputs = engine.apply(event)
    assert (outputs.status, outputs.fault and outputs.fault.field) == ("rejected", field)
    assert engine.triage.snapshot() == before


def test_a_refused_outcome_is_believed_once_its_payment_has_come() -> None:
    engine, late = engine_with_a_payment(), outcome("MISUSE_CONFIRMED", 9, txn_id="t2")
    assert engine.apply(late).status == "rejected"
    engine.apply(payment("t2", 8))
    assert engine.apply(late).status == "applied"


def test_the_same_outcome_again_is_a_duplicate_and_teaches_once() -> None:
    engine = engine_with_a_payment()
    statuses = [
        engine.apply(outcome("MISUSE_CONFIRMED", 5, "e1", txn_id="t1")).status,
        engine.apply(outcome("MISUSE_CONFIRMED", 5, "e1", txn_id="t1")).status,
        engine.apply(outcome("MISUSE_CONFIRMED", 7, "e2", txn_id="t1")).status,
    ]
    assert statuses == ["applied", "duplicate", "duplicate"]
    assert learned(engine) == 1


def test_a_correction_replaces_the_outcome_and_counts_what_it_can_teach_no_more() -> None:
    engine = engine_with_a_payment()
    engine.apply(outcome("MISUSE_CONFIRMED", 5, txn_id="t1"))
    assert engine.apply(outcome("FALSE_POSITIVE", 6, txn_id="t1", corrects="MISUSE_CONFIRMED")).status == "applied"
    assert engine.counters["payments_that_teach_no_more"] == 1
    assert engine.apply(outcome("MISUSE_CONFIRMED", 7, "e3", txn_id="t1")).status == "rejected"


def test_a_conclusion_may_follow_an_inconclusive_look_and_then_teaches() -> None:
    engine = engine_with_a_payment()
    engine.apply(outcome("INCONCLUSIVE_MONITOR", 5, txn_id="t1"))
    assert engine.apply(outcome("MISUSE_CONFIRMED", 6, txn_id="t1")).status == "applied"
    assert learned(engine) == 1


def raise_alert(engine: Engine) -> Outputs:
    when = START + timedelta(hours=1)
    engine.apply(
        LoanDisbursement(event_time=when, loan_id="L1", amount_minor=10_000_000, currency="CNY", disburse_account="alice")
    )
    return engine.apply(payment("t1", 2, payee="broker", txn_type="SECURITIES_TRANSFER"))


def test_an_outcome_of_an_alert_dated_before_it_is_refused() -> None:
    engine = Engine(SHIPPED)
    (alert,) = raise_alert(engine).alerts
    early = engine.apply(outcome("MISUSE_CONFIRMED", 1.5, alert_id=alert.alert_id))
    assert early.fault is not None and early.fault.field == "event_time"
    assert engine.apply(outcome("MISUSE_CONFIRMED", 2, alert_id=alert.alert_id)).risks[0].state == "CONFIRMED"


def test_outcomes_survive_a_restore() -> None:
    engine = engine_with_a_payment()
    engine.apply(outcome("MISUSE_CONFIRMED", 5, txn_id="t1"))
    again = Engine.restore(SHIPPED, msgspec.json.decode(msgspec.json.encode(engine.snapshot())))
    assert again.apply(outcome("MISUSE_CONFIRMED", 8, "e2", txn_id="t1")).status == "duplicate"
    assert again.apply(outcome("FALSE_POSITIVE", 9, txn_id="t1")).status == "rejected"


def test_an_unknown_outcome_is_a_fault_that_lists_the_known_ones() -> None:
    fault = decode("dispositions", b'{"event_time":"2026-03-02T00:00:00Z","txn_id":"t1","outcome":"GUILTY"}')
    assert "FALSE_POSITIVE" in getattr(fault, "reason", "")
    assert getattr(fault, "field", "") == "outcome"


def test_outcomes_beyond_the_limit_are_forgotten_and_counted() -> None:
    limits = msgspec.structs.replace(SHIPPED.dispositions, outcomes_max=4)
    engine = Engine(msgspec.structs.replace(SHIPPED, dispositions=limits))
    for n in range(8):
        engine.apply(payment(f"t{n}", n))
        engine.apply(outcome("FALSE_POSITIVE", n, txn_id=f"t{n}"))
    assert engine.counters["outcomes_forgotten"] > 0
    assert len(engine.outcomes.held) <= 4
