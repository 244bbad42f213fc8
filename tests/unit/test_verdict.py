"""Weighing: ratios along the way, habits, and what the sentences and details of a verdict say."""

from __future__ import annotations

from pathlib import Path

import pytest

from detectors.alert_record import Alert
from detectors.verdict import CHAIN_HOURS_MAX
from streams.scenarios.folding import fold
from streams.scenarios.notation import parse_file


def last_alert(tmp_path: Path, text: str, code: str = "T01") -> Alert | None:
    path = tmp_path / "case.txt"
    path.write_text(f"list broker SECURITIES_FIRM\nscenario A\n{text}", encoding="utf-8")
    return fold(parse_file(path)[0]).latest(code, "L1")


WAY = (
    "account shell has {savings}\nloan L1 to alice 100,000.00\n10:00 alice -> shell 90,000.00\n{at} shell -> broker {amount}\n"
)


@pytest.mark.parametrize(
    ("savings", "at", "amount", "raised"),
    [
        ("500,000.00", "11:00", "90,000.00", True),  # all of it at once
        ("500,000.00", "11:00", "76,500.00", True),  # 0.85 of it
        ("500,000.00", "11:00", "76,499.00", False),  # below 0.85: the shell's own savings may have paid
        ("500,000.00", "11:00", "105,890.00", False),  # 90,000 is below 0.85 of it
        ("500,000.00", "day 4 10:00", "90,000.00", True),  # after 72 hours exactly
        ("500,000.00", "day 4 10:01", "90,000.00", False),
        ("0.00", "day 4 10:01", "80,000.00", True),  # without savings the money is certain, whenever it goes
    ],
)
def test_the_way_speaks_when_like_amounts_move_on_in_time(
    tmp_path: Path, savings: str, at: str, amount: str, raised: bool
) -> None:
    assert CHAIN_HOURS_MAX == 72
    assert (last_alert(tmp_path, WAY.format(savings=savings, at=at, amount=amount)) is not None) is raised


def test_a_late_small_payment_does_not_silence_a_way_that_spoke(tmp_path: Path) -> None:
    text = WAY.format(savings="500,000.00", at="11:00", amount="80,000.00") + "day 8 10:00 shell -> broker 5,000.00\n"
    alert = last_alert(tmp_path, text)
    assert alert is not None
    assert alert.status == "OPEN"


@pytest.mark.parametrize(
    ("amount", "severity"), [("9,999.99", None), ("10,000.00", "HIGH"), ("49,999.99", "HIGH"), ("50,000.00", "CRITICAL")]
)
def test_the_certain_share_makes_the_severity(tmp_path: Path, amount: str, severity: str | None) -> None:
    alert = last_alert(tmp_path, f"loan L1 to alice 100,000.00\n10:00 alice -> broker {amount}\n")
    assert (alert.severity if alert else None) == severity


def test_figures_are_ordered_and_shares_follow_from_them(tmp_path: Path) -> None:
    alert = last_alert(tmp_path, "account alice has 20,000.00\nloan L1 to alice 100,000.00\n10:00 alice -> broker 90,000.00\n")
    assert alert is not None
    assert (alert.traced_min_minor, alert.traced_estimate_minor, alert.traced_max_minor) == (7_000_000, 9_000_000, 9_000_000)
    measures = {measure.name: measure.observed for measure in alert.measures}
    assert measures["share_of_loan_certain"] == 0.7
    assert measures["share_of_loan_attributed"] == 0.9
    assert alert.score == pytest.approx(sum(item.added for item in alert.contributions), abs=1e-4)


def test_an_alert_speaks_of_money_as_people_write_it(tmp_path: Path) -> None:
    alert = last_alert(tmp_path, "loan L1 to alice 100,000.00\n10:00 alice -> broker 90,000.00\n")
    assert alert is not None
    texts = [item.detail for item in alert.look_alikes]
    assert "at least CNY 90,000.00 cannot have been other money" in texts[0]
    assert not any("minor units" in text or "9000000" in text for text in texts)


def test_balances_of_accounts_elsewhere_are_not_mentioned(tmp_path: Path) -> None:
    account = "account shop unknown balance\nloan L1 to alice 100,000.00\n"
    alert = last_alert(tmp_path, account + "10:00 alice -> shop 1,000.00\n11:00 alice -> broker 90,000.00\n")
    assert alert is not None
    assert alert.bounds_rest_on == ("all balances on the way known",)
