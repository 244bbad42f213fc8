"""Ordinary life: what an inhabitant does on an ordinary day, whoever he is and whatever else he is up to.

Balances steer it: who is short of money sells or is paid, who has much spends or saves, so that nobody drifts away.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from random import Random

from streams.simulate import kinds
from streams.simulate.agenda import Agenda
from streams.simulate.amounts import SMALLEST, YUAN, heavy, pieces, some_of, tidy
from streams.simulate.ledger import Account, Kind, Ledger, Posted
from streams.simulate.names import DURABLE_MCC, EVERYDAY_MCC
from streams.simulate.rhythm import delay_s, market_hours, waking
from streams.simulate.town import Party, Town

AMOUNT_MINOR_MAX = 8_000_000 * YUAN
LOW_BALANCE = 2  # times the scale: below it money comes in more often than it goes out
HIGH_BALANCE = 11
HIGH_SAVINGS = 3  # months of income
MISHAP_PERMILLE = 12  # of supplier payments: refunded, returned by the other bank, or reversed
ATM_STEP = 100 * YUAN
ATM_MAX = 20_000 * YUAN


class Habits:
    """Lets inhabitants live. Payments are clipped to what the payer has; nothing happens when that is nothing."""

    def __init__(self, ledger: Ledger, town: Town, agenda: Agenda, rng: Random) -> None:
        self._ledger = ledger
        self._town = town
        self._agenda = agenda
        self._rng = rng

    def act(self, party: Party) -> None:
        """One act of ordinary life at the ledger's time."""
        if party.is_business:
            self._trade(party)
        else:
            self._live(party)

    def pay(self, payer: Account, payee: Account, amount_minor: int, kind: Kind) -> Posted | None:
        """Pay at most what the payer is free to spend; None when that is less than a yuan."""
        if payer.ours and amount_minor > payer.free_minor:
            amount_minor = payer.free_minor
        if amount_minor < SMALLEST or payer is payee:
            return None
        return self._ledger.pay(payer, payee, amount_minor, kind)

    # --- business ---------------------------------------------------------------------------------------------------

    def _trade(self, firm: Party) -> None:
        account, scale = firm.account, firm.scale_minor * (1 + firm.payers // 4)
        pick = self._rng.random()
        if account.free_minor < LOW_BALANCE * scale:
            pick *= 0.72
        elif account.free_minor > HIGH_BALANCE * scale:
            pick = 0.36 + pick * 0.64
        if pick < 0.46:
            self._sell(firm, scale)
        elif pick < 0.78:
            self._buy(firm, scale)
        else:
            self._other_business(firm, scale, pick)

    def _sell(self, firm: Party, scale: int) -> None:
        rng = self._rng
        amount = heavy(rng, scale * 5 // 4, 1.1, 20 * YUAN, AMOUNT_MINOR_MAX)
        pick = rng.random()
        if pick < 0.12:
            self.pay(self._town.hubs.any("platforms"), firm.account, amount, kinds.TAKINGS)
        elif pick < 0.18 and firm.kind != "ENTERPRISE":
            self._ledger.deposit(firm.account, amount - amount % ATM_STEP or ATM_STEP, kinds.CASH_IN)
        elif pick < 0.195:  # a securities firm is a customer like any other
            self.pay(self._town.hubs.any("brokers"), firm.account, tidy(rng, amount), kinds.BROKER_FEE)
        else:
            buyer = firm.customers[int(len(firm.customers) * rng.random() ** 1.5)] if firm.customers else self._town.stranger()
            if buyer.ours:
                amount = min(amount, buyer.free_minor // 3)
            self.pay(buyer, firm.account, tidy(rng, amount) if amount else 0, kinds.SALE)

    def _buy(self, firm: Party, scale: int) -> None:
        rng = self._rng
        account = firm.account
        suppliers = firm.suppliers
        supplier = suppliers[int(len(suppliers) * rng.random() ** 1.4)] if suppliers else self._town.outside_firm()
        if account.free_minor > HIGH_BALANCE * scale:  # stage payments, yearly settlements
            amount = some_of(rng, account.free_minor, 80, 600)
        else:
            amount = min(heavy(rng, scale, 1.25, 15 * YUAN, AMOUNT_MINOR_MAX), account.free_minor * 7 // 10)
        amount = tidy(rng, amount) if amount else 0
        if rng.random() < 0.2:
            for piece in pieces(rng, amount, rng.randint(2, 4)) if amount else ():
                self.pay(account, supplier, piece, kinds.GOODS)
            return
        posted = self.pay(account, supplier, amount, kinds.GOODS if rng.random() < 0.8 else kinds.SERVICE)
        if posted is not None and rng.randrange(1000) < MISHAP_PERMILLE:
            self._agenda.follow(self._ledger.now_s + 60, self._mishap(account, supplier, amount, posted))

    def _mishap(self, payer: Account, payee: Account, amount_minor: int, posted: Posted) -> Iterator[int]:
        """Later the payment is refunded, returned by the other bank, or reversed as an error."""
        rng = self._rng
        yield waking(rng, self._ledger.now_s + delay_s(rng, 30, 0.8))
        pick = rng.random()
        if payee.ours and payee.free_minor < amount_minor:
            return
        if pick < 0.45:
            self.pay(payee, payer, some_of(rng, amount_minor, 100, 1000), kinds.REFUND)
        elif pick < 0.7 and not payee.ours:
            self.pay(payee, payer, amount_minor, kinds.RETURNED)
        else:
            self._ledger.pay(payee, payer, amount_minor, kinds.UNDO, reverses=posted)

    def _other_business(self, firm: Party, scale: int, pick: float) -> None:
        rng, account = self._rng, firm.account
        if pick < 0.83 and firm.second is not None:
            self._shift(account, firm.second, some_of(rng, account.free_minor, 30, 600))
        elif pick < 0.86:
            payee = firm.owner.account if firm.owner is not None else self._town.person().account
            self.pay(account, payee, self._share(account, scale // 2, 300), kinds.PROFIT)
        elif pick < 0.89:
            self.pay(account, self._town.stranger(), self._share(account, scale // 2, 300), kinds.WAGE)
        elif pick < 0.92:
            self._wages_in_cash(firm, scale)
        elif pick < 0.96 and (firm.broker is not None or firm.is_saver):
            self._invest(firm, scale * 3)
        else:
            shop = self._town.hubs.shop()
            self.pay(account, shop, self._share(account, scale // 10, 100), kinds.CARD)

    def _share(self, account: Account, median_minor: int, permille_max: int) -> int:
        """A tidy amount around a median, within a share of the balance."""
        amount = heavy(self._rng, median_minor, 1.1, 10 * YUAN, AMOUNT_MINOR_MAX)
        return tidy(self._rng, max(1, min(amount, account.free_minor * permille_max // 1000)))

    def _shift(self, account: Account, second: Account, amount_minor: int) -> None:
        """Between one's own accounts; back again when the first one is low."""
        if account.free_minor < second.free_minor or (not second.ours and self._rng.random() < 0.5):
            if second.ours:
                amount_minor = some_of(self._rng, second.free_minor, 100, 900)
            account, second = second, account
        self.pay(account, second, tidy(self._rng, max(1, amount_minor)), kinds.OWN)

    def _wages_in_cash(self, firm: Party, scale: int) -> None:
        account = firm.account
        if account.kind == "GENERAL":  # may not pay out cash
            return
        amount = self._share(account, scale, 400)
        amount -= amount % ATM_STEP
        if amount:
            self._ledger.withdraw(account, amount, kinds.CASH_COUNTER)

    # --- private life -----------------------------------------------------------------------------------------------

    def _live(self, person: Party) -> None:
        rng, account, income = self._rng, person.account, person.scale_minor
        pick = rng.random()
        if account.free_minor < income // 4:
            pick = 0.5 + pick * 0.5 if rng.random() < 0.5 else pick
        elif account.free_minor > HIGH_SAVINGS * income and rng.random() < 0.12:
            self._spend_savings(person)
            return
        if pick < 0.34:
            self._shop(account, income)
        elif pick < 0.50:
            payee = self._town.stranger() if rng.random() < 0.6 else self._town.person().account
            self.pay(account, payee, self._share(account, income // 12, 600), kinds.PRIVATE)
        elif pick < 0.68:
            payer = self._town.stranger()
            self.pay(payer, account, tidy(rng, heavy(rng, income // 6, 1.2, 10 * YUAN, AMOUNT_MINOR_MAX)), kinds.PRIVATE)
        elif pick < 0.74:
            self._draw_cash(account, income // 8)
        elif pick < 0.78:
            amount = heavy(rng, income // 5, 0.9, ATM_STEP, AMOUNT_MINOR_MAX)
            self._ledger.deposit(account, amount - amount % ATM_STEP or ATM_STEP, kinds.CASH_IN)
        elif pick < 0.90:
            self._invest(person, income) if person.broker or person.is_saver else self._shop(account, income)
        elif pick < 0.95 and person.second is not None:
            self._shift(account, person.second, some_of(rng, account.free_minor, 50, 500))
        elif pick < 0.952:
            self.pay(account, self._town.hubs.any("developers"), some_of(rng, account.free_minor, 300, 800), kinds.HOUSE)
        elif pick < 0.97:
            self.pay(account, self._town.hubs.any("lenders"), self._share(account, income // 4, 500), kinds.TO_LENDER)
        else:
            payee = self._town.popular_firm().account
            self.pay(account, payee, self._share(account, income // 3, 700), kinds.PRIVATE)

    def _spend_savings(self, person: Party) -> None:
        """Somebody with much money in the account lends, buys or moves a good part of it."""
        rng, account = self._rng, person.account
        if rng.random() < 0.4 and (person.broker or person.is_saver):
            self._invest(person, account.free_minor // 6)
            return
        payee = self._town.stranger() if rng.random() < 0.7 else self._town.hubs.shop(DURABLE_MCC)
        kind = kinds.PRIVATE if payee.mcc is None else kinds.CARD
        self.pay(account, payee, tidy(rng, some_of(rng, account.free_minor, 50, 500)), kind)

    def _shop(self, account: Account, income: int) -> None:
        rng = self._rng
        if rng.random() < 0.08:
            self.pay(account, self._town.hubs.shop(DURABLE_MCC), self._share(account, income // 2, 700), kinds.CARD)
        elif rng.random() < 0.4:
            self.pay(account, self._town.hubs.any("platforms"), self._cart(account, income // 60), kinds.ONLINE)
        else:
            self.pay(account, self._town.hubs.shop(EVERYDAY_MCC), self._cart(account, income // 50), kinds.CARD)

    def _cart(self, account: Account, median_minor: int) -> int:
        return min(heavy(self._rng, median_minor, 1.2, 3 * YUAN, AMOUNT_MINOR_MAX), account.free_minor // 2)

    def _draw_cash(self, account: Account, median_minor: int) -> None:
        amount = min(heavy(self._rng, median_minor, 0.9, ATM_STEP, ATM_MAX), account.free_minor)
        amount -= amount % ATM_STEP
        if amount and account.kind != "GENERAL":
            self._ledger.withdraw(account, amount, kinds.CASH_OUT)

    # --- savings ----------------------------------------------------------------------------------------------------

    def _invest(self, party: Party, median_minor: int) -> None:
        """Into or out of securities or a wealth product; transfers to brokers wait for market hours."""
        if party.broker is None or (party.is_saver and self._rng.random() < 0.45):
            self._save(party, median_minor)
            return
        time_s = market_hours(self._rng, self._ledger.now_s)
        if time_s == self._ledger.now_s:
            self.trade_securities(party, median_minor)
        else:
            self._agenda.add(time_s, partial(self.trade_securities, party, median_minor))

    def trade_securities(self, party: Party, median_minor: int) -> None:
        """One transfer to or from his broker."""
        assert party.broker is not None
        account = party.account
        if self._rng.random() < 0.40:
            amount = heavy(self._rng, median_minor, 1.1, 100 * YUAN, AMOUNT_MINOR_MAX)
            self.pay(party.broker, account, tidy(self._rng, amount), kinds.BROKER_BACK)
        else:
            kind = kinds.BROKER if self._rng.random() < 0.8 else kinds.BROKER_PLAIN
            self.pay(account, party.broker, self._share(account, median_minor, 700), kind)

    def _save(self, party: Party, median_minor: int) -> None:
        product = party.product or self._town.hubs.any("products")
        if self._rng.random() < 0.45:
            amount = heavy(self._rng, median_minor, 1.0, 100 * YUAN, AMOUNT_MINOR_MAX)
            self.pay(product, party.account, amount, kinds.WEALTH_BACK)
        else:
            self.pay(party.account, product, self._share(party.account, median_minor * 3 // 2, 850), kinds.WEALTH)
