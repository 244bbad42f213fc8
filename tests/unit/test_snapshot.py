"""State as plain data: what is shared stays shared, order is kept, and everything of the core can be written down."""

from __future__ import annotations

import inspect
import re
from collections import Counter, deque
from typing import Any

import msgspec
import pytest

from detectors import snapshot
from detectors.lots import GHOST, OWN, Lot, Origin, Trail, Transfer
from streams.scenarios.folding import SHIPPED


def back(value: object) -> object:
    return snapshot.thaw(msgspec.json.decode(msgspec.json.encode(snapshot.freeze(value))), SHIPPED)


@pytest.mark.parametrize(
    "value",
    [
        None, True, 7, 0.25, "text", [1, [2]], {"b": 1, "a": [None]}, {3: "x"}, (1, "y"), frozenset({"a"}), deque([1, 2]),
        Counter({"z": 1, "a": 2}), {("a", "CNY", 5): 1},
    ],
    ids=str,
)  # fmt: skip
def test_plain_values_come_back_equal_and_of_their_kind(value: object) -> None:
    found = back(value)
    assert found == value
    assert type(found) is type(value)


def test_the_order_of_a_mapping_is_kept() -> None:
    assert list(back({"b": 1, "a": 2})) == ["b", "a"]  # type: ignore[call-overload]


def test_what_two_hold_in_common_they_hold_in_common_again() -> None:
    trail = Trail(Transfer(1, "t", 0, "x", "a", 5, "CNY", "LOAN"), None)
    origin = Origin(1, "L1", 0)
    lots: list[Any] = [Lot(origin, 3, 0, trail), Lot(origin, 2, 1, Trail(trail.transfer, trail))]
    restored: Any = back(lots)
    one, other = restored
    assert one.origin is other.origin
    assert one.trail is other.trail.parent
    assert one.trail.transfer is other.trail.transfer


def test_own_money_and_ghosts_stay_the_single_ones() -> None:
    restored: Any = back([OWN, GHOST])
    own, ghost = restored
    assert own is OWN
    assert ghost is GHOST


def test_a_long_trail_needs_no_deep_stack() -> None:
    trail: Trail | None = None
    for seq in range(5_000):
        trail = Trail(Transfer(seq, f"t{seq}", 0, "a", "b", 1, "CNY", "OTHER"), trail)
    restored = back(trail)
    assert isinstance(restored, Trail)
    assert len(restored.transfers()) == 5_000


def test_what_is_unknown_to_snapshots_is_refused_by_name() -> None:
    with pytest.raises(AssertionError, match="complex"):
        snapshot.freeze(1j)


def test_every_registered_class_says_all_its_fields() -> None:
    for cls in (*snapshot.CLASSES.values(), *snapshot.SHORT):
        slots = snapshot.slots_of(cls)
        if slots is not None:
            lines = [line.strip() for line in inspect.getsource(cls.__init__).splitlines()]
            assigned = {found[1] for line in lines if (found := re.match(r"self\.(\w+)(?::[^=]*)? = ", line))}
            assert assigned, cls.__name__
            assert assigned <= set(slots), f"{cls.__name__} assigns {assigned - set(slots)} outside its slots"
