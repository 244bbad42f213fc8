"""`fundtrail watch` tails the alerts of a real topic and ends when it is told to."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from streams.cli import app
from streams.live.log import Entry
from tests.broker.journal_sample import make_topics, produce, settings_file
from tests.broker.shared import Reached
from tests.layout.tree import REPO
from tests.unit.people_sample import sample_alerts

START = "from streams.cli import app; app()"


def run(*arguments: object) -> tuple[int, str, str]:
    from typer.testing import CliRunner

    result = CliRunner().invoke(app, ["watch", *(str(argument) for argument in arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def alerts(broker: Reached, prefix: str) -> list[Entry]:
    """What stands on the topic alerts."""
    entries = [Entry(alert.alert_id.encode(), msgspec.json.encode(alert)) for alert in sample_alerts()]
    make_topics(broker.bootstrap, prefix, {"alerts": 1})
    produce(broker.bootstrap, f"{prefix}alerts", entries, timestamps_ms=[1_000_000 * (n + 1) for n in range(len(entries))])
    return entries


def test_the_alerts_there_are_come_in_order_as_they_are(
    broker: Reached, prefix: str, alerts: list[Entry], tmp_path: Path
) -> None:
    reach = ("--config", settings_file(tmp_path, prefix), "--bootstrap", broker.bootstrap)
    code, said, complaints = run("--from-beginning", "--until-end", "--json", *reach)
    assert (code, complaints) == (0, "")
    assert said.encode().splitlines() == [entry.value for entry in alerts]
    assert run("--from-beginning", "--count", 2, "--json", *reach)[1].encode().splitlines() == [e.value for e in alerts[:2]]
    assert run("--since", "1970-01-01T00:50:00Z", "--until-end", "--json", *reach)[1].encode().splitlines() == [
        entry.value for entry in alerts[2:]
    ]
    assert run("--until-end", *reach) == (0, "", ""), "without a beginning only what is new is shown"
    _, plain, _ = run("--from-beginning", "--until-end", "--typology", "t09", *reach)
    assert " T09 " in plain
    assert " T01 " not in plain


def test_a_watch_sees_what_is_new_and_ctrl_c_ends_it_cleanly(
    broker: Reached, prefix: str, alerts: list[Entry], tmp_path: Path
) -> None:
    config = settings_file(tmp_path, prefix)
    command = [sys.executable, "-c", START, "watch", "--from-beginning", "--json", "--config", str(config)]
    with subprocess.Popen(
        [*command, "--bootstrap", broker.bootstrap], cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        for entry in alerts:
            assert watching.stdout.readline().rstrip() == entry.value
        produce(broker.bootstrap, f"{prefix}alerts", alerts[:1])
        assert watching.stdout.readline().rstrip() == alerts[0].value
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 0
        assert watching.stderr.read() == b""
