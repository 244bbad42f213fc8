"""Rule sets: reading, mistakes, choice by date."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detectors.detector import Detector
from detectors.ruleset import RuleSetMistake, Scorecard, choose_rule_set, overlaps, parse_rule_set
from detectors.typologies import PARAMETER_TYPES, TYPOLOGIES
from streams.scenarios.folding import fold
from streams.scenarios.notation import parse_file
from streams.settings import load_settings

SHIPPED = load_settings().engine.rule_sets
HEAD: dict[str, Any] = {"rule_set_id": "r", "version": "1", "effective_from": "2024-07-01"}


@pytest.mark.parametrize(
    ("date", "rule_set_id", "in_force"),
    [
        ("2024-06-30", "cn-2009-2010", True),
        ("2024-07-01", "cn-2024", True),
        ("2099-12-31", "cn-2024", True),
        ("2010-02-11", "cn-2009-2010", False),
    ],
)
def test_the_contract_date_chooses_the_rule_set(date: str, rule_set_id: str, in_force: bool) -> None:
    rules, was_in_force = choose_rule_set(SHIPPED, date)
    assert (rules.rule_set_id, was_in_force) == (rule_set_id, in_force)


def test_a_typology_without_a_section_gets_its_defaults() -> None:
    rules = parse_rule_set("r.toml", {**HEAD, "T01": {"share_min": 0.3}}, PARAMETER_TYPES)
    assert rules.parameters["T01"].share_min == 0.3  # type: ignore[attr-defined]
    assert rules.parameters["T02"] == PARAMETER_TYPES["T02"]()
    assert rules.scorecard == Scorecard()


def test_all_mistakes_are_told_at_once_with_their_places() -> None:
    data = {**HEAD, "effective_from": "1 July", "T01": {"share_min": 0}, "T02": {"sharemin": 1}, "T99": {}}
    with pytest.raises(RuleSetMistake) as caught:
        parse_rule_set("r.toml", data, PARAMETER_TYPES)
    told = str(caught.value)
    for place in ("r.toml: [T01]", "r.toml: [T02]", "unknown key or section 'T99'", "effective_from: '1 July'"):
        assert place in told


def test_a_missing_head_is_a_mistake() -> None:
    with pytest.raises(RuleSetMistake, match="rule_set_id"):
        parse_rule_set("r.toml", {"version": "1", "effective_from": "2024-07-01"}, PARAMETER_TYPES)


def test_rule_sets_that_claim_one_day_are_named() -> None:
    one = parse_rule_set("a", HEAD, PARAMETER_TYPES)
    other = msgspec.structs.replace(one, rule_set_id="s", effective_from="2025-01-01")
    assert overlaps([other, one]) == ["r (until further notice) overlaps s (from 2025-01-01)"]
    assert not overlaps(SHIPPED)


def test_each_weight_of_the_scorecard_counts_and_all_together_make_one() -> None:
    weights = msgspec.structs.astuple(Scorecard())
    assert min(weights) > 0
    assert sum(weights) == pytest.approx(1.0)


def test_codes_names_and_parameters_of_typologies_are_their_own() -> None:
    for field in ("code", "name", "name_zh", "destination_en", "destination_zh"):
        assert len({getattr(make, field) for make in TYPOLOGIES}) == len(TYPOLOGIES)
    for make in TYPOLOGIES:
        assert make.checks
        assert make.measures
        assert make.__doc__


@pytest.mark.parametrize("make", TYPOLOGIES, ids=lambda make: make.code)
def test_the_page_of_a_typology_names_every_parameter_with_its_default(make: type[Detector]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "detectors" / f"{make.code}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {make.code} {make.name} {make.name_zh}\n")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for name, default in msgspec.structs.asdict(make.Parameters()).items():
        (row,) = [row for row in rows if f"`{name}`" in row.split("|")[1]]
        cell = row.split("|")[2]
        if isinstance(default, dict):
            assert str(default) in cell, f"{make.code}: {name} is {default}, the page says {cell}"
            continue
        numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", cell)]
        for value in default if isinstance(default, tuple) else (default,):
            text = str(value).lower() if isinstance(value, bool) else value
            there = text in cell if isinstance(text, str) else text in numbers
            assert there, f"{make.code}: {name} is {default}, the page says {cell}"


def test_the_pages_name_every_look_alike_that_a_scenario_shows() -> None:
    folder = Path(__file__).parents[1] / "scenarios"
    docs = folder.parents[1] / "docs" / "detectors"
    pages = {make.code: (docs / f"{make.code}.md").read_text(encoding="utf-8") for make in TYPOLOGIES}
    shown = {
        (alert.typology, item.name)
        for path in sorted(folder.glob("*.txt")) for scenario in parse_file(path) if not scenario.known_bug
        for alert in fold(scenario).alerts for item in alert.look_alikes
    }  # fmt: skip
    assert {code for code, _ in shown} == set(pages)
    assert not [
        (code, name) for code, name in shown if name not in ("own_habit", "own_business") and f"`{name}`" not in pages[code]
    ]
