"""`fundtrail diff`: what two runs say differently, in plain lines, and the same as data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from detectors.alert_record import Alert
from streams.files.changes import shown, told
from streams.files.diff import Compared, Difference
from streams.files.effective import KeyDifference
from streams.files.runs import Run
from streams.people.figures import counted, legible

LIST_CHANGES_MAX = 8


def lines(difference: Difference, shown_max: int) -> Iterator[str]:
    """The comparison as text; at most ``shown_max`` alerts of each kind are told one by one."""
    for letter, run in (("A", difference.a), ("B", difference.b)):
        yield f"{letter}  {run.name}: {counted(len(run.alerts), 'alert')}, configuration {run.digest or 'unknown'}"
    yield ""
    yield from _configuration_lines(difference)
    if difference.equal:
        yield ""
        yield f"Equal: both say the same {counted(sum(total.a for total in difference.totals.values()), 'alert')}."
        return
    yield ""
    yield from _total_lines(difference)
    yield from _section("added", difference.added, shown_max, _added)
    yield from _section("removed", difference.removed, shown_max, _removed)
    yield from _section("changed", difference.changed, shown_max, _changed)


def as_data(difference: Difference) -> dict[str, Any]:
    """The comparison as JSON-able data, nothing left out."""
    return {
        "equal": difference.equal,
        "a": _run_data(difference.a),
        "b": _run_data(difference.b),
        "configuration": None if difference.keys is None else [key._asdict() for key in difference.keys],
        "totals": {code: {**total._asdict(), "equal": total.equal} for code, total in difference.totals.items()},
        "added": [_alert_data(pair) for pair in difference.added],
        "removed": [_alert_data(pair) for pair in difference.removed],
        "changed": [
            {**_alert_data(pair), "changes": [msgspec.to_builtins(change._asdict()) for change in pair.changes]}
            for pair in difference.changed
        ],
    }


def key_line(difference: KeyDifference) -> str:
    """One configuration key with both values; of long lists, what only one side has."""
    a, b = difference.a, difference.b
    if isinstance(a, list) and isinstance(b, list):
        parts = [f"without {shown(item)}" for item in a if item not in b] + [
            f"with {shown(item)}" for item in b if item not in a
        ]
        if 0 < len(parts) <= LIST_CHANGES_MAX:
            return f"{difference.key}: {', '.join(parts)}"
    return f"{difference.key}: {shown(a)} -> {shown(b)}"


def _configuration_lines(difference: Difference) -> Iterator[str]:
    a, b = difference.a, difference.b
    if difference.keys:
        yield f"The configurations differ in {counted(len(difference.keys), 'key')}:"
        yield from (f"  {legible(key_line(key))}" for key in difference.keys)
    elif difference.keys is None:
        yield "The configurations differ, or one is not known; which keys, only their configuration.json tells"
        yield "(`fundtrail replay` writes it; for a topic, name the settings with --config-a and --config-b)."
    else:
        yield "The configurations are the same."
        if not difference.equal:
            yield "So the records differ, their order, or the version of fundtrail:"
    if not difference.equal:
        yield from _other_grounds(a, b)


def _other_grounds(a: Run, b: Run) -> Iterator[str]:
    if a.records and b.records:
        same = "the same counts of records" if a.records == b.records else f"records {shown(a.records)} -> {shown(b.records)}"
        yield f"  {same}"
    if a.effective is not None and b.effective is not None:
        versions = a.effective.engine_version, b.effective.engine_version
        yield f"  engine version {versions[0]}" + (f" -> {versions[1]}" if versions[0] != versions[1] else " on both sides")


def _total_lines(difference: Difference) -> Iterator[str]:
    yield f"{'':10}{'A':>8}{'B':>8}{'added':>9}{'removed':>9}{'changed':>9}{'equal':>9}"
    for code, total in difference.totals.items():
        figures = (total.added, total.removed, total.changed, total.equal)
        yield f"{code:10}{total.a:>8,}{total.b:>8,}" + "".join(f"{figure:>9,}" for figure in figures)


def _section(
    kind: str, pairs: tuple[Compared, ...], shown_max: int, tell: Callable[[Compared], Iterator[str]]
) -> Iterator[str]:
    if not pairs:
        return
    yield ""
    yield f"{len(pairs):,} {kind}"
    for pair in pairs[:shown_max]:
        yield from tell(pair)
        if pair.keys:
            yield f"      may follow from {legible(_listed(pair.keys))}"
    if len(pairs) > shown_max:
        yield f"  ... and {len(pairs) - shown_max:,} more (--show N tells more, --json FILE all)"


def _listed(keys: tuple[str, ...]) -> str:
    further = len(keys) - LIST_CHANGES_MAX
    return ", ".join(keys[:LIST_CHANGES_MAX]) + (f" and {further} more" if further > 0 else "")


def _added(pair: Compared) -> Iterator[str]:
    return _one_sided("+", pair)


def _removed(pair: Compared) -> Iterator[str]:
    return _one_sided("-", pair)


def _one_sided(mark: str, pair: Compared) -> Iterator[str]:
    yield f"  {mark} {_head(pair.alert)} {pair.alert.severity} {pair.alert.status}, score {pair.alert.score:.2f}"
    yield f"      {legible(pair.alert.sentence_en)}"


def _changed(pair: Compared) -> Iterator[str]:
    yield f"  ~ {_head(pair.alert)}"
    yield from (f"      {legible(line)}" for line in told(list(pair.changes)))


def _head(alert: Alert) -> str:
    loan = f" loan {alert.subject.loan_id}" if alert.subject.loan_id else ""
    return legible(
        f"{alert.alert_id} revision {alert.revision}{loan}, rules {alert.rule_set.rule_set_id} {alert.rule_set.version}:"
    )


def _run_data(run: Run) -> dict[str, Any]:
    version = run.effective.engine_version if run.effective is not None else None
    return {
        "name": run.name,
        "alerts": len(run.alerts),
        "configuration_digest": run.digest,
        "engine_version": version,
        "records": dict(run.records),
    }


def _alert_data(pair: Compared) -> dict[str, Any]:
    alert = pair.alert
    return {
        "alert_id": alert.alert_id,
        "typology": alert.typology,
        "loan_id": alert.subject.loan_id,
        "revision": alert.revision,
        "severity": alert.severity,
        "status": alert.status,
        "score": alert.score,
        "rule_set": {"id": alert.rule_set.rule_set_id, "version": alert.rule_set.version},
        "sentence_en": alert.sentence_en,
        "may_follow_from": list(pair.keys),
    }
