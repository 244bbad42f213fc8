"""Payments that another book has been told of and may not have heard of yet, when its own record of them comes in between.

The receiver says with its record how far it had read; only what was sent after that can be what the record speaks of: an
earlier one would have been matched there.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from detectors.legs import MINUTE_MS, Key, LegLimits
from detectors.lots import Transfer


class Sending(NamedTuple):
    """One payment told to another book, by the record of one side."""

    side: str
    number: int  # of the remittance that tells it
    event_time_ms: int
    end_to_end_id: str | None
    transfer: Transfer


class Sendings:
    """What was told lately, by (payer, payee, amount, currency)."""

    def __init__(self, limits: LegLimits) -> None:
        self.limits = limits
        self.open: dict[Key, list[Sending]] = {}
        self.order: deque[tuple[int, Key]] = deque()

    def add(self, key: Key, sending: Sending) -> None:
        """Remember a payment that is on its way."""
        self.open.setdefault(key, []).append(sending)
        self.order.append((sending.event_time_ms, key))

    def match(self, key: Key, side: str, received: int, event_time_ms: int, end_to_end_id: str | None) -> Transfer | None:
        """The payment that a record of the other side means, which had not arrived when the record was read."""
        window_ms = self.limits.window_minutes * MINUTE_MS
        waiting = self.open.get(key, [])
        for i, sent in enumerate(waiting):
            if sent.side == side or sent.number <= received or abs(sent.event_time_ms - event_time_ms) > window_ms:
                continue
            if sent.end_to_end_id is not None and end_to_end_id is not None and sent.end_to_end_id != end_to_end_id:
                continue
            del waiting[i]
            return sent.transfer
        return None

    def forget_before(self, watermark_ms: int) -> None:
        """A record that comes so late is a payment of its own."""
        oldest_ms = watermark_ms - self.limits.memory_minutes * MINUTE_MS
        while self.order and (self.order[0][0] < oldest_ms or len(self.order) > self.limits.open_legs_max):
            event_time_ms, key = self.order.popleft()
            waiting = [sent for sent in self.open.get(key, ()) if sent.event_time_ms != event_time_ms]
            if waiting:
                self.open[key] = waiting
            else:
                self.open.pop(key, None)
