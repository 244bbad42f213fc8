"""Two records of one transfer."""

from __future__ import annotations

import pytest

from detectors.accounts import HELD, Account
from detectors.legs import MINUTE_MS, LegLimits, Legs
from detectors.lots import Transfer

KEY = ("a", "b", 100, "CNY")
OTHER = Account("b", "CNY", HELD, False)


def transfer(seq: int = 1) -> Transfer:
    return Transfer(seq, f"t{seq}", 0, "a", "b", 100, "CNY", "OTHER")


def waiting(end_to_end_id: str | None = None, side: str = "DEBIT") -> tuple[Legs, Transfer]:
    legs, first = Legs(LegLimits()), transfer()
    legs.wait(KEY, side, 0, end_to_end_id, first, OTHER)
    return legs, first


@pytest.mark.parametrize("side", ["DEBIT", "CREDIT"])
def test_the_other_side_belongs_to_the_first_leg_in_either_order(side: str) -> None:
    legs, first = waiting(side=side)
    other = "CREDIT" if side == "DEBIT" else "DEBIT"
    assert legs.match(KEY, other, 5 * MINUTE_MS, None) is first
    assert legs.match(KEY, other, 5 * MINUTE_MS, None) is None


def test_the_same_side_again_is_another_transfer() -> None:
    legs, _ = waiting()
    assert legs.match(KEY, "DEBIT", 0, None) is None


@pytest.mark.parametrize(("minutes", "found"), [(10, True), (10.001, False), (-10, True), (-10.001, False)])
def test_legs_belong_together_within_the_window(minutes: float, found: bool) -> None:
    legs, _ = waiting()
    assert (legs.match(KEY, "CREDIT", round(minutes * MINUTE_MS), None) is not None) is found


@pytest.mark.parametrize(("one", "other", "found"), [("x", "x", True), ("x", "y", False), ("x", None, True), (None, "y", True)])
def test_end_to_end_ids_must_not_differ(one: str | None, other: str | None, found: bool) -> None:
    legs, _ = waiting(one)
    assert (legs.match(KEY, "CREDIT", 0, other) is not None) is found


@pytest.mark.parametrize(
    "key", [("a", "c", 100, "CNY"), ("b", "a", 100, "CNY"), ("a", "b", 101, "CNY"), ("a", "b", 100, "USD")]
)
def test_payer_payee_amount_and_currency_must_agree(key: tuple[str, str, int, str]) -> None:
    legs, _ = waiting()
    assert legs.match(key, "CREDIT", 0, None) is None


def test_a_leg_stops_waiting_after_the_memory() -> None:
    legs, _ = waiting()
    legs.forget_before(120 * MINUTE_MS)
    assert KEY in legs.open
    legs.forget_before(120 * MINUTE_MS + 1)
    assert KEY not in legs.open


def test_the_oldest_leg_is_forgotten_first_and_counted() -> None:
    legs = Legs(LegLimits(open_legs_max=2))
    for seq in range(3):
        legs.wait(("a", "b", seq, "CNY"), "DEBIT", seq, None, transfer(seq), OTHER)
    assert legs.counts["legs_forgotten"] == 1
    assert legs.match(("a", "b", 0, "CNY"), "CREDIT", 0, None) is None
    assert legs.match(("a", "b", 2, "CNY"), "CREDIT", 2, None) is not None
