"""Imports run downward: streams -> detectors, and inside each from the story to the nouns."""

from __future__ import annotations

import pytest

from tests.layout.imports import DETECTOR_ROWS, STREAM_ROWS, detector_breaches, imported_names, stream_breaches
from tests.layout.tree import modules


def imports_of(package: str) -> dict[str, list[str]]:
    return {
        name: list(imported_names(path.read_text(encoding="utf-8"), name, is_package=path.name == "__init__.py"))
        for name, path in modules(package).items()
    }


def test_the_core_imports_downward_and_never_its_adapters() -> None:
    found = [breach for name, imported in imports_of("detectors").items() for breach in detector_breaches(name, imported)]
    assert found == []


def test_the_adapters_import_downward_and_leave_their_neighbours_alone() -> None:
    found = [breach for name, imported in imports_of("streams").items() for breach in stream_breaches(name, imported)]
    assert found == []


@pytest.mark.parametrize(("package", "rows"), [("detectors", DETECTOR_ROWS), ("streams", STREAM_ROWS)])
def test_no_row_names_a_module_that_is_gone(package: str, rows: tuple[tuple[str, ...], ...]) -> None:
    rooms = {name.split(".")[1] for name in modules(package) if "." in name}
    assert {room for row in rows for room in row} - rooms == set()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("detectors.money", "import streams.codec"),
        ("detectors.money", "def late():\n    from streams import codec"),
        ("detectors.money", "from detectors.events import Event"),
        ("detectors.tracer", "from detectors import engine"),
        ("detectors.tracer", "from .engine import Engine"),
        ("detectors.typologies.t01_a", "from detectors.typologies.t02_b import B"),
        ("detectors.typologies.t01_a", "from detectors.typologies import TYPOLOGIES"),
        ("detectors.typologies.t01_a", "from . import t02_b"),
        ("detectors.a_module_nobody_placed", "import math"),
        ("detectors", "from detectors.engine import Engine"),
    ],
)
def test_a_core_module_importing_upward_is_told(module: str, source: str) -> None:
    assert detector_breaches(module, list(imported_names(source, module)))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("streams.codec", "from streams.cli import app"),
        ("streams.files.replay", "from streams.people.report import render"),
        ("streams.simulate.world", "from streams.files.replay import replay"),
        ("streams.simulate.world", "if TYPE_CHECKING:\n    from ..files import replay"),
        ("streams", "from streams.cli import app"),
    ],
)
def test_an_adapter_importing_upward_or_sideways_is_told(module: str, source: str) -> None:
    assert stream_breaches(module, list(imported_names(source, module)))


def test_importing_downward_or_from_outside_is_no_breach() -> None:
    assert detector_breaches("detectors.engine", ["heapq", "detectors.tracer.Tracer", "detectors.typologies.TYPOLOGIES"]) == []
    assert detector_breaches("detectors.typologies", ["detectors.typologies.t01_a.A"]) == []
    assert (
        stream_breaches("streams.files.replay", ["detectors.engine.Engine", "streams.codec.decode", "streams.files.x.y"]) == []
    )


def test_relative_imports_are_read_as_what_they_mean() -> None:
    assert list(imported_names("from . import a", "p.q.m")) == ["p.q.a"]
    assert list(imported_names("from .. import a", "p.q.m")) == ["p.a"]
    assert list(imported_names("from .x import a", "p.q", is_package=True)) == ["p.q.x.a"]
