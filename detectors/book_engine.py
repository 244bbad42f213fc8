"""The fold of one book among several: the engine, and what it does with payments and loans that cross books.

:mod:`detectors.cross_payments` moves money between books and :mod:`detectors.cross_reversals` undoes that. Here what a
loan's money does away from its home is told to its home, which alone judges it.
"""

from __future__ import annotations

from detectors.abroad import BookAccount, BookOrigin
from detectors.accounts import OTHER_BANK, Account
from detectors.books import Books
from detectors.configuration import Configuration
from detectors.cross_payments import homes_of
from detectors.cross_reversals import CrossReversals
from detectors.detector import Described
from detectors.engine import Engine, Outputs
from detectors.events import AccountTransaction, Disposition, Event, Fault, LoanDisbursement
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.lots import Origin, Transfer
from detectors.outbox import books_in
from detectors.remittance import (
    Accounted,
    Correction,
    Facts,
    Follow,
    Heard,
    Item,
    Share,
    Usage,
)
from detectors.tracer import Movement, Parcel


class Carried:
    """What a transfer of the event in hand carried of other books' loans."""

    __slots__ = ("beside_minor", "parcels", "record", "transfer")

    def __init__(self, transfer: Transfer, record: AccountTransaction) -> None:
        self.transfer = transfer
        self.record = record
        self.parcels: dict[int, list[Parcel]] = {}  # by home
        self.beside_minor: dict[int, dict[int, int]] = {}


class BookEngine(CrossReversals):
    """The deterministic fold over the journal of one of several books.

    Args:
        configuration: as for one book.
        books: how many there are, and which one this is.
    """

    def __init__(self, configuration: Configuration, books: Books) -> None:
        super().__init__(configuration, books)
        self.carried: dict[int, Carried] = {}  # empty between events

    def begin(self) -> None:
        super().begin()
        self.hearers |= {
            Facts: self._learn_facts,
            Follow: self._be_followed,
            Accounted: self._account,
            Usage: self._use,
            Correction: self._correct,
            Heard: self._overhear,
        }

    def _post(self, outputs: Outputs) -> None:
        if self.book_tracer.moves or self.carried:
            self._tell_usage()
        super()._post(outputs)

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
        homes = homes_of(parcel.origin for parcel in movement.parcels[0])
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
        self.book_tracer.retell(account)

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
            account.payees, account.payer_count = dict(payees) or None, item.traffic.payer_count

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
            self.book_tracer.retell(known.account)
        return loan

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
        bits = homes_of(tracer.origins_of(known.loan_numbers))
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
            homes = homes_of(self.book_tracer.origins_of(transfer.loan_numbers))
            for home in books_in(homes & ~self.book_tracer.own_bit & ~(1 << sender)):
                self.outbox.put(home, item)

    # --- alerts -----------------------------------------------------------------------------------------------------

    def _hear(self, finding: Finding, detector: Described, outputs: Outputs) -> None:
        published = len(outputs.alerts)
        super()._hear(finding, detector, outputs)
        for alert in outputs.alerts[published:]:
            heard = Heard(
                typology=alert.typology, alert_id=alert.alert_id, customer_id=alert.subject.customer_id,
                score=finding.score if finding.stands else None,
            )  # fmt: skip
            for book in range(self.books.number):
                if book != self.books.own:
                    self.outbox.put(book, heard)

    def _overhear(self, item: Heard, sender: int, outputs: Outputs) -> None:
        self.alert_book.overhear(item.typology, item.alert_id, item.customer_id, item.score)

    def _fault_of(self, event: Event, event_time_ms: int) -> Fault | None:
        if isinstance(event, Disposition) and self._since_ms(event) is None:
            return None  # another book's, or no book's
        return super()._fault_of(event, event_time_ms)

    def _dispose(self, event: Disposition, event_time_ms: int, outputs: Outputs) -> None:
        if self._since_ms(event) is not None:
            super()._dispose(event, event_time_ms, outputs)
        else:
            self.counts["elsewhere"] += 1


def engine_of(configuration: Configuration, books: Books) -> Engine:
    """The engine for one of so many books."""
    return Engine(configuration) if books.number == 1 else BookEngine(configuration, books)
