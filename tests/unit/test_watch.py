"""`fundtrail watch` tells each alert in one line and a sentence, filters, and is not fooled by what stands in the data."""

from __future__ import annotations

import msgspec
import pytest
from rich.text import Text

from detectors.alert_record import Alert
from streams.live.log import Stored
from streams.people.watch import Filter, alert_text, seen
from tests.unit.people_sample import hostile, sample_alerts, securities_over_two_shells, withdrawn_after_reversal


def stored(offset: int, alert: Alert, generation: str = "1-a") -> tuple[int, Stored]:
    return 0, Stored(offset, 0, b"k", msgspec.json.encode(alert), (("fundtrail-generation", generation.encode()),))


def shown(wanted: Filter) -> list[Alert]:
    return [one.alert for one in seen([stored(n, alert) for n, alert in enumerate(sample_alerts())], wanted) if one.alert]


def struck(text: Text) -> str:
    return "".join(text.plain[span.start : span.end] for span in text.spans if "strike" in str(span.style))


def test_an_alert_is_a_line_and_its_sentence() -> None:
    first, second = securities_over_two_shells()[:2]
    line, sentence = alert_text(second, 480).plain.split("\n")
    assert sentence.strip() == second.sentence_en
    for part in (second.severity, "T01", str(second.subject.loan_id), second.alert_id, "revision 2", "certain CNY"):
        assert part in line
    assert "revision" not in alert_text(first, 480).plain.split("\n")[0]


def test_what_is_withdrawn_is_struck_and_says_so_without_colour_too() -> None:
    text = alert_text(withdrawn_after_reversal()[-1], 480)
    assert "WITHDRAWN" in text.plain
    assert withdrawn_after_reversal()[-1].sentence_en in struck(text)
    assert struck(alert_text(securities_over_two_shells()[0], 480)) == ""


def test_data_cannot_act_on_the_terminal() -> None:
    assert not set(alert_text(hostile(), 480).plain) & set("\x1b\x07\u202e\r\t")
    assert alert_text(hostile(), 480).plain.count("\n") == 1


@pytest.mark.parametrize("severity", ["CRITICAL", "HIGH", "MEDIUM", "LOW"])
def test_a_severity_asks_for_this_grave_or_graver(severity: str) -> None:
    order = ["CRITICAL", "HIGH", "MEDIUM", "LOW"]
    found = {alert.severity for alert in shown(Filter(severity=severity))}
    assert found == {alert.severity for alert in sample_alerts()} & set(order[: order.index(severity) + 1])


def test_filters_ask_together() -> None:
    alert = securities_over_two_shells()[0]
    loan = str(alert.subject.loan_id)
    assert {found.subject.loan_id for found in shown(Filter(loans=frozenset({loan})))} == {loan}
    assert shown(Filter(loans=frozenset({loan}), typologies=frozenset({"T09"}))) == []
    assert shown(Filter(customers=frozenset({"nobody"}))) == []
    assert len(shown(Filter())) == len(sample_alerts())


def test_another_generation_and_what_is_no_alert_are_told_between_the_alerts() -> None:
    alert = securities_over_two_shells()[0]
    noise = (0, Stored(2, 0, None, b"noise", (("fundtrail-generation", b"1-b"),)))
    found = list(seen([stored(0, alert), stored(1, alert, "1-b"), noise], Filter()))
    assert [one.alert is not None for one in found] == [True, False, True, False]
    assert "1-b" in found[1].news
    assert "offset 2" in found[3].news
