"""State as plain data: an object graph to lists, numbers and strings, and back.

Objects of the registered classes become numbered nodes, so that what is shared stays shared (an account between two loans).
Order is kept everywhere, so a restored fold has the same future, byte for byte. Nothing is pickled; only registered classes
can be made.

What there is most of has a shorter form. Transfers that nothing was parcelled out of, and trails, stand in tables of their own
and are mentioned by a number; lots are values and stand where they are.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct

from detectors import events
from detectors.abroad import BookAccount, BookOrigin, BookTransfer, Changes
from detectors.accounts import Account, Claim, Gain
from detectors.alert import AlertBook
from detectors.alert_record import RelatedPayment
from detectors.booking import BOOKINGS, Booking, Holding
from detectors.books import Books
from detectors.budget import Budget, BudgetLimits
from detectors.configuration import Configuration
from detectors.crossing import BookTracer
from detectors.dealings import DealingLimits, Dealings, Mortgage, Purchase
from detectors.dispositions import Outcomes
from detectors.economy import AlertEconomy, AlertLimits
from detectors.groups import Group, GroupLimits, Groups
from detectors.legs import LegLimits, Legs, OpenLeg
from detectors.lending import Lending
from detectors.loans import Loan, Passage, Published
from detectors.lots import GHOST, OWN, Landing, Lot, Origin, Trail, Transfer
from detectors.parties import Note, Parties, PartyLimits
from detectors.payouts import Half, Payouts
from detectors.places import Places
from detectors.portfolio import Portfolio, PortfolioLimits
from detectors.recent import Recent
from detectors.ruleset import RuleSet, Scorecard
from detectors.sendings import Sending, Sendings
from detectors.suspects import Episode, Suspects
from detectors.tracer import Movement, Parcel, TraceLimits, Tracer
from detectors.uses import CodeLists

CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (Account, AlertBook, AlertEconomy, BookAccount, BookOrigin, BookTracer, BookTransfer, Budget, Changes, Claim,
                Dealings, Episode, Gain, Group, Groups, Legs, Lending, Loan, Origin, Outcomes, Parties, Passage, Payouts,
                Places, Portfolio, Published, Recent, Sendings, Suspects, Tracer, Transfer)
}  # fmt: skip
SHORT: tuple[type[Any], ...] = (Holding, Lot, Parcel, Trail)
"""Classes with a form of their own instead of a node."""
TUPLES: dict[str, type[Any]] = {
    cls.__name__: cls for cls in (Half, Landing, Mortgage, Movement, Note, OpenLeg, Purchase, Sending)
}
STRUCTS: dict[str, type[Struct]] = {
    cls.__name__: cls
    for cls in (
        events.AccountTransaction,
        events.LoanDisbursement,
        AlertLimits,
        Books,
        BudgetLimits,
        DealingLimits,
        GroupLimits,
        LegLimits,
        PartyLimits,
        PortfolioLimits,
        RelatedPayment,
        Scorecard,
        TraceLimits,
    )
}
SINGLE: dict[str, Any] = {"OWN": OWN, "GHOST": GHOST}
APART: dict[type[Any], tuple[str, ...]] = {
    Account: Account.APART, BookAccount: Account.APART, BookOrigin: Origin.APART, BookTracer: Tracer.APART,
    Origin: Origin.APART, Tracer: Tracer.APART,
}  # fmt: skip
"""Fields that are no state, or whose state is kept apart: a thawed object has them as its class makes them."""

_ATOMS = frozenset({type(None), bool, int, float, str})


def freeze(value: Any, has_row: Callable[[Account], bool] | None = None) -> dict[str, Any]:
    """The graph behind ``value`` as ``{"root": ..., "nodes": [[class, field, ...], ...], "transfers": ..., "trails": ...}``.

    Args:
        has_row: accounts for which it is true are written by their key only.
    """
    freezer = _Freezer(has_row)
    root = freezer.plain(value)
    while freezer.waiting:
        freezer.fill()
    return {"root": root, "nodes": freezer.nodes, "transfers": freezer.transfers, "trails": freezer.trails}


def thaw(
    data: dict[str, Any],
    configuration: Configuration,
    account: Callable[[str, str], Account] | None = None,
    meet: Callable[[dict[int, Transfer]], None] | None = None,
) -> Any:
    """The graph that :func:`freeze` has written; the configuration and its rule sets are not in it.

    Args:
        account: finds the accounts that were written by their key.
        meet: is given the graph's transfers by ``seq`` before ``account`` is asked; they may not be filled yet.
    """
    thawer = _Thawer(data, configuration, account)
    if meet is not None:
        meet(thawer.transfers_by_seq())
    return thawer.root()


def _fields_of(kind: type[Any]) -> tuple[str, ...] | None:
    """The slots that are state."""
    slots, apart = slots_of(kind), APART.get(kind, ())
    return tuple(name for name in slots if name not in apart) if slots is not None else None


def _getter(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """Reads these fields of an object; attrgetter gives no tuple for a single one."""
    if len(names) == 1:
        return lambda value: (getattr(value, names[0]),)
    return attrgetter(*names)


def slots_of(kind: type[Any]) -> tuple[str, ...] | None:
    """The slots of a class and of those it narrows; None for a class with a dictionary."""
    slots = _SLOTS.get(kind)
    if slots is None:
        slots = _SLOTS[kind] = tuple(name for cls in reversed(kind.__mro__) for name in cls.__dict__.get("__slots__", ()))
    return slots or None


_SLOTS: dict[type[Any], tuple[str, ...]] = {}


_EMPTY_DICT: list[Any] = ["dict", [], []]
_EMPTY_LIST: list[Any] = ["list"]
_OWN, _GHOST = -1, -2  # instead of an origin's number
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
        self.trails: list[tuple[int, int | None]] = []  # (transfer, parent)
        self.waiting: deque[tuple[int, Any]] = deque()
        self._numbers: dict[int, int] = {}  # by identity; transfers in their table 0, 1, ..., those among the nodes -1, -2, ...
        self._has_row = has_row
        self._writers: dict[type[Any], Callable[[Any], list[Any]]] = {
            Transfer: lambda value: ["transfer", self._transfer(value)],
            Trail: lambda value: ["trail", self._trail(value)],
            Lot: self._lot,
            Parcel: self._lot,
            Holding: lambda value: ["holding", value.labelled_minor, *map(self._lot, value.lots)],
            Origin: self._origin,
        }
        self._fields = {kind: _getter(slots) for kind in CLASSES.values() if (slots := _fields_of(kind)) is not None}

    def plain(self, value: Any) -> Any:
        return self._plain((value,))[0]

    def _plain(self, values: Iterable[Any]) -> list[Any]:
        writers, find = self._writers, self._writer
        return [
            value if (kind := type(value)) in _ATOMS else (writers.get(kind) or find(kind))(value) for value in values
        ]  # in one expression, because it is evaluated for every field of every object

    # --- short forms ----------------------------------------------------------------------------------------------------

    def _transfer(self, value: Transfer) -> int:
        number = self._numbers.get(id(value))
        if number is not None:
            return number
        if value.landings is not None or value.undone_by is not None or type(value) is not Transfer:
            number = self._numbers[id(value)] = -1 - len(self.nodes)
            self._wait(value)
        else:
            number = self._numbers[id(value)] = len(self.transfers)
            self.transfers.append(_transfer_row(value))
        return number

    def _trail(self, value: Trail | None) -> int | None:
        """A trail's number; those it continues come before it."""
        steps = []
        while value is not None and id(value) not in self._numbers:
            steps.append(value)
            value = value.parent
        number = self._numbers[id(value)] if value is not None else None
        for step in reversed(steps):
            self.trails.append((self._transfer(step.transfer), number))
            number = self._numbers[id(step)] = len(self.trails) - 1
        return number

    def _lot(self, value: Lot) -> list[Any]:
        origin = value.origin
        number = (_OWN if origin is OWN else _GHOST) if origin is OWN or origin is GHOST else self._number(origin)
        trail = self._trail(value.trail) if value.trail is not None else None
        return ["parcel" if type(value) is Parcel else "lot", number, value.amount_minor, value.hops, trail]

    def _origin(self, value: Origin) -> list[Any]:
        if value is OWN or value is GHOST:
            return ["one", "OWN" if value is OWN else "GHOST"]
        return self._reference(value)

    def _account(self, value: Account) -> list[Any]:
        assert self._has_row is not None
        return ["account", value.currency, value.account_id] if self._has_row(value) else self._reference(value)

    # --- everything else ------------------------------------------------------------------------------------------------

    def _writer(self, kind: type[Any]) -> Callable[[Any], list[Any]]:
        """How values of a class are written, found out once."""
        writer = self._writers[kind] = self._make_writer(kind)
        return writer

    def _make_writer(self, kind: type[Any]) -> Callable[[Any], list[Any]]:
        name = kind.__name__
        if issubclass(kind, Account) and self._has_row is not None:
            return self._account
        if issubclass(kind, Transfer):
            return self._writers[Transfer]
        if name in CLASSES:
            return self._reference
        if name in TUPLES:
            return lambda value: ["tuple", name, *self._plain(value)]
        if issubclass(kind, Struct) and kind not in (RuleSet, Configuration, CodeLists):
            assert name in STRUCTS, f"{name} has no place in a snapshot"
            return lambda value: ["struct", name, msgspec.json.encode(value).decode()]
        return self._container(kind)

    def _container(self, kind: type[Any]) -> Callable[[Any], list[Any]]:
        known: dict[type[Any], Callable[[Any], list[Any]]] = {
            Booking: lambda value: ["booking", value.name],
            RuleSet: lambda value: ["rules", value.rule_set_id, value.version],
            Configuration: lambda value: ["configuration"],
            CodeLists: lambda value: ["codes"],
            Counter: lambda value: ["counter", *([key, number] for key, number in value.items())],
            dict: self._dict,
            list: self._list,
            deque: lambda value: ["deque", *self._plain(value)],
            tuple: lambda value: ["plain_tuple", *self._plain(value)],
            frozenset: lambda value: ["frozenset", *sorted(value)],
        }
        assert kind in known, f"{kind.__name__} has no place in a snapshot"
        return known[kind]

    def _dict(self, value: dict[Any, Any]) -> list[Any]:
        if not value:
            return _EMPTY_DICT
        if type(next(iter(value.values()))) is Transfer:
            return ["dict_of_transfers", self._plain(value), [self._transfer(item) for item in value.values()]]
        return ["dict", self._plain(value), self._plain(value.values())]

    def _list(self, value: list[Any]) -> list[Any]:
        if not value:
            return _EMPTY_LIST
        if type(value[0]) is Transfer:
            return ["transfers", *map(self._transfer, value)]
        return ["list", *self._plain(value)]

    def _reference(self, value: Any) -> list[Any]:
        return ["ref", self._number(value)]

    def _number(self, value: Any) -> int:
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self.nodes)
            self._wait(value)
        return number

    def _wait(self, value: Any) -> None:
        self.waiting.append((len(self.nodes), value))
        self.nodes.append([type(value).__name__])

    def fill(self) -> None:
        number, value = self.waiting.popleft()
        fields = self._fields.get(type(value))
        if fields is not None:
            self.nodes[number] += self._plain(fields(value))
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
        self.nodes: list[Any] = [object.__new__(CLASSES[node[0]]) for node in data["nodes"]]
        self.transfers = [_transfer(row) for row in data["transfers"]]
        self.trails: list[Trail] = []
        for code, parent in data["trails"]:
            self.trails.append(Trail(self._transfer(code), self.trails[parent] if parent is not None else None))
        self._makers: dict[str, Callable[[list[Any]], Any]] = {
            "ref": lambda plain: self.nodes[plain[1]],
            "transfer": lambda plain: self._transfer(plain[1]),
            "transfers": lambda plain: [self._transfer(code) for code in plain[1:]],
            "trail": lambda plain: self.trails[plain[1]],
            "lot": lambda plain: self._lot(Lot, *plain[1:]),
            "parcel": lambda plain: self._lot(Parcel, *plain[1:]),
            "holding": self._holding,
            "plain_tuple": lambda plain: tuple(self._values(plain[1:])),
            "tuple": lambda plain: TUPLES[plain[1]](*self._values(plain[2:])),
            "list": lambda plain: self._values(plain[1:]),
            "deque": lambda plain: deque(self._values(plain[1:])),
            "dict": lambda plain: dict(zip(self._values(plain[1]), self._values(plain[2]), strict=True)),
            "dict_of_transfers": lambda plain: dict(zip(plain[1], map(self._transfer, plain[2]), strict=True)),
            "counter": lambda plain: Counter(dict(plain[1:])),
            "frozenset": lambda plain: frozenset(plain[1:]),
            "struct": lambda plain: msgspec.json.decode(plain[2], type=STRUCTS[plain[1]]),
            "account": self._account,
            "one": lambda plain: SINGLE[plain[1]],
            "booking": lambda plain: BOOKINGS[plain[1]],
            "rules": lambda plain: self.rule_sets[plain[1], plain[2]],
            "configuration": lambda plain: self.configuration,
            "codes": lambda plain: self.configuration.codes,
        }

    def transfers_by_seq(self) -> dict[int, Transfer]:
        """The transfers of the graph; those among its nodes are not filled before :meth:`root`."""
        met = {transfer.seq: transfer for transfer in self.transfers}
        for made, node in zip(self.nodes, self.data["nodes"], strict=True):
            if isinstance(made, Transfer):
                met[node[_SEQ]] = made
        return met

    def root(self) -> Any:
        slots = {kind: _fields_of(kind) for kind in CLASSES.values()}
        value = self.value
        for made, node in zip(self.nodes, self.data["nodes"], strict=True):
            names = slots[type(made)]
            if type(made) in APART:
                made.set_apart()
            if names is None:
                vars(made).update(value(node[1]))
            else:
                for name, plain in zip(names, node[1:], strict=True):
                    setattr(made, name, plain if type(plain) is not list else value(plain))
        return value(self.data["root"])

    def value(self, plain: Any) -> Any:
        """The value behind one plain piece."""
        return self._makers[plain[0]](plain) if type(plain) is list else plain

    def _values(self, plain: list[Any]) -> list[Any]:
        makers = self._makers
        return [item if type(item) is not list else makers[item[0]](item) for item in plain]

    def _transfer(self, code: int) -> Transfer:
        transfer: Transfer = self.transfers[code] if code >= 0 else self.nodes[-1 - code]
        return transfer

    def _lot(self, kind: type[Lot], origin: int, amount_minor: int, hops: int, trail: int | None) -> Lot:
        whose: Origin = self.nodes[origin] if origin >= 0 else OWN if origin == _OWN else GHOST
        return kind(whose, amount_minor, hops, self.trails[trail] if trail is not None else None)

    def _holding(self, plain: list[Any]) -> Holding:
        holding = Holding()
        holding.labelled_minor = plain[1]
        holding.lots.extend(self._values(plain[2:]))
        return holding

    def _account(self, plain: list[Any]) -> Account:
        assert self.account is not None, f"account {plain[2]} is written by its key only"
        return self.account(plain[1], plain[2])
