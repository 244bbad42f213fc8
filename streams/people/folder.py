"""A result folder, read: alerts with their history, loan states, rejects by reason, the accounts of the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from detectors.alert_record import Alert, LoanRisk

SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW")
"""From the gravest down."""

REJECT_GROUPS_MAX = 200
"""Different reasons of rejects that are told apart; further ones are counted together."""

_REPLAY = "`fundtrail replay` writes such folders"


class FolderMistake(Exception):
    """A folder that cannot be read as a result; the message says what is wrong and what to do."""


class AlertHistory(NamedTuple):
    """One alert: the revision that holds, and the earlier ones, oldest first."""

    current: Alert
    earlier: tuple[Alert, ...]


class RejectGroup(NamedTuple):
    """Rejects of one topic, field and reason, with the first of them as example."""

    topic: str
    field: str
    reason: str
    records: int
    example_place: str  # file:line
    example_original: str


class Summary(Struct, frozen=True):
    """summary.json; everything may be missing."""

    records: dict[str, int] = {}
    seconds: float | None = None
    records_per_second: float | None = None
    event_time_first: str | None = None
    event_time_last: str | None = None
    late: int = 0
    files: list[str] = []
    damaged_files: list[str] = []
    ignored_files: list[str] = []


class Results(NamedTuple):
    """What a replay left behind. ``alerts`` stand in the order of :func:`urgency`."""

    path: Path
    alerts: list[AlertHistory]
    risks: dict[str, LoanRisk]
    rejects: list[RejectGroup]
    summary: Summary


class _RejectLine(Struct, frozen=True):
    topic: str = ""
    field: str = ""
    reason: str = ""
    file: str = ""
    line: int = 0
    original: str = ""


T = TypeVar("T", bound=Struct)


def read_results(path: Path) -> Results:
    """Read a whole result folder.

    Raises:
        FolderMistake: there is no alerts.jsonl, or a line of a file is not what it should be.
    """
    summary_file = path / "summary.json"
    summary = _decode(summary_file, 1, summary_file.read_bytes(), Summary) if summary_file.is_file() else Summary()
    risks = {risk.loan_id: risk for risk in _lines(path / "loan-risk.jsonl", LoanRisk)}
    return Results(path, read_alerts(path), risks, _group_rejects(path / "rejects.jsonl"), summary)


def read_alerts(path: Path) -> list[AlertHistory]:
    """Only the alerts of a result folder, the most urgent first.

    Raises:
        FolderMistake: there is no alerts.jsonl, or one of its lines is no alert.
    """
    file = path / "alerts.jsonl"
    if not path.is_dir():
        raise FolderMistake(f"{path} is not a folder. Name the folder that holds alerts.jsonl; {_REPLAY}.")
    if not file.is_file():
        raise FolderMistake(f"{path} holds no alerts.jsonl, so it is not a result folder; {_REPLAY}.")
    revisions: dict[str, dict[int, Alert]] = {}
    for alert in _lines(file, Alert):
        revisions.setdefault(alert.alert_id, {})[alert.revision] = alert
    return sorted((_history(found) for found in revisions.values()), key=lambda history: urgency(history.current))


def urgency(alert: Alert) -> tuple[bool, int, float, int, str]:
    """Sort key, the most urgent first: open, grave, high score, much for certain."""
    return (
        alert.status == "WITHDRAWN",
        SEVERITIES.index(alert.severity),
        -alert.score,
        -alert.traced_min_minor,
        alert.alert_id,
    )


def _history(revisions: dict[int, Alert]) -> AlertHistory:
    ordered = [revisions[revision] for revision in sorted(revisions)]
    return AlertHistory(ordered[-1], tuple(ordered[:-1]))


def _lines(file: Path, record_type: type[T]) -> Iterator[T]:
    """The records of a JSON-lines file; none when it does not exist."""
    if not file.is_file():
        return
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _decode(file, number, line, record_type)


def _decode(file: Path, number: int, raw: bytes, record_type: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=record_type)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        where = f"{file}, line {number}"
        raise FolderMistake(
            f"{where}: {error}. The file was changed or cut, or another version wrote it: replay again."
        ) from None


def _group_rejects(file: Path) -> list[RejectGroup]:
    """Rejects by topic, field and reason, the commonest first; what was found in the record is not part of the reason."""
    groups: dict[tuple[str, str, str], RejectGroup] = {}
    for line in _lines(file, _RejectLine):
        key = (line.topic, line.field, line.reason.split("; found ")[0])
        if key not in groups and len(groups) >= REJECT_GROUPS_MAX:
            key = ("(any)", "(any)", "other reasons")
        known = groups.get(key)
        if known is None:
            groups[key] = RejectGroup(*key, 1, f"{line.file}:{line.line}", line.original[:300])
        else:
            groups[key] = known._replace(records=known.records + 1)
    return sorted(groups.values(), key=lambda group: (-group.records, group[:3]))
