"""The conformance checks: every detector and learner of ours passes them, and each way to break the contract is told."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from detectors.checks import Example, Learner, Nonconforming, check_detector, check_learner
from detectors.detector import Context, Detector
from detectors.events import Event
from detectors.finding import Finding
from detectors.loans import Passage
from detectors.typologies import TYPOLOGIES
from detectors.typologies.t12_pass_through import PassThrough
from streams.scenarios.folding import SHIPPED
from tests.unit.test_engine import SCENARIOS, stream_of

QUIET = msgspec.structs.replace(SHIPPED, learning=msgspec.structs.replace(SHIPPED.learning, scoring=0))
TOLD = {make.code: make for make in TYPOLOGIES}


def examples(count: int = 400) -> list[Example]:
    chance = random.Random(7)
    found: list[Example] = []
    for _ in range(count):
        features = [chance.random() for _ in range(3)]
        found.append((features, features[0] > 0.8))
    return found


EXAMPLES = examples()


def own_stream(code: str) -> list[Event]:
    """The scenarios of one typology, one after the other."""
    return stream_of([scenario for scenario in SCENARIOS if scenario.path.stem.startswith(f"{code}_")])


@pytest.mark.parametrize("code", sorted(TOLD))
def test_every_detector_conforms(code: str) -> None:
    check_detector(TOLD[code], QUIET, own_stream(code))


# --- a learner of one's own, as in docs/tutorial.md, and ways to get it wrong --------------------------------------------


class Regression:
    """Logistic regression, one example at a time."""

    def __init__(self) -> None:
        self.weights = [0.0, 0.0, 0.0, 0.0]

    def score(self, features: Sequence[float]) -> float:
        return 1 / (1 + math.exp(-sum(w * x for w, x in zip(self.weights, (1.0, *features), strict=True))))

    def learn(self, features: Sequence[float], is_misuse: bool) -> None:
        error = is_misuse - self.score(features)
        self.weights = [w + 0.1 * error * x for w, x in zip(self.weights, (1.0, *features), strict=True)]

    def snapshot(self) -> Mapping[str, Any]:
        return {"weights": list(self.weights)}

    def restore(self, data: Mapping[str, Any]) -> None:
        self.weights = list(data["weights"])


def test_a_learner_of_ones_own_conforms() -> None:
    check_learner(Regression, EXAMPLES)


class ChangesItsInput(Regression):
    def learn(self, features: Sequence[float], is_misuse: bool) -> None:
        super().learn(features, is_misuse)
        features[0] = 0.0  # type: ignore[index]


class DrawsUnseeded(Regression):
    def score(self, features: Sequence[float]) -> float:
        return min(1.0, super().score(features) + random.random() * 1e-3)


class LearnsFromBeingAsked(Regression):
    def score(self, features: Sequence[float]) -> float:
        self.weights = [w * 0.999 for w in self.weights]
        return super().score(features)


class ForgetsInItsSnapshot(Regression):
    def snapshot(self) -> Mapping[str, Any]:
        return {"weights": [*self.weights[:3], 0.0]}


class KeepsEverything(Regression):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[list[float]] = []

    def learn(self, features: Sequence[float], is_misuse: bool) -> None:
        super().learn(features, is_misuse)
        self.kept.append(list(features))

    def snapshot(self) -> Mapping[str, Any]:
        return {**super().snapshot(), "kept": self.kept}

    def restore(self, data: Mapping[str, Any]) -> None:
        super().restore(data)
        self.kept = [list(row) for row in data["kept"]]


class KeepsAnObject(Regression):
    def snapshot(self) -> Mapping[str, Any]:
        return {**super().snapshot(), "self": self}


class LearnsNothing(Regression):
    def learn(self, features: Sequence[float], is_misuse: bool) -> None:
        pass


class GivesLogOdds(Regression):
    def score(self, features: Sequence[float]) -> float:
        return 10 * super().score(features)


@pytest.mark.parametrize(
    ("make", "saying"),
    [
        (ChangesItsInput, "changed its input"), (DrawsUnseeded, "two fresh learners"),
        (LearnsFromBeingAsked, "learns from being asked|changes its state|two fresh"), (ForgetsInItsSnapshot, "restored after"),
        (KeepsEverything, "has no bound"), (KeepsAnObject, "no plain data"), (LearnsNothing, "leaves no trace"),
        (GivesLogOdds, "outside 0 to 1"),
    ],
)  # fmt: skip
def test_each_way_to_break_a_learners_contract_is_told(make: type[Learner], saying: str) -> None:
    with pytest.raises(Nonconforming, match=saying):
        check_learner(make, [(list(features), answer) for features, answer in EXAMPLES])


# --- detectors that break theirs ----------------------------------------------------------------------------------------


class ChangesThePassage(PassThrough):
    def observe(self, passage: Passage, context: Context) -> tuple[Finding, ...]:
        found = super().observe(passage, context)
        passage.transfer.amount_minor += 1
        return found


class RemembersOutsideItsSnapshot(PassThrough):
    def __init__(self) -> None:
        super().__init__()
        self.met = 0

    def observe(self, passage: Passage, context: Context) -> tuple[Finding, ...]:
        self.met += 1
        return super().observe(passage, context) if self.met % 3 else ()


class KeepsEveryPassage(PassThrough):
    def __init__(self) -> None:
        super().__init__()
        self.met: list[str] = []

    def observe(self, passage: Passage, context: Context) -> tuple[Finding, ...]:
        self.met.append(passage.transfer.txn_id)
        return super().observe(passage, context)

    def snapshot(self) -> Mapping[str, object]:
        return {"met": list(self.met)}

    def restore(self, data: Mapping[str, Any]) -> None:
        self.met = list(data["met"])


class FindsNothing(PassThrough):
    def observe(self, passage: Passage, context: Context) -> tuple[Finding, ...]:
        return ()


SHARED: list[int] = []


class RemembersForEver(PassThrough):
    def observe(self, passage: Passage, context: Context) -> tuple[Finding, ...]:
        SHARED.append(1)
        return super().observe(passage, context) if len(SHARED) < 20 else ()


@pytest.mark.parametrize(
    ("make", "saying"),
    [
        (ChangesThePassage, "changed what it was shown"), (RemembersOutsideItsSnapshot, "restored after"),
        (KeepsEveryPassage, "has no bound"), (FindsNothing, "finds nothing"), (RemembersForEver, "two fresh detectors"),
    ],
)  # fmt: skip
def test_each_way_to_break_a_detectors_contract_is_told(make: type[Detector], saying: str) -> None:
    SHARED.clear()
    with pytest.raises(Nonconforming, match=saying):
        check_detector(make, QUIET, own_stream("T12"))
