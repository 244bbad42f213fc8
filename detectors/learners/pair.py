"""Two forests on one scorecard: one that learns from what stood out and was looked at, one from every outcome.

Outcomes of payments that scored high come because somebody reviewed them; others come from random audits, complaints, or much
later. Learned together, whichever are many drown the few, and the model is blind where its own alerts decided what was
looked at. So the *reviewed* forest takes in what stood out, every misuse, and of the rest only about as many as stood out; the
*whole* one takes in all. Their log-odds are added with weights that follow how well each foretold the latest outcomes
(logistic loss, before it learned of them).

After Dal Pozzolo et al. (2015): separate models for feedback and delayed labels, combined. Theirs are retrained daily and
averaged; these grow by the outcome, and the weights are learned. Each has half the trees, so both together cost no more than
one did; where all labels come, that is the price.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from math import exp, log1p
from typing import Any

from detectors.learners.forest import Forest

FORGETS = 0.002
"""Of the loss so far, at each outcome."""
LOSS_MAX = 5.0
"""Of one outcome."""
BAD_WEIGHS = 4.0
"""A misuse that was not foretold, against a false alarm."""
EVERY = 8
"""Of innocent payments that did not stand out one in so many is foretold, and counts for all: they are most, and say least."""
FEW = 20
"""As if so many outcomes of each sort had come before the first."""
APART = 1_000
"""Between the seeds of the two."""


class Pair:
    """Both forests, and what each says is worth.

    Args:
        trees_max, step: of both together; each has half the trees, and grows one after twice the outcomes.
        limits: of each forest.
    """

    def __init__(self, width: int, *, trees_max: int, step: int, seed: int, **limits: Any) -> None:
        sizes = (trees_max + 1) // 2, max(1, trees_max // 2)
        self.reviewed, self.whole = (
            Forest(width, trees_max=size, step=2 * step, seed=seed + APART * n, **limits) for n, size in enumerate(sizes)
        )
        self.loss = [0.1, 0.1]
        self.told = [0, 0]  # outcomes of payments that did not stand out, and of those that did
        self.due = 0.0  # of an outcome of the rest that the reviewed forest takes in

    def bind(self, last: array[float]) -> None:
        """Where the vector of the payment at hand stands."""
        self.reviewed.trees.bind(last)
        self.whole.trees.bind(last)

    @property
    def share(self) -> float:
        """The weight of the reviewed forest; the other has the rest."""
        first, second = self.loss
        return second * second / (first * first + second * second)

    def ask_last(self) -> float:
        """What both say of the payment at hand, in log-odds."""
        reviewed, whole, share = self.reviewed.trees, self.whole.trees, self.share
        return share * reviewed.ask_last() + (1.0 - share) * whole.ask_last()

    def ask(self, vector: array[float]) -> float:
        """What both say of a vector."""
        share = self.share
        return share * self.reviewed.trees.ask(vector) + (1.0 - share) * self.whole.trees.ask(vector)

    def learn(self, vector: array[float], is_bad: bool, start: float, stood_out: bool) -> int:
        """Take in an outcome: how many trees have grown.

        Args:
            start: the log-odds that the trees add to.
            stood_out: whether the payment scored so high that it will have been looked at.
        """
        self.told[stood_out] += 1
        telling = is_bad or stood_out
        if telling or self.told[0] % EVERY == 0:
            step = FORGETS if telling else EVERY * FORGETS
            for n, forest in enumerate((self.reviewed, self.whole)):
                loss = _loss(start + forest.trees.ask(vector), is_bad)
                self.loss[n] += step * (loss - self.loss[n])
        grown = 0
        if is_bad or stood_out or self._takes():
            grown += self.reviewed.learn(vector, is_bad, start)
        return grown + self.whole.learn(vector, is_bad, start)

    def _takes(self) -> bool:
        """Of what did not stand out about as many as of what did."""
        others, high = self.told
        self.due += min(1.0, (high + FEW) / (others + FEW))
        if self.due < 1.0:
            return False
        self.due -= 1.0
        return True

    def contributions(self, vector: array[float]) -> tuple[float, dict[int, float]]:
        """What both say of the average example, and what each feature adds to that."""
        average, added = 0.0, dict[int, float]()
        for forest, share in ((self.reviewed, self.share), (self.whole, 1.0 - self.share)):
            its_average, its_added = forest.contributions(vector)
            average += share * its_average
            for feature, weight in its_added.items():
                added[feature] = added.get(feature, 0.0) + share * weight
        return average, added

    # --- state ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """The state as plain data."""
        return {
            "reviewed": self.reviewed.snapshot(),
            "whole": self.whole.snapshot(),
            "weights": [list(self.loss), list(self.told), self.due],
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take the state that :meth:`snapshot` has given."""
        self.reviewed.restore(data["reviewed"])
        self.whole.restore(data["whole"])
        loss, told, self.due = data["weights"]
        self.loss, self.told = list(loss), list(told)


def _loss(odds: float, is_bad: bool) -> float:
    """Logistic, bounded; misuse weighs more."""
    loss = log1p(exp(min(-odds if is_bad else odds, 50.0)))
    return min(loss, LOSS_MAX) * (BAD_WEIGHS if is_bad else 1.0)
