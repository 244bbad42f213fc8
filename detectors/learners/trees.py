"""Trees as flat arrays: asking them for a score, and the sums of which the next one is grown.

A tree has a fixed depth; each inner place holds a feature and a threshold (a vector goes right where its feature is above it)
and each leaf a value. A place without a question has an infinite threshold: everything goes left. Compiled like
``detectors/profile.py``, with the same bits.
"""

from __future__ import annotations

from array import array
from typing import Any


class Trees:
    """A ring of trees of one depth.

    Args:
        trees_max: places for trees.
    """

    def __init__(self, trees_max: int, depth: int, features: int) -> None:
        self.trees_max = trees_max
        self.depth = depth
        self.inner = (1 << depth) - 1
        self.leaves = 1 << depth
        self.count = 0
        self.feature_store = array("i", bytes(4 * trees_max * self.inner))
        self.feature = self.feature_store
        self.threshold_store = array("f", [float("inf")] * (trees_max * self.inner))
        self.threshold = self.threshold_store
        self.value_store = array("d", bytes(8 * trees_max * self.leaves))
        self.value = self.value_store
        self.cover_store = array("d", bytes(8 * trees_max * self.leaves))  # what each leaf had met when the tree was grown
        self.x = array("f", bytes(4 * features))
        self.last = self.x

    def stores(self) -> list[array[Any]]:
        """All that a tree is made of."""
        return [self.feature_store, self.threshold_store, self.value_store, self.cover_store]

    def retire(self) -> None:
        """The oldest tree goes; the others move down."""
        for store in self.stores():
            size = len(store) // self.trees_max
            store[: len(store) - size] = store[size:]
        self.count -= 1

    def bind(self, last: array[float]) -> None:
        """Where the vector of the payment at hand stands."""
        self.last = last

    def ask_last(self) -> float:
        """What all trees say of the payment at hand."""
        return self.ask(self.last)

    def ask(self, vector: array[float]) -> float:
        """What all trees say of a vector, in log-odds."""
        self.x = vector
        total = 0.0
        for tree in range(self.count):
            total += self.value[tree * self.leaves + self.leaf(tree)]
        return total

    def ask_one(self, tree: int, vector: array[float]) -> float:
        """What one tree says of it."""
        self.x = vector
        return self.value[tree * self.leaves + self.leaf(tree)]

    def leaf(self, tree: int) -> int:
        """The leaf in which the vector ends."""
        i = 0
        at = tree * self.inner
        for _ in range(self.depth):
            i = 2 * i + (2 if self.x[self.feature[at + i]] > self.threshold[at + i] else 1)
        return i - self.inner

    def sums(
        self, codes: Any, rows: Any, columns: Any, nodes: Any, slopes: Any, weights: Any, width: int, bins: int,
        slope_sums: Any, weight_sums: Any,
    ) -> None:  # fmt: skip
        """Add every row's slope and weight to the cells (node, column, code) of its columns, row after row.

        Args:
            codes: one byte a feature, ``width`` of them a row; a flat array, as all arguments are.
            rows: which rows, 32-bit; ``nodes`` (32-bit), ``slopes`` and ``weights`` (64-bit floats) are theirs.
            columns: which features, 32-bit.
        """
        number = len(columns)
        for r in range(len(rows)):
            at = rows[r] * width
            base = nodes[r] * number
            for k in range(number):
                cell = (base + k) * bins + codes[at + columns[k]]
                slope_sums[cell] += slopes[r]
                weight_sums[cell] += weights[r]
