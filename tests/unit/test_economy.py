"""Alert economy: the allow list, the budget of patterns, rest after an innocent outcome."""

from __future__ import annotations

from pathlib import Path

from detectors.alert_record import Alert
from streams.scenarios.folding import Folding, fold
from streams.scenarios.notation import parse_file

MULE = "account m{0} seen before\nloan L{0} to a{0} 1,000.00\n10:00 a{0} -> m{0} 900.00\n11:00 m{0} -> x{0} 900.00\n"


def folded(tmp_path: Path, text: str) -> Folding:
    path = tmp_path / "case.txt"
    path.write_text(f"scenario A\n{text}", encoding="utf-8")
    return fold(parse_file(path)[0])


def of(folding: Folding, code: str) -> list[Alert]:
    return [alert for alert in folding.alerts if alert.typology == code]


def settings(**values: int | float) -> str:
    return "".join(f"settings alerts.{name} = {value}\n" for name, value in values.items())


def test_patterns_beyond_the_budget_are_not_said_and_counted(tmp_path: Path) -> None:
    text = settings(budget_alerts_min=1, budget_per_1000_loans=1) + "".join(MULE.format(number) for number in range(3))
    told = folded(tmp_path, text)
    assert len(of(told, "T12")) == 1
    assert told.engine.counters["alerts_over_budget"] == 2


def test_the_budget_is_renewed_with_time(tmp_path: Path) -> None:
    text = settings(budget_alerts_min=1, budget_per_1000_loans=1, budget_days=30)
    text += MULE.format(1) + "day 32 09:00 " + MULE.format(2).split("\n", 1)[1]
    assert len(of(folded(tmp_path, text), "T12")) == 2


def test_the_budget_grows_with_the_loans(tmp_path: Path) -> None:
    text = settings(budget_alerts_min=1, budget_per_1000_loans=1000) + "".join(MULE.format(number) for number in range(3))
    assert len(of(folded(tmp_path, text), "T12")) == 3


def test_a_breach_passes_whatever_the_budget(tmp_path: Path) -> None:
    text = settings(budget_alerts_min=1, budget_per_1000_loans=1)
    text += "".join(f"loan L{n} to a{n} 1,000.00\n10:00 a{n} -> broker 900.00, securities\n" for n in range(3))
    assert len(of(folded(tmp_path, text), "T01")) == 3


def test_an_allowed_counterparty_lowers_a_pattern_to_low_and_the_alert_says_so(tmp_path: Path) -> None:
    plain = of(folded(tmp_path, MULE.format(1)), "T12")[-1]
    allowed = of(folded(tmp_path, "account x1\nlist x1 ALLOW\n" + MULE.format(1)), "T12")[-1]
    assert (plain.severity, allowed.severity) == ("MEDIUM", "LOW")
    assert allowed.score == round(plain.score / 2, 4)
    assert abs(sum(item.added for item in allowed.contributions) - allowed.score) < 1e-6
    assert [item.result for item in allowed.look_alikes if item.name == "allow_list"] == ["NOT_EXCLUDED"]


def test_an_allow_entry_never_silences_a_breach(tmp_path: Path) -> None:
    text = "list broker ALLOW\nlist broker SECURITIES_FIRM\nloan L1 to a 1,000.00\n10:00 a -> broker 900.00\n"
    (alert,) = of(folded(tmp_path, text), "T01")
    assert alert.severity == "CRITICAL"
    assert "allow_list" in [item.name for item in alert.look_alikes]


def test_an_allow_entry_expires(tmp_path: Path) -> None:
    text = "account x1\nlist x1 ALLOW until day 2\n" + MULE.format(1).replace("11:00", "day 2 09:30")
    (alert,) = of(folded(tmp_path, text), "T12")
    assert alert.severity == "MEDIUM"


def test_a_pattern_found_innocent_rests(tmp_path: Path) -> None:
    more = "12:00 a1 -> m1 100.00\n13:00 m1 -> x1 100.00\n"
    assert len(of(folded(tmp_path, MULE.format(1) + more), "T12")) == 2
    told = folded(tmp_path, MULE.format(1) + "outcome T12 of L1 FALSE_POSITIVE\n" + more)
    assert len(of(told, "T12")) == 1
    assert told.engine.counters["revisions_resting"] == 1
