"""Bookings: in which order mixed money leaves an account.

No law read for this project fixes one order, so the orders are a table of small functions. The detection ledger is
``loan_first`` (loan money leaves first, first in first out among loans: the rule of US Treas. Reg. 1.163-8T for borrowed
money); ``fifo`` over all money is the legal default kept beside it; ``lifo`` and ``own_first`` are there to compare.

A booking works on a :class:`Holding`. Unordered bookings keep own money as a number (the account's balance less its lots);
ordered ones keep it as ``OWN`` lots between the others, so that the lots sum to the balance.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from detectors.lots import OWN, Lot


class Holding:
    """The lots of one account in one ledger, oldest first. ``labelled_minor`` is the sum of those that are not own money."""

    __slots__ = ("labelled_minor", "lots")

    def __init__(self) -> None:
        self.lots: deque[Lot] = deque()
        self.labelled_minor = 0

    def put(self, lot: Lot) -> None:
        """Append a lot; unlabelled neighbours become one."""
        if lot.origin is not OWN:
            self.labelled_minor += lot.amount_minor
        lots = self.lots
        if lots and lot.origin.number <= 0 and lots[-1].origin is lot.origin:
            lots[-1] = lot.part(lots[-1].amount_minor + lot.amount_minor)
        else:
            lots.append(lot)

    def put_back(self, lot: Lot) -> None:
        """Prepend a lot that had been taken from the front, joining it to the piece that was left."""
        if lot.origin is not OWN:
            self.labelled_minor += lot.amount_minor
        lots = self.lots
        if lots and lot.joins(lots[0]):
            lots[0] = lot.part(lots[0].amount_minor + lot.amount_minor)
        else:
            lots.appendleft(lot)

    def put_back_last(self, lot: Lot) -> None:
        """Append a lot that had been taken from the back, joining it to the piece that was left."""
        if lot.origin is not OWN:
            self.labelled_minor += lot.amount_minor
        lots = self.lots
        if lots and lot.joins(lots[-1]):
            lots[-1] = lot.part(lots[-1].amount_minor + lot.amount_minor)
        else:
            lots.append(lot)

    def take_first(self, amount_minor: int) -> list[Lot]:
        """Take lots off the front up to ``amount_minor``; less when there is less."""
        lots, taken = self.lots, []
        while amount_minor and lots:
            lot = lots.popleft()
            if lot.amount_minor > amount_minor:
                lots.appendleft(Lot(lot.origin, lot.amount_minor - amount_minor, lot.hops, lot.trail))
                lot = Lot(lot.origin, amount_minor, lot.hops, lot.trail)
            amount_minor -= lot.amount_minor
            if lot.origin is not OWN:
                self.labelled_minor -= lot.amount_minor
            taken.append(lot)
        return taken

    def take_last(self, amount_minor: int) -> list[Lot]:
        """Take lots off the back up to ``amount_minor``, newest first."""
        lots, taken = self.lots, []
        while amount_minor and lots:
            lot = lots.pop()
            if lot.amount_minor > amount_minor:
                lots.append(lot.part(lot.amount_minor - amount_minor))
                lot = lot.part(amount_minor)
            amount_minor -= lot.amount_minor
            if lot.origin is not OWN:
                self.labelled_minor -= lot.amount_minor
            taken.append(lot)
        return taken

    def take_back(self, lot: Lot, amount_minor: int) -> int:
        """Take up to ``amount_minor`` of this very parcel back out, searching from the newest; returns what was found."""
        lots = self.lots
        found, i = 0, len(lots) - 1
        while i >= 0 and found < amount_minor:
            here = lots[i]
            if here is lot or here.joins(lot):
                piece = min(here.amount_minor, amount_minor - found)
                found += piece
                if piece == here.amount_minor:
                    del lots[i]
                    self._join_around(i)
                else:
                    lots[i] = here.part(here.amount_minor - piece)
                if here.origin is not OWN:
                    self.labelled_minor -= piece
            i -= 1
        return found

    def _join_around(self, i: int) -> None:
        lots = self.lots
        if 0 < i < len(lots) and lots[i].origin.number <= 0 and lots[i - 1].origin is lots[i].origin:
            lots[i - 1] = lots[i].part(lots[i - 1].amount_minor + lots[i].amount_minor)
            del lots[i]


def _take_loan_first(holding: Holding, own_minor: int, amount_minor: int) -> list[Lot]:
    return holding.take_first(amount_minor)


def _take_own_first(holding: Holding, own_minor: int, amount_minor: int) -> list[Lot]:
    return holding.take_first(max(0, amount_minor - max(0, own_minor)))


def _take_fifo(holding: Holding, own_minor: int, amount_minor: int) -> list[Lot]:
    return holding.take_first(amount_minor)


def _take_lifo(holding: Holding, own_minor: int, amount_minor: int) -> list[Lot]:
    return holding.take_last(amount_minor)


class Booking(NamedTuple):
    """One order: its name, whether own money has a position in it, and how lots are taken."""

    name: str
    ordered: bool
    newest_first: bool
    own_leads: bool  # own money leaves, and fills an overdraft, before loan money
    take: Callable[[Holding, int, int], list[Lot]]  # (holding, own money, amount) -> lots, in the order they leave


BOOKINGS: dict[str, Booking] = {
    booking.name: booking
    for booking in (
        Booking("loan_first", False, False, False, _take_loan_first),
        Booking("fifo", True, False, False, _take_fifo),
        Booking("lifo", True, True, False, _take_lifo),
        Booking("own_first", False, False, True, _take_own_first),
    )
}
