"""Settings: one value, all mistakes together."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.settings import SettingsError, load_settings


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "fundtrail.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_settings_load_and_name_their_source() -> None:
    settings = load_settings()
    assert settings.source == "defaults"
    assert [rules.rule_set_id for rules in settings.engine.rule_sets] == ["cn-2009-2010", "cn-2024"]
    assert settings.engine.bookings[0] == "loan_first"


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, "utc_offset_minutes = 0\n[trace]\nhops_max = 9\n"))
    assert settings.engine.trace.hops_max == 9
    assert settings.engine.utc_offset_minutes == 0
    assert settings.engine.legs == load_settings().engine.legs
    assert settings.engine.digest() != load_settings().engine.digest()


def test_all_mistakes_are_told_together(tmp_path: Path) -> None:
    text = "colour = 1\nutc_offset_minutes = 9000\nbookings = ['cubist']\n[trace]\nhops_max = -1\n[legs]\nwindow = 2\n"
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, text))
    told = str(caught.value)
    for part in ("unknown key 'colour'", "utc_offset_minutes: 9000", "bookings: ['cubist']", "[trace] hops_max: -1", "[legs]"):
        assert part in told


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml"):
        load_settings(tmp_path / "none.toml")


def test_a_rule_file_beside_the_settings_replaces_the_shipped_one(tmp_path: Path) -> None:
    rules = 'rule_set_id = "cn-2024"\nversion = "bank-1"\neffective_from = "2024-07-01"\n[T01]\nshare_min = 0.25\n'
    (tmp_path / "mine.toml").write_text(rules, encoding="utf-8")
    settings = load_settings(write(tmp_path, 'rule_sets = ["mine.toml"]\n'))
    newest = settings.engine.rule_sets[-1]
    assert (newest.version, newest.parameters["T01"].share_min) == ("bank-1", 0.25)  # type: ignore[attr-defined]


def test_a_rule_file_that_overlaps_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('rule_set_id = "x"\nversion = "1"\neffective_from = "2025-01-01"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="overlaps"):
        load_settings(write(tmp_path, 'rule_sets = ["mine.toml"]\n'))


@pytest.mark.parametrize("offset", ["'8'", "true", "841"])
def test_an_offset_is_a_number_of_minutes_within_a_day_zone(tmp_path: Path, offset: str) -> None:
    with pytest.raises(SettingsError, match="utc_offset_minutes"):
        load_settings(write(tmp_path, f"utc_offset_minutes = {offset}\n"))
