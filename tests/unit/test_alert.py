"""Alerts: ids, revisions, sentences, paths, the digest of the evidence."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from detectors.alert import alert_id, evidence_digest
from detectors.alert_record import Alert
from detectors.instants import rfc3339
from streams.scenarios.folding import SHIPPED, Folding, fold
from streams.scenarios.notation import parse_file

BUY = "loan L1 to alice 100,000.00\n10:00 alice -> mule 90,000.00\n10:30 mule -> broker 60,000.00\n"


def folded(tmp_path: Path, text: str) -> Folding:
    path = tmp_path / "case.txt"
    path.write_text(f"list broker SECURITIES_FIRM\nscenario A\n{text}", encoding="utf-8")
    return fold(parse_file(path)[0])


def alerts(tmp_path: Path, text: str, code: str = "T01") -> list[Alert]:
    return [alert for alert in folded(tmp_path, text).alerts if alert.typology == code]


def test_an_id_hangs_on_the_loan_and_the_typology_only() -> None:
    assert alert_id("L1", "T01") == alert_id("L1", "T01")
    assert len({alert_id("L1", "T01"), alert_id("L2", "T01"), alert_id("L1", "T02")}) == 3


def test_small_changes_are_withheld_and_counted(tmp_path: Path) -> None:
    told = folded(tmp_path, BUY + "10:31 mule -> broker 9,000.00\n")
    assert [alert.revision for alert in told.alerts if alert.typology == "T01"] == [1]
    assert told.engine.counters["revisions_withheld"] == 1


def test_a_change_of_a_tenth_of_the_loan_is_a_revision(tmp_path: Path) -> None:
    first, second = alerts(tmp_path, BUY + "10:31 mule -> broker 10,000.00\n")
    assert (first.alert_id, second.revision) == (second.alert_id, 2)
    assert second.traced_estimate_minor == 7_000_000


def test_small_changes_add_up_to_a_revision(tmp_path: Path) -> None:
    told = alerts(tmp_path, BUY + "10:31 mule -> broker 6,000.00\n10:32 mule -> broker 6,000.00\n")
    assert [alert.traced_estimate_minor for alert in told] == [6_000_000, 7_200_000]


def test_the_path_is_the_way_of_the_money_in_order(tmp_path: Path) -> None:
    (alert,) = alerts(tmp_path, BUY)
    assert [(step.hop, step.payer, step.payee) for step in alert.path] == [
        (1, "alice", "mule"),
        (2, "mule", "broker (of mule)"),
    ]
    assert [step.traced_minor for step in alert.path] == [6_000_000, 6_000_000]
    assert alert.hops_visible == 2
    assert alert.path_steps_left_out == 0


def test_a_long_path_is_cut_to_what_carried_most_and_says_so(tmp_path: Path) -> None:
    payments = "".join(f"10:{minute:02d} alice -> broker {1_000 + minute}.00\n" for minute in range(60))
    told = alerts(tmp_path, "settings alerts.path_steps_max = 5\nloan L1 to alice 100,000.00\n" + payments)
    assert len(told[-1].path) == 5
    assert told[-1].path_steps_left_out > 0
    assert [step.event_time for step in told[-1].path] == sorted(step.event_time for step in told[-1].path)


@pytest.mark.parametrize(
    ("move", "code", "left"),
    [
        ("alice -> broker 90,000.00", "T01", True),
        ("alice -> cash 90,000.00", "T09", True),
        ("alice repays L0 90,000.00", "T08", False),
        ("alice -> fund 90,000.00, wealth", "T02", False),
    ],
)
def test_money_has_left_the_bank_where_its_records_end(tmp_path: Path, move: str, code: str, left: bool) -> None:
    (alert,) = alerts(tmp_path, f"loan L1 to alice 100,000.00\n10:00 {move}\n", code)
    assert alert.left_bank is left


@pytest.mark.parametrize(
    ("at", "english", "chinese"),
    [
        ("09:00", "within 1 minute of the payout", "放款后1分钟内"),
        ("09:40", "within 40 minutes of the payout", "放款后40分钟内"),
        ("10:00", "within 1 hour of the payout", "放款后1小时内"),
        ("10:01", "within 2 hours of the payout", "放款后2小时内"),
        ("day 4 09:00", "within 72 hours of the payout", "放款后72小时内"),
        ("day 4 10:00", "within 4 days of the payout", "放款后4天内"),
    ],
)
def test_a_sentence_never_says_sooner_than_it_was(tmp_path: Path, at: str, english: str, chinese: str) -> None:
    (alert,) = alerts(tmp_path, f"loan L1 to alice 100,000.00\n{at} alice -> broker 90,000.00\n")
    assert english in alert.sentence_en
    assert chinese in alert.sentence_zh


def test_the_sentence_is_whole_in_both_languages(tmp_path: Path) -> None:
    (alert,) = alerts(tmp_path, BUY)
    assert alert.sentence_en == (
        "Of loan L1 (CNY 100,000.00) of alice, CNY 60,000.00 (60%) went to securities or futures accounts, within 2 hours of "
        "the payout, in 1 payment through 1 account in between; all of it for certain."
    )
    assert alert.sentence_zh == (
        "客户alice的借据L1（CNY 100,000.00）放款后2小时内，CNY 60,000.00（60%）流向证券/期货账户，"
        "共1笔支付，中间经过1个账户；全部金额均可确定。"
    )


def test_a_borrower_whom_nobody_names_is_said_to_be_unnamed(tmp_path: Path) -> None:
    (alert,) = alerts(tmp_path, "account a owner not stated\nloan L1 to a 100,000.00\n10:00 a -> broker 90,000.00\n")
    assert "of an unnamed customer" in alert.sentence_en
    assert "客户（未载明）" in alert.sentence_zh


def test_the_digest_changes_with_the_evidence(tmp_path: Path) -> None:
    (alert,) = alerts(tmp_path, BUY)
    assert evidence_digest(alert) == alert.evidence_digest
    assert evidence_digest(msgspec.structs.replace(alert, traced_min_minor=1)) != alert.evidence_digest
    assert evidence_digest(msgspec.structs.replace(alert, path=alert.path[1:])) != alert.evidence_digest


def test_earlier_alerts_of_the_customer_are_named(tmp_path: Path) -> None:
    told = folded(tmp_path, BUY + "day 2 09:00 loan L2 to alice 100,000.00\n10:00 alice -> broker 90,000.00\n")
    last = told.latest("T01", "L2")
    assert last is not None
    assert alert_id("L1", "T01") in last.prior_alerts
    assert last.alert_id not in last.prior_alerts


def test_a_percentile_needs_enough_scores(tmp_path: Path) -> None:
    loans = "".join(
        f"day {day} 09:00 loan L{day} to a{day} 100,000.00\n10:00 a{day} -> broker {20_000 + day * 1_000}.00\n"
        for day in range(1, 26)
    )
    told = folded(tmp_path, loans).alerts
    known = [alert.score_percentile for alert in told]
    assert known[: SHIPPED.alerts.percentile_scores_min] == [None] * SHIPPED.alerts.percentile_scores_min
    assert known[-1] == 100.0


def test_no_customer_is_to_be_contacted_before_a_review(tmp_path: Path) -> None:
    (alert,) = alerts(tmp_path, BUY)
    assert alert.no_customer_contact_before_review is True
    assert alert.recommended_checks
    assert "after review" in " ".join(alert.recommended_measures)


def test_times_are_utc_with_milliseconds() -> None:
    assert rfc3339(1_767_578_400_123) == "2026-01-05T02:00:00.123Z"
