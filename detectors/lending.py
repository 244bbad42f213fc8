"""The loan ledger's side of the fold: payouts and their two records, particulars, rule sets, reversals, retirement."""

from __future__ import annotations

import heapq
from collections import Counter

from detectors.accounts import HELD, Account
from detectors.configuration import Configuration
from detectors.events import AccountTransaction, Fault, LoanDisbursement
from detectors.instants import midnight_ms, rfc3339
from detectors.loans import Loan
from detectors.lots import Transfer
from detectors.payouts import Half, Payouts
from detectors.ruleset import choose_rule_set
from detectors.tracer import DAY_MS, HOUR_MS, LENDER_ACCOUNT, Tracer

ANNOUNCE = "announce"
RETIRE = "retire"
FORGET = "forget"


class Lending:
    """All loans that are followed."""

    def __init__(self, configuration: Configuration, tracer: Tracer) -> None:
        self.configuration = configuration
        self.tracer = tracer
        self.payouts = Payouts(configuration.fold.payout_match_days_max)
        self.loans: dict[str, Loan] = {}
        self.loan_of: dict[int, Loan] = {}  # origin number -> loan
        self.loans_by_borrower: dict[str, list[Loan]] = {}
        self.kept: dict[str, Loan] = {}  # whose money is followed no more: their records, oldest first
        self.kept_by_borrower: dict[str, list[Loan]] = {}
        self.timers: list[tuple[int, int, str, str]] = []  # (event time, number, what, loan_id), a heap
        self.timers_set = 0
        self.counts: Counter[str] = Counter()

    def fault_of(self, event: LoanDisbursement) -> Fault | None:
        """Why a loan-ledger record cannot be applied to what is known; None when it can."""
        loan = self.loans.get(event.loan_id)
        if loan is None:
            if event.event_type == "DISBURSED":
                return None
            return Fault("loan_id", f"{event.event_type} of {event.loan_id!r}, which is not a loan that is followed")
        if loan.account.currency != event.currency:
            return Fault("currency", f"{event.currency} where loan {event.loan_id!r} was paid out in {loan.account.currency}")
        if event.event_type == "CORRECTED" and loan.amount_minor != event.amount_minor:
            return Fault(
                "amount_minor", f"CORRECTED to {event.amount_minor} from {loan.amount_minor}: reverse and disburse anew"
            )
        if event.event_type == "REVERSED" and event.amount_minor > loan.amount_minor:
            return Fault("amount_minor", f"REVERSED {event.amount_minor} of a loan of {loan.amount_minor}")
        return None

    def disburse(self, event: LoanDisbursement, event_time_ms: int) -> Loan | None:
        """The loan ledger's record of a payout, its reversal, or corrected particulars.

        Returns:
            The loan when its particulars have just become known, else None.
        """
        if event.event_type != "DISBURSED":
            loan = self.loans[event.loan_id]
            if event.event_type == "CORRECTED":
                self._learn_particulars(loan, event)
            else:
                self.reverse(loan, event.amount_minor, loan.account)
            return None
        account = self.tracer.account(event.disburse_account, event.currency, HELD)
        key = (account.account_id, event.currency, event.amount_minor)
        half = self.payouts.match(key, is_credit=False, loan_id=event.loan_id, event_time_ms=event_time_ms)
        if half is not None:
            self.counts["payouts_matched"] += 1
            loan = self._rename(half.loan, event.loan_id)
        else:
            transfer = self._pay_out(event.loan_id, f"disbursement:{event.loan_id}", event.amount_minor, account, event_time_ms)
            loan = self.loans[event.loan_id]
            self.payouts.wait(key, Half(False, True, event_time_ms, loan, transfer))
        if loan.rule_set is not None:
            return None
        self._learn_particulars(loan, event)
        return loan

    def known_payout(self, txn: AccountTransaction, account: Account, event_time_ms: int) -> Transfer | None:
        """The payout that this deposit credit is the second record of; None when it is the first."""
        key = (account.account_id, txn.currency, txn.amount_minor)
        half = self.payouts.match(key, is_credit=True, loan_id=txn.related_loan_id, event_time_ms=event_time_ms)
        if half is None:
            return None
        self.counts["payouts_matched"] += 1
        return half.transfer

    def credit(self, txn: AccountTransaction, account: Account, event_time_ms: int) -> Transfer:
        """A payout that the deposit account shows first; its particulars are awaited."""
        loan_id = txn.related_loan_id or f"~{txn.txn_id}"
        transfer = self._pay_out(loan_id, txn.txn_id, txn.amount_minor, account, event_time_ms)
        loan = self.loans[loan_id]
        key = (account.account_id, txn.currency, txn.amount_minor)
        self.payouts.wait(key, Half(True, txn.related_loan_id is not None, event_time_ms, loan, transfer))
        if loan.rule_set is None:
            self._set_timer(event_time_ms + self.configuration.fold.announce_hours_max * HOUR_MS, ANNOUNCE, loan_id)
        return transfer

    def reverse(self, loan: Loan, amount_minor: int, account: Account) -> None:
        """The lender takes a payout back, in whole or part."""
        amount_minor = min(amount_minor, loan.amount_minor)
        taken = self.tracer.reverse_payout(loan.origin, amount_minor, account)
        self.counts["payouts_reversed"] += 1
        self.counts["payout_reversals_short"] += int(taken < amount_minor)

    def due(self, watermark_ms: int) -> list[tuple[str, Loan]]:
        """What is due by then: loans whose particulars were awaited in vain, and loans too old to follow."""
        due = []
        while self.timers and self.timers[0][0] <= watermark_ms:
            _, _, what, loan_id = heapq.heappop(self.timers)
            loan = self.known(loan_id)
            if loan is None or (what == ANNOUNCE and loan.rule_set is not None) or not _is_meant(what, loan, watermark_ms):
                continue
            if what == ANNOUNCE:
                self.counts["loans_without_particulars"] += 1
                self._choose_rules(loan)
            due.append((what, loan))
        return due

    def retire(self, loan: Loan, now_ms: int) -> None:
        """Stop following a loan's money and free its memory; its record is kept until the loan is over."""
        loan.origin.expire()
        self.payouts.forget(loan)
        self.loans.pop(loan.loan_id, None)
        self.loan_of.pop(loan.origin.number, None)
        self._leave_borrower(loan)
        self.counts["loans_retired"] += 1
        until_ms = self._kept_until_ms(loan)
        if until_ms > now_ms:
            self._keep(loan, until_ms)

    def _kept_until_ms(self, loan: Loan) -> int:
        """Until when a loan without its money is worth keeping; 0 for one without particulars."""
        fold = self.configuration.fold
        if loan.info is None or not fold.kept_loans_max:
            return 0
        if loan.info.maturity_date is None:
            return loan.paid_ms + fold.kept_days_max * DAY_MS
        return midnight_ms(loan.info.maturity_date) + fold.kept_after_maturity_days_max * DAY_MS

    def _keep(self, loan: Loan, until_ms: int) -> None:
        loan.lighten(until_ms)
        self.kept[loan.loan_id] = loan
        if loan.borrower_id is not None:
            self.kept_by_borrower.setdefault(loan.borrower_id, []).append(loan)
        self._set_timer(until_ms, FORGET, loan.loan_id)

    def too_many(self) -> Loan | None:
        """The oldest of the loans that are kept by their record alone, when there are more than may be."""
        if len(self.kept) <= self.configuration.fold.kept_loans_max:
            return None
        self.counts["kept_loans_forgotten"] += 1
        return next(iter(self.kept.values()))

    def forget(self, loan: Loan) -> None:
        """Let a loan's record go."""
        if self.kept.get(loan.loan_id) is not loan:
            return
        del self.kept[loan.loan_id]
        if loan.borrower_id is not None:
            left = [other for other in self.kept_by_borrower.pop(loan.borrower_id, ()) if other is not loan]
            if left:
                self.kept_by_borrower[loan.borrower_id] = left

    def known(self, loan_id: str) -> Loan | None:
        """The loan of that id, whether or not its money is still followed."""
        return self.loans.get(loan_id) or self.kept.get(loan_id)

    def owed_by(self, customer_id: str) -> list[Loan]:
        """All loans of a customer that are known."""
        return [*self.loans_of(customer_id), *self.kept_by_borrower.get(customer_id, ())]

    def repay(self, loan_id: str | None, amount_minor: int) -> None:
        """A record shows a repayment of principal, or (negative) takes one back."""
        loan = self.known(loan_id) if loan_id is not None else None
        if loan is not None:
            loan.principal_repaid_minor += amount_minor

    def _leave_borrower(self, loan: Loan) -> None:
        if loan.borrower_id is not None:
            left = [other for other in self.loans_by_borrower.pop(loan.borrower_id, ()) if other is not loan]
            if left:
                self.loans_by_borrower[loan.borrower_id] = left

    def loans_of(self, customer_id: str) -> list[Loan]:
        """The loans of a customer that are followed."""
        return self.loans_by_borrower.get(customer_id, [])

    def remind(self, code: str, loan: Loan, at_ms: int) -> None:
        """A detector wants to be told of the loan when that time has come."""
        self._set_timer(at_ms, code, loan.loan_id)

    def _pay_out(self, loan_id: str, txn_id: str, amount_minor: int, account: Account, event_time_ms: int) -> Transfer:
        """Loan money appears on the account; the loan is made when it is new."""
        loan = self.loans.get(loan_id)
        if loan is None:
            if loan_id in self.kept:  # a new loan under an old one's id
                self.forget(self.kept[loan_id])
            origin = self.tracer.open_origin(loan_id, event_time_ms)
            loan = self.loans[loan_id] = Loan(loan_id, origin, account, event_time_ms)
            self.loan_of[origin.number] = loan
            self._set_timer(event_time_ms + self.configuration.trace.age_days_max * DAY_MS, RETIRE, loan_id)
        transfer = Transfer(
            self.tracer.next_seq(),
            txn_id,
            event_time_ms,
            LENDER_ACCOUNT,
            account.account_id,
            amount_minor,
            account.currency,
            "LOAN",
        )
        transfer.loan_numbers = (loan.origin.number,)
        self.tracer.pay_out(loan.origin, transfer, account)
        loan.amount_minor += amount_minor
        account.first_ms = account.first_ms or event_time_ms
        account.last_seq = transfer.seq
        account.in_count += 1
        account.in_minor += amount_minor
        return transfer

    def _rename(self, loan: Loan, loan_id: str) -> Loan:
        """A payout whose credit named no loan turns out to be this one."""
        if loan.loan_id != loan_id:
            del self.loans[loan.loan_id]
            loan.loan_id = loan.origin.loan_id = loan_id
            self.loans[loan_id] = loan
            self._set_timer(loan.paid_ms + self.configuration.trace.age_days_max * DAY_MS, RETIRE, loan_id)
        return loan

    def _learn_particulars(self, loan: Loan, event: LoanDisbursement) -> None:
        loan.info = event
        self._leave_borrower(loan)
        loan.borrower_id = event.customer_id or loan.account.customer_id or loan.borrower_id
        if loan.borrower_id is not None:
            self.loans_by_borrower.setdefault(loan.borrower_id, []).append(loan)
        if loan.borrower_id is not None and loan.account.customer_id is None:
            self.tracer.touch(loan.account)
            loan.account.customer_id = loan.borrower_id
        loan.entrusted_accounts = frozenset(payment.payee_account for payment in event.entrusted_payments)
        self._choose_rules(loan)

    def _choose_rules(self, loan: Loan) -> None:
        signed = loan.info.contract_sign_date if loan.info is not None else None
        date = signed or rfc3339(loan.paid_ms + self.configuration.utc_offset_minutes * 60_000)[:10]
        loan.rule_set, in_force = choose_rule_set(self.configuration.rule_sets, date)
        basis = f"contract signed {date}" if signed else f"no contract date; paid out {date}"
        loan.rule_why = basis if in_force else f"{basis}; no rule set was in force then, the earliest stands in"

    def _set_timer(self, at_ms: int, what: str, loan_id: str) -> None:
        self.timers_set += 1
        heapq.heappush(self.timers, (at_ms, self.timers_set, what, loan_id))


def _is_meant(what: str, loan: Loan, now_ms: int) -> bool:
    """Whether a timer is the loan's own: an earlier loan of the same id may have left one behind."""
    if what == FORGET:
        return 0 < loan.kept_until_ms <= now_ms
    return what not in (RETIRE, ANNOUNCE) or not loan.kept_until_ms
