"""Which outcomes the engine is told while it folds, and when: as records of the ``dispositions`` stream and in no other way."""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Callable, Iterator

from msgspec import Struct

from detectors.events import Disposition
from detectors.learners.score import PaymentScore
from streams.files.convert.topic_folder import instant
from streams.files.inputs import InputError

DAY_MS = 86_400_000
AUDIT_SHARE = 0.01
"""Of the payments that were not raised, the share that a random sample has reviewed."""

_FORMS = "immediate, delayed:DAYS, feedback:BUDGET:DAYS (such as feedback:0.01:7) or none"


class Plan(Struct, frozen=True):
    """Which outcomes come, and how late."""

    text: str
    delay_ms: int = 0
    budget: float | None = None  # None: of every payment; 0: of none; else of this share, by the engine's own online rank

    @property
    def is_random(self) -> bool:
        """Whether chance has a part in it."""
        return bool(self.budget)


def plan_of(text: str) -> Plan:
    """The plan that a text names.

    Raises:
        InputError: it names none.
    """
    if text == "none":
        return Plan(text, budget=0.0)
    if text == "immediate":
        return Plan(text)
    found = re.fullmatch(r"(?:delayed|feedback:(?P<budget>[0-9.]+)):(?P<days>[0-9]+(?:\.[0-9]+)?)", text)
    if found is None:
        raise InputError(f"--labels {text}: expected {_FORMS}.")
    delay_ms = round(float(found["days"]) * DAY_MS)
    if found["budget"] is None:
        return Plan(text, delay_ms)
    try:
        budget = float(found["budget"])
    except ValueError:
        budget = -1.0
    if not 0 < budget <= 1:
        raise InputError(f"--labels {text}: the budget {found['budget']} is no share above 0 and up to 1.")
    return Plan(text, delay_ms, budget)


class Teacher:
    """Tells outcomes when they are due.

    Args:
        is_misuse: the answer of a payment, asked only of payments that are reviewed.
        chance: draws the random sample.
    """

    def __init__(self, plan: Plan, is_misuse: Callable[[str], bool], chance: random.Random) -> None:
        self._plan = plan
        self._is_misuse = is_misuse
        self._chance = chance
        self._due: deque[tuple[int, str]] = deque()  # in the order of the payments, which the delay keeps
        self.told = 0

    def see(self, score: PaymentScore) -> None:
        """A payment was scored."""
        budget = self._plan.budget
        if budget == 0:
            return
        if budget is not None:
            audited = self._chance.random() < AUDIT_SHARE  # drawn for every payment, so that the sample is the same for all
            if score.percentile < 100 * (1 - budget) and not audited:
                return
        self._due.append((score.event_time_ms + self._plan.delay_ms, score.txn_id))

    def due(self, event_time_ms: int) -> Iterator[tuple[Disposition, int]]:
        """The outcomes known at that moment, each with its event time."""
        while self._due and self._due[0][0] <= event_time_ms:
            due_ms, txn_id = self._due.popleft()
            self.told += 1
            outcome = "MISUSE_CONFIRMED" if self._is_misuse(txn_id) else "FALSE_POSITIVE"
            yield Disposition(event_time=instant(due_ms), txn_id=txn_id, outcome=outcome), due_ms  # type: ignore[arg-type]
