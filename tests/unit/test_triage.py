"""Triage: scores of payments from account to account, given before anything is learned from them."""

from __future__ import annotations

from array import array
from datetime import UTC, datetime, timedelta
from math import log
from typing import Any

import msgspec
import pytest

from detectors.engine import Engine
from detectors.events import AccountTransaction
from detectors.learners.features import NAMES
from detectors.learners.pair import Pair
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


# --- what may not matter ------------------------------------------------------------------------------------------------


def test_neither_names_nor_the_calendar_reach_a_score() -> None:
    """Accounts renamed, so that they sort otherwise, and all times moved by whole days: the same scores, to the bit."""
    stream = busy(300)
    moved = [
        msgspec.structs.replace(
            txn,
            event_time=txn.event_time + timedelta(days=1_234),
            txn_id=f"other-{txn.txn_id}",
            account_id=f"z{99 - int(txn.account_id[1:])}",
            counterparty_account=f"z{99 - int(txn.counterparty_account[1:])}" if txn.counterparty_account else None,
        )
        for txn in stream
    ]
    before, after = (taught_scores(events) for events in (stream, moved))
    assert before == after
    assert len(set(before)) > 100


# --- learning -----------------------------------------------------------------------------------------------------------

MULES = {"a39", "z60"}  # the account under both its names
QUICK = {"step": 300, "trees_max": 12, "bad_max": 40, "good_max": 60}


def configured(**limits: Any) -> Any:
    return msgspec.structs.replace(SHIPPED, learning=msgspec.structs.replace(SHIPPED.learning, **limits))


def busy(count: int, accounts: int = 40) -> list[AccountTransaction]:
    """Payments of a small town: salaries of the outside, habits, and now and then a group that pays one payee."""
    stream = []
    for n in range(count):
        payer, payee = f"a{n * 7 % accounts}", f"a{(n * n + 3) % accounts}"
        if n % 10 < 3:
            payer, payee = f"a{n % 3}", "a39"
        other = None if n % 5 == 4 or payer == payee else payee
        stream.append(payment(n, payer, other, 97 * n, 1_000 + n * 7_919 % 90_000))
    return stream


def teach(engine: Engine, score: PaymentScore, at_ms: int) -> None:
    engine.triage.learn(score.txn_id, score.payee in MULES, at_ms)


def taught_scores(stream: list[AccountTransaction], engine: Engine | None = None, waiting: list | None = None) -> list[float]:
    """Scores of a stream in which each payment's outcome is learned twenty payments later."""
    engine = engine or Engine(configured(**QUICK))
    waiting = [] if waiting is None else waiting
    scores = []
    for txn in stream:
        for score in engine.apply(txn).scores:
            scores.append(score.score)
            waiting.append(score)
        if len(waiting) > 20:
            done = waiting.pop(0)
            teach(engine, done, done.event_time_ms)
    return scores


@pytest.mark.parametrize("split", [3, 40, 111, 259])
def test_a_fold_split_anywhere_learns_the_same(split: int) -> None:
    stream, whole, first = busy(400), Engine(configured(**QUICK)), Engine(configured(**QUICK))
    expected = taught_scores(stream, whole)
    waiting: list[PaymentScore] = []
    scores = taught_scores(stream[:split], first, waiting)
    second = Engine.restore(configured(**QUICK), msgspec.json.decode(msgspec.json.encode(first.snapshot())))
    scores += taught_scores(stream[split:], second, waiting)
    assert scores == expected
    assert second.triage.snapshot() == whole.triage.snapshot()
    assert whole.counters["trees_grown"] > 12


def test_as_many_payments_as_are_looked_at_count_as_reviewed_and_those_score_highest() -> None:
    engine = Engine(configured(reviewed_share=0.1))
    scores = [score.score for score in scores_of(engine, busy(4_000))][2_000:]
    kept = [kept for half in (engine.triage.waiting.old, engine.triage.waiting.new) for kept in half.values()][2_000:]
    high = [score for score, waiting in zip(scores, kept, strict=False) if waiting is not None and waiting.stood_out]
    assert len(high) == pytest.approx(0.1 * len(scores), rel=0.2)
    assert min(high) > sorted(scores)[len(scores) // 2]


def test_the_reviewed_forest_takes_in_what_stood_out_all_misuse_and_as_many_others() -> None:
    pair = Pair(len(NAMES), trees_max=4, step=1_000, seed=1, depth=3, bad_max=500, good_max=3_000, shrink=0.2)
    vector = array("f", bytes(4 * len(NAMES)))
    for n in range(2_000):
        pair.learn(vector, n % 100 == 0, -3.0, n % 20 == 1)
    assert pair.told == [1_900, 100]
    assert (pair.reviewed.bads, pair.whole.bads) == (20, 20)
    assert pair.whole.goods_met == 1_980
    assert 2 * 100 <= pair.reviewed.goods_met <= 3 * 100


def test_the_forest_that_foretells_better_weighs_more() -> None:
    pair = Pair(8, trees_max=2, step=10**9, seed=1, depth=1, bad_max=10, good_max=10, shrink=0.3)
    pair.reviewed.trees.count = 1
    pair.reviewed.trees.value_store[:] = array("d", [3.0, 3.0])  # it cries wolf
    vector = array("f", bytes(32))
    assert pair.ask(vector) == 1.5
    for _ in range(500):
        pair.learn(vector, False, -3.0, False)
    assert pair.loss[0] > 2 * pair.loss[1]
    assert pair.share < 0.2
    assert pair.ask(vector) == 3.0 * pair.share


def test_outcomes_make_the_trees_tell_misuse_from_the_rest() -> None:
    engine, waiting = Engine(configured(**QUICK)), list[PaymentScore]()
    taught_scores(busy(600), engine, waiting)
    later = [score for txn in busy(700)[600:] for score in engine.apply(txn).scores]
    bad = [score.score for score in later if score.payee in MULES]
    good = [score.score for score in later if score.payee not in MULES]
    assert min(bad) > sorted(good)[len(good) * 9 // 10]


def test_a_stream_ten_times_longer_takes_no_more_memory() -> None:
    sizes = []
    for count in (2_700, 27_000):
        engine = Engine(configured(profiles_max=30, waiting_max=30, **{**QUICK, "step": 20_000}))
        taught_scores(busy(count), engine)
        snapshot = engine.triage.snapshot()
        sizes.append({name: len(msgspec.json.encode(part)) for name, part in snapshot.items()})
        assert engine.counters["profiles_forgotten"] > 0
        assert engine.counters["scored_payments_forgotten"] > 0
    short, long = sizes
    assert {name: size for name, size in long.items() if size > short[name] * 1.1 + 200} == {}


def test_an_account_that_was_forgotten_begins_anew() -> None:
    engine = Engine(configured(profiles_max=3))
    scores_of(engine, [payment(1, "a", "b", 0), payment(2, "c", "d", 1)])
    assert "a" not in engine.triage.numbers
    (again,) = scores_of(engine, [payment(3, "a", "b", 60 * 24 * 9)])
    assert dict(zip(NAMES, again.features, strict=True))["payer_age"] == 0.0
    assert engine.counters["profiles_forgotten"] == 3  # a by d, then b by a, and c by b


# --- the way back -------------------------------------------------------------------------------------------------------


def named(score: PaymentScore) -> dict[str, float]:
    return dict(zip(NAMES, score.features, strict=True))


def round_trip(steps: int, order: int = 1) -> list[AccountTransaction]:
    """Money that goes round, a day a step; or with order -1 the same payments, the last one first."""
    path = [payment(n, f"r{n}", f"r{(n + 1) % steps}", 0, 90_000 - 7_000 * n) for n in range(steps)]
    return [moved_by(txn, 1_440 * n) for n, txn in enumerate(path[::order])]


@pytest.mark.parametrize(("steps", "expected"), [(2, 0.0), (3, 3.0), (5, 5.0), (9, 9.0), (10, 0.0)])
def test_money_that_comes_back_through_few_accounts_is_seen_when_it_does(steps: int, expected: float) -> None:
    last = named(scores_of(Engine(SHIPPED), round_trip(steps))[-1])
    assert last["ring_hops"] == expected
    assert last["ring_days"] == (steps - 1 if expected else 1000.0)
    assert last["trail_hops"] >= min(steps - 2, 7)


def test_payments_in_a_circle_in_the_wrong_order_brought_nothing_back() -> None:
    assert {named(score)["ring_hops"] for score in scores_of(Engine(SHIPPED), round_trip(5, order=-1))} == {0.0}


def test_the_way_back_ends_after_twenty_days_and_after_thirty_two_accounts() -> None:
    slow = [moved_by(txn, 5 * 1_440 * n) for n, txn in enumerate(round_trip(5))]
    assert named(scores_of(Engine(SHIPPED), slow)[-1])["ring_hops"] == 0.0
    payers = [payment(n, f"p{n}", f"q{n % 5}", n) for n in range(50)]
    gathered = [payment(50 + n, f"q{n}", "r", 60 + n) for n in range(5)]
    last = named(scores_of(Engine(SHIPPED), [*payers, *gathered, payment(60, "r", "s", 70)])[-1])
    assert last["trail_accounts"] == 31.0  # and the payer
    assert last["trail_hops"] == 2.0


def test_a_confirmed_misuse_up_the_way_is_seen_further_down() -> None:
    engine = Engine(SHIPPED)
    way = [payment(n, f"r{n}", f"r{n + 1}", 1_440 * n) for n in range(5)]
    scores_of(engine, way[:4])
    engine.triage.learn("t0", True, 0)
    (taught,) = scores_of(engine, way[4:])
    assert named(taught)["trail_confirmed_share"] == pytest.approx(2 / 6)
    assert named(taught)["payer_payers_confirmed"] == 0.0


# --- explaining ---------------------------------------------------------------------------------------------------------


def test_contributions_add_up_to_the_score() -> None:
    engine, waiting = Engine(configured(**QUICK)), list[PaymentScore]()
    taught_scores(busy(400), engine, waiting)
    forests = engine.triage.forests
    assert sum(each.trees.count for each in (forests.reviewed, forests.whole)) == QUICK["trees_max"]
    for score in waiting[-5:]:
        why = engine.triage.explain(score)
        odds = engine.triage.odds(array("f", score.vector))
        assert sum(item.weight for item in why) == pytest.approx(odds, abs=1e-9)


def test_without_the_evidence_that_is_named_the_score_falls() -> None:
    """Three accounts pay the same two payees within a day. The explanation names the group; without it, half the score."""
    group = [payment(n, f"m{n // 2}", f"p{n % 2}", 30 * n) for n in range(6)]
    history = [*busy(200), *(payment(200 + n, f"a{n}", f"p{n % 2}", 97 * 190 + n) for n in range(12))]  # no new payees
    history.sort(key=lambda txn: txn.event_time)
    scores = []
    for evidence in (group[:-1], group[4:-1]):  # with the others' payments, and without
        engine = Engine(SHIPPED)
        scores_of(engine, history)
        start = 97 * 200
        (score,) = scores_of(engine, [moved_by(txn, start) for txn in [*evidence, group[-1]]])[-1:]
        scores.append((score, engine.triage.explain(score)))
    (full, why), (bare, _) = scores
    assert why[0].feature == "scorecard:group"
    assert log(full.score / (1 - full.score)) - log(bare.score / (1 - bare.score)) >= why[0].weight - 1e-6
    assert bare.score < full.score / 2


def moved_by(txn: AccountTransaction, minutes: int) -> AccountTransaction:
    return msgspec.structs.replace(txn, event_time=txn.event_time + timedelta(minutes=minutes), txn_id=f"late-{txn.txn_id}")
