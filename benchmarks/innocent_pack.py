"""The innocent pack: are honest borrowers who look like misusers left alone, and is misuse among them found?

Usage: ``python benchmarks/innocent_pack.py [--frozen benchmarks/innocent_pack.toml] [--seeds 101,102] [--loans N] [--days D]
[--errors STYLE] [--json FILE]``

For each seed two banks are made up as the frozen configuration says: one with honest borrowers only (half of them look-alikes
of the table of typologies), one with misuse mixed in. Both are replayed with the shipped settings. An alert counts when its
last revision stands.

*Eligible* is a loan of which a breach typology's misuse took at least the configured share within the configured days; every
style of it leads there in at most three payments. Recall counts eligible loans with their own typology's alert (*own*), and
with any breach alert (*any*); precision counts standing breach alerts that are on misused loans. Honest loans are everything
else, ordinary loans and renewals included. Figures of all seeds are added up.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct, convert, to_builtins
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import detection
from benchmarks.detection import Case, World
from detectors.typologies import TYPOLOGIES

FROZEN = Path(__file__).with_suffix(".toml")
BREACHES = frozenset(make.code for make in TYPOLOGIES if make.kind == "BREACH")


class Frozen(Struct, frozen=True, forbid_unknown_fields=True):
    """The configuration that was fixed before tuning."""

    loans: int
    days: int
    seeds: tuple[int, ...]
    misuse_share: float
    eligible_share_min: float
    eligible_days_max: int
    recall_target: float
    precision_target: float
    pattern_alerts_per_1000_loans_max: float


def worlds(frozen: Frozen, misuse_share: float) -> list[World]:
    """A bank for each seed, replayed."""
    return [
        detection.run(loans=frozen.loans, days=frozen.days, seed=seed, misuse_share=misuse_share, innocent_pack=True)
        for seed in frozen.seeds
    ]


def is_eligible(case: Case, frozen: Frozen) -> bool:
    """Whether a breach rule is asked to find this misuse."""
    label = case.label
    assert frozen.eligible_days_max == 7, "labels know the first week only"
    return (
        label is not None
        and label.typology in BREACHES
        and label.misused_first_week_minor >= frozen.eligible_share_min * max(1, case.risk.paid_out_minor)
    )


def innocent(cases: Sequence[Case]) -> dict[str, object]:
    """What was said of banks without any misuse."""
    breaches, patterns = _alerts(cases, "BREACH"), _alerts(cases, "PATTERN")
    styles = sorted({case.style for case in cases})
    return {
        "loans": len(cases),
        "breach_alerts": sum(breaches.values()),
        "breach_by_typology": dict(sorted(breaches.items())),
        "breach_alerts_withdrawn": sum(alert.kind == "BREACH" for case in cases for alert in case.withdrawn),
        "pattern_alerts": sum(patterns.values()),
        "pattern_by_typology": dict(sorted(patterns.items())),
        "pattern_alerts_per_1000_loans": round(1000 * sum(patterns.values()) / max(1, len(cases)), 2),
        "styles": [_style_row(style, [case for case in cases if case.style == style]) for style in styles],
    }


def _alerts(cases: Iterable[Case], kind: str) -> Counter[str]:
    return Counter(alert.typology for case in cases for alert in case.alerts if alert.kind == kind)


def _style_row(style: str, cases: Sequence[Case]) -> dict[str, object]:
    alerts = Counter(alert.typology for case in cases for alert in case.alerts)
    breach = sum(case.has_breach() for case in cases)
    return {"style": style, "loans": len(cases), "breach_alert": breach, "typologies": dict(sorted(alerts.items()))}


def mixed(cases: Sequence[Case], frozen: Frozen) -> dict[str, object]:
    """Recall and precision where misuse is mixed in."""
    eligible = [case for case in cases if is_eligible(case, frozen)]
    said = [(case, alert) for case in cases for alert in case.alerts if alert.kind == "BREACH"]
    right = sum(case.typology is not None for case, _ in said)
    return {
        "loans": len(cases),
        "misused": sum(case.typology is not None for case in cases),
        "eligible": len(eligible),
        "eligible_own_alert": sum(case.has_own() for case in eligible),
        "eligible_any_breach": sum(case.has_breach() for case in eligible),
        "recall_own": _ratio(sum(case.has_own() for case in eligible), len(eligible)),
        "recall_any": _ratio(sum(case.has_breach() for case in eligible), len(eligible)),
        "breach_alerts": len(said),
        "precision": _ratio(right, len(said)),
        "typologies": [_typology_row(make.code, cases, frozen) for make in TYPOLOGIES],
        "styles": [_misuse_row(style, cases, frozen) for style in sorted({c.style for c in cases if c.typology is not None})],
    }


def _typology_row(code: str, cases: Sequence[Case], frozen: Frozen) -> dict[str, object]:
    own = [case for case in cases if case.typology == code]
    eligible = [case for case in own if is_eligible(case, frozen)]
    alerts = [case for case in cases for alert in case.alerts if alert.typology == code]
    right = sum(case.typology is not None for case in alerts)
    return {
        "typology": code, "misused": len(own), "found": sum(case.has_own() for case in own),
        "recall": _ratio(sum(case.has_own() for case in own), len(own)), "eligible": len(eligible),
        "recall_eligible": _ratio(sum(case.has_own() for case in eligible), len(eligible)),
        "alerts": len(alerts), "precision": _ratio(right, len(alerts)),
    }  # fmt: skip


def _misuse_row(style: str, cases: Sequence[Case], frozen: Frozen) -> dict[str, object]:
    of_style = [case for case in cases if case.style == style]
    eligible = [case for case in of_style if is_eligible(case, frozen)]
    return {
        "style": style, "loans": len(of_style), "own_alert": sum(case.has_own() for case in of_style),
        "eligible": len(eligible),
        "eligible_own_alert": sum(case.has_own() for case in eligible),
        "eligible_any_breach": sum(case.has_breach() for case in eligible),
    }  # fmt: skip


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def show(figures: dict[str, dict[str, object]], frozen: Frozen) -> None:
    """Print the figures and the targets."""
    console = Console(width=120)
    for name, part in figures.items():
        for key, value in part.items():
            if isinstance(value, list):
                detection.print_table(console, f"{name}: {key}", value)
            else:
                console.print(f"{name} {key.replace('_', ' ')}: {value}")
    patterns = f"at most {frozen.pattern_alerts_per_1000_loans_max:g} pattern alerts per 1,000 loans"
    console.print(f"targets: no breach alert and {patterns} among the innocent; recall {frozen.recall_target} at precision "
                  f"{frozen.precision_target} on eligible loans")  # fmt: skip


def main(arguments: Iterable[str] | None = None) -> dict[str, dict[str, object]]:
    """Run from the command line; returns the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frozen", type=Path, default=FROZEN)
    parser.add_argument("--seeds", help="other seeds than the frozen ones, by comma")
    parser.add_argument("--loans", type=int)
    parser.add_argument("--days", type=int)
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--errors", metavar="STYLE", action="append", default=[], help="tell the errors on a style, or 'all'")
    parser.add_argument("--show", type=int, default=5, help="how many errors of each kind (default 5)")
    given = parser.parse_args(None if arguments is None else list(arguments))
    data = tomllib.loads(given.frozen.read_text(encoding="utf-8"))
    changes = {"loans": given.loans, "days": given.days, "seeds": given.seeds and [int(s) for s in given.seeds.split(",")]}
    frozen = convert(data | {name: value for name, value in changes.items() if value}, Frozen)
    honest, both = worlds(frozen, 0.0), worlds(frozen, frozen.misuse_share)
    figures = {
        "innocent": innocent([case for world in honest for case in world.cases]),
        "mixed": mixed([case for world in both for case in world.cases], frozen),
    }
    show(figures, frozen)
    styles = (
        sorted({case.style for world in (*honest, *both) for case in world.cases}) if "all" in given.errors else given.errors
    )
    for style in styles:
        for line in detection.errors([*honest, *both], style, given.show):
            print(line)
    if given.json is not None:
        kept = {"frozen": to_builtins(frozen), **figures}
        given.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return figures


if __name__ == "__main__":
    main()
