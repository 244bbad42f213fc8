"""What falls due once a month: wages, taxes, bills, rent, dividends, interest."""

from __future__ import annotations

from functools import partial
from random import Random

from streams.simulate import kinds
from streams.simulate.agenda import Agenda
from streams.simulate.amounts import YUAN, heavy, tidy
from streams.simulate.habits import AMOUNT_MINOR_MAX, Habits
from streams.simulate.ledger import Account, Kind, Ledger
from streams.simulate.rhythm import HOUR_S, day_of, is_working_day
from streams.simulate.town import Party, Town


class Duties:
    """Who pays what on which day of the month; a day off moves it to the next working day."""

    def __init__(self, ledger: Ledger, town: Town, habits: Habits, agenda: Agenda, rng: Random) -> None:
        self._ledger = ledger
        self._town = town
        self._habits = habits
        self._agenda = agenda
        self._rng = rng
        self._payday: list[list[Party]] = [[] for _ in range(28)]
        self._billday: list[list[Party]] = [[] for _ in range(28)]
        self._carried: list[tuple[bool, Party]] = []
        for party in town.all_parties():
            if party.is_sleepy:
                continue
            self._payday[rng.choice((4, 9, 9, 14, 14, 19, 24))].append(party)
            self._billday[rng.randrange(28)].append(party)

    def plan_day(self, midnight_s: int) -> None:
        """Plan what is due on a day, and on the days the offices were closed before it."""
        day = day_of(midnight_s)
        if day.day <= 28:
            self._carried += [(True, party) for party in self._payday[day.day - 1]]
            self._carried += [(False, party) for party in self._billday[day.day - 1]]
        if not is_working_day(day):
            return
        for is_payday, party in self._carried:
            time_s = midnight_s + self._rng.randrange(8 * HOUR_S, 18 * HOUR_S)
            self._agenda.add(time_s, partial(self._do, party, is_payday))
        self._carried.clear()

    def _do(self, party: Party, is_payday: bool) -> None:
        if not is_payday:
            self._pay_bills(party)
        elif party.is_business:
            self._pay_wages(party)
        else:
            self._be_paid(party)

    def _be_paid(self, person: Party) -> None:
        salary = heavy(self._rng, person.scale_minor, 0.1, 500 * YUAN, 300_000 * YUAN)
        if self._rng.random() < 0.85:
            self._habits.pay(self._town.hubs.any("payroll"), person.account, salary, kinds.PAYROLL)

    def _pay_wages(self, firm: Party) -> None:
        """Staff by name, the rest through the payroll agency; the owner takes a salary or a dividend."""
        rng, account, scale = self._rng, firm.account, firm.scale_minor
        for worker in firm.staff:
            wage = min(heavy(rng, 5_500 * YUAN, 0.3, 800 * YUAN, scale * 4), account.free_minor // 6)
            self._habits.pay(account, worker, wage, kinds.PAYROLL)
        if firm.kind == "ENTERPRISE":
            self._habits.pay(account, self._town.hubs.any("payroll"), min(scale * 2, account.free_minor // 5), kinds.PAYROLL)
        if firm.owner is not None and rng.random() < 0.5:
            amount = min(heavy(rng, scale * 2, 1.0, 1_000 * YUAN, AMOUNT_MINOR_MAX), account.free_minor // 4)
            self._habits.pay(account, firm.owner.account, tidy(rng, max(1, amount)), kinds.PROFIT)

    def _pay_bills(self, party: Party) -> None:
        rng, account = self._rng, party.account
        due_minor = party.scale_minor if party.is_business else party.scale_minor // 10
        self._bill(account, "utilities", heavy(rng, due_minor // 6, 0.8, 20 * YUAN, AMOUNT_MINOR_MAX), kinds.UTILITY)
        if party.is_business and party.kind != "FARMER":
            self._bill(account, "tax", heavy(rng, due_minor, 1.0, 50 * YUAN, AMOUNT_MINOR_MAX), kinds.TAX)
            self._bill(account, "social", due_minor // 2, kinds.TAX)
        if party.landlord is not None:
            rent = party.scale_minor * 2 if party.is_business else party.scale_minor // 4
            self._habits.pay(account, party.landlord, min(tidy(rng, rent), account.free_minor // 3), kinds.RENT)
        if day_of(self._ledger.now_s).month % 3 == 0:
            self._ledger.deposit(account, account.balance_minor // 4000 + 1, kinds.INTEREST)

    def _bill(self, account: Account, group: str, amount_minor: int, kind: Kind) -> None:
        self._habits.pay(account, self._town.hubs.any(group), min(amount_minor, account.free_minor // 4), kind)
