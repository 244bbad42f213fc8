"""One transfer, two records: matching the debit leg and the credit leg so that money is counted once.

The first leg to arrive is the transfer; the other one, when it comes, is matched to it. Legs belong together when payer,
payee, amount and currency are the same, the sides are opposite, the event times are at most ``window_minutes`` apart and
the end-to-end ids do not differ.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import NamedTuple

from msgspec import Struct

from detectors.accounts import Account
from detectors.lots import Transfer

MINUTE_MS = 60_000


class LegLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """How long and how many legs wait for their other side."""

    window_minutes: int = 10  # between the event times of two legs; farther apart they are two transfers
    memory_minutes: int = 120  # how long (in event time) a leg waits for a late one; after that it stands alone
    open_legs_max: int = 500_000  # the oldest is forgotten first and counted


class OpenLeg(NamedTuple):
    """A leg that waits for its other side."""

    side: str
    event_time_ms: int
    end_to_end_id: str | None
    transfer: Transfer
    awaited: Account  # whose own record is still to come


Key = tuple[str, str, int, str]


class Legs:
    """Open legs by (payer, payee, amount, currency)."""

    def __init__(self, limits: LegLimits) -> None:
        self.limits = limits
        self.open: dict[Key, list[OpenLeg]] = {}
        self.order: deque[tuple[int, Key]] = deque()
        self.counts: Counter[str] = Counter()
        self._window_ms = limits.window_minutes * MINUTE_MS
        self._memory_ms = limits.memory_minutes * MINUTE_MS

    def match(self, key: Key, side: str, event_time_ms: int, end_to_end_id: str | None) -> Transfer | None:
        """The transfer whose other leg this is; None when it is a transfer of its own."""
        waiting = self.open.get(key)
        if waiting is None:
            return None
        for i, leg in enumerate(waiting):
            if leg.side == side or abs(leg.event_time_ms - event_time_ms) > self._window_ms:
                continue
            if leg.end_to_end_id is not None and end_to_end_id is not None and leg.end_to_end_id != end_to_end_id:
                continue
            del waiting[i]
            if not waiting:
                del self.open[key]
            leg.awaited.legs_awaited -= 1
            return leg.transfer
        return None

    def wait(
        self, key: Key, side: str, event_time_ms: int, end_to_end_id: str | None, transfer: Transfer, awaited: Account
    ) -> None:
        """Let a leg wait for its other side, the own record of ``awaited``."""
        leg = OpenLeg(side, event_time_ms, end_to_end_id, transfer, awaited)
        awaited.legs_awaited += 1
        waiting = self.open.get(key)
        if waiting is None:
            self.open[key] = [leg]
        else:
            waiting.append(leg)
        self.order.append((event_time_ms, key))
        if len(self.order) > self.limits.open_legs_max:
            self.counts["legs_forgotten"] += 1
            self._give_up_oldest()

    def count_awaited(self) -> None:
        """Say in each account how many of its own records are awaited; accounts kept as rows do not hold that."""
        awaited = [leg.awaited for waiting in self.open.values() for leg in waiting]
        for account in awaited:
            account.legs_awaited = 0
        for account in awaited:
            account.legs_awaited += 1

    def forget_before(self, watermark_ms: int) -> None:
        """Stop waiting for legs that are too late."""
        oldest_ms = watermark_ms - self._memory_ms
        while self.order and self.order[0][0] < oldest_ms:
            self._give_up_oldest()

    def _give_up_oldest(self) -> None:
        event_time_ms, key = self.order.popleft()
        waiting = self.open.get(key)
        if waiting is None:
            return
        if len(waiting) == 1 and waiting[0].event_time_ms == event_time_ms:  # by far the most frequent
            waiting[0].awaited.legs_awaited -= 1
            del self.open[key]
            return
        for i, leg in enumerate(waiting):
            if leg.event_time_ms == event_time_ms:
                leg.awaited.legs_awaited -= 1
                del waiting[i]
                break
        if not waiting:
            del self.open[key]
