"""The tracer of one book among several: money that leaves for another book, money that comes, and who must hear of it.

What :class:`~detectors.tracer.Tracer` does to two accounts at once is done here by halves: :meth:`BookTracer.send` in the
payer's book, :meth:`BookTracer.land` in the payee's; :meth:`BookTracer.recall` and :meth:`BookTracer.give_back` undo them.
"""

from __future__ import annotations

from typing import NamedTuple

from detectors.abroad import REMITTED, BookAccount, BookOrigin
from detectors.accounts import OTHER_BANK, Account, Claim
from detectors.correspondent import Correspondent, Lots, Move
from detectors.lots import OWN, Landing, Lot, Origin, Transfer
from detectors.tracer import Movement, Parcel


class Sent(NamedTuple):
    """What leaves an account for another book."""

    lots: Lots | None  # as they arrive; None: no labelled money was near
    reach_minor: int
    reached_by: int
    unfunded_minor: int


class Recalled(NamedTuple):
    """What comes back from the payee of a reversed transfer."""

    pieces: list[list[tuple[int, int]]]  # per ledger: (parcel of the original, how much of it was still there)
    others: Lots
    reach_minor: int
    reached_by: int


class BookTracer(Correspondent):
    """Follows money through the accounts of one book, out of it and into it."""

    @staticmethod
    def _send_off(lots: list[Lot]) -> None:
        for lot in lots:
            if not lot.origin.expired:
                lot.origin.stay(REMITTED, lot.amount_minor)

    @staticmethod
    def _receive_lots(lots: list[Lot]) -> None:
        for lot in lots:
            if isinstance(lot.origin, BookOrigin) and not lot.origin.expired:
                lot.origin.receive(lot.amount_minor)

    # --- the halves of a transfer -----------------------------------------------------------------------------------

    def note(self, transfer: Transfer, reached_by: int, in_history: bool) -> None:
        """Others may have to hear of this transfer once the event is done."""
        move = self.moves.get(transfer.seq)
        if move is None:
            self.moves[transfer.seq] = Move(transfer, reached_by, in_history)
        else:
            move.reached_by |= reached_by
            move.in_history = move.in_history or in_history

    def send(self, transfer: Transfer, payer: BookAccount) -> Sent:
        """The payer's half of :meth:`Tracer.pay`."""
        amount = transfer.amount_minor
        taken = self._take(payer, amount) if payer.holdings is not None else None
        short_minor = self._debit(payer, transfer)
        reach_minor = reached_by = 0
        if payer.reach_minor:
            reach_minor, reached_by = min(amount, payer.reach_minor), payer.reached_by
            super()._pass_reach(transfer, payer, None)
        if short_minor and payer.gain is not None:
            taken, short_minor = self._take_gain(payer, taken, short_minor)
        unfunded_minor = self._claim(payer, transfer, short_minor, taken) if short_minor or payer.unfunded_minor else 0
        if taken is None:
            return Sent(None, reach_minor, reached_by, unfunded_minor)
        transfer.landings = [[Landing(lot, None, "") for lot in lots] for lots in taken]
        lots = [self._arriving(taken_in, transfer, payer) for taken_in in taken]
        self._send_off(lots[0])
        return Sent(lots, reach_minor, reached_by, unfunded_minor)

    def land(self, transfer: Transfer, payee: BookAccount, sent: Sent) -> Movement | None:
        """The payee's half of :meth:`Tracer.pay`."""
        if sent.reached_by:
            self._hear_reach(transfer, payee, sent.reach_minor, sent.reached_by)
        if sent.lots is None and not sent.unfunded_minor:
            if payee.holdings is not None:
                self._add_own(payee, transfer.amount_minor)
            payee.balance_minor += transfer.amount_minor
            transfer.payee_after_minor = payee.balance_minor if payee.balance_known else None
            return None
        self._receive_lots(sent.lots[0] if sent.lots is not None else [])
        movement = self._land(transfer, payee, sent.lots, sent.lots, None)
        self._pass_unfunded(transfer, payee, sent.unfunded_minor)
        if movement is not None and (payee.claims or payee.unseen_minor):
            self._explain(payee, transfer, sum(parcel.amount_minor for parcel in movement.parcels[0]))
        return movement

    def _hear_reach(self, transfer: Transfer, payee: BookAccount, reach_minor: int, reached_by: int) -> None:
        if not payee.is_sink:
            self._raise_reach(payee, reach_minor, transfer)
            payee.reached_by |= reached_by
        if reached_by & self.own_bit:
            payer = self.account(transfer.payer, transfer.currency, OTHER_BANK)
            self._mirrored_history(payer, transfer).append(transfer)
        self.note(transfer, reached_by, True)

    # --- what the halves share with the whole -----------------------------------------------------------------------

    def pay_out(self, origin: Origin, transfer: Transfer, payee: Account) -> None:
        """As in one book; the account is now one that this book's loans have reached."""
        assert isinstance(payee, BookAccount)
        payee.reached_by |= self.own_bit
        self.retell(payee)
        super().pay_out(origin, transfer, payee)

    def _raise_reach(self, account: Account, amount_minor: int, transfer: Transfer) -> None:
        super()._raise_reach(account, amount_minor, transfer)
        self.retell(account)

    def _pass_reach(self, transfer: Transfer, payer: Account, payee: Account | None) -> None:
        super()._pass_reach(transfer, payer, payee)
        self.retell(payer)
        assert isinstance(payer, BookAccount) and isinstance(payee, BookAccount)
        if not payee.is_sink:
            payee.reached_by |= payer.reached_by
        self.note(transfer, payer.reached_by, True)

    def _remember_leak(self, account: Account, payee: str, amount_minor: int) -> None:
        super()._remember_leak(account, payee, amount_minor)
        if account.history is not None:
            assert isinstance(account, BookAccount)
            self.note(account.history[-1], account.reached_by, True)

    # --- late credits -----------------------------------------------------------------------------------------------

    def _route(self, payer: Account, way: list[Claim], amount: int) -> int:
        if self.is_own(way[-1].transfer.payee):
            return super()._route(payer, way, amount)
        amount = min(amount, way[-1].amount_minor, payer.labelled_minor())
        if amount > 0:
            self._fund_abroad(payer, way, amount)
        return max(0, amount)

    def _swap(self, payer: Account, payee: Account, way: list[Claim], amount: int) -> None:
        super()._swap(payer, payee, way, amount)
        self._pass_marks(payer, way)

    def _pass_marks(self, payer: Account, way: list[Claim]) -> None:
        assert isinstance(payer, BookAccount)
        for claim in way:
            payee = self.account(claim.transfer.payee, payer.currency, OTHER_BANK)
            if not payee.is_sink and payee.book == self.books.own:
                payee.reached_by |= payer.reached_by
            self.note(claim.transfer, payer.reached_by, False)

    def _fund_abroad(self, payer: Account, way: list[Claim], amount: int) -> None:
        """The payer's newest loan money goes after unfunded money that has left for another book."""
        parcels: list[list[list[Parcel]]] = [[[] for _ in self.bookings] for _ in way]
        lots = [[moved for _, moved in self._draw(i, payer, way, amount, parcels)] for i in range(len(self.bookings))]
        self._send_off(lots[0])
        for claim, movement in zip(way, parcels, strict=True):
            claim.amount_minor -= amount
            if claim is not way[-1]:
                self.funded.append((claim, Movement(claim.transfer, movement)))
                self._raise_reach(self.account(claim.transfer.payee, payer.currency, OTHER_BANK), amount, claim.transfer)
        self.counts["claims_funded"] += len(way)
        assert isinstance(payer, BookAccount)
        self._pass_marks(payer, way[:-1])
        self.fundings.append((way[-1], lots, payer.reached_by))

    def fund(self, transfer: Transfer, payee: BookAccount, lots: Lots, reached_by: int) -> tuple[Movement, Lots]:
        """Loan money has come for a transfer that was unfunded: it goes on after what the payee paid unfunded, the rest stays.

        Returns:
            What the transfer has now carried, and what found no place here.
        """
        self._receive_lots(lots[0])
        amount = sum(lot.amount_minor for lot in lots[0])
        unplaced: Lots = [[] for _ in self.bookings]
        self.note(transfer, reached_by, False)  # before what it goes on with
        if payee.is_sink:
            for i, arrived in enumerate(lots):
                for lot in arrived:
                    self._count(i, lot, lot, payee.place, None)
        else:
            self._raise_reach(payee, amount, transfer)
            payee.reached_by |= reached_by
            unplaced = self._exchange(transfer, payee, lots, amount)
        payee.unfunded_minor = max(0, payee.unfunded_minor - amount)
        parcels = [_less(arrived, back) for arrived, back in zip(lots, unplaced, strict=True)]
        for lot in (lot for ledger in parcels for lot in ledger):
            lot.origin.funded_late = True
        return Movement(transfer, parcels), unplaced

    def _exchange(self, transfer: Transfer, payee: BookAccount, lots: Lots, amount: int) -> Lots:
        """The lots enter as the newest, go on as far as open claims take them, and own money makes room for the rest."""
        for i, arrived in enumerate(lots):
            holding = self._holding(i, payee)
            for lot in reversed(arrived):
                holding.put(lot)
        for lot in lots[0]:
            if not lot.origin.expired:
                lot.origin.stay(payee.place, lot.amount_minor)
        placed = 0
        for claim in payee.claims or ():
            if claim.transfer.event_time_ms >= transfer.event_time_ms and placed < amount:
                placed += self._route(payee, [claim], amount - placed)
        payee.claims = [claim for claim in payee.claims or () if claim.amount_minor] or None
        overflow = min(amount - placed, max(0, -self._own_minor(payee)))
        unplaced = [self._withdraw(i, payee, overflow) for i in range(len(self.bookings))]
        self._send_off(unplaced[0])
        for i, booking in enumerate(self.bookings):
            if booking.ordered:
                self._holding(i, payee).take_back(Lot(OWN, amount, 0, None), amount - overflow)
            for lot in self._withdraw(i, payee, amount - placed - overflow):
                self._settle(i, payee, lot, lot, None)
        self._forget_unlabelled(payee)
        return unplaced

    def _withdraw(self, i: int, account: Account, amount: int) -> list[Lot]:
        """Take the newest labelled lots out, up to an amount."""
        holding = self._holding(i, account)
        taken: list[Lot] = []
        for lot in [lot for lot in reversed(holding.lots) if lot.origin is not OWN]:
            if not amount:
                break
            piece = min(amount, lot.amount_minor)
            holding.take_back(lot, piece)
            if i == 0 and not lot.origin.expired:
                lot.origin.stay(account.place, -piece)
            taken.append(_part(lot, piece))
            amount -= piece
        return taken

    def keep_unplaced(self, account: BookAccount, lots: Lots) -> None:
        """What found no place where it was sent stays where it was."""
        self._receive_lots(lots[0])
        for i, returned in enumerate(lots):
            for lot in returned:
                if self.bookings[i].ordered and not account.is_sink:
                    self._holding(i, account).take_back(Lot(OWN, lot.amount_minor, 0, None), lot.amount_minor)
                self._settle(i, account, lot, lot, None)
        self._shave(account)
        self._forget_unlabelled(account)
        self.retell(account)

    # --- the halves of a reversal -----------------------------------------------------------------------------------

    def recall(self, original: Transfer, reversal: Transfer, payee: BookAccount) -> Recalled:
        """The payee's half of :meth:`Tracer.undo`."""
        amount = reversal.amount_minor
        if payee.holdings is None:
            payee.holdings = [None] * len(self.bookings)
        back = [self._take_back(i, original, amount, payee) for i in range(len(self.bookings))]
        for taken, _, found in back[0][0]:
            if found and not taken.origin.expired:
                taken.origin.stay(REMITTED, found)
        _mark_undone(original, reversal)
        self._debit(payee, reversal)
        reach_minor = reached_by = 0
        if payee.reach_minor and not payee.is_sink:
            reach_minor, reached_by = min(amount, payee.reach_minor), payee.reached_by
            super()._pass_reach(reversal, payee, None)
        others = [self._arriving(others_in, reversal, payee) for _, others_in in back]
        self._send_off(others[0])
        self._shave(payee)
        self._forget_unlabelled(payee)
        self.retell(payee)
        return Recalled([[(piece, found) for _, piece, found in pieces] for pieces, _ in back], others, reach_minor, reached_by)

    def give_back(
        self, original: Transfer, reversal: Transfer, payer: BookAccount, recalled: Recalled, from_sink: bool
    ) -> None:
        """The payer's half of :meth:`Tracer.undo`."""
        amount = reversal.amount_minor
        if payer.holdings is None:
            payer.holdings = [None] * len(self.bookings)
        _mark_undone(original, reversal)
        if recalled.reached_by:
            if not payer.is_sink:
                self._raise_reach(payer, recalled.reach_minor, reversal)
                payer.reached_by |= recalled.reached_by
        elif from_sink and payer.history is not None:
            payer.reach_minor += amount
        for i, others in enumerate(recalled.others):
            restored = _restored(original, i, recalled.pieces[i])
            if i == 0:
                self._receive_lots([*restored, *others])
            self._put_back(i, payer, amount, restored, others)
        payer.balance_minor += amount
        reversal.payee_after_minor = payer.balance_minor if payer.balance_known else None
        self._shave(payer)
        self._forget_unlabelled(payer)
        self.retell(payer)


def _mark_undone(original: Transfer, reversal: Transfer) -> None:
    original.undone_minor += reversal.amount_minor
    original.undone_by = [*(original.undone_by or ()), reversal]


def _restored(original: Transfer, i: int, pieces: list[tuple[int, int]]) -> list[Lot]:
    """The parcels that come back, as they were when they left."""
    landings = original.landings[i] if original.landings is not None else []
    restored = []
    for piece, found in pieces:
        if not landings:
            break  # the transfer is forgotten, its loans too
        landing = landings.pop()
        if piece < landing.taken.amount_minor:
            landings.append(landing._replace(taken=landing.taken.part(landing.taken.amount_minor - piece)))
        if found:
            restored.append(landing.taken.part(found))
    return restored


def _part(lot: Lot, amount_minor: int) -> Lot:
    """The same parcel with another amount, a parcel still."""
    return type(lot)(lot.origin, amount_minor, lot.hops, lot.trail)


def _less(arrived: list[Lot], back: list[Lot]) -> list[Parcel]:
    """The parcels of what arrived that were not sent back (the last ones were)."""
    amount = sum(lot.amount_minor for lot in arrived) - sum(lot.amount_minor for lot in back)
    kept: list[Parcel] = []
    for lot in arrived:
        piece = min(amount, lot.amount_minor)
        if piece and isinstance(lot, Parcel):
            kept.append(Parcel(lot.origin, piece, lot.hops, lot.trail))
        amount -= piece
    return kept
