"""The fold: events in, alerts out. One screen from :meth:`Engine.apply` down tells the product's story.

The engine has no clock, no files and no chance in it. Time is the event time of what it is given (the *watermark* is the
latest so far); everything it depends on is its :class:`~detectors.configuration.Configuration` and its events, so the same
events in the same order give the same outputs, to the byte, live or on replay, split at any point by
:meth:`Engine.snapshot` and :meth:`Engine.restore`.
"""

from __future__ import annotations

import heapq
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from detectors import snapshot
from detectors.accounts import HELD, IN_TRANSIT, OTHER_BANK, Account
from detectors.alert import AlertBook, rfc3339
from detectors.alert_record import Alert, LoanRisk
from detectors.configuration import Configuration
from detectors.detector import Context, Detector
from detectors.events import (
    AccountTransaction,
    Disposition,
    Event,
    Fault,
    ListEntry,
    LoanDisbursement,
    PartyLink,
)
from detectors.finding import Finding
from detectors.legs import Legs
from detectors.loans import Loan, Passage
from detectors.lots import Transfer
from detectors.parties import Parties
from detectors.payouts import Half, Payouts
from detectors.recent import Recent
from detectors.ruleset import choose_rule_set
from detectors.tracer import DAY_MS, HOUR_MS, LENDER_ACCOUNT, LOAN_REPAYMENT, Movement, Tracer
from detectors.typologies import TYPOLOGIES
from detectors.uses import HUB, LENDER, LOAN_INTEREST, OTHER, POCKETS, PROPERTY, use_of

SNAPSHOT_VERSION = 1
SINK_LISTS = frozenset({HUB, PROPERTY, LENDER})
UNKNOWN_PAYEE = "UNKNOWN_PAYEE"


class Outputs:
    """What one event led to. ``status`` is ``applied``, ``duplicate`` or ``rejected`` (then ``fault`` says why)."""

    __slots__ = ("alerts", "fault", "risks", "status")

    def __init__(self, status: str = "applied", fault: Fault | None = None) -> None:
        self.status = status
        self.fault = fault
        self.alerts: list[Alert] = []
        self.risks: list[LoanRisk] = []


class Engine:
    """The deterministic fold over one journal.

    Args:
        configuration: rules, code lists and limits; see :class:`~detectors.configuration.Configuration`.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        fold = configuration.fold
        self.watermark_ms: int | None = None
        self.tracer = Tracer(configuration.bookings, configuration.trace)
        self.parties = Parties()
        self.legs = Legs(configuration.legs)
        self.payouts = Payouts(fold.payout_match_days_max)
        self.loans: dict[str, Loan] = {}
        self.loan_of: dict[int, Loan] = {}  # origin number -> loan
        self.loan_of_alert: dict[str, str] = {}
        self.alert_book = AlertBook(configuration.alerts, configuration.digest())
        self.seen: Recent[int] = Recent(fold.seen_ids_max)
        self.reversible: Recent[Transfer] = Recent(fold.reversible_max)
        self.timers: list[tuple[int, int, str, str]] = []  # (event time, number, what, loan_id), a heap
        self.timers_set = 0
        self.transits: list[tuple[int, str, str]] = []
        self.counts: Counter[str] = Counter()
        self._begin()

    def _begin(self) -> None:
        """What is made from the configuration and the state, and is no state itself."""
        self.context = Context(self.tracer, self.parties, self.configuration.codes, self.configuration.bounds)
        self.context.utc_offset_ms = self.configuration.utc_offset_minutes * 60_000
        self.detectors: list[Detector] = [make() for make in TYPOLOGIES]
        self._codes = self.configuration.codes
        self._has_lists = bool(self.parties.account_lists or self.parties.party_lists)

    # --- the main path ----------------------------------------------------------------------------------------------

    def apply(self, event: Event) -> Outputs:
        """Apply one event and return what follows from it; never raises on bad data."""
        event_time_ms = event.event_time_ms
        refused = self._refuse(event, event_time_ms)
        if refused is not None:
            return refused
        outputs = Outputs()
        self._advance(event_time_ms, outputs)
        if isinstance(event, AccountTransaction):
            self._transact(event, event_time_ms, outputs)
        elif isinstance(event, LoanDisbursement):
            self._disburse(event, event_time_ms, outputs)
        elif isinstance(event, ListEntry):
            self.parties.enter(event)
            self._has_lists = True
        elif isinstance(event, PartyLink):
            self.parties.link(event)
        elif isinstance(event, Disposition):
            self._dispose(event, outputs)
        return outputs

    def _transact(self, txn: AccountTransaction, event_time_ms: int, outputs: Outputs) -> None:
        """A deposit account's record: a leg already known, a reversal, a payout's credit, or money on its way."""
        own = self._own_account(txn)
        if (txn.reversal_flag or txn.reverses_txn_id is not None) and self._undo(txn, own, event_time_ms, outputs):
            return
        is_debit = txn.direction == "DEBIT"
        if txn.txn_type == "LOAN_CREDIT" and not is_debit:
            self._credit_payout(txn, own, event_time_ms, outputs)
            return
        other_id = txn.counterparty_account
        key = (
            (own.account_id, other_id, txn.amount_minor, txn.currency) if is_debit
            else (other_id, own.account_id, txn.amount_minor, txn.currency)
        )  # fmt: skip
        known = self.legs.match(key, txn.direction, event_time_ms, txn.end_to_end_id) if other_id is not None else None  # type: ignore[arg-type]
        if known is not None:
            self._second_leg(txn, own, known, event_time_ms)
            return
        use, other = self._counterparty(txn, own, is_debit, event_time_ms)
        self._see_balance(txn, own, event_time_ms)
        payer, payee = (own, other) if is_debit else (other, own)
        transfer = Transfer(
            self.tracer.next_seq(), txn.txn_id, event_time_ms, payer.account_id, payee.account_id, txn.amount_minor, txn.currency, use
        )
        self._note_traffic(transfer, payer, payee, event_time_ms)
        repays = self.loans.get(txn.related_loan_id) if txn.related_loan_id is not None and use == LOAN_REPAYMENT else None
        movement = self.tracer.pay(transfer, payer, payee, repays.origin if repays is not None else None)
        if other_id is not None:
            self.legs.wait(key, txn.direction, event_time_ms, txn.end_to_end_id, transfer)  # type: ignore[arg-type]
        self.reversible.put(txn.txn_id, transfer)
        if payer.claims and payer.claims[-1].transfer is transfer:
            payer.claims[-1].record = txn
        if movement is not None:
            self._observe(movement, txn, payer, payee, outputs)
        if self.tracer.funded:
            self._observe_funded(outputs)

    def _observe(self, movement: Movement, record: AccountTransaction, payer: Account, payee: Account, outputs: Outputs) -> None:
        """Tell the detectors, loan by loan, which money the transfer carried."""
        by_loan: dict[int, list[Any]] = {}
        for parcel in movement.parcels[0]:
            by_loan.setdefault(parcel.origin.number, []).append(parcel)
        movement.transfer.loan_numbers = tuple(by_loan)
        for number, parcels in by_loan.items():
            loan = self.loan_of.get(number)
            if loan is None:
                continue
            fifo = sum(parcel.amount_minor for parcel in movement.parcels[1] if parcel.origin is loan.origin) if len(movement.parcels) > 1 else 0
            passage = Passage(loan, movement.transfer, record, payer, payee, parcels, fifo)
            if loan.rule_set is not None:
                self._judge(passage, outputs)
            elif len(loan.pending) < self.configuration.fold.pending_passages_max:
                loan.pending.append(passage)
            else:
                self.counts["pending_passages_forgotten"] += 1

    def _judge(self, passage: Passage, outputs: Outputs) -> None:
        use = passage.transfer.use
        for detector in self.detectors:
            if detector.uses is None or use in detector.uses:
                for finding in detector.observe(passage, self.context):
                    self._hear(finding, detector, outputs)

    def _hear(self, finding: Finding, detector: Detector, outputs: Outputs) -> None:
        """Findings about one subject and episode become one alert, said when there is news."""
        if not finding.stands and finding.typology not in finding.loan.alerts:
            self.counts[f"cleared_{finding.typology}"] += 1
            return
        assert self.watermark_ms is not None
        alert = self.alert_book.hear(finding, detector, self.context, self.watermark_ms)
        if alert is None:
            return
        self.loan_of_alert[alert.alert_id] = finding.loan.loan_id
        outputs.alerts.append(alert)
        self._restate(finding.loan, outputs)

    # --- order and time ---------------------------------------------------------------------------------------------

    def _refuse(self, event: Event, event_time_ms: int) -> Outputs | None:
        """A record that was seen before, contradicts one, or is dated absurdly."""
        key = _identity(event, event_time_ms)
        content = zlib.crc32(msgspec.json.encode(event)) + 1  # never 0, so that it is never mistaken for absent
        before = self.seen.get(key)
        if before is not None:
            if before == content:
                self.counts["duplicates"] += 1
                return Outputs("duplicate")
            return Outputs("rejected", Fault(_id_field(event), f"{key.split(':', 1)[1]!r} was used before with other content"))
        leap_ms = self.configuration.fold.time_leap_days_max * DAY_MS
        if self.watermark_ms is not None and event_time_ms - self.watermark_ms > leap_ms:
            return Outputs("rejected", Fault("event_time", f"{event.event_time.isoformat()} is more than "
                           f"{self.configuration.fold.time_leap_days_max} days ahead of the stream ({rfc3339(self.watermark_ms)})"))  # fmt: skip
        if isinstance(event, Disposition) and event.alert_id not in self.loan_of_alert:
            return Outputs("rejected", Fault("alert_id", f"{event.alert_id!r} is no alert of a loan that is followed"))
        if isinstance(event, LoanDisbursement):
            fault = self._fault_of_disbursement(event)
            if fault is not None:
                return Outputs("rejected", fault)
        self.seen.put(key, content)
        return None

    def _fault_of_disbursement(self, event: LoanDisbursement) -> Fault | None:
        loan = self.loans.get(event.loan_id)
        if loan is None and event.event_type != "DISBURSED":
            return Fault("loan_id", f"{event.event_type} of {event.loan_id!r}, which is not a loan that is followed")
        if loan is not None and loan.account.currency != event.currency:
            return Fault("currency", f"{event.currency} where loan {event.loan_id!r} was paid out in {loan.account.currency}")
        if loan is not None and event.event_type == "CORRECTED" and loan.amount_minor != event.amount_minor:
            return Fault("amount_minor", f"CORRECTED to {event.amount_minor} from {loan.amount_minor}: reverse the payout and disburse anew")
        if loan is not None and event.event_type == "REVERSED" and event.amount_minor > loan.amount_minor:
            return Fault("amount_minor", f"REVERSED {event.amount_minor} of a loan of {loan.amount_minor}")
        return None

    def _advance(self, event_time_ms: int, outputs: Outputs) -> None:
        """Event time moves on: what is due happens, what is old is forgotten."""
        if self.watermark_ms is not None and event_time_ms <= self.watermark_ms:
            if event_time_ms < self.watermark_ms:
                self.counts["late"] += 1
            return
        self.watermark_ms = event_time_ms
        self.legs.forget_before(event_time_ms)
        self.tracer.forget_before(event_time_ms)
        while self.transits and self.transits[0][0] < event_time_ms - self.configuration.legs.memory_minutes * 60_000:
            self._end_transit(*self.transits.pop(0)[1:])
        while self.timers and self.timers[0][0] <= event_time_ms:
            _, _, what, loan_id = heapq.heappop(self.timers)
            loan = self.loans.get(loan_id)
            if loan is None:
                continue
            if what == "announce":
                self._announce(loan, None, outputs)
            else:
                self._retire(loan, outputs)

    def _set_timer(self, at_ms: int, what: str, loan_id: str) -> None:
        self.timers_set += 1
        heapq.heappush(self.timers, (at_ms, self.timers_set, what, loan_id))

    # --- loans ------------------------------------------------------------------------------------------------------

    def _disburse(self, event: LoanDisbursement, event_time_ms: int, outputs: Outputs) -> None:
        """The loan ledger's record of a payout, its reversal, or corrected particulars."""
        loan = self.loans.get(event.loan_id)
        if event.event_type != "DISBURSED":
            assert loan is not None, f"{event.event_type} of unknown loan {event.loan_id}"
            if event.event_type == "CORRECTED":
                self._learn_particulars(loan, event)
            else:
                self._reverse_payout(loan, event.amount_minor, loan.account, outputs)
            return
        account = self.tracer.account(event.disburse_account, event.currency, OTHER_BANK)
        half = self.payouts.match(
            account.account_id, event.currency, event.amount_minor, is_credit=False, loan_id=event.loan_id, event_time_ms=event_time_ms
        )
        if half is not None:
            self.counts["payouts_matched"] += 1
            self._rename(half.loan, event.loan_id)
            self._announce(half.loan, event, outputs)
            return
        transfer = self._pay_out(event.loan_id, f"disbursement:{event.loan_id}", event.amount_minor, account, event_time_ms)
        loan = self.loans[event.loan_id]
        self.payouts.wait(account.account_id, event.currency, event.amount_minor, Half(False, True, event_time_ms, loan, transfer))
        self._announce(loan, event, outputs)

    def _credit_payout(self, txn: AccountTransaction, account: Account, event_time_ms: int, outputs: Outputs) -> None:
        """The deposit account's record of a payout."""
        half = self.payouts.match(
            account.account_id, txn.currency, txn.amount_minor, is_credit=True, loan_id=txn.related_loan_id, event_time_ms=event_time_ms
        )
        if half is not None:
            self.counts["payouts_matched"] += 1
            self.reversible.put(txn.txn_id, half.transfer)
            self._second_leg(txn, account, half.transfer, event_time_ms)
            return
        self._see_balance(txn, account, event_time_ms)
        loan_id = txn.related_loan_id or f"~{txn.txn_id}"
        transfer = self._pay_out(loan_id, txn.txn_id, txn.amount_minor, account, event_time_ms)
        self.reversible.put(txn.txn_id, transfer)
        loan = self.loans[loan_id]
        names_loan = txn.related_loan_id is not None
        self.payouts.wait(account.account_id, txn.currency, txn.amount_minor, Half(True, names_loan, event_time_ms, loan, transfer))
        if loan.rule_set is None:
            self._set_timer(event_time_ms + self.configuration.fold.announce_hours_max * HOUR_MS, "announce", loan_id)

    def _pay_out(self, loan_id: str, txn_id: str, amount_minor: int, account: Account, event_time_ms: int) -> Transfer:
        """Loan money appears on the account; the loan is made when it is new."""
        loan = self.loans.get(loan_id)
        if loan is None:
            origin = self.tracer.open_origin(loan_id, event_time_ms)
            loan = self.loans[loan_id] = Loan(loan_id, origin, account, event_time_ms)
            self.loan_of[origin.number] = loan
            self._set_timer(event_time_ms + self.configuration.trace.age_days_max * DAY_MS, "retire", loan_id)
        transfer = Transfer(
            self.tracer.next_seq(), txn_id, event_time_ms, LENDER_ACCOUNT, account.account_id, amount_minor, account.currency, "LOAN"
        )
        self.tracer.pay_out(loan.origin, transfer, account)
        loan.amount_minor += amount_minor
        account.first_ms = account.first_ms or event_time_ms
        account.in_count += 1
        account.in_minor += amount_minor
        return transfer

    def _rename(self, loan: Loan, loan_id: str) -> None:
        """A payout whose credit named no loan turns out to be this one."""
        if loan.loan_id == loan_id:
            return
        del self.loans[loan.loan_id]
        loan.loan_id = loan.origin.loan_id = loan_id
        self.loans[loan_id] = loan
        self._set_timer(loan.paid_ms + self.configuration.trace.age_days_max * DAY_MS, "retire", loan_id)

    def _announce(self, loan: Loan, event: LoanDisbursement | None, outputs: Outputs) -> None:
        """The loan's particulars are known (or awaited in vain): judge it, and what was seen of it before."""
        if loan.rule_set is not None:
            return
        if event is not None:
            self._learn_particulars(loan, event)
        else:
            self.counts["loans_without_particulars"] += 1
            self._choose_rules(loan)
        pending, loan.pending = loan.pending, []
        for passage in pending:
            self._judge(passage, outputs)

    def _learn_particulars(self, loan: Loan, event: LoanDisbursement) -> None:
        loan.info = event
        loan.borrower_id = event.customer_id or loan.account.customer_id or loan.borrower_id
        if loan.borrower_id is not None and loan.account.customer_id is None:
            loan.account.customer_id = loan.borrower_id
        loan.entrusted_accounts = frozenset(payment.payee_account for payment in event.entrusted_payments)
        self._choose_rules(loan)

    def _choose_rules(self, loan: Loan) -> None:
        signed = loan.info.contract_sign_date if loan.info is not None else None
        date = signed or rfc3339(loan.paid_ms + self.context.utc_offset_ms)[:10]
        loan.rule_set, in_force = choose_rule_set(self.configuration.rule_sets, date)
        basis = f"contract signed {date}" if signed else f"no contract date; paid out {date}"
        loan.rule_why = basis if in_force else f"{basis}; no rule set was in force then, the earliest stands in"

    def _reverse_payout(self, loan: Loan, amount_minor: int, account: Account, outputs: Outputs) -> None:
        amount_minor = min(amount_minor, loan.amount_minor)
        taken = self.tracer.reverse_payout(loan.origin, amount_minor, account)
        self.counts["payouts_reversed"] += 1
        self.counts["payout_reversals_short"] += int(taken < amount_minor)

    def _retire(self, loan: Loan, outputs: Outputs) -> None:
        """The loan is too old to be followed: its last risk state is said and its memory freed."""
        loan.origin.expire()
        outputs.risks.append(self._risk(loan))
        self.payouts.forget(loan)
        del self.loans[loan.loan_id]
        del self.loan_of[loan.origin.number]
        for said in loan.alerts.values():
            self.loan_of_alert.pop(said.alert_id, None)
        self.counts["loans_retired"] += 1

    # --- accounts ---------------------------------------------------------------------------------------------------

    def _own_account(self, txn: AccountTransaction) -> Account:
        """The account whose record this is; from now on it is visible."""
        account = self.tracer.account(txn.account_id, txn.currency, HELD)
        if account.place == OTHER_BANK:
            self.tracer.move_place(account, HELD, False)
        if txn.account_kind is not None:
            account.kind = txn.account_kind
            if txn.account_kind == "INTERNAL" and not account.is_sink:
                self.tracer.move_place(account, HUB, True)
        if txn.customer_id is not None:
            account.customer_id = txn.customer_id
        return account

    def _counterparty(self, txn: AccountTransaction, own: Account, is_debit: bool, event_time_ms: int) -> tuple[str, Account]:
        """The class of use of the transfer, and the account, pocket or sink on its other side."""
        other_id = txn.counterparty_account
        listed = self._listed(other_id, txn.counterparty_party_id, event_time_ms) if self._has_lists else None
        use = use_of(txn, listed, self._codes)
        if use in POCKETS:
            firm = other_id if other_id is not None else use.lower()
            return use, self.tracer.account(f"{firm} (of {own.account_id})", txn.currency, use)
        if other_id is None or use in (LOAN_REPAYMENT, LOAN_INTEREST):
            return use, self._nameless(txn, use, event_time_ms)
        other = self.tracer.account(other_id, txn.currency, OTHER_BANK)
        if listed in SINK_LISTS and not other.is_sink:
            self.tracer.move_place(other, listed, True)  # type: ignore[arg-type]
        if txn.counterparty_party_id is not None:
            other.party_id = txn.counterparty_party_id
        return use, other

    def _listed(self, account_id: str | None, party_id: str | None, event_time_ms: int) -> str | None:
        parties = self.parties
        if account_id not in parties.account_lists and party_id not in parties.party_lists:
            return None
        for name in parties.lists_of(account_id or "", party_id, event_time_ms):
            use = self._codes.lists.get(name)
            if use is not None:
                return use
        return None

    def _nameless(self, txn: AccountTransaction, use: str, event_time_ms: int) -> Account:
        """The other side has no account: a sink by class of use, or a transit that its end-to-end id joins to the other leg."""
        if use != OTHER or txn.end_to_end_id is None:
            place = UNKNOWN_PAYEE if use == OTHER else use
            return self.tracer.account(f"~{place}", txn.currency, place, is_sink=True)
        account_id = f"~TRANSIT {txn.end_to_end_id}"
        if self.tracer.find(account_id, txn.currency) is None:
            self.transits.append((event_time_ms, account_id, txn.currency))
        return self.tracer.account(account_id, txn.currency, IN_TRANSIT)

    def _end_transit(self, account_id: str, currency: str) -> None:
        """No second leg came: the money has left by an unknown way."""
        account = self.tracer.find(account_id, currency)
        assert account is not None, f"transit {account_id} is gone before its time"
        self.tracer.move_place(account, UNKNOWN_PAYEE, True)

    def _see_balance(self, txn: AccountTransaction, own: Account, event_time_ms: int) -> None:
        if txn.balance_after_minor is None:
            return
        before = txn.balance_after_minor + (txn.amount_minor if txn.direction == "DEBIT" else -txn.amount_minor)
        self.tracer.see_balance(own, None, before, late=event_time_ms < own.last_ms)

    def _second_leg(self, txn: AccountTransaction, own: Account, transfer: Transfer, event_time_ms: int) -> None:
        """The other record of a transfer that has been applied: it only tells the account's balance."""
        self.counts["legs_matched"] += 1
        self.reversible.put(txn.txn_id, transfer)
        if txn.balance_after_minor is not None and own.last_ms <= transfer.event_time_ms:
            self.tracer.see_balance(own, None, txn.balance_after_minor, late=event_time_ms < own.last_ms)
            if transfer.payee == own.account_id:
                transfer.payee_after_minor = own.balance_minor
            elif transfer.payer == own.account_id:
                transfer.payer_after_minor = max(0, own.balance_minor)
        own.last_ms = max(own.last_ms, event_time_ms)

    def _note_traffic(self, transfer: Transfer, payer: Account, payee: Account, event_time_ms: int) -> None:
        """The small profile that rules read: first and last time, counts, sums, who paid whom."""
        amount_minor = transfer.amount_minor
        if not payer.first_ms:
            payer.first_ms = event_time_ms
        if not payee.first_ms:
            payee.first_ms = event_time_ms
        if event_time_ms > payer.last_ms:
            payer.last_ms = event_time_ms
        if event_time_ms > payee.last_ms:
            payee.last_ms = event_time_ms
        payer.out_count += 1
        payer.out_minor += amount_minor
        payee.in_count += 1
        payee.in_minor += amount_minor
        if not payer.is_sink and payer.pays(payee.account_id, event_time_ms):
            payee.payer_count += 1
            if payee.payer_count == self.configuration.fold.hub_payers_min and not payee.is_sink:
                self.counts["hubs_by_degree"] += 1
                self.tracer.move_place(payee, HUB, True)

    # --- corrections ------------------------------------------------------------------------------------------------

    def _undo(self, txn: AccountTransaction, own: Account, event_time_ms: int, outputs: Outputs) -> bool:
        """Undo the transfer that a reversal names; False when it is not known, and the record is money like any other."""
        original = self.reversible.get(txn.reverses_txn_id) if txn.reverses_txn_id is not None else None
        if original is None:
            self.counts["reversals_unmatched"] += 1
            return False
        amount_minor = min(txn.amount_minor, original.standing_minor)
        if not amount_minor or original.currency != txn.currency:
            self.counts["reversal_legs_matched"] += 1
            return True
        payee = self.tracer.account(original.payee, original.currency, OTHER_BANK)
        if original.payer == LENDER_ACCOUNT:
            loan = next((loan for loan in self.loans.values() if original in loan.origin.payouts), None)
            original.undone_minor += amount_minor
            if loan is not None:
                self._reverse_payout(loan, amount_minor, payee, outputs)
            return True
        payer = self.tracer.account(original.payer, original.currency, OTHER_BANK)
        reversal = Transfer(
            self.tracer.next_seq(), txn.txn_id, event_time_ms, payee.account_id, payer.account_id, amount_minor, txn.currency, original.use
        )
        self.tracer.undo(original, reversal, payer, payee)
        self.counts["reversals"] += 1
        own.last_ms = max(own.last_ms, event_time_ms)
        seqs = frozenset((original.seq,))
        for loan in [self.loan_of[number] for number in original.loan_numbers if number in self.loan_of]:
            for detector in self.detectors:
                for finding in detector.reconsider(loan, seqs, self.context):
                    self._hear(finding, detector, outputs)
        return True

    def _observe_funded(self, outputs: Outputs) -> None:
        """Debits that had found no money have been funded by a late credit: detectors see them now."""
        funded, self.tracer.funded = self.tracer.funded, []
        for claim, movement in funded:
            payer = self.tracer.find(claim.transfer.payer, claim.transfer.currency)
            payee = self.tracer.find(claim.transfer.payee, claim.transfer.currency)
            if claim.record is not None and payer is not None and payee is not None:
                self._observe(movement, claim.record, payer, payee, outputs)

    # --- risk states ------------------------------------------------------------------------------------------------

    def _dispose(self, event: Disposition, outputs: Outputs) -> None:
        loan = self.loans[self.loan_of_alert[event.alert_id]]
        loan.outcomes[event.alert_id] = event.outcome
        self._restate(loan, outputs)

    def _restate(self, loan: Loan, outputs: Outputs) -> None:
        risk = self._risk(loan)
        if risk.state != loan.risk_state or risk.open_alerts:
            loan.risk_state = risk.state
            outputs.risks.append(risk)

    def _risk(self, loan: Loan) -> LoanRisk:
        innocent = ("FALSE_POSITIVE", "DATA_ERROR", "APPROVED_EXCEPTION")
        standing = {code: said for code, said in loan.alerts.items() if said.status == "OPEN"}
        unsettled = {code: said for code, said in standing.items() if loan.outcomes.get(said.alert_id) not in innocent}
        if "MISUSE_CONFIRMED" in loan.outcomes.values():
            state = "CONFIRMED"
        elif any(said.severity in ("HIGH", "CRITICAL") for said in unsettled.values()):
            state = "SUSPICIOUS"
        elif unsettled:
            state = "WATCH"
        else:
            state = "CLEARED" if loan.alerts else "NORMAL"
        places = dict(loan.origin.places_minor)
        return LoanRisk(
            loan_id=loan.loan_id, customer_id=loan.borrower_id, state=state,  # type: ignore[arg-type]
            score=max((said.score for said in unsettled.values()), default=0.0), reasons=tuple(sorted(unsettled)),
            open_alerts=tuple(sorted(said.alert_id for said in unsettled.values())), currency=loan.account.currency,
            paid_out_minor=loan.origin.paid_out_minor, held_minor=places.pop(HELD, 0), left_minor=dict(sorted(places.items())),
            repaid_minor=loan.origin.repaid_minor, reversed_minor=loan.origin.reversed_minor,
            dropped_minor=dict(sorted(loan.origin.dropped_minor.items())), as_of=rfc3339(self.watermark_ms or 0),
            human_reviewed=bool(loan.outcomes), usable_for_pricing=bool(loan.outcomes),
        )  # fmt: skip

    def loan_risks(self) -> Iterator[LoanRisk]:
        """The present state of every loan that is followed, in the order of their payouts."""
        for loan in self.loans.values():
            yield self._risk(loan)

    # --- what is seen from outside ----------------------------------------------------------------------------------

    @property
    def counters(self) -> dict[str, int]:
        """Everything that was counted, by name; forgetting included."""
        total = self.counts + self.tracer.counts + self.parties.counts + self.legs.counts + self.alert_book.counts
        total["ids_forgotten"] = self.seen.forgotten
        total["reversible_forgotten"] = self.reversible.forgotten
        total["loans_followed"] = len(self.loans)
        total["accounts"] = sum(len(book) for book in self.tracer.accounts.values())
        return dict(sorted(total.items()))

    def snapshot(self) -> dict[str, Any]:
        """The state as plain data (JSON-able), complete: :meth:`restore` gives an engine with the same future."""
        state = {name: value for name, value in vars(self).items() if name in _STATE}
        return {
            "version": SNAPSHOT_VERSION,
            "configuration_digest": self.configuration.digest(),
            "state": snapshot.freeze(state),
            "detectors": {detector.code: dict(detector.snapshot()) for detector in self.detectors},
        }

    @classmethod
    def restore(cls, configuration: Configuration, data: Mapping[str, Any]) -> Engine:
        """The engine whose snapshot this is.

        Raises:
            ValueError: another snapshot version or another configuration; fold the events again.
        """
        if data["version"] != SNAPSHOT_VERSION:
            raise ValueError(f"snapshot version {data['version']} where this engine writes {SNAPSHOT_VERSION}: fold the events again")
        if data["configuration_digest"] != configuration.digest():
            raise ValueError(f"snapshot of configuration {data['configuration_digest']}, not {configuration.digest()}: fold the events again")
        engine = cls(configuration)
        vars(engine).update(snapshot.thaw(data["state"], configuration.rule_sets))
        engine._begin()
        for detector in engine.detectors:
            detector.restore(data["detectors"][detector.code])
        return engine


_STATE = frozenset({
    "alert_book", "counts", "legs", "loan_of", "loan_of_alert", "loans", "parties", "payouts", "reversible", "seen", "timers",
    "timers_set", "tracer", "transits", "watermark_ms",
})  # fmt: skip


def _identity(event: Event, event_time_ms: int) -> str:
    """What makes two records the same record: the event id, else the business id; records without either, their content."""
    if isinstance(event, AccountTransaction):
        return f"txn:{event.event_id or event.txn_id}"
    kind = type(event).__name__
    if event.event_id is not None:
        return f"{kind}:{event.event_id}"
    if isinstance(event, LoanDisbursement):
        return f"{kind}:{event.loan_id}/{event.event_type}/{event_time_ms}"
    return f"{kind}:{msgspec.json.encode(event).decode()}"


def _id_field(event: Event) -> str:
    if event.event_id is not None:
        return "event_id"
    return "txn_id" if isinstance(event, AccountTransaction) else "loan_id"
