"""`fundtrail diff` names every alert that two runs say differently, what differs in it, and the keys that can be why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from detectors.alert_record import Alert
from streams.cli import app
from streams.commands.leaving import DIFFERENT, DONE, WRONG_USE
from streams.files.changes import changes, told
from streams.files.diff import diff
from streams.files.effective import ABSENT, effective, effective_json, key_differences
from streams.files.runs import Run, RunMistake, by_id, read_run
from streams.people.difference import lines
from streams.settings import load_settings
from tests.unit.feed_sample import jsonl, misused_loans, write
from tests.unit.people_sample import sample_alerts, securities_over_two_shells

RUNNER = CliRunner()
RULES = """
rule_set_id = "cn-2024"
version = "2"
effective_from = "2024-07-01"
[T01]
share_min = 0.99
"""


def run_of(*alerts: Alert, **more: Any) -> Run:
    return Run("run", by_id(alerts), more.pop("digest", "same"), **more)


def changed(alert: Alert, **fields: Any) -> Alert:
    return msgspec.structs.replace(alert, **fields)


def said(*arguments: object) -> tuple[int, str, str]:
    result = RUNNER.invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def alert() -> Alert:
    return securities_over_two_shells()[-1]


def test_equal_runs_have_no_difference_whatever_the_order_of_their_lines() -> None:
    alerts = sample_alerts()
    difference = diff(run_of(*alerts), run_of(*reversed(alerts)))
    assert difference.equal
    assert difference.keys == ()
    assert sum(total.equal for total in difference.totals.values()) == len({alert.alert_id for alert in alerts})


def test_every_alert_is_either_added_removed_changed_or_equal() -> None:
    alerts = list(by_id(sample_alerts()).values())
    first, second, rest = alerts[0][-1], alerts[1][-1], [revisions[-1] for revisions in alerts[2:]]
    difference = diff(run_of(first, second, *rest[1:]), run_of(changed(second, score=0.01), *rest))
    assert [pair.alert.alert_id for pair in difference.removed] == [first.alert_id]
    assert [pair.alert.alert_id for pair in difference.changed] == [second.alert_id]
    assert [pair.alert.alert_id for pair in difference.added] == [rest[0].alert_id]
    for total in difference.totals.values():
        assert total.b == total.a + total.added - total.removed
        assert total.a == total.equal + total.removed + total.changed


def test_each_changed_field_is_told_in_one_plain_line(alert: Alert) -> None:
    contribution = alert.contributions[0]
    dearer = changed(contribution, added=contribution.added + 0.05)  # type: ignore[arg-type]
    later = changed(
        alert,
        severity="LOW",
        status="WITHDRAWN",
        score=alert.score - 0.25,
        traced_min_minor=alert.traced_min_minor - 100,
        contributions=(dearer, *alert.contributions[1:]),
        path=alert.path[:-1],
        sentence_en="Another sentence.",
        configuration_digest="0000",
    )
    found = changes(alert, later)
    assert {change.field for change in found} == {
        "severity", "status", "score", "traced_min_minor", f"contributions.{contribution.feature}", "path", "sentence_en",
    }  # fmt: skip
    text = told(found)
    assert f"severity {alert.severity} -> LOW" in text
    assert "status OPEN -> WITHDRAWN" in text
    assert any(line.startswith("score ") and line.endswith("(-0.25)") for line in text)
    assert any(line.startswith("certain CNY ") for line in text)
    assert any(alert.path[-1].txn_id in line for line in text)
    assert not any("sentence" in line for line in text), "a sentence only follows from the figures"
    assert all("\n" not in line for line in text)


def test_a_sentence_alone_is_a_difference_too(alert: Alert) -> None:
    assert len(told(changes(alert, changed(alert, sentence_en="Another sentence.")))) == 1


def test_an_alert_that_differs_in_the_digest_only_is_the_same(alert: Alert) -> None:
    assert changes(alert, changed(alert, configuration_digest="0000")) == []


def test_the_last_revision_is_compared_unless_all_are_asked_for() -> None:
    first, second = securities_over_two_shells()[:2]
    assert (first.alert_id, first.revision + 1) == (second.alert_id, second.revision)
    once, twice = run_of(second), run_of(first, second)
    assert diff(once, twice).equal
    assert [pair.alert.revision for pair in diff(once, twice, all_revisions=True).added] == [first.revision]


def test_the_keys_that_differ_are_named_with_both_values(tmp_path: Path) -> None:
    write(tmp_path / "rules.toml", RULES.encode())
    write(tmp_path / "b.toml", b'rule_sets = ["rules.toml"]\n[trace]\nhops_max = 3\n')
    a, b = (effective(load_settings(path).engine).configuration for path in (None, tmp_path / "b.toml"))
    found = {key: (before, after) for key, before, after in key_differences(a, b)}
    assert found["trace.hops_max"] == (6, 3)
    assert found["rule_sets.cn-2024.parameters.T01.share_min"] == (0.1, 0.99)
    assert found["rule_sets.cn-2024.version"] == ("1", "2")
    assert not any("cn-2009" in key for key in found)
    assert key_differences(a, a) == []
    assert key_differences({"trace": {"x": 1}}, {"trace": {}})[-1].b == ABSENT


def test_only_keys_that_can_reach_an_alert_are_named_with_it(alert: Alert, tmp_path: Path) -> None:
    rules = alert.rule_set.rule_set_id
    write(tmp_path / "b.toml", b"[trace]\nhops_max = 3\n")
    settings = load_settings(tmp_path / "b.toml").engine
    plain = effective(load_settings(None).engine)
    told_keys = {
        "rule_sets": [{"rule_set_id": name, "parameters": {"T01": {"x": 9}, "T05": {"x": 9}}} for name in (rules, "another")]
    }
    other = msgspec.structs.replace(effective(settings), configuration=told_keys)
    base = msgspec.structs.replace(
        plain, configuration={"rule_sets": [{"rule_set_id": name, "parameters": {}} for name in (rules, "another")]}
    )
    difference = diff(run_of(effective=base, digest="a"), run_of(alert, effective=other, digest="b"))
    (added,) = difference.added
    assert f"rule_sets.{rules}.parameters.T01.x" in added.keys
    assert not any("T05" in key or "another" in key for key in added.keys)


def test_without_a_configuration_the_comparison_says_that_it_cannot_name_keys(alert: Alert) -> None:
    difference = diff(run_of(alert, digest="a"), run_of(digest="b"))
    assert difference.keys is None
    assert "configuration.json" in "\n".join(lines(difference, 5))


def test_the_command_tells_why_and_ends_with_its_own_code(tmp_path: Path) -> None:
    payouts, transfers = misused_loans()
    write(tmp_path / "in" / "loan-disbursements.jsonl", jsonl(payouts))
    write(tmp_path / "in" / "account-transactions.jsonl", jsonl(transfers))
    write(tmp_path / "rules.toml", RULES.encode())
    write(tmp_path / "b.toml", b'rule_sets = ["rules.toml"]\n')
    assert said("replay", tmp_path / "in", "--out", tmp_path / "a")[0] == DONE
    assert said("replay", tmp_path / "in", "--out", tmp_path / "b", "--config", tmp_path / "b.toml")[0] == DONE
    code, text, complaints = said("diff", tmp_path / "a", tmp_path / "b", "--json", tmp_path / "d.json", "--show", 1)
    assert (code, complaints) == (DIFFERENT, "")
    assert "rule_sets.cn-2024.parameters.T01.share_min: 0.1 -> 0.99" in text
    assert "and 5 more" in text
    data = json.loads((tmp_path / "d.json").read_bytes())
    assert data["totals"]["T01"] == {"a": 6, "b": 0, "added": 0, "removed": 6, "changed": 0, "equal": 0}
    assert len(data["removed"]) == 6, "the file leaves nothing out"
    assert "rule_sets.cn-2024.parameters.T01.share_min" in data["removed"][0]["may_follow_from"]
    code, text, _ = said("diff", tmp_path / "a", tmp_path / "a", "--json", "-")
    assert (code, json.loads(text)["equal"]) == (DONE, True)


def test_what_is_no_run_is_told_with_the_remedy(tmp_path: Path, alert: Alert) -> None:
    code, text, complaints = said("diff", tmp_path, tmp_path / "none")
    assert (code, text) == (WRONG_USE, "")
    assert "holds no alerts.jsonl" in complaints
    assert "Traceback" not in complaints
    write(tmp_path / "cut" / "alerts.jsonl", msgspec.json.encode(alert) + b"\n" + msgspec.json.encode(alert)[:50] + b"\n")
    with pytest.raises(RunMistake, match=r"alerts\.jsonl, line 2"):
        read_run(tmp_path / "cut")


def test_a_replay_leaves_its_whole_configuration_beside_the_summary(tmp_path: Path) -> None:
    write(tmp_path / "in" / "account-transactions.jsonl", jsonl(misused_loans()[1]))
    assert said("replay", tmp_path / "in", "--out", tmp_path / "out")[0] == DONE
    settings = load_settings(None).engine
    assert (tmp_path / "out" / "configuration.json").read_bytes() == effective_json(settings)
    run = read_run(tmp_path / "out")
    assert run.digest == settings.digest()
    assert run.effective is not None
    assert run.effective.configuration["trace"]["hops_max"] == settings.trace.hops_max
