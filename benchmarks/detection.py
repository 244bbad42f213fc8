"""What the alerts are worth on made-up banks: recall per style of misuse, alerts on honest loans, precision per typology.

Usage: ``python benchmarks/detection.py [--loans 1500] [--days 90] [--seeds 1,2,3] [--misuse-share 0.03] [--json FILE]``
       ``python benchmarks/detection.py --errors two_shells [--show 5]``

Each seed makes a bank with ordinary loans, misused ones, and twice as many honest twins; it is replayed with the shipped
settings. An alert counts when its last revision stands. *delay* is the median of hours from the first payment that misused the
loan to the alert's first revision. Loans without a label are ordinary ones, approved renewals among them; an alert on such a
loan is counted as wrong, also where a misuse was under way that the end of time prevented.

``--errors`` takes a style (or ``ordinary``) and prints standing alerts that are wrong and misused loans without their alert.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
from rich.console import Console
from rich.table import Table

from detectors.alert_record import Alert, LoanRisk
from detectors.typologies import TYPOLOGIES
from streams.files.replay import replay
from streams.files.results import ALERTS, LOAN_RISK, Summary
from streams.settings import load_settings
from streams.simulate.plot import Label
from streams.simulate.world import ORDINARY, STYLES, simulate

MISUSE = [name for name, style in STYLES.items() if style.typology is not None]
HONEST = [name for name, style in STYLES.items() if style.typology is None] + [ORDINARY]
ACCOUNT_DAYS_UNIT = 1_000


class Case(NamedTuple):
    """One loan, the truth about it, and what was said of it."""

    loan_id: str
    style: str
    label: Label | None  # None: an ordinary loan
    risk: LoanRisk
    alerts: list[Alert]  # standing, at their last revision
    first_times: dict[str, str]  # typology -> scored time of its first revision
    withdrawn: list[Alert]  # raised, and withdrawn since

    @property
    def typology(self) -> str | None:
        """What its alert should be; None: there should be none."""
        return self.label.typology if self.label is not None else None

    def has_own(self) -> bool:
        """Whether the alert that should stand does."""
        return any(alert.typology == self.typology for alert in self.alerts)

    def has_breach(self) -> bool:
        """Whether an alert says that a rule was broken."""
        return any(alert.kind == "BREACH" for alert in self.alerts)

    def delay_hours(self) -> float | None:
        """From the first payment of the misuse to the alert; negative when the alert came before it."""
        first = self.first_times.get(self.typology or "")
        if first is None or self.label is None or self.label.first_misuse_time is None:
            return None
        happened = datetime.fromisoformat(self.label.first_misuse_time)
        return (datetime.fromisoformat(first) - happened).total_seconds() / 3600


class World(NamedTuple):
    """One bank, replayed."""

    cases: list[Case]
    accounts: int  # that the bank has records of
    days: int
    summary: Summary


def run(*, loans: int, days: int, seed: int, misuse_share: float, innocent_pack: bool = False) -> World:
    """Make a bank up, replay it, and join alerts with labels."""
    with tempfile.TemporaryDirectory(prefix="fundtrail-") as name:
        topics, out = Path(name) / "topics", Path(name) / "out"
        simulate(topics, loans=loans, days=days, seed=seed, misuse_share=misuse_share, innocent_pack=innocent_pack)
        summary = replay([topics], out, load_settings())
        labels = {label.loan_id: label for label in _lines(topics / "labels.jsonl", Label)}
        accounts = len({row.account_id for row in _lines(topics / "account-transactions.jsonl", _Seen)})
        return World(list(_cases(out, labels)), accounts, days, summary)


class _Seen(msgspec.Struct):
    account_id: str


def _lines(path: Path, kind: type[msgspec.Struct]) -> Iterator:  # type: ignore[type-arg]
    with path.open("rb") as lines:
        yield from map(msgspec.json.Decoder(kind).decode, lines)


def _cases(out: Path, labels: dict[str, Label]) -> Iterator[Case]:
    """Each loan with its alerts; an alert about a group is one of each member."""
    alerts: dict[str, dict[str, Alert]] = defaultdict(dict)
    first: dict[str, dict[str, str]] = defaultdict(dict)
    for alert in _lines(out / ALERTS, Alert):
        for loan_id in (alert.subject.loan_id, *(member.loan_id for member in alert.subject.members)):
            alerts[loan_id or ""][alert.alert_id] = alert
            first[loan_id or ""].setdefault(alert.typology, alert.scored_time)
    for loan_id, risk in {risk.loan_id: risk for risk in _lines(out / LOAN_RISK, LoanRisk)}.items():
        label = labels.get(loan_id)
        last = alerts[loan_id].values()
        standing = [alert for alert in last if alert.status == "OPEN"]
        withdrawn = [alert for alert in last if alert.status == "WITHDRAWN"]
        yield Case(loan_id, label.style if label is not None else ORDINARY, label, risk, standing, first[loan_id], withdrawn)


# --- measures -----------------------------------------------------------------------------------------------------------


def measures(worlds: Sequence[World]) -> dict[str, object]:
    """All figures, as plain data."""
    cases = [case for world in worlds for case in world.cases]
    standing = sum(len({alert.alert_id for case in world.cases for alert in case.alerts}) for world in worlds)
    account_days = sum(world.accounts * world.days for world in worlds)
    return {
        "loans": len(cases),
        "standing_alerts": standing,
        "withdrawn_alerts": sum(world.summary.withdrawn for world in worlds),
        "alerts_per_1000_loans": round(1000 * standing / max(1, len(cases)), 2),
        "alerts_per_1000_account_days": round(ACCOUNT_DAYS_UNIT * standing / max(1, account_days), 4),
        "misuse": [_misuse_row(style, cases) for style in MISUSE],
        "misuse_together": _misuse_row("all", cases),
        "honest": [_honest_row(style, cases) for style in HONEST],
        "typologies": [_typology_row(make.code, cases) for make in TYPOLOGIES],
    }


def _misuse_row(style: str, cases: Sequence[Case]) -> dict[str, object]:
    of_style = [case for case in cases if case.typology is not None and style in ("all", case.style)]
    delays = [hours for case in of_style if (hours := case.delay_hours()) is not None]
    return {
        "style": style,
        "typologies": sorted({case.typology or "" for case in of_style}),
        "loans": len(of_style),
        "own_alert": sum(case.has_own() for case in of_style),
        "any_alert": sum(bool(case.alerts) for case in of_style),
        "delay_hours_median": round(statistics.median(delays), 1) if delays else None,
    }


def _honest_row(style: str, cases: Sequence[Case]) -> dict[str, object]:
    of_style = [case for case in cases if case.style == style]
    return {
        "style": style,
        "loans": len(of_style),
        "breach_alert": sum(case.has_breach() for case in of_style),
        "any_alert": sum(bool(case.alerts) for case in of_style),
        "typologies": dict(sorted(Counter(alert.typology for case in of_style for alert in case.alerts).items())),
    }


def _typology_row(code: str, cases: Sequence[Case]) -> dict[str, object]:
    said = [(case, alert) for case in cases for alert in case.alerts if alert.typology == code]
    severe = [(case, alert) for case, alert in said if alert.severity in ("HIGH", "CRITICAL")]
    return {
        "typology": code,
        "alerts": len(said),
        "on_misused_loans": sum(case.typology is not None for case, _ in said),
        "on_its_own_misuse": sum(case.typology == code for case, _ in said),
        "severe": len(severe),
        "severe_on_misused_loans": sum(case.typology is not None for case, _ in severe),
    }


def show(figures: dict[str, object]) -> None:
    """Print the tables."""
    console = Console(width=110)
    print_table(console, "Misuse: alerts that stand, by style", figures["misuse"] + [figures["misuse_together"]])  # type: ignore[operator]
    print_table(console, "Honest loans: alerts that stand, by style", figures["honest"])
    print_table(console, "Precision by typology", figures["typologies"])
    for name in ("loans", "standing_alerts", "withdrawn_alerts", "alerts_per_1000_loans", "alerts_per_1000_account_days"):
        console.print(f"{name.replace('_', ' ')}: {figures[name]}")


def print_table(console: Console, title: str, rows: object) -> None:
    """Print rows of one shape; counts with their share of the whole."""
    assert isinstance(rows, list)
    if not rows:
        return
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="left" if name in ("style", "typology", "typologies") else "right")
    for row in rows:
        table.add_row(*(_cell(name, value, row) for name, value in row.items()))
    console.print(table)


def _cell(name: str, value: object, row: dict[str, object]) -> str:
    whole = row["loans"] if name in ("own_alert", "breach_alert", "any_alert") else row.get("alerts")
    if name == "severe_on_misused_loans":
        whole = row["severe"]
    if isinstance(value, dict):
        return " ".join(f"{key}:{count}" for key, count in value.items())
    if isinstance(value, list):
        return " ".join(value)
    is_part = name.startswith("on_") or name.endswith(("_alert", "_loans"))
    if is_part and isinstance(value, int) and isinstance(whole, int) and whole:
        return f"{value} ({100 * value / whole:.1f} %)"
    return "" if value is None else str(value)


# --- errors -------------------------------------------------------------------------------------------------------------


def errors(worlds: Sequence[World], style: str, at_most: int) -> Iterator[str]:
    """Wrong alerts on loans of a style, and loans of it whose alert is missing, in words."""
    cases = [case for world in worlds for case in world.cases if case.style == style]
    wrong = [(case, alert) for case in cases for alert in case.alerts if alert.typology != case.typology]
    yield f"{style}: {len(wrong)} wrong alerts"
    for case, alert in wrong[:at_most]:
        yield from _alert_lines(case, alert)
    missed = [case for case in cases if case.typology is not None and not case.has_own()]
    yield f"{style}: {len(missed)} loans without their alert"
    for case in missed[:at_most]:
        yield from _miss_lines(case)


def _alert_lines(case: Case, alert: Alert) -> Iterator[str]:
    loan = alert.subject.loan_amount_minor or 1
    yield f"  {alert.alert_id} {alert.typology} {alert.severity} loan {case.loan_id}: {alert.sentence_en}"
    shares = (alert.traced_min_minor, alert.traced_fifo_minor, alert.traced_estimate_minor, alert.traced_max_minor)
    figures = zip(("certain", "fifo", "attributed", "possible"), shares, strict=True)
    yield "    " + " ".join(f"{name} {minor / loan:.0%}" for name, minor in figures)
    yield f"    tested: {'; '.join(f'{test.name} {test.result} ({test.detail})' for test in alert.look_alikes)}"
    yield from (f"    {step.event_time} {step.payer} -> {step.payee} {step.amount_minor} {step.use}" for step in alert.path[:6])


def _miss_lines(case: Case) -> Iterator[str]:
    label, risk = case.label, case.risk
    assert label is not None
    paid = max(1, risk.paid_out_minor)
    left = {place: f"{minor / paid:.0%}" for place, minor in risk.left_minor.items()}
    misused = f"misused {label.misused_minor / paid:.0%} from {label.first_misuse_time}"
    yield f"  loan {case.loan_id} of {risk.paid_out_minor}: {misused}"
    dropped = {limit: f"{minor / paid:.0%}" for limit, minor in risk.dropped_minor.items()}
    yield f"    held {risk.held_minor / paid:.0%}, left {left}, dropped {dropped}, payments {' '.join(label.txn_ids)}"
    yield f"    other alerts: {' '.join(alert.typology for alert in case.alerts) or 'none'}"


def main(arguments: Iterable[str] | None = None) -> dict[str, object]:
    """Run from the command line; returns the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loans", type=int, default=1500, help="per bank (default 1500)")
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--seeds", default="1,2,3", help="one bank each, by comma")
    parser.add_argument("--misuse-share", type=float, default=0.03)
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument(
        "--errors", metavar="STYLE", action="append", default=[], help="tell the errors on a style, or 'ordinary'"
    )
    parser.add_argument("--show", type=int, default=5, help="how many errors of each kind (default 5)")
    given = parser.parse_args(None if arguments is None else list(arguments))
    seeds = [int(seed) for seed in given.seeds.split(",")]
    worlds = [run(loans=given.loans, days=given.days, seed=seed, misuse_share=given.misuse_share) for seed in seeds]
    figures = measures(worlds)
    show(figures)
    for style in given.errors:
        for line in errors(worlds, style, given.show):
            print(line)
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return figures


if __name__ == "__main__":
    main()
