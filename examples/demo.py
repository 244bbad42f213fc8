"""The product in a minute: make up a small bank, replay it, explain its worst alert, write the report for people.

Run by ``make demo``; every step is a command that can be typed, and is shown before its output.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from detectors.alert_record import Alert

FOLDER = Path("demo-out")
WORLD, RESULT = FOLDER / "in", FOLDER / "out"
SEVERITIES = ("LOW", "MEDIUM", "HIGH", "CRITICAL")


def main() -> int:
    """Run the steps in the folder the command is started in; returns the exit status."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    fundtrail("simulate", WORLD, "--loans", 300, "--days", 60, "--seed", 3, "--misuse-share", 0.08)
    fundtrail("replay", WORLD, "--out", RESULT)
    alert = most_telling(open_alerts(RESULT / "alerts.jsonl"))
    if alert is None:
        print("demo: the made-up bank gave no alert to explain", file=sys.stderr)
        return 1
    print(f"\nThe most severe open alert whose money went the longest way is {alert.alert_id}:")
    fundtrail("explain", alert.alert_id, "--in", RESULT)
    fundtrail("report", RESULT, "--out", FOLDER / "report.html")
    print(f"\nOpen {(FOLDER / 'report.html').resolve()} in a browser.")
    return 0


def fundtrail(*arguments: object) -> None:
    """Show and run one command of this environment's fundtrail; ``CalledProcessError`` when it fails."""
    words = [str(argument) for argument in arguments]
    print(f"\n$ fundtrail {shlex.join(words)}", flush=True)
    subprocess.run([Path(sys.executable).with_name("fundtrail"), *words], check=True)


def open_alerts(file: Path) -> list[Alert]:
    """The alerts that hold at the end: of each id the highest revision, unless it withdrew the alert."""
    latest: dict[str, Alert] = {}
    for line in file.read_bytes().splitlines():
        alert = msgspec.json.decode(line, type=Alert)
        if alert.alert_id not in latest or latest[alert.alert_id].revision < alert.revision:
            latest[alert.alert_id] = alert
    return [alert for alert in latest.values() if alert.status == "OPEN"]


def most_telling(alerts: list[Alert]) -> Alert | None:
    """The most severe alert, among equals the one whose money went the longest way; None when there is none."""
    return max(alerts, key=lambda alert: (alert.hops_visible > 1, *rank(alert)), default=None)


def rank(alert: Alert) -> tuple[int, int, float, str]:
    """Orders alerts by severity, hops, score, and last by id so that the choice never depends on chance."""
    return SEVERITIES.index(alert.severity), alert.hops_visible, alert.score, alert.alert_id


if __name__ == "__main__":
    sys.exit(main())
