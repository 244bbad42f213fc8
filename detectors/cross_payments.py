"""Payments that cross books: the engine sends its half to the payee's book and takes the other halves of what others send.

Read :mod:`detectors.engine` first: this says only what is different. A record is read in the book of its own account.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

from detectors.abroad import BookAccount, BookOrigin
from detectors.accounts import OTHER_BANK, Account
from detectors.books import Books
from detectors.configuration import Configuration
from detectors.crossing import BookTracer, Sent
from detectors.engine import Engine, Outputs
from detectors.events import AccountTransaction, Event, Fault, Tick
from detectors.legs import Key
from detectors.lots import Transfer
from detectors.outbox import Outbox, tell_state
from detectors.remittance import (
    Awaited,
    Collected,
    Collection,
    Credit,
    Funding,
    Remittance,
    Unplaced,
)
from detectors.sendings import Sending, Sendings
from detectors.tracer import Parcel, Tracer


class CrossPayments(Engine):
    """The engine of one book, as far as money crosses books; it follows loans of its own and knows nothing of others'.

    Args:
        configuration: as for one book.
        books: how many there are, and which one this is.
    """

    is_one_of_many: ClassVar[bool] = True
    state: ClassVar[frozenset[str]] = Engine.state | {"outbox_numbers", "received", "sendings"}

    def __init__(self, configuration: Configuration, books: Books) -> None:
        self.books = books
        super().__init__(configuration)
        self.outbox = Outbox(books.own)
        self.outbox_numbers = self.outbox.numbers
        self.received: dict[int, int] = {}  # sender -> number of the last remittance that was applied
        self.sendings = Sendings(configuration.legs)
        self._firm_awaited: Key | None = None  # of the record in hand: a firm of another book may have one, too

    def _make_tracer(self) -> Tracer:
        self.book_tracer = BookTracer(
            self.books, self.configuration.bookings, self.configuration.trace, self.configuration.fold.reversible_max
        )
        return self.book_tracer

    def begin(self) -> None:
        super().begin()
        assert isinstance(self.tracer, BookTracer)
        self.book_tracer = self.tracer
        self.hearers: dict[type, Callable[[Any, int, Outputs], None]] = {
            Credit: self._credit,
            Collection: self._collect,
            Collected: self._see_collected,
            Awaited: self._await,
            Funding: self._take_funding,
            Unplaced: self._take_unplaced,
        }

    @classmethod
    def _make(cls, configuration: Configuration, data: Mapping[str, Any]) -> Self:
        return cls(configuration, Books(**data["books"]))

    def snapshot(self) -> dict[str, Any]:
        """The state as plain data, and which book it is of."""
        books = {"number": self.books.number, "own": self.books.own, "pattern": self.books.pattern}
        return {**super().snapshot(), "books": books}

    @classmethod
    def restore(cls, configuration: Configuration, data: Mapping[str, Any]) -> Self:
        """The engine whose snapshot this is; ``books`` are the snapshot's."""
        engine = super().restore(configuration, data)
        engine.outbox.numbers = engine.outbox_numbers
        return engine

    # --- in and out -------------------------------------------------------------------------------------------------

    def apply(self, event: Event, event_time_ms: int | None = None) -> Outputs:
        """As in one book; ``remittances`` of the outputs are for other books' journals."""
        outputs = super().apply(event, event_time_ms)
        if type(event) is Tick and outputs.status == "applied":
            self.book_tracer.hear_time(self.book_tracer.now_ms)
        self._post(outputs)
        return outputs

    def receive(self, remittance: Remittance) -> Outputs:
        """Apply what another book has sent. A number that has come before is a duplicate and changes nothing."""
        if remittance.to != self.books.own:
            return Outputs("rejected", Fault("to", f"{remittance.to} where this is book {self.books.own}"))
        if remittance.number <= self.received.get(remittance.sender, -1):
            self.counts["remittances_repeated"] += 1
            return Outputs("duplicate")
        self.received[remittance.sender] = remittance.number
        outputs = Outputs()
        if self.watermark_ms is None or remittance.watermark_ms > self.watermark_ms:
            self._advance(remittance.watermark_ms, outputs)
            self.book_tracer.hear_time(remittance.watermark_ms)
        self.counts["remittances"] += 1
        for item in remittance.items:
            self.hearers[type(item)](item, remittance.sender, outputs)
        self._post(outputs)
        return outputs

    def _advance(self, event_time_ms: int, outputs: Outputs) -> None:
        self.book_tracer.now_ms = max(self.book_tracer.now_ms, event_time_ms)
        super()._advance(event_time_ms, outputs)

    def _sweep(self, event_time_ms: int, outputs: Outputs) -> None:
        super()._sweep(event_time_ms, outputs)
        self.sendings.forget_before(event_time_ms)

    def _post(self, outputs: Outputs) -> None:
        """The event is done: tell the others."""
        tracer = self.book_tracer
        for claim, lots, reached_by in tracer.fundings:
            transfer = claim.transfer
            if claim.record is not None:
                to = self.books.home_of(transfer.payee)
                shares = tracer.shares_of(lots)
                gid = tracer.gid_of(transfer)
                self.outbox.put(to, Funding(gid=gid, record=claim.record, shares=shares, reached_by=reached_by))
        tracer.fundings.clear()
        if tracer.to_retell or tracer.changes.origins:
            tell_state(tracer, self.outbox)
        if self.outbox.items:
            outputs.remittances = self.outbox.seal(self.watermark_ms or 0)

    # --- payments ---------------------------------------------------------------------------------------------------

    def _transact(self, txn: AccountTransaction, event_time_ms: int, outputs: Outputs) -> None:
        super()._transact(txn, event_time_ms, outputs)
        if self._firm_awaited is not None:
            self._tell_firm(txn, self._firm_awaited)
            self._firm_awaited = None
        if self.tracer.funded:  # by a payout; in one book they are seen with the next transaction, too
            self._observe_funded(outputs)
        self.book_tracer.retell(self.book_tracer.account(txn.account_id, txn.currency, OTHER_BANK))

    def _cross(self, txn: AccountTransaction, own: Account, other: Account, use: str, key: Key, event_time_ms: int) -> bool:
        assert isinstance(own, BookAccount) and isinstance(other, BookAccount)
        if other.book == self.books.own:
            self.book_tracer.retell(other)
            if txn.counterparty_account is not None and other.account_id != txn.counterparty_account:
                self._firm_awaited = key
            return False
        if txn.direction == "DEBIT":
            transfer = self._send(txn, own, other.account_id, use, event_time_ms)
            if txn.counterparty_account is not None:
                self._remember_sending(key, txn, other.book, transfer)
        else:
            received = self.received.get(other.book, -1)
            self.outbox.put(other.book, Collection(record=txn, payer=other.account_id, use=use, received=received))
        return True

    def _remember_sending(self, key: Key, txn: AccountTransaction, to: int, transfer: Transfer) -> None:
        number = self.outbox.numbers.get(to, 0)
        sending = Sending(txn.direction, number, transfer.event_time_ms, txn.end_to_end_id, transfer)
        self.sendings.add(key, sending)

    def _tell_firm(self, txn: AccountTransaction, key: Key) -> None:
        """A pocket or a sink stands for the account that the record names; the account's own record is a second leg."""
        assert txn.counterparty_account is not None
        book, transfer = self.books.of(txn.counterparty_account), self.reversible.get(txn.txn_id)
        if book != self.books.own and transfer is not None:
            step = self.book_tracer.plain_step_of(transfer)
            self.outbox.put(book, Awaited(
                step=step, side=txn.direction, payer=key[0], payee=key[1], end_to_end_id=txn.end_to_end_id
            ))  # fmt: skip
            self.book_tracer.keep(transfer, False)
            self._remember_sending(key, txn, book, transfer)

    def _await(self, item: Awaited, sender: int, outputs: Outputs) -> None:
        """Another book's customer has paid a firm of this book, or was paid by it."""
        tracer, step = self.book_tracer, item.step
        name = step.payee if item.side == "DEBIT" else step.payer
        pocket = BookAccount(name, step.currency, OTHER_BANK, False, sender)  # of the other book; only the leg knows it
        key = (item.payer, item.payee, step.amount_minor, step.currency)
        transfer = tracer.transfer_of(step, False)
        self.legs.wait(key, item.side, step.event_time_ms, item.end_to_end_id, transfer, pocket)

    def _send(self, txn: AccountTransaction, payer: BookAccount, payee: str, use: str, event_time_ms: int) -> Transfer:
        """Money of this book goes to an account of another."""
        tracer = self.book_tracer
        transfer = Transfer(
            tracer.next_seq(), txn.txn_id, event_time_ms, payer.account_id, payee, txn.amount_minor, txn.currency, use
        )
        is_new_payer = self.places.note_sent(transfer, payer)
        sent = tracer.send(transfer, payer)
        self.reversible.put(txn.txn_id, transfer)
        if payer.claims and payer.claims[-1].transfer is transfer:
            payer.claims[-1].record = txn
        origins = {parcel.origin.number: parcel.origin for parcel in (sent.lots or [[]])[0] if type(parcel) is Parcel}
        transfer.loan_numbers = tuple(origins)
        tracer.keep(transfer, bool(origins or sent.reached_by or sent.unfunded_minor))
        tracer.show(payer, homes_of(origins.values()))
        shares = tracer.shares_of(sent.lots) if sent.lots is not None else ()
        self.outbox.put(self.books.home_of(payee), Credit(
            step=tracer.plain_step_of(transfer), record=txn, shares=shares, is_new_payer=is_new_payer,
            received=self.received.get(self.books.home_of(payee), -1),
            reach_minor=sent.reach_minor, reached_by=sent.reached_by, unfunded_minor=sent.unfunded_minor,
        ))  # fmt: skip
        return transfer

    def _credit(self, item: Credit, sender: int, outputs: Outputs) -> None:
        """Money of another book comes to an account of this one."""
        tracer, step, record = self.book_tracer, item.step, item.record
        is_debit = record.direction == "DEBIT"
        if is_debit and not item.shares and self._was_told(record, step.payer, step.payee, item.received) is not None:
            return  # a firm's own record of what its customer's has told; a firm's account holds no lots
        if is_debit:
            self.places.host(record, step.payee, step.use, step.event_time_ms)
        payee = tracer.account(step.payee, step.currency, OTHER_BANK)
        payer = tracer.account(step.payer, step.currency, OTHER_BANK)
        lasting = bool(item.shares or item.reached_by or item.unfunded_minor)
        transfer = tracer.transfer_of(step, lasting)
        self.places.note_received(transfer, payee, item.is_new_payer)
        lots = tracer.lots_of(item.shares, transfer) if item.shares else None
        movement = tracer.land(transfer, payee, Sent(lots, item.reach_minor, item.reached_by, item.unfunded_minor))
        if is_debit and record.counterparty_account is not None:
            key = (step.payer, step.payee, step.amount_minor, step.currency)
            self.legs.wait(key, "DEBIT", step.event_time_ms, record.end_to_end_id, transfer, payee)
        self.reversible.put(step.txn_id, transfer)
        tracer.retell(payee)
        if movement is not None:
            self._observe(movement, record, payer, payee, outputs)
        if tracer.funded:
            self._observe_funded(outputs)

    def _collect(self, item: Collection, sender: int, outputs: Outputs) -> None:
        """Another book's account shows money from one of this book, whose own record has not come."""
        record = item.record
        event_time_ms = record.event_time_ms
        told = self._was_told(record, item.payer, record.account_id, item.received)
        if told is not None:
            self.outbox.put(sender, Collected(gid=self.book_tracer.gid_of(told), record=record))
            return
        payer = self.places.host(record, item.payer, item.use, event_time_ms)
        assert isinstance(payer, BookAccount)
        transfer = self._send(record, payer, record.account_id, item.use, event_time_ms)
        if record.counterparty_account is not None:
            key = (item.payer, record.account_id, record.amount_minor, record.currency)
            self.legs.wait(key, "CREDIT", event_time_ms, record.end_to_end_id, transfer, payer)

    def _was_told(self, record: AccountTransaction, payer: str, payee: str, received: int) -> Transfer | None:
        """The payment of a record, when the record's book has been told of it but had not heard."""
        key = (payer, payee, record.amount_minor, record.currency)
        known = self.sendings.match(key, record.direction, received, record.event_time_ms, record.end_to_end_id)
        if known is not None:
            self.counts["legs_crossed"] += 1
            self.reversible.put(record.txn_id, known)
        return known

    def _see_collected(self, item: Collected, sender: int, outputs: Outputs) -> None:
        """The record that was collected for is the second leg of what has come meanwhile."""
        record, tracer = item.record, self.book_tracer
        known = tracer.find_transfer(item.gid)
        if known is None:
            return
        key = (known.payer, known.payee, record.amount_minor, record.currency)
        self.legs.match(key, record.direction, record.event_time_ms, record.end_to_end_id)
        own = tracer.account(record.account_id, record.currency, OTHER_BANK)
        self._meet_second_leg(record, own, known, record.event_time_ms, outputs)

    # --- late credits -----------------------------------------------------------------------------------------------

    def _take_funding(self, item: Funding, sender: int, outputs: Outputs) -> None:
        """A payment that had found no money when it was made has been funded in the payer's book."""
        tracer = self.book_tracer
        transfer = tracer.find_transfer(item.gid)
        if transfer is None:
            self.outbox.put(sender, Unplaced(gid=item.gid, shares=item.shares))
            return
        payee = tracer.account(transfer.payee, transfer.currency, OTHER_BANK)
        payer = tracer.account(transfer.payer, transfer.currency, OTHER_BANK)
        movement, unplaced = tracer.fund(transfer, payee, tracer.lots_of(item.shares, transfer), item.reached_by)
        if any(unplaced):
            self.outbox.put(sender, Unplaced(gid=item.gid, shares=tracer.shares_of(unplaced)))
        if any(movement.parcels):
            self._observe(movement, item.record, payer, payee, outputs)
        self._observe_funded(outputs)

    def _take_unplaced(self, item: Unplaced, sender: int, outputs: Outputs) -> None:
        tracer = self.book_tracer
        transfer = tracer.find_transfer(item.gid)
        assert transfer is not None, f"a funding of {item.gid} came back and is not known"
        account = tracer.account(transfer.payer, transfer.currency, OTHER_BANK)
        tracer.keep_unplaced(account, tracer.lots_of(item.shares, transfer))
        self.counts["fundings_unplaced"] += 1


def homes_of(origins: Any) -> int:
    """Bits of the books whose loans these origins are."""
    bits = 0
    for origin in origins:
        if isinstance(origin, BookOrigin):
            bits |= 1 << origin.home
    return bits
