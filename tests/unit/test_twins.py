"""The compiled twins of the hot modules say what the Python says that they are made of, bit for bit."""

from __future__ import annotations

import importlib.util
import random
from array import array
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest

from detectors import profile
from detectors.learners import forest, novelty, scorecard, trees

ROOT = Path(__file__).parents[2]
COMPILED = not isinstance(profile.Profiles.open, FunctionType)
needs_twins = pytest.mark.skipif(not COMPILED, reason="no C compiler was there for `make setup`: there are no compiled twins")


def python_of(module: ModuleType) -> Any:
    """The module as Python runs it, whether or not it was compiled."""
    path = ROOT / (module.__name__.replace(".", "/") + ".py")
    name = f"python_{module.__name__.replace('.', '_')}"
    loader = SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    loaded = importlib.util.module_from_spec(spec)
    loader.exec_module(loaded)
    return loaded


def lived(module: Any, payments: int) -> tuple[list[bytes], Any]:
    """Profiles after a made-up life of more accounts than rows, with late payments, outcomes and the outside; all vectors."""
    chance, profiles = random.Random(3), module.Profiles(100)
    days, vectors, newest = 0.0, [], dict[int, int]()
    for n in range(payments):
        days += chance.random() * 0.02
        payer, payee = sorted(chance.sample(range(130), 2), key=lambda _: chance.random())
        if payer % 100 == payee % 100:
            continue
        for number in (payer, payee):
            if newest.get(number % 100) != number:
                newest[number % 100] = number
                profiles.open(number, days)
        amount = float(chance.choice((chance.randrange(1, 10**7), 50_000)))
        profiles.features(payer, payee, amount, days, n % 3, n % 5, float(chance.randrange(10**6)) if n % 2 else -1.0)
        vectors.append(profiles.vector())
        profiles.pay(payer, payee, amount, days - (chance.random() if n % 9 == 0 else 0.0), n % 5)
        if n % 4 == 0:
            profiles.outside(payer, amount / 3, days, n % 8 == 0)
        if n % 7 == 0:
            profiles.confirm(payer, chance.randrange(130), n % 5, n % 3 == 0, days - 1.0)
    return vectors, profiles


@needs_twins
def test_compiled_profiles_have_the_same_bits() -> None:
    compiled, python = lived(profile, 3_000), lived(python_of(profile), 3_000)
    assert compiled[0] == python[0]
    assert [compiled[1].row(n) for n in range(100)] == [python[1].row(n) for n in range(100)]
    assert compiled[1].wide_store == python[1].wide_store


def test_every_feature_moves_in_a_life() -> None:
    """Otherwise the comparison above would compare constants."""
    vectors = np.array([array("f", packed) for packed in lived(profile, 3_000)[0]])
    still = [name for name, column in zip(profile.NAMES, vectors.T, strict=True) if len(set(column.tolist())) < 2]
    assert still == ["payee_novelty"]  # it is made elsewhere: the next test


def novelties(module: Any) -> tuple[list[float], list[float], bytes]:
    """Novelty of a made-up life in three groups, one of which begins anew, and what is usual in each at the end."""
    made, said = module.Novelty(3), []
    for n, packed in enumerate(lived(profile, 3_000)[0] * 8):
        vector = array("f", packed)
        said.append(made.ask(n % 3, vector))
        made.see(n % 3, vector)
        made.see(0, vector)
        if n == 2_000:
            made.clear(2)
    usual = [made.usual(group, figure) for group in range(3) for figure in range(len(novelty.FIGURE_NAMES))]
    return said, usual, made.count_store.tobytes()


@needs_twins
def test_compiled_novelty_has_the_same_bits() -> None:
    compiled, python = novelties(novelty), novelties(python_of(novelty))
    assert compiled == python
    assert len(set(compiled[0])) > 1_000
    assert len(set(compiled[1])) > 5


@needs_twins
def test_the_compiled_scorecard_has_the_same_bits() -> None:
    vectors = [array("f", packed) for packed in lived(profile, 500)[0]]
    said = []
    for module in (scorecard, python_of(scorecard)):
        card, answers = module.Scorecard(), []
        for vector in vectors:
            answers.append(card.ask(vector))
            card.see(vector)
        said.append((answers, card.spends, card.terms_store.tobytes()))
    assert said[0] == said[1]
    assert len(set(said[0][0])) > 100


def random_trees(module: Any) -> Any:
    chance, made = random.Random(5), module.Trees(20, 4, 30)
    for i in range(20 * made.inner):
        made.feature_store[i], made.threshold_store[i] = chance.randrange(30), chance.choice((chance.random(), float("inf")))
    for i in range(20 * made.leaves):
        made.value_store[i] = chance.uniform(-1, 1)
    made.count = 17
    return made


@needs_twins
def test_compiled_trees_have_the_same_bits() -> None:
    chance = random.Random(7)
    vectors = [array("f", [chance.random() for _ in range(30)]) for _ in range(200)]
    compiled, python = random_trees(trees), random_trees(python_of(trees))
    assert [compiled.ask(vector) for vector in vectors] == [python.ask(vector) for vector in vectors]
    assert [compiled.ask_one(3, vector) for vector in vectors] == [python.ask_one(3, vector) for vector in vectors]


@needs_twins
def test_sums_of_the_compiled_trees_and_of_numpy_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    grown = []
    for is_compiled in (True, False):
        monkeypatch.setattr(forest, "IS_COMPILED", is_compiled)
        chance = random.Random(11)
        made = forest.Forest(12, trees_max=10, depth=3, bad_max=200, good_max=300, step=500, shrink=0.2, seed=1)
        for _ in range(900):
            vector = array("f", [chance.random() for _ in range(12)])
            made.learn(vector, vector[2] * vector[5] > 0.6, -4.0)
        grown.append(made.snapshot())
    assert grown[0] == grown[1]
    assert grown[0]["trees"] == 10
