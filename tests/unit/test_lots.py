"""Lots, their trails, and the conservation account of a loan."""

from __future__ import annotations

import pytest

from detectors.lots import GHOST, OWN, Lot, Origin, Trail, Transfer


def transfer(txn_id: str, amount: int = 10) -> Transfer:
    return Transfer(1, txn_id, 0, "a", "b", amount, "CNY", "X")


def test_an_origin_balances_while_its_money_only_moves() -> None:
    origin = Origin(1, "L1", 0)
    origin.paid_out_minor = 100
    origin.stay("HELD", 100)
    origin.stay("HELD", -40)
    origin.stay("CASH", 30)
    origin.drop("hops", 10)
    assert (origin.places_minor, origin.dropped_minor, origin.imbalance_minor()) == ({"HELD": 60, "CASH": 30}, {"hops": 10}, 0)


def test_a_lost_unit_unbalances_an_origin() -> None:
    origin = Origin(1, "L1", 0)
    origin.paid_out_minor = 100
    origin.stay("HELD", 99)
    assert origin.imbalance_minor() == 1


def test_an_emptied_place_is_forgotten() -> None:
    origin = Origin(1, "L1", 0)
    origin.stay("HELD", 5)
    origin.stay("HELD", -5)
    assert origin.places_minor == {}


def test_no_place_can_hold_less_than_nothing() -> None:
    with pytest.raises(AssertionError, match="L1"):
        Origin(1, "L1", 0).stay("HELD", -1)


def test_an_expired_origin_has_dropped_what_was_labelled_once() -> None:
    origin = Origin(1, "L1", 0)
    origin.paid_out_minor = 100
    origin.stay("HELD", 70)
    origin.repaid_minor = 30
    origin.expire()
    origin.expire()
    assert (origin.expired, origin.dropped_minor, origin.places_minor, origin.imbalance_minor()) == (True, {"age": 70}, {}, 0)


def test_an_origin_without_money_expires_without_a_drop() -> None:
    origin = Origin(1, "L1", 0)
    origin.expire()
    assert origin.dropped_minor == {}


def test_a_trail_is_told_in_the_order_of_the_way() -> None:
    way = [transfer(name) for name in ("payout", "to-shell", "to-broker")]
    trail: Trail | None = None
    for step in way:
        trail = Trail(step, trail)
    assert trail is not None
    assert trail.transfers() == way


def test_pieces_of_one_parcel_join_and_others_do_not() -> None:
    origin, other, trail = Origin(1, "L1", 0), Origin(2, "L2", 0), Trail(transfer("t"), None)
    lot = Lot(origin, 5, 1, trail)
    assert lot.joins(lot.part(3))
    assert not lot.joins(Lot(other, 5, 1, trail))
    assert not lot.joins(Lot(origin, 5, 2, trail))
    assert not lot.joins(Lot(origin, 5, 1, Trail(transfer("t"), None)))


@pytest.mark.parametrize("origin", [OWN, GHOST])
def test_unlabelled_money_joins_whatever_its_way(origin: Origin) -> None:
    assert Lot(origin, 5, 1, Trail(transfer("t"), None)).joins(Lot(origin, 9, 0, None))
    assert not Lot(OWN, 5, 0, None).joins(Lot(GHOST, 5, 0, None))


def test_what_stands_of_a_transfer_is_what_was_not_undone() -> None:
    paid = transfer("t", 10)
    paid.undone_minor = 4
    assert paid.standing_minor == 6
