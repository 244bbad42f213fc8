"""What several books call by one name: accounts, loans, transfers and lots, as one of them knows them and tells them."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence

from detectors.abroad import BookAccount, BookOrigin, BookTransfer, Changes
from detectors.accounts import OTHER_BANK, Account, Claim
from detectors.books import Books
from detectors.lots import GHOST, OWN, Lot, Origin, Trail, Transfer
from detectors.recent import Recent
from detectors.remittance import GHOST_MONEY, OWN_MONEY, Share, Shares, Step
from detectors.tracer import DAY_MS, Parcel, TraceLimits, Tracer

TICK_BITS = 12
"""A millisecond of event time has this many bits of positions; when they do not do, the next one's are taken."""

Lots = list[list[Lot]]
"""Lots per ledger."""


class Move:
    """A transfer of the event in hand that other books may have to hear of."""

    __slots__ = ("in_history", "reached_by", "transfer")

    def __init__(self, transfer: Transfer, reached_by: int, in_history: bool) -> None:
        self.transfer = transfer
        self.reached_by = reached_by
        self.in_history = in_history


class Correspondent(Tracer):
    """A tracer whose accounts, loans and transfers have names in other books.

    Accounts of other books stand in ``accounts`` too, as far as they are known here; ``transfers`` holds, by ``gid``,
    transfers that other books may speak of.
    """

    def __init__(self, books: Books, bookings: Sequence[str], limits: TraceLimits, plain_transfers_max: int) -> None:
        super().__init__(bookings, limits)
        self.books = books
        self.now_ms = 0  # how far event time has come
        self.own_bit = 1 << books.own
        self.changes = Changes()
        self.transfers: dict[int, Transfer] = {}
        self.plain: Recent[Transfer] = Recent(plain_transfers_max)  # that carried no loan money: for reversals
        self.ages: deque[tuple[int, int]] = deque()  # (event time, gid) of ``transfers``
        self.origins: dict[int, BookOrigin] = {}  # by number here
        self.foreign: dict[tuple[int, int], BookOrigin] = {}  # (home, number there) -> another book's
        self.expiries: list[tuple[int, int, int]] = []  # (event time, home, number there) of those, a heap
        self.expired_before_ms = 0
        self.moves: dict[int, Move] = {}  # these four are empty between events
        self.fundings: list[tuple[Claim, Lots, int]] = []
        self.to_retell: dict[tuple[str, str], BookAccount] = {}
        self.shown: dict[tuple[str, str], int] = {}  # to which books' loans an account has just paid, or been paid from

    def next_seq(self) -> int:
        """The position of the next transfer: grows with event time, so that positions of different books compare."""
        tick = max(self._seq // self.books.number + 1, self.now_ms << TICK_BITS)
        self._seq = tick * self.books.number + self.books.own
        return self._seq

    def hear_time(self, watermark_ms: int) -> None:
        """Event time has come so far elsewhere: what happens here now is behind what happened there then."""
        tick = (watermark_ms << TICK_BITS) + (1 << TICK_BITS - 1)
        self._seq = max(self._seq, tick * self.books.number + self.books.own)

    # --- accounts ---------------------------------------------------------------------------------------------------

    def account(self, account_id: str, currency: str, place: str, is_sink: bool = False) -> BookAccount:
        """The account of that id and currency, of this book or another; made in ``place`` when it is not known yet."""
        book = self.accounts.setdefault(currency, {})
        account = book.get(account_id)
        if account is None:
            home = self.books.home_of(account_id)
            account = book[account_id] = BookAccount(account_id, currency, place, is_sink, home)
        assert isinstance(account, BookAccount)
        if account.noted != self.interval:
            self._note(account)
        return account

    def is_own(self, account_id: str) -> bool:
        """Whether this book keeps the account."""
        return self.books.home_of(account_id) == self.books.own

    def retell(self, account: Account) -> None:
        """Something about the account may have changed that other books have been told."""
        assert isinstance(account, BookAccount)
        if account.book == self.books.own:
            self.to_retell[account.currency, account.account_id] = account

    def show(self, account: Account, bits: int) -> None:
        """The account stands at one end of a passage: the homes of these loans are to know it as it is now."""
        self.retell(account)
        key = (account.currency, account.account_id)
        self.shown[key] = self.shown.get(key, 0) | bits

    def move_place(self, account: Account, place: str, is_sink: bool) -> None:
        """As in one book; others will be told."""
        super().move_place(account, place, is_sink)
        self.retell(account)

    # --- origins ----------------------------------------------------------------------------------------------------

    def open_origin(self, loan_id: str, start_ms: int) -> Origin:
        """A new loan of this book to follow."""
        self._origin_number += 1
        number = self._origin_number
        origin = BookOrigin(number, loan_id, start_ms, self.books.own, number, self.changes)
        self.origins[number] = origin
        return origin

    def origins_of(self, numbers: Iterable[int]) -> list[BookOrigin]:
        """The origins of those numbers that are followed."""
        return [self.origins[number] for number in numbers if number in self.origins]

    def origin_of(self, share: Share) -> Origin:
        """Whose money a share is, as this book counts it; ``GHOST`` when the loan is no longer followed."""
        if share.home in (OWN_MONEY, GHOST_MONEY):
            return OWN if share.home == OWN_MONEY else GHOST
        if share.home == self.books.own:
            own = self.origins.get(share.number)
            return GHOST if own is None or own.expired else own
        origin = self.foreign.get((share.home, share.number))
        if origin is None:
            expiry_ms = share.start_ms + self.limits.age_days_max * DAY_MS
            if expiry_ms <= self.expired_before_ms:
                return GHOST
            heapq.heappush(self.expiries, (expiry_ms, share.home, share.number))
            self._origin_number += 1
            number = self._origin_number
            origin = BookOrigin(number, share.loan_id, share.start_ms, share.home, share.number, self.changes)
            self.origins[number] = self.foreign[share.home, share.number] = origin
        origin.loan_id = share.loan_id
        return origin

    def foreign_origin(self, loan_id: str) -> BookOrigin | None:
        """Another book's loan of that id, if its money has come here."""
        return next((origin for origin in self.foreign.values() if origin.loan_id == loan_id), None)

    def forget_before(self, watermark_ms: int) -> None:
        """As in one book; and other books' loans that are too old are no longer followed, nor their transfers kept."""
        self.expired_before_ms = watermark_ms
        while self.expiries and self.expiries[0][0] <= watermark_ms:
            _, home, number = heapq.heappop(self.expiries)
            origin = self.foreign.pop((home, number))
            origin.expire()
            del self.origins[origin.number]
        oldest_ms = watermark_ms - (self.limits.age_days_max + 1) * DAY_MS
        while self.ages and self.ages[0][0] < oldest_ms:
            gid = self.ages.popleft()[1]
            self.plain.put(str(gid), self.transfers.pop(gid))
        super().forget_before(watermark_ms)

    def _forget_history(self, account: Account) -> None:
        super()._forget_history(account)
        assert isinstance(account, BookAccount)
        account.reached_by = account.followed_by = 0
        account.told = (0, (), 0, ())

    # --- transfers that several books know --------------------------------------------------------------------------

    def gid_of(self, transfer: Transfer) -> int:
        """What names the transfer in every book."""
        return transfer.gid if isinstance(transfer, BookTransfer) else transfer.seq

    def keeper_of(self, account_id: str, transfer: Transfer) -> int:
        """The book that keeps an account of the transfer; nameless ones are the book's that made it."""
        maker = self.gid_of(transfer) % self.books.number
        return Books(self.books.number, maker, self.books.pattern).home_of(account_id)

    def find_transfer(self, gid: int) -> Transfer | None:
        """The transfer of that name, if it is remembered here."""
        return self.transfers.get(gid) or self.plain.get(str(gid))

    def keep(self, transfer: Transfer, lasting: bool) -> None:
        """Remember a transfer that another book may speak of; ``lasting`` when loan money may be concerned."""
        gid = self.gid_of(transfer)
        if not lasting:
            self.plain.put(str(gid), transfer)
        elif gid not in self.transfers:
            self.transfers[gid] = transfer
            self.ages.append((transfer.event_time_ms, gid))

    def step_of(self, transfer: Transfer) -> Step:
        """The transfer as it is told to another book, which may from then on speak of it."""
        self.keep(transfer, True)
        return self.plain_step_of(transfer)

    def plain_step_of(self, transfer: Transfer) -> Step:
        """The same, of a transfer that is remembered otherwise."""
        return Step(
            self.gid_of(transfer), transfer.txn_id, transfer.event_time_ms, transfer.payer, transfer.payee,
            transfer.amount_minor, transfer.currency, transfer.use, transfer.payer_after_minor, transfer.payee_after_minor,
        )  # fmt: skip

    def transfer_of(self, step: Step, lasting: bool = True, *, is_old: bool = False) -> Transfer:
        """The transfer that another book tells of; made when it is not known, at the end or (``is_old``) where it belongs."""
        known = self.find_transfer(step.gid)
        if known is not None:
            return known
        transfer = BookTransfer(
            step.gid if is_old else self.next_seq(), step.txn_id, step.event_time_ms, step.payer, step.payee,
            step.amount_minor, step.currency, step.use, step.gid,
        )  # fmt: skip
        transfer.payer_after_minor, transfer.payee_after_minor = step.payer_after_minor, step.payee_after_minor
        self.keep(transfer, lasting)
        return transfer

    def forgotten(self, gid: int, reversal: Step) -> Transfer:
        """A transfer that is no longer remembered here, as far as its reversal tells."""
        return BookTransfer(
            gid, "", reversal.event_time_ms, reversal.payee, reversal.payer, reversal.amount_minor, reversal.currency,
            reversal.use, gid,
        )  # fmt: skip

    def mirror(self, step: Step, in_history: bool) -> Transfer:
        """Note a transfer that a loan of this book may have gone with, made elsewhere."""
        known = self.find_transfer(step.gid)
        transfer = self.transfer_of(step, is_old=not in_history)
        if known is not None:
            transfer.payer_after_minor = step.payer_after_minor if not self.is_own(step.payer) else known.payer_after_minor
            transfer.payee_after_minor = step.payee_after_minor if not self.is_own(step.payee) else known.payee_after_minor
        if in_history and not self.is_own(step.payer):
            history = self._mirrored_history(self.account(step.payer, step.currency, OTHER_BANK), transfer)
            if known is None or all(debit is not known for debit in history):
                history.append(transfer)
        payee = self.find(step.payee, step.currency)
        if in_history and payee is not None and not payee.is_sink and not self.is_own(step.payee):
            self._mirrored_history(payee, transfer)
        return transfer

    def _mirrored_history(self, account: Account, transfer: Transfer) -> list[Transfer]:
        """The debits, as far as this book's loans are concerned, of another book's account."""
        if account.history is None:
            account.history = []
            account.history_from_seq = transfer.seq
            self._histories.append((transfer.event_time_ms, account.currency, account.account_id))
        account.reach_ms = max(account.reach_ms, transfer.event_time_ms)
        return account.history

    def trim_history(self, account: Account, from_number: int) -> None:
        """The account's book has forgotten the debits before that one."""
        history = account.history or []
        kept = [i for i, debit in enumerate(history) if self.gid_of(debit) >= from_number]
        drop = kept[0] if kept else len(history)
        if drop:
            account.history_from_seq = history[drop - 1].seq + 1
            del history[:drop]

    # --- lots on their way ------------------------------------------------------------------------------------------

    def shares_of(self, lots: Lots) -> Shares:
        """Arriving lots as another book can read them."""
        return tuple(tuple(self.share_of(lot) for lot in ledger) for ledger in lots)

    def share_of(self, lot: Lot) -> Share:
        """One arriving lot."""
        if not isinstance(lot.origin, BookOrigin):
            return Share(lot.amount_minor, OWN_MONEY if lot.origin is OWN else GHOST_MONEY)
        assert lot.trail is not None, "loan money has a trail"
        trail = tuple(self.step_of(transfer) for transfer in lot.trail.transfers()[:-1])
        origin = lot.origin
        return Share(lot.amount_minor, origin.home, origin.home_number, origin.loan_id, origin.start_ms, lot.hops, trail)

    def lot_of(self, share: Share, transfer: Transfer) -> Lot:
        """The lot that a share of this transfer means here."""
        origin = self.origin_of(share)
        if origin.number <= 0:
            return Lot(origin, share.amount_minor, 0, None)
        trail: Trail | None = None
        for step in share.trail:
            trail = Trail(self.transfer_of(step, is_old=True), trail)
        return Parcel(origin, share.amount_minor, share.hops, Trail(transfer, trail))

    def lots_of(self, shares: Shares, transfer: Transfer) -> Lots:
        """The lots of all ledgers."""
        return [[self.lot_of(share, transfer) for share in ledger] for ledger in shares]
