"""The tracer: follows loan money through accounts, and keeps the books that prove none was made or lost.

Every transfer is applied to all ledgers (bookings) at once. What a transfer moved is returned as a :class:`Movement`.

The tracer also keeps, for accounts that may hold loan money at all, the history of their debits, from which
:mod:`detectors.bounds` computes what is certain and what is possible.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from detectors.accounts import HELD, Account, Claim
from detectors.booking import Holding
from detectors.ledgers import DAY_MS, HOUR_MS, LOAN_REPAYMENT, Ledgers, Parcel, TraceLimits
from detectors.lots import GHOST, OWN, Lot, Origin, Trail, Transfer

__all__ = ["DAY_MS", "HOUR_MS", "LENDER_ACCOUNT", "LOAN_REPAYMENT", "Movement", "Parcel", "TraceLimits", "Tracer"]

LENDER_ACCOUNT = "~LENDER"
UNSEEN = "~UNSEEN"

CHAIN_MAX = 20
"""Claims that one late credit funds in a row; farther ones stay open."""


class Movement(NamedTuple):
    """What a transfer carried, per ledger, in the order it left; loan money only (no own money, no ghosts)."""

    transfer: Transfer
    parcels: list[list[Parcel]]

    def beside_minor(self, origin: Origin) -> int:
        """What it carried of a loan by the second ledger; 0 when only one is kept."""
        beside = self.parcels[1] if len(self.parcels) > 1 else []
        return sum([parcel.amount_minor for parcel in beside if parcel.origin is origin])


class Tracer(Ledgers):
    """Follows money: payouts, transfers, late credits, reversals.

    Args:
        bookings: names from :data:`detectors.booking.BOOKINGS`; the first is the detection ledger.
        limits: see :class:`TraceLimits`.
    """

    def __init__(self, bookings: Sequence[str] = ("loan_first", "fifo"), limits: TraceLimits | None = None) -> None:
        super().__init__(bookings, limits)
        self.funded: list[tuple[Claim, Movement]] = []  # earlier debits that a late credit has funded; the caller empties it
        self._histories: deque[tuple[int, str, str]] = deque()  # (event time of the first debit, currency, account id)
        self._origin_number = 0

    def see_balance(self, account: Account, stated_minor: int, late: bool) -> None:
        """Reconcile our balance with the one a record states for this point; ``late``: it may be of another one.

        The first statement settles the opening balance. Later differences are traffic that no record showed: an unseen
        inflow adds own money; an unseen outflow takes own money only, never a loan's (counted, not attributed).
        """
        difference = stated_minor - account.balance_minor
        if not account.balance_known:
            self._shift_own(account, max(difference, -self._own_minor(account)))
            account.balance_known = True
            return
        if difference == 0 or late:
            return
        if difference > 0:
            self.counts["unseen_inflow"] += 1
            self._shift_own(account, difference)
            account.unseen_minor += difference  # a credit that comes late will explain it
            account.unfunded_minor += difference
            account.unfunded_ms = account.last_ms
            return
        taken = min(max(0, self._own_minor(account)), -difference)
        self.counts["unseen_outflow"] += 1
        if taken:
            self._shift_own(account, -taken)
            self._remember_leak(account, UNSEEN, taken)

    def _remember_leak(self, account: Account, payee: str, amount_minor: int) -> None:
        """Money left by no transfer of the stream: an edge that the bounds need all the same."""
        if account.history is None:
            return
        leak = Transfer(self.next_seq(), "", account.last_ms, account.account_id, payee, amount_minor, account.currency, UNSEEN)
        leak.payer_after_minor = max(0, account.balance_minor) if account.balance_known else None
        account.history.append(leak)

    # --- money in from a loan ---------------------------------------------------------------------------------------

    def open_origin(self, loan_id: str, start_ms: int) -> Origin:
        """A new loan to follow."""
        self._origin_number += 1
        return Origin(self._origin_number, loan_id, start_ms)

    def pay_out(self, origin: Origin, transfer: Transfer, payee: Account) -> None:
        """The loan's money arrives on the borrower's account. Loan money waits at hop 0 with the payout as its trail."""
        origin.paid_out_minor += transfer.amount_minor
        origin.payouts.append(transfer)
        if origin.expired:  # no longer followed: nothing of it is labelled again
            origin.drop("age", transfer.amount_minor)
        lot = Lot(GHOST if origin.expired else origin, transfer.amount_minor, 0, Trail(transfer, None))
        self._receive(payee, transfer, [[lot] for _ in self.bookings], [None] * len(self.bookings))
        if not payee.is_sink:
            self._raise_reach(payee, transfer.amount_minor, transfer)
        if payee.claims or payee.unseen_minor:
            self._explain(payee, transfer, transfer.amount_minor)

    # --- transfers --------------------------------------------------------------------------------------------------

    def pay(self, transfer: Transfer, payer: Account, payee: Account, repays: Origin | None = None) -> Movement | None:
        """Apply a transfer. Returns what loan money it carried; None when none.

        ``repays``: the loan a repayment is for; its own money then counts as repaid.
        """
        amount = transfer.amount_minor
        taken: list[list[Lot]] | None = None
        if payer.holdings is not None:
            taken = self._take(payer, amount)
        short_minor = self._debit(payer, transfer)
        if payer.reach_minor:
            self._pass_reach(transfer, payer, payee)
        if short_minor and payer.gain is not None:
            taken, short_minor = self._take_gain(payer, taken, short_minor)
        is_unfunded = bool(short_minor or payer.unfunded_minor)
        if taken is None and (payee.holdings is None or not is_unfunded):
            if payee.holdings is not None:  # then its balance is not negative: nothing is swallowed
                self._add_own(payee, amount)
            payee.balance_minor += amount  # the common case: no loan money moves
            transfer.payee_after_minor = payee.balance_minor if payee.balance_known else None
            if is_unfunded:
                self._pass_unfunded(transfer, payee, self._claim(payer, transfer, short_minor, None))
            return None
        hop_parcels = [self._arriving(lots, transfer, payer) for lots in taken] if taken is not None else None
        movement = self._land(transfer, payee, taken, hop_parcels, repays)
        if is_unfunded:
            self._pass_unfunded(transfer, payee, self._claim(payer, transfer, short_minor, taken))
        if movement is not None and (payee.claims or payee.unseen_minor):
            self._explain(payee, transfer, sum(parcel.amount_minor for parcel in movement.parcels[0]))
        return movement

    def _land(
        self, transfer: Transfer, payee: Account, taken: list[list[Lot]] | None, arriving: list[list[Lot]] | None,
        repays: Origin | None,
    ) -> Movement | None:  # fmt: skip
        """Credit the payee with what arrives, and say what loan money that was."""
        ledgers = len(self.bookings)
        moved = arriving if arriving is not None else [[] for _ in range(ledgers)]
        self._receive(payee, transfer, moved, taken or [None] * ledgers, repays)
        parcels = [[lot for lot in lots if type(lot) is Parcel] for lots in moved]
        return Movement(transfer, parcels) if any(parcels) else None

    # --- reach and history: what the bounds are computed from -------------------------------------------------------

    def _raise_reach(self, account: Account, amount_minor: int, transfer: Transfer) -> None:
        if account.history is None:
            account.history = []
            account.history_from_seq = transfer.seq
            self._histories.append((transfer.event_time_ms, account.currency, account.account_id))
        account.reach_minor += amount_minor
        account.reach_ms = transfer.event_time_ms

    def _pass_reach(self, transfer: Transfer, payer: Account, payee: Account | None) -> None:
        """Remember a debit of an account that may hold loan money, and what of it may have gone on (None: to another book).

        When the balance has been nil since, nothing of a loan can be left: later debits need not be remembered, while
        those before stay edges of the loans' subgraphs.
        """
        history = payer.history
        assert history is not None, f"account {payer.account_id} has reach {payer.reach_minor} and no history"
        history.append(transfer)
        if len(history) > self.limits.history_transfers_max:
            drop = len(history) // 4
            payer.history_from_seq = history[drop - 1].seq + 1
            del history[:drop]
            self.counts["history_forgotten"] += drop
        if payee is not None and not payee.is_sink:
            self._raise_reach(payee, min(transfer.amount_minor, payer.reach_minor), transfer)
        if payer.balance_known and payer.balance_minor < payer.reach_minor:
            payer.reach_minor = max(0, payer.balance_minor)

    def forget_before(self, watermark_ms: int) -> None:
        """Forget histories of accounts that no loan money can have reached within the age limit."""
        oldest_ms = watermark_ms - self.limits.age_days_max * DAY_MS
        while self._histories and self._histories[0][0] < oldest_ms:
            _, currency, account_id = self._histories.popleft()
            account = self.look(account_id, currency)
            if account is None or account.history is None:
                continue
            if account.reach_ms < oldest_ms:
                self.touch(account)
                self._forget_history(account)
            else:
                self._histories.append((account.reach_ms, currency, account_id))

    def _forget_history(self, account: Account) -> None:
        account.reach_minor, account.history = 0, None

    # --- claims -----------------------------------------------------------------------------------------------------

    def _claim(self, payer: Account, transfer: Transfer, short_minor: int, taken: list[list[Lot]] | None) -> int:
        """Remember what of a debit found no money; returns how much that is."""
        if payer.unfunded_minor and transfer.event_time_ms - payer.unfunded_ms > self.limits.claim_hours_max * HOUR_MS:
            payer.unfunded_minor = 0
        labelled = sum(lot.amount_minor for lot in taken[0]) if taken is not None else 0
        chained = min(payer.unfunded_minor, transfer.amount_minor - labelled - short_minor)
        payer.unfunded_minor -= chained
        unfunded = short_minor + chained
        if unfunded <= 0:
            return 0
        payer.claims = payer.claims or []
        payer.claims.append(Claim(transfer, unfunded))
        if len(payer.claims) > self.limits.claims_max:
            del payer.claims[0]
            self.counts["claims_given_up"] += 1
        self.counts["claims"] += 1
        return unfunded

    @staticmethod
    def _pass_unfunded(transfer: Transfer, payee: Account, unfunded_minor: int) -> None:
        if unfunded_minor and not payee.is_sink:
            payee.unfunded_minor += unfunded_minor
            payee.unfunded_ms = transfer.event_time_ms

    def _explain(self, payer: Account, credit: Transfer, credited_minor: int) -> None:
        """Loan money has been credited: it funds the claims it was meant for, and explains an unseen inflow if it is late."""
        for claim in self._claims_for(payer, credit):
            credited_minor -= self._route(payer, [claim], credited_minor)
        oldest_ms = credit.event_time_ms - self.limits.claim_hours_max * HOUR_MS
        payer.claims = [
            claim for claim in payer.claims or () if claim.amount_minor and claim.transfer.event_time_ms >= oldest_ms
        ] or None
        if payer.unseen_minor and credit.event_time_ms < payer.last_ms:
            explained = min(payer.unseen_minor, credit.amount_minor, max(0, self._own_minor(payer)))
            payer.unseen_minor -= explained
            payer.unfunded_minor = max(0, payer.unfunded_minor - explained)
            self._shift_own(payer, -explained)
        self._shave(payer)
        self._forget_unlabelled(payer)

    def _route(self, payer: Account, way: list[Claim], amount: int) -> int:
        """Send loan money after the unfunded money that went this way, and on with what its payee sent on unfunded.

        Balances stay: at the last account the loan money changes places with own money. Returns how much found a place.
        """
        last = way[-1]
        payee = self.find(last.transfer.payee, payer.currency)
        amount = min(amount, last.amount_minor, payer.labelled_minor())
        if payee is None or amount <= 0:
            return 0
        placed = 0
        if len(way) < CHAIN_MAX:
            for onward in payee.claims or ():
                later = onward.transfer.event_time_ms >= last.transfer.event_time_ms
                if later and all(onward is not claim for claim in way) and placed < amount:
                    placed += self._route(payer, [*way, onward], amount - placed)
        room = amount - placed if payee.is_sink else min(amount - placed, max(0, self._own_minor(payee)))
        if room > 0:
            self._swap(payer, payee, way, room)
        return placed + max(0, room)

    def _swap(self, payer: Account, payee: Account, way: list[Claim], amount: int) -> None:
        """``amount`` of the payer's newest loan money changes places with the payee's own money."""
        parcels: list[list[list[Parcel]]] = [[[] for _ in self.bookings] for _ in way]  # per claim, per ledger
        for i in range(len(self.bookings)):
            self._swap_in(i, payer, payee, way, amount, parcels)
        for claim, movement in zip(way, parcels, strict=True):
            self.funded.append((claim, Movement(claim.transfer, movement)))
            claim.amount_minor -= amount
            if not self._is_sink(claim.transfer.payee, payer.currency):
                self._raise_reach(self.account(claim.transfer.payee, payer.currency, HELD), amount, claim.transfer)
        self.counts["claims_funded"] += len(way)
        payee.unfunded_minor = max(0, payee.unfunded_minor - amount)

    def _swap_in(
        self, i: int, payer: Account, payee: Account, way: list[Claim], amount: int, parcels: list[list[list[Parcel]]]
    ) -> None:
        for source, moved in self._draw(i, payer, way, amount, parcels):
            if self.bookings[i].ordered and not payee.is_sink:
                self._holding(i, payee).take_back(Lot(OWN, moved.amount_minor, 0, None), moved.amount_minor)
            self._settle(i, payee, moved, source, None)

    def _draw(
        self, i: int, payer: Account, way: list[Claim], amount: int, parcels: list[list[list[Parcel]]]
    ) -> Iterator[tuple[Lot, Lot]]:
        """The payer's newest loan money leaves for the end of the way, own money instead: (as it was, as it arrives)."""
        holding = payer.holdings[i] if payer.holdings is not None else None
        if holding is None:
            return
        for lot in [lot for lot in reversed(holding.lots) if lot.origin is not OWN]:  # what has just come stands last
            piece = min(amount, lot.amount_minor)
            holding.take_back(lot, piece)
            if i == 0 and not lot.origin.expired:
                lot.origin.stay(payer.place, -piece)
            if self.bookings[i].ordered and payer.balance_minor > 0:
                holding.put(Lot(OWN, piece, 0, None))
            moved, sender = lot.part(piece), payer
            for step, claim in enumerate(way):
                (moved,) = self._arriving([moved], claim.transfer, sender)
                if type(moved) is Parcel:
                    moved.origin.funded_late = True
                    parcels[step][i].append(moved)
                sender = self.account(claim.transfer.payee, payer.currency, HELD)
            yield lot.part(piece), moved
            amount -= piece
            if not amount:
                break

    # --- reversals --------------------------------------------------------------------------------------------------

    def undo(self, original: Transfer, reversal: Transfer, payer: Account, payee: Account) -> None:
        """Send a transfer back from ``payee`` to ``payer`` (the original's): what is still there returns as it was.

        With nothing between, every lot is restored. What the payee has passed on meanwhile is returned from its own money
        first, then from its lots by the booking.
        """
        amount = reversal.amount_minor
        assert 0 < amount <= original.standing_minor, f"{original.txn_id}: {amount} of {original.standing_minor} to undo"
        for account in (payer, payee):
            if account.holdings is None:
                account.holdings = [None] * len(self.bookings)
        back = [self._take_back(i, original, amount, payee) for i in range(len(self.bookings))]
        original.undone_minor += amount
        original.undone_by = [*(original.undone_by or ()), reversal]
        self._debit(payee, reversal)
        if payee.reach_minor and not payee.is_sink:
            self._pass_reach(reversal, payee, payer)
        elif payee.is_sink and payer.history is not None:
            payer.reach_minor += amount
        for i, (recalled, others) in enumerate(back):
            restored = [taken.part(found) for taken, _, found in recalled if found]
            self._put_back(i, payer, amount, restored, self._arriving(others, reversal, payee))
        payer.balance_minor += amount
        reversal.payee_after_minor = payer.balance_minor if payer.balance_known else None
        for account in (payer, payee):
            self._shave(account)
            self._forget_unlabelled(account)

    def _take_back(
        self, i: int, original: Transfer, amount: int, payee: Account
    ) -> tuple[list[tuple[Lot, int, int]], list[Lot]]:
        """Recall up to ``amount`` from the payee: (parcels as they were at the payer, other lots given instead).

        With each parcel: how much of it was to come back, and how much of that was still there.
        """
        landings = original.landings[i] if original.landings is not None else []
        own_tail = original.standing_minor - sum(landing.taken.amount_minor for landing in landings)
        wanted = amount - min(amount, own_tail)
        holding = payee.holdings[i] if payee.holdings is not None else None
        recalled: list[tuple[Lot, int, int]] = []
        while wanted and landings:
            landing = landings.pop()
            piece = min(wanted, landing.taken.amount_minor)
            if piece < landing.taken.amount_minor:
                landings.append(landing._replace(taken=landing.taken.part(landing.taken.amount_minor - piece)))
            wanted -= piece
            found = piece
            if landing.landed is not None:
                found = self._recall(payee, holding, landing.landed, piece)
            if found and landing.place and i == 0 and not landing.taken.origin.expired:
                moved = landing.landed is not None and not landing.place.startswith("dropped:")
                self._count_at(landing.taken.origin, payee.place if moved else landing.place, -found)
            recalled.append((landing.taken, piece, found))
        if payee.is_sink or holding is None:
            return recalled, []
        back = sum(found for _, _, found in recalled)
        return recalled, self._give_other(i, payee, holding, payee.balance_minor - back, amount - back)

    @staticmethod
    def _recall(payee: Account, holding: Holding | None, landed: Lot, amount_minor: int) -> int:
        """How much of a parcel that landed is still there, and taken out; an account without lots holds own money only."""
        if holding is not None:
            return holding.take_back(landed, amount_minor)
        return min(amount_minor, max(0, payee.balance_minor)) if landed.origin is OWN else 0

    def _give_other(self, i: int, payee: Account, holding: Holding, balance_minor: int, missing: int) -> list[Lot]:
        own = max(0, balance_minor - holding.labelled_minor)
        if self.bookings[i].ordered:
            missing -= holding.take_back(Lot(OWN, missing, 0, None), min(missing, own))
        else:
            missing -= min(missing, own)
        if missing <= 0:
            return []
        lots = self.bookings[i].take(holding, 0, missing)
        if i == 0:
            for lot in lots:
                if not lot.origin.expired:
                    lot.origin.stay(payee.place, -lot.amount_minor)
        return lots

    def _put_back(self, i: int, payer: Account, amount: int, restored: list[Lot], others: list[Lot]) -> None:
        """Restore parcels in the order they had, then add what is given instead of the rest; the balance is the caller's."""
        booking = self.bookings[i]
        known = payer.holdings is not None and payer.holdings[i] is not None
        if payer.is_sink:  # it has become one since: what returns is counted there
            for lot in (*restored, *others):
                self._count(i, lot, lot, payer.place, None)
            return
        if not (known or any(lot.origin is not OWN for lot in (*restored, *others))):
            return
        holding = self._holding(i, payer)
        for lot in restored:
            if lot.origin is OWN and not booking.ordered:
                continue
            if booking.newest_first:
                holding.put_back_last(lot)
            else:
                holding.put_back(lot)
            if i == 0 and not lot.origin.expired and lot.origin is not OWN:
                lot.origin.stay(payer.place, lot.amount_minor)
        for lot in others:
            self._settle(i, payer, lot, lot, None)
        own = amount - sum(lot.amount_minor for lot in restored) - sum(lot.amount_minor for lot in others)
        if booking.ordered and own:
            holding.put(Lot(OWN, own, 0, None))

    def reverse_payout(self, origin: Origin, amount_minor: int, account: Account) -> int:
        """The lender takes (part of) a payout back; returns how much of it was still the loan's own money there."""
        self.touch(account)
        reversed_minor = 0
        if account.holdings is not None:
            for i, holding in enumerate(account.holdings):
                found = self._remove_origin(holding, origin, amount_minor) if holding is not None else 0
                if i == 0:
                    reversed_minor = found
        if reversed_minor and not origin.expired:
            origin.stay(account.place, -reversed_minor)
            origin.reversed_minor += reversed_minor
        account.balance_minor = account.balance_minor - amount_minor
        if not account.balance_known and self._own_minor(account) < 0:  # it must have had more than we have seen
            self._shift_own(account, -self._own_minor(account))
        self._remember_leak(account, LENDER_ACCOUNT, amount_minor)
        self._shave(account)
        self._forget_unlabelled(account)
        return reversed_minor

    @staticmethod
    def _remove_origin(holding: Holding, origin: Origin, amount_minor: int) -> int:
        found = 0
        for lot in [lot for lot in holding.lots if lot.origin is origin]:
            if found < amount_minor:
                found += holding.take_back(lot, min(lot.amount_minor, amount_minor - found))
        return found
