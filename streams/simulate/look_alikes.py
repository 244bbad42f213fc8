"""The innocent pack: for each kind of misuse the honest pictures that look like it, played by honest borrowers.

Each course here is a look-alike of the table of typologies; what makes it innocent is on record: a purpose, a link, an
earlier habit, a memo, a channel. All of them spend the rest of the loan as agreed.
"""

from __future__ import annotations

from collections.abc import Iterator

from streams.simulate import kinds
from streams.simulate.amounts import TEN_THOUSAND, YUAN, pieces, some_of, tidy
from streams.simulate.honest import spend_as_agreed
from streams.simulate.ledger import Account, Kind
from streams.simulate.plot import Plot
from streams.simulate.rhythm import DAY_S, HOUR_S


def _rest_as_agreed(plot: Plot, spent_minor: int) -> None:
    plot.also(spend_as_agreed(plot, max(0, some_of(plot.rng, plot.loan.amount_minor, 850, 1000) - spent_minor)))


def _every_month(plot: Plot, payee: Account, amount_minor: int, kind: Kind, months: int = 4) -> Iterator[int]:
    """From before the loan on, month by month."""
    for _ in range(months):
        plot.pay(plot.borrower.account, payee, tidy(plot.rng, amount_minor), kind)
        yield plot.now_s + 30 * DAY_S


# --- property -------------------------------------------------------------------------------------------------------------


def keep_renting(plot: Plot) -> Iterator[int]:
    """T03: the rent goes to an agency, as it did before the loan."""
    agency = plot.town.hubs.groups["developers"][2]
    return _every_month(plot, agency, some_of(plot.rng, plot.loan.amount_minor, 20, 80), kinds.RENT)


def tenant(plot: Plot) -> Iterator[int]:
    """Uses the loan as agreed while the rent goes on."""
    return spend_as_agreed(plot, some_of(plot.rng, plot.loan.amount_minor, 800, 1000))


def want_decoration(plot: Plot) -> None:
    """The loan is for decorating the flat."""
    plot.loan.purpose = ("PC01", "装修")


def decorator(plot: Plot) -> Iterator[int]:
    """T03: a builder is paid by stages for the flat just bought."""
    builder = plot.town.builder()
    for piece in pieces(plot.rng, some_of(plot.rng, plot.loan.amount_minor, 600, 900), plot.rng.randint(2, 4)):
        yield plot.later(60)
        plot.move(plot.account, builder, piece, kinds.DECORATION)


def refunded_buyer(plot: Plot) -> Iterator[int]:
    """T03: a developer returns an old deposit; the loan is used as agreed."""
    yield plot.later(20)
    developer = plot.town.hubs.any("developers")
    plot.pay(developer, plot.account, some_of(plot.rng, plot.loan.amount_minor, 300, 900), kinds.DEPOSIT_BACK)
    _rest_as_agreed(plot, 0)


# --- the borrower's side and the payee ------------------------------------------------------------------------------------


def keep_paying_the_owner(plot: Plot) -> Iterator[int]:
    """T05: the owner, or who runs the house, gets his usual salary."""
    insiders = plot.insiders()
    if not insiders:
        return iter(())
    return _every_month(plot, insiders[0], some_of(plot.rng, plot.loan.amount_minor, 30, 150), kinds.SALARY)


def salary_payer(plot: Plot) -> Iterator[int]:
    """Uses the loan as agreed while salaries go on."""
    return spend_as_agreed(plot, some_of(plot.rng, plot.loan.amount_minor, 800, 1000))


def list_a_supplier(plot: Plot) -> None:
    """The contract names a supplier whom the bank pays."""
    plot.loan.entrusted = [(plot.firm_here().account, some_of(plot.rng, plot.loan.amount_minor, 500, 900))]


def cancelled_order(plot: Plot) -> Iterator[int]:
    """T06: the payee's account was wrong, or the order is cancelled: the money comes back with a word, and goes out again."""
    payee, paid = plot.loan.entrusted[0]
    yield plot.later(20, 0.8)
    kind = kinds.RETURNED if plot.rng.random() < 0.5 else kinds.REFUND_SAID
    returned = plot.pay(payee, plot.account, paid, kind)
    yield plot.later(30)
    plot.move(plot.account, plot.town.outside_firm(), returned, kinds.GOODS)
    _rest_as_agreed(plot, paid)


def keep_trading(plot: Plot) -> Iterator[int]:
    """T06, T18: the payee buys from the borrower, before the loan and after."""
    firm = plot.partner()
    for _ in range(8):
        plot.pay(
            firm.account, plot.borrower.account, tidy(plot.rng, some_of(plot.rng, plot.loan.amount_minor, 20, 200)), kinds.SALE
        )
        yield plot.now_s + plot.rng.randrange(5 * DAY_S, 12 * DAY_S)


def two_way_trader(plot: Plot) -> Iterator[int]:
    """Pays a firm that is his customer too."""
    yield plot.later(14)
    paid = plot.move(plot.account, plot.partner().account, some_of(plot.rng, plot.loan.amount_minor, 400, 900), kinds.GOODS)
    _rest_as_agreed(plot, paid)


def keep_pooling(plot: Plot) -> Iterator[int]:
    """T05, T18: cash goes to the group's pool in the evening and comes back in the morning, before the loan and after."""
    pool = plot.town.group_pool(plot.borrower)
    while plot.now_s < plot.payout_s + 20 * DAY_S:
        surplus = tidy(plot.rng, max(1, some_of(plot.rng, plot.borrower.account.free_minor, 100, 500)))
        moved = plot.pay(plot.borrower.account, pool.account, surplus, kinds.OWN)
        yield plot.now_s + plot.rng.randrange(10 * HOUR_S, 16 * HOUR_S)
        if moved:
            plot.pay(pool.account, plot.borrower.account, moved, kinds.OWN)
        yield plot.now_s + plot.rng.randrange(3 * DAY_S, 9 * DAY_S)


def join_a_group(plot: Plot) -> None:
    """The group's link is on record."""
    plot.link(plot.town.group_pool(plot.borrower), "GROUP_MEMBER")


def pool_member(plot: Plot) -> Iterator[int]:
    """Uses the loan as agreed while the pool goes on."""
    return spend_as_agreed(plot, some_of(plot.rng, plot.loan.amount_minor, 850, 1000))


# --- thresholds -----------------------------------------------------------------------------------------------------------


def stage_payer(plot: Plot) -> Iterator[int]:
    """T07: a builder is paid by stages, each just below the threshold."""
    builder = plot.town.builder()
    for _ in range(2):
        yield plot.later(30, 0.3) + DAY_S
        plot.move(plot.account, builder, some_of(plot.rng, 50 * TEN_THOUSAND, 820, 970), kinds.STAGE)


def capped_payer(plot: Plot) -> Iterator[int]:
    """T07, T21: as much a day as the channel allows."""
    supplier = plot.firm_here().account
    left = some_of(plot.rng, plot.loan.amount_minor, 900, 1000)
    while left > 10 * TEN_THOUSAND:
        yield plot.now_s + DAY_S
        paid = plot.cap(plot.account, supplier, min(left, 50 * TEN_THOUSAND - 100 * YUAN), kinds.CAPPED)
        if not paid:
            return
        left -= paid


def machine_user(plot: Plot) -> Iterator[int]:
    """T21, T09: draws at the machine on many days, as small sums as ever."""
    _rest_as_agreed(plot, plot.loan.amount_minor // 8)
    for _ in range(6):
        yield plot.later(22, 0.2)
        amount = min(2 * TEN_THOUSAND, some_of(plot.rng, plot.loan.amount_minor, 10, 25))
        plot.draw(plot.account, amount, kinds.CASH_OUT)


# --- cash -----------------------------------------------------------------------------------------------------------------


def wages_in_cash(plot: Plot) -> Iterator[int]:
    """T09: the workers of a site are paid in cash from the basic account."""
    spent = 0
    for _ in range(plot.rng.randint(1, 3)):
        yield plot.later(20)
        spent += plot.draw(plot.account, some_of(plot.rng, plot.loan.amount_minor, 100, 250), kinds.CASH_WAGES)
    _rest_as_agreed(plot, spent)


def use_the_basic_account(plot: Plot) -> None:
    """A general account may not pay cash."""
    plot.account = plot.loan.account = plot.borrower.account


def want_farm_supplies(plot: Plot) -> None:
    """The loan is for farming."""
    plot.loan.purpose = ("AGRICULTURE", "购买农资")


def farmer_in_cash(plot: Plot) -> Iterator[int]:
    """T09: livestock and fodder are bought in cash at the market."""
    spent = 0
    for _ in range(plot.rng.randint(1, 3)):
        yield plot.later(20)
        spent += plot.draw(plot.account, some_of(plot.rng, plot.loan.amount_minor, 150, 350), kinds.CASH_COUNTER)
    _rest_as_agreed(plot, spent)


# --- deposits and securities ----------------------------------------------------------------------------------------------


def list_margin(plot: Plot) -> None:
    """The contract asks for margin on an account of the borrower's own."""
    margin = plot.town.deposit_account(plot.borrower, "MARGIN")
    plot.loan.entrusted = [(margin, some_of(plot.rng, plot.loan.amount_minor, 200, 400))]


def margin_payer(plot: Plot) -> Iterator[int]:
    """T13: margin as the contract asks, the rest as agreed."""
    return spend_as_agreed(plot, plot.loan.amount_minor - plot.loan.entrusted[0][1])


def waits_in_deposit(plot: Plot) -> Iterator[int]:
    """T13, T02: idle for some days, the money waits on notice, and comes back in time for the supplier."""
    deposit = plot.town.deposit_account(plot.borrower, "TIME")
    yield plot.later(4, 0.5)
    parked = plot.move(plot.account, deposit, some_of(plot.rng, plot.loan.amount_minor, 300, 800), kinds.OWN)
    yield plot.now_s + plot.rng.randrange(1 * DAY_S, 4 * DAY_S)
    back = plot.move(deposit, plot.account, parked, kinds.OWN)
    yield from spend_as_agreed(plot, back)


def want_hedging(plot: Plot) -> None:
    """The contract is for hedging."""
    plot.loan.purpose = ("HEDGING", "套期保值保证金")


def hedger(plot: Plot) -> Iterator[int]:
    """T01: margin for futures, as approved."""
    yield plot.at_market(10)
    paid = plot.move(
        plot.account, plot.town.hubs.any("brokers"), some_of(plot.rng, plot.loan.amount_minor, 300, 700), kinds.BROKER
    )
    _rest_as_agreed(plot, paid)


# --- repayment, staff -----------------------------------------------------------------------------------------------------


def want_wages(plot: Plot) -> None:
    """A loan for one payroll."""
    plot.loan.purpose = ("WG01", "发放工资")


def short_loan(plot: Plot) -> Iterator[int]:
    """T22: wages are paid from it, and takings repay it within days."""
    yield plot.later(5)
    plot.move(plot.account, plot.town.hubs.any("payroll"), some_of(plot.rng, plot.loan.amount_minor, 800, 950), kinds.PAYROLL)
    yield plot.now_s + plot.rng.randrange(5 * DAY_S, 9 * DAY_S)
    plot.pay(plot.town.outside_firm(), plot.account, plot.loan.amount_minor, kinds.SALE)
    yield plot.later(5)
    plot.repay(plot.loan, plot.loan.amount_minor)


def draw_on_a_line(plot: Plot) -> None:
    """A draw on a revolving line."""
    plot.loan.occur_type = "REVOLVING_DRAW"


def revolver(plot: Plot) -> Iterator[int]:
    """T08, T22: the line goes down again when the money was not needed."""
    yield plot.now_s + plot.rng.randrange(3 * DAY_S, 9 * DAY_S)
    plot.repay(plot.loan, some_of(plot.rng, plot.loan.amount_minor, 800, 1000))


def know_a_clerk(plot: Plot) -> None:
    """The landlord works at the bank, and the bank's list says so."""
    plot.list_staff(plot.landlord_here())


def keep_renting_from_staff(plot: Plot) -> Iterator[int]:
    """T24: rent to somebody who works at the bank, as before the loan."""
    amount = some_of(plot.rng, plot.loan.amount_minor, 20, 60)
    return _every_month(plot, plot.landlord_here().account, amount, kinds.RENT_SAID)
