"""The course of one loan after its payout: who pays whom when, and what of it counts as misuse.

A *move* is a payment of the misuse (or of the honest twin); one that *reaches* puts loan money where it must not be.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from msgspec import Struct

from detectors.events import AccountKind, LinkRole
from streams.simulate import kinds
from streams.simulate.agenda import Agenda
from streams.simulate.amounts import tidy
from streams.simulate.habits import Habits
from streams.simulate.hubs import OTHER_BANKS
from streams.simulate.ledger import Account, Kind, Ledger
from streams.simulate.lending import Lending, Loan
from streams.simulate.rhythm import DAY_S, delay_s, market_hours, waking
from streams.simulate.town import ASLEEP_PERCENT, Party, Town
from streams.simulate.writer import instant

SMALL_CASH_PART = 10
"""Who neither farms nor pays wages in cash takes at most this part of a loan out at a time."""

EARMARK_S = 30 * DAY_S
"""How long a plot's money is kept apart from what its holders spend in daily life."""


class Label(Struct, kw_only=True):
    """The truth about one loan, as written to ``labels.jsonl``."""

    loan_id: str
    style: str
    typology: str | None  # None: an honest twin
    misused: bool
    txn_ids: list[str] = []
    misused_minor: int = 0
    misused_first_week_minor: int = 0  # of it, within seven days of the payout
    first_misuse_time: str | None = None
    phase: str = "base"


class Stage(Struct, frozen=True):
    """What every plot plays on."""

    ledger: Ledger
    town: Town
    habits: Habits
    lending: Lending
    agenda: Agenda
    rng: Random
    earmark_s: int = EARMARK_S


class Plot:
    """One loan's course. Payments are clipped to what the payer has; amounts returned are what was really paid."""

    def __init__(self, stage: Stage, loan: Loan, label: Label, payout_s: int) -> None:
        self.stage = stage
        self.rng = stage.rng
        self.town = stage.town
        self.loan = loan
        self.label = label
        self.payout_s = payout_s
        self.borrower = loan.borrower
        self.account = loan.account
        self._used: list[Party] = [loan.borrower]
        self._held: dict[str, tuple[Account, int]] = {}  # by account: what is earmarked there for this plot
        self.savings_minor = 0
        self._landlord: Party | None = None
        self._firm: Party | None = None

    # --- time -------------------------------------------------------------------------------------------------------

    @property
    def now_s(self) -> int:
        """The world's time."""
        return self.stage.ledger.now_s

    def later(self, median_hours: float, sigma: float = 1.2) -> int:
        """Some time from now, when people are awake."""
        return waking(self.rng, self.now_s + delay_s(self.rng, median_hours, sigma))

    def at_market(self, median_hours: float, sigma: float = 1.2) -> int:
        """Some time from now, when transfers to brokers run."""
        return market_hours(self.rng, self.now_s + delay_s(self.rng, median_hours, sigma))

    def also(self, course: Iterator[int]) -> None:
        """Let something else happen beside this."""
        self.stage.agenda.follow(self.now_s, course)

    # --- money ------------------------------------------------------------------------------------------------------

    def pay_out(self, marks_entrusted: bool) -> None:
        """Pay the loan out; its entrusted payments may be part of the misuse (or twin)."""
        paid = self.stage.lending.pay_out(self.loan)
        self._earmark(self.account, self.loan.amount_minor - sum(amount for _, amount in self.loan.entrusted))
        for payee, amount_minor in self.loan.entrusted:
            if marks_entrusted:
                self._earmark(payee, amount_minor)
        self.stage.agenda.add(self.now_s + self.stage.earmark_s, self._release_all)
        for posted in paid:
            if marks_entrusted and posted.txn_id is not None:
                self.label.txn_ids.append(posted.txn_id)

    def pay(self, payer: Account, payee: Account, amount_minor: int, kind: Kind) -> int:
        """An ordinary payment."""
        amount_minor = self._within_means(payer, amount_minor)
        return amount_minor if self.stage.habits.pay(payer, payee, amount_minor, kind) is not None else 0

    def move(self, payer: Account, payee: Account, amount_minor: int, kind: Kind) -> int:
        """A payment that is part of the misuse or of the twin; the payee keeps it for what comes next."""
        amount_minor = self._mark(payer, payee, amount_minor, kind)
        self._earmark(payee, amount_minor)
        return amount_minor

    def _mark(self, payer: Account, payee: Account, amount_minor: int, kind: Kind, exact: bool = False) -> int:
        if amount_minor > 0 and not exact:
            amount_minor = tidy(self.rng, amount_minor)
        amount_minor = self._within_means(payer, amount_minor)
        posted = self.stage.habits.pay(payer, payee, amount_minor, kind)
        if posted is None:
            return 0
        if posted.txn_id is not None:
            self.label.txn_ids.append(posted.txn_id)
        return amount_minor

    def _within_means(self, payer: Account, amount_minor: int) -> int:
        """The amount, clipped to what the payer has free or earmarked for this plot; the earmark is lowered by it."""
        if not payer.ours:
            return amount_minor
        held = self._held.get(payer.account_id, (payer, 0))[1]
        amount_minor = min(amount_minor, payer.free_minor + held, payer.balance_minor)
        self._earmark(payer, -min(held, max(0, amount_minor)))
        return min(amount_minor, payer.free_minor)

    def _earmark(self, account: Account, amount_minor: int) -> None:
        if account.ours and amount_minor:
            held = self._held.get(account.account_id, (account, 0))[1]
            self._held[account.account_id] = (account, held + amount_minor)
            account.earmarked_minor += amount_minor

    def _release_all(self) -> None:
        """What is still earmarked is anybody's now; the plot may go on with what it finds."""
        for account, amount_minor in self._held.values():
            account.earmarked_minor -= amount_minor
        self._held.clear()

    def reach(self, payer: Account, payee: Account, amount_minor: int, kind: Kind, exact: bool = False) -> int:
        """A move that puts loan money where it must not be; ``exact``: to the fen, not as a round sum."""
        amount_minor = self._mark(payer, payee, amount_minor, kind, exact)
        self.count(amount_minor)
        return amount_minor

    def withdraw(self, account: Account, amount_minor: int, kind: Kind) -> int:
        """Cash taken out as misuse."""
        amount_minor = self._within_means(account, amount_minor)
        if amount_minor <= 0:
            return 0
        self.label.txn_ids.append(self.stage.ledger.withdraw(account, amount_minor, kind))
        self.count(amount_minor)
        return amount_minor

    def draw(self, account: Account, amount_minor: int, kind: Kind) -> int:
        """Honest cash, in whole hundreds of yuan."""
        amount_minor = self._within_means(account, amount_minor - amount_minor % 10_000)
        amount_minor -= amount_minor % 10_000
        if amount_minor <= 0:
            return 0
        self.label.txn_ids.append(self.stage.ledger.withdraw(account, amount_minor, kind))
        return amount_minor

    def cap(self, payer: Account, payee: Account, amount_minor: int, kind: Kind) -> int:
        """A payment of exactly what a channel lets through, or of what is left."""
        return self._mark(payer, payee, amount_minor, kind, exact=True)

    def take_cash(self, amount_minor: int) -> None:
        """Cash for wages, a farmer's purchases, else small sums, in whole hundreds of yuan; none from a general account."""
        pays_wages = self.borrower.is_business and self.account.kind == "BASIC"
        if not pays_wages and self.borrower.kind != "FARMER":
            amount_minor = min(amount_minor, self.loan.amount_minor // SMALL_CASH_PART)
        amount_minor = self._within_means(self.account, amount_minor - amount_minor % 10_000)
        amount_minor -= amount_minor % 10_000
        if amount_minor > 0 and self.account.kind != "GENERAL":
            self.stage.ledger.withdraw(self.account, amount_minor, kinds.CASH_WAGES if pays_wages else kinds.CASH_COUNTER)

    def repay(self, old: Loan, amount_minor: int) -> tuple[str | None, int]:
        """Principal of another loan, paid from the account this one was paid to: the txn_id and the sum."""
        before = old.outstanding_minor
        amount_minor = self._within_means(self.account, min(amount_minor, before))
        txn_id = self.stage.lending.repay(self.account, old, amount_minor)
        return txn_id, before - old.outstanding_minor

    def count(self, amount_minor: int) -> None:
        """So much more of the loan is misused."""
        label = self.label
        if amount_minor > 0:
            label.misused_minor = min(self.loan.amount_minor, label.misused_minor + amount_minor)
            label.first_misuse_time = label.first_misuse_time or instant(self.now_s).isoformat()
            if self.now_s <= self.payout_s + 7 * DAY_S:
                label.misused_first_week_minor = label.misused_minor

    def save_up(self, amount_minor: int) -> None:
        """Adopt savings that were earmarked in the borrower's main account when time began; the loan is paid to it."""
        self.savings_minor = amount_minor
        self.account = self.loan.account = self.borrower.account
        self._held[self.account.account_id] = (self.account, amount_minor)

    # --- people -----------------------------------------------------------------------------------------------------

    def link(self, other: Party, role: LinkRole) -> None:
        """Put a link of the borrower on record."""
        self.stage.lending.link(f"PR{self.loan.loan_id}", self.borrower, other, role)

    def list_staff(self, party: Party) -> None:
        """Put somebody on the list of the bank's staff."""
        self.stage.lending.list_staff(party)

    def landlord_here(self) -> Party:
        """Somebody with an account here who lets rooms to the borrower: always the same."""
        if self._landlord is None:
            self._landlord = self.town.person()
        return self._landlord

    def mule(self, asleep_percent: int = ASLEEP_PERCENT) -> Party:
        """A quiet inhabitant who lends his account; a different one at each call."""
        for _ in range(20):
            party = self.town.quiet(asleep_percent)
            if party not in self._used:
                break
        self._used.append(party)
        return party

    def insiders(self) -> list[Account]:
        """Accounts of the borrower's side: owner, spouse, guarantor."""
        borrower, guarantor = self.borrower, self.loan.guarantor
        spouse = borrower.owner.spouse if borrower.owner is not None else borrower.spouse
        kin = [party for party in (borrower.owner, spouse, guarantor) if party is not None]
        return [party.account for party in kin if party.account is not self.account]

    def own_account_elsewhere(self) -> Account:
        """The borrower's account with another bank."""
        second = self.borrower.second
        if second is not None and not second.ours:
            return second
        account = self.borrower.account
        kind: AccountKind | None = "PERSONAL_I" if not self.borrower.is_business else None
        bank = self.rng.choice(OTHER_BANKS)
        return Account(self.town.mint.next("62"), account.name, self.borrower.party_id, bank, kind)

    def firm_here(self) -> Party:
        """A firm with an account here, one of the borrower's suppliers if he has any, with turnover of its own."""
        regular = [firm for firm in self.town.firms if firm.account in self.borrower.suppliers]
        return self.rng.choice(regular) if regular else self.town.popular_firm()

    def partner(self) -> Party:
        """The firm the borrower trades with both ways: always the same."""
        if self._firm is None:
            self._firm = self.firm_here()
        return self._firm
