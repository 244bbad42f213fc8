"""Alert economy: the allow list, the budget of patterns, rest after an innocent outcome, revisions that wait."""

from __future__ import annotations

from pathlib import Path

from detectors.alert_record import Alert
from detectors.engine import Engine
from streams.scenarios.folding import Folding, configuration_of, events_of, fold
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


# --- revisions, no sooner than they are wanted --------------------------------------------------------------------------

UNSURE = "account m unknown balance\nloan L1 to a 1,000.00\n10:00 a -> m 400.00\n10:10 m -> broker 400.00, securities\n"
"""A breach of which nothing is certain, because nobody knows what the mule had."""
MORE = "11:00 a -> m 300.00\n11:10 m -> broker 300.00, securities\n"


def figures(told: Folding, code: str = "T01") -> list[tuple[int, str, int, int]]:
    return [(a.revision, a.scored_time[5:16], a.traced_min_minor, a.traced_estimate_minor) for a in of(told, code)]


def test_a_revision_that_makes_nothing_surer_waits_a_day_and_is_said_then(tmp_path: Path) -> None:
    first = (1, "01-05T02:10", 0, 40_000)
    waiting = folded(tmp_path, UNSURE + MORE + "day 2 10:05 tick\n")
    assert figures(waiting) == [first]
    assert {alert.typology for alert in waiting.alerts} == {"T01", "T12"}
    assert waiting.engine.counters["revisions_too_soon"] == 2, "one of each alert"
    later = "day 2 10:11 tick\nday 2 10:20 tick\nday 9 10:00 tick\n"
    assert figures(folded(tmp_path, UNSURE + MORE + later)) == [first, (2, "01-06T02:11", 0, 70_000)]


def test_what_happens_while_a_revision_waits_is_said_once(tmp_path: Path) -> None:
    told = folded(tmp_path, UNSURE + MORE + MORE.replace("11:", "12:").replace("300", "200") + "day 2 10:11 tick\n")
    assert [estimate for _, _, _, estimate in figures(told)] == [40_000, 90_000]
    assert told.engine.counters["revisions_too_soon"] == 2, "one of T01 and one of T12, however often it was judged"


def test_how_long_revisions_wait_is_configured(tmp_path: Path) -> None:
    assert len(figures(folded(tmp_path, settings(revise_hours_min=0) + UNSURE + MORE))) == 2


def test_what_is_surer_than_before_is_said_at_once(tmp_path: Path) -> None:
    known = "account m has 0.00\naccount a has 500.00\nloan L1 to a 1,000.00\n"
    buys = [f"{10 + n}:00 a -> broker {amount}.00, securities\n" for n, amount in enumerate((750, 90, 90))]
    said = figures(folded(tmp_path, known + "".join(buys)))
    assert [certain for _, _, certain, _ in said] == [25_000, 43_000], "a tenth of the loan more is certain, in two steps"
    held = folded(tmp_path, settings(revise_sooner_share_min=0.5) + known + "".join(buys))
    assert len(figures(held)) == 1
    assert held.engine.counters["revisions_too_soon"] == 1


def test_what_is_severer_than_before_is_said_at_once(tmp_path: Path) -> None:
    known = settings(revise_sooner_share_min=1) + "account a has 500.00\nloan L1 to a 1,000.00\n"
    told = folded(tmp_path, known + "10:00 a -> broker 800.00, securities\n11:00 a -> broker 250.00, securities\n")
    assert [alert.severity for alert in of(told, "T01")] == ["HIGH", "CRITICAL"]


def test_a_withdrawal_never_waits(tmp_path: Path) -> None:
    text = UNSURE.replace("securities\n", "securities, as bought\n") + "10:30 reverse bought\n"
    assert [alert.status for alert in of(folded(tmp_path, text), "T01")] == ["OPEN", "WITHDRAWN"]


def test_a_waiting_revision_is_in_the_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "case.txt"
    path.write_text(f"scenario A\n{UNSURE}{MORE}day 2 10:11 tick\n", encoding="utf-8")
    (scenario,) = parse_file(path)
    events = list(events_of(scenario))
    engine = Engine(configuration_of(scenario))
    for event in events[:-1]:
        engine.apply(event)
    restored = Engine.restore(engine.configuration, engine.snapshot())
    straight, again = (one.apply(events[-1]).alerts for one in (engine, restored))
    assert [alert.revision for alert in straight if alert.typology == "T01"] == [2]
    assert straight == again
