"""Checkpoints at random moments, some that fail, some followed by a restart: the fold goes on as if nothing had happened."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from detectors import rows
from detectors.accounts import Account
from detectors.configuration import Configuration
from detectors.engine import Engine
from detectors.events import AccountTransaction, Event
from detectors.legs import Legs
from detectors.rows import unpack
from detectors.tracer import Tracer
from streams.live import tables
from streams.live.checkpoint import CheckpointFailed, CheckpointFile, DamagedState
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

    def run(self, events: list[Event], outputs: list[bytes]) -> list[int]:
        """The events of which something else is said than ``outputs``, whenever they are folded."""
        wrong = []
        while (at := self.fold.next_offset) < len(events):
            if said(self.fold.engine, events[at]) != outputs[at]:
                wrong.append(at)
            self.fold.next_offset += 1
            drawn = self.chance.random()
            if drawn < 0.10:
                self.file.save(self.fold)
            elif drawn < 0.13:
                self.fail()
            elif drawn < 0.15:
                self.die()
        return wrong

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
    wrong = life.run(events, outputs)
    found = [f"seed {seed}: outputs of {wrong[:5]}"] if wrong else []
    life.file.save(life.fold)
    for when in ("at the end", "loaded"):
        if life.fold.engine.counters != engine.counters:
            found.append(f"seed {seed}: counters {when}")
        if life.fold.engine.snapshot() != engine.snapshot():
            found.append(f"seed {seed}: snapshot {when}")
        life.die()
    life.file.close()
    return found


@pytest.mark.parametrize("first_seed", range(0, SEEDS, 10))
def test_a_fold_with_checkpoints_and_restarts_says_and_knows_what_one_without_does(first_seed: int, tmp_path: Path) -> None:
    assert [found for seed in range(first_seed, first_seed + 10) for found in differences(seed, tmp_path)] == []


def is_seen(folder: Path) -> bool:
    """Whether some life shows that something is wrong: by a difference, or by a file that is found out."""
    for seed in range(SEEDS):
        try:
            if differences(seed, folder):
                return True
        except (CheckpointFailed, DamagedState, KeyError):
            return True
    return False


def test_an_account_changed_without_a_look_up_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tracer, "touch", lambda self, account: None)
    assert is_seen(tmp_path)


def test_a_failed_checkpoint_that_loses_what_it_was_to_write_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CheckpointFile, "give_back", lambda self, fold, touched: None)
    assert is_seen(tmp_path)


def test_an_entangled_account_that_is_plain_now_and_forgotten_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    was_tied: set[tuple[str, str]] = set()
    sorted_out = tables._sorted_out

    def forgetful(accounts: Iterable[tuple[str, str, Account | None]]) -> tuple[tables.Piece, list[tuple[str, str]]]:
        piece, tied = sorted_out(accounts)
        for currency, account_id in was_tied.difference(tied):
            piece.rows.get(currency, {}).pop(account_id, None)
        was_tied.update(tied)
        return piece, tied

    monkeypatch.setattr(tables, "_sorted_out", forgetful)
    assert is_seen(tmp_path)


def test_a_transfer_held_twice_that_becomes_two_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "unpack", lambda currency, account_id, packed, resident: unpack(currency, account_id, packed, {}))
    assert is_seen(tmp_path)


def test_records_awaited_and_not_counted_again_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Legs, "count_awaited", lambda self: None)
    assert is_seen(tmp_path)
