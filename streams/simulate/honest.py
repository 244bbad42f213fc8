"""What honest borrowers do with a loan, and the twins: honest people whose payments look like misuse.

The twins are matched to the styles of misuse in amounts and timing; what tells them apart is behaviour: money of their
own that was there before, habits that predate the loan, counterparties with a business of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

from streams.simulate import kinds
from streams.simulate.amounts import pieces, some_of, tidy
from streams.simulate.ledger import Account
from streams.simulate.names import DURABLE_MCC, EVERYDAY_MCC
from streams.simulate.plot import Plot
from streams.simulate.rhythm import DAY_S, HOUR_S

# --- ordinary use ---------------------------------------------------------------------------------------------------------


def agree_on_payees(plot: Plot) -> None:
    """Some business loans are paid by the bank straight to the supplier of the contract."""
    if plot.borrower.is_business and plot.borrower.suppliers and plot.rng.random() < 0.35:
        payee = plot.rng.choice(plot.borrower.suppliers)
        plot.loan.entrusted = [(payee, some_of(plot.rng, plot.loan.amount_minor, 500, 1000))]


def ordinary(plot: Plot) -> Iterator[int]:
    """The loan is used for what it was taken for."""
    if plot.borrower.is_business and not plot.loan.entrusted and plot.rng.random() < 0.02:
        yield from _park_idle_cash(plot)
    elif plot.loan.entrusted and plot.rng.random() < 0.04:
        yield from _return_and_pay_again(plot)
    entrusted = sum(amount for _, amount in plot.loan.entrusted)
    yield from spend_as_agreed(plot, some_of(plot.rng, plot.loan.amount_minor, 650, 1050) - entrusted)


def arrange_renewal(plot: Plot) -> None:
    """An approved renewal names the old loan; the new one is as large as what is still owed, at least."""
    old = plot.stage.lending.old_loan(plot.borrower)
    if old is not None:
        plot.loan.occur_type = "RENEWAL_NO_REPAY"
        plot.loan.refinanced_loan_id = old.loan_id


def renewal(plot: Plot) -> Iterator[int]:
    """An approved renewal repays the old loan at once; what is left is used as agreed."""
    yield plot.now_s + plot.rng.randrange(60, 3 * HOUR_S)
    old = plot.stage.lending.old_loan(plot.borrower)
    repaid = 0
    if old is not None:
        repaid = min(old.outstanding_minor, plot.loan.amount_minor)
        plot.repay(old, repaid)
    yield from spend_as_agreed(plot, plot.loan.amount_minor - repaid)


def spend_as_agreed(plot: Plot, amount_minor: int) -> Iterator[int]:
    """Spend an amount on the agreed purpose over hours to weeks, in one to a dozen payments."""
    if amount_minor < 1_000:
        return
    rng = plot.rng
    count = min(12, 1 + int(rng.expovariate(0.28)))
    wait_hours = rng.choice((3, 9, 20, 40))
    shop = plot.town.hubs.shop(DURABLE_MCC) if rng.random() < 0.5 else None  # one shop may get it all
    for piece in pieces(rng, amount_minor, count):
        yield plot.later(wait_hours)
        if plot.borrower.is_business:
            yield from _pay_for_business(plot, tidy(rng, piece))
        else:
            _pay_for_private(plot, tidy(rng, piece), shop)


def _pay_for_business(plot: Plot, amount_minor: int) -> Iterator[int]:
    rng, account, town = plot.rng, plot.account, plot.town
    pick = rng.random()
    suppliers = plot.borrower.suppliers
    if pick < 0.52 and suppliers:
        plot.pay(account, suppliers[int(len(suppliers) * rng.random() ** 1.4)], amount_minor, kinds.GOODS)
    elif pick < 0.66:
        payee = town.quiet().account if rng.random() < 0.5 else town.popular_firm().account
        plot.pay(account, payee, amount_minor, kinds.GOODS if rng.random() < 0.7 else kinds.SERVICE)
    elif pick < 0.72:
        plot.pay(account, town.hubs.any("payroll"), amount_minor, kinds.PAYROLL)
    elif pick < 0.80:
        yield from _pay_from_own_card(plot, amount_minor)
    elif pick < 0.87:
        payee = town.stranger() if rng.random() < 0.5 else town.person().account
        plot.pay(account, payee, amount_minor, kinds.WAGE if rng.random() < 0.5 else kinds.PRIVATE)
    elif pick < 0.91 and account.kind != "GENERAL":
        plot.take_cash(amount_minor)
    elif pick < 0.95 and plot.borrower.landlord is not None:
        plot.pay(account, plot.borrower.landlord, amount_minor, kinds.RENT)
    else:
        plot.pay(account, town.outside_firm(), amount_minor, kinds.GOODS)


def _pay_from_own_card(plot: Plot, amount_minor: int) -> Iterator[int]:
    """To the own second account, and from there to a supplier."""
    second = plot.borrower.second
    supplier = plot.rng.choice(plot.borrower.suppliers) if plot.borrower.suppliers else plot.town.outside_firm()
    if second is None or second is plot.account:
        plot.pay(plot.account, supplier, amount_minor, kinds.GOODS)
        return
    moved = plot.pay(plot.account, second, amount_minor, kinds.OWN)
    yield plot.later(6)
    if second.ours:
        plot.pay(second, supplier, moved, kinds.GOODS)


def _pay_for_private(plot: Plot, amount_minor: int, shop: Account | None) -> None:
    rng, town = plot.rng, plot.town
    pick = rng.random()
    if shop is not None and pick < 0.7:
        plot.pay(plot.account, shop, amount_minor, kinds.CARD)
    elif pick < 0.45:
        plot.pay(plot.account, town.hubs.shop(DURABLE_MCC if rng.random() < 0.7 else EVERYDAY_MCC), amount_minor, kinds.CARD)
    elif pick < 0.75:
        payee = town.stranger() if rng.random() < 0.4 else town.quiet().account
        plot.pay(plot.account, payee, amount_minor, kinds.PRIVATE)
    elif pick < 0.85:
        plot.pay(plot.account, town.hubs.any("platforms"), amount_minor, kinds.ONLINE)
    elif pick < 0.93:
        plot.pay(plot.account, town.popular_firm().account, amount_minor, kinds.PRIVATE)
    else:
        plot.take_cash(amount_minor // 3)


def _park_idle_cash(plot: Plot) -> Iterator[int]:
    """Idle for some days, the money waits in a product that pays daily, and comes back in time for the supplier."""
    product = plot.borrower.product or plot.town.hubs.any("products")
    yield plot.later(5, 0.7)
    parked = plot.pay(plot.account, product, some_of(plot.rng, plot.loan.amount_minor, 300, 900), kinds.WEALTH)
    yield plot.later(40, 0.4)
    if parked:
        plot.pay(product, plot.account, parked + parked // 8_000, kinds.WEALTH_BACK)


def _return_and_pay_again(plot: Plot) -> Iterator[int]:
    """The payee's account number was wrong: the money comes back and goes out again. Or a part of the order is cancelled."""
    payee, amount = plot.loan.entrusted[0]
    yield plot.later(20, 0.8)
    if plot.rng.random() < 0.5:
        plot.pay(payee, plot.account, some_of(plot.rng, amount, 100, 500), kinds.REFUND)
        return
    returned = plot.pay(payee, plot.account, amount, kinds.RETURNED)
    yield plot.later(6)
    plot.pay(plot.account, payee if plot.rng.random() < 0.7 else plot.town.outside_firm(), returned, kinds.GOODS)


# --- twins ----------------------------------------------------------------------------------------------------------------


def keep_investing(plot: Plot) -> Iterator[int]:
    """The habit of the habitual investor: every week or so a similar sum from his own money, before the loan and after."""
    rng, borrower = plot.rng, plot.borrower
    plot.town.make_investor(borrower)
    assert borrower.broker is not None
    usual = some_of(rng, plot.loan.amount_minor, 15, 120)
    while plot.now_s < plot.payout_s + 40 * DAY_S:
        yield plot.at_market(rng.choice((48, 120, 168)), 0.3)
        amount = min(some_of(rng, usual, 600, 1500), plot.savings_minor)
        if plot.now_s < plot.payout_s:
            amount = plot.pay(borrower.account, borrower.broker, tidy(rng, amount) if amount else 0, kinds.BROKER)
        else:
            amount = plot.move(borrower.account, borrower.broker, amount, kinds.BROKER)
        plot.savings_minor -= amount
        if rng.random() < 0.15:
            plot.pay(borrower.broker, borrower.account, tidy(rng, usual * 2), kinds.BROKER_BACK)


def habitual_investor(plot: Plot) -> Iterator[int]:
    """Uses the loan as agreed while the habit goes on."""
    return spend_as_agreed(plot, some_of(plot.rng, plot.loan.amount_minor, 900, 1020))


def wealthy_buyer(plot: Plot) -> Iterator[int]:
    """Savings many times the loan; soon after the payout some of them buy securities or a wealth product."""
    rng = plot.rng
    plot.also(spend_as_agreed(plot, some_of(rng, plot.loan.amount_minor, 850, 1000)))
    is_wealth = rng.random() < 0.4
    payee = plot.town.hubs.any("products" if is_wealth else "brokers")
    for piece in pieces(rng, some_of(rng, plot.loan.amount_minor, 400, 2500), rng.choice((1, 1, 2, 3))):
        yield plot.later(16) if is_wealth else plot.at_market(14)
        plot.move(plot.account, payee, piece, kinds.WEALTH if is_wealth else kinds.BROKER)


def supplier_invests_profit(plot: Plot) -> Iterator[int]:
    """An established supplier is paid with the loan, and later invests profit of his own."""
    rng = plot.rng
    firm = plot.firm_here()
    yield plot.later(14)
    paid = plot.move(plot.account, firm.account, some_of(rng, plot.loan.amount_minor, 500, 1000), kinds.GOODS)
    plot.also(spend_as_agreed(plot, plot.loan.amount_minor - paid))
    plot.town.make_investor(firm)
    assert firm.broker is not None
    profit = max(0, firm.account.balance_minor - paid) + paid // 5
    for piece in pieces(rng, min(some_of(rng, paid, 300, 1000), profit) or 1_000, rng.choice((1, 1, 2, 3))):
        yield plot.at_market(36)
        plot.move(firm.account, firm.broker, piece, kinds.BROKER)


def forwarding_newcomer(plot: Plot) -> Iterator[int]:
    """A young trading firm is paid, quickly pays its own suppliers for the goods, and keeps its margin."""
    rng = plot.rng
    firm = plot.mule(asleep_percent=75)
    yield plot.later(14)
    paid = plot.move(plot.account, firm.account, some_of(rng, plot.loan.amount_minor, 500, 1000), kinds.GOODS)
    plot.also(spend_as_agreed(plot, plot.loan.amount_minor - paid))
    if not paid:
        return
    for piece in pieces(rng, some_of(rng, paid, 800, 950), rng.randint(2, 5)):
        yield plot.later(5)
        maker = plot.town.popular_firm().account if rng.random() < 0.6 else plot.town.outside_firm()
        plot.move(firm.account, maker, piece, kinds.GOODS)
