"""Every limit has a line in the configuration page, with the default that the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streams.live_settings import LIVE_SECTIONS
from streams.settings import SECTIONS

ALL_SECTIONS = {**SECTIONS, **LIVE_SECTIONS}

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def documented_defaults(text: str) -> dict[tuple[str, str], str]:
    """(section, key) -> default, as the page's tables say."""
    found: dict[tuple[str, str], str] = {}
    section = ""
    for line in text.splitlines():
        heading = re.match(r"### `\[(\w+)\]`", line)
        if line.startswith("#"):
            section = heading[1] if heading else ""
        row = re.match(r"\| `(\w+)` \| ([^|]+) \|", line)
        if row and section:
            found[section, row[1]] = row[2].strip()
    return found


def shown(value: object) -> str:
    """A default as the page writes it."""
    return "(empty)" if value == "" else f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("section", sorted(ALL_SECTIONS))
def test_every_limit_of_a_section_is_documented_with_its_default(section: str) -> None:
    documented = documented_defaults(PAGE.read_text(encoding="utf-8"))
    defaults = ALL_SECTIONS[section]()
    said = {key: default for (where, key), default in documented.items() if where == section}
    assert said == {field: shown(getattr(defaults, field)) for field in defaults.__struct_fields__}


def test_a_page_that_forgets_a_limit_would_be_noticed() -> None:
    assert documented_defaults("### `[trace]` x\n| `hops_max` | 7 | y |") == {("trace", "hops_max"): "7"}
