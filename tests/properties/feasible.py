"""Every feasible allocation of a loan's money, by trying them all: what the bounds are held against on tiny streams.

An allocation says of every transfer how many minor units of one loan it carried. It is feasible when no transfer carries
more than its amount or more than was there, and what stays on an account fits the balance that was left. Nothing here is a
graph or a flow: a *state* is what lies where, and a step maps the set of all reachable states to the next one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from tests.properties.strategies import Pay, PayOut, Step, Stream, Undo


class State(NamedTuple):
    """``held``: account -> the loan's units there that passed no destination; ``ended``: step -> units that it ended."""

    held: tuple[tuple[str, int], ...]
    ended: tuple[tuple[int, int], ...]

    def held_at(self, name: str) -> int:
        return dict(self.held).get(name, 0)

    def ended_by(self, step: int) -> int:
        return dict(self.ended).get(step, 0)

    def hold(self, name: str, more: int) -> State:
        held = dict(self.held)
        held[name] = held.get(name, 0) + more
        return self._replace(held=tuple(sorted((key, units) for key, units in held.items() if units)))

    def end(self, step: int, more: int) -> State:
        ended = dict(self.ended)
        ended[step] = ended.get(step, 0) + more
        return self._replace(ended=tuple(sorted((key, units) for key, units in ended.items() if units)))


class Allocations:
    """All feasible allocations of ``loan``'s money: the ``least`` and the ``most`` that the destinations can have."""

    def __init__(self, stream: Stream, loan: str, destinations: Collection[int]) -> None:
        self._loan, self._destinations = loan, destinations
        self._balance: dict[str, int | None] = dict(stream.opening)
        self._steps = stream.steps
        self._undone: dict[int, int] = {}
        states = {State((), ())}
        for i, step in enumerate(stream.steps):
            states = set(self._after(i, step, states))
        totals = [sum(units for step, units in state.ended if step in destinations) for state in states]
        self.least, self.most = min(totals), max(totals)

    def _after(self, i: int, step: Step, states: set[State]) -> Iterator[State]:
        if isinstance(step, PayOut):
            room = self._credit(step.account, step.amount_minor)
            units = step.amount_minor if step.loan == self._loan else 0
            return (after for state in states for after in self._arrive(state, step.account, units, room))
        if isinstance(step, Pay):
            return self._pay(i, step, states)
        assert isinstance(step, Undo), f"no allocation is defined for {step}"
        return self._undo(step, states)

    def _pay(self, i: int, step: Pay, states: set[State]) -> Iterator[State]:
        left = self._debit(step.payer, step.amount_minor)
        ends = i in self._destinations or step.payee not in self._balance
        room = None if ends else self._credit(step.payee, step.amount_minor)
        if ends:
            self._credit(step.payee, step.amount_minor)
        for state in states:
            for units in self._carried(state, step.payer, step.amount_minor, left):
                gone = state.hold(step.payer, -units)
                if ends:
                    yield gone.end(i, units)
                else:
                    yield from self._arrive(gone, step.payee, units, room)

    def _undo(self, step: Undo, states: set[State]) -> Iterator[State]:
        paid = self._steps[step.step]
        assert isinstance(paid, Pay)
        self._undone[step.step] = self._undone.get(step.step, 0) + step.amount_minor
        standing = paid.amount_minor - self._undone[step.step]
        ended = step.step in self._destinations or paid.payee not in self._balance
        left = self._debit(paid.payee, step.amount_minor)
        room = self._credit(paid.payer, step.amount_minor)
        for state in states:
            recalled = self._recalled(state, step, standing) if ended else range(1)
            for again in recalled:
                back = state.end(step.step, -again)
                rest = step.amount_minor - again
                for units in self._carried(back, paid.payee, rest, left):
                    yield from self._arrive(back.hold(paid.payee, -units), paid.payer, again + units, room)

    def _recalled(self, state: State, step: Undo, standing: int) -> range:
        units = state.ended_by(step.step)
        return range(max(0, units - standing), min(units, step.amount_minor) + 1)

    @staticmethod
    def _carried(state: State, payer: str, amount: int, left: int | None) -> range:
        """How many units may go with a debit: what cannot stay must go."""
        units = state.held_at(payer)
        return range(max(0, units - left) if left is not None else 0, min(units, amount) + 1)

    @staticmethod
    def _arrive(state: State, payee: str, units: int, room: tuple[int, int] | None) -> Iterator[State]:
        """Units arrive; an overdraft may have swallowed some of them. ``room``: (swallowed, kept) of the whole transfer."""
        if room is None:
            yield state.hold(payee, units)
            return
        swallowed, kept = room
        for lost in range(max(0, units - kept), min(units, swallowed) + 1):
            yield state.hold(payee, units - lost)

    def _debit(self, name: str, amount: int) -> int | None:
        """What is left on the account; None: not known."""
        balance = self._balance.get(name)
        if balance is None:
            return None
        self._balance[name] = balance - amount
        return max(0, balance - amount)

    def _credit(self, name: str, amount: int) -> tuple[int, int] | None:
        balance = self._balance.get(name)
        if balance is None:
            return None
        self._balance[name] = balance + amount
        swallowed = min(amount, max(0, -balance))
        return swallowed, amount - swallowed
