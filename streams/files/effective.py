"""The effective configuration of a run: what is written beside its results, and which keys of two differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from detectors.configuration import Configuration
from detectors.engine import ENGINE_VERSION

RULE_SETS = "rule_sets"
ABSENT = "(absent)"
"""Stands where a key exists on one side only."""


class Effective(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of configuration.json: shipped values and the file's together, as the fold used them."""

    engine_version: str
    configuration_digest: str
    configuration: dict[str, Any]


class KeyDifference(NamedTuple):
    """A configuration key whose value differs, such as ``rule_sets.cn-2024.parameters.T01.share_min``."""

    key: str
    a: Any
    b: Any


def effective(configuration: Configuration) -> Effective:
    """What a run under this configuration states of itself."""
    plain = msgspec.to_builtins(configuration, order="deterministic")
    return Effective(engine_version=ENGINE_VERSION, configuration_digest=configuration.digest(), configuration=plain)


def effective_json(configuration: Configuration) -> bytes:
    """The bytes of configuration.json."""
    return msgspec.json.format(msgspec.json.encode(effective(configuration), order="deterministic"), indent=2) + b"\n"


def key_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[KeyDifference]:
    """The keys of two configurations whose values differ, in order. Rule sets are compared by their id."""
    flat_a, flat_b = dict(_flat("", _by_id(a))), dict(_flat("", _by_id(b)))
    return [
        KeyDifference(key, flat_a.get(key, ABSENT), flat_b.get(key, ABSENT))
        for key in sorted(flat_a.keys() | flat_b.keys())
        if flat_a.get(key, ABSENT) != flat_b.get(key, ABSENT)
    ]


def _by_id(configuration: Mapping[str, Any]) -> dict[str, Any]:
    rule_sets = {rules["rule_set_id"]: rules for rules in configuration.get(RULE_SETS, ())}
    return {**configuration, RULE_SETS: rule_sets}


def _flat(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict) or (place and not value):
        yield place, value
        return
    for name, inner in value.items():
        yield from _flat(f"{place}.{name}" if place else str(name), inner)
