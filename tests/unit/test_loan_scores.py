"""A loan is as suspicious as the payments that carry its money, the borrower's own most."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from detectors.engine import Engine
from detectors.events import AccountTransaction, Event, LoanDisbursement
from detectors.learners.score import LoanScore, PaymentScore
from streams.scenarios.folding import SHIPPED

START = datetime(2026, 3, 2, tzinfo=UTC)


def paid(txn_id: str, hours: float, payer: str, payee: str, amount_minor: int) -> AccountTransaction:
    return AccountTransaction(
        event_time=START + timedelta(hours=hours), txn_id=txn_id, account_id=payer, amount_minor=amount_minor, currency="CNY",
        direction="DEBIT", counterparty_account=payee,
    )  # fmt: skip


STORY: list[Event] = [
    paid("before", 0, "alice", "shop", 50_000),
    LoanDisbursement(
        event_time=START + timedelta(hours=1), loan_id="L1", amount_minor=9_000_000, currency="CNY", disburse_account="alice"
    ),
    paid("elsewhere", 2, "zoe", "yan", 5_000_000),
    paid("first", 3, "alice", "mule", 9_000_000),
    paid("second", 4, "mule", "chief", 9_000_000),
]


def folded(events: list[Event]) -> tuple[dict[str, PaymentScore], list[LoanScore], Engine]:
    engine = Engine(SHIPPED)
    payments: dict[str, PaymentScore] = {}
    loans: list[LoanScore] = []
    for event in events:
        outputs = engine.apply(event)
        payments |= {score.txn_id: score for score in outputs.scores}
        loans += outputs.loan_scores
    return payments, loans, engine


def test_a_loans_score_comes_from_the_payments_that_carry_its_money_and_from_no_others() -> None:
    payments, loans, _ = folded(STORY[:-1])
    assert loans == [LoanScore("L1", payments["first"].event_time_ms, payments["first"].score)]


def test_the_second_hop_counts_half_and_a_score_only_rises() -> None:
    payments, loans, engine = folded(STORY)
    half = payments["second"].score / 2
    assert loans[-1].score == max(payments["first"].score, half)
    assert engine.lending.loans["L1"].suspicion == loans[-1].score
    assert [score.score for score in loans] == sorted(score.score for score in loans)


def test_a_restored_loan_keeps_its_score() -> None:
    _, loans, engine = folded(STORY)
    again = Engine.restore(SHIPPED, msgspec.json.decode(msgspec.json.encode(engine.snapshot())))
    assert again.lending.loans["L1"].suspicion == loans[-1].score
