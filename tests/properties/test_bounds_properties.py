"""Certain and possible: every booking lies between them, they are tight, and limits only widen them."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.accounts import HELD, OVERDRAFT, Account
from detectors.bounds import BoundLimits, FlowNetwork, Reach, bounds_of
from detectors.lots import Transfer
from detectors.tracer import TraceLimits, Tracer
from tests.properties.feasible import Allocations
from tests.properties.play import LEDGERS, WIDE, Play
from tests.properties.strategies import (
    ACCOUNTS,
    OUTSIDE,
    SINKS,
    Mix,
    Pay,
    PayOut,
    Stream,
    destinations,
    random_stream,
    streams,
    tiny_streams,
)  # fmt: skip

REVERSED = Mix(undo="any")
OVERDRAWN = Mix(overdrafts=True)


@st.composite
def aimed(
    draw: st.DrawFn, of: st.SearchStrategy[Stream], into: tuple[str, ...] = (*ACCOUNTS, *SINKS)
) -> tuple[Stream, frozenset[int]]:
    """A stream and some of its payments."""
    stream = draw(of)
    return stream, draw(destinations(stream, into))


# --- every booking lies between -----------------------------------------------------------------------------------------


def check_between(
    stream: Stream, steps: Collection[int], limits: TraceLimits = WIDE, bound_limits: BoundLimits | None = None
) -> int:
    """``certain <= any booking <= possible``; returns how many loans had bounds that are not both 0."""
    play, told = Play(stream, limits), 0
    exact = Play(stream) if limits is not WIDE else play
    for loan in play.origins:
        bounds = play.bounds(loan, steps, bound_limits)
        for ledger, order in enumerate(LEDGERS):
            standing = exact.standing(loan, ledger, steps)
            assert bounds.certain_minor <= standing <= bounds.possible_minor, f"{loan} {order}: {standing} outside {bounds}"
        told += bounds.possible_minor > 0
    return told


EVERYTHING = Mix(overdrafts=True, undo="any", take_back=True, see=True)


class Second:
    """After each step: no more is certain than the second ledger took there, or dropped."""

    def __init__(self, into: set[str]) -> None:
        self.into = into
        self.spoke = 0  # times that the ledger knew of less than the whole loan
        self.certain = 0

    def check(self, play: Play) -> None:
        """Hold the bounds of every loan against the ledger."""
        so_far = enumerate(play.stream.steps[: len(play.transfers)])
        steps = [i for i, step in so_far if isinstance(step, Pay) and step.payee in self.into]
        last = max(play.seqs(steps), default=0)
        for loan, origin in play.origins.items():
            assert origin.beside_dropped_minor is not None
            certain_minor = bounds_of(play.tracer, origin, play.seqs(steps), last).certain_minor
            most_minor = origin.beside_dropped_minor + sum(play.arrived[loan, 1, i] for i in steps)
            assert certain_minor <= most_minor, f"{loan}: {certain_minor} certain and {most_minor} by the second ledger"
            self.spoke += 0 < most_minor < origin.paid_out_minor
            self.certain += certain_minor > 0


@pytest.mark.parametrize("limits", [WIDE, TraceLimits(hops_max=1, lot_minor_min=12, history_transfers_max=10**6)])
@pytest.mark.parametrize("into", [{"broker"}, {"broker", "a"}, {"b", "shop"}])
@pytest.mark.parametrize("seed", range(4))
def test_no_more_is_certain_than_the_second_ledger_took_or_dropped(limits: TraceLimits, into: set[str], seed: int) -> None:
    """Whatever happens, also where balances contradict payments: it is what saves the verdict a flow."""
    second, chance = Second(into), random.Random(seed)
    for _ in range(25):
        Play(random_stream(chance, 40, EVERYTHING, unknown=0.3), limits, after_each=second.check)
    assert min(second.spoke, second.certain) > 50, f"spoke {second.spoke} times, {second.certain} times something was certain"


@given(aimed(streams(Mix()), SINKS))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_every_booking_into_sinks_lies_between_certain_and_possible(case: tuple[Stream, frozenset[int]]) -> None:
    check_between(*case)


@given(aimed(streams(Mix())))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_every_booking_into_any_account_lies_between_them(case: tuple[Stream, frozenset[int]]) -> None:
    check_between(*case)


@given(aimed(streams(OVERDRAWN, unknown=True)))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_overdrafts_and_unknown_balances_keep_the_bounds(case: tuple[Stream, frozenset[int]]) -> None:
    check_between(*case)


@given(aimed(streams(REVERSED), SINKS))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_reversals_keep_the_bounds(case: tuple[Stream, frozenset[int]]) -> None:
    check_between(*case)


def check_seeded(mix: Mix, seeds: int = 1500, unknown: float = 0.0) -> None:
    for seed in range(seeds):
        rng = random.Random(seed)
        stream = random_stream(rng, 20, mix, unknown)
        check_between(stream, [i for i in payments(stream) if rng.random() < 0.5])


def test_a_destination_that_is_not_a_sink_may_send_money_back() -> None:
    check_seeded(REVERSED)


def test_stated_balances_keep_the_bounds() -> None:
    check_seeded(Mix(see=True), unknown=0.3)


def test_overdrafts_and_reversals_together_keep_the_bounds() -> None:
    check_seeded(Mix(undo="any", overdrafts=True))


@given(aimed(streams(Mix(take_back=True)), SINKS))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_payouts_taken_back_keep_the_bounds(case: tuple[Stream, frozenset[int]]) -> None:
    check_between(*case)


def check_widens(stream: Stream, steps: Collection[int], limits: TraceLimits, small: BoundLimits) -> None:
    """Limits only widen, and bounds that say they are exact are."""
    wide, narrow = Play(stream), Play(stream, limits)
    for loan in wide.origins:
        exact, cut = wide.bounds(loan, steps), narrow.bounds(loan, steps, small)
        assert cut.certain_minor <= exact.certain_minor, f"{loan}: {cut} is narrower than {exact}"
        assert cut.possible_minor >= exact.possible_minor, f"{loan}: {cut} is narrower than {exact}"
        same = (cut.certain_minor, cut.possible_minor) == (exact.certain_minor, exact.possible_minor)
        assert same or not cut.exact, f"{loan}: {cut} says it is exact and is not {exact}"


SMALL = st.builds(BoundLimits, transfers_max=st.integers(1, 8), hops_max=st.integers(0, 3))


@given(aimed(streams(OVERDRAWN, unknown=True)), st.integers(1, 6), SMALL)
@settings(max_examples=150, derandomize=True, deadline=None)
def test_small_limits_widen_the_bounds_and_never_break_them(
    case: tuple[Stream, frozenset[int]], history: int, small: BoundLimits
) -> None:
    limits = TraceLimits(hops_max=10**6, lot_minor_min=1, history_transfers_max=history)
    check_between(*case, limits, small)
    check_widens(*case, limits, small)


@given(aimed(streams(REVERSED), SINKS), st.integers(1, 6), SMALL)
@settings(max_examples=150, derandomize=True, deadline=None)
def test_small_limits_widen_the_bounds_with_reversals(
    case: tuple[Stream, frozenset[int]], history: int, small: BoundLimits
) -> None:
    limits = TraceLimits(hops_max=10**6, lot_minor_min=1, history_transfers_max=history)
    check_between(*case, limits, small)
    check_widens(*case, limits, small)


def test_seeded_streams_have_bounds_worth_checking() -> None:
    told = 0
    for seed in range(600):
        rng = random.Random(seed)
        stream = random_stream(rng, 40, Mix())
        told += check_between(stream, [i for i in payments(stream) if rng.random() < 0.4])
    assert told > 600


def _payee(stream: Stream, i: int) -> str:
    step = stream.steps[i]
    assert isinstance(step, Pay)
    return step.payee


def payments(stream: Stream) -> list[int]:
    return [i for i, step in enumerate(stream.steps) if isinstance(step, Pay) and step.payer != OUTSIDE]


def test_late_credits_keep_the_bounds() -> None:
    for seed in range(600):
        rng = random.Random(seed)
        stream = random_stream(rng, 20, Mix(), unknown=0.6)
        play = Play(stream, times_ms=[rng.randrange(9) for _ in stream.steps])
        steps = [i for i in payments(stream) if _payee(stream, i) in SINKS]
        for loan in play.origins:
            bounds = play.bounds(loan, steps)
            for ledger in range(len(LEDGERS)):
                assert bounds.certain_minor <= play.standing(loan, ledger, steps) <= bounds.possible_minor


# --- the known special cases --------------------------------------------------------------------------------------------


@given(aimed(streams(Mix(income=False)), SINKS))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_without_other_money_the_bounds_meet(case: tuple[Stream, frozenset[int]]) -> None:
    stream = _with_one_loan(case[0])
    steps = case[1] & set(payments(stream))
    play = Play(stream)
    for loan in play.origins:
        bounds = play.bounds(loan, steps)
        attributed = {play.standing(loan, ledger, steps) for ledger in range(len(LEDGERS))}
        assert attributed == {bounds.certain_minor} == {bounds.possible_minor}
        assert bounds.exact


def _with_one_loan(stream: Stream) -> Stream:
    """All payouts as one loan's, and every payment cut to what there is when nobody had anything to begin with."""
    balance = dict.fromkeys(stream.opening, 0)
    steps: list[Pay | PayOut] = []
    for step in stream.steps:
        if isinstance(step, PayOut):
            steps.append(step._replace(loan="L1"))
            balance[step.account] += step.amount_minor
        elif isinstance(step, Pay):
            amount = min(step.amount_minor, balance[step.payer])
            steps.append(step._replace(amount_minor=amount) if amount else PayOut("L1", step.payer, 1))
            balance[step.payer] += -amount if amount else 1
            balance[step.payee] = balance.get(step.payee, 0) + amount
    return Stream(dict.fromkeys(stream.opening, 0), tuple(steps))


MOVES = st.lists(st.tuples(st.sampled_from(["in", "out"]), st.integers(1, 40)), max_size=12)


@given(st.integers(0, 60), st.integers(1, 60), MOVES)
@settings(max_examples=200, derandomize=True, deadline=None)
def test_on_one_account_the_bounds_are_the_auditors_formulas(before: int, loan: int, moves: list[tuple[str, int]]) -> None:
    """One purchase: at least what own money cannot have paid; at most the lowest balance between payout and purchase."""
    balance, lowest, inflows, earlier = before + loan, loan, 0, 0
    steps: list[Pay | PayOut] = [PayOut("L1", "a", loan)]
    for kind, size in moves:
        if kind == "in":
            steps.append(Pay(OUTSIDE, "a", size))
            balance, inflows = balance + size, inflows + size
        elif balance > 1:
            amount = min(size, balance - 1)
            steps.append(Pay("a", "shop", amount))
            balance, earlier = balance - amount, earlier + amount
            lowest = min(lowest, balance)
    purchase = max(1, balance // 2)
    play = Play(Stream({"a": before}, (*steps, Pay("a", "broker", purchase))))
    bounds = play.bounds("L1", [len(steps)])
    assert bounds.possible_minor == min(lowest, purchase)
    # own money may have stayed whole until now, or the loan's may have gone out with the earlier payments
    assert bounds.certain_minor == max(0, purchase - (before + inflows)) if not earlier else bounds.certain_minor <= lowest
    assert bounds.exact


# --- tightness ----------------------------------------------------------------------------------------------------------


def check_tight(stream: Stream, steps: Collection[int]) -> int:
    """The bounds are the least and the most over all feasible allocations, tried one by one."""
    play, told = Play(stream), 0
    for loan in play.origins:
        bounds, all_of_them = play.bounds(loan, steps), Allocations(stream, loan, steps)
        told += all_of_them.most > all_of_them.least
        assert bounds.exact
        assert (bounds.certain_minor, bounds.possible_minor) == (all_of_them.least, all_of_them.most), f"{loan}: {bounds}"
    return told


@given(aimed(tiny_streams(Mix())))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_the_bounds_are_reached_by_some_allocation(case: tuple[Stream, frozenset[int]]) -> None:
    check_tight(*case)


@given(aimed(tiny_streams(Mix(overdrafts=True), unknown=True)))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_the_bounds_are_reached_through_overdrafts_and_unknown_balances(case: tuple[Stream, frozenset[int]]) -> None:
    check_tight(*case)


@given(aimed(tiny_streams(Mix(undo="any")), SINKS))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_the_bounds_are_reached_when_sinks_send_money_back(case: tuple[Stream, frozenset[int]]) -> None:
    check_tight(*case)


def seeded_tiny_streams(seeds: int) -> Iterator[tuple[Stream, random.Random]]:
    """Streams of which all allocations can be tried, each with its chance."""
    mix = Mix(amount_max=3, accounts=ACCOUNTS[:3])
    for seed in range(seeds):
        rng = random.Random(seed)
        stream = random_stream(rng, 7, mix)._replace(opening={name: rng.randrange(4) for name in mix.accounts})
        yield _affordable(stream), rng


def test_seeded_tiny_streams_leave_room_between_the_bounds() -> None:
    told = sum(
        check_tight(stream, [i for i in payments(stream) if rng.random() < 0.5]) for stream, rng in seeded_tiny_streams(600)
    )
    assert told > 60


def _affordable(stream: Stream) -> Stream:
    """The stream with every payment cut to what there is; what finds nothing is income instead."""
    balance: dict[str, int] = {name: start or 0 for name, start in stream.opening.items()}
    steps: list[Pay | PayOut] = []
    for step in stream.steps:
        assert isinstance(step, Pay | PayOut)
        if isinstance(step, Pay) and step.payer != OUTSIDE:
            amount = min(step.amount_minor, 5, balance[step.payer])
            step = Pay(step.payer, step.payee, amount) if amount else Pay(OUTSIDE, step.payer, 1)
        elif step.amount_minor > 5:
            step = step._replace(amount_minor=5)
        steps.append(step)
        if isinstance(step, Pay):
            balance[step.payer] = balance.get(step.payer, 0) - step.amount_minor
            balance[step.payee] = balance.get(step.payee, 0) + step.amount_minor
        else:
            balance[step.account] += step.amount_minor
    return Stream(stream.opening, tuple(steps))


# --- where a loan is ----------------------------------------------------------------------------------------------------

POCKET = {"d": "WEALTH"}
"""An account of the streams that is a pocket: money in it is there until it leaves."""


def check_whereabouts(stream: Stream, limits: BoundLimits | None = None) -> int:
    """What lies at a class of destination, by any booking, lies between its bounds; returns how many bounds say something."""
    play, told = Play(stream, places=POCKET), 0
    lots = play.by_origin()
    for loan, origin in play.origins.items():
        found = play.whereabouts(loan, limits)
        assert {place: minor for place, (minor, _) in found.items()} == {
            place: minor for place, minor in origin.places_minor.items() if place not in (HELD, OVERDRAFT)
        }
        for place, (minor, bounds) in found.items():
            into = [i for i in payments(stream) if _payee(stream, i).upper() == place]
            assert bounds.certain_minor <= minor <= bounds.possible_minor <= origin.paid_out_minor
            for ledger, order in enumerate(LEDGERS):
                there = lots.get(("d", ledger, loan), 0) if place == "WEALTH" else play.standing(loan, ledger, into)
                assert bounds.certain_minor <= there <= bounds.possible_minor, f"{loan} {place} {order}: {there}, {bounds}"
            told += bounds.certain_minor > 0 or bounds.possible_minor < origin.paid_out_minor
    return told


@given(streams(Mix()))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_what_lies_at_a_class_of_destination_lies_between_its_bounds(stream: Stream) -> None:
    check_whereabouts(stream)


@given(streams(Mix(undo="any", overdrafts=True), unknown=True), st.integers(1, 8))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_limits_reversals_overdrafts_and_unknown_balances_keep_the_bounds_of_a_state(stream: Stream, transfers: int) -> None:
    check_whereabouts(stream)
    check_whereabouts(stream, BoundLimits(state_transfers_max=transfers, hops_max=transfers % 3))


def test_seeded_streams_have_states_worth_bounding() -> None:
    told = sum(check_whereabouts(random_stream(random.Random(seed), 30, Mix(undo="any"))) for seed in range(600))
    assert told > 600


def test_the_bounds_of_a_state_are_reached_by_some_allocation() -> None:
    told = 0
    for stream, _ in seeded_tiny_streams(400):
        play = Play(stream)
        for loan in play.origins:
            for place, (minor, bounds) in play.whereabouts(loan).items():
                into = [i for i in payments(stream) if _payee(stream, i).upper() == place]
                every = Allocations(stream, loan, into)
                assert bounds.exact
                assert (bounds.certain_minor, bounds.possible_minor) == (min(minor, every.least), max(minor, every.most))
                told += every.least < every.most
    assert told > 20


def test_the_law_of_states_catches_a_pocket_that_keeps_what_was_redeemed(monkeypatch: pytest.MonkeyPatch) -> None:
    def stays(reach: Reach, transfer: Transfer) -> str:
        return "BROKER" if transfer.payee == "d" else transfer.payee.upper()

    monkeypatch.setattr(Reach, "place_of", stays)
    assert_caught(lambda stream, steps: check_whereabouts(stream), Mix())


# --- planted bugs -------------------------------------------------------------------------------------------------------


def assert_caught(check: Callable[[Stream, list[int]], object], mix: Mix, steps: int = 25) -> None:
    def breaks(seed: int) -> bool:
        rng = random.Random(seed)
        stream = random_stream(rng, steps, mix)
        try:
            check(stream, [i for i in payments(stream) if rng.random() < 0.4])
        except AssertionError:
            return True
        return False

    assert any(breaks(seed) for seed in range(400)), "the bug was not seen"


def test_the_between_law_catches_a_balance_taken_before_the_debit(monkeypatch: pytest.MonkeyPatch) -> None:
    edge = FlowNetwork.edge
    monkeypatch.setattr(FlowNetwork, "edge", lambda self, tail, head, capacity: edge(self, tail, head, max(0, capacity - 1)))
    assert_caught(check_between, Mix())


def test_the_between_law_catches_a_forgotten_debit(monkeypatch: pytest.MonkeyPatch) -> None:
    remember = Tracer._pass_reach

    def forgetful(self: Tracer, transfer: Transfer, payer: Account, payee: Account) -> None:
        if transfer.seq % 3:
            remember(self, transfer, payer, payee)

    monkeypatch.setattr(Tracer, "_pass_reach", forgetful)
    assert_caught(check_between, Mix())


def test_tightness_catches_bounds_that_are_only_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    edge = FlowNetwork.edge
    monkeypatch.setattr(FlowNetwork, "edge", lambda self, tail, head, capacity: edge(self, tail, head, capacity + 1))
    assert_caught(lambda stream, steps: check_tight(_affordable(stream), steps), Mix(amount_max=3), 7)
