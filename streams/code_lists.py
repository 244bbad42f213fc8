"""Code files: which merchant codes, industries, words and lists mean which class of use, as a bank states it for itself.

A code file is named wherever a rule file may be; its ``codes_id`` tells it from one. It goes before the shipped codes that it
``extends``, entry by entry, or takes their place.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any, get_args

import msgspec

from detectors.events import ListName
from detectors.uses import CLASSES, PARTY_MEANINGS, CodeLists
from streams.mistake import Text, suggestion

CODES_ID = "codes_id"
SHIPPED_ID = "shipped"
TABLES: dict[str, frozenset[str]] = {
    "mcc": CLASSES, "industry": CLASSES, "memo": CLASSES, "lists": CLASSES, "party_codes": PARTY_MEANINGS,
}  # fmt: skip
"""Table of a code file -> what its codes may mean."""
WORDS = ("refund_words", "wage_words", "mortgage_words", "rent_words", "household_mcc", "fee_industries")
HEAD = (CODES_ID, "version", "title", "extends")

_FORMS = {
    "mcc": (r"\d{4}", "is no merchant category code", 'Four digits in quotes, such as "6211"'),
    "industry": (r"[A-T]\d{0,4}", "is no beginning of a GB/T 4754 code", 'A letter and up to four digits, such as "J67"'),
    "household_mcc": (r"\d{4}", "is no merchant category code", 'Four digits, such as "8062"'),
    "fee_industries": (r"[A-T]\d{0,4}", "is no beginning of a GB/T 4754 code", 'A letter and up to four digits, such as "J67"'),
}


def shipped_codes() -> dict[str, Any]:
    """What the package's code file holds."""
    return tomllib.loads((resources.files("detectors") / "rulesets" / "codes.toml").read_text(encoding="utf-8"))


def code_lists(data: Mapping[str, Any]) -> CodeLists:
    """The code lists of a sound code file, with those that it extends behind its own."""
    below = shipped_codes() if data.get("extends") == SHIPPED_ID else {}
    whole: dict[str, Any] = {key: data[key] for key in (CODES_ID, "version") if key in data}
    for table in TABLES:
        own = data.get(table, {})
        whole[table] = {**own, **{code: use for code, use in below.get(table, {}).items() if code not in own}}
    for name in WORDS:
        whole[name] = list(dict.fromkeys((*data.get(name, ()), *below.get(name, ()))))
    return msgspec.convert(whole, CodeLists)


def mistakes_of_codes(place: Text, data: Mapping[str, Any]) -> Iterator[Any]:
    """Everything that is wrong with a code file, each with place and remedy."""
    for key in (CODES_ID, "version"):
        if not isinstance(data.get(key), str) or not data[key].strip():
            yield place.mistake("", key, "missing, or no text", f'Write {key} = "..." at the top of the file')
    if data.get("extends", SHIPPED_ID) != SHIPPED_ID:
        what = f"there are no codes {data['extends']!r}"
        yield place.mistake("", "extends", what, f'Write extends = "{SHIPPED_ID}", or leave it out and state everything')
    for key, value in data.items():
        if key in TABLES:
            yield from _of_table(place, key, value)
        elif key in WORDS:
            yield from _of_words(place, key, value)
        elif key not in HEAD:
            section, name = (key, "") if isinstance(value, dict) else ("", key)
            yield place.mistake(section, name, "unknown table or key", suggestion(key, sorted((*TABLES, *WORDS, *HEAD))))


def _of_table(place: Text, table: str, value: object) -> Iterator[Any]:
    if not isinstance(value, dict):
        yield place.mistake("", table, "is no table", f"Write [{table}] on a line of its own and its codes below it")
        return
    for code, meaning in value.items():
        if not isinstance(meaning, str) or meaning not in TABLES[table]:
            yield place.mistake(
                table, code, f"{meaning!r} is no meaning of a code", suggestion(str(meaning), sorted(TABLES[table]))
            )
        yield from _of_code(place, table, code)
        hides = next((other for other in _before(value, code) if _hides(table, other, code)), None)
        if hides is not None:
            what = f"is never reached: {hides!r} stands above it and fits all that it fits"
            yield place.mistake(table, code, what, "Write the longer one first")


def _of_code(place: Text, table: str, code: str) -> Iterator[Any]:
    if not code.strip():
        yield place.mistake(table, code, "an empty word is found everywhere", "Leave it out")
    elif table in _FORMS and not re.fullmatch(_FORMS[table][0], code):
        yield place.mistake(table, code, *_FORMS[table][1:])
    elif table == "lists" and code not in get_args(ListName):
        yield place.mistake(table, code, "there is no such list", suggestion(code, sorted(get_args(ListName))))


def _of_words(place: Text, name: str, value: object) -> Iterator[Any]:
    if not isinstance(value, list) or any(not isinstance(word, str) for word in value):
        yield place.mistake("", name, "is no list of texts", f'Write {name} = ["...", "..."]')
        return
    for word in value:
        if not word.strip():
            yield place.mistake("", name, "an empty word is found everywhere", "Leave it out")
        elif name in _FORMS and not re.fullmatch(_FORMS[name][0], word):
            yield place.mistake("", name, f"{word!r} {_FORMS[name][1]}", _FORMS[name][2])
        elif name.endswith("_words") and word != word.lower():
            yield place.mistake("", name, f"{word!r} is looked for in memos in small letters", f'Write "{word.lower()}"')


def _before(table: Mapping[str, Any], code: str) -> list[str]:
    names = list(table)
    return names[: names.index(code)]


def _hides(table: str, earlier: str, code: str) -> bool:
    """Whether what stands earlier is found wherever this one is."""
    if not earlier:
        return False
    return code.startswith(earlier) if table == "industry" else table == "memo" and earlier in code
