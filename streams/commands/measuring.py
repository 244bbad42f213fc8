"""What ``fundtrail evaluate`` measures: chosen by what is in the folder, and told to people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from detectors.configuration import Configuration
from streams.files.evaluate import repayment, scoring, thefts
from streams.files.evaluate.answers import TRANSACTIONS
from streams.files.evaluate.labelling import plan_of
from streams.files.inputs import InputError

SEEDS = (1, 2, 3)


class Request(NamedTuple):
    """What was asked for."""

    directory: Path
    configuration: Configuration
    labels: str = "none"
    seeds: str | None = None


class Report(NamedTuple):
    """What was measured: for ``--json``, for ``--details`` and for reading."""

    measures: Any
    details: Any
    text: str


def run(request: Request, progress: Callable[[str], None]) -> Report:
    """Measure a folder.

    Raises:
        InputError: it is none that can be measured, or the plan or the seeds cannot be read.
    """
    directory = request.directory
    if (directory / thefts.FLOWS).is_file():
        return _plainly(thefts.evaluate(directory, configuration=request.configuration))
    if (directory / repayment.LOANS).is_file():
        return _plainly(repayment.evaluate(directory, configuration=request.configuration))
    if not (directory / TRANSACTIONS).exists():
        raise InputError(
            f"{directory}: holds none of {TRANSACTIONS}, {thefts.FLOWS} and {repayment.LOANS}. Name a folder with "
            f"{TRANSACTIONS} and labels.csv (labelled payments), with {thefts.FLOWS}, {thefts.SOURCES} and {thefts.TERMINALS} "
            f"(traced thefts), or with {repayment.LOANS}, disp.asc and trans*.asc (repayment statuses)."
        )
    plan = plan_of(request.labels)
    seeds = _seeds(request.seeds, SEEDS if plan.is_random or scoring.is_seeded(request.configuration) else SEEDS[:1])
    found = scoring.evaluate(directory, configuration=request.configuration, plan=plan, seeds=seeds, progress=progress)
    return Report(found.measures, found, _told(found))


def _plainly(measures: Any) -> Report:
    return Report(measures, measures, msgspec.json.format(msgspec.json.encode(measures), indent=2).decode())


def _seeds(text: str | None, otherwise: tuple[int, ...]) -> tuple[int, ...]:
    if text is None:
        return otherwise
    try:
        seeds = tuple(int(piece) for piece in text.split(","))
    except ValueError:
        raise InputError(f"--seeds {text}: expected whole numbers with commas between them, such as 1,2,3.") from None
    if len(set(seeds)) != len(seeds):
        raise InputError(f"--seeds {text}: one stands there twice.")
    return seeds


def _told(found: scoring.Evaluated) -> str:
    """All of it as lines."""
    lines = [f"labels {found.labels}; outcomes told, by seed: {found.outcomes_told}; refused: {found.outcomes_refused}"]
    lines += list(_values("", found.measures, found.spread))
    if found.alerts_by_score is not None:
        lines += ["alerts by score opened in the measured part:", *_values("  ", found.alerts_by_score, None)]
    if found.all_loans is not None:
        lines += ["all loans, also those paid out before the measured part:", *_values("  ", found.all_loans, None)]
    if found.by_typology:
        lines.append("by typology (first seed): patterns, payments, share of payments and of patterns in the top 1 %")
    for kind, row in found.by_typology.items():
        shares = f"{row['recall_at_0.01']:>7.3f} {row['pattern_recall_at_0.01']:>7.3f}"
        lines.append(f"  {kind:<28} {row['patterns']:>5.0f} {row['payments']:>6.0f} {shares}")
    return "\n".join(lines)


def _values(indent: str, tree: dict[str, Any], spread: dict[str, Any] | None) -> list[str]:
    lines = []
    for key, value in tree.items():
        beside = spread[key] if spread is not None else None
        if isinstance(value, dict):
            lines += [f"{indent}{key}", *_values(indent + "  ", value, beside)]
            continue
        shown = "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.4f}"
        ends = f"  ({beside[0]:,.4f} .. {beside[1]:,.4f})" if isinstance(beside, tuple) and beside[0] != beside[1] else ""
        lines.append(f"{indent}{key:<34} {shown}{ends}")
    return lines
