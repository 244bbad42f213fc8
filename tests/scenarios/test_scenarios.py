"""Every scenario of this folder, as a test of its own, named by its sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.scenarios.folding import fold
from streams.scenarios.notation import NotationError, Scenario, parse_file

FOLDER = Path(__file__).parent


def _cases() -> list[object]:
    cases: list[object] = []
    for path in sorted(FOLDER.glob("*.txt")):
        for scenario in parse_file(path):
            marks = [pytest.mark.xfail(strict=True, reason=scenario.known_bug)] if scenario.known_bug else []
            cases.append(pytest.param(scenario, id=f"{path.stem}: {scenario.title}", marks=marks))
    return cases


@pytest.mark.parametrize("scenario", _cases())
def test_scenario_holds(scenario: Scenario) -> None:
    fold(scenario)


def _parse(tmp_path: Path, text: str) -> list[Scenario]:
    path = tmp_path / "case.txt"
    path.write_text(text, encoding="utf-8")
    return parse_file(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scenario A\n10:00 alice gives mule 900.00\n", "case.txt:2: cannot read 'alice gives mule 900.00'"),
        ("scenario A\nloan L1 to alice 9oo\n", "case.txt:2: '9oo' is not an amount"),
        ("scenario A\ncurrency JPY\nloan L1 to alice 900.00\n", "case.txt:3: '900.00' has more decimals than JPY has (0)"),
        ("scenario A\n10:00 a -> b 1.00, quickly\n", "case.txt:2: option 'quickly' is not known"),
        ("scenario A\n\n# rest\n10:00 reverse t9\n", "case.txt:4: 't9' is no label of a line above"),
        ("scenario A\naccount a hass 1.00\n", "case.txt:2: account a: cannot read 'hass 1.00'"),
        ("10:00 a -> b 1.00\n", "case.txt:1: no scenario line"),
    ],
)
def test_a_mistake_names_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(NotationError) as caught:
        _parse(tmp_path, text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("expectation", "message"),
    [
        ("expect T01 on L1", "there is no such open alert"),
        ("expect mule holds 1.00 of L1", "it holds CNY 900.00"),
        ("expect reject currency", "the last record was taken"),
        ("expect sunshine", "is no expectation that the notation knows"),
        ("expect L1 holds 899.99", "it is CNY 900.00"),
    ],
)
def test_an_expectation_that_does_not_hold_names_file_and_line(tmp_path: Path, expectation: str, message: str) -> None:
    (scenario,) = _parse(tmp_path, f"scenario A\nloan L1 to alice 900.00\n10:00 alice -> mule 900.00\n{expectation}\n")
    with pytest.raises(AssertionError, match=r"case\.txt:4: ") as caught:
        fold(scenario)
    assert message in str(caught.value)


def test_a_reject_that_nobody_expects_fails_the_scenario(tmp_path: Path) -> None:
    (scenario,) = _parse(tmp_path, "scenario A\nloan L1 to alice 900.00 XXX\n10:00 alice -> mule 900.00\n")
    with pytest.raises(AssertionError, match=r"case\.txt:2: rejected"):
        fold(scenario)
