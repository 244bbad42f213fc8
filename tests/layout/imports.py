"""Which module may import which: the rooms of the house, as data, and what breaks the order."""

from __future__ import annotations

import ast
from collections.abc import Iterator

DETECTOR_ROWS: tuple[tuple[str, ...], ...] = (
    ("parts", "checks"),
    ("book_engine",),
    ("cross_reversals",),
    ("cross_payments",),
    ("engine",),
    ("panel",),
    ("snapshot", "risk"),
    ("lending",),
    ("configuration",),
    ("calibration", "suspects"),
    ("learners",),
    ("profile",),
    ("alert",),
    ("sentences", "economy"),
    ("typologies",),
    ("echo",),
    ("use_rule", "group_rule"),
    ("bridge",),
    ("verdict", "outbox"),
    ("detector", "crossing"),
    ("finding", "payouts", "correspondent"),
    ("bounds", "books", "groups", "dispositions"),
    ("places", "public_facts", "portfolio"),
    ("loans", "parties"),
    ("tracer", "sendings"),
    ("ledgers", "legs", "abroad", "dealings"),
    ("rows",),
    ("accounts",),
    ("booking", "uses", "ruleset", "remittance", "identity"),
    ("lots", "events", "alert_record", "budget", "drift", "rank", "recent"),
    ("money", "instants"),
)
"""From the product's story down to its smallest noun. A module imports from rows below its own only."""

STREAM_ROWS: tuple[tuple[str, ...], ...] = (
    ("cli",),
    ("commands",),
    ("schemas",),
    ("people",),
    ("live",),
    ("files", "simulate", "scenarios"),
    ("rules",),
    ("settings",),
    ("code_lists",),
    ("codec", "live_settings", "mistake"),
)
"""Top to bottom. The rooms of one row do not know each other, except as declared below; files of one room may."""

DECLARED_NEIGHBOURS: frozenset[tuple[str, str]] = frozenset()
"""(importer, imported) rooms of one row of ``STREAM_ROWS``."""


def imported_names(source: str, module: str, *, is_package: bool = False) -> Iterator[str]:
    """Every dotted name a module imports, also inside functions and under ``TYPE_CHECKING``.

    ``from a import b`` gives ``a.b``: whether ``b`` is a module or a value makes no difference to the direction.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, module, is_package)
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def _origin(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if node.level == 0:
        return node.module or ""
    parts = module.split(".")
    parts = parts[: len(parts) - node.level + (1 if is_package else 0)]
    return ".".join([*parts, *([node.module] if node.module else [])])


def room_of(name: str) -> str:
    """``detectors.typologies.t01_x`` -> ``typologies``; a top-level package itself has the room ``""``."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def row_of(room: str, rows: tuple[tuple[str, ...], ...]) -> int | None:
    """The row a room stands in; 0 is the top, None when it stands in none."""
    return next((i for i, row in enumerate(rows) if room in row), None)


def detector_breaches(module: str, imported: list[str]) -> list[str]:
    """What a module of ``detectors`` imports against the order; one sentence each."""
    breaches = [
        f"{module} imports {name}: the core knows nothing of its adapters" for name in imported if _is_in(name, "streams")
    ]
    inner = [name for name in imported if _is_in(name, "detectors")]
    return breaches + _row_breaches(module, inner, DETECTOR_ROWS, frozenset(), same_room_allowed=_is_room_index(module))


def stream_breaches(module: str, imported: list[str]) -> list[str]:
    """What a module of ``streams`` imports against the order; one sentence each."""
    inner = [name for name in imported if _is_in(name, "streams")]
    return _row_breaches(module, inner, STREAM_ROWS, DECLARED_NEIGHBOURS, same_room_allowed=True)


def _is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _is_room_index(module: str) -> bool:
    """Only ``typologies/__init__.py`` may name the typologies; they never name each other. Learners are built of each other."""
    return module == "detectors.typologies" or room_of(module) == "learners"


def _row_breaches(
    module: str,
    imported: list[str],
    rows: tuple[tuple[str, ...], ...],
    neighbours: frozenset[tuple[str, str]],
    *,
    same_room_allowed: bool,
) -> list[str]:
    room = room_of(module)
    if not room:
        return [f"{module}/__init__.py imports {name}: a package's front door stays empty" for name in imported]
    row = row_of(room, rows)
    if row is None:
        return [f"{module} stands in no row: say in tests/layout/imports.py where it belongs"]
    breaches = []
    for name in imported:
        target = room_of(name)
        target_row = row_of(target, rows)
        if target == room and (same_room_allowed or name == module):
            continue
        if target_row is None or (target_row <= row and (room, target) not in neighbours):
            breaches.append(f"{module} imports {name}, which does not stand below it")
    return breaches
