"""Every metric stands in the metrics page and in no rule under another name."""

from __future__ import annotations

import re
from pathlib import Path

from streams.live.metrics import LABELLED, OF_BOOK, OF_DETECT, OF_INTAKE

REPOSITORY = Path(__file__).parents[2]
NAMES = {described.name for described in (*OF_INTAKE, *OF_DETECT, *OF_BOOK)} | set(LABELLED)
NAMED = re.compile(r"\bfundtrail_[a-z_]+\b")


def named_in(text: str) -> set[str]:
    """Metrics a text speaks of; a histogram's parts count as the histogram."""
    return {name.removesuffix("_bucket") for name in NAMED.findall(text)}


def test_every_metric_is_documented_and_no_other() -> None:
    assert named_in((REPOSITORY / "docs" / "metrics.md").read_text(encoding="utf-8")) == NAMES


def test_alert_rules_speak_of_metrics_that_there_are() -> None:
    rules = (REPOSITORY / "deploy" / "prometheus" / "fundtrail.yml").read_text(encoding="utf-8")
    assert named_in(rules) <= NAMES and named_in(rules)
