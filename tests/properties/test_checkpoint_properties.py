"""Checkpoints at random moments, some that fail, some followed by a restart: the fold goes on as if nothing had happened."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from detectors.configuration import Configuration
from detectors.engine import Engine
from detectors.events import AccountTransaction, Event
from streams.live.checkpoint import CheckpointFailed, CheckpointFile
from streams.live.fold import BookFold
from tests.properties.test_engine_storm import said, small_configuration, storm

GENERATION = "test"
SIZES = (3, 6, 12, 40, 120)
SEEDS = 40


def undisturbed(seed: int) -> tuple[Configuration, list[Event], list[bytes], Engine]:
    """A storm, what is said of it, and the engine behind it."""
    chance = random.Random(seed)
    configuration = small_configuration(chance)
    engine = Engine(configuration)
    events, outputs = [], []
    for event in with_second_legs(chance, storm(chance, engine, chance.choice(SIZES))):
        events.append(event)
        outputs.append(said(engine, event))
    return configuration, events, outputs, engine


def with_second_legs(chance: random.Random, events: Iterable[Event]) -> Iterator[Event]:
    """The same with the other side's record of some transfers, a few events later."""
    waiting: list[AccountTransaction] = []
    for i, event in enumerate(events):
        yield event
        if isinstance(event, AccountTransaction) and event.counterparty_account is not None and chance.random() < 0.5:
            waiting.append(event)
        if waiting and chance.random() < 0.4:
            yield second_leg(chance, waiting.pop(chance.randrange(len(waiting))), i)


def second_leg(chance: random.Random, first: AccountTransaction, i: int) -> AccountTransaction:
    assert first.counterparty_account is not None
    return msgspec.structs.replace(
        first, txn_id=f"second{i}", account_id=first.counterparty_account, counterparty_account=first.account_id,
        direction="CREDIT" if first.direction == "DEBIT" else "DEBIT", reverses_txn_id=None, reversal_flag=False,
        balance_after_minor=chance.choice([None, chance.randrange(-1_000, 200_000)]),
    )  # fmt: skip


class Life:
    """A fold that is checkpointed, fails to be, dies and comes back, at moments drawn from a seed."""

    def __init__(self, seed: int, configuration: Configuration, path: Path) -> None:
        self.chance = random.Random(f"life {seed}")
        self.configuration = configuration
        self.path = path
        self.file = CheckpointFile(path, GENERATION)
        self.fold = BookFold(0, configuration, GENERATION)
        self.restarts = 0

    def run(self, events: list[Event]) -> list[bytes]:
        """What is said of every event when it was folded last."""
        outputs: list[bytes] = [b""] * len(events)
        while (at := self.fold.next_offset) < len(events):
            outputs[at] = said(self.fold.engine, events[at])
            self.fold.next_offset += 1
            drawn = self.chance.random()
            if drawn < 0.10:
                self.file.save(self.fold)
            elif drawn < 0.13:
                self.fail()
            elif drawn < 0.15:
                self.die()
        return outputs

    def fail(self) -> None:
        touched = self.file.take(self.fold)
        with pytest.raises(CheckpointFailed):
            self.file.write(self.fold, touched, wanted=lambda: False)
        self.file.give_back(self.fold, touched)

    def die(self) -> None:
        self.file.close()
        self.file = CheckpointFile(self.path, GENERATION)
        self.fold = self.file.load(self.configuration, 0) or BookFold(0, self.configuration, GENERATION)
        self.restarts += 1


def differences(seed: int, folder: Path) -> list[str]:
    """In what a life with checkpoints differs from one without."""
    configuration, events, outputs, engine = undisturbed(seed)
    life = Life(seed, configuration, folder / f"{seed}.sqlite")
    found = ["outputs"] if life.run(events) != outputs else []
    life.file.save(life.fold)
    life.die()
    for name, fold in (("at the end", life.fold), ("loaded", life.fold)):
        if fold.engine.counters != engine.counters:
            found.append(f"counters {name}")
        if fold.engine.snapshot() != engine.snapshot():
            found.append(f"snapshot {name}")
    life.file.close()
    return found


@pytest.mark.parametrize("first_seed", range(0, SEEDS, 10))
def test_a_fold_with_checkpoints_and_restarts_says_and_knows_what_one_without_does(first_seed: int, tmp_path: Path) -> None:
    assert [(seed, differences(seed, tmp_path)) for seed in range(first_seed, first_seed + 10)] == [
        (seed, []) for seed in range(first_seed, first_seed + 10)
    ]
