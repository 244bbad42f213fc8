"""Ranks of scores among the recent ones."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.rank import Rank


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 20))
def test_a_rank_is_the_share_of_recent_scores_that_are_lower(scores: list[int], size_max: int) -> None:
    rank = Rank(size_max)
    for n, score in enumerate(scores):
        before = scores[max(0, n - size_max) : n]
        lower = sum(earlier < score for earlier in before)
        assert rank.of(score) == pytest.approx(100 * lower / (len(before) + 1))
    assert len(rank) == min(size_max, len(scores))
    assert rank.ordered == sorted(scores[-size_max:])


def test_one_score_in_a_hundred_ranks_at_99() -> None:
    chance, rank = random.Random(3), Rank(10_000)
    high = sum(rank.of(chance.random()) >= 99 for _ in range(50_000))
    assert 400 < high < 600


def test_a_constant_score_never_ranks_high() -> None:
    rank = Rank(100)
    assert {rank.of(0.7) for _ in range(500)} == {0.0}


def test_a_rank_taken_up_from_its_scores_goes_on_as_before() -> None:
    chance = random.Random(5)
    scores = [chance.random() for _ in range(300)]
    whole, first = Rank(50), Rank(50)
    for score in scores[:200]:
        assert whole.of(score) == first.of(score)
    second = Rank(50, list(first.recent))
    assert [second.of(score) for score in scores[200:]] == [whole.of(score) for score in scores[200:]]
