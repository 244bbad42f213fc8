"""The fold: events in, alerts out. One screen from :meth:`Engine.apply` down tells the product's story.

The engine has no clock, no files and no chance in it. Time is the event time of what it is given (the *watermark* is the
latest so far); everything it depends on is its :class:`~detectors.configuration.Configuration` and its events, so the same
events in the same order give the same outputs, to the byte, live or on replay, split at any point by
:meth:`Engine.snapshot` and :meth:`Engine.restore`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from detectors import snapshot
from detectors.accounts import OTHER_BANK, Account
from detectors.alert import AlertBook
from detectors.alert_record import Alert, LoanRisk, PortfolioShare
from detectors.bounds import Bounds, whereabouts
from detectors.calibration import Calibration
from detectors.configuration import Configuration
from detectors.dealings import Dealings
from detectors.detector import AGAIN, Context, Described, Detector, Payment
from detectors.dispositions import LESSONS, Outcomes, subject_of
from detectors.events import AccountTransaction, Disposition, Event, Fault, ListEntry, LoanDisbursement, PartyEvent, PartyLink
from detectors.finding import Finding
from detectors.groups import Group, Groups
from detectors.identity import fingerprint, id_field, identifier
from detectors.instants import rfc3339
from detectors.learners.score import LoanScore, PaymentScore
from detectors.learners.triage import Triage
from detectors.legs import Key, Legs
from detectors.lending import ANNOUNCE, FORGET, RETIRE, Lending
from detectors.loans import LOAN_ITSELF, Loan, Passage, Published
from detectors.lots import Origin, Transfer
from detectors.panel import Panel
from detectors.parties import Parties
from detectors.places import Places
from detectors.portfolio import Portfolio
from detectors.recent import Recent
from detectors.remittance import Remittance
from detectors.risk import risk_of, state_of
from detectors.suspects import Episode, Suspects, SuspiciousPayment, finding_of
from detectors.tracer import DAY_MS, LENDER_ACCOUNT, LOAN_REPAYMENT, Movement, Parcel, Tracer
from detectors.typologies import TYPOLOGIES

ENGINE_VERSION = "3"
"""Changes whenever the same events may lead to other outputs; a checkpoint of another version is not folded on."""

SNAPSHOT_VERSION = 4
SWEEP_MS = 60_000
"""How often, in event time, the fold looks for what is due or old."""


class Outputs:
    """What one event led to. ``status`` is ``applied``, ``duplicate`` or ``rejected`` (then ``fault`` says why)."""

    __slots__ = ("alerts", "fault", "loan_scores", "movements", "portfolio", "remittances", "risks", "scores", "status")

    def __init__(self, status: str = "applied", fault: Fault | None = None) -> None:
        self.status = status
        self.fault = fault
        self.alerts: tuple[Alert, ...] = ()
        self.risks: tuple[LoanRisk, ...] = ()
        self.portfolio: tuple[PortfolioShare, ...] = ()
        self.movements: tuple[Movement, ...] = ()  # what loan money the event moved; for whoever follows the money itself
        self.remittances: tuple[Remittance, ...] = ()  # for other books; none where there is one book
        self.loan_scores: tuple[LoanScore, ...] = ()  # of loans whose score has risen
        self.scores: tuple[PaymentScore, ...] = ()  # of a payment from account to account, made before it taught anything


class Engine:
    """The deterministic fold over one journal.

    Args:
        configuration: rules, code lists and limits; see :class:`~detectors.configuration.Configuration`.
    """

    state: ClassVar[frozenset[str]] = frozenset({
        "alert_book", "counts", "dealings", "groups", "legs", "lending", "next_sweep_ms", "outcomes", "parties", "places",
        "portfolio",
        "reversal_legs", "reversible", "seen", "subject_of_alert", "suspects", "tracer", "unowned", "watermark_ms",
    })  # fmt: skip
    """What a snapshot holds; all else is made from it and the configuration."""
    typologies: ClassVar[Sequence[type[Detector]]] = TYPOLOGIES
    """The detectors there are; the configuration may name some of them."""
    is_one_of_many: ClassVar[bool] = False
    """Whether there are other books."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        fold = configuration.fold
        self.watermark_ms: int | None = None
        self.next_sweep_ms = 0
        self.tracer = self._make_tracer()
        self.parties = Parties(configuration.parties)
        self.places = Places(self.tracer, self.parties, configuration.codes, fold.hub_payers_min)
        self.legs = Legs(configuration.legs)
        self.lending = Lending(configuration, self.tracer)
        self.alert_book = AlertBook(configuration.alerts, configuration.digest())
        self.dealings = Dealings(configuration.dealings)
        self.groups = Groups(configuration.groups)
        self.portfolio = Portfolio(configuration.portfolio, configuration.utc_offset_minutes)
        self.subject_of_alert: dict[str, Loan | Group] = {}
        self.outcomes = Outcomes(configuration.dispositions)
        self.seen: Recent[int] = Recent(fold.seen_ids_max)
        self.reversible: Recent[Transfer] = Recent(fold.reversible_max)
        self.unowned: dict[int, list[Passage]] = {}  # by transfer: passages to accounts whose owner the other leg may tell
        self.reversal_legs: Recent[str] = Recent(fold.reversible_max)
        self.counts: Counter[str] = Counter()
        self.triage = Triage(configuration.learning)
        self.suspects = Suspects(configuration.budget)
        ranks = self.suspects.budget.is_open
        self.calibration = Calibration(configuration.calibration, configuration.drift, ranks=ranks)
        self.begin()

    def _make_tracer(self) -> Tracer:
        return Tracer(self.configuration.bookings, self.configuration.trace)

    def begin(self) -> None:
        """What is made from the configuration and the state, and is no state itself."""
        self.context = Context(self.tracer, self.parties, self.configuration.codes, self.configuration.bounds)
        self.context.utc_offset_ms = self.configuration.utc_offset_minutes * 60_000
        self.context.dealings, self.context.groups = self.dealings, self.groups
        self.context.remind, self.context.loans_of = self.lending.remind, self.lending.loans_of
        self.panel = Panel(self.typologies, self.configuration.typologies, self.context)
        self.detectors = self.panel.detectors
        self.scoring = self.configuration.learning.scoring > 0

    # --- the main path ----------------------------------------------------------------------------------------------

    def apply(self, event: Event, event_time_ms: int | None = None) -> Outputs:
        """Apply one event and return what follows from it; never raises on bad data.

        Args:
            event_time_ms: the event's own, for callers who have computed it already.
        """
        event_time_ms = event.event_time_ms if event_time_ms is None else event_time_ms
        key, content = fingerprint(event, event_time_ms)
        refused = self._refuse(event, event_time_ms, key, content)
        if refused is not None:
            return refused
        outputs = Outputs()
        self._advance(event_time_ms, outputs)
        fault = self._fault_of(event, event_time_ms)  # asked again: what it speaks of may have been retired just now
        if fault is not None:
            outputs.status, outputs.fault = "rejected", fault
            return outputs
        self.seen.put(key, content)
        if isinstance(event, AccountTransaction):
            self._transact(event, event_time_ms, outputs)
        elif isinstance(event, LoanDisbursement):
            if event.event_type == "DISBURSED":
                self.suspects.budget.lend()
            loan = self._disburse(event, event_time_ms)
            if self.scoring and event.event_type != "REVERSED":
                product = event.product_class if event.product_class != "OTHER" else None
                self.triage.describe(event.disburse_account, event.borrower_industry, product, event_time_ms)
            if loan is not None:
                self._judge_pending(loan, outputs)
                self._tell_loan(loan, outputs)
        elif isinstance(event, ListEntry):
            self.parties.enter(event)
        elif isinstance(event, PartyLink):
            self.parties.link(event)
        elif isinstance(event, PartyEvent):
            self._hear_party(event, outputs)
        elif isinstance(event, Disposition):
            self._dispose(event, event_time_ms, outputs)
        return outputs

    def _transact(self, txn: AccountTransaction, event_time_ms: int, outputs: Outputs) -> None:
        """A deposit account's record: a leg already known, a reversal, a payout's credit, or money on its way."""
        own = self.places.own_account(txn)
        if (txn.reversal_flag or txn.reverses_txn_id is not None) and self._undo(txn, own, event_time_ms, outputs):
            return
        is_debit = txn.direction == "DEBIT"
        if txn.txn_type == "LOAN_CREDIT" and not is_debit:
            self._credit_payout(txn, own, event_time_ms)
            return
        other_id = txn.counterparty_account
        key = (
            (own.account_id, other_id, txn.amount_minor, txn.currency) if is_debit
            else (other_id, own.account_id, txn.amount_minor, txn.currency)
        )  # fmt: skip
        known = self.legs.match(key, txn.direction, event_time_ms, txn.end_to_end_id) if other_id is not None else None  # type: ignore[arg-type]
        if known is not None:
            self._meet_second_leg(txn, own, known, event_time_ms, outputs)
            return
        use, other = self.places.counterparty(txn, own, is_debit, event_time_ms)
        score = None
        self.places.see_balance(txn, own, event_time_ms)
        if self.is_one_of_many and self._cross(txn, own, other, use, key, event_time_ms):  # type: ignore[arg-type]
            return
        payer, payee = (own, other) if is_debit else (other, own)
        transfer = Transfer(
            self.tracer.next_seq(),
            txn.txn_id,
            event_time_ms,
            payer.account_id,
            payee.account_id,
            txn.amount_minor,
            txn.currency,
            use,
        )
        if self.panel.notes_dealings:
            self.dealings.note(transfer, payer, payee, txn)
        if self.scoring:
            if txn.counterparty_industry is not None and not other.is_sink:
                self.triage.describe(other.account_id, txn.counterparty_industry, None, event_time_ms)
            score = self.triage.see(transfer, payer, payee)
            if score is not None:
                score = self.calibration.see(score)
                outputs.scores = (score,)
        self.places.note_traffic(transfer, payer, payee, event_time_ms)
        repays = self._repaid_by(txn) if use == LOAN_REPAYMENT else None
        if use == LOAN_REPAYMENT and is_debit:
            self.lending.repay(txn.related_loan_id, txn.amount_minor)
        movement = self.tracer.pay(transfer, payer, payee, repays)
        if other_id is not None:
            self.legs.wait(key, txn.direction, event_time_ms, txn.end_to_end_id, transfer, other)  # type: ignore[arg-type]
        self.reversible.put(txn.txn_id, transfer)
        if payer.claims and payer.claims[-1].transfer is transfer:
            payer.claims[-1].record = txn
        if movement is not None:
            if score is not None:
                self._suspect(score, movement, outputs)
            self._observe(movement, txn, payer, payee, outputs)
        if self.tracer.funded:
            self._observe_funded(outputs)
        if use in self.panel.payment_uses or (self.panel.hears_payments and payer.account_id in self.dealings.watched):
            self._tell_payment(Payment(transfer, txn, payer, payee), outputs)
        if score is not None and self.suspects.budget.is_open:
            self._stand_out(score, txn.currency, outputs)

    def _stand_out(self, score: PaymentScore, currency: str, outputs: Outputs) -> None:
        """Say a payment that ranks high enough for the budget."""
        found = self.suspects.see(score, currency)
        if found is None:
            return
        episode, threshold = found
        finding = finding_of(
            episode, score, self.triage.explain(score), self.calibration.drift.active, self.configuration.rule_sets, threshold,
            self.triage.version,
        )  # fmt: skip
        self._hear(finding, SuspiciousPayment(), outputs)
        forgotten = self.suspects.forget()
        if forgotten is not None:
            self.subject_of_alert.pop(forgotten, None)

    def _suspect(self, score: PaymentScore, movement: Movement, outputs: Outputs) -> None:
        """A payment that carries a loan's money makes the loan suspicious: as itself, or at the h-th hop 1/h of that.

        What the borrower does says more of the use of the loan than what those do whom he has paid.
        """
        nearest: dict[int, int] = {}
        for parcel in movement.parcels[0]:
            number = parcel.origin.number
            nearest[number] = min(parcel.hops, nearest.get(number, parcel.hops))
        for number, hops in nearest.items():
            loan, suspicion = self.lending.loan_of.get(number), score.score / max(1, hops)
            if loan is not None and suspicion > loan.suspicion:
                loan.suspicion = suspicion
                outputs.loan_scores += (LoanScore(loan.loan_id, score.event_time_ms, suspicion),)

    def _cross(self, txn: AccountTransaction, own: Account, other: Account, use: str, key: Key, event_time_ms: int) -> bool:
        """Whether the other account is another book's, and its half of the payment is left to that book."""
        return False

    def _meet_second_leg(
        self, txn: AccountTransaction, own: Account, known: Transfer, event_time_ms: int, outputs: Outputs
    ) -> None:
        """The other record of a transfer has come: it tells a balance, and perhaps who owns the account."""
        self.places.second_leg(txn, own, known, event_time_ms)
        self.reversible.put(txn.txn_id, known)
        if self.panel.notes_dealings and known.payee == own.account_id and known.payer != LENDER_ACCOUNT:
            self.dealings.note_second_leg(known, own)
        if own.customer_id is not None:
            self._judge_owned(known, outputs)
        else:
            self.unowned.pop(known.seq, None)

    def _judge_owned(self, transfer: Transfer, outputs: Outputs) -> None:
        """The owner of the transfer's payee has become known: passages that were judged without it are judged again."""
        for passage in self.unowned.pop(transfer.seq, ()):
            if passage.loan.rule_set is not None:
                self._judge(passage, outputs)

    def _repaid_by(self, txn: AccountTransaction) -> Origin | None:
        loan = self.lending.loans.get(txn.related_loan_id) if txn.related_loan_id is not None else None
        return loan.origin if loan is not None else None

    def _observe(
        self, movement: Movement, record: AccountTransaction, payer: Account, payee: Account, outputs: Outputs
    ) -> None:
        """Tell the detectors, loan by loan, which money the transfer carried."""
        by_loan: dict[int, list[Parcel]] = {}
        for parcel in movement.parcels[0]:
            by_loan.setdefault(parcel.origin.number, []).append(parcel)
        movement.transfer.loan_numbers = tuple(by_loan)
        outputs.movements += (movement,)
        for number, parcels in by_loan.items():
            loan = self.lending.loan_of.get(number)
            if loan is None:
                continue
            passage = Passage(loan, movement.transfer, record, payer, payee, parcels, movement.beside_minor(loan.origin))
            self._notice(passage, outputs)

    def _notice(self, passage: Passage, outputs: Outputs) -> None:
        """Judge a passage, now or when the loan's particulars are known; and again if the payee's owner becomes known."""
        loan, payee = passage.loan, passage.payee
        if payee.customer_id is None and not payee.is_sink:
            self.unowned.setdefault(passage.transfer.seq, []).append(passage)
        if loan.rule_set is not None:
            self._judge(passage, outputs)
        elif len(loan.pending) < self.configuration.fold.pending_passages_max:
            loan.pending.append(passage)
        else:
            self.counts["pending_passages_forgotten"] += 1

    def _judge(self, passage: Passage, outputs: Outputs) -> None:
        for finding, detector in self.panel.observe(passage):
            self._hear(finding, detector, outputs)

    # --- what else detectors are told -------------------------------------------------------------------------------

    def _tell_payment(self, payment: Payment, outputs: Outputs) -> None:
        """A payment of interest, with the loan it names and those that wait for it, as far as their rules are known."""
        name = payment.record.related_loan_id
        named = self.lending.known(name) if name is not None else None
        loans = [named] if named is not None and named.rule_set is not None else []
        loans += [loan for loan in self._waiting_for(payment.payer.account_id) if loan is not named]
        for finding, detector in self.panel.pay(payment, loans):
            self._hear(finding, detector, outputs)

    def _waiting_for(self, account_id: str) -> list[Loan]:
        """The loans for whose sake the account's payments are watched, as far as their rules are known."""
        known = [self.lending.known(loan_id) for loan_id in self.dealings.watched.get(account_id) or ()]
        return [loan for loan in known if loan is not None and loan.rule_set is not None]

    def _tell_loan(self, loan: Loan, outputs: Outputs) -> None:
        self.portfolio.lend(loan)
        self.portfolio.flag(loan, loan.risk_state)
        if loan.info is not None:
            self.dealings.note_loan(loan.info)
        for finding, detector in self.panel.disburse(loan):
            self._hear(finding, detector, outputs)

    def _hear_party(self, event: PartyEvent, outputs: Outputs) -> None:
        self.parties.hear(event)
        loans = [loan for loan in self.lending.owed_by(event.party_id) if loan.rule_set is not None]
        for finding, detector in self.panel.hear(event, loans):
            self._hear(finding, detector, outputs)

    def _tell_due(self, code: str, loan: Loan, event_time_ms: int, outputs: Outputs) -> None:
        if loan.rule_set is None:
            return  # a new loan under the id of one that was retired: the reminder was for that one
        again = code.startswith(AGAIN)
        found = self.panel.again(code.removeprefix(AGAIN), loan) if again else self.panel.due(code, loan, event_time_ms)
        for finding, detector in found:
            self._hear(finding, detector, outputs)

    def _hear(self, finding: Finding, detector: Described, outputs: Outputs) -> None:
        """Findings about one subject and episode become one alert, said when there is news."""
        if not finding.stands and finding.said is None:
            self.counts[f"cleared_{finding.typology}"] += 1
            return
        for loan in finding.released:
            self._release(loan, finding, outputs)
        assert self.watermark_ms is not None
        alert = self.alert_book.hear(finding, detector, self.context, self.watermark_ms, len(self.lending.loans))
        if alert is None:
            return
        self.subject_of_alert[alert.alert_id] = finding.about
        outputs.alerts += (alert,)
        for loan in _loans_of(finding.about):
            self._restate(loan, outputs)

    def _release(self, loan: Loan, finding: Finding, outputs: Outputs) -> None:
        """The alert about the group is no longer one of this loan's."""
        if finding.said is not None and loan.alerts.pop(f"{finding.typology}/{finding.said.alert_id}", None) is not None:
            self._restate(loan, outputs)

    # --- order and time ---------------------------------------------------------------------------------------------

    def _refuse(self, event: Event, event_time_ms: int, key: str, content: int) -> Outputs | None:
        """A record that was seen before, contradicts one, or is dated absurdly."""
        before = self.seen.get(key)
        if before is not None:
            if before == content:
                self.counts["duplicates"] += 1
                return Outputs("duplicate")
            return Outputs("rejected", Fault(id_field(event), f"{identifier(event)!r} was used before with other content"))
        leap_ms = self.configuration.fold.time_leap_days_max * DAY_MS
        if self.watermark_ms is not None and event_time_ms - self.watermark_ms > leap_ms:
            days, stream = self.configuration.fold.time_leap_days_max, rfc3339(self.watermark_ms)
            reason = f"{event.event_time.isoformat()} is more than {days} days ahead of the stream ({stream})"
            return Outputs("rejected", Fault("event_time", reason))
        fault = self._fault_of(event, event_time_ms)
        if fault is None and isinstance(event, Disposition) and self.outcomes.repeats(event):
            self.counts["duplicates"] += 1
            return Outputs("duplicate")
        return Outputs("rejected", fault) if fault is not None else None

    def _fault_of(self, event: Event, event_time_ms: int) -> Fault | None:
        """Why a record cannot be applied to what is known by its time."""
        if type(event) is AccountTransaction:  # nearly all of them: nothing to ask
            return None
        if isinstance(event, LoanDisbursement):
            return self.lending.fault_of(event)
        if isinstance(event, Disposition):
            return self.outcomes.fault_of(event, event_time_ms, self._since_ms(event))
        return None

    def _since_ms(self, event: Disposition) -> int | None:
        """When what an outcome speaks of came up; None when it is not known (any more)."""
        if event.alert_id is not None:
            subject = self.subject_of_alert.get(event.alert_id)
            known = _published(subject) if subject is not None else ()
            return next((said.said_ms for said in known if said.alert_id == event.alert_id), None)
        if event.loan_id is not None:
            loan = self.lending.known(event.loan_id)
            return loan.paid_ms if loan is not None else None
        assert event.txn_id is not None, "a sound outcome names something"
        since_ms = self.triage.since_ms(event.txn_id)
        return since_ms if since_ms is not None else self.outcomes.since_ms(event.txn_id)

    def _advance(self, event_time_ms: int, outputs: Outputs) -> None:
        """Event time moves on, or a record is late."""
        if self.watermark_ms is not None and event_time_ms <= self.watermark_ms:
            if event_time_ms < self.watermark_ms:
                self.counts["late"] += 1
            return
        self.watermark_ms = event_time_ms
        if event_time_ms >= self.next_sweep_ms:
            self.next_sweep_ms = event_time_ms - event_time_ms % SWEEP_MS + SWEEP_MS
            self._sweep(event_time_ms, outputs)

    def _sweep(self, event_time_ms: int, outputs: Outputs) -> None:
        """Once a minute of event time: what is due happens, what is old is forgotten."""
        self.legs.forget_before(event_time_ms)
        waits_ms = self.configuration.legs.memory_minutes * 60_000
        while self.unowned and next(iter(self.unowned.values()))[0].transfer.event_time_ms < event_time_ms - waits_ms:
            del self.unowned[next(iter(self.unowned))]
        self.tracer.forget_before(event_time_ms)
        self.places.forget_before(event_time_ms - waits_ms)
        outputs.portfolio += self.portfolio.news(event_time_ms)
        for what, loan in self.lending.due(event_time_ms):
            if what == RETIRE:
                self._retire(loan, event_time_ms, outputs)
            elif what == FORGET:
                self._forget(loan)
            elif what == ANNOUNCE:
                self._judge_pending(loan, outputs)
                self._tell_loan(loan, outputs)
            else:
                self._tell_due(what, loan, event_time_ms, outputs)

    # --- loans ------------------------------------------------------------------------------------------------------

    def _disburse(self, event: LoanDisbursement, event_time_ms: int) -> Loan | None:
        if event.event_type == "REVERSED":
            seq = self.lending.loans[event.loan_id].origin.payouts[-1].seq
            if self._is_second_reversal(f"{seq}/{event.amount_minor}", LENDER_ACCOUNT):
                return None
        return self.lending.disburse(event, event_time_ms)

    def _credit_payout(self, txn: AccountTransaction, own: Account, event_time_ms: int) -> None:
        """A payout arrives on a deposit account, unless the loan ledger's record has brought it already."""
        transfer = self.lending.known_payout(txn, own, event_time_ms)
        if transfer is not None:
            self.places.second_leg(txn, own, transfer, event_time_ms)
        else:
            self.places.see_balance(txn, own, event_time_ms)
            transfer = self.lending.credit(txn, own, event_time_ms)
        self.reversible.put(txn.txn_id, transfer)

    def _judge_pending(self, loan: Loan, outputs: Outputs) -> None:
        """The loan's particulars are known (or awaited in vain): judge what was seen of it before."""
        pending, loan.pending = loan.pending, []
        for passage in pending:
            self._judge(passage, outputs)

    def _retire(self, loan: Loan, now_ms: int, outputs: Outputs) -> None:
        """The loan's money is too old to be followed: its state is said, with where the money was until now."""
        traced = whereabouts(self.tracer, loan.origin, self.configuration.bounds)
        loan.last_traced = {
            place: [minor, bounds.certain_minor, bounds.possible_minor, int(bounds.exact)]
            for place, (minor, bounds) in traced.items()
        }
        self.lending.retire(loan, now_ms)
        self.groups.forget(loan)
        outputs.risks += (self._risk_of(loan),)
        self._forget_subjects(loan, itself=not loan.kept_until_ms)
        while (gone := self.lending.too_many()) is not None:
            self._forget(gone)

    def _forget(self, loan: Loan) -> None:
        """Nothing more is kept of the loan: its alerts can be spoken of no more."""
        self.lending.forget(loan)
        self._forget_subjects(loan, itself=True)

    def _forget_subjects(self, loan: Loan, *, itself: bool) -> None:
        """Outcomes can no longer speak of alerts about groups that have ended, nor (``itself``) about the loan."""
        for said in loan.alerts.values():
            subject = self.subject_of_alert.get(said.alert_id)
            if (isinstance(subject, Group) and not subject.loans) or (itself and subject is loan):
                del self.subject_of_alert[said.alert_id]

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
        if self._is_second_reversal(f"{original.seq}/{amount_minor}", own.account_id):
            return True
        if original.payer == LENDER_ACCOUNT:
            payee = self.tracer.account(original.payee, original.currency, OTHER_BANK)
            loan = self.lending.loan_of.get(original.loan_numbers[0])
            original.undone_minor += amount_minor
            if loan is not None:
                self.lending.reverse(loan, amount_minor, payee)
            return True
        self._reverse(original, txn, amount_minor, event_time_ms, outputs)
        own.last_ms = max(own.last_ms, event_time_ms)
        return True

    def _reverse(
        self, original: Transfer, txn: AccountTransaction, amount_minor: int, event_time_ms: int, outputs: Outputs
    ) -> None:
        """Send a transfer back, in whole or part."""
        payer = self.tracer.account(original.payer, original.currency, OTHER_BANK)
        payee = self.tracer.account(original.payee, original.currency, OTHER_BANK)
        reversal = self._reversal_of(original, txn, amount_minor, event_time_ms)
        self.tracer.undo(original, reversal, payer, payee)
        if original.use == LOAN_REPAYMENT:
            self.lending.repay(txn.related_loan_id, -amount_minor)
        self.counts["reversals"] += 1
        self._reconsider(original, outputs)

    def _reversal_of(self, original: Transfer, txn: AccountTransaction, amount_minor: int, event_time_ms: int) -> Transfer:
        return Transfer(
            self.tracer.next_seq(),
            txn.txn_id,
            event_time_ms,
            original.payee,
            original.payer,
            amount_minor,
            txn.currency,
            original.use,
        )

    def _reconsider(self, original: Transfer, outputs: Outputs) -> None:
        """Judge the loans whose money the transfer had carried, or that wait for its payer, anew: some of it is back."""
        seqs = frozenset((original.seq,))
        carried = [self.lending.loan_of[number] for number in original.loan_numbers if number in self.lending.loan_of]
        for loan in dict.fromkeys((*carried, *self._waiting_for(original.payer))):
            for finding, detector in self.panel.reconsider(loan, seqs):
                self._hear(finding, detector, outputs)

    def _is_second_reversal(self, key: str, reporter: str) -> bool:
        """Whether the other side has already reported this reversal: the two records are one."""
        first = self.reversal_legs.get(key)
        if first is None or first in ("", reporter):
            self.reversal_legs.put(key, reporter)
            return False
        self.reversal_legs.put(key, "")
        self.counts["reversal_legs_matched"] += 1
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

    def _dispose(self, event: Disposition, event_time_ms: int, outputs: Outputs) -> None:
        field, subject = subject_of(event)
        since_ms = self._since_ms(event)
        assert since_ms is not None, f"an outcome of an unknown {subject} is believed"
        self.outcomes.hold(event, since_ms)
        if field == "alert_id":
            about = self.subject_of_alert[subject]
            for said in _published(about):
                if said.alert_id == subject:
                    said.outcome, said.outcome_ms = event.outcome, event_time_ms
            for loan in _loans_of(about):
                loan.outcomes[subject] = event.outcome
                self._restate(loan, outputs)
            self._teach(_payments_of(about, subject), event.outcome, event_time_ms)
        elif field == "loan_id":
            known = self.lending.known(subject)
            assert known is not None, f"an outcome of loan {subject}, which is not known, is believed"
            loan = known
            loan.outcomes[LOAN_ITSELF] = event.outcome
            for said in loan.alerts.values():  # what is said of it later is not settled by this
                if self.outcomes.of("alert_id", said.alert_id) is None:
                    loan.outcomes[said.alert_id] = event.outcome
            self._restate(loan, outputs)
        else:
            self._teach([subject], event.outcome, event_time_ms)

    def _teach(self, payments: Iterable[str], outcome: str, event_time_ms: int) -> None:
        """What a conclusion teaches of the payments it rests on; those that have taught already do not again."""
        lesson = LESSONS.get(outcome)
        for txn_id in payments if lesson is not None else ():
            if self.triage.since_ms(txn_id) is not None:
                self.triage.learn(txn_id, lesson, event_time_ms)  # type: ignore[arg-type]
            else:
                self.counts["payments_that_teach_no_more"] += 1

    def _restate(self, loan: Loan, outputs: Outputs) -> None:
        state, is_open = state_of(loan)
        self.portfolio.flag(loan, state)
        if state != loan.risk_state or is_open:
            loan.risk_state = state
            outputs.risks += (self._risk_of(loan),)

    def _risk_of(self, loan: Loan) -> LoanRisk:
        traced = whereabouts(self.tracer, loan.origin, self.configuration.bounds)
        for place, (minor, certain, possible, exact) in loan.last_traced.items():
            traced[place] = minor, Bounds(certain, possible, bool(exact), ())
        return risk_of(loan, self.watermark_ms or 0, traced)

    def portfolio_shares(self) -> tuple[PortfolioShare, ...]:
        """Loan asset quality as it is now, cell by cell."""
        return self.portfolio.shares(self.watermark_ms or 0)

    def loan_risks(self) -> Iterator[LoanRisk]:
        """The present state of every loan that is followed, in the order of their payouts."""
        for loan in self.lending.loans.values():
            yield self._risk_of(loan)

    # --- what is seen from outside ----------------------------------------------------------------------------------

    @property
    def counters(self) -> dict[str, int]:
        """Everything that was counted, by name; forgetting included."""
        parts = (
            self.tracer, self.parties, self.places, self.legs, self.lending, self.alert_book, self.groups, self.portfolio,
            self.triage,
        )  # fmt: skip
        total = sum((part.counts for part in parts), self.counts)
        total.update({name: count for name, count in self.dealings.forgotten().items() if count})
        total["peer_groups_forgotten"] = self.triage.groups.forgotten
        total["ids_forgotten"] = self.seen.forgotten
        total["drifts"] = self.calibration.drift.begun
        total["episodes_forgotten"] = self.suspects.forgotten
        total["outcomes_forgotten"] = self.outcomes.held.forgotten
        total["reversible_forgotten"] = self.reversible.forgotten
        total["loans_followed"] = len(self.lending.loans)
        total["loans_kept"] = len(self.lending.kept)
        total["accounts"] = self.tracer.number_of_accounts()
        return dict(sorted(total.items()))

    def snapshot(self) -> dict[str, Any]:
        """The state as plain data (JSON-able), complete: :meth:`restore` gives an engine with the same future."""
        state: dict[str, Any] = {name: value for name, value in vars(self).items() if name in self.state}
        state["accounts"] = list(self.tracer.all_accounts())
        return {
            "version": SNAPSHOT_VERSION,
            "configuration_digest": self.configuration.digest(),
            "state": snapshot.freeze(state),
            "detectors": {detector.code: dict(detector.snapshot()) for detector in self.detectors},
            "triage": self.triage.snapshot(),
            "calibration": self.calibration.snapshot(),
        }

    @classmethod
    def restore(cls, configuration: Configuration, data: Mapping[str, Any]) -> Self:
        """The engine whose snapshot this is.

        Raises:
            ValueError: another snapshot version or another configuration; fold the events again.
        """
        if data["version"] != SNAPSHOT_VERSION:
            raise ValueError(
                f"snapshot version {data['version']} where this engine writes {SNAPSHOT_VERSION}: fold the events again"
            )
        if data["configuration_digest"] != configuration.digest():
            raise ValueError(
                f"snapshot of configuration {data['configuration_digest']}, not {configuration.digest()}: fold the events again"
            )
        engine = cls._make(configuration, data)
        state = snapshot.thaw(data["state"], configuration)
        accounts = state.pop("accounts")
        vars(engine).update(state)
        for account in accounts:
            engine.tracer.accounts.setdefault(account.currency, {})[account.account_id] = account
        engine.begin()
        for detector in engine.detectors:
            detector.restore(data["detectors"][detector.code])
        engine.triage.restore(data["triage"])
        engine.calibration.restore(data["calibration"])
        return engine

    @classmethod
    def _make(cls, configuration: Configuration, data: Mapping[str, Any]) -> Self:
        return cls(configuration)


def _loans_of(subject: Loan | Group) -> tuple[Loan, ...]:
    """The loans that an alert is about."""
    return (subject,) if isinstance(subject, Loan) else tuple(subject.loans.values())


def _published(subject: Loan | Group) -> tuple[Published, ...]:
    """What subscribers have heard of a subject."""
    if isinstance(subject, Loan):
        return tuple(subject.alerts.values())
    return (subject.said,) if subject.said is not None else ()


def _payments_of(subject: Loan | Group, alert_id: str) -> Iterator[str]:
    """The payments that an alert counts."""
    if isinstance(subject, Episode):
        yield from (payment.txn_id for payment in subject.payments)
        return
    if isinstance(subject, Group):
        yield from (hit.transfer.txn_id for hit in subject.hits())
        return
    for typology, said in subject.alerts.items():
        if said.alert_id == alert_id:
            for hit in subject.hits.get(typology, ()):
                yield hit.transfer.txn_id
