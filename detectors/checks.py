"""Conformance: what any detector and any learner must do, ours and yours, told in one sentence when it does not.

>>> from detectors.checks import check_learner
>>> check_learner(MyLearner, stream)                          # doctest: +SKIP
>>> check_detector(MyDetector, configuration, events)         # doctest: +SKIP

They check that no input is changed, that the same inputs give the same outputs, that a snapshot is plain data and restores to
the same future, that memory stays bounded on a stream ten times as long, and that a score is given before anything is learned
from its example. The idea, and the order of score and learn, are river's ``check_estimator``; what it says of clones and types
is left to mypy. They cannot show that a detector is right: that is what scenarios are for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Protocol

import msgspec

from detectors.configuration import Configuration
from detectors.detector import Context, Detector
from detectors.engine import Engine
from detectors.events import AccountTransaction, Event, LoanDisbursement
from detectors.finding import Finding
from detectors.loans import Loan, Passage

Example = tuple[Sequence[float], bool]
"""Features, and whether it was misuse."""

GROWTH_MAX = 1.5
"""How much larger a snapshot may be after ten times the stream."""
LONGER = 10


class Nonconforming(AssertionError):
    """A detector or learner breaks the contract; the message says how, with the figures."""


class Learner(Protocol):
    """What a learner offers: a score before it learns, and its state as plain data."""

    def score(self, features: Sequence[float]) -> float:
        """How likely misuse is, from 0 to 1; changes nothing."""

    def learn(self, features: Sequence[float], is_misuse: bool) -> None:
        """Learn from one example."""

    def snapshot(self) -> Mapping[str, Any]:
        """The state as plain data."""

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take the state that :meth:`snapshot` has given."""


def check_learner(make: Callable[[], Learner], stream: Sequence[Example]) -> None:
    """Check one learner.

    Args:
        make: a fresh learner, always the same.
        stream: some hundred examples or more, of both kinds; after them a bounded learner is full.

    Raises:
        Nonconforming: it breaks the contract.
    """
    assert {is_misuse for _, is_misuse in stream} == {False, True}, "the stream needs examples of both kinds"
    _check_inputs_kept(make(), stream)
    first = _scores(make(), stream)
    _need(all(0.0 <= score <= 1.0 for score in first), "a score lies outside 0 to 1")
    _need(_scores(make(), stream) == first, "two fresh learners give different scores on one stream")
    _check_score_before_learn(make, stream)
    _check_restores(make, stream, first)
    _check_bounded(make(), stream)


def _scores(learner: Learner, stream: Iterable[Example]) -> list[float]:
    scores = []
    for features, is_misuse in stream:
        scores.append(learner.score(features))
        learner.learn(features, is_misuse)
    return scores


def _check_inputs_kept(learner: Learner, stream: Sequence[Example]) -> None:
    for features, is_misuse in stream:
        given = list(features)
        learner.score(given)
        learner.learn(given, is_misuse)
        _need(given == list(features), f"it changed its input: {list(features)} became {given}")


def _check_score_before_learn(make: Callable[[], Learner], stream: Sequence[Example]) -> None:
    learner = make()
    for features, is_misuse in stream:
        before = _plain(learner.snapshot())
        score = learner.score(features)
        _need(learner.score(features) == score, "asking for a score twice gives two scores: it learns from being asked")
        _need(_plain(learner.snapshot()) == before, "asking for a score changes its state")
        learner.learn(features, is_misuse)
    taught, untaught = make(), make()
    _scores(taught, stream)
    _need(_plain(taught.snapshot()) != _plain(untaught.snapshot()), "learning leaves no trace in its snapshot")


def _check_restores(make: Callable[[], Learner], stream: Sequence[Example], whole: list[float]) -> None:
    for cut in (0, len(stream) // 3, len(stream) // 2, len(stream) - 1):
        before, after = make(), make()
        scores = _scores(before, stream[:cut])
        after.restore(msgspec.json.decode(_plain(before.snapshot())))
        scores += _scores(after, stream[cut:])
        _need(scores == whole, f"restored after {cut} examples it gives other scores than one that went on")


def _check_bounded(learner: Learner, stream: Sequence[Example]) -> None:
    _scores(learner, stream)
    short = len(_plain(learner.snapshot()))
    for _ in range(LONGER - 1):
        _scores(learner, stream)
    _check_growth(short, len(_plain(learner.snapshot())))


def _check_growth(short: int, long: int) -> None:
    grown = f"its snapshot grows from {short} to {long} bytes on a stream {LONGER} times as long: something in it has no bound"
    _need(long <= GROWTH_MAX * max(short, 1), grown)


def _plain(snapshot: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(snapshot)
    except (TypeError, OverflowError) as error:
        raise Nonconforming(f"its snapshot is no plain data: {error}") from error


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise Nonconforming(what)


# --- detectors ----------------------------------------------------------------------------------------------------------


def check_detector(make: type[Detector], configuration: Configuration, events: Sequence[Event]) -> None:
    """Check one detector inside the engine, alone.

    Args:
        make: its class.
        configuration: what the engine is made with.
        events: a stream on which it finds something, with times that do not fall.

    Raises:
        Nonconforming: it breaks the contract.
    """
    first = _said(_alone(make)(configuration), events)
    _need(any(first), "it finds nothing on the stream, so nothing was checked")
    _need(_said(_alone(make)(configuration), events) == first, "two fresh detectors find different things on one stream")
    half = len(events) // 2
    _need(_said(_alone(make)(configuration), events[:half]) == first[:half], "what it finds depends on what comes later")
    for cut in (half // 2, half, half + half // 2):
        engine = _alone(make)(configuration)
        said = _said(engine, events[:cut])
        restored = type(engine).restore(configuration, msgspec.json.decode(_plain(engine.snapshot())))
        said += _said(restored, events[cut:])
        _need(said == first, f"restored after {cut} events it finds other things than one that went on")
    _check_memory(make, configuration, events)


def _check_memory(make: type[Detector], configuration: Configuration, events: Sequence[Event]) -> None:
    """Over and over the same happens to other loans, each time when the loans before are too old to be followed."""
    span = max(event.event_time for event in events) - min(event.event_time for event in events)
    pause = span + timedelta(days=configuration.trace.age_days_max + 1)
    engine = _alone(make)(configuration)
    sizes = []
    for turn in range(LONGER):
        for event in events:
            engine.apply(_moved(event, turn, pause))
        sizes.append(len(_plain(engine.detectors[0].snapshot())) + sum(map(_kept, engine.lending.loans.values())))
    _check_growth(max(sizes[0], 64), sizes[-1])


def _kept(loan: Loan) -> int:
    """Passages a detector keeps of a loan, weighed like a hundred bytes each."""
    return 100 * sum(map(len, loan.hits.values()))


def _moved(event: Event, turn: int, pause: timedelta) -> Event:
    changes: dict[str, Any] = {"event_time": event.event_time + turn * pause}
    if event.event_id is not None:
        changes["event_id"] = f"{turn}.{event.event_id}"
    if isinstance(event, AccountTransaction):
        changes["txn_id"] = f"{turn}.{event.txn_id}"
        for name in ("reverses_txn_id", "related_loan_id", "end_to_end_id"):
            if getattr(event, name) is not None:
                changes[name] = f"{turn}.{getattr(event, name)}"
    if isinstance(event, LoanDisbursement):
        changes["loan_id"] = f"{turn}.{event.loan_id}"
        changes["refinanced_loan_ids"] = tuple(f"{turn}.{name}" for name in event.refinanced_loan_ids)
    return msgspec.structs.replace(event, **changes)


def _said(engine: Engine, events: Iterable[Event]) -> list[bytes]:
    """What each event led to; empty where no alert."""
    found = []
    for event in events:
        alerts = engine.apply(event).alerts
        found.append(msgspec.json.encode(alerts) if alerts else b"")
    return found


def _alone(make: type[Detector]) -> type[Engine]:
    """An engine in which only this detector judges, and is watched for changing what it is shown."""

    class Watched(make):  # type: ignore[misc, valid-type]
        def observe(self, passage: Passage, context: Context) -> Iterable[Finding]:
            before = _shown(passage)
            findings = list(super().observe(passage, context))
            _need(_shown(passage) == before, f"it changed what it was shown of {passage.transfer.txn_id}")
            return findings

    class Alone(Engine):
        typologies: ClassVar[Sequence[type[Detector]]] = (Watched,)

    return Alone


def _shown(passage: Passage) -> list[Any]:
    """The figures of a passage, as they stand."""
    parts = [passage, passage.transfer, passage.payer, passage.payee, *passage.parcels]
    return [passage.record, *(_atoms(part) for part in parts)]


def _atoms(thing: object) -> dict[str, Any]:
    names = [name for cls in type(thing).__mro__ for name in getattr(cls, "__slots__", ())]
    values = {name: getattr(thing, name, None) for name in names}
    return {name: value for name, value in values.items() if value is None or isinstance(value, (bool, int, float, str, tuple))}
