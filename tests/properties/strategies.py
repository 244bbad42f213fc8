"""Streams of steps for the property tests: plain data, so that one stream can be played under several limits and models.

Hypothesis (or a seeded ``random.Random``) draws quadruples of small integers; :func:`stream_of` makes them a valid stream by
clipping amounts to what the accounts hold. Smaller integers give simpler streams, so failures shrink well.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import NamedTuple

from hypothesis import strategies as st

ACCOUNTS = ("a", "b", "c", "d")
SINKS = ("broker", "shop")
OUTSIDE = "outside"
LOANS = ("L1", "L2")


class PayOut(NamedTuple):
    """A loan's money arrives."""

    loan: str
    account: str
    amount_minor: int


class Pay(NamedTuple):
    """A transfer; ``OUTSIDE`` as the payer is income."""

    payer: str
    payee: str
    amount_minor: int


class Undo(NamedTuple):
    """(Part of) the payment that was step ``step`` goes back."""

    step: int
    amount_minor: int


class TakeBack(NamedTuple):
    """The lender takes (part of) a payout back."""

    loan: str
    account: str
    amount_minor: int


class See(NamedTuple):
    """A record states the account's balance."""

    account: str
    stated_minor: int


class Expire(NamedTuple):
    """The loan's money is followed no more."""

    loan: str


Step = PayOut | Pay | Undo | TakeBack | See | Expire


class Stream(NamedTuple):
    """``opening``: account -> balance in minor units; None: not known."""

    opening: dict[str, int | None]
    steps: tuple[Step, ...]


class Mix(NamedTuple):
    """What a stream may contain besides payouts, payments and income."""

    overdrafts: bool = False
    undo: str = "none"  # "none", "full", "any"
    expire: bool = False
    take_back: bool = False
    see: bool = False
    amount_max: int = 60
    income: bool = True
    accounts: tuple[str, ...] = ACCOUNTS


Draw = tuple[int, int, int, int]  # kind of step, which account or loan, which other one, how much


class _Clipper:
    """Turns draws into steps that are possible, following the balances."""

    def __init__(self, opening: dict[str, int | None], mix: Mix) -> None:
        self.mix = mix
        self.balance: dict[str, int | None] = dict(opening)
        self.steps: list[Step] = []
        self.standing: dict[int, int] = {}  # step -> amount of that payment that is not undone
        self.paid_out: set[tuple[str, str]] = set()
        self.expired: set[str] = set()

    def clip(self, draw: Draw) -> None:
        kind, first, second, size = draw
        step = self._step(kind % 20, first, second, size)
        if step is not None:
            self.steps.append(step)

    def _step(self, kind: int, first: int, second: int, size: int) -> Step | None:
        mix = self.mix
        if not self.paid_out or kind in (12, 13):
            return self._pay_out(first, second, size)
        if kind in (14, 15) and mix.undo != "none":
            return self._undo(first, size)
        if kind in (16, 17) and mix.income:
            return self._move(OUTSIDE, mix.accounts[first % len(mix.accounts)], 1 + size % mix.amount_max)
        if (kind >= 18 or kind == 11) and self._rare_kinds:
            return self._rare(first, second, size)
        return self._pay(first, second, size)

    @property
    def _rare_kinds(self) -> list[str]:
        return [name for name in ("take_back", "see", "expire") if getattr(self.mix, name)]

    def _rare(self, first: int, second: int, size: int) -> Step | None:
        chosen = self._rare_kinds[second % len(self._rare_kinds)]
        if chosen == "take_back":
            return self._take_back(first, size)
        if chosen == "see":
            return self._see(first, second, size)
        return self._expire(first) if size % 3 == 0 else None

    def _expire(self, first: int) -> Step | None:
        loan = LOANS[first % len(LOANS)]
        if loan not in {of for of, _ in self.paid_out}:
            return None
        self.expired.add(loan)
        return Expire(loan)

    def _pay_out(self, first: int, second: int, size: int) -> Step | None:
        if LOANS[first % len(LOANS)] in self.expired:
            return None
        account = self.mix.accounts[second % len(self.mix.accounts)]
        loan, amount = LOANS[first % len(LOANS)], 1 + size % (2 * self.mix.amount_max)
        self._credit(account, amount)
        self.paid_out.add((loan, account))
        return PayOut(loan, account, amount)

    def _pay(self, first: int, second: int, size: int) -> Step | None:
        payer = self.mix.accounts[first % len(self.mix.accounts)]
        others = [name for name in (*self.mix.accounts, *SINKS) if name != payer]
        return self._move(payer, others[second % len(others)], self._affordable(payer, size))

    def _affordable(self, account: str, size: int) -> int:
        balance = self.balance[account]
        if balance is None or self.mix.overdrafts:
            return 1 + size % (2 * self.mix.amount_max)
        if balance <= 0:
            return 0
        return balance if size % 3 == 0 else 1 + size % balance

    def _move(self, payer: str, payee: str, amount: int) -> Step | None:
        if not amount:
            return None
        self._credit(payer, -amount)
        self._credit(payee, amount)
        self.standing[len(self.steps)] = amount
        return Pay(payer, payee, amount)

    def _undo(self, first: int, size: int) -> Step | None:
        undoable = [step for step, standing in self.standing.items() if standing and self._can_undo(step)]
        if not undoable:
            return None
        step = undoable[-1 - first % min(4, len(undoable))]
        paid = self.steps[step]
        assert isinstance(paid, Pay)
        standing = self.standing[step]
        amount = standing if self.mix.undo == "full" or size % 2 else 1 + size % standing
        self.standing[step] -= amount
        self._credit(paid.payee, -amount)
        self._credit(paid.payer, amount)
        return Undo(step, amount)

    def _can_undo(self, step: int) -> bool:
        paid = self.steps[step]
        assert isinstance(paid, Pay)
        balance = self.balance.get(paid.payee)
        affordable = self.mix.overdrafts or balance is None or balance >= self.standing[step]
        return paid.payer != OUTSIDE and affordable

    def _take_back(self, first: int, size: int) -> Step | None:
        loan, account = sorted(self.paid_out)[first % len(self.paid_out)]
        balance = self.balance[account]
        top = 2 * self.mix.amount_max if balance is None or self.mix.overdrafts else balance
        if top <= 0:
            return None
        amount = 1 + size % top
        self._credit(account, -amount)
        return TakeBack(loan, account, amount)

    def _see(self, first: int, second: int, size: int) -> Step:
        account = self.mix.accounts[first % len(self.mix.accounts)]
        balance = self.balance[account]
        stated = max(0, size % (2 * self.mix.amount_max) if balance is None else balance + (-1) ** second * (size % 20))
        self.balance[account] = stated
        return See(account, stated)

    def _credit(self, account: str, amount: int) -> None:
        balance = self.balance.get(account)
        if balance is not None:
            self.balance[account] = balance + amount


def stream_of(draws: Iterable[Draw], opening: dict[str, int | None], mix: Mix) -> Stream:
    """The stream that those draws mean."""
    clipper = _Clipper(opening, mix)
    for draw in draws:
        clipper.clip(draw)
    return Stream(dict(opening), tuple(clipper.steps))


def random_stream(rng: random.Random, steps: int, mix: Mix, unknown: float = 0.0) -> Stream:
    """A stream from a seeded generator, for bulk runs; ``unknown``: how likely an opening balance is not known."""
    opening: dict[str, int | None] = {name: rng.choice((0, 0, rng.randrange(80))) for name in mix.accounts}
    if unknown:
        opening = {name: None if rng.random() < unknown else balance for name, balance in opening.items()}
    draws = [(rng.randrange(20), rng.randrange(60), rng.randrange(60), rng.randrange(997)) for _ in range(steps)]
    return stream_of(draws, opening, mix)


_DRAWS = st.tuples(st.integers(0, 19), st.integers(0, 11), st.integers(0, 11), st.integers(0, 400))


@st.composite
def streams(draw: st.DrawFn, mix: Mix = Mix(), unknown: bool = False, steps_max: int = 30) -> Stream:  # noqa: B008
    """Streams of up to ``steps_max`` steps; with ``unknown`` some opening balances are not known."""
    balance: st.SearchStrategy[int | None] = st.integers(0, 50)
    if unknown:
        balance = st.one_of(balance, st.none())
    opening = {name: draw(balance) for name in mix.accounts}
    return stream_of(draw(st.lists(_DRAWS, min_size=1, max_size=steps_max)), opening, mix)


def tiny_streams(mix: Mix = Mix(), unknown: bool = False) -> st.SearchStrategy[Stream]:  # noqa: B008
    """At most 7 steps of at most 5 units: small enough to try every feasible allocation."""
    return streams(mix._replace(amount_max=3, accounts=ACCOUNTS[:3]), unknown, 7)


def destinations(stream: Stream, into: tuple[str, ...] = (*ACCOUNTS, *SINKS)) -> st.SearchStrategy[frozenset[int]]:
    """Sets of payment steps of a stream that lead into one of the accounts ``into``."""
    paid = [(i, step) for i, step in enumerate(stream.steps) if isinstance(step, Pay) and step.payer != OUTSIDE]
    candidates = [i for i, step in paid if step.payee in into]
    return st.frozensets(st.sampled_from(candidates)) if candidates else st.just(frozenset())
