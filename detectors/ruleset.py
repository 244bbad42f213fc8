"""Rule sets: thresholds with effective dates, chosen per loan by the date its contract was signed, never by today's.

A rule set is a mapping (the package ships them as TOML in ``detectors/rulesets/``); reading the file is the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Struct

FIRST_DAY = "0001-01-01"
HEAD_KEYS = frozenset({
    "rule_set_id", "version", "extends", "effective_from", "effective_until", "verified", "title", "basis", "scorecard",
})  # fmt: skip
SOURCE_KEYS = ("verified", "basis")
"""Keys that any typology's section may hold beside its parameters."""


class Scorecard(Struct, frozen=True, forbid_unknown_fields=True):
    """Weights of the expert score of a breach finding; their sum is the highest score."""

    certain_share: float = 0.40
    attributed_share: float = 0.20
    speed: float = 0.15
    amount_match: float = 0.15
    no_habit: float = 0.10


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """What a typology's section of a rule set rests on; what it does not say, the head of the rule set says."""

    verified: bool | None = None  # whether somebody has read the source in the original
    basis: tuple[str, ...] = ()


class RuleSet(Struct, frozen=True, kw_only=True):
    """One version of the rules."""

    rule_set_id: str
    version: str
    effective_from: str  # ISO date, inclusive; of the contract's signature
    effective_until: str | None = None  # exclusive
    verified: bool = False
    title: str = ""
    basis: tuple[str, ...] = ()
    scorecard: Scorecard = Scorecard()
    parameters: dict[str, Struct] = {}  # typology code -> its Parameters
    sources: dict[str, Source] = {}  # typology code -> what its section says of its source

    def applies_on(self, date: str) -> bool:
        """Whether a contract signed on that ISO date falls under these rules."""
        return self.effective_from <= date and (self.effective_until is None or date < self.effective_until)

    def is_verified(self, code: str) -> bool:
        """Whether the source of a typology's section was read in the original."""
        source = self.sources.get(code, Source())
        return self.verified if source.verified is None else source.verified

    def basis_of(self, code: str) -> tuple[str, ...]:
        """The legal basis of a typology's section."""
        return self.sources.get(code, Source()).basis or self.basis


class RuleSetMistake(ValueError):
    """A rule set that cannot be used; the message lists every mistake with its place."""


def parse_rule_set(name: str, data: Mapping[str, Any], parameter_types: Mapping[str, type[Struct]]) -> RuleSet:
    """A rule set from a mapping; every typology that has no section gets its defaults.

    Raises:
        RuleSetMistake: all mistakes at once, each as ``file: [section] field: what``.
    """
    mistakes: list[str] = []
    parameters: dict[str, Struct] = {}
    sources: dict[str, Source] = {}
    for code, parameter_type in parameter_types.items():
        section = data.get(code, {})
        try:
            if isinstance(section, Mapping):
                sources[code] = msgspec.convert({key: section[key] for key in SOURCE_KEYS if key in section}, Source)
                section = {key: value for key, value in section.items() if key not in SOURCE_KEYS}
            parameters[code] = msgspec.convert(section, parameter_type)
        except msgspec.ValidationError as error:
            mistakes.append(f"{name}: [{code}] {error}")
    head = {key: value for key, value in data.items() if key not in parameter_types}
    mistakes += [f"{name}: unknown key or section {key!r}" for key in head if key not in HEAD_KEYS]
    try:
        rule_set = msgspec.convert({**{k: v for k, v in head.items() if k in HEAD_KEYS}}, RuleSet)
    except msgspec.ValidationError as error:
        raise RuleSetMistake("\n".join([*mistakes, f"{name}: {error}"])) from None
    for field in ("effective_from", "effective_until"):
        value = getattr(rule_set, field)
        if value is not None and not is_date(value):
            mistakes.append(f"{name}: {field}: {value!r} is not an ISO date (YYYY-MM-DD)")
    if mistakes:
        raise RuleSetMistake("\n".join(mistakes))
    return msgspec.structs.replace(rule_set, parameters=parameters, sources=sources)


def extended(data: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A rule set's data with the sections of the one that it ``extends`` under its own, key by key; the head is its own.

    Args:
        others: the rule sets that may be extended, by id.

    Raises:
        LookupError: there is no such rule set.
    """
    name = data.get("extends")
    if name is None:
        return dict(data)
    if name not in others:
        raise LookupError(f"extends: there is no rule set {name!r} (known: {', '.join(sorted(others))})")
    below = {key: dict(value) for key, value in others[name].items() if isinstance(value, Mapping)}
    for key, value in data.items():
        below[key] = {**below.get(key, {}), **value} if isinstance(value, Mapping) else value
    return below


def is_date(value: str) -> bool:
    """Whether a text is an ISO date such as 2024-07-01."""
    try:
        datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return False
    return len(value) == 10


def choose_rule_set(rule_sets: Sequence[RuleSet], date: str) -> tuple[RuleSet, bool]:
    """The rule set in force on the date a contract was signed, and whether one was (else the earliest stands in)."""
    for rule_set in rule_sets:
        if rule_set.applies_on(date):
            return rule_set, True
    return min(rule_sets, key=lambda rule_set: rule_set.effective_from), False


def overlaps(rule_sets: Sequence[RuleSet]) -> list[str]:
    """Pairs of rule sets that claim the same day."""
    found = []
    ordered = sorted(rule_sets, key=lambda rule_set: rule_set.effective_from)
    for earlier, later in pairwise(ordered):
        if earlier.effective_until is None or earlier.effective_until > later.effective_from:
            found.append(
                f"{earlier.rule_set_id} (until {earlier.effective_until or 'further notice'}) overlaps "
                f"{later.rule_set_id} (from {later.effective_from})"
            )
    return found
