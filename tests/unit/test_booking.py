"""Bookings: which lots leave first, and what a holding does with its ends."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.booking import BOOKINGS, Holding
from detectors.lots import GHOST, OWN, Lot, Origin

L1, L2 = Origin(1, "L1", 0), Origin(2, "L2", 0)


def holding_of(*lots: tuple[Origin, int]) -> Holding:
    holding = Holding()
    for origin, amount in lots:
        holding.put(Lot(origin, amount, 0, None))
    return holding


def seen(lots: object) -> list[tuple[Origin, int]]:
    return [(lot.origin, lot.amount_minor) for lot in lots]  # type: ignore[attr-defined]


def left(name: str, holding: Holding, own: int, amount: int) -> tuple[list[tuple[Origin, int]], list[tuple[Origin, int]]]:
    """What a booking took, and what it left."""
    taken = BOOKINGS[name].take(holding, own, amount)
    return seen(taken), seen(holding.lots)


def test_loan_first_takes_the_oldest_loan_money() -> None:
    assert left("loan_first", holding_of((L1, 5), (L2, 5)), 90, 7) == ([(L1, 5), (L2, 2)], [(L2, 3)])


def test_own_first_takes_loan_money_when_own_money_is_out() -> None:
    assert left("own_first", holding_of((L1, 5), (L2, 5)), 4, 7) == ([(L1, 3)], [(L1, 2), (L2, 5)])
    assert left("own_first", holding_of((L1, 5)), 7, 7) == ([], [(L1, 5)])
    assert left("own_first", holding_of((L1, 5)), -3, 2) == ([(L1, 2)], [(L1, 3)])


def test_fifo_takes_what_came_first_whosever_it_is() -> None:
    assert left("fifo", holding_of((OWN, 4), (L1, 5), (OWN, 1)), 5, 6) == ([(OWN, 4), (L1, 2)], [(L1, 3), (OWN, 1)])


def test_lifo_takes_what_came_last_newest_first() -> None:
    assert left("lifo", holding_of((OWN, 4), (L1, 5), (OWN, 1)), 5, 3) == ([(OWN, 1), (L1, 2)], [(OWN, 4), (L1, 3)])


@pytest.mark.parametrize("name", sorted(BOOKINGS))
def test_a_booking_takes_no_more_than_there_is(name: str) -> None:
    taken, rest = left(name, holding_of((L1, 5)), 0, 50)
    assert (taken, rest) == ([(L1, 5)], [])


def test_the_table_says_which_orders_keep_own_money_in_line() -> None:
    assert {name: (booking.ordered, booking.newest_first) for name, booking in BOOKINGS.items()} == {
        "loan_first": (False, False), "fifo": (True, False), "lifo": (True, True), "own_first": (False, False),
    }  # fmt: skip
    assert all(booking.name == name for name, booking in BOOKINGS.items())


def test_unlabelled_neighbours_become_one_lot_and_loans_do_not() -> None:
    assert seen(holding_of((OWN, 1), (OWN, 2), (L1, 3), (L1, 4), (GHOST, 5), (GHOST, 6)).lots) == [
        (OWN, 3), (L1, 3), (L1, 4), (GHOST, 11),
    ]  # fmt: skip


def test_what_was_taken_goes_back_as_one_piece() -> None:
    holding = holding_of((L1, 9), (L2, 5))
    (lot,) = holding.take_first(4)
    holding.put_back(lot)
    assert seen(holding.lots) == [(L1, 9), (L2, 5)]
    (lot,) = holding.take_last(2)
    holding.put_back_last(lot)
    assert seen(holding.lots) == [(L1, 9), (L2, 5)]


def test_a_parcel_is_taken_back_out_from_the_newest_end() -> None:
    holding = holding_of((OWN, 4), (L1, 5), (OWN, 3))
    assert holding.take_back(Lot(OWN, 5, 0, None), 5) == 5
    assert seen(holding.lots) == [(OWN, 2), (L1, 5)]
    assert holding.take_back(Lot(L2, 5, 0, None), 5) == 0


def test_taking_out_what_lay_between_joins_the_neighbours() -> None:
    holding = holding_of((OWN, 4), (L1, 5), (OWN, 3))
    holding.take_back(holding.lots[1], 5)
    assert seen(holding.lots) == [(OWN, 7)]


LOTS = st.lists(st.tuples(st.sampled_from([OWN, L1, L2, GHOST]), st.integers(1, 9)), max_size=8)


@given(LOTS, st.integers(0, 60), st.booleans())
@settings(max_examples=200, derandomize=True, deadline=None)
def test_taking_and_putting_back_is_nothing(lots: list[tuple[Origin, int]], amount: int, newest: bool) -> None:
    holding = holding_of(*lots)
    before, labelled = seen(holding.lots), holding.labelled_minor
    assert labelled == sum(units for origin, units in before if origin is not OWN)
    taken = holding.take_last(amount) if newest else holding.take_first(amount)
    assert sum(lot.amount_minor for lot in taken) == min(amount, sum(units for _, units in before))
    assert holding.labelled_minor == sum(lot.amount_minor for lot in holding.lots if lot.origin is not OWN)
    for lot in reversed(taken):
        (holding.put_back_last if newest else holding.put_back)(lot)
    assert (_units(seen(holding.lots)), holding.labelled_minor) == (_units(before), labelled)


def _units(lots: list[tuple[Origin, int]]) -> list[Origin]:
    return [origin for origin, units in lots for _ in range(units)]
