"""Further styles of misuse, one for each of the later typologies; they share the means of :mod:`streams.simulate.styles`."""

from __future__ import annotations

from collections.abc import Iterator

from detectors.events import AccountKind
from streams.simulate import kinds
from streams.simulate.amounts import TEN_THOUSAND, pieces, shaved, some_of
from streams.simulate.honest import spend_as_agreed
from streams.simulate.plot import Plot
from streams.simulate.rhythm import DAY_S
from streams.simulate.styles import FEW

BUSINESS_THRESHOLD_MINOR = 50 * TEN_THOUSAND


def _misused(plot: Plot) -> int:
    amount = some_of(plot.rng, plot.loan.amount_minor, 350, 1000)
    plot.also(spend_as_agreed(plot, plot.loan.amount_minor - amount))
    return amount


def property_purchase(plot: Plot) -> Iterator[int]:
    """T03: a down payment, straight or through a friend."""
    amount, account = _misused(plot), plot.account
    if plot.rng.random() < 0.4:
        yield plot.later(10)
        friend = plot.mule().account
        amount, account = plot.move(account, friend, amount, kinds.PRIVATE), friend
    developer = plot.town.hubs.any("developers")
    for piece in pieces(plot.rng, amount, plot.rng.choice(FEW)) if amount else ():
        yield plot.later(12)
        plot.reach(account, developer, piece, kinds.HOUSE)


def entrusted_split(plot: Plot) -> Iterator[int]:
    """T07: two payments to one payee whom the borrower has not paid before, each below the threshold."""
    payee = plot.mule().account
    for _ in range(2):
        yield plot.later(16, 0.6)
        plot.reach(plot.account, payee, some_of(plot.rng, BUSINESS_THRESHOLD_MINOR, 830, 980), kinds.GOODS)


def idle_deposit(plot: Plot) -> Iterator[int]:
    """T13: into a time deposit or draft margin at once."""
    kind: AccountKind = "TIME" if plot.rng.random() < 0.6 else "MARGIN"
    deposit = plot.town.deposit_account(plot.borrower, kind)
    yield plot.now_s + plot.rng.randrange(60, 5 * 3600)
    plot.reach(plot.account, deposit, _misused(plot), kinds.OWN)


def circle(plot: Plot) -> Iterator[int]:
    """T18: round three accounts that lend themselves, each shaving a fee."""
    members = [plot.mule().account for _ in range(3)]
    yield plot.later(10)
    amount = plot.move(plot.account, members[0], _misused(plot), kinds.GOODS)
    for payer, payee in zip(members, [*members[1:], members[0]], strict=True):
        yield plot.later(4, 0.6)
        amount = shaved(plot.rng, amount)
        reached = plot.reach(payer, payee, amount, kinds.GOODS, exact=True) if payee is members[0] else 0
        amount = reached or plot.move(payer, payee, amount, kinds.GOODS)


def structured_cash(plot: Plot) -> Iterator[int]:
    """T21: day by day a little less than what is reported."""
    for _ in range(plot.rng.randint(3, 5)):
        plot.withdraw(plot.account, some_of(plot.rng, 500, 840, 995) * 10_000, kinds.CASH_COUNTER)
        yield plot.now_s + DAY_S


def window_dresser(plot: Plot) -> Iterator[int]:
    """T22: the money stays where it is until the period is over, and goes back."""
    yield plot.now_s + plot.rng.randrange(5 * DAY_S, 9 * DAY_S)
    txn_id, repaid = plot.repay(plot.loan, some_of(plot.rng, plot.loan.amount_minor, 850, 1000))
    if txn_id is not None:
        plot.label.txn_ids.append(txn_id)
        plot.count(repaid)


def pays_an_officer(plot: Plot) -> Iterator[int]:
    """T24: a part of the loan goes to somebody of the bank's staff."""
    officer = plot.mule()
    plot.list_staff(officer)
    share = some_of(plot.rng, plot.loan.amount_minor, 80, 300)
    plot.also(spend_as_agreed(plot, plot.loan.amount_minor - share))
    yield plot.later(20)
    plot.reach(plot.account, officer.account, share, kinds.PRIVATE)
