"""Lots: parcels of money with an origin, and the origins themselves.

A lot says whose loan a part of an account's balance is, how many accounts it has passed and by which transfers. Money that
is not a loan's has no lot in the unordered bookings and an ``OWN`` lot in the ordered ones. A *ghost* is a lot that has
lost its label to a limit: it keeps its position, so that what happens to all other lots does not depend on the limit.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple


class Origin:
    """One loan's money: the conservation account that every lot of the loan is counted in.

    ``paid_out + gained = sum(places) + repaid + reversed + sum(dropped)`` at every event, in minor units. ``places`` maps
    a place (``HELD`` for visible accounts, otherwise the class of use that the money left by) to an amount.
    """

    APART: ClassVar[tuple[str, ...]] = ("beside_dropped_minor",)
    """What saves work and is no state."""
    __slots__ = ("beside_dropped_minor", "dropped_minor", "expired", "funded_late", "gained_minor", "loan_id", "number",
                 "paid_out_minor", "payouts", "places_minor", "repaid_minor", "reversed_minor", "start_ms")  # fmt: skip

    def __init__(self, number: int, loan_id: str, start_ms: int) -> None:
        self.number = number  # order of appearance; 0 and below are not loans
        self.loan_id = loan_id
        self.start_ms = start_ms
        self.paid_out_minor = 0
        self.gained_minor = 0  # only where valuations are followed (gain_percent_max)
        self.repaid_minor = 0
        self.reversed_minor = 0
        self.places_minor: dict[str, int] = {}
        self.dropped_minor: dict[str, int] = {}
        self.expired = False
        self.funded_late = False  # a late credit of it has funded an earlier debit: the bounds do not see that way
        self.payouts: list[Transfer] = []
        self.beside_dropped_minor: int | None = 0  # by the second ledger; None: not known, at least not all of it

    def set_apart(self) -> None:
        """Taken from a snapshot, which does not say it."""
        self.beside_dropped_minor = None

    def stay(self, place: str, amount_minor: int) -> None:
        """``amount_minor`` more (or, negative, less) of this loan is at ``place``."""
        left = self.places_minor.get(place, 0) + amount_minor
        assert left >= 0, f"loan {self.loan_id}: {left} minor units at {place} after {amount_minor}"
        if left:
            self.places_minor[place] = left
        else:
            self.places_minor.pop(place, None)

    def drop(self, reason: str, amount_minor: int) -> None:
        """``amount_minor`` lost its label to the limit ``reason``."""
        self.dropped_minor[reason] = self.dropped_minor.get(reason, 0) + amount_minor

    def expire(self) -> None:
        """Stop following: what is still labelled is dropped by age, and its lots are ghosts from now on."""
        if self.expired:
            return
        self.expired = True
        still = sum(self.places_minor.values())
        self.places_minor.clear()
        if still:
            self.drop("age", still)

    def statement(self) -> tuple[dict[str, int], int, int, dict[str, int]]:
        """Where the loan's money is: (by place, repaid, reversed, dropped by limit)."""
        return dict(self.places_minor), self.repaid_minor, self.reversed_minor, dict(self.dropped_minor)

    def imbalance_minor(self) -> int:
        """0 as long as no loan money was made or lost."""
        accounted = sum(self.places_minor.values()) + self.repaid_minor + self.reversed_minor + sum(self.dropped_minor.values())
        return self.paid_out_minor + self.gained_minor - accounted


OWN = Origin(0, "", 0)
"""Money that is no loan's, or not known to be; nothing of it is accounted."""

OWN.expired = True

GHOST = Origin(-1, "", 0)
"""Loan money whose label a limit has dropped."""
GHOST.expired = True


class Trail:
    """The transfers that brought a lot to where it is, last first; shared between lots."""

    __slots__ = ("parent", "transfer")

    def __init__(self, transfer: Transfer, parent: Trail | None) -> None:
        self.transfer = transfer
        self.parent = parent

    def transfers(self) -> list[Transfer]:
        """In the order of the money's way, the payout first."""
        way: list[Transfer] = []
        step: Trail | None = self
        while step is not None:
            way.append(step.transfer)
            step = step.parent
        way.reverse()
        return way


class Lot:
    """A parcel of one origin's money in one account; never changed, only replaced."""

    __slots__ = ("amount_minor", "hops", "origin", "trail")

    def __init__(self, origin: Origin, amount_minor: int, hops: int, trail: Trail | None) -> None:
        self.origin = origin
        self.amount_minor = amount_minor
        self.hops = hops
        self.trail = trail

    def part(self, amount_minor: int) -> Lot:
        """The same parcel with another amount."""
        return Lot(self.origin, amount_minor, self.hops, self.trail)

    def joins(self, other: Lot) -> bool:
        """Whether the two are pieces of one parcel (or both unlabelled) and may be counted as one."""
        if self.origin is not other.origin:
            return False
        return self.origin.number <= 0 or (self.trail is other.trail and self.hops == other.hops)


class Landing(NamedTuple):
    """Where one parcel of a transfer came from and where it landed: what a reversal undoes."""

    taken: Lot  # as it was at the payer
    landed: Lot | None  # as it is at the payee; None: it was not kept there
    place: str  # where it is counted ("dropped:" and the limit for a ghost); "" for unlabelled money


class Transfer:
    """Money moved from payer to payee at one moment. ``seq`` is its position in the fold."""

    __slots__ = ("amount_minor", "currency", "event_time_ms", "landings", "loan_numbers", "payee", "payee_after_minor", "payer",
                 "payer_after_minor", "seq", "txn_id", "undone_by", "undone_minor", "use")  # fmt: skip

    def __init__(
        self, seq: int, txn_id: str, event_time_ms: int, payer: str, payee: str, amount_minor: int, currency: str, use: str
    ) -> None:
        self.seq = seq
        self.txn_id = txn_id
        self.event_time_ms = event_time_ms
        self.payer = payer
        self.payee = payee
        self.amount_minor = amount_minor
        self.currency = currency
        self.use = use
        self.payer_after_minor: int | None = None  # None: not known, so no limit on what may have stayed
        self.payee_after_minor: int | None = None
        self.undone_minor = 0
        self.loan_numbers: tuple[int, ...] = ()  # origins whose money it carried, by the detection ledger
        self.undone_by: list[Transfer] | None = None
        self.landings: list[list[Landing]] | None = None  # per ledger; None: no labelled money was near

    @property
    def standing_minor(self) -> int:
        """What is left of it after reversals."""
        return self.amount_minor - self.undone_minor
