"""Laws of the tracer: nothing is made or lost, limits only blur, and the way a stream is told does not matter.

Every law is a function ``check_*`` on a stream; the ``*_catches_*`` tests at the end plant a bug and see the law broken.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.accounts import Account
from detectors.booking import BOOKINGS, Holding
from detectors.lots import OWN, Landing, Lot, Origin, Transfer
from detectors.tracer import TraceLimits, Tracer
from tests.properties.play import LEDGERS, Play, check_conservation, check_lots
from tests.properties.strategies import (
    ACCOUNTS,
    LOANS,
    SINKS,
    Mix,
    Pay,
    PayOut,
    See,
    Step,
    Stream,
    TakeBack,
    Undo,
    random_stream,
    streams,
)  # fmt: skip

ALL = Mix(overdrafts=True, undo="any", expire=True, take_back=True, see=True)
SOLVENT = Mix(undo="full")
TIGHT = TraceLimits(hops_max=2, lot_minor_min=4, history_transfers_max=4, claims_max=2)
quick = settings(max_examples=100, derandomize=True, deadline=None)


# --- conservation and shape ---------------------------------------------------------------------------------------------


def check_books(stream: Stream) -> None:
    def after_each(play: Play) -> None:
        check_conservation(play)
        check_lots(play)

    Play(stream, after_each=after_each)
    Play(stream, TIGHT, after_each=after_each)


@given(streams(Mix()))
@quick
def test_loan_money_is_neither_made_nor_lost(stream: Stream) -> None:
    check_books(stream)


@given(streams(ALL, unknown=True))
@quick
def test_loan_money_is_conserved_whatever_happens(stream: Stream) -> None:
    Play(stream, after_each=check_conservation)
    Play(stream, TIGHT, after_each=check_conservation)


@given(streams(Mix(overdrafts=True, undo="any")))
@quick
def test_lots_fill_the_balance_through_overdrafts_and_reversals(stream: Stream) -> None:
    check_books(stream)


@given(streams(Mix(take_back=True)))
@quick
def test_a_payout_taken_back_keeps_the_books(stream: Stream) -> None:
    check_books(stream)


@given(streams(Mix(see=True), unknown=True))
@quick
def test_a_stated_balance_keeps_the_books(stream: Stream) -> None:
    check_books(stream)


@given(streams(Mix(overdrafts=True, undo="any")), st.sampled_from(LEDGERS))
@quick
def test_a_ledger_does_not_depend_on_the_ledgers_beside_it(stream: Stream, order: str) -> None:
    beside, alone = Play(stream, ledgers=("loan_first", order)), Play(stream, ledgers=("own_first", order))
    assert {name: ledgers[1] for name, ledgers in beside.shown().items()} == {
        name: ledgers[1] for name, ledgers in alone.shown().items()
    }


@given(streams(Mix(overdrafts=True), unknown=True), st.lists(st.integers(0, 9), min_size=1, max_size=30))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_late_credits_keep_the_books(stream: Stream, times_ms: list[int]) -> None:
    Play(stream, after_each=check_conservation, times_ms=times_ms)
    Play(stream, TIGHT, after_each=check_conservation, times_ms=times_ms)


def test_late_credits_make_no_money_in_any_ledger() -> None:
    funded = 0
    for seed in range(600):
        rng = random.Random(seed)
        stream = random_stream(rng, 20, Mix(), unknown=0.6)
        times_ms = [rng.randrange(9) for _ in stream.steps]
        funded += len(Play(stream, after_each=check_lots, times_ms=times_ms).tracer.funded)
    assert funded > 600


# --- ghosts: limits take labels away, never add them --------------------------------------------------------------------


def check_ghosts(stream: Stream, limits: TraceLimits, order: str) -> int:
    """For every loan and sink ``0 <= exact - reported <= dropped(loan)``; returns how much was dropped."""
    exact, reported = Play(_without_expiry(stream), ledgers=(order,)), Play(stream, limits, (order,))
    dropped = 0
    for loan, origin in reported.origins.items():
        dropped += sum(origin.dropped_minor.values())
        for sink in SINKS:
            hidden = _into(exact, loan, sink) - _into(reported, loan, sink)
            told = f"{loan} to {sink}: {hidden} hidden, {origin.dropped_minor} dropped"
            assert 0 <= hidden <= sum(origin.dropped_minor.values()), told
    return dropped


def _without_expiry(stream: Stream) -> Stream:
    return stream._replace(steps=tuple(step for step in stream.steps if type(step).__name__ != "Expire"))


def _into(play: Play, loan: str, sink: str) -> int:
    return sum(
        amount for (of, _, i), amount in play.arrived.items()
        if of == loan and isinstance(step := play.stream.steps[i], Pay) and step.payee == sink
    )  # fmt: skip


LIMITS = st.builds(TraceLimits, hops_max=st.integers(0, 3), lot_minor_min=st.integers(1, 12), history_transfers_max=st.just(8))


@given(streams(Mix(expire=True, overdrafts=True)), LIMITS, st.sampled_from(LEDGERS))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_a_limit_hides_at_most_what_it_dropped(stream: Stream, limits: TraceLimits, order: str) -> None:
    check_ghosts(stream, limits, order)


def test_seeded_streams_drop_enough_to_prove_the_ghosts() -> None:
    mix = Mix(expire=True)
    dropped = [check_ghosts(random_stream(random.Random(seed), 30, mix), TIGHT, "loan_first") for seed in range(300)]
    assert sum(1 for amount in dropped if amount) > 200


# --- the way a stream is told -------------------------------------------------------------------------------------------


def _merge(first: Stream, second: Stream, turns: list[bool]) -> tuple[Stream, list[str]]:
    """The two streams' steps in some interleaving, and an id for each step that does not depend on it."""
    queues = [list(enumerate(first.steps)), list(enumerate(second.steps))]
    steps: list[Step] = []
    ids: list[str] = []
    moved: dict[tuple[int, int], int] = {}
    while queues[0] or queues[1]:
        turn = int(turns.pop()) if turns and queues[0] and queues[1] else int(not queues[0])
        at, step = queues[turn].pop(0)
        moved[turn, at] = len(steps)
        steps.append(Undo(moved[turn, step.step], step.amount_minor) if isinstance(step, Undo) else step)
        ids.append(f"{turn}:{at}")
    return Stream({**first.opening, **second.opening}, tuple(steps)), ids


def check_commutes(first: Stream, second: Stream, turns: list[bool]) -> None:
    """Whatever the order of two disjoint streams, the same lots lie in the same accounts."""
    one, ids_one = _merge(first, second, [])
    other, ids_other = _merge(first, second, list(turns))
    assert Play(one, ids=ids_one).shown() == Play(other, ids=ids_other).shown()


def _on_loan(stream: Stream, loan: str) -> Stream:
    steps = tuple(step._replace(loan=loan) if isinstance(step, PayOut) else step for step in stream.steps)
    return stream._replace(steps=steps)


@given(
    streams(Mix(accounts=ACCOUNTS[:2], undo="any", overdrafts=True), steps_max=15),
    streams(Mix(accounts=ACCOUNTS[2:], undo="any", overdrafts=True), steps_max=15),
    st.lists(st.booleans(), max_size=30),
)
@quick
def test_events_on_disjoint_accounts_commute(first: Stream, second: Stream, turns: list[bool]) -> None:
    check_commutes(_on_loan(first, LOANS[0]), _on_loan(second, LOANS[1]), turns)


@given(streams(ALL, unknown=True), st.permutations([*ACCOUNTS, *SINKS]), st.permutations(LOANS))
@quick
def test_renaming_renames_and_nothing_else(stream: Stream, accounts: list[str], loans: list[str]) -> None:
    names = dict(zip((*ACCOUNTS, *SINKS, *LOANS), (*accounts, *loans), strict=True))
    renamed = {
        names[account]: [[(names.get(loan, loan), *rest) for loan, *rest in lots] for lots in ledgers]
        for account, ledgers in Play(stream).shown().items()
    }
    assert Play(stream, names=names).shown() == renamed


def check_scales(stream: Stream, factor: int, limits: TraceLimits) -> None:
    """Amounts times k, with the least lot times k: lots times k."""
    steps = tuple(_scaled(step, factor) for step in stream.steps)
    opening = {name: balance * factor if balance is not None else None for name, balance in stream.opening.items()}
    wide = TraceLimits(hops_max=limits.hops_max, lot_minor_min=limits.lot_minor_min * factor, history_transfers_max=10**6)
    scaled = {
        account: [[(loan, amount * factor, *rest) for loan, amount, *rest in lots] for lots in ledgers]
        for account, ledgers in Play(stream, limits).shown().items()
    }
    assert Play(Stream(opening, steps), wide).shown() == scaled


def _scaled(step: Step, factor: int) -> Step:
    if isinstance(step, See):
        return step._replace(stated_minor=step.stated_minor * factor)
    if isinstance(step, PayOut | Pay | Undo | TakeBack):
        return step._replace(amount_minor=step.amount_minor * factor)
    return step


@given(streams(ALL, unknown=True), st.integers(2, 10**9), LIMITS)
@quick
def test_amounts_times_k_give_lots_times_k(stream: Stream, factor: int, limits: TraceLimits) -> None:
    check_scales(stream, factor, limits)


# --- reversals ----------------------------------------------------------------------------------------------------------

Identity = list[list[tuple[int, int, int, int]]]  # per ledger, per parcel: which origin, amount, hops, which trail


def identity(play: Play, name: str) -> Identity:
    """An account's lots by the identity of origin and trail; neighbours that are pieces of one parcel are one."""
    holdings = play.account(name).holdings or [None] * len(play.tracer.bookings)
    return [_parcels(holding) if holding is not None else [] for holding in holdings]


def _parcels(holding: Holding) -> list[tuple[int, int, int, int]]:
    parcels: list[Lot] = []
    for lot in holding.lots:
        if parcels and lot.joins(parcels[-1]):
            parcels[-1] = lot.part(parcels[-1].amount_minor + lot.amount_minor)
        else:
            parcels.append(lot)
    return [(id(lot.origin), lot.amount_minor, lot.hops, id(lot.trail)) for lot in parcels]


def check_restores(stream: Stream, pay: Pay, parts: list[int]) -> None:
    """A payment and its reversal, in any parts, with nothing between: every lot is where and what it was."""
    play = Play(stream)
    before = {name: identity(play, name) for name in ACCOUNTS}
    balances = {name: play.account(name).balance_minor for name in ACCOUNTS}
    places = {loan: dict(origin.places_minor) for loan, origin in play.origins.items()}
    play.play(pay)
    paid = len(play.transfers) - 1
    for part in parts:
        play.play(Undo(paid, part))
    assert {name: identity(play, name) for name in ACCOUNTS} == before
    assert {name: play.account(name).balance_minor for name in ACCOUNTS} == balances
    assert {loan: dict(origin.places_minor) for loan, origin in play.origins.items()} == places


def last_payment(stream: Stream) -> tuple[Stream, Pay] | None:
    """The stream before its last payment between accounts or into a sink, and that payment."""
    for i in range(len(stream.steps) - 1, -1, -1):
        step = stream.steps[i]
        if isinstance(step, Pay) and step.payer in ACCOUNTS:
            return stream._replace(steps=stream.steps[:i]), step
    return None


@given(streams(SOLVENT))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_a_payment_and_its_reversal_leave_no_trace(stream: Stream) -> None:
    if (found := last_payment(stream)) is not None:
        check_restores(*found, [found[1].amount_minor])


@given(streams(SOLVENT), st.integers(0, 10**6))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_a_reversal_in_two_parts_is_a_reversal(stream: Stream, cut: int) -> None:
    if (found := last_payment(stream)) is not None and found[1].amount_minor > 1:
        part = 1 + cut % (found[1].amount_minor - 1)
        check_restores(*found, [part, found[1].amount_minor - part])


def check_splits(stream: Stream, pay: Pay, part: int) -> None:
    """Two payments in a row of one pair are one payment of the sum, in amounts by loan."""
    rest = pay.amount_minor - part
    whole = Play(stream._replace(steps=(*stream.steps, pay)))
    parts = Play(stream._replace(steps=(*stream.steps, pay._replace(amount_minor=part), pay._replace(amount_minor=rest))))
    assert whole.by_origin() == parts.by_origin()
    at = len(stream.steps)
    for loan in whole.origins:
        for ledger in range(len(LEDGERS)):
            split = parts.arrived[loan, ledger, at] + parts.arrived[loan, ledger, at + 1]
            assert whole.arrived[loan, ledger, at] == split


@given(streams(Mix(undo="any")), st.integers(0, 10**6))
@quick
def test_two_payments_in_a_row_are_one_of_the_sum(stream: Stream, cut: int) -> None:
    if (found := last_payment(stream)) is not None and found[1].amount_minor > 1:
        check_splits(*found, 1 + cut % (found[1].amount_minor - 1))


# --- planted bugs: each law can be broken -------------------------------------------------------------------------------


def assert_caught(check: Callable[[Stream], object], mix: Mix, seeds: int = 300) -> None:
    """At least one of the seeded streams breaks the law (with the bug planted by the caller)."""
    assert any(_breaks(check, random_stream(random.Random(seed), 25, mix)) for seed in range(seeds)), "the bug was not seen"


def _breaks(check: Callable[[Stream], object], stream: Stream) -> bool:
    try:
        check(stream)
    except AssertionError:
        return True
    return False


def test_conservation_catches_a_lost_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    receive = Tracer._receive_in

    def forgetful(
        self: Tracer, i: int, payee: Account, transfer: Transfer, arriving: list[Lot], taken: list[Lot], swallowed: int,
        repays: Origin | None,
    ) -> list[Landing]:  # fmt: skip
        if i == 0 and len(arriving) > 1 and arriving[-1].amount_minor > 1:
            arriving[-1] = arriving[-1].part(arriving[-1].amount_minor - 1)
        return receive(self, i, payee, transfer, arriving, taken, swallowed, repays)

    monkeypatch.setattr(Tracer, "_receive_in", forgetful)
    assert_caught(lambda stream: Play(stream, ledgers=("loan_first",), after_each=check_conservation), Mix())


def test_the_place_check_catches_money_counted_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    stay = Origin.stay
    monkeypatch.setattr(Origin, "stay", lambda self, place, amount: stay(self, "HELD", amount))
    assert_caught(lambda stream: Play(stream, after_each=check_conservation), Mix())


def test_the_lot_check_catches_own_money_left_out_of_fifo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tracer, "_settle_own", lambda self, i, payee, own_minor: None)
    assert_caught(lambda stream: Play(stream, after_each=check_lots), Mix())


def test_the_ghost_law_catches_dropped_money_turned_into_own_money(monkeypatch: pytest.MonkeyPatch) -> None:
    settle = Tracer._settle

    def cleansing(self: Tracer, i: int, payee: Account, lot: Lot, source: Lot, repays: Origin | None) -> Landing:
        if lot.origin.number > 0 and not payee.is_sink and (limit := self._limit_of(lot)):
            lot.origin.drop(limit, lot.amount_minor)
            return Landing(source, None, "")
        return settle(self, i, payee, lot, source, repays)

    monkeypatch.setattr(Tracer, "_settle", cleansing)
    assert_caught(lambda stream: check_ghosts(stream, TIGHT, "loan_first"), Mix(income=False), 1000)


def test_the_ghost_law_catches_a_drop_that_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Origin, "drop", lambda self, reason, amount: None)
    assert_caught(lambda stream: check_ghosts(stream, TIGHT, "loan_first"), Mix())


def test_commutation_catches_state_shared_between_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    arriving = Tracer._arriving

    def counting(self: Tracer, lots: list[Lot], transfer: Transfer, payer: Account) -> list[Lot]:
        moved = arriving(self, lots, transfer, payer)
        return [Lot(lot.origin, lot.amount_minor, lot.hops + self._seq % 2, lot.trail) for lot in moved]

    monkeypatch.setattr(Tracer, "_arriving", counting)
    first = Stream({"a": 0, "b": 0}, (PayOut("L1", "a", 5), Pay("a", "b", 3)))
    second = Stream({"c": 0, "d": 0}, (PayOut("L2", "c", 5), Pay("c", "d", 3)))
    with pytest.raises(AssertionError):
        check_commutes(first, second, [True, False, True])


def test_scaling_catches_a_limit_in_fixed_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tracer, "_limit_of", lambda self, lot: "amount" if lot.amount_minor < 5 else "")
    assert_caught(lambda stream: check_scales(stream, 7, TraceLimits(lot_minor_min=5)), Mix())


def test_restoration_catches_lots_put_back_at_the_wrong_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Holding, "put_back", Holding.put)

    def check(stream: Stream) -> None:
        if (found := last_payment(stream)) is not None:
            check_restores(*found, [found[1].amount_minor])

    assert_caught(check, Mix())


def test_splitting_catches_a_booking_that_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    def halves(holding: Holding, own_minor: int, amount_minor: int) -> list[Lot]:
        return holding.take_first(amount_minor // 2 if own_minor >= amount_minor else amount_minor)

    monkeypatch.setitem(BOOKINGS, "loan_first", BOOKINGS["loan_first"]._replace(take=halves))

    def check(stream: Stream) -> None:
        if (found := last_payment(stream)) is not None and found[1].amount_minor > 1:
            check_splits(*found, 1)

    assert_caught(check, Mix())


def test_own_money_is_the_only_origin_without_a_loan() -> None:
    play = Play(random_stream(random.Random(5), 30, Mix()))
    lots = [lot for account in play.held_accounts() for holding in account.holdings or () if holding for lot in holding.lots]
    assert {lot.origin for lot in lots} <= {OWN, *play.origins.values()}
