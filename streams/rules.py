"""Rule files for people who do not read code: every mistake with its place and its remedy.

:func:`lint` takes the files of a risk team and says everything that is wrong with them at once; the settings, which a run
loads, refuse what it finds too, but stop at the first mistake of a section.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
from msgspec import Struct

from detectors.events import ListName
from detectors.ruleset import HEAD_KEYS, SOURCE_KEYS, RuleSet, Scorecard, Source, is_date
from detectors.typologies import PARAMETER_TYPES
from streams.code_lists import CODES_ID, mistakes_of_codes
from streams.mistake import Mistake, Text, read_toml, suggestion
from streams.settings import files_of

SHIPPED = resources.files("detectors") / "rulesets"
SMALL_AMOUNT_MINOR = 100_000
"""An amount below it (CNY 1,000) is more likely one that was written in major units."""
LISTS = frozenset(get_args(ListName))


def lint(paths: Sequence[Path]) -> list[Mistake]:
    """All mistakes of the files and of those in folders, by file and line.

    The shipped rule sets, as far as none is replaced, count for overlaps.
    """
    mistakes: list[Mistake] = []
    dated: list[tuple[Text, dict[str, Any]]] = []
    codes: list[Text] = []
    for path in files_of(paths):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            mistakes.append(Mistake(str(path), 0, "", f"not UTF-8 ({error.reason})", "Save the file as UTF-8"))
            continue
        found, data = lint_text(str(path), text)
        mistakes += found
        if CODES_ID in data:
            codes.append(Text(str(path), text))
        elif data:
            dated.append((Text(str(path), text), data))
    for second in codes[1:]:
        what = f"a second code file beside {codes[0].file}"
        mistakes.append(second.mistake("", CODES_ID, what, "One may be named: put them together"))
    return sorted([*mistakes, *_overlaps(dated)])


def lint_text(file: str, text: str) -> tuple[list[Mistake], dict[str, Any]]:
    """The mistakes of the text of one rule file or code file, and what it holds (nothing when it is no TOML)."""
    broken, data = read_toml(file, text)
    if broken:
        return broken, {}
    place = Text(file, text)
    if CODES_ID in data:
        return list(mistakes_of_codes(place, data)), data
    return [*_of_head(place, data), *_of_sections(place, data)], data


# --- the head of a file -------------------------------------------------------------------------------------------------


def _of_head(place: Text, data: Mapping[str, Any]) -> Iterator[Mistake]:
    for key, value in data.items():
        if key not in HEAD_KEYS and key not in PARAMETER_TYPES:
            known = sorted(PARAMETER_TYPES) if isinstance(value, dict) else sorted(HEAD_KEYS - {"scorecard"})
            what = "unknown section" if isinstance(value, dict) else "unknown key"
            section, name = (key, "") if isinstance(value, dict) else ("", key)
            yield place.mistake(section, name, what, suggestion(key, known))
    for key, kind in (("rule_set_id", str), ("version", str), ("effective_from", str)):
        if not isinstance(data.get(key), kind):
            yield place.mistake("", key, "missing, or no text", f'Write {key} = "..." at the top of the file')
    known_ids = [tomllib.loads(text)["rule_set_id"] for _, text in shipped_texts()]
    if "extends" in data and data["extends"] not in known_ids:
        yield place.mistake(
            "", "extends", f"there is no rule set {data['extends']!r}", suggestion(str(data["extends"]), known_ids)
        )
    dates = [data[key] for key in ("effective_from", "effective_until") if isinstance(data.get(key), str)]
    for key in ("effective_from", "effective_until"):
        value = data.get(key)
        if value is not None and not (isinstance(value, str) and is_date(value)):
            yield place.mistake("", key, f"{value!r} is no ISO date in quotes", 'Write it as "2024-07-01"')
    if len(dates) == 2 and all(map(is_date, dates)) and dates[1] <= dates[0]:
        what = f"ends on {dates[1]}, not after it begins on {dates[0]}"
        yield place.mistake("", "effective_until", what, "effective_until is the first day on which the rules no longer hold")
    yield from _of_source(place, "", data)
    if isinstance(data.get("scorecard"), dict):
        yield from _of_fields(place, "scorecard", data["scorecard"], Scorecard)


def _of_source(place: Text, section: str, data: Mapping[str, Any]) -> Iterator[Mistake]:
    """What is said of the legal basis. What nobody has read in the original must not be called verified without naming it."""
    try:
        source = msgspec.convert({key: data[key] for key in SOURCE_KEYS if key in data}, Source)
    except msgspec.ValidationError as error:
        yield place.mistake(section, "basis", str(error), 'verified is true or false, basis a list of texts: ["..."]')
        return
    if source.verified and not source.basis:
        yield place.mistake(section, "verified", "true without a basis", 'Name what was read: basis = ["..."]')


# --- sections -----------------------------------------------------------------------------------------------------------


def _of_sections(place: Text, data: Mapping[str, Any]) -> Iterator[Mistake]:
    for code, kind in PARAMETER_TYPES.items():
        section = data.get(code)
        if section is None:
            continue
        if not isinstance(section, dict):
            yield place.mistake("", code, "is no section", f"Write [{code}] on a line of its own and its keys below it")
            continue
        yield from _of_source(place, code, section)
        yield from _of_fields(place, code, {key: value for key, value in section.items() if key not in SOURCE_KEYS}, kind)


def _of_fields(place: Text, section: str, given: Mapping[str, Any], kind: type[Struct]) -> Iterator[Mistake]:
    """Each key by itself, so that one mistake hides no other; then the pairs of least and most."""
    types = get_type_hints(kind, include_extras=True)
    sound: dict[str, Any] = {}
    for key, value in given.items():
        if key not in types:
            yield place.mistake(section, key, "unknown key", suggestion(key, sorted(types)))
            continue
        try:
            sound[key] = msgspec.convert(value, types[key])
        except msgspec.ValidationError as error:
            yield place.mistake(section, key, f"{value!r}: {_plain(error)}", _remedy(key, value))
            continue
        yield from _of_units(place, section, key, value)
    whole = msgspec.structs.asdict(kind()) | sound
    for key in [key for key in sound if key.endswith(("_min", "_max"))]:
        stem = key[:-4]
        least, most = whole.get(f"{stem}_min"), whole.get(f"{stem}_max")
        if least is not None and most is not None and least > most and (key.endswith("_min") or f"{stem}_min" not in sound):
            yield place.mistake(section, key, f"{stem}_min {least} is above {stem}_max {most}", "Exchange or mend the two")


def _of_units(place: Text, section: str, key: str, value: Any) -> Iterator[Mistake]:
    """What has the right type and hardly the right unit; and lists that do not exist."""
    if key.endswith("_minor"):
        amounts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        small = [amount for amount in amounts if amount < SMALL_AMOUNT_MINOR]
        if small:
            what = f"{small[0]} minor units are {small[0] / 100:,.2f} in yuan or dollars"
            yield place.mistake(section, key, what, f"Amounts are in minor units: for {small[0]:,} yuan write {small[0] * 100}")
        if isinstance(value, dict):
            for currency in [name for name in value if not re.fullmatch(r"[A-Z]{3}", name)]:
                yield place.mistake(section, key, f"{currency!r} is no currency", "Use the three letters of ISO 4217, as CNY")
    if key.endswith("_words") and any(not word.strip() for word in value):
        yield place.mistake(section, key, "an empty word is found in every memo", "Leave it out")
    if key == "lists":
        for name in [name for name in value if name not in LISTS]:
            yield place.mistake(section, key, f"there is no list {name!r}", suggestion(name, sorted(LISTS)))


def _plain(error: msgspec.ValidationError) -> str:
    return str(error).replace("`", "").replace("float | int", "number").replace("float", "number").rstrip(".")


def _remedy(key: str, value: Any) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and key.endswith(("share_min", "share_max", "ratio_min", "band_min")) and value > 1:
        return f"It is a share of one: for {value:g} % write {value / 100:g}"
    if number and value < 0:
        return "Thresholds and windows are positive: leave the sign out"
    if key.endswith("_minor"):
        return "Whole minor units: for CNY 50,000 write 5_000_000"
    if "days" in key or "hours" in key or "months" in key:
        return "Whole days, hours or months, as the name says"
    if isinstance(value, str):
        return "Without quotes when it is a number; in square brackets when it is a list"
    return "See the parameter's row in docs/detectors"


# --- dates --------------------------------------------------------------------------------------------------------------


def _overlaps(files: Sequence[tuple[Text, dict[str, Any]]]) -> Iterator[Mistake]:
    """Days that two rule sets claim, and two files of one id."""
    ids = [data.get("rule_set_id") for _, data in files]
    for text, data in files:
        if ids.count(data.get("rule_set_id")) > 1 and ids.index(data["rule_set_id"]) != files.index((text, data)):
            yield text.mistake("", "rule_set_id", f"{data['rule_set_id']!r} is another file's too", "Give each its own id")
    shipped = [(Text(name, text), tomllib.loads(text)) for name, text in shipped_texts()]
    every = [*files, *((text, data) for text, data in shipped if data["rule_set_id"] not in ids)]
    dated = [(text, data) for text, data in every if is_date(str(data.get("effective_from")))]
    dated.sort(key=lambda item: str(item[1]["effective_from"]))
    for (text, data), (later_text, later) in pairwise(dated):
        until = data.get("effective_until")
        if until is None or str(until) > str(later["effective_from"]):
            own = (later_text, later) in files
            at = later_text if own else text
            what = (
                f"{data.get('rule_set_id')} ({text.file}, until {until or 'further notice'}) overlaps "
                f"{later.get('rule_set_id')} ({later_text.file}, from {later['effective_from']})"
            )
            remedy = (
                f'End the earlier one: effective_until = "{later["effective_from"]}"; or give the later one its rule_set_id'
            )
            yield at.mistake("", "effective_from" if own else "effective_until", what, remedy)


def shipped_texts() -> list[tuple[str, str]]:
    """The rule sets of the package: (file name, text)."""
    paths = sorted((path for path in SHIPPED.iterdir() if path.name.startswith("cn-")), key=lambda path: path.name)
    return [(path.name, path.read_text(encoding="utf-8")) for path in paths]


def stated(rules: RuleSet, code: str) -> str:
    """How a typology's section is printed: unverified until somebody has read its source."""
    return "verified" if rules.is_verified(code) else "unverified"
