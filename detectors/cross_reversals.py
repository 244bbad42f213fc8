"""Reversals of payments that crossed books: the payee's book gives back what is there, the payer's restores what had left."""

from __future__ import annotations

from detectors.accounts import OTHER_BANK, Account
from detectors.cross_payments import CrossPayments, homes_of
from detectors.crossing import Recalled
from detectors.engine import Outputs
from detectors.events import AccountTransaction
from detectors.lots import Transfer
from detectors.outbox import books_in
from detectors.remittance import (
    Recall,
    Return,
    Reversal,
    Search,
)


class CrossReversals(CrossPayments):
    """The engine of one book that undoes payments between books, too."""

    def begin(self) -> None:
        super().begin()
        self._searched = ""  # the record that no other book's record explains, while it is applied
        self.hearers |= {
            Recall: self._recall,
            Search: self._search,
            Return: self._take_return,
            Reversal: self._learn_reversal,
        }

    def _undo(self, txn: AccountTransaction, own: Account, event_time_ms: int, outputs: Outputs) -> bool:
        name, other = txn.reverses_txn_id, txn.counterparty_account
        if name is not None and other is not None and self._searched != txn.txn_id and self.reversible.get(name) is None:
            book = self.books.home_of(other)
            if book != self.books.own:
                self.outbox.put(book, Search(record=txn))
                return True
        return super()._undo(txn, own, event_time_ms, outputs)

    def _search(self, item: Search, sender: int, outputs: Outputs) -> None:
        """Another book's record reverses one that only this book may know."""
        record, tracer = item.record, self.book_tracer
        if item.answered:
            self._searched = record.txn_id
            self._transact(record, record.event_time_ms, outputs)
            self._searched = ""
            return
        if self.reversible.get(record.reverses_txn_id or "") is None:
            self.outbox.put(sender, Search(record=record, answered=True))
            return
        own = tracer.account(record.account_id, record.currency, OTHER_BANK)
        super()._undo(record, own, record.event_time_ms, outputs)

    def _reverse(
        self, original: Transfer, txn: AccountTransaction, amount_minor: int, event_time_ms: int, outputs: Outputs
    ) -> None:
        tracer = self.book_tracer
        keeper = tracer.keeper_of(original.payee, original)
        if keeper != self.books.own:
            self.outbox.put(keeper, Recall(gid=tracer.gid_of(original), record=txn))
        elif tracer.keeper_of(original.payer, original) != self.books.own:
            self._send_back(original, txn, amount_minor, event_time_ms)
        else:
            super()._reverse(original, txn, amount_minor, event_time_ms, outputs)
            assert original.undone_by is not None
            reversal = original.undone_by[-1]
            move = tracer.moves.pop(reversal.seq, None)
            self._tell_reversal(original, reversal, move is not None)

    def _recall(self, item: Recall, sender: int, outputs: Outputs) -> None:
        """The payer's book asks for the money of a reversed transfer."""
        record = item.record
        original = self.book_tracer.find_transfer(item.gid)
        amount_minor = min(record.amount_minor, original.standing_minor) if original is not None else 0
        if original is None or not amount_minor:
            self.counts["reversal_legs_matched" if original is not None else "reversals_unmatched"] += 1
        elif not self._is_second_reversal(f"{original.seq}/{amount_minor}", record.account_id):
            self._reverse(original, record, amount_minor, record.event_time_ms, outputs)

    def _send_back(self, original: Transfer, txn: AccountTransaction, amount_minor: int, event_time_ms: int) -> None:
        """The payee's half of a reversal."""
        tracer = self.book_tracer
        payee = tracer.account(original.payee, original.currency, OTHER_BANK)
        reversal = self._reversal_of(original, txn, amount_minor, event_time_ms)
        recalled = tracer.recall(original, reversal, payee)
        tracer.keep(reversal, True)
        tracer.show(payee, homes_of(lot.origin for lot in recalled.others[0]))
        self.outbox.put(self.books.home_of(original.payer), Return(
            gid=tracer.gid_of(original), step=tracer.step_of(reversal), record=txn,
            recalled=tuple(tuple(pieces) for pieces in recalled.pieces), others=tracer.shares_of(recalled.others),
            reach_minor=recalled.reach_minor, reached_by=recalled.reached_by, from_sink=payee.is_sink,
        ))  # fmt: skip

    def _take_return(self, item: Return, sender: int, outputs: Outputs) -> None:
        """The payer's half of a reversal; then all who may have followed the original hear of it."""
        tracer = self.book_tracer
        original = tracer.find_transfer(item.gid) or tracer.forgotten(item.gid, item.step)
        payer = tracer.account(original.payer, original.currency, OTHER_BANK)
        reversal = tracer.transfer_of(item.step)
        self._is_second_reversal(f"{original.seq}/{reversal.amount_minor}", item.record.account_id)
        pieces = [list(ledger) for ledger in item.recalled]
        recalled = Recalled(pieces, tracer.lots_of(item.others, reversal), item.reach_minor, item.reached_by)
        tracer.give_back(original, reversal, payer, recalled, item.from_sink)
        self.counts["reversals"] += 1
        if item.reached_by & tracer.own_bit:
            tracer.mirror(tracer.plain_step_of(reversal), True)
        self._reconsider(original, outputs)
        self._tell_reversal(original, reversal, bool(item.reached_by))

    def _tell_reversal(self, original: Transfer, reversal: Transfer, in_history: bool) -> None:
        tracer = self.book_tracer
        bits = 0
        for account_id in (original.payer, original.payee):
            account = tracer.account(account_id, original.currency, OTHER_BANK)
            bits |= account.reached_by | account.followed_by
        bits |= homes_of(tracer.origins_of(original.loan_numbers))
        step = tracer.step_of(reversal)
        for home in books_in(bits & ~tracer.own_bit):
            self.outbox.put(home, Reversal(gid=tracer.gid_of(original), step=step, in_history=in_history))

    def _learn_reversal(self, item: Reversal, sender: int, outputs: Outputs) -> None:
        tracer = self.book_tracer
        reversal = tracer.mirror(item.step, item.in_history)
        original = tracer.find_transfer(item.gid)
        if original is None:
            return
        if all(undo is not reversal for undo in original.undone_by or ()):
            original.undone_minor += reversal.amount_minor
            original.undone_by = [*(original.undone_by or ()), reversal]
        self._reconsider(original, outputs)
