"""The cycle collector in a worker: what stays is looked at once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from streams.live import rare_collection
from streams.live.rare_collection import LOOKS_BEFORE_FREEZING, YOUNG_OBJECTS, collect_rarely, spare_survivors_for_ever


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def walks_over(objects: int) -> tuple[list[list[int]], int]:
    """Make so many containers that stay, as a fold does; (they, how many were walked over more than once)."""
    again = 0

    def count(phase: str, told: dict[str, int]) -> None:
        nonlocal again
        again += phase == "start" and told["generation"] > 0

    gc.callbacks.append(count)
    try:
        return [[number] for number in range(objects)], again
    finally:
        gc.callbacks.remove(count)


def test_nothing_is_walked_over_twice_while_a_state_grows() -> None:
    gc.set_threshold(700, 10, 10)
    assert walks_over(100_000)[1] > 0, "Python's own thresholds walk again and again"
    collect_rarely()
    assert walks_over(100_000)[1] == 0


def test_survivors_are_set_aside_before_they_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rare_collection, "LOOK_EVERY_S", 0.001)
    collect_rarely()
    frozen = gc.get_freeze_count()
    kept, _ = walks_over((LOOKS_BEFORE_FREEZING + 1) * YOUNG_OBJECTS)

    async def look() -> None:
        keeping = asyncio.create_task(spare_survivors_for_ever())
        await asyncio.sleep(0.05)
        keeping.cancel()

    asyncio.run(look())
    assert gc.get_freeze_count() - frozen >= len(kept)


def test_a_cycle_that_dies_young_is_freed() -> None:
    collect_rarely()

    class Knot:
        left = 0

        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            Knot.left -= 1

    for _ in range(2 * YOUNG_OBJECTS):
        Knot.left += 1
        Knot()
    assert Knot.left < YOUNG_OBJECTS + 1_000
