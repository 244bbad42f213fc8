"""Settings: one frozen value made once at the edge, from the package's rule sets and an optional TOML file.

The file may hold ``utc_offset_minutes``, ``bookings``, ``typologies``, ``rule_sets`` (paths of further rule files, which
replace shipped ones of the same id, of one code file, or of folders of them), the sections of :data:`SECTIONS`, which the
fold depends on, and those of :data:`~streams.live_settings.LIVE_SECTIONS`, for the live path; their keys are listed with
defaults and consequences in ``docs/configuration.md``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from detectors.booking import BOOKINGS
from detectors.bounds import BoundLimits
from detectors.budget import BudgetLimits
from detectors.calibration import CalibrationLimits
from detectors.configuration import Configuration, FoldLimits
from detectors.dealings import DealingLimits
from detectors.dispositions import DispositionLimits
from detectors.drift import DriftLimits
from detectors.economy import AlertLimits
from detectors.groups import GroupLimits
from detectors.learners.triage import LearningLimits
from detectors.legs import LegLimits
from detectors.parties import PartyLimits
from detectors.portfolio import PortfolioLimits
from detectors.ruleset import RuleSet, RuleSetMistake, extended, overlaps, parse_rule_set
from detectors.tracer import TraceLimits
from detectors.typologies import PARAMETER_TYPES
from detectors.uses import CodeLists
from streams.code_lists import CODES_ID, code_lists, mistakes_of_codes, shipped_codes
from streams.live_settings import LIVE_SECTIONS, LiveSettings
from streams.mistake import Text

SHIPPED_RULE_SETS = ("cn-2009-2010.toml", "cn-2024.toml")

SECTIONS: dict[str, type[Struct]] = {
    "trace": TraceLimits,
    "bounds": BoundLimits,
    "legs": LegLimits,
    "alerts": AlertLimits,
    "budget": BudgetLimits,
    "calibration": CalibrationLimits,
    "drift": DriftLimits,
    "dispositions": DispositionLimits,
    "fold": FoldLimits,
    "parties": PartyLimits,
    "dealings": DealingLimits,
    "groups": GroupLimits,
    "portfolio": PortfolioLimits,
    "learning": LearningLimits,
}
"""Sections that the fold depends on."""

_SHIPPED = resources.files("detectors") / "rulesets"
UTC_OFFSET_MINUTES_MAX = 14 * 60


class SettingsError(ValueError):
    """Settings that cannot be used; the message names every mistake with its place."""


class Settings(Struct, frozen=True):
    """What a run depends on: the fold's configuration, and where it was read from."""

    engine: Configuration
    source: str
    live: LiveSettings = LiveSettings()


def load_settings(path: Path | None = None, rule_files: Sequence[Path] = ()) -> Settings:
    """The shipped settings, or those of a file.

    Args:
        rule_files: further rule files, code files or folders of them, beside those that the settings name.

    Raises:
        SettingsError: unreadable, unknown keys, wrong types or signs, overlapping rule sets: all together.
    """
    mistakes: list[str] = []
    data = _read_toml(path, mistakes) if path is not None else {}
    place = str(path) if path is not None else "defaults"
    known = {*SECTIONS, *LIVE_SECTIONS, "utc_offset_minutes", "bookings", "rule_sets", "typologies"}
    mistakes += [f"{place}: unknown key {key!r} (known: {', '.join(sorted(known))})" for key in data if key not in known]
    sections = {name: _section(place, name, data.get(name, {}), kind, mistakes) for name, kind in SECTIONS.items()}
    live = {name: _section(place, name, data.get(name, {}), kind, mistakes) for name, kind in LIVE_SECTIONS.items()}
    rule_sets, codes = _rule_files(path, data.get("rule_sets", []), rule_files, mistakes)
    offset = data.get("utc_offset_minutes", 480)
    if type(offset) is not int or abs(offset) > UTC_OFFSET_MINUTES_MAX:
        mistakes.append(f"{place}: utc_offset_minutes: {offset!r} is not a number of minutes within +-{UTC_OFFSET_MINUTES_MAX}")
    bookings = data.get("bookings", ["loan_first", "fifo"])
    if not isinstance(bookings, list) or not bookings or any(name not in BOOKINGS for name in bookings):
        mistakes.append(f"{place}: bookings: {bookings!r} is not a list of {', '.join(BOOKINGS)}")
    typologies = data.get("typologies", [])
    if not isinstance(typologies, list) or any(code not in PARAMETER_TYPES for code in typologies):
        mistakes.append(f"{place}: typologies: {typologies!r} is not a list of {', '.join(PARAMETER_TYPES)}")
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    configuration = Configuration(
        rule_sets=tuple(rule_sets),
        codes=codes,
        bookings=tuple(bookings),
        utc_offset_minutes=offset,
        typologies=tuple(typologies),
        **sections,
    )
    return Settings(configuration, place, LiveSettings(**live))


ZERO_IS_ANY = ("port",)
"""Fields of which 0 says: whichever is free."""


def _read_toml(path: Path, mistakes: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        mistakes.append(f"{path}: {error}")
        return {}


def _section(place: str, name: str, data: object, kind: type[Struct], mistakes: list[str]) -> Any:
    try:
        section = msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        mistakes.append(f"{place}: [{name}] {error}")
        return kind()
    for field in section.__struct_fields__:
        value = getattr(section, field)
        if isinstance(value, str):
            continue
        may_be_none = field in ZERO_IS_ANY or field.endswith("_min") or getattr(kind(), field) == 0
        if value < 0 or (value == 0 and not may_be_none):
            mistakes.append(f"{place}: [{name}] {field}: {value!r} must be above 0")
    return section


def files_of(paths: Sequence[Path]) -> list[Path]:
    """Rule files and code files, those of a folder in the order of their names."""
    return [file for path in paths for file in (sorted(path.glob("*.toml")) if path.is_dir() else [path])]


def _codes(files: Mapping[Path, dict[str, Any]], mistakes: list[str]) -> CodeLists:
    """The code lists of the one code file that is named, else the shipped ones."""
    wrong = [
        str(found)
        for path, data in files.items()
        for found in mistakes_of_codes(Text(str(path), path.read_text("utf-8")), data)
    ]
    if len(files) > 1:
        wrong.append(f"{', '.join(map(str, files))}: {len(files)} code files where one may be named; put them together")
    mistakes += wrong
    return code_lists(next(iter(files.values()), shipped_codes())) if not wrong else CodeLists()


def _rule_files(
    settings: Path | None, extra: object, rule_files: Sequence[Path], mistakes: list[str]
) -> tuple[list[RuleSet], CodeLists]:
    """The shipped rule sets and codes, with those of the files named on top."""
    found: dict[str, RuleSet] = {}
    shipped: dict[str, dict[str, Any]] = {}
    for name in SHIPPED_RULE_SETS:
        data = tomllib.loads((_SHIPPED / name).read_text(encoding="utf-8"))
        rules = parse_rule_set(name, data, PARAMETER_TYPES)
        found[rules.rule_set_id], shipped[rules.rule_set_id] = rules, data
    if not isinstance(extra, list):
        mistakes.append(f"rule_sets: {extra!r} is not a list of paths")
        extra = []
    named = [Path(str(item)) if settings is None else settings.parent / str(item) for item in extra]
    codes: dict[Path, dict[str, Any]] = {}
    for path in files_of([*named, *rule_files]):
        data = _read_toml(path, mistakes)
        if CODES_ID in data:
            codes[path] = data
            continue
        try:
            rules = parse_rule_set(str(path), extended(data, shipped), PARAMETER_TYPES)
            found[rules.rule_set_id] = rules
        except LookupError as error:
            mistakes.append(f"{path}: {error.args[0]}")
        except RuleSetMistake as error:
            mistakes.append(str(error))
    mistakes += overlaps(list(found.values()))
    return sorted(found.values(), key=lambda rules: rules.effective_from), _codes(codes, mistakes)
