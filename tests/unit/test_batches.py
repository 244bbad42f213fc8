"""The consumer of batches: what was paused is read again as soon as it may be."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.live.batches import BatchConsumer

BUSY, QUIET = TP("payments", 0), TP("lists", 0)


class PausedConsumer(BatchConsumer):
    """One partition is paused; nothing is asked of a broker."""

    def __init__(self, active: set[TP]) -> None:
        self.app: Any = SimpleNamespace(client_only=False)
        self.flow_active = True
        self._active_partitions = active
        self._paused_partitions = {BUSY}
        self.not_waiting_next_records = asyncio.Event()
        self.asked: list[tuple[set[TP], float]] = []

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        self.asked.append((set(active_partitions or ()), timeout))
        return {}


@pytest.mark.parametrize("others", [set(), {QUIET}], ids=["alone", "beside a quiet one"])
def test_a_partition_that_may_be_read_again_is_not_kept_waiting_for_a_second(others: set[TP]) -> None:
    async def go() -> PausedConsumer:
        consumer = PausedConsumer(set(others))
        asyncio.get_running_loop().call_later(0.02, consumer.resume_partitions, {BUSY})
        while not any(BUSY in active for active, _ in consumer.asked):
            await consumer._wait_next_records(1.0)
            await asyncio.sleep(0.001)
        return consumer

    began = time.monotonic()
    consumer = asyncio.run(go())
    assert time.monotonic() - began < 0.9
    assert all(timeout < 0.1 for active, timeout in consumer.asked if BUSY not in active)
    assert consumer.asked[-1] == ({BUSY, *others}, 1.0)
