"""The fold of one book among several: the engine, and what it does with payments and loans that cross books.

Read :mod:`detectors.engine` first: this says only what is different. A record is read in the book of its own account. When
the account on the other side is another book's, the transfer is halved (``_send`` and ``_credit``); what a loan's money does
away from its home is told to its home, which alone judges it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

from detectors.abroad import BookAccount, BookOrigin
from detectors.accounts import OTHER_BANK, Account
from detectors.books import Books
from detectors.configuration import Configuration
from detectors.crossing import BookTracer, Recalled, Sent
from detectors.detector import Detector
from detectors.engine import Engine, Outputs
from detectors.events import AccountTransaction, Disposition, Event, Fault, LoanDisbursement
from detectors.finding import Finding
from detectors.legs import Key
from detectors.loans import Loan, Passage
from detectors.lots import Origin, Transfer
from detectors.outbox import Outbox, books_in, tell_state
from detectors.remittance import (
    Accounted,
    Awaited,
    Collected,
    Collection,
    Correction,
    Credit,
    Facts,
    Follow,
    Funding,
    Heard,
    Item,
    Recall,
    Remittance,
    Return,
    Reversal,
    Search,
    Share,
    Unplaced,
    Usage,
)
from detectors.sendings import Sending, Sendings
from detectors.tracer import Movement, Parcel, Tracer


class Carried:
    """What a transfer of the event in hand carried of other books' loans."""

    __slots__ = ("beside_minor", "parcels", "record", "transfer")

    def __init__(self, transfer: Transfer, record: AccountTransaction) -> None:
        self.transfer = transfer
        self.record = record
        self.parcels: dict[int, list[Parcel]] = {}  # by home
        self.beside_minor: dict[int, dict[int, int]] = {}


class BookEngine(Engine):
    """The deterministic fold over the journal of one of several books.

    Args:
        configuration: as for one book.
        books: how many there are, and which one this is.
    """

    state: ClassVar[frozenset[str]] = Engine.state | {"outbox_numbers", "received", "sendings"}

    def __init__(self, configuration: Configuration, books: Books) -> None:
        self.books = books
        super().__init__(configuration)
        self.outbox = Outbox(books.own)
        self.outbox_numbers = self.outbox.numbers
        self.received: dict[int, int] = {}  # sender -> number of the last remittance that was applied
        self.sendings = Sendings(configuration.legs)
        self.carried: dict[int, Carried] = {}  # empty between events
        self._searched = ""

    def _make_tracer(self) -> Tracer:
        self.book_tracer = BookTracer(
            self.books, self.configuration.bookings, self.configuration.trace, self.configuration.fold.reversible_max
        )
        return self.book_tracer

    def _begin(self) -> None:
        super()._begin()
        assert isinstance(self.tracer, BookTracer)
        self.book_tracer = self.tracer
        self.hearers: dict[type, Callable[[Any, int, Outputs], None]] = {
            Facts: self._learn_facts,
            Follow: self._be_followed,
            Accounted: self._account,
            Credit: self._credit,
            Collection: self._collect,
            Collected: self._see_collected,
            Awaited: self._await,
            Usage: self._use,
            Correction: self._correct,
            Recall: self._recall,
            Search: self._search,
            Return: self._take_return,
            Reversal: self._learn_reversal,
            Funding: self._take_funding,
            Unplaced: self._take_unplaced,
            Heard: self._overhear,
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
        if tracer.moves or self.carried:
            self._tell_usage()
        for claim, lots, reached_by in tracer.fundings:
            transfer = claim.transfer
            if claim.record is not None:
                to = self.books.home_of(transfer.payee)
                shares = tracer.shares_of(lots)
                gid = tracer.gid_of(transfer)
                self.outbox.put(to, Funding(gid=gid, record=claim.record, shares=shares, reached_by=reached_by))
        tracer.fundings.clear()
        if tracer.touched or tracer.changes.origins:
            tell_state(tracer, self.outbox)
        if self.outbox.items:
            outputs.remittances = self.outbox.seal(self.watermark_ms or 0)

    def _tell_usage(self) -> None:
        """Each transfer to the homes of the loans it may have carried, before what has followed from it."""
        tracer = self.book_tracer
        first: dict[int, list[Item]] = {}
        for seq in {**tracer.moves, **self.carried}:
            move, carried = tracer.moves.get(seq), self.carried.get(seq)
            transfer = carried.transfer if carried is not None else move.transfer if move is not None else None
            assert transfer is not None
            bits = move.reached_by if move is not None else 0
            for home in carried.parcels if carried is not None else ():
                bits |= 1 << home
            for home in books_in(bits & ~tracer.own_bit):
                usage = self._usage(transfer, move is not None and move.in_history, carried, home)
                first.setdefault(home, []).append(usage)
        for home, items in first.items():
            self.outbox.put_first(home, items)
        tracer.moves.clear()
        self.carried.clear()

    def _usage(self, transfer: Transfer, in_history: bool, carried: Carried | None, home: int) -> Usage:
        step = self.book_tracer.step_of(transfer)
        if carried is None or home not in carried.parcels:
            return Usage(step=step, in_history=in_history)
        shares = tuple(self.book_tracer.share_of(parcel) for parcel in carried.parcels[home])
        return Usage(
            step=step, in_history=in_history, record=carried.record, shares=shares, beside_minor=carried.beside_minor[home]
        )

    # --- payments ---------------------------------------------------------------------------------------------------

    def _transact(self, txn: AccountTransaction, event_time_ms: int, outputs: Outputs) -> None:
        super()._transact(txn, event_time_ms, outputs)
        if self.tracer.funded:  # by a payout; in one book they are seen with the next transaction, too
            self._observe_funded(outputs)
        self.book_tracer.touch(self.book_tracer.account(txn.account_id, txn.currency, OTHER_BANK))

    def _move(
        self, txn: AccountTransaction, own: Account, other: Account, use: str, key: Key, event_time_ms: int, outputs: Outputs
    ) -> None:
        assert isinstance(own, BookAccount) and isinstance(other, BookAccount)
        if other.book == self.books.own:
            super()._move(txn, own, other, use, key, event_time_ms, outputs)
            self.book_tracer.touch(other)
            if txn.counterparty_account is not None and other.account_id != txn.counterparty_account:
                self._tell_firm(txn, key)
        elif txn.direction == "DEBIT":
            transfer = self._send(txn, own, other.account_id, use, event_time_ms)
            if txn.counterparty_account is not None:
                self._remember_sending(key, txn, other.book, transfer)
        else:
            received = self.received.get(other.book, -1)
            self.outbox.put(other.book, Collection(record=txn, payer=other.account_id, use=use, received=received))

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
        tracer.show(payer, _homes(origins.values()))
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
        tracer.touch(payee)
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

    def _meet_second_leg(
        self, txn: AccountTransaction, own: Account, known: Transfer, event_time_ms: int, outputs: Outputs
    ) -> None:
        before = known.payer_after_minor, known.payee_after_minor
        super()._meet_second_leg(txn, own, known, event_time_ms, outputs)
        self._tell_second_leg(own, known, before != (known.payer_after_minor, known.payee_after_minor))

    def _tell_second_leg(self, own: Account, known: Transfer, is_news: bool) -> None:
        """Whose loans it has carried must hear who owns the account; who may have to bound it, of another balance."""
        assert isinstance(own, BookAccount)
        tracer, is_payee = self.book_tracer, known.payee == own.account_id
        bits = _homes(tracer.origins_of(known.loan_numbers))
        if is_news:
            bits |= own.reached_by | own.followed_by
        if not (tracer.is_own(known.payer) and tracer.is_own(known.payee)):
            bits |= 1 << tracer.gid_of(known) % self.books.number if is_news or not is_payee else 0
        for home in books_in(bits & ~self.book_tracer.own_bit):
            self.outbox.put(home, Correction(
                gid=self.book_tracer.gid_of(known), payer_after_minor=None if is_payee else known.payer_after_minor,
                payee_after_minor=known.payee_after_minor if is_payee else None, owner_known=own.customer_id is not None,
            ))  # fmt: skip

    def _correct(self, item: Correction, sender: int, outputs: Outputs) -> None:
        transfer = self.book_tracer.find_transfer(item.gid)
        if transfer is None:
            return
        if item.payer_after_minor is not None:
            transfer.payer_after_minor = item.payer_after_minor
        if item.payee_after_minor is not None:
            transfer.payee_after_minor = item.payee_after_minor
        if item.owner_known:
            self._judge_owned(transfer, outputs)
        else:
            self.unowned.pop(transfer.seq, None)
        if self.book_tracer.is_own(transfer.payer) and self.book_tracer.is_own(transfer.payee):
            homes = _homes(self.book_tracer.origins_of(transfer.loan_numbers))
            for home in books_in(homes & ~self.book_tracer.own_bit & ~(1 << sender)):
                self.outbox.put(home, item)

    # --- loans away from home ---------------------------------------------------------------------------------------

    def _repaid_by(self, txn: AccountTransaction) -> Origin | None:
        own = super()._repaid_by(txn)
        return own or (self.book_tracer.foreign_origin(txn.related_loan_id) if txn.related_loan_id is not None else None)

    def _observe(
        self, movement: Movement, record: AccountTransaction, payer: Account, payee: Account, outputs: Outputs
    ) -> None:
        super()._observe(movement, record, payer, payee, outputs)
        for parcel in movement.parcels[0]:
            origin = parcel.origin
            if isinstance(origin, BookOrigin) and origin.home != self.books.own:
                self._carry(movement, parcel, origin, record)
        homes = _homes(parcel.origin for parcel in movement.parcels[0])
        for account in (payer, payee):
            assert isinstance(account, BookAccount)
            if account.book == self.books.own:
                self.book_tracer.show(account, homes)

    def _carry(self, movement: Movement, parcel: Parcel, origin: BookOrigin, record: AccountTransaction) -> None:
        carried = self.carried.setdefault(movement.transfer.seq, Carried(movement.transfer, record))
        carried.parcels.setdefault(origin.home, []).append(parcel)
        beside = carried.beside_minor.setdefault(origin.home, {})
        beside[origin.home_number] = movement.beside_minor(origin)

    def _use(self, item: Usage, sender: int, outputs: Outputs) -> None:
        """Another book tells of a transfer that this book's loans may have gone with."""
        tracer = self.book_tracer
        transfer = tracer.mirror(item.step, item.in_history)
        if item.record is None:
            return
        payer = tracer.account(item.step.payer, item.step.currency, OTHER_BANK)
        payee = tracer.account(item.step.payee, item.step.currency, OTHER_BANK)
        by_loan: dict[int, list[Share]] = {}
        for share in item.shares:
            by_loan.setdefault(share.number, []).append(share)
        transfer.loan_numbers = tuple({**dict.fromkeys(transfer.loan_numbers), **dict.fromkeys(by_loan)})
        for number, shares in by_loan.items():
            loan = self.lending.loan_of.get(number)
            lots = [tracer.lot_of(share, transfer) for share in shares]
            parcels = [lot for lot in lots if type(lot) is Parcel]
            if loan is not None and parcels:
                beside = item.beside_minor.get(number, 0)
                self._notice(Passage(loan, transfer, item.record, payer, payee, parcels, beside), outputs)

    def _notice(self, passage: Passage, outputs: Outputs) -> None:
        super()._notice(passage, outputs)
        hits = passage.loan.hits.values()
        waits = passage.loan.pending[-1:] == [passage] or passage.transfer.seq in self.unowned
        if waits or any(counted and counted[-1] is passage for counted in hits):
            for account in (passage.payer, passage.payee):
                self._follow(account)

    def _follow(self, account: Account) -> None:
        """Of accounts at the ends of passages that count, later traffic counts too."""
        assert isinstance(account, BookAccount)
        if account.book != self.books.own and not account.followed_by and not account.is_sink:
            account.followed_by = self.book_tracer.own_bit
            self.outbox.put(account.book, Follow(account_id=account.account_id, currency=account.currency))

    def _be_followed(self, item: Follow, sender: int, outputs: Outputs) -> None:
        account = self.book_tracer.account(item.account_id, item.currency, OTHER_BANK)
        account.followed_by |= 1 << sender
        self.book_tracer.touch(account)

    def _learn_facts(self, item: Facts, sender: int, outputs: Outputs) -> None:
        tracer = self.book_tracer
        account = tracer.account(item.account_id, item.currency, item.place, item.is_sink)
        if account.book == self.books.own:
            return  # a nameless sink, which every book has
        if not item.place:
            del tracer.accounts[item.currency][item.account_id]
            return
        account.place, account.is_sink, account.balance_known = item.place, item.is_sink, item.balance_known
        account.customer_id, account.party_id, account.kind = item.customer_id, item.party_id, item.kind
        tracer.trim_history(account, item.history_from)
        if item.traffic is not None:
            account.first_ms, account.in_count, account.in_minor, payees = (
                item.traffic.first_ms, item.traffic.in_count, item.traffic.in_minor, item.traffic.payees
            )  # fmt: skip
            account.payees = dict(payees) or None

    def _account(self, item: Accounted, sender: int, outputs: Outputs) -> None:
        loan = self.lending.loan_of.get(item.number)
        if loan is None:
            return
        assert isinstance(loan.origin, BookOrigin)
        loan.origin.hear(item.changes)
        loan.origin.funded_late = loan.origin.funded_late or item.funded_late

    def _disburse(self, event: LoanDisbursement, event_time_ms: int) -> Loan | None:
        loan = super()._disburse(event, event_time_ms)
        known = self.lending.loans.get(event.loan_id)
        if known is not None:
            self.book_tracer.touch(known.account)
        return loan

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

    # --- corrections ------------------------------------------------------------------------------------------------

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
        tracer.show(payee, _homes(lot.origin for lot in recalled.others[0]))
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
        bits |= _homes(tracer.origins_of(original.loan_numbers))
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

    # --- alerts -----------------------------------------------------------------------------------------------------

    def _hear(self, finding: Finding, detector: Detector, outputs: Outputs) -> None:
        published = len(outputs.alerts)
        super()._hear(finding, detector, outputs)
        for alert in outputs.alerts[published:]:
            heard = Heard(
                typology=alert.typology, alert_id=alert.alert_id, customer_id=finding.loan.borrower_id,
                score=finding.score if finding.stands else None,
            )  # fmt: skip
            for book in range(self.books.number):
                if book != self.books.own:
                    self.outbox.put(book, heard)

    def _overhear(self, item: Heard, sender: int, outputs: Outputs) -> None:
        self.alert_book.overhear(item.typology, item.alert_id, item.customer_id, item.score)

    def _fault_of(self, event: Event) -> Fault | None:
        return None if isinstance(event, Disposition) else super()._fault_of(event)

    def _dispose(self, event: Disposition, outputs: Outputs) -> None:
        if event.alert_id in self.loan_of_alert:
            super()._dispose(event, outputs)
        else:
            self.counts["elsewhere"] += 1  # another book's alert, or no book's


def _homes(origins: Any) -> int:
    """Bits of the books whose loans these origins are."""
    bits = 0
    for origin in origins:
        if isinstance(origin, BookOrigin):
            bits |= 1 << origin.home
    return bits


def engine_of(configuration: Configuration, books: Books) -> Engine:
    """The engine for one of so many books."""
    return Engine(configuration) if books.number == 1 else BookEngine(configuration, books)
