"""Styles of misuse: how loan money is led to where it must not be. Amounts, delays, splits and hops overlap with honest use."""

from __future__ import annotations

from collections.abc import Iterator

from streams.simulate import kinds
from streams.simulate.amounts import TEN_THOUSAND, YUAN, pieces, shaved, some_of
from streams.simulate.honest import spend_as_agreed
from streams.simulate.ledger import Account, Kind
from streams.simulate.names import CASH_LIKE_MCC, DURABLE_MCC
from streams.simulate.plot import Plot
from streams.simulate.rhythm import DAY_S

FEW = (1, 1, 1, 2, 2, 3, 4)
"""How many parts a sum is split into, by taste."""


def _misused(plot: Plot, low_permille: int) -> int:
    """How much goes astray; the rest is used as agreed, which is the best cover."""
    amount = some_of(plot.rng, plot.loan.amount_minor, low_permille, 1000)
    plot.also(spend_as_agreed(plot, plot.loan.amount_minor - amount))
    return amount


def _broker_kind(plot: Plot) -> Kind:
    return kinds.BROKER if plot.rng.random() < 0.7 else kinds.BROKER_PLAIN


def _hop_kind(plot: Plot) -> Kind:
    return plot.rng.choice((kinds.GOODS, kinds.PRIVATE, kinds.SERVICE, kinds.PRIVATE))


def _buy_securities(plot: Plot, account: Account, amount_minor: int, median_hours: float) -> Iterator[int]:
    broker = plot.town.hubs.any("brokers")
    for piece in pieces(plot.rng, amount_minor, plot.rng.choice(FEW)) if amount_minor > 0 else ():
        yield plot.at_market(median_hours)
        plot.reach(account, broker, piece, _broker_kind(plot))


def direct_purchase(plot: Plot) -> Iterator[int]:
    """T01: from the borrower's account to a broker, sometimes through another account of his."""
    amount, account = _misused(plot, 300), plot.account
    second = plot.borrower.second
    if second is not None and second.ours and second is not account and plot.rng.random() < 0.4:
        yield plot.later(10)
        amount = plot.move(account, second, amount, kinds.OWN)
        account = second
    yield from _buy_securities(plot, account, amount, 14)


def two_shells(plot: Plot) -> Iterator[int]:
    """T01: through two accounts that lend themselves, each keeping a fee."""
    first, second = plot.mule().account, plot.mule().account
    for piece in pieces(plot.rng, _misused(plot, 400), plot.rng.choice(FEW)):
        yield plot.later(12)
        amount = plot.move(plot.account, first, piece, _hop_kind(plot))
        yield plot.later(6)
        amount = plot.move(first, second, shaved(plot.rng, amount), _hop_kind(plot))
        yield from _buy_securities(plot, second, shaved(plot.rng, amount), 6)


def buy_from_supplier(plot: Plot) -> None:
    """Half of the bought suppliers are paid by the bank as the contract's payee."""
    if plot.rng.random() < 0.5:
        plot.loan.entrusted = [(plot.firm_here().account, some_of(plot.rng, plot.loan.amount_minor, 700, 1000))]


def complicit_supplier(plot: Plot) -> Iterator[int]:
    """T01/T05: a supplier with business of his own passes most of it on, to a broker or to the borrower's owner."""
    rng = plot.rng
    if plot.loan.entrusted:
        supplier, paid = plot.loan.entrusted[0]
        plot.also(spend_as_agreed(plot, plot.loan.amount_minor - paid))
    else:
        amount, supplier = _misused(plot, 500), plot.firm_here().account
        yield plot.later(12)
        paid = plot.move(plot.account, supplier, amount, kinds.GOODS)
    onward = some_of(rng, paid, 600, 970)
    insiders = plot.insiders()
    if insiders and rng.random() < 0.35:
        plot.label.typology = "T05"
        yield from _hand_over(plot, supplier, rng.choice(insiders), onward, 36)
    else:
        yield from _buy_securities(plot, supplier, onward, 30)


def _hand_over(plot: Plot, payer: Account, payee: Account, amount_minor: int, median_hours: float) -> Iterator[int]:
    kind = kinds.PROFIT if plot.rng.random() < 0.5 else kinds.PRIVATE
    for piece in pieces(plot.rng, amount_minor, plot.rng.choice(FEW)) if amount_minor > 0 else ():
        yield plot.later(median_hours)
        plot.reach(payer, payee, piece, kind)


def pooled_own_money(plot: Plot) -> Iterator[int]:
    """T01: about five times as much money of his own is brought in first, and securities are bought from the mixture."""
    rng, amount = plot.rng, _misused(plot, 600)
    elsewhere = plot.own_account_elsewhere()
    for piece in pieces(rng, some_of(rng, plot.loan.amount_minor, 3000, 7000), rng.randint(1, 3)):
        yield plot.later(5)
        plot.pay(elsewhere, plot.account, piece, kinds.OWN)
    yield from _buy_securities(plot, plot.account, some_of(rng, amount, 800, 1500), 12)


def wealth_product(plot: Plot) -> Iterator[int]:
    """T02: into a wealth product within a fortnight."""
    rng, amount = plot.rng, _misused(plot, 250)
    product = plot.borrower.product or plot.town.hubs.any("products")
    for piece in pieces(rng, amount, rng.choice(FEW)):
        yield plot.later(20)
        plot.reach(plot.account, product, piece, kinds.WEALTH)


def find_guarantor(plot: Plot) -> None:
    """Somebody must stand on the borrower's side for the money to come back to."""
    if not plot.insiders():
        plot.loan.guarantor = plot.town.person()


def related_party_return(plot: Plot) -> Iterator[int]:
    """T05: back to the owner, spouse or guarantor, directly or round a supplier."""
    rng, amount, account = plot.rng, _misused(plot, 250), plot.account
    insider = rng.choice(plot.insiders() or [plot.town.person().account])
    if rng.random() < 0.65:
        between = plot.firm_here().account if rng.random() < 0.5 else plot.mule().account
        yield plot.later(12)
        amount = some_of(rng, plot.move(account, between, amount, _hop_kind(plot)), 900, 1000)
        account = between
    yield from _hand_over(plot, account, insider, amount, 20)


def list_a_willing_payee(plot: Plot) -> None:
    """The contract names a payee who will give the money back."""
    pick = plot.rng.random()
    payee = plot.mule().account if pick < 0.45 else plot.firm_here().account if pick < 0.7 else plot.town.outside_firm()
    plot.loan.entrusted = [(payee, some_of(plot.rng, plot.loan.amount_minor, 600, 1000))]


def entrusted_return(plot: Plot) -> Iterator[int]:
    """T06: the contract's payee returns it, or forwards it to somebody on the borrower's side, within days."""
    rng, (payee, paid) = plot.rng, plot.loan.entrusted[0]
    plot.also(spend_as_agreed(plot, plot.loan.amount_minor - paid))
    insiders = plot.insiders()
    target = rng.choice(insiders) if insiders and rng.random() < 0.4 else plot.account
    for piece in pieces(rng, some_of(rng, paid, 800, 1050), rng.choice(FEW)):
        yield plot.later(14, 0.9)
        plot.reach(payee, target, piece, rng.choice((kinds.PRIVATE, kinds.GOODS, kinds.REFUND)))


def loan_repays_loan(plot: Plot) -> Iterator[int]:
    """T08: an old loan is repaid with the new one, here or with another lender."""
    rng, amount = plot.rng, _misused(plot, 500)
    lending = plot.stage.lending
    old = lending.old_loan(plot.borrower)
    yield plot.later(12)
    if old is None or rng.random() < 0.3:
        plot.reach(plot.account, plot.town.hubs.any("lenders"), amount, kinds.TO_LENDER)
        return
    txn_id, repaid = plot.repay(old, amount)
    if txn_id is not None:
        plot.label.txn_ids.append(txn_id)
        plot.count(repaid)


def cash_out(plot: Plot) -> Iterator[int]:
    """T09: cash from the machine or the counter, or everything at one shop that hands out cash for it."""
    rng, amount = plot.rng, _misused(plot, 350)
    if rng.random() < 0.55:
        cap = rng.choice((2 * TEN_THOUSAND, 5 * TEN_THOUSAND - 100 * YUAN, 20 * TEN_THOUSAND))
        for piece in pieces(rng, amount, max(rng.choice(FEW), min(20, amount // cap + 1))):
            yield plot.later(8)
            kind = kinds.CASH_OUT if piece <= 2 * TEN_THOUSAND else kinds.CASH_COUNTER
            plot.withdraw(plot.account, piece - piece % (100 * YUAN), kind)
        return
    shop = plot.town.hubs.shop(CASH_LIKE_MCC if rng.random() < 0.7 else DURABLE_MCC)
    for piece in pieces(rng, amount, rng.choice(FEW)):
        yield plot.later(6)
        plot.reach(plot.account, shop, piece, kinds.CARD)


def pass_through_mule(plot: Plot) -> Iterator[int]:
    """T12: in and out again within a day, to people and firms nobody here knows."""
    rng, mule = plot.rng, plot.mule(asleep_percent=75).account
    yield plot.later(12)
    amount = plot.move(plot.account, mule, _misused(plot, 500), _hop_kind(plot))
    left = some_of(rng, amount, 955, 995)
    for piece in pieces(rng, left, rng.choice((1, 1, 2, 2, 3, 4))) if amount else ():
        yield plot.later(2.5, 0.7)
        payee = plot.town.stranger() if rng.random() < 0.6 else plot.town.outside_firm()
        left -= plot.reach(mule, payee, piece, _hop_kind(plot))
        if 0 < left < piece // 8:  # the odd rest of rounded sums goes along with the last of them
            left -= plot.reach(mule, payee, left, kinds.PRIVATE, exact=True)


def smurfed_securities(plot: Plot) -> Iterator[int]:
    """T01: many small parts through several hands, over days, to several brokers."""
    rng, amount = plot.rng, _misused(plot, 450)
    mules = [plot.mule().account for _ in range(rng.randint(3, 6))]
    gap_hours = rng.uniform(3, 14)
    for piece in pieces(rng, amount, rng.randint(8, 24)):
        yield plot.later(gap_hours, 0.8)
        plot.also(_pass_on(plot, rng.choice(mules), piece))


def _pass_on(plot: Plot, mule: Account, piece_minor: int) -> Iterator[int]:
    amount = plot.move(plot.account, mule, piece_minor, _hop_kind(plot))
    yield min(plot.at_market(18), plot.now_s + 6 * DAY_S)
    plot.reach(mule, plot.town.hubs.any("brokers"), shaved(plot.rng, amount), _broker_kind(plot))
