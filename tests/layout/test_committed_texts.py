"""What may be committed: names that mean something, and nothing that holds on one machine only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.layout.texts import (
    OUTSIDE_FOLDER,
    REGISTRY_HOSTS,
    machine_breaches,
    name_breaches,
    outside_breaches,
    registry_breaches,
)
from tests.layout.tree import REPO, project_files

SLASH = "/"


def texts() -> list[tuple[Path, str]]:
    """Every file that is text, the licence aside."""
    found = []
    for path in project_files():
        raw = (REPO / path).read_bytes()
        if b"\0" not in raw[:8_000] and path.name != "LICENSE":
            found.append((path, raw.decode("utf-8", "replace")))
    return found


def test_no_file_is_named_after_nothing() -> None:
    assert [breach for path in project_files() for breach in name_breaches(path)] == []


@pytest.mark.parametrize("breaches_of", [registry_breaches, machine_breaches, outside_breaches])
def test_no_text_holds_on_one_machine_only(breaches_of: Callable[[Path, str], list[str]]) -> None:
    assert [breach for path, text in texts() for breach in breaches_of(path, text)] == []


def test_every_folder_of_modules_is_a_package() -> None:
    """The distribution takes packages only; a folder without ``__init__.py`` would be missing from it."""
    folders = {path.parent for path in project_files() if path.suffix == ".py" and path.parts[0] in {"detectors", "streams"}}
    assert [str(folder) for folder in sorted(folders) if not (REPO / folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize(
    "name", ["streams/utils.py", "detectors/common/lots.py", "tests/test_helpers.py", "streams/state-manager.py"]
)
def test_a_name_that_means_nothing_is_told(name: str) -> None:
    assert name_breaches(Path(name))
    assert name_breaches(Path("detectors/booking.py")) == []


def test_a_registry_host_is_told() -> None:
    assert registry_breaches(Path("x"), f"--index-url https://{REGISTRY_HOSTS[0]}/simple")
    assert registry_breaches(Path("x"), "pip install fundtrail") == []


@pytest.mark.parametrize("tail", ["root/x", "work/main/x", "tmp/venv/bin/python", "opt/wheels", "home/anna/x"])
def test_a_machine_path_is_told(tail: str) -> None:
    assert machine_breaches(Path("x"), f"run {SLASH}{tail} now")
    assert machine_breaches(Path("x"), f"docs{SLASH}{tail}") == []


def test_a_folder_outside_is_told_except_where_the_project_is_evaluated_on_it() -> None:
    text = f"read {OUTSIDE_FOLDER}/data"
    assert outside_breaches(Path("README.md"), text)
    assert outside_breaches(Path("docs/evaluation.md"), text) == []
