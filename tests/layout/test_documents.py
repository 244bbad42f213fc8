"""Documents cannot drift: what exists is documented, numbered, linked."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from streams.cli import app
from tests.layout.texts import dead_links, numbering_breaches, typology_breaches, unmentioned
from tests.layout.tree import REPO, modules, project_files

DECISIONS = REPO / "docs" / "decisions"


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


def command_names() -> list[str]:
    command = typer.main.get_command(app)
    return sorted(getattr(command, "commands", {}))


def test_every_command_stands_in_the_readme() -> None:
    assert command_names(), "fundtrail has no commands"
    assert unmentioned(command_names(), read(REPO / "README.md"), "fundtrail {}") == []


def test_every_make_target_stands_in_the_readme_or_in_contributing() -> None:
    makefile = read(REPO / "Makefile").splitlines()
    targets = [line.partition(":")[0] for line in makefile if ":" in line and "## " in line and line[0].isalpha()]
    assert "setup" in targets
    assert unmentioned(targets, read(REPO / "README.md") + read(REPO / "CONTRIBUTING.md"), "make {}") == []


def test_decisions_are_numbered_without_gaps_and_all_in_the_index() -> None:
    names = names_in(DECISIONS)
    assert numbering_breaches(names) == []
    assert unmentioned([name for name in names if name != "README.md"], read(DECISIONS / "README.md"), "({})") == []


def test_every_typology_has_its_page_and_its_scenario() -> None:
    typologies = [name.rpartition(".")[2] for name in modules("detectors") if name.startswith("detectors.typologies.t")]
    assert typologies
    pages, scenarios = names_in(REPO / "docs" / "detectors"), names_in(REPO / "tests" / "scenarios")
    assert [breach for module in typologies for breach in typology_breaches(module, pages, scenarios)] == []


def test_no_link_between_pages_is_dead() -> None:
    pages = [path for path in project_files() if path.suffix == ".md"]
    assert [dead for page in pages for dead in dead_links(page, read(REPO / page), REPO)] == []


@pytest.mark.parametrize("text", ["", "fundtrail replays", "fundtrail replay-all", "replay"])
def test_a_text_without_the_command_is_told(text: str) -> None:
    assert unmentioned(["replay"], text, "fundtrail {}") == ["replay"]
    assert unmentioned(["replay"], f"{text} `fundtrail replay`", "fundtrail {}") == []


@pytest.mark.parametrize("names", [["0002-b.md"], ["0001-a.md", "0003-c.md"], ["0001-a.md", "0001-b.md"], ["notes.md"]])
def test_a_gap_in_the_numbering_is_told(names: list[str]) -> None:
    assert numbering_breaches(names)
    assert numbering_breaches(["README.md", "0001-a.md", "0002-b.md"]) == []


def test_a_typology_without_page_or_scenario_is_told() -> None:
    assert len(typology_breaches("t07_entrusted_split", ["T01.md"], ["T01_x.txt"])) == 2
    assert len(typology_breaches("t07_entrusted_split", ["T07-x.md"], [])) == 1
    assert typology_breaches("t07_entrusted_split", ["T07-x.md"], ["test_t07_x.txt"]) == []


def test_a_dead_link_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.md").touch()
    text = "[a](a.md#part) [b](b.md) [out](https://example.org/) [here](#part)"
    assert dead_links(Path("page.md"), text, tmp_path) == ["page.md: b.md leads nowhere"]
