"""State as plain data: an object graph to lists, numbers and strings, and back.

Objects of the registered classes become numbered nodes, so that what is shared stays shared (a trail between two lots, an
account between two loans). Order is kept everywhere, so a restored fold has the same future, byte for byte. Nothing is
pickled; only the classes named in :data:`CLASSES` can be made.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import msgspec
from msgspec import Struct

from detectors import events
from detectors.abroad import BookAccount, BookOrigin, BookTransfer, Changes
from detectors.accounts import Account, Claim, Gain
from detectors.alert import AlertBook, AlertLimits
from detectors.booking import BOOKINGS, Booking, Holding
from detectors.books import Books
from detectors.configuration import Configuration
from detectors.crossing import BookTracer
from detectors.legs import LegLimits, Legs, OpenLeg
from detectors.lending import Lending
from detectors.loans import Loan, Passage, Published
from detectors.lots import GHOST, OWN, Landing, Lot, Origin, Trail, Transfer
from detectors.parties import Parties
from detectors.payouts import Half, Payouts
from detectors.places import Places
from detectors.recent import Recent
from detectors.ruleset import RuleSet, Scorecard
from detectors.sendings import Sending, Sendings
from detectors.tracer import Movement, Parcel, TraceLimits, Tracer
from detectors.uses import CodeLists

CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (Account, AlertBook, BookAccount, BookOrigin, BookTracer, BookTransfer, Changes, Claim, Gain, Holding, Legs,
                Lending, Loan, Lot, Origin, Parcel, Parties, Passage, Payouts, Places, Published, Recent, Sendings, Tracer,
                Trail, Transfer)
}  # fmt: skip
TUPLES: dict[str, type[Any]] = {cls.__name__: cls for cls in (Half, Landing, Movement, OpenLeg, Sending)}
STRUCTS: dict[str, type[Struct]] = {
    cls.__name__: cls
    for cls in (events.AccountTransaction, events.LoanDisbursement, AlertLimits, Books, LegLimits, Scorecard, TraceLimits)
}
SINGLE: dict[str, Any] = {"OWN": OWN, "GHOST": GHOST}


def freeze(value: Any) -> dict[str, Any]:
    """The graph behind ``value`` as ``{"root": ..., "nodes": [[class, field, ...], ...]}``."""
    freezer = _Freezer()
    root = freezer.plain(value)
    while freezer.waiting:
        freezer.fill()
    return {"root": root, "nodes": freezer.nodes}


def thaw(data: dict[str, Any], configuration: Configuration) -> Any:
    """The graph that :func:`freeze` has written; the configuration and its rule sets are not in it."""
    return _Thawer(data, configuration).root()


def slots_of(kind: type[Any]) -> tuple[str, ...] | None:
    """The slots of a class and of those it narrows; None for a class with a dictionary."""
    slots = _SLOTS.get(kind)
    if slots is None:
        slots = _SLOTS[kind] = tuple(name for cls in reversed(kind.__mro__) for name in cls.__dict__.get("__slots__", ()))
    return slots or None


_SLOTS: dict[type[Any], tuple[str, ...]] = {}


class _Freezer:
    def __init__(self) -> None:
        self.nodes: list[list[Any]] = []
        self.numbers: dict[int, int] = {}
        self.waiting: deque[tuple[int, Any]] = deque()

    def plain(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if value is OWN or value is GHOST:
            return ["one", "OWN" if value is OWN else "GHOST"]
        kind = type(value).__name__
        if kind in CLASSES:
            return ["ref", self._number(value)]
        if isinstance(value, Booking):
            return ["booking", value.name]
        if kind in TUPLES:
            return ["tuple", kind, *map(self.plain, value)]
        if isinstance(value, RuleSet):
            return ["rules", value.rule_set_id, value.version]
        if isinstance(value, Configuration):
            return ["configuration"]
        if isinstance(value, CodeLists):
            return ["codes"]
        if isinstance(value, Struct):
            assert kind in STRUCTS, f"{kind} has no place in a snapshot"
            return ["struct", kind, msgspec.to_builtins(value)]
        return self._container(value)

    def _container(self, value: Any) -> list[Any]:
        if isinstance(value, Counter):
            return ["counter", *([key, number] for key, number in value.items())]
        if isinstance(value, dict):
            return ["dict", *([self.plain(key), self.plain(item)] for key, item in value.items())]
        for kind, name in ((list, "list"), (deque, "deque"), (tuple, "plain_tuple")):
            if isinstance(value, kind):
                return [name, *map(self.plain, value)]
        assert isinstance(value, frozenset), f"{type(value).__name__} has no place in a snapshot"
        return ["frozenset", *sorted(value)]

    def _number(self, value: Any) -> int:
        number = self.numbers.get(id(value))
        if number is None:
            number = self.numbers[id(value)] = len(self.nodes)
            self.nodes.append([type(value).__name__])
            self.waiting.append((number, value))
        return number

    def fill(self) -> None:
        number, value = self.waiting.popleft()
        slots = slots_of(type(value))
        if slots is None:
            self.nodes[number].append(self.plain(vars(value)))
        else:
            self.nodes[number].extend(self.plain(getattr(value, name)) for name in slots)


class _Thawer:
    def __init__(self, data: dict[str, Any], configuration: Configuration) -> None:
        self.data = data
        self.configuration = configuration
        self.rule_sets = {(rules.rule_set_id, rules.version): rules for rules in configuration.rule_sets}
        self.objects: list[Any] = [object.__new__(CLASSES[node[0]]) for node in data["nodes"]]

    def root(self) -> Any:
        for made, node in zip(self.objects, self.data["nodes"], strict=True):
            slots = slots_of(type(made))
            if slots is None:
                vars(made).update(self.value(node[1]))
            else:
                for name, value in zip(slots, node[1:], strict=True):
                    setattr(made, name, self.value(value))
        return self.value(self.data["root"])

    def value(self, plain: Any) -> Any:
        """The value behind one plain piece."""
        if not isinstance(plain, list):
            return plain
        kind, *rest = plain
        if kind == "ref":
            return self.objects[rest[0]]
        if kind in ("list", "deque", "plain_tuple"):
            return {"list": list, "deque": deque, "plain_tuple": tuple}[kind](map(self.value, rest))
        if kind == "dict":
            return {self.value(key): self.value(item) for key, item in rest}
        return self._special(kind, rest)

    def _special(self, kind: str, rest: list[Any]) -> Any:
        if kind == "tuple":
            return TUPLES[rest[0]](*map(self.value, rest[1:]))
        if kind == "counter":
            return Counter(dict(rest))
        if kind == "one":
            return SINGLE[rest[0]]
        if kind == "booking":
            return BOOKINGS[rest[0]]
        if kind == "rules":
            return self.rule_sets[rest[0], rest[1]]
        if kind == "configuration":
            return self.configuration
        if kind == "codes":
            return self.configuration.codes
        if kind == "frozenset":
            return frozenset(rest)
        assert kind == "struct", f"{kind} is nothing that a snapshot holds"
        return msgspec.convert(rest[1], STRUCTS[rest[0]])
