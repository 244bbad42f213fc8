"""The budget of score-based alerts is kept, whatever the scores do."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import msgspec
import pytest

from detectors.budget import DAY_MS, Budget, BudgetLimits
from detectors.rank import Rank

Score = Callable[[int, random.Random], float]
PAYMENTS, PER_DAY = 40_000, 1_000

SCORES: dict[str, Score] = {
    "steady": lambda n, chance: chance.random(),
    "rising": lambda n, chance: chance.random() + n / 20_000,
    "slowly falling": lambda n, chance: chance.random() - n / 400_000,
    "jumping up for good": lambda n, chance: chance.random() + (n > 15_000),
    "in bursts": lambda n, chance: chance.random() * (3 if n // 100 % 10 == 0 else 1),
    "with many equal": lambda n, chance: round(chance.random(), 3),
}


def spent(limits: BudgetLimits, score: Score, *, lend_every: int = 0, same_account: float = 0.0) -> list[tuple[float, int]]:
    """(earned, spent) after each quarter of a stream; ``same_account``: the share that belongs to an alert that is open."""
    budget, rank, chance, at_ms = Budget(limits), Rank(5_000), random.Random(11), 0
    quarters = []
    for n in range(PAYMENTS):
        at_ms += int(DAY_MS / PER_DAY * chance.expovariate(1))
        if lend_every and n % lend_every == 0:
            budget.lend()
        if 1 - rank.of(score(n, chance)) / 100 <= budget.see(at_ms) and chance.random() >= same_account:
            budget.spend()
        if n % (PAYMENTS // 4) == PAYMENTS // 4 - 1:
            quarters.append((budget.earned, budget.spent))
    return quarters


@pytest.mark.parametrize("name", SCORES)
def test_alerts_stay_within_a_tenth_of_what_was_asked_per_day(name: str) -> None:
    quarters = spent(BudgetLimits(alerts_per_day=10), SCORES[name])
    for (earned, said), (earned_later, said_later) in pairwise(quarters):
        assert abs((said_later - said) / (earned_later - earned) - 1) <= 0.1, (name, quarters)


def test_alerts_stay_within_a_tenth_when_half_of_what_passes_is_no_new_alert() -> None:
    (_, _, (earned, said), (earned_later, said_later)) = spent(
        BudgetLimits(alerts_per_day=10), SCORES["steady"], same_account=0.5
    )
    assert abs((said_later - said) / (earned_later - earned) - 1) <= 0.1


def test_a_budget_per_thousand_loans_and_one_per_team_are_kept() -> None:
    (earned, said) = spent(BudgetLimits(alerts_per_1000_loans=200), SCORES["steady"], lend_every=20)[-1]
    assert earned == pytest.approx(PAYMENTS / 20 * 0.2)
    assert abs(said / earned - 1) <= 0.1
    (earned, said) = spent(BudgetLimits(alerts_per_day=2, teams=3), SCORES["steady"])[-1]
    assert earned == pytest.approx(6 * PAYMENTS / PER_DAY, rel=0.05)
    assert abs(said / earned - 1) <= 0.1


def test_nothing_is_said_without_a_budget_nor_before_enough_payments_were_scored() -> None:
    assert not Budget(BudgetLimits()).is_open
    assert spent(BudgetLimits(), SCORES["steady"])[-1] == (0.0, 0)
    assert spent(BudgetLimits(alerts_per_day=10, scores_min=PAYMENTS + 1), SCORES["steady"])[-1][1] == 0


def test_scores_that_do_not_differ_are_not_said_however_much_credit_is_left() -> None:
    assert spent(BudgetLimits(alerts_per_day=10), lambda n, chance: 0.5)[-1][1] == 0


def test_credit_that_could_not_be_used_is_lost_beyond_a_limit() -> None:
    limits = BudgetLimits(alerts_per_day=10, credit_max=7)
    budget = Budget(limits)
    for day in range(50):
        budget.see(day * DAY_MS)
    assert budget.credit == pytest.approx(7)
    assert budget.unspent == pytest.approx(490 - 7)


def test_an_overdraft_ends_what_is_said() -> None:
    budget = Budget(msgspec.structs.replace(BudgetLimits(), alerts_per_day=1.0, scores_min=0, overdraft_max=2.0))
    for n in range(100):
        if budget.see(n):  # within a tenth of a second nothing is earned
            budget.spend()
    assert budget.spent <= 2
