"""What the project consists of: its files, its modules."""

from __future__ import annotations

import subprocess
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]

MADE_FOLDERS = {"build", "demo-out", "dist", "node_modules", "__pycache__"}


def project_files(root: Path = REPO) -> list[Path]:
    """Paths, relative to ``root``, of all files that are or could be committed; sorted.

    Without git (an unpacked archive) it is every file outside hidden and made folders.
    """
    listing = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        names = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split("\0")
        paths = [Path(name) for name in names if name]
    except (OSError, subprocess.CalledProcessError):
        paths = [path.relative_to(root) for path in root.rglob("*") if not _is_made(path.relative_to(root))]
    return sorted(path for path in paths if (root / path).is_file())


def _is_made(path: Path) -> bool:
    return any(part in MADE_FOLDERS or part.startswith(".") or part.endswith(".egg-info") for part in path.parts)


def modules(package: str, root: Path = REPO) -> dict[str, Path]:
    """Dotted module name -> file, for every Python file of a top-level package; a package stands under its own name."""
    return {module_name(path): root / path for path in project_files(root) if path.parts[0] == package and path.suffix == ".py"}


def module_name(path: Path) -> str:
    """The dotted name of a Python file given relative to the root."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
