"""Two runs compared: which alerts were added, removed, changed, and which configuration keys may be why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from detectors.alert_record import Alert
from streams.files.changes import Change, changes
from streams.files.effective import RULE_SETS, KeyDifference, key_differences
from streams.files.runs import Run


class Totals(NamedTuple):
    """Counts of alerts (or of revisions) of one typology."""

    a: int
    b: int
    added: int
    removed: int
    changed: int

    @property
    def equal(self) -> int:
        """Those that both sides say alike."""
        return self.a - self.removed - self.changed


class Compared(NamedTuple):
    """One alert that the two runs do not say alike; a side that does not have it is None."""

    a: Alert | None
    b: Alert | None
    changes: tuple[Change, ...]  # empty when one side is missing
    keys: tuple[str, ...]  # configuration keys that differ and can reach this alert

    @property
    def alert(self) -> Alert:
        """The later side's, where it has one."""
        found = self.b or self.a
        assert found is not None, "an alert of neither side was compared"
        return found


class Difference(NamedTuple):
    """Everything that differs between two runs. Lists stand in the order of typology, alert id, revision."""

    a: Run
    b: Run
    keys: tuple[KeyDifference, ...] | None  # None: one side's configuration is not known
    added: tuple[Compared, ...]
    removed: tuple[Compared, ...]
    changed: tuple[Compared, ...]
    totals: Mapping[str, Totals]  # by typology

    @property
    def equal(self) -> bool:
        """Whether both runs say the same alerts."""
        return not (self.added or self.removed or self.changed)


_Key = tuple[str, str, int]  # typology, alert id, revision (0: the last one)


def diff(a: Run, b: Run, *, all_revisions: bool = False) -> Difference:
    """Compare the last revision of each alert, or with ``all_revisions`` every one of them."""
    keys = configuration_differences(a, b)
    of_a, of_b = (_by_key(run, all_revisions) for run in (a, b))
    found = [_compare(of_a.get(key), of_b.get(key), keys or ()) for key in sorted(of_a.keys() | of_b.keys())]
    added = tuple(pair for pair in found if pair.a is None)
    removed = tuple(pair for pair in found if pair.b is None)
    changed = tuple(pair for pair in found if pair.changes)
    typologies = sorted({typology for typology, _, _ in (*of_a, *of_b)})
    return Difference(a, b, keys, added, removed, changed, {
        typology: Totals(
            *(sum(key[0] == typology for key in side) for side in (of_a, of_b)),
            *(sum(pair.alert.typology == typology for pair in pairs) for pairs in (added, removed, changed)),
        )
        for typology in typologies
    })  # fmt: skip


def configuration_differences(a: Run, b: Run) -> tuple[KeyDifference, ...] | None:
    """The configuration keys that differ; None where a side does not tell its configuration."""
    if a.digest is not None and a.digest == b.digest:
        return ()
    if a.effective is None or b.effective is None:
        return None
    return tuple(key_differences(a.effective.configuration, b.effective.configuration))


def reaches(key: str, alert: Alert) -> bool:
    """Whether a configuration key can have to do with an alert: not those of other typologies and other rule sets."""
    parts = key.split(".")
    if parts[0] != RULE_SETS:
        return True
    if "effective_" in parts[-1]:  # decides which rule set a loan falls under
        return True
    if len(parts) > 3 and parts[2] == "parameters" and parts[3] != alert.typology:
        return False
    return parts[1] == alert.rule_set.rule_set_id


def _compare(a: Alert | None, b: Alert | None, keys: tuple[KeyDifference, ...]) -> Compared:
    sides = [alert for alert in (a, b) if alert is not None]
    found = tuple(changes(a, b)) if a is not None and b is not None else ()
    if len(sides) == 2 and not found:
        return Compared(a, b, (), ())
    return Compared(a, b, found, tuple(key for key, _, _ in keys if any(reaches(key, alert) for alert in sides)))


def _by_key(run: Run, all_revisions: bool) -> dict[_Key, Alert]:
    if all_revisions:
        return {(alert.typology, alert.alert_id, alert.revision): alert for said in run.alerts.values() for alert in said}
    return {(said[-1].typology, alert_id, 0): said[-1] for alert_id, said in run.alerts.items()}
