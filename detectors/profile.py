"""Counterparty profiles: what an account usually receives and pays, and with whom. Bounded, in event time."""

from __future__ import annotations

from math import exp
from typing import Any

DAY_MS = 86_400_000
PEERS_MAX = 32
"""Counterparties remembered per account and direction; the longest unused is forgotten."""


class Profile:
    """One account, over all its currencies."""

    __slots__ = ("first_ms", "in_minor", "in_ms", "number", "out_count", "out_minor", "payees", "payers")

    def __init__(self, number: int, first_ms: int) -> None:
        self.number = number
        self.first_ms = first_ms
        self.in_minor = 0.0  # received, fading with three days
        self.in_ms = first_ms
        self.out_count = 0
        self.out_minor = 0
        self.payers: dict[int, int] = {}
        self.payees: dict[int, int] = {}

    def receive(self, payer: int, amount_minor: int, event_time_ms: int) -> None:
        """Money came in; ``payer`` is the payer's number, -1 for a nameless one."""
        fading = exp(-max(0, event_time_ms - self.in_ms) / (3 * DAY_MS))
        self.in_minor = self.in_minor * fading + amount_minor
        self.in_ms = max(self.in_ms, event_time_ms)
        _note(self.payers, payer, event_time_ms)

    def send(self, payee: int, amount_minor: int, event_time_ms: int) -> None:
        """Money went out."""
        self.out_count += 1
        self.out_minor += amount_minor
        _note(self.payees, payee, event_time_ms)

    def row(self) -> list[Any]:
        """All of it as plain data."""
        peers = [[list(side), list(side.values())] for side in (self.payers, self.payees)]
        return [self.number, self.first_ms, self.in_minor, self.in_ms, self.out_count, self.out_minor, *peers]

    @classmethod
    def of_row(cls, row: list[Any]) -> Profile:
        """The profile that :meth:`row` has written."""
        profile = cls(row[0], row[1])
        profile.in_minor, profile.in_ms, profile.out_count, profile.out_minor = row[2:6]
        profile.payers, profile.payees = (dict(zip(*side, strict=True)) for side in row[6:8])
        return profile


def _note(peers: dict[int, int], number: int, event_time_ms: int) -> None:
    if number < 0:
        return
    peers.pop(number, None)
    peers[number] = event_time_ms
    if len(peers) > PEERS_MAX:
        del peers[next(iter(peers))]
