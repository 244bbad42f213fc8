"""Amounts: how they are written, and how they are divided so that nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.money import AMOUNT_MINOR_MAX, EXPONENTS, format_money, split_minor


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        (8_900_000, "CNY", "CNY 89,000.00"),
        (5, "CNY", "CNY 0.05"),
        (0, "CNY", "CNY 0.00"),
        (-1_500, "JPY", "JPY -1,500"),
        (-5, "CNY", "CNY -0.05"),
        (1_234_567, "KWD", "KWD 1,234.567"),
        (12_345, "CLF", "CLF 1.2345"),
        (12_345, "???", "??? 12,345"),
    ],
)
def test_amounts_are_written_as_people_write_them(amount: int, currency: str, written: str) -> None:
    assert format_money(amount, currency) == written


@given(st.integers(-AMOUNT_MINOR_MAX, AMOUNT_MINOR_MAX), st.sampled_from(sorted(EXPONENTS)))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_a_written_amount_loses_no_digit(amount: int, currency: str) -> None:
    code, figure = format_money(amount, currency).split(" ")
    assert code == currency
    assert int(figure.replace(",", "").replace(".", "")) == amount
    assert len(figure.partition(".")[2]) == EXPONENTS[currency]


def test_a_remainder_goes_to_the_largest_fraction_and_ties_to_the_earlier() -> None:
    assert split_minor(100, [1, 1, 1]) == [34, 33, 33]
    assert split_minor(10, [1, 8, 3]) == [1, 7, 2]
    assert split_minor(1, [0, 1]) == [0, 1]


@given(st.integers(0, AMOUNT_MINOR_MAX), st.lists(st.integers(0, 10**9), min_size=1, max_size=12).filter(any))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_dividing_loses_nothing_and_is_never_a_unit_off(amount: int, weights: list[int]) -> None:
    shares = split_minor(amount, weights)
    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share * sum(weights) - amount * weight) < sum(weights)


@pytest.mark.parametrize("weights", [[0, 0], [], [3, -1]])
def test_weights_that_divide_nothing_are_refused(weights: list[int]) -> None:
    with pytest.raises((AssertionError, ValueError)):
        split_minor(10, weights)


def test_every_exponent_is_one_that_iso_4217_uses() -> None:
    assert set(EXPONENTS.values()) == {0, 2, 3, 4}
    assert all(len(code) == 3 and code.isupper() for code in EXPONENTS)
