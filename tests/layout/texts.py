"""What no committed text may hold, and what the documents must: found in plain text, one sentence each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

NAMES_BANNED = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc"}

# Put together here, so that this file does not hold what it looks for.
REGISTRY_HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("repo1", "maven", "org"),
        ("repo", "maven", "apache", "org"),
        ("proxy", "golang", "org"),
        ("static", "crates", "io"),
    )
)
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:root|work|opt/wheels|tmp/venv|home/[a-z]+)/?(?=[\w.]|\b)")
OUTSIDE_FOLDER = "../" + "shared"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def name_breaches(path: Path) -> list[str]:
    """A file or folder named after nothing."""
    stems = [*path.parts[:-1], path.stem]
    return [f"{path}: '{stem}' names no thing" for stem in stems if _words(stem) & NAMES_BANNED]


def _words(stem: str) -> set[str]:
    return set(stem.lower().replace("-", "_").split("_"))


def registry_breaches(path: Path, text: str) -> list[str]:
    """Hosts of package registries: where packages come from is the installer's business."""
    return [f"{path}: names {host}" for host in REGISTRY_HOSTS if host in text]


def machine_breaches(path: Path, text: str) -> list[str]:
    """Absolute paths that exist on one machine only."""
    return [f"{path}: holds the machine's path {match.group()}" for match in MACHINE_PATH.finditer(text)]


def outside_breaches(path: Path, text: str) -> list[str]:
    """A folder outside the project, outside of what evaluates it on data that lies there."""
    return [f"{path}: needs {OUTSIDE_FOLDER}"] if OUTSIDE_FOLDER in text and "evaluat" not in str(path).lower() else []


def numbering_breaches(names: Iterable[str]) -> list[str]:
    """Decision pages that are not numbered 0001, 0002, ... without a gap."""
    pages = sorted(name for name in names if name != "README.md")
    wrong = [f"{name}: not named NNNN-words.md" for name in pages if not re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", name)]
    numbers = [int(name[:4]) for name in pages if name[:4].isdigit()]
    if numbers != list(range(1, len(numbers) + 1)):
        wrong.append(f"decisions are numbered {numbers}")
    return wrong


def unmentioned(names: Iterable[str], text: str, pattern: str = "{}") -> list[str]:
    """The names that a text does not mention in the given pattern, as whole words."""
    return [name for name in names if not re.search(re.escape(pattern.format(name)) + r"(?![\w-])", text)]


def typology_breaches(module: str, pages: Iterable[str], scenarios: Iterable[str]) -> list[str]:
    """What a typology's file lacks beside it: its page and its scenario."""
    code = module[:3].upper()
    breaches = []
    if not any(page.startswith(code) for page in pages):
        breaches.append(f"{module}: no page docs/detectors/{code}*.md")
    if not any(code in scenario.upper() for scenario in scenarios):
        breaches.append(f"{module}: no scenario tests/scenarios/*{code}*")
    return breaches


def dead_links(page: Path, text: str, root: Path) -> list[str]:
    """Relative links of a page that lead to no file."""
    targets = [target.partition("#")[0] for target in LINK.findall(text) if not re.match(r"[a-z]+:", target)]
    return [f"{page}: {target} leads nowhere" for target in targets if target and not (root / page.parent / target).exists()]
