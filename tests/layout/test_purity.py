"""The core has no clock, no I/O, no unseeded chance, and no order that changes from run to run."""

from __future__ import annotations

import pytest

from tests.layout.purity import impurities
from tests.layout.tree import modules


def test_the_core_is_pure() -> None:
    found = [
        f"{name} {impurity}"
        for name, path in modules("detectors").items()
        for impurity in impurities(
            path.read_text(encoding="utf-8"),
            learner=name.startswith("detectors.learners"),
            index=name == "detectors.typologies",
        )
    ]
    assert found == []


MODULES_OF_THE_WORLD = """os sys io pathlib time logging threading asyncio tomllib kafka faust aiokafka socket subprocess
    zoneinfo uuid secrets streams""".split()

IMPURE = [
    *(f"import {module}" for module in MODULES_OF_THE_WORLD),
    "from os import environ",
    "import os.path as p",
    "def f():\n    import time",
    "open('x')",
    "print('x')",
    "hash('x')",
    "id(x) < id(y)",
    "xs.sort(key=lambda x: id(x))",
    "key = hash",
    "sorted(xs, key=id)",
    "eval('1')",
    "datetime.now()",
    "datetime.now(UTC)",
    "datetime.datetime.utcnow()",
    "date.today()",
    "datetime.fromtimestamp(0)",
    "moment.astimezone()",
    "random.random()",
    "random.shuffle(xs)",
    "from random import choice",
    "Random = random.Random()",
    "np.random.rand(3)",
    "np.random.default_rng()",
    "import river",
    "for x in {1, 2}: pass",
    "for x in set(xs): pass",
    "for x in frozenset(xs) | ys: pass",
    "[x for x in {y for y in ys}]",
    "xs = set()\nfor x in xs: pass",
    "def f(xs: set[str]):\n    for x in xs: pass",
    "class A:\n    seen: set[str]\n    def f(self):\n        return [x for x in self.seen]",
    "self.xs = set()\nfor x in self.xs: pass",
    "list(set(xs))",
    "','.join({a, b})",
    "next(iter({a, b}))",
    "xs = {a, b}\nxs.pop()",
    "[*{a, b}]",
    "enumerate(a.union(b))",
]


@pytest.mark.parametrize("source", IMPURE)
def test_an_impure_line_is_told(source: str) -> None:
    assert impurities(source)


PURE = [
    "from __future__ import annotations\nimport hashlib, zlib, math, heapq, bisect\nfrom collections.abc import Iterable",
    "from random import Random\nrng = Random(seed)\nrng.shuffle(xs)",
    "import random\nrng = random.Random(seed)",
    "np.random.default_rng(seed)",
    "datetime.fromtimestamp(0, UTC)",
    "moment.astimezone(zone)",
    "for x in sorted({1, 2}): pass",
    "sum(x for x in {1, 2})",
    "len(set(xs)); x in {1, 2}",
    "for x in {1: 2}: pass",
    "xs = [1]\nxs.pop()",
    "{x for x in set(xs)}",
    "digest.hash()",
    "xs = {1, 2}\nfor x in other.xs: pass",
    "id(x) in seen and seen[id(x)] > 0",
]


@pytest.mark.parametrize("source", PURE)
def test_a_pure_line_is_left_alone(source: str) -> None:
    assert impurities(source) == []


def test_river_is_let_into_learners_only() -> None:
    assert impurities("from river import anomaly", learner=True) == []
    assert impurities("from river import anomaly")


def test_only_the_index_of_the_typologies_may_look_for_modules() -> None:
    assert impurities("from importlib import import_module")
    assert impurities("from importlib import import_module", index=True) == []
