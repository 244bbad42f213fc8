"""Measures of a ranking: right on examples worked by hand, and blind to the order of rows."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.files.evaluate.measures import Top, average_precision, delays, median, pattern_recall

rankings = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=6)


def arrays(rows: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([score for score, _ in rows], float), np.array([flag for _, flag in rows], bool)


def by_row_order(flags: list[bool]) -> float:
    """Average precision of a ranking without ties, as in a textbook."""
    precisions = [sum(flags[: at + 1]) / (at + 1) for at, flag in enumerate(flags) if flag]
    return sum(precisions) / len(precisions)


def orders(rows: list[tuple[float, bool]]) -> list[list[bool]]:
    """Every ranking that the scores allow."""
    return [
        [flag for _, flag in order]
        for order in itertools.permutations(rows)
        if all(a[0] >= b[0] for a, b in itertools.pairwise(order))
    ]


def test_average_precision_of_a_ranking_worked_by_hand() -> None:
    scores, positive = arrays([(0.9, True), (0.8, False), (0.7, True), (0.6, False)])
    assert average_precision(scores, positive) == pytest.approx((1 + 2 / 3) / 2)


@given(rankings)
def test_average_precision_is_the_mean_over_every_order_of_equal_scores(rows: list[tuple[float, bool]]) -> None:
    measured = average_precision(*arrays(rows))
    if not any(flag for _, flag in rows):
        assert measured is None
        return
    expected = [by_row_order(order) for order in orders(rows)]
    assert measured == pytest.approx(sum(expected) / len(expected))


@given(rankings, st.floats(0.01, 1.0))
def test_the_top_is_the_mean_over_every_order_of_equal_scores(rows: list[tuple[float, bool]], share: float) -> None:
    scores, positive = arrays(rows)
    top = Top(scores, share)
    assert top.rows == max(1, int(len(rows) * share))
    expected = [sum(order[: top.rows]) / top.rows for order in orders(rows)]
    assert top.precision(positive) == pytest.approx(sum(expected) / len(expected))


@given(rankings, st.floats(0.01, 1.0))
def test_a_pattern_is_found_as_often_as_an_order_of_equal_scores_shows_it(rows: list[tuple[float, bool]], share: float) -> None:
    scores, positive = arrays(rows)
    mine = [row for row in range(len(rows)) if positive[row]]
    if not mine:
        return
    top = Top(scores, share)
    expected = [any(order[: top.rows]) for order in orders(rows)]
    assert pattern_recall(top, {"p": mine}) == pytest.approx(sum(expected) / len(expected))


def test_amounts_weigh_in_recall() -> None:
    scores, amounts = np.array([3.0, 2.0, 1.0, 0.0]), np.array([30.0, 0.0, 0.0, 10.0])
    assert Top(scores, 0.25).recall(amounts) == pytest.approx(0.75)
    assert Top(scores, 0.25).recall(np.zeros(4)) is None


def test_a_thousand_equal_scores_find_nothing_but_by_chance() -> None:
    positive = np.arange(1000) < 100  # the positives stand first
    assert Top(np.zeros(1000), 0.01).precision(positive) == pytest.approx(0.1)
    measured = average_precision(np.zeros(1000), positive)
    assert measured is not None
    assert math.isclose(measured, 0.1, abs_tol=0.006)


def test_delay_runs_from_a_patterns_first_payment_to_the_first_one_in_the_top() -> None:
    scores, times = np.array([0.1, 0.9, 0.2, 0.8, 0.0]), np.array([0, 5, 7, 11, 2])
    top = Top(scores, 0.4)
    assert delays(top, times, {"a": [0, 1], "b": [2, 3], "missed": [4]}) == [5, 4]


def test_the_median_of_nothing_is_nothing() -> None:
    assert median([]) is None
    assert median([1, 5, 3]) == 3
