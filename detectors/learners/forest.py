"""A boosted forest that grows with the outcomes: one tree at a time, on the errors of all trees before it.

Outcomes are kept as examples, misuse and the rest apart, each in a ring of bounded size; of the many harmless ones a share is
taken, with the inverse of it as weight. Each time enough has been learned, one tree is fitted to the gradient of the logistic
loss on the examples; the oldest tree makes room, and those after it make good what it took along. The work per outcome is
bounded, and happens at outcomes counted, never at times.

The model is a stochastic gradient boosting (Friedman 2002) with histograms, made into a ring; rows and features of each tree
are drawn from a generator seeded with the number of the tree. All sums are made row after row, so the bits are the same
everywhere.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from math import exp
from random import Random
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.learners.packed import bytes_of, fill, text_of
from detectors.learners.trees import Trees

Matrix = NDArray[Any]
IS_COMPILED = not isinstance(Trees.ask, FunctionType)
"""Whether the compiled twin is there; without it NumPy makes the sums, in the same order."""
BINS = 32
EDGES_OF_MAX = 2_000
"""Examples that thresholds are chosen from."""
VALUE_MAX = 4.0
"""Of a leaf, before shrinking."""


class Forest:
    """Examples and trees.

    Args:
        width: features of a vector.
        bad_max: examples of misuse kept; ``good_max``: of the rest.
        step: an outcome of misuse counts 250, another 1; so many make a tree when all places for examples are full.
    """

    def __init__(
        self, width: int, *, trees_max: int, depth: int, bad_max: int, good_max: int, step: int, shrink: float, seed: int
    ) -> None:
        self.width, self.bad_max, self.step, self.shrink, self.seed = width, bad_max, step, shrink, seed
        self.trees = Trees(trees_max, depth, width)
        self.size = bad_max + good_max
        self.vectors = np.zeros((self.size, width), np.float32)
        self.codes = np.zeros((self.size, width), np.uint8)
        self.bad = np.zeros(self.size)
        self.weight = np.zeros(self.size)
        self.margin = np.zeros(self.size)  # what the start and all trees say of an example
        self.bads = self.goods = self.goods_met = 0  # taken in, ever; the last with those that were passed over
        self.credit = 0
        self.grown = 0  # trees, ever
        self.coded = np.zeros(self.size, np.bool_)
        self.edges: list[Matrix] = []  # thresholds of each feature

    # --- learning ---------------------------------------------------------------------------------------------------

    def learn(self, vector: array[float], is_bad: bool, start: float) -> bool:
        """Take in an outcome; True when a tree has grown.

        Args:
            start: the log-odds that the trees add to.
        """
        weight = 1.0
        if not is_bad:
            self.goods_met += 1
            weight = max(1.0, self.goods_met / (1_000.0 + 4.0 * self.bads))
        if self._draw() * weight < 1.0:
            self._keep(vector, is_bad, weight, start)
        self.credit += 250 if is_bad else 1
        if self.credit < self._price() or self.bads < 5:
            return False
        self.credit = 0
        self._grow()
        return True

    def _price(self) -> float:
        """What a tree costs now: its work grows with the examples kept, so while they are few, trees come more often."""
        kept = min(self.bads, self.bad_max) + min(self.goods, self.size - self.bad_max)
        return self.step * max(0.25, kept / self.size)

    def _draw(self) -> float:
        """Below 1, and evenly spread over outcomes in a row: multiples of the golden ratio."""
        return ((self.goods_met + self.seed) * 2_654_435_769 & 0xFFFFFFFF) / 4_294_967_296.0

    def _keep(self, vector: array[float], is_bad: bool, weight: float, start: float) -> None:
        if is_bad:
            at = self.bads % self.bad_max
            self.bads += 1
        else:
            at = self.bad_max + self.goods % (self.size - self.bad_max)
            self.goods += 1
        self.vectors[at] = vector
        self.bad[at], self.weight[at] = float(is_bad), weight
        self.margin[at] = start + self.trees.ask(vector)
        self.coded[at] = False

    def _kept(self) -> Matrix:
        """Places of the examples there are."""
        goods = min(self.goods, self.size - self.bad_max)
        return np.concatenate([np.arange(min(self.bads, self.bad_max)), self.bad_max + np.arange(goods)])

    # --- growing ----------------------------------------------------------------------------------------------------

    def _grow(self) -> None:
        kept = self._kept()
        if self.grown % 64 == 0:
            self._choose_edges(kept)
        self._code(kept)
        trees = self.trees
        if trees.count == trees.trees_max:
            self.margin[kept] -= self._said_by(0, kept)
            trees.retire()
        chance = Random(f"{self.seed}:{self.grown}")
        rows = kept[np.array([chance.random() < 0.6 for _ in range(len(kept))], np.bool_)]
        columns = np.array(sorted(chance.sample(range(self.width), max(4, self.width * 3 // 10))), np.int32)
        self._fit(rows.astype(np.int32), columns)
        self.grown += 1
        self.margin[kept] += self._said_by(trees.count - 1, kept)

    def _choose_edges(self, kept: Matrix) -> None:
        """Thresholds between which examples fall in equal numbers, misuse weighing as much as the rest."""
        bad = kept[self.bad[kept] > 0.0]
        good = kept[self.bad[kept] == 0.0]
        bad = bad[:: max(1, len(bad) * 2 // EDGES_OF_MAX)]
        good = good[:: max(1, len(good) // max(1, min(EDGES_OF_MAX, 2 * len(bad) + 500)))]
        ranked = np.sort(self.vectors[np.concatenate([bad, good])], axis=0)
        at = np.arange(1, BINS) * len(ranked) // BINS
        self.edges = [np.unique(ranked[at, feature]) for feature in range(self.width)]
        self.coded[:] = False

    def _code(self, kept: Matrix) -> None:
        """How many thresholds each feature of an example is above."""
        fresh = kept[~self.coded[kept]]
        if not len(fresh):
            return
        for feature in range(self.width):
            self.codes[fresh, feature] = np.searchsorted(self.edges[feature], self.vectors[fresh, feature], side="left")
        self.coded[fresh] = True

    def _fit(self, rows: Matrix, columns: Matrix) -> None:
        """One tree, level by level: at each place the question that lessens the loss most."""
        trees = self.trees
        odds = self.margin[rows]
        probable = np.array([1.0 / (1.0 + exp(-each)) for each in np.clip(odds, -30.0, 30.0).tolist()])
        slopes = self.weight[rows] * (self.bad[rows] - probable)
        weights = self.weight[rows] * probable * (1.0 - probable)
        nodes = np.zeros(len(rows), np.int32)
        first = trees.count * trees.inner
        for level in range(trees.depth):
            width = 1 << level
            best = self._questions(rows, columns, nodes, slopes, weights, width)
            right = np.zeros(len(rows), np.int32)
            for node, question in enumerate(best):
                place = first + width - 1 + node
                trees.feature_store[place], trees.threshold_store[place] = 0, float("inf")
                if question is None:
                    continue
                feature, code = question
                trees.feature_store[place] = feature
                trees.threshold_store[place] = float(self.edges[feature][code])
                here = nodes == node
                right[here] = self.codes[rows[here], feature] > code
            nodes = 2 * nodes + right
        self._value_leaves(nodes, slopes, weights)
        trees.count += 1

    def _questions(
        self, rows: Matrix, columns: Matrix, nodes: Matrix, slopes: Matrix, weights: Matrix, width: int
    ) -> list[tuple[int, int] | None]:
        """For each place of a level the best (feature, code), or None."""
        shape = (width, len(columns), BINS)
        slope_sums, weight_sums = np.zeros(shape), np.zeros(shape)
        if IS_COMPILED:
            self.trees.sums(
                self.codes.reshape(-1), rows, columns, nodes, slopes, weights, self.width, BINS, slope_sums.reshape(-1),
                weight_sums.reshape(-1),
            )  # fmt: skip
        else:
            cells = (nodes[:, None] * len(columns) + np.arange(len(columns))) * BINS + self.codes[np.ix_(rows, columns)]
            for sums, values in ((slope_sums, slopes), (weight_sums, weights)):
                sums.reshape(-1)[:] = np.bincount(cells.reshape(-1), np.repeat(values, len(columns)), sums.size)
        left_slope, left_weight = np.cumsum(slope_sums, axis=2), np.cumsum(weight_sums, axis=2)
        slope, weight = left_slope[:, :, -1:], left_weight[:, :, -1:]
        right_slope, right_weight = slope - left_slope, weight - left_weight
        gain = (
            left_slope * left_slope / (left_weight + 2.0) + right_slope * right_slope / (right_weight + 2.0)
            - slope * slope / (weight + 2.0)
        )  # fmt: skip
        gain[(left_weight < 1.0) | (right_weight < 1.0)] = 0.0
        flat = gain.reshape(width, -1)
        best: list[tuple[int, int] | None] = []
        for node, cell in enumerate(flat.argmax(axis=1).tolist()):
            feature, code = int(columns[cell // BINS]), cell % BINS
            asks = flat[node, cell] > 1e-9 and code < len(self.edges[feature])
            best.append((feature, code) if asks else None)
        return best

    def _value_leaves(self, nodes: Matrix, slopes: Matrix, weights: Matrix) -> None:
        trees = self.trees
        slope = np.bincount(nodes, slopes, trees.leaves)
        weight = np.bincount(nodes, weights, trees.leaves)
        first = trees.count * trees.leaves
        for leaf in range(trees.leaves):
            value = float(slope[leaf] / (weight[leaf] + 2.0))
            trees.value_store[first + leaf] = self.shrink * min(max(value, -VALUE_MAX), VALUE_MAX)
            trees.cover_store[first + leaf] = float(weight[leaf])

    def _said_by(self, tree: int, kept: Matrix) -> Matrix:
        """What one tree says of each example."""
        trees = self.trees
        feature = np.array(trees.feature_store[tree * trees.inner : (tree + 1) * trees.inner])
        threshold = np.array(trees.threshold_store[tree * trees.inner : (tree + 1) * trees.inner])
        value = np.array(trees.value_store[tree * trees.leaves : (tree + 1) * trees.leaves])
        place = np.zeros(len(kept), np.int64)
        for _ in range(trees.depth):
            place = 2 * place + 1 + (self.vectors[kept, feature[place]] > threshold[place])
        said: Matrix = value[place - trees.inner]
        return said

    # --- explaining -------------------------------------------------------------------------------------------------

    def contributions(self, vector: array[float]) -> tuple[float, dict[int, float]]:
        """What the trees say of the average example, and what each feature adds to that on the vector's way down."""
        trees = self.trees
        average, added = 0.0, dict[int, float]()
        for tree in range(trees.count):
            means = self._means(tree)
            average += means[0]
            place = 0
            while place < trees.inner:
                asked = trees.feature_store[tree * trees.inner + place]
                above = vector[asked] > trees.threshold_store[tree * trees.inner + place]
                down = 2 * place + (2 if above else 1)
                added[asked] = added.get(asked, 0.0) + means[down] - means[place]
                place = down
        return average, added

    def _means(self, tree: int) -> list[float]:
        """The mean value below each place of a tree, by what its leaves have met."""
        trees = self.trees
        means = [0.0] * trees.inner + trees.value_store[tree * trees.leaves : (tree + 1) * trees.leaves].tolist()
        cover = [0.0] * trees.inner + trees.cover_store[tree * trees.leaves : (tree + 1) * trees.leaves].tolist()
        for place in range(trees.inner - 1, -1, -1):
            left, right = 2 * place + 1, 2 * place + 2
            cover[place] = cover[left] + cover[right]
            if cover[place] > 0.0:
                means[place] = (means[left] * cover[left] + means[right] * cover[right]) / cover[place]
        return means

    # --- state ------------------------------------------------------------------------------------------------------

    _NUMBERS = ("bads", "goods", "goods_met", "credit", "grown")

    def snapshot(self) -> dict[str, Any]:
        """The state as plain data."""
        kept = self._kept()
        trees = self.trees
        return {
            "numbers": [getattr(self, name) for name in self._NUMBERS],
            "vectors": text_of(self.vectors[kept].tobytes()),
            "examples": text_of(np.stack([self.bad[kept], self.weight[kept], self.margin[kept]]).tobytes()),
            "coded": text_of(self.coded[kept].tobytes()),
            "edges": [text_of(edges.tobytes()) for edges in self.edges],
            "trees": trees.count,
            "stores": [text_of(store.tobytes()) for store in trees.stores()],
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take the state that :meth:`snapshot` has given."""
        for name, number in zip(self._NUMBERS, data["numbers"], strict=True):
            setattr(self, name, number)
        kept = self._kept()
        self.vectors[kept] = _array(data["vectors"], np.float32).reshape(len(kept), self.width)
        self.bad[kept], self.weight[kept], self.margin[kept] = _array(data["examples"], np.float64).reshape(3, len(kept))
        coded = _array(data["coded"], np.bool_)
        self.edges = [_array(text, np.float32) for text in data["edges"]]
        self.coded[:] = False
        self._code(kept[coded])
        self.trees.count = data["trees"]
        for store, text in zip(self.trees.stores(), data["stores"], strict=True):
            fill(store, text)


def _array(text: str, kind: Any) -> Matrix:
    found: Matrix = np.frombuffer(bytes_of(text), kind)
    return found
