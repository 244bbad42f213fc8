"""State as plain data: an object graph to lists, numbers and strings, and back.

Objects of the registered classes become numbered nodes, so that what is shared stays shared (a trail between two lots, an
account between two loans). Order is kept everywhere, so a restored fold has the same future, byte for byte. Nothing is
pickled; only the classes named in :data:`CLASSES` can be made. Transfers that nothing was parcelled out of, by far the most
frequent objects, stand in a table of their own, a row each.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct

from detectors import events
from detectors.accounts import Account, Claim, Gain
from detectors.alert import AlertBook, AlertLimits
from detectors.booking import BOOKINGS, Booking, Holding
from detectors.configuration import Configuration
from detectors.legs import LegLimits, Legs, OpenLeg
from detectors.lending import Lending
from detectors.loans import Loan, Passage, Published
from detectors.lots import GHOST, OWN, Landing, Lot, Origin, Trail, Transfer
from detectors.parties import Parties
from detectors.payouts import Half, Payouts
from detectors.places import Places
from detectors.recent import Recent
from detectors.ruleset import RuleSet, Scorecard
from detectors.tracer import Movement, Parcel, TraceLimits, Tracer
from detectors.uses import CodeLists

CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (Account, AlertBook, Claim, Gain, Holding, Legs, Lending, Loan, Lot, Origin, Parcel, Parties, Passage, Payouts,
                Places, Published, Recent, Tracer, Trail, Transfer)
}  # fmt: skip
TUPLES: dict[str, type[Any]] = {cls.__name__: cls for cls in (Half, Landing, Movement, OpenLeg)}
STRUCTS: dict[str, type[Struct]] = {
    cls.__name__: cls
    for cls in (events.AccountTransaction, events.LoanDisbursement, AlertLimits, LegLimits, Scorecard, TraceLimits)
}
SINGLE: dict[str, Any] = {"OWN": OWN, "GHOST": GHOST}
APART: dict[type[Any], tuple[str, ...]] = {Tracer: Tracer.APART}
"""Fields that are no state, or whose state is kept apart: a thawed object has them as its class makes them."""

_ATOMS = frozenset({type(None), bool, int, float, str})


def freeze(value: Any, has_row: Callable[[Account], bool] | None = None) -> dict[str, Any]:
    """The graph behind ``value`` as ``{"root": ..., "nodes": [[class, field, ...], ...], "transfers": [[field, ...], ...]}``.

    Args:
        has_row: accounts for which it is true are written by their key only.
    """
    freezer = _Freezer(has_row)
    root = freezer.plain(value)
    while freezer.waiting:
        freezer.fill()
    return {"root": root, "nodes": freezer.nodes, "transfers": freezer.transfers}


def thaw(
    data: dict[str, Any],
    configuration: Configuration,
    account: Callable[[str, str], Account] | None = None,
    meet: Callable[[dict[int, Transfer]], None] | None = None,
) -> Any:
    """The graph that :func:`freeze` has written; the configuration and its rule sets are not in it.

    Args:
        account: finds the accounts that were written by their key.
        meet: is given the graph's transfers by ``seq`` before ``account`` is asked; they are not filled yet.
    """
    thawer = _Thawer(data, configuration, account)
    if meet is not None:
        meet(thawer.transfers())
    return thawer.root()


def slots_of(kind: type[Any]) -> tuple[str, ...] | None:
    """The slots of a class or of the one it narrows; None for a class with a dictionary."""
    for cls in kind.__mro__:
        if cls.__dict__.get("__slots__"):
            return tuple(cls.__dict__["__slots__"])
    return None


_SEQ = 1 + Transfer.__slots__.index("seq")  # where a transfer's node holds it
_transfer_row = attrgetter(
    "seq", "txn_id", "event_time_ms", "payer", "payee", "amount_minor", "currency", "use", "payer_after_minor",
    "payee_after_minor", "undone_minor", "loan_numbers",
)  # fmt: skip


def _transfer(row: list[Any]) -> Transfer:
    transfer = Transfer(*row[:8])
    transfer.payer_after_minor, transfer.payee_after_minor, transfer.undone_minor, loan_numbers = row[8:]
    if loan_numbers:
        transfer.loan_numbers = tuple(loan_numbers)
    return transfer


class _Freezer:
    def __init__(self, has_row: Callable[[Account], bool] | None) -> None:
        self.nodes: list[list[Any]] = []
        self.transfers: list[tuple[Any, ...]] = []
        self.numbers: dict[int, int] = {}
        self.waiting: deque[tuple[int, Any]] = deque()
        self.has_row = has_row
        self._writers: dict[type[Any], Callable[[Any], list[Any]]] = {}
        self._fields = {kind: attrgetter(*slots) for kind in CLASSES.values() if (slots := slots_of(kind)) is not None}

    def plain(self, value: Any) -> Any:
        kind = type(value)
        if kind in _ATOMS:
            return value
        writer = self._writers.get(kind)
        if writer is None:
            writer = self._writers[kind] = self._writer(kind)
        return writer(value)

    def _writer(self, kind: type[Any]) -> Callable[[Any], list[Any]]:
        """How values of a class are written."""
        name = kind.__name__
        if kind is Transfer:
            return self._transfer
        if kind is Origin:
            return self._origin
        if kind is Account and self.has_row is not None:
            return self._account
        if name in CLASSES:
            return self._reference
        if name in TUPLES:
            return lambda value: ["tuple", name, *self._plain(value)]
        if issubclass(kind, Struct) and kind not in (RuleSet, Configuration, CodeLists):
            assert name in STRUCTS, f"{name} has no place in a snapshot"
            return lambda value: ["struct", name, msgspec.json.encode(value).decode()]
        return self._containers(kind)

    def _plain(self, values: Iterable[Any]) -> list[Any]:
        plain = self.plain
        return [value if type(value) in _ATOMS else plain(value) for value in values]

    def _containers(self, kind: type[Any]) -> Callable[[Any], list[Any]]:
        known: dict[type[Any], Callable[[Any], list[Any]]] = {
            Booking: lambda value: ["booking", value.name],
            RuleSet: lambda value: ["rules", value.rule_set_id, value.version],
            Configuration: lambda value: ["configuration"],
            CodeLists: lambda value: ["codes"],
            Counter: lambda value: ["counter", *([key, number] for key, number in value.items())],
            dict: lambda value: ["dict", self._plain(value), self._plain(value.values())],
            list: lambda value: ["list", *self._plain(value)],
            deque: lambda value: ["deque", *self._plain(value)],
            tuple: lambda value: ["plain_tuple", *self._plain(value)],
            frozenset: lambda value: ["frozenset", *sorted(value)],
        }
        assert kind in known, f"{kind.__name__} has no place in a snapshot"
        return known[kind]

    def _origin(self, value: Origin) -> list[Any]:
        if value is OWN or value is GHOST:
            return ["one", "OWN" if value is OWN else "GHOST"]
        return self._reference(value)

    def _transfer(self, value: Transfer) -> list[Any]:
        if value.landings is not None or value.undone_by is not None:
            return self._reference(value)
        number = self.numbers.get(id(value))
        if number is None:
            number = self.numbers[id(value)] = len(self.transfers)
            self.transfers.append(_transfer_row(value))
        return ["transfer", number]

    def _account(self, value: Account) -> list[Any]:
        assert self.has_row is not None
        return ["account", value.currency, value.account_id] if self.has_row(value) else self._reference(value)

    def _reference(self, value: Any) -> list[Any]:
        number = self.numbers.get(id(value))
        if number is None:
            number = self.numbers[id(value)] = len(self.nodes)
            self.nodes.append([type(value).__name__])
            self.waiting.append((number, value))
        return ["ref", number]

    def fill(self) -> None:
        number, value = self.waiting.popleft()
        fields = self._fields.get(type(value))
        if fields is not None:
            self.nodes[number].extend(self._plain(fields(value)))
        else:
            apart = APART.get(type(value), ())
            self.nodes[number].append(self.plain({name: item for name, item in vars(value).items() if name not in apart}))


class _Thawer:
    def __init__(
        self, data: dict[str, Any], configuration: Configuration, account: Callable[[str, str], Account] | None
    ) -> None:
        self.data = data
        self.configuration = configuration
        self.account = account
        self.rule_sets = {(rules.rule_set_id, rules.version): rules for rules in configuration.rule_sets}
        self.objects: list[Any] = [object.__new__(CLASSES[node[0]]) for node in data["nodes"]]
        self.rows = [_transfer(row) for row in data["transfers"]]

    def transfers(self) -> dict[int, Transfer]:
        """The transfers of the graph by ``seq``; those among its nodes are not filled before :meth:`root`."""
        met = {transfer.seq: transfer for transfer in self.rows}
        for made, node in zip(self.objects, self.data["nodes"], strict=True):
            if node[0] == "Transfer":
                met[node[_SEQ]] = made
        return met

    def root(self) -> Any:
        slots = {kind: slots_of(kind) for kind in CLASSES.values()}
        for made, node in zip(self.objects, self.data["nodes"], strict=True):
            names = slots[type(made)]
            if names is None:
                vars(made).update(self.value(node[1]))
                if type(made) in APART:
                    made.set_apart()
            else:
                for name, plain in zip(names, node[1:], strict=True):
                    setattr(made, name, plain if type(plain) is not list else self.value(plain))
        return self.value(self.data["root"])

    def value(self, plain: Any) -> Any:
        """The value behind one plain piece."""
        if type(plain) is not list:
            return plain
        kind = plain[0]
        if kind == "ref":
            return self.objects[plain[1]]
        if kind == "transfer":
            return self.rows[plain[1]]
        if kind == "plain_tuple":
            return tuple(self._values(plain[1:]))
        if kind == "tuple":
            return TUPLES[plain[1]](*self._values(plain[2:]))
        if kind == "dict":
            return dict(zip(self._values(plain[1]), self._values(plain[2]), strict=True))
        if kind in ("list", "deque"):
            return (list if kind == "list" else deque)(self._values(plain[1:]))
        return self._special(kind, plain[1:])

    def _values(self, plain: list[Any]) -> list[Any]:
        value = self.value
        return [item if type(item) is not list else value(item) for item in plain]

    def _special(self, kind: str, rest: list[Any]) -> Any:
        if kind == "account":
            assert self.account is not None, f"account {rest[1]} is written by its key only"
            return self.account(rest[0], rest[1])
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
        return msgspec.json.decode(rest[1], type=STRUCTS[rest[0]])
