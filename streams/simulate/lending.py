"""Loans: their particulars, their payout in two records, and what is paid back month by month."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Literal

from detectors.events import EntrustedPayment, LinkRole, ListEntry, LoanDisbursement, OccurType, PartyLink, ProductClass
from streams.simulate import kinds
from streams.simulate.agenda import Agenda
from streams.simulate.amounts import TEN_THOUSAND, YUAN, heavy, some_of
from streams.simulate.habits import Habits
from streams.simulate.ledger import CURRENCY, Account, Ledger, Posted
from streams.simulate.rhythm import HOUR_S, day_of, is_working_day
from streams.simulate.town import Party, Town
from streams.simulate.writer import FolderWriter, instant

THOUSAND = 1_000 * YUAN
RECORDS_GAP_S_MAX = 9
ORGS = 24
MANAGERS_PER_ORG = 5

# borrower type -> product, median loan in scales of the borrower, spread, least, most
_TERMS: dict[str, tuple[ProductClass, int, float, int, int]] = {
    "ENTERPRISE": ("WORKING_CAPITAL", 45, 0.8, 5 * TEN_THOUSAND, 500 * TEN_THOUSAND),
    "SELF_EMPLOYED": ("PERSONAL_BUSINESS", 28, 0.8, TEN_THOUSAND, 100 * TEN_THOUSAND),
    "UNREGISTERED_OPERATOR": ("PERSONAL_BUSINESS", 22, 0.7, TEN_THOUSAND, 30 * TEN_THOUSAND),
    "FARMER": ("PERSONAL_BUSINESS", 25, 0.7, TEN_THOUSAND, 30 * TEN_THOUSAND),
    "NATURAL_PERSON": ("PERSONAL_CONSUMPTION", 3, 0.9, TEN_THOUSAND, 30 * TEN_THOUSAND),
}
_PURPOSES: dict[str, tuple[tuple[str, str], ...]] = {
    "ENTERPRISE": (("WC01", "采购原材料"), ("WC02", "支付货款"), ("WC03", "日常经营周转"), ("WC04", "支付工程款")),
    "SELF_EMPLOYED": (("PB01", "进货"), ("PB02", "店铺经营周转"), ("PB03", "店面装修")),
    "UNREGISTERED_OPERATOR": (("PB01", "进货"), ("PB02", "经营周转")),
    "FARMER": (("AG01", "购买农资"), ("AG02", "春耕备耕"), ("AG03", "养殖周转")),
    "NATURAL_PERSON": (("PC01", "装修"), ("PC02", "购买家电"), ("PC03", "教育支出"), ("PC04", "医疗"), ("PC05", "日常消费")),
}


class Loan:
    """One loan of ours, from its contract to its last instalment."""

    __slots__ = ("account", "amount_minor", "borrower", "entrusted", "guarantor", "loan_id", "mode", "months", "occur_type",
                 "outstanding_minor", "purpose", "rate_bp", "refinanced_loan_id")  # fmt: skip

    def __init__(self, loan_id: str, borrower: Party, amount_minor: int) -> None:
        self.loan_id = loan_id
        self.borrower = borrower
        self.amount_minor = amount_minor
        self.account = borrower.account
        self.outstanding_minor = amount_minor
        self.rate_bp = 400
        self.months = 12
        self.guarantor: Party | None = None
        self.entrusted: list[tuple[Account, int]] = []  # payee and amount, paid by the bank seconds after the payout
        self.mode: str | None = None
        self.occur_type: OccurType = "NEW"
        self.refinanced_loan_id: str | None = None
        self.purpose: tuple[str, str] | None = None  # code and text, where the course of the loan needs a certain one


def draw_amount(rng: Random, borrower: Party) -> int:
    """What this borrower borrows: whole thousands of yuan, heavy-tailed."""
    _, scales, spread, least, most = _TERMS[borrower.kind]
    amount = heavy(rng, borrower.scale_minor * scales, spread, least, most)
    return amount - amount % THOUSAND


class Lending:
    """Pays loans out and collects what is due."""

    def __init__(
        self, ledger: Ledger, writer: FolderWriter, town: Town, habits: Habits, agenda: Agenda, rng: Random
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._writer = writer
        self._town = town
        self._habits = habits
        self._agenda = agenda
        self._rng = rng
        self._due: list[list[Loan]] = [[] for _ in range(28)]
        self._carried: list[Loan] = []
        self._old: dict[str, Loan] = {}

    # --- payout -----------------------------------------------------------------------------------------------------

    def sign(self, borrower: Party, amount_minor: int) -> Loan:
        """Draw up the particulars of a loan."""
        rng = self._rng
        loan = Loan(self._town.mint.next("L"), borrower, amount_minor)
        loan.rate_bp = rng.randrange(345, 1_080, 5) if borrower.kind != "ENTERPRISE" else rng.randrange(310, 640, 5)
        loan.months = rng.choice((6, 12, 12, 12, 24, 36))
        if rng.random() < (0.5 if borrower.kind == "ENTERPRISE" else 0.25):
            loan.guarantor = borrower.owner if borrower.owner is not None and rng.random() < 0.5 else self._town.person()
        second = borrower.second
        if second is not None and second.ours and rng.random() < 0.25:
            loan.account = second
        return loan

    def pay_out(self, loan: Loan) -> list[Posted]:
        """Show the payout as a disbursement and as a credit, in either order; then pay the entrusted payees."""
        rng, now_s = self._rng, self._ledger.now_s
        disbursed_gap, credit_gap = rng.randrange(RECORDS_GAP_S_MAX), rng.randrange(RECORDS_GAP_S_MAX)
        if loan.guarantor is not None:
            self._link_guarantor(loan, loan.guarantor)
        self._writer.put("loan-disbursements", now_s + disbursed_gap, self._record(loan, now_s + disbursed_gap))
        related = loan.loan_id if rng.random() < 0.93 else None
        self._ledger.deposit(loan.account, loan.amount_minor, kinds.PAYOUT, related, credit_gap)
        self._due[rng.randrange(28)].append(loan)
        paid = []
        for number, (payee, amount_minor) in enumerate(loan.entrusted):
            wait_s = RECORDS_GAP_S_MAX + 2 * number + rng.randrange(6)
            paid.append(self._ledger.pay(loan.account, payee, amount_minor, kinds.ENTRUSTED, wait_s))
        return paid

    def _link_guarantor(self, loan: Loan, guarantor: Party) -> None:
        self.link(f"PG{loan.loan_id}", loan.borrower, guarantor, "GUARANTOR")

    def link(self, event_id: str, party: Party, other: Party, role: LinkRole) -> None:
        """Publish a link that holds from now on."""
        now = instant(self._ledger.now_s)
        link = PartyLink(
            event_time=now, event_id=event_id, source_system="CRM", party_id=party.party_id,
            other_party_id=other.party_id, role=role, valid_from=now,
        )  # fmt: skip
        self._writer.put("party-links", self._ledger.now_s, link)

    def list_staff(self, party: Party) -> None:
        """Publish that somebody works at the bank."""
        now = instant(self._ledger.now_s)
        entry = ListEntry(
            event_time=now, event_id=f"LS{party.party_id}", source_system="LISTS", list_name="STAFF", party_id=party.party_id,
            valid_from=now, reason="员工名单",
        )  # fmt: skip
        self._writer.put("list-entries", self._ledger.now_s, entry)

    def _record(self, loan: Loan, time_s: int) -> LoanDisbursement:
        rng, borrower, today = self._rng, loan.borrower, day_of(time_s)
        code, text = rng.choice(_PURPOSES[borrower.kind])
        if loan.purpose is not None:
            code, text = loan.purpose
        org = rng.randrange(ORGS)
        has_industry = borrower.is_business and borrower.account.industry is not None and rng.random() < 0.85
        return LoanDisbursement(
            event_time=instant(time_s), event_id=f"D{loan.loan_id}", source_system="LOANS", loan_id=loan.loan_id,
            amount_minor=loan.amount_minor, currency=CURRENCY, disburse_account=loan.account.account_id,
            contract_id=f"K{loan.loan_id[1:]}",
            contract_sign_date=(today - timedelta(days=rng.randint(0, 20))).isoformat() if rng.random() < 0.9 else None,
            customer_id=borrower.party_id if rng.random() < 0.97 else None, borrower_type=borrower.kind,
            product_class=self._product(borrower), annual_rate=loan.rate_bp / 10_000,
            maturity_date=(today + timedelta(days=30 * loan.months)).isoformat(),
            repayment_method="EQUAL" if not borrower.is_business else "INTEREST_FIRST",
            guarantor_party_ids=(loan.guarantor.party_id,) if loan.guarantor is not None else (),
            occur_type=loan.occur_type,
            refinanced_loan_ids=(loan.refinanced_loan_id,) if loan.refinanced_loan_id is not None else (),
            payment_mode=self._mode(loan),
            entrusted_payments=tuple(_entrusted(payee, amount) for payee, amount in loan.entrusted),
            purpose_code=code if rng.random() < 0.9 or loan.purpose is not None else None,
            purpose_text=text if rng.random() < 0.8 or loan.purpose is not None else None,
            borrower_industry=borrower.account.industry if has_industry else None, repay_account=borrower.account.account_id,
            collection_account=borrower.account.account_id if borrower.is_business and rng.random() < 0.4 else None,
            channel="ONLINE" if loan.amount_minor < 30 * TEN_THOUSAND else "BRANCH", org_id=f"O{org:03d}",
            account_manager_id=f"M{org * MANAGERS_PER_ORG + rng.randrange(MANAGERS_PER_ORG):04d}",
        )  # fmt: skip

    def _product(self, borrower: Party) -> ProductClass:
        if borrower.kind == "ENTERPRISE" and self._rng.random() < 0.04:
            return "FIXED_ASSET"
        return _TERMS[borrower.kind][0]

    def _mode(self, loan: Loan) -> Literal["ENTRUSTED", "SELF", "MIXED"] | None:
        entrusted_minor = sum(amount for _, amount in loan.entrusted)
        if entrusted_minor:
            return "ENTRUSTED" if entrusted_minor * 10 >= loan.amount_minor * 9 else "MIXED"
        return "SELF" if self._rng.random() < 0.9 else None

    # --- repayment --------------------------------------------------------------------------------------------------

    def keep_old_loans(self) -> None:
        """Take over what borrowers owed before the feed began, and collect it like the rest."""
        for borrower in self._town.borrowers:
            if borrower.old_loan_id is not None:
                loan = self._old[borrower.party_id] = Loan(borrower.old_loan_id, borrower, borrower.old_loan_minor)
                self._due[self._rng.randrange(28)].append(loan)

    def old_loan(self, borrower: Party) -> Loan | None:
        """The borrower's loan from before the feed began, while something of it is owed."""
        loan = self._old.get(borrower.party_id)
        return loan if loan is not None and loan.outstanding_minor > 0 else None

    def plan_day(self, midnight_s: int) -> None:
        """Plan the instalments due on a day; a day off carries them to the next working day."""
        day = day_of(midnight_s)
        if day.day <= 28:
            standing = [loan for loan in self._due[day.day - 1] if loan.outstanding_minor > 0]
            self._due[day.day - 1] = standing
            self._carried += standing
        if not is_working_day(day):
            return
        for loan in self._carried:
            self._agenda.follow(midnight_s + self._rng.randrange(8 * HOUR_S, 17 * HOUR_S), self._instalment(loan))
        self._carried.clear()

    def _instalment(self, loan: Loan) -> Iterator[int]:
        """Interest and, for private loans, a share of the principal; when money is short somebody may step in first."""
        principal, interest = self._sums_due(loan)
        if principal + interest > loan.account.balance_minor:
            yield from self._support(loan, principal + interest)
        if 0 < interest <= loan.account.balance_minor:
            self._ledger.withdraw(loan.account, interest, kinds.LOAN_INTEREST, loan.loan_id)
        self.repay(loan.account, loan, min(principal, loan.account.balance_minor))

    def _sums_due(self, loan: Loan) -> tuple[int, int]:
        interest = loan.outstanding_minor * loan.rate_bp // 120_000
        if not loan.borrower.is_business:
            return min(loan.outstanding_minor, loan.amount_minor // loan.months), interest
        early = self._rng.random() < 0.05  # a business repays some of it ahead of time, from sales
        return (some_of(self._rng, min(loan.outstanding_minor, loan.account.balance_minor), 100, 400) if early else 0), interest

    def _support(self, loan: Loan, due_minor: int) -> Iterator[int]:
        """A guarantor on duty pays the loan or the borrower; otherwise own money or family comes in."""
        guarantor = loan.guarantor.account if loan.guarantor is not None else None
        pick = self._rng.random()
        if guarantor is not None and pick < 0.5 and guarantor.balance_minor > 2 * due_minor:
            if pick < 0.25:
                self.repay(guarantor, loan, min(due_minor, loan.outstanding_minor))
            else:
                self._habits.pay(guarantor, loan.account, due_minor, kinds.PRIVATE)
        elif pick < 0.85:
            payer = loan.borrower.customers[0] if loan.borrower.customers else self._town.stranger()
            self._habits.pay(payer, loan.account, due_minor, kinds.PRIVATE)
        yield self._ledger.now_s + self._rng.randrange(60, 3 * HOUR_S)

    def repay(self, account: Account, loan: Loan, amount_minor: int) -> str | None:
        """Pay back principal of a loan from an account; returns the txn_id, None when there is nothing to pay with."""
        amount_minor = min(amount_minor, loan.outstanding_minor, account.balance_minor)
        if amount_minor <= 0:
            return None
        loan.outstanding_minor -= amount_minor
        return self._ledger.withdraw(account, amount_minor, kinds.PRINCIPAL, loan.loan_id)


def _entrusted(payee: Account, amount_minor: int) -> EntrustedPayment:
    return EntrustedPayment(
        payee_account=payee.account_id, payee_name=payee.name, payee_bank_code=payee.bank_code, amount_minor=amount_minor,
        status="PAID",
    )  # fmt: skip
