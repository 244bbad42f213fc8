"""Loans whose money is followed no more: their record stays until the loan is over, bounded, and what judges by it goes on."""

from __future__ import annotations

from pathlib import Path

import msgspec

from detectors.alert_record import Alert
from detectors.configuration import FoldLimits
from detectors.engine import Engine
from detectors.events import Disposition, Event, LoanDisbursement
from streams.codec import encode
from streams.scenarios.folding import configuration_of, event_of
from streams.scenarios.notation import parse_file

NOTICE = "day 200 09:00 notice firm REGISTRATION ADDED LICENCE_REVOKED\n"
ONE = "loan L1 to firm 100,000.00\n10:00 firm -> broker 60,000.00, securities\n"


def story(tmp_path: Path, text: str) -> tuple[Engine, list[Event]]:
    path = tmp_path / "case.txt"
    path.write_text(f"scenario A\n{text}", encoding="utf-8")
    (scenario,) = parse_file(path)
    events = [event_of(record) for record in scenario.records]
    assert all(isinstance(event, Event) for event in events)
    return Engine(configuration_of(scenario)), events  # type: ignore[return-value]


def alerts(tmp_path: Path, text: str, code: str = "T25", maturity: str | None = None) -> tuple[Engine, list[Alert]]:
    engine, events = story(tmp_path, text)
    said: list[Alert] = []
    for event in events:
        if isinstance(event, LoanDisbursement) and maturity is not None:
            event = msgspec.structs.replace(event, maturity_date=maturity)
        said += [alert for alert in engine.apply(event).alerts if alert.typology == code]
    return engine, said


def test_the_stated_maturity_says_how_long_a_loan_is_kept(tmp_path: Path) -> None:
    for maturity, count in (("2026-12-31", 1), ("2026-05-01", 1), ("2026-04-20", 0)):  # day 200 is 2026-07-23, 90 days later
        engine, said = alerts(tmp_path, ONE + NOTICE, maturity=maturity)
        assert (len(said), engine.counters["loans_kept"]) == (count, count), maturity


def test_a_loan_that_is_over_is_forgotten_with_its_alerts(tmp_path: Path) -> None:
    engine, _ = alerts(tmp_path, ONE + NOTICE + "day 400 10:00 tick\n", maturity="2026-12-31")
    assert engine.subject_of_alert
    engine, _ = alerts(tmp_path, ONE + NOTICE + "day 500 10:00 tick\n", maturity="2026-12-31")
    assert (engine.counters["loans_kept"], engine.subject_of_alert, engine.lending.kept_by_borrower) == (0, {}, {})


def test_without_room_no_loan_is_kept_and_beyond_it_the_oldest_goes_and_is_counted(tmp_path: Path) -> None:
    loans = "".join(f"loan L{n} to firm{n} 100,000.00\n" for n in range(4))
    events = "".join(NOTICE.replace("firm", f"firm{n}").replace("09:00", f"09:0{n}") for n in range(4))
    engine, said = alerts(tmp_path, "settings fold.kept_loans_max = 2\n" + loans + events)
    assert [alert.subject.loan_id for alert in said] == ["L2", "L3"]
    assert engine.counters["kept_loans_forgotten"] == 2
    engine, said = alerts(tmp_path, "settings fold.kept_loans_max = 0\n" + loans + events)
    assert (said, engine.counters["loans_kept"]) == ([], 0)


def test_a_kept_loan_remembers_nothing_of_the_money_s_way_but_says_where_it_was(tmp_path: Path) -> None:
    engine, _ = alerts(tmp_path, ONE + "day 92 10:00 tick\n")
    (loan,) = engine.lending.kept.values()
    assert (loan.hits, loan.related, loan.stood, loan.pending, loan.origin.payouts) == ({}, {}, {}, [], [])
    outputs = engine.apply(story(tmp_path, NOTICE)[1][0])
    (risk,) = outputs.risks
    assert (risk.state, set(risk.reasons)) == ("SUSPICIOUS", {"T01", "T25"})
    assert risk.traced["SECURITIES"].attributed_minor == 6_000_000
    assert risk.dropped_minor == {"age": 10_000_000}


def test_an_outcome_of_an_old_loan_s_alert_is_heard(tmp_path: Path) -> None:
    engine, said = alerts(tmp_path, ONE + NOTICE)
    outcome = {"event_time": "2026-07-25T10:00:00+08:00", "disposition_id": "D1", "outcome": "FALSE_POSITIVE"}
    heard = engine.apply(msgspec.convert({**outcome, "alert_id": said[0].alert_id}, Disposition))
    assert (heard.status, heard.risks[0].reasons) == ("applied", ("T01",))
    whole = {**outcome, "disposition_id": "D2", "outcome": "MISUSE_CONFIRMED", "loan_id": "L1"}
    assert engine.apply(msgspec.convert(whole, Disposition)).risks[0].state == "CONFIRMED"


def test_an_alert_about_a_group_ends_with_the_following_of_its_members(tmp_path: Path) -> None:
    circle = "10:00 firm -> a 90,000.00\n11:00 a -> b 90,000.00\n12:00 b -> c 90,000.00\n13:00 c -> a 90,000.00\n"
    engine, said = alerts(tmp_path, "loan L1 to firm 100,000.00\n" + circle + "day 92 10:00 tick\n", "T18")
    assert list(engine.lending.kept) == ["L1"]
    assert said[0].alert_id not in engine.subject_of_alert
    assert all(subject is engine.lending.kept["L1"] for subject in engine.subject_of_alert.values())


def test_a_new_loan_under_an_old_one_s_id_takes_its_place(tmp_path: Path) -> None:
    again = "day 120 09:00 loan L1 to firm 50,000.00\n"
    engine, said = alerts(tmp_path, ONE + again + NOTICE)
    assert [alert.subject.loan_amount_minor for alert in said] == [5_000_000]
    assert (list(engine.lending.loans), list(engine.lending.kept)) == (["L1"], [])


def test_a_run_split_while_a_loan_is_kept_says_the_same(tmp_path: Path) -> None:
    text = ONE + "day 100 09:00 firm repays L1 10,000.00\n" + NOTICE
    straight, events = story(tmp_path, text)
    said = [encode(straight.apply(event).alerts) for event in events]
    engine, again = Engine(straight.configuration), []
    for event in events:
        again.append(encode(engine.apply(event).alerts))
        engine = Engine.restore(engine.configuration, engine.snapshot())
    assert again == said
    assert b'"T25"' in said[-1]


def test_the_limits_have_defaults() -> None:
    limits = FoldLimits()
    assert (limits.kept_loans_max, limits.kept_days_max, limits.kept_after_maturity_days_max) == (50_000, 1_095, 90)
