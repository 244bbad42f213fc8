"""A run as it is compared: its alerts with all revisions, and the configuration they were made under."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from detectors.alert_record import Alert
from streams.files.effective import Effective
from streams.files.results import ALERTS, CONFIGURATION, SUMMARY

_REPLAY = "`fundtrail replay` writes such folders"


class RunMistake(ValueError):
    """What was named is no run, or a damaged one; the message says what to do."""


class Run(NamedTuple):
    """One side of a comparison."""

    name: str
    alerts: Mapping[str, tuple[Alert, ...]]  # by id, revisions rising
    digest: str | None  # of the configuration; None: there is nothing to tell it
    effective: Effective | None = None
    records: Mapping[str, int] = {}  # of summary.json


class _Summary(msgspec.Struct, frozen=True):
    records: dict[str, int] = {}
    configuration_digest: str | None = None


def read_run(folder: Path) -> Run:
    """The run in a folder that ``replay`` wrote.

    Raises:
        RunMistake: there is no alerts.jsonl, or a file of the folder is not what it should be.
    """
    file = folder / ALERTS
    if not file.is_file():
        what = "holds no alerts.jsonl, so it is no run" if folder.is_dir() else "is not a folder"
        raise RunMistake(f"{folder} {what}. Name the folder of a run; {_REPLAY}.")
    with file.open("rb") as lines:
        alerts = by_id(alert_in(f"{file}, line {number}", line) for number, line in enumerate(lines, start=1) if line.strip())
    summary = _optional(folder / SUMMARY, _Summary) or _Summary()
    effective = _optional(folder / CONFIGURATION, Effective)
    digest = effective.configuration_digest if effective is not None else summary.configuration_digest
    return Run(str(folder), alerts, digest or digest_of(alerts), effective, summary.records)


def within(run: Run, since_ms: int | None, until_ms: int | None) -> Run:
    """The run as far as it was scored at or after one instant and before the other, in event time."""
    kept = [
        alert
        for revisions in run.alerts.values()
        for alert in revisions
        if (since_ms is None or _ms(alert.scored_time) >= since_ms) and (until_ms is None or _ms(alert.scored_time) < until_ms)
    ]
    return run._replace(alerts=by_id(kept))


def _ms(instant: str) -> int:
    return round(datetime.fromisoformat(instant).timestamp() * 1000)


def by_id(alerts: Iterable[Alert]) -> dict[str, tuple[Alert, ...]]:
    """Alerts by id, each with its revisions rising; of one revision said twice, the later holds."""
    revisions: dict[str, dict[int, Alert]] = {}
    for alert in alerts:
        revisions.setdefault(alert.alert_id, {})[alert.revision] = alert
    return {alert_id: tuple(found[number] for number in sorted(found)) for alert_id, found in revisions.items()}


def digest_of(alerts: Mapping[str, tuple[Alert, ...]]) -> str | None:
    """The configuration's digest as the alerts state it; None without alerts."""
    return next((revisions[-1].configuration_digest for revisions in alerts.values()), None)


def alert_in(place: str, raw: bytes) -> Alert:
    """The alert in these bytes; ``RunMistake`` names ``place`` when they are none."""
    alert: Alert = _decoded(place, raw, Alert)
    return alert


def _optional(file: Path, kind: type[Any]) -> Any:
    return _decoded(str(file), file.read_bytes(), kind) if file.is_file() else None


def _decoded(place: str, raw: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RunMistake(f"{place}: {error}. It was changed or cut, or another version wrote it: make the run again.") from None
