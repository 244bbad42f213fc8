"""Which files hold which topic: a file is named after its topic, and its suffix names its format."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from detectors.events import EVENT_TYPES

Format = Literal["jsonl", "csv", "parquet"]
Compression = Literal["none", "gz", "zst"]

FORMATS: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}
COMPRESSIONS: dict[str, Compression] = {".gz": "gz", ".zst": "zst"}
SUFFIXES_TAKEN = ".jsonl, .ndjson, .csv (each also with .gz or .zst behind) and .parquet"
TOPIC_ORDER: dict[str, int] = {
    topic: rank
    for rank, topic in enumerate(
        ["list-entries", "party-links", "party-events", "loan-disbursements", "account-transactions", "dispositions", "ticks"]
    )
}
"""Topic -> rank among records of one instant: what is known about parties first, then payouts, then payments, then outcomes."""

assert TOPIC_ORDER.keys() == EVENT_TYPES.keys(), "each topic needs its rank"


class InputError(Exception):
    """A file or folder that cannot be read at all. The message names it and says what to do."""


@dataclass(frozen=True)
class TopicFile:
    """One file of one topic. ``name`` is what summaries and rejects call it."""

    path: Path
    name: str
    topic: str
    format: Format
    compression: Compression


@dataclass(frozen=True)
class Inputs:
    """The topic files found, in reading order, and the names of files that belong to no topic."""

    files: tuple[TopicFile, ...]
    ignored: tuple[str, ...]


def find_topic_files(paths: Iterable[Path]) -> Inputs:
    """Look through folders (not their subfolders) and named files.

    A folder's files are taken when their name begins with a topic of ``EVENT_TYPES`` (``account-transactions.jsonl``,
    ``account-transactions-2026-01.csv.gz``); others are listed as ignored. A file named directly must have such a name.
    Reading order: by topic, then by name with numbers compared as numbers.

    Raises ``InputError`` for a missing path, a folder without topic files, a suffix that is not read.
    """
    found: dict[Path, TopicFile] = {}
    ignored: list[str] = []
    for path in paths:
        for candidate in _candidates(path):
            topic = topic_of(candidate.name)
            if topic is None:
                if candidate == path:
                    raise InputError(f"{path}: the name begins with no topic. Rename it to begin with one of {_topics()}.")
                ignored.append(candidate.name)
            else:
                found.setdefault(candidate.resolve(), _topic_file(candidate, topic))
    if not found:
        raise InputError(
            f"{_listed(paths)}: no topic files there. Name files after their topic, for example account-transactions.jsonl "
            f"and loan-disbursements.csv; topics are {_topics()}."
        )
    return Inputs(tuple(sorted(_with_distinct_names(list(found.values())), key=_reading_order)), tuple(sorted(set(ignored))))


def topic_of(name: str) -> str | None:
    """The topic a file name begins with, when a separator or the suffix follows it.

    >>> topic_of("account-transactions-2026-01.csv.gz"), topic_of("labels.csv")
    ('account-transactions', None)
    """
    for topic in EVENT_TYPES:
        if name.startswith(topic) and name[len(topic) : len(topic) + 1] in ("", ".", "-", "_"):
            return topic
    return None


def _candidates(path: Path) -> Sequence[Path]:
    if path.is_dir():
        return sorted(entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith("."))
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder. Check the path.")
    return [path]


def _topic_file(path: Path, topic: str) -> TopicFile:
    compression = COMPRESSIONS.get(path.suffix, "none")
    suffix = path.suffix if compression == "none" else Path(path.stem).suffix
    form = FORMATS.get(suffix)
    if form is None or (form == "parquet" and compression != "none"):
        raise InputError(f"{path}: this suffix is not read. Convert the file to {SUFFIXES_TAKEN}, or move it away.")
    return TopicFile(path, path.name, topic, form, compression)


def _with_distinct_names(files: list[TopicFile]) -> list[TopicFile]:
    names = Counter(file.name for file in files)
    return [file if names[file.name] == 1 else replace(file, name=str(file.path)) for file in files]


def _reading_order(file: TopicFile) -> tuple[int, list[tuple[int, str]], str]:
    stem = file.path.name.removesuffix(".gz").removesuffix(".zst")
    pieces = [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"([0-9]+)", stem)]
    return TOPIC_ORDER[file.topic], pieces, str(file.path)


def _topics() -> str:
    return ", ".join(EVENT_TYPES)


def _listed(paths: Iterable[Path]) -> str:
    return ", ".join(str(path) for path in paths) or "no input"
