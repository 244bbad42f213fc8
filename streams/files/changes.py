"""What differs between two statements of one alert: field by field, each with a plain line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from detectors.alert_record import Alert, Contribution, LookAlike, Measure, PathStep
from detectors.money import format_money

NOT_COMPARED = frozenset({"alert_id", "configuration_digest", "schema_version"})
"""The digest differs in every alert when a key differs; that is said once, with the keys."""

DERIVED = frozenset({"sentence_en", "sentence_zh", "evidence_digest"})
"""Fields that only follow from others."""

AMOUNTS = {
    "traced_min_minor": "certain",
    "traced_estimate_minor": "attributed",
    "traced_max_minor": "possible",
    "traced_fifo_minor": "first in, first out",
}
TEXT_CHARS_MAX = 120


class Change(NamedTuple):
    """One field's two values, and the line that tells them to people."""

    field: str
    a: Any
    b: Any
    line: str


def changes(a: Alert, b: Alert) -> list[Change]:
    """What differs from ``a`` to ``b``; empty when they say the same. Fields in the order of the alert's type."""
    found: list[Change] = []
    for name in a.__struct_fields__:
        before, after = getattr(a, name), getattr(b, name)
        if name not in NOT_COMPARED and before != after:
            found += _PARTS.get(name, _whole)(name, before, after, b.currency)
    return found


def told(found: list[Change]) -> list[str]:
    """The lines for people: what only follows from other changes is left out beside them."""
    first_hand = [change.line for change in found if change.field not in DERIVED]
    return first_hand or [change.line for change in found]


def _whole(name: str, a: Any, b: Any, currency: str) -> Iterator[Change]:
    yield Change(name, a, b, f"{name.replace('_', ' ')} {shown(a)} -> {shown(b)}")


def _amount(name: str, a: int, b: int, currency: str) -> Iterator[Change]:
    yield Change(name, a, b, f"{AMOUNTS[name]} {format_money(a, currency)} -> {format_money(b, currency)}")


def _number(name: str, a: float | None, b: float | None, currency: str) -> Iterator[Change]:
    by = f" ({b - a:+.4g})" if a is not None and b is not None else ""
    yield Change(name, a, b, f"{name.replace('_', ' ')} {shown(a)} -> {shown(b)}{by}")


def _fields(name: str, a: msgspec.Struct, b: msgspec.Struct, currency: str) -> Iterator[Change]:
    for field in a.__struct_fields__:
        before, after = getattr(a, field), getattr(b, field)
        if before != after:
            place = f"{name.replace('_', ' ')}: {field.replace('_', ' ')}"
            yield Change(f"{name}.{field}", before, after, f"{place} {shown(before)} -> {shown(after)}")


def _words(name: str, a: tuple[str, ...], b: tuple[str, ...], currency: str) -> Iterator[Change]:
    gone, come = [word for word in a if word not in b], [word for word in b if word not in a]
    parts = [f"without {shown(word)}" for word in gone] + [f"with {shown(word)}" for word in come]
    yield Change(name, a, b, f"{name.replace('_', ' ')}: {', '.join(parts) or 'in another order'}")


def _path(name: str, a: tuple[PathStep, ...], b: tuple[PathStep, ...], currency: str) -> Iterator[Change]:
    before, after = ({step.txn_id: step for step in path} for path in (a, b))
    gone, come = [txn for txn in before if txn not in after], [txn for txn in after if txn not in before]
    other = sum(before[txn] != after[txn] for txn in before if txn in after)
    parts = [f"without {', '.join(gone)}"] if gone else []
    parts += [f"with {', '.join(come)}"] if come else []
    parts += [f"{other} of the same with other figures"] if other else []
    line = f"path of {len(a)} -> {len(b)} transfers: {'; '.join(parts) or 'in another order'}"
    yield Change(name, msgspec.to_builtins(a), msgspec.to_builtins(b), line)


def _named(key: str, tell: Callable[[Any, Any], str]) -> Callable[[str, Any, Any, str], Iterator[Change]]:
    """Compares lists of things that have a name, thing by thing."""

    def compare(name: str, a: Iterable[Any], b: Iterable[Any], currency: str) -> Iterator[Change]:
        before, after = ({getattr(item, key): item for item in items} for items in (a, b))
        for known in dict.fromkeys([*before, *after]):
            old, new = before.get(known), after.get(known)
            if old != new:
                line = f"{name.replace('_', ' ').removesuffix('s')} {known.replace('_', ' ')}: {_one_sided(old, new, tell)}"
                yield Change(f"{name}.{known}", msgspec.to_builtins(old), msgspec.to_builtins(new), line)

    return compare


def _one_sided(old: Any, new: Any, tell: Callable[[Any, Any], str]) -> str:
    if old is None:
        return "only now"
    return "no more" if new is None else tell(old, new)


def _contribution(old: Contribution, new: Contribution) -> str:
    grounds = f"value {_pair(old.value, new.value)}, weight {_pair(old.weight, new.weight)}"
    return f"adds {old.added:.4g} -> {new.added:.4g} ({grounds})"


def _measure(old: Measure, new: Measure) -> str:
    parts = [
        f"{name} {_pair(getattr(old, name), getattr(new, name))}"
        for name in ("observed", "expected", "threshold", "unit")
        if getattr(old, name) != getattr(new, name)
    ]
    return ", ".join(parts)


def _look_alike(old: LookAlike, new: LookAlike) -> str:
    if old.result != new.result:
        return f"{old.result} -> {new.result}"
    return f"{shown(old.detail)} -> {shown(new.detail)}"


def _pair(a: Any, b: Any) -> str:
    return f"{shown(a)} -> {shown(b)}" if a != b else shown(a)


def shown(value: Any) -> str:
    """A value in a line: one line, bounded."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= TEXT_CHARS_MAX else f"{text[:TEXT_CHARS_MAX]}…"


_PARTS: dict[str, Callable[[str, Any, Any, str], Iterator[Change]]] = {
    **dict.fromkeys(AMOUNTS, _amount),
    "score": _number,
    "score_percentile": _number,
    "subject": _fields,
    "rule_set": _fields,
    "path": _path,
    "measures": _named("name", _measure),
    "look_alikes": _named("name", _look_alike),
    "contributions": _named("feature", _contribution),
    **dict.fromkeys(("bounds_rest_on", "prior_alerts", "recommended_checks", "recommended_measures"), _words),
}
