"""The tracer against the coin-by-coin oracle."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings

from tests.properties.oracle import CoinOracle
from tests.properties.play import LEDGERS, Play
from tests.properties.strategies import Mix, Stream, random_stream, streams

PLAIN = Mix()
WITH_REVERSALS = Mix(undo="full", amount_max=25)
WITH_OVERDRAFTS = Mix(overdrafts=True, amount_max=25)


def check_agreement(stream: Stream, ledgers: tuple[str, ...] = LEDGERS) -> int:
    """Every payment carried, and every account holds, the same of each loan in both. Returns the number of comparisons."""
    play = Play(stream, ledgers=ledgers)
    held = play.by_origin()
    compared = 0
    for ledger, order in enumerate(ledgers):
        oracle = CoinOracle(order, stream)
        arrived = {(loan, step): amount for (loan, at, step), amount in play.arrived.items() if at == ledger}
        assert arrived == dict(oracle.arrived), f"{order}: payments carried other amounts"
        lots = {(name, loan): amount for (name, at, loan), amount in held.items() if at == ledger}
        coins = {key: count for key, count in oracle.held().items() if key[0] in stream.opening}
        assert lots == coins, f"{order}: accounts hold other amounts"
        compared += len(arrived) + len(lots)
    return compared


@given(streams(PLAIN))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_payments_carry_what_the_coins_say(stream: Stream) -> None:
    check_agreement(stream)


@given(streams(WITH_REVERSALS))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_full_reversals_move_what_the_coins_say(stream: Stream) -> None:
    check_agreement(stream)


@pytest.mark.parametrize(
    ("mix", "ledgers"),
    [(PLAIN, LEDGERS), (WITH_REVERSALS, LEDGERS), (WITH_OVERDRAFTS, LEDGERS)],
    ids=["plain", "reversals", "overdrafts"],
)
def test_thousands_of_seeded_streams_agree(mix: Mix, ledgers: tuple[str, ...]) -> None:
    compared = sum(check_agreement(random_stream(random.Random(seed), 30, mix), ledgers) for seed in range(700))
    assert compared > 10_000, f"only {compared} amounts were compared: the streams are too dull to prove anything"
