"""The slow oracle: every minor unit of money is a coin of its own in a plain list. Nothing is shared with the tracer.

There are no lots, amounts, limits, ghosts, landings or place accounts here; a coin knows whose money it is and the steps that
brought it where it lies. The orders are written as sentences about lists of coins:

* ``loan_first``: the loans' coins in the order they came, then own coins;
* ``own_first``: own coins, then the loans' coins in the order they came;
* ``fifo``: all coins in the order they came; ``lifo``: the last one first.

A payment that is sent back in full returns the very coins that still lie where it put them (own coins are as good as one
another), to the end of the line they were taken from; what has gone on is made good from own coins, newest first, and then by
the order, and arrives as fresh money. Coins of a purse that held no loan's coin when it paid had no place in a line to go back
to: they, too, return as fresh money.
"""

from __future__ import annotations

from collections import Counter

from tests.properties.strategies import OUTSIDE, Pay, PayOut, Stream, Undo

Way = tuple[tuple[int, int], ...]  # (step, where in its payment the coin's parcel began)


class Coin:
    """One minor unit. ``loan`` is "" for own money."""

    __slots__ = ("loan", "way")

    def __init__(self, loan: str, way: Way) -> None:
        self.loan = loan
        self.way = way


class CoinOracle:
    """One order's truth about a stream, reached coin by coin."""

    def __init__(self, order: str, stream: Stream) -> None:
        self.order = order
        self.purses: dict[str, list[Coin]] = {}
        self.debts: Counter[str] = Counter()
        self.arrived: Counter[tuple[str, int]] = Counter()  # (loan, step) -> coins its payment carried
        self._carried: dict[int, list[tuple[Coin, Way]]] = {}  # step -> coins in the order they left, and their ways
        self._paid: dict[int, Pay] = {}
        self._lined_up: set[int] = set()  # steps whose payer held a loan's coin
        for name, balance in stream.opening.items():
            self.purses[name] = [Coin("", ()) for _ in range(balance or 0)]
        for i, step in enumerate(stream.steps):
            if isinstance(step, PayOut):
                self._receive(step.account, [Coin(step.loan, ((i, 0),)) for _ in range(step.amount_minor)])
            elif isinstance(step, Pay):
                self._pay(i, step)
            elif isinstance(step, Undo):
                self._undo(i, step)

    def held(self) -> Counter[tuple[str, str]]:
        """(account, loan) -> coins."""
        return Counter((name, coin.loan) for name, purse in self.purses.items() for coin in purse if coin.loan)

    def _receive(self, name: str, coins: list[Coin]) -> None:
        swallowed = min(self.debts[name], len(coins))
        self.debts[name] -= swallowed
        self.purses.setdefault(name, []).extend(coins[swallowed:])

    def _pay(self, i: int, step: Pay) -> None:
        self._paid[i] = step
        if step.payer == OUTSIDE:
            coins = [Coin("", ()) for _ in range(step.amount_minor)]
        else:
            if any(coin.loan for coin in self.purses[step.payer]):
                self._lined_up.add(i)
            coins = self._leaving(step.payer, step.amount_minor)
            short = step.amount_minor - len(coins)
            self.debts[step.payer] += short
            unfunded = [Coin("", ()) for _ in range(short)]
            coins = unfunded + coins if self.order == "own_first" else coins + unfunded
        self._carried[i] = [(coin, coin.way) for coin in coins]
        for at, (coin, way) in enumerate(self._carried[i]):
            if coin.loan:
                coin.way = (*way, (i, self._parcel(i, at)))
                self.arrived[coin.loan, i] += 1
        self._receive(step.payee, coins)

    def _parcel(self, i: int, at: int) -> int:
        """Where in the payment the run of like coins begins that this one is in: two runs are two parcels from then on."""
        carried = self._carried[i]
        while at and (carried[at - 1][0].loan, carried[at - 1][1]) == (carried[at][0].loan, carried[at][1]):
            at -= 1
        return at

    def _leaving(self, name: str, count: int) -> list[Coin]:
        """Take that many coins out of a purse, one at a time, as the order says; fewer when it is empty."""
        purse = self.purses[name]
        taken: list[Coin] = []
        while purse and len(taken) < count:
            taken.append(purse.pop(self._next(purse)))
        return taken

    def _next(self, purse: list[Coin]) -> int:
        if self.order == "lifo":
            return len(purse) - 1
        if self.order == "fifo":
            return 0
        wanted = self.order == "loan_first"
        return next((at for at, coin in enumerate(purse) if bool(coin.loan) == wanted), 0)

    def _undo(self, i: int, step: Undo) -> None:
        paid = self._paid[step.step]
        assert step.amount_minor == paid.amount_minor, "this oracle sends payments back in full only"
        purse, home = self.purses[paid.payee], self.purses[paid.payer]
        returned: list[Coin] = []
        missing = 0
        for at, (coin, way_before) in reversed(list(enumerate(self._carried[step.step]))):
            way = (*way_before, (step.step, self._parcel(step.step, at)))
            lies_here = self._find(purse, coin, way) if step.step in self._lined_up else None
            if lies_here is None:
                missing += 1
                continue
            purse.remove(lies_here)
            lies_here.way = way_before
            returned.append(lies_here)
        if self.order == "lifo":
            home.extend(returned)
        else:
            home[:0] = reversed(returned)
        instead = [self._newest_own(purse) or self._by_order(purse, i) for _ in range(missing)]
        home.extend(sorted(instead, key=lambda coin: not coin.loan))

    @staticmethod
    def _find(purse: list[Coin], coin: Coin, way: Way) -> Coin | None:
        if not coin.loan:
            return next((other for other in reversed(purse) if not other.loan), None)
        return next((other for other in reversed(purse) if other.loan == coin.loan and other.way == way), None)

    @staticmethod
    def _newest_own(purse: list[Coin]) -> Coin | None:
        for at in range(len(purse) - 1, -1, -1):
            if not purse[at].loan:
                return purse.pop(at)
        return None

    def _by_order(self, purse: list[Coin], i: int) -> Coin:
        coin = purse.pop(self._next(purse))
        coin.way = (*coin.way, (i, 0))
        return coin
