"""Ledgers: lots in accounts under several bookings at once, and what a limit, a sink or an overdraft does to them.

The first ledger carries the conservation accounts of the loans (:class:`detectors.lots.Origin`); the others only carry lots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import ClassVar

from msgspec import Struct

from detectors.accounts import HELD, IN_TRANSIT, OVERDRAFT, Account, Claim, Gain
from detectors.booking import BOOKINGS, Booking, Holding
from detectors.lots import GHOST, OWN, Landing, Lot, Origin, Trail, Transfer
from detectors.rows import ColdAccounts

LOAN_REPAYMENT = "LOAN_REPAYMENT"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class TraceLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """How far money is followed. Beyond a limit a lot becomes a ghost and its amount is counted as dropped, by reason."""

    hops_max: int = 6  # accounts passed after the borrower's; drops "hops"
    lot_minor_min: int = 10_000  # smaller parcels are dropped ("amount"); 10,000 fen = CNY 100
    age_days_max: int = 90  # after the payout; drops "age"
    history_transfers_max: int = 256  # debits remembered per account that may hold loan money; older ones widen the bounds
    claim_hours_max: int = 24  # how long a debit that found no money waits for a late credit; then it stays unfunded
    claims_max: int = 64  # per account; the oldest is given up
    gain_percent_max: int = 0  # above 0 for feeds of valuations (crypto, securities): a debit that finds no money may be
    # paid from the gain on loan money, up to this much of what the account received; it is counted as gained


class Parcel(Lot):
    """One loan's share of a movement: the lot as it arrives, before any limit; it always has a trail."""

    __slots__ = ()
    trail: Trail


class Ledgers:
    """All accounts, and their lots in every ledger.

    Args:
        bookings: names from :data:`detectors.booking.BOOKINGS`; the first is the detection ledger.
        limits: see :class:`TraceLimits`.
    """

    APART: ClassVar[tuple[str, ...]] = ("accounts", "cold", "interval", "touched")
    """Fields that a snapshot does not take with the others: see :meth:`set_apart`."""

    def __init__(self, bookings: Sequence[str] = ("loan_first", "fifo"), limits: TraceLimits | None = None) -> None:
        self.limits = limits or TraceLimits()
        self.bookings: list[Booking] = [BOOKINGS[name] for name in bookings]
        self.set_apart()
        self.counts: Counter[str] = Counter()
        self._seq = 0
        self._hops_max = self.limits.hops_max
        self._lot_minor_min = self.limits.lot_minor_min

    def set_apart(self) -> None:
        """No accounts yet, and nobody who keeps them."""
        self.accounts: dict[str, dict[str, Account]] = {}
        self.cold: ColdAccounts | None = None  # accounts of a checkpoint that nothing has asked for yet
        self.interval = 0  # between checkpoints; 0 is for good, and no account is noted
        self.touched: list[Account] = []  # accounts that were looked up in this interval, and so may have changed

    def next_seq(self) -> int:
        """The position of the next transfer in the fold."""
        self._seq += 1
        return self._seq

    def account(self, account_id: str, currency: str, place: str, is_sink: bool = False) -> Account:
        """The account of that id and currency; made in ``place`` when it is not known yet."""
        book = self.accounts.get(currency)
        if book is None:
            book = self.accounts[currency] = {}
        account = book.get(account_id)
        if account is None:
            account = self.cold.take(currency, account_id) if self.cold is not None else None
            if account is None:
                account = Account(account_id, currency, place, is_sink)
            book[account_id] = account
        if account.noted != self.interval:
            self._note(account)
        return account

    def is_own(self, account_id: str) -> bool:
        """Whether the account is kept here; all are, where there is one book."""
        return True

    def find(self, account_id: str, currency: str) -> Account | None:
        """The account if it is known; the caller may change it."""
        account = self.look(account_id, currency)
        if account is not None and account.noted != self.interval:
            self._note(account)
        return account

    def look(self, account_id: str, currency: str) -> Account | None:
        """The account if it is known, to be read only."""
        book = self.accounts.get(currency)
        account = book.get(account_id) if book is not None else None
        if account is None and self.cold is not None:
            account = self.cold.take(currency, account_id)
            if account is not None:
                self.accounts.setdefault(currency, {})[account_id] = account
        return account

    def touch(self, account: Account) -> None:
        """Note an account that is going to change; whoever looks one up by ``account`` or ``find`` has done so."""
        if account.noted != self.interval:
            self._note(account)

    def _note(self, account: Account) -> None:
        account.noted = self.interval
        self.touched.append(account)

    def next_interval(self) -> list[Account]:
        """The accounts noted since the last call; those of the next are noted from now on."""
        touched, self.touched = self.touched, []
        self.interval += 1
        return touched

    def close(self, account: Account) -> None:
        """Forget an account; whoever still mentions it keeps it as it is."""
        self.touch(account)
        del self.accounts[account.currency][account.account_id]

    def all_accounts(self) -> Iterator[Account]:
        """Every account of every currency, by currency and in order of their ids."""
        if self.cold is not None:
            for currency, account_id in list(self.cold.keys()):
                self.look(account_id, currency)
        for _, book in sorted(self.accounts.items()):
            for _, account in sorted(book.items()):
                yield account

    def number_of_accounts(self) -> int:
        """How many accounts are known."""
        return sum([len(book) for book in self.accounts.values()]) + (len(self.cold) if self.cold is not None else 0)

    def move_place(self, account: Account, place: str, is_sink: bool) -> None:
        """The account turns out to be visible, a hub, ...: its lots are counted in the new place from now on."""
        holding = account.holdings[0] if account.holdings is not None else None
        if holding is not None:
            for lot in holding.lots:
                if not lot.origin.expired and lot.origin is not OWN:
                    lot.origin.stay(account.place, -lot.amount_minor)
                    lot.origin.stay(place, lot.amount_minor)
        if is_sink:
            account.holdings = None
            account.reach_minor = 0
        account.place, account.is_sink = place, is_sink

    def _own_minor(self, account: Account) -> int:
        """What of the balance is own money in every ledger."""
        return account.balance_minor - max(account.labelled_minor(i) for i in range(len(self.bookings)))

    def _shift_own(self, account: Account, difference_minor: int) -> None:
        account.balance_minor += difference_minor
        if account.holdings is None:
            return
        for booking, holding in zip(self.bookings, account.holdings, strict=True):
            if holding is None or not booking.ordered or not difference_minor:
                continue
            if difference_minor > 0:  # money that was there before: it stands first
                holding.put_back(Lot(OWN, difference_minor, 0, None))
            else:
                holding.take_back(Lot(OWN, -difference_minor, 0, None), -difference_minor)

    def _take(self, payer: Account, amount_minor: int) -> list[list[Lot]]:
        assert payer.holdings is not None
        taken: list[list[Lot]] = []
        emptied = True
        for i, booking in enumerate(self.bookings):
            holding = payer.holdings[i]
            if holding is None:
                taken.append([])
                continue
            lots = booking.take(holding, payer.balance_minor - holding.labelled_minor, amount_minor)
            taken.append(lots)
            if i == 0:
                for lot in lots:
                    if not lot.origin.expired:
                        lot.origin.stay(payer.place, -lot.amount_minor)
            if holding.labelled_minor:
                emptied = False
            else:
                payer.holdings[i] = None
        if emptied:
            payer.holdings = None
        return taken

    def _debit(self, payer: Account, transfer: Transfer) -> int:
        """Lower the payer's balance; returns how much of the debit found no money."""
        before = payer.balance_minor
        after = before - transfer.amount_minor
        short = 0
        if after < 0:
            short = min(transfer.amount_minor, -after)
            if not payer.balance_known:  # it must have had that much before we looked
                payer.assumed_minor -= after
                after = 0
        payer.balance_minor = after
        if payer.balance_known:
            transfer.payer_after_minor = after if after > 0 else 0
        return short if payer.place == HELD or payer.place == IN_TRANSIT else 0

    def _allow_gain(self, i: int, payee: Account, lot: Lot) -> None:
        """Money whose value is an estimate may be worth more when it leaves: remember by how much, and whose it would be."""
        gain = payee.gain
        if gain is None:
            gain = payee.gain = Gain(len(self.bookings))
        gain.lots[i] = lot
        if i == 0:
            gain.room_minor += lot.amount_minor * self.limits.gain_percent_max // 100

    def _take_gain(self, payer: Account, taken: list[list[Lot]] | None, short_minor: int) -> tuple[list[list[Lot]] | None, int]:
        gain = payer.gain
        assert gain is not None, f"account {payer.account_id} has no gain to take from"
        amount = min(short_minor, gain.room_minor)
        if not amount:
            return taken, short_minor
        gain.room_minor -= amount
        taken = taken if taken is not None else [[] for _ in self.bookings]
        for i, lot in enumerate(gain.lots):
            if lot is not None:
                taken[i].append(lot.part(amount))
                if i == 0 and not lot.origin.expired:
                    lot.origin.gained_minor += amount
        return taken, short_minor - amount

    def _arriving(self, lots: list[Lot], transfer: Transfer, payer: Account) -> list[Lot]:
        """The taken lots as they arrive: one hop further, the transfer on their trail, expired labels lost."""
        step = 0 if payer.place == IN_TRANSIT else 1
        arriving = []
        for lot in lots:
            if lot.origin.number <= 0:
                arriving.append(lot)
            elif lot.origin.expired:
                arriving.append(Lot(GHOST, lot.amount_minor, 0, None))
            else:
                arriving.append(Parcel(lot.origin, lot.amount_minor, lot.hops + step, Trail(transfer, lot.trail)))
        return arriving

    def _receive(
        self, payee: Account, transfer: Transfer, arriving: list[list[Lot]], taken: Sequence[list[Lot] | None],
        repays: Origin | None = None,
    ) -> None:  # fmt: skip
        """Put what arrives into the payee's holdings; an overdraft swallows the front of it first."""
        before = payee.balance_minor
        swallowed = min(transfer.amount_minor, -before) if before < 0 else 0
        if swallowed and payee.claims:  # what open claims will pass on is not for the overdraft
            swallowed = max(0, swallowed - sum(claim.amount_minor for claim in self._claims_for(payee, transfer)))
        transfer.landings = []
        for i in range(len(self.bookings)):
            transfer.landings.append(
                self._receive_in(i, payee, transfer, arriving[i], taken[i] or arriving[i], swallowed, repays)
            )
        payee.balance_minor = before + transfer.amount_minor
        transfer.payee_after_minor = payee.balance_minor if payee.balance_known else None
        self._forget_unlabelled(payee)

    def _receive_in(
        self, i: int, payee: Account, transfer: Transfer, arriving: list[Lot], taken: list[Lot], swallowed: int,
        repays: Origin | None,
    ) -> list[Landing]:  # fmt: skip
        landings: list[Landing] = []
        own_tail = transfer.amount_minor
        if not swallowed:
            for lot, source in zip(arriving, taken, strict=True):
                own_tail -= lot.amount_minor
                landings.append(self._settle(i, payee, lot, source, repays))
            if own_tail and not payee.is_sink:
                self._settle_own(i, payee, own_tail)
            return landings
        if swallowed and self.bookings[i].own_leads:
            own = own_tail - sum(lot.amount_minor for lot in arriving)
            own_tail -= min(swallowed, own)
            swallowed -= min(swallowed, own)
        for lot, source in zip(arriving, taken, strict=True):
            own_tail -= lot.amount_minor
            if swallowed:
                eaten = min(swallowed, lot.amount_minor)
                swallowed -= eaten
                landings.append(self._count(i, source.part(eaten), lot.part(eaten), OVERDRAFT, None))
                if eaten == lot.amount_minor:
                    continue
                lot, source = lot.part(lot.amount_minor - eaten), source.part(source.amount_minor - eaten)
            landings.append(self._settle(i, payee, lot, source, repays))
        own_tail -= min(swallowed, own_tail)
        if own_tail and not payee.is_sink:
            self._settle_own(i, payee, own_tail)
        return landings

    def _settle(self, i: int, payee: Account, lot: Lot, source: Lot, repays: Origin | None) -> Landing:
        """One parcel reaches the payee: counted in a sink, kept as a lot, or kept as a ghost when a limit says so."""
        if payee.is_sink:
            return self._count(i, source, lot, payee.place, repays)
        if lot.origin is OWN and not self.bookings[i].ordered:
            return Landing(source, None, "")
        place = ""
        if lot.origin.number > 0:
            limit = self._limit_of(lot)
            place = f"dropped:{limit}" if limit else payee.place
            if i == 0:
                self._count_at(lot.origin, place, lot.amount_minor)
            if limit:
                if i == 1 and lot.origin.beside_dropped_minor is not None:
                    lot.origin.beside_dropped_minor += lot.amount_minor
                lot = Lot(GHOST, lot.amount_minor, 0, None)
        holding = payee.holdings[i] if payee.holdings is not None else None
        (holding or self._holding(i, payee)).put(lot)
        if self.limits.gain_percent_max and lot.origin.number > 0:
            self._allow_gain(i, payee, lot)
        return Landing(source, lot, place)

    @staticmethod
    def _count_at(origin: Origin, place: str, amount_minor: int) -> None:
        """Enter an amount (negative: take it back) in the loan's conservation account."""
        if place == "repaid":
            origin.repaid_minor += amount_minor
        elif place.startswith("dropped:"):
            origin.drop(place.removeprefix("dropped:"), amount_minor)
        else:
            origin.stay(place, amount_minor)

    def _count(self, i: int, source: Lot, lot: Lot, place: str, repays: Origin | None) -> Landing:
        """The parcel is not kept as a lot: it is counted where it ended."""
        if lot.origin.number <= 0 or lot.origin.expired:
            return Landing(source, None, "")
        if place == LOAN_REPAYMENT and lot.origin is repays:
            place = "repaid"
        if i == 0:
            self._count_at(lot.origin, place, lot.amount_minor)
        return Landing(source, None, place)

    def _add_own(self, payee: Account, amount_minor: int) -> None:
        assert payee.holdings is not None, f"account {payee.account_id} holds no lots"
        for booking, holding in zip(self.bookings, payee.holdings, strict=True):
            if holding is not None and booking.ordered:
                holding.put(Lot(OWN, amount_minor, 0, None))

    def _settle_own(self, i: int, payee: Account, own_minor: int) -> None:
        if self.bookings[i].ordered and payee.holdings is not None and payee.holdings[i] is not None:
            payee.holdings[i].put(Lot(OWN, own_minor, 0, None))  # type: ignore[union-attr]

    def _holding(self, i: int, account: Account) -> Holding:
        if account.holdings is None:
            account.holdings = [None] * len(self.bookings)
        holding = account.holdings[i]
        if holding is None:
            holding = account.holdings[i] = Holding()
            if self.bookings[i].ordered and account.balance_minor > 0:
                holding.put(Lot(OWN, account.balance_minor, 0, None))
        return holding

    def _limit_of(self, lot: Lot) -> str:
        """The limit that this lot is beyond; "" when it is within all of them."""
        if lot.hops > self._hops_max:
            return "hops"
        return "amount" if lot.amount_minor < self._lot_minor_min else ""

    def _forget_unlabelled(self, account: Account) -> None:
        holdings = account.holdings
        if holdings is None:
            return
        labelled = False
        for i, holding in enumerate(holdings):
            if holding is not None:
                if holding.labelled_minor:
                    labelled = True
                else:
                    holdings[i] = None
        if not labelled:
            account.holdings = None

    def _is_sink(self, account_id: str, currency: str) -> bool:
        account = self.look(account_id, currency)
        return account is None or account.is_sink

    def _shave(self, account: Account) -> None:
        """Lots never exceed the balance: what an overdraft has swallowed is counted there."""
        if account.holdings is None or account.is_sink:
            return
        for i, holding in enumerate(account.holdings):
            if holding is None:
                continue
            total = sum(lot.amount_minor for lot in holding.lots)
            for lot in holding.take_last(max(0, total - max(0, account.balance_minor))):
                if i == 0 and not lot.origin.expired and lot.origin is not OWN:
                    lot.origin.stay(account.place, -lot.amount_minor)
                    lot.origin.stay(OVERDRAFT, lot.amount_minor)

    def _claims_for(self, payer: Account, credit: Transfer) -> list[Claim]:
        """The open claims that a credit may fund: debits that are not before it, nor too long after."""
        from_ms = 0 if payer.place == IN_TRANSIT else credit.event_time_ms
        until_ms = credit.event_time_ms + self.limits.claim_hours_max * HOUR_MS
        return [claim for claim in payer.claims or () if from_ms <= claim.transfer.event_time_ms <= until_ms]
