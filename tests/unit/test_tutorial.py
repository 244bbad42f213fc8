"""The tutorial's typology works as printed: its files, put into a copy of the project, are all that it needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
TUTORIAL = (REPO / "docs" / "tutorial-detector.md").read_text(encoding="utf-8")


def printed() -> dict[str, str]:
    """Path -> the text of the block that follows the line which begins with that path."""
    found: dict[str, str] = {}
    name = ""
    block: list[str] | None = None
    for line in TUTORIAL.splitlines(keepends=True):
        heading = re.match(r"`([\w.-]+(?:/[\w.-]+)+)`", line)
        if block is not None and line.startswith("```"):
            found[name] = "".join(block)
            name, block = "", None
        elif block is not None:
            block.append(line)
        elif line.startswith("```") and name:
            block = []
        elif heading is not None:
            name = heading[1]
    return found


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two packages with the tutorial's files added to them, and nothing else changed."""
    folder = tmp_path_factory.mktemp("tutorial")
    for package in ("detectors", "streams"):
        shutil.copytree(REPO / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in printed().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(f"{before}\n{text}" if before else text, encoding="utf-8")
    return folder


def rules(copy: Path, *arguments: str) -> str:
    command = [sys.executable, "-c", "from streams.cli import app; app()", "rules", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_tutorial_prints_a_detector_a_rule_a_page_and_scenarios() -> None:
    assert set(printed()) == {
        "detectors/typologies/t31_virtual_assets.py", "detectors/rulesets/cn-2024.toml", "docs/detectors/T31.md",
        "tests/scenarios/T31_virtual_assets.txt",
    }  # fmt: skip


def test_its_typology_is_found_without_being_listed_anywhere(copy: Path) -> None:
    assert "T31  breach   virtual assets  挪用购买虚拟资产" in rules(copy, "list")


def test_its_scenarios_hold(copy: Path) -> None:
    assert "5 scenarios, 0 failed" in rules(copy, "test", "tests/scenarios/T31_virtual_assets.txt")


def test_its_rule_entry_is_sound_and_printed_as_unverified(copy: Path) -> None:
    assert "2 rule files, 0 mistakes" in rules(copy, "lint")
    shown = rules(copy, "show", "cn-2024", "-t", "T31")
    assert "[T31]  # unverified\n# Notice of 2021" in shown


def test_its_page_names_every_parameter(copy: Path) -> None:
    page = printed()["docs/detectors/T31.md"]
    code = printed()["detectors/typologies/t31_virtual_assets.py"]
    names = re.findall(r"^    (\w+): (?:Annotated|tuple)", code, flags=re.M)
    assert names == ["share_min", "window_days", "hops_max", "words"]
    assert all(f"| `{name}` |" in page for name in names)
