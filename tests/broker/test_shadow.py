"""A shadow says what its configuration would, beside the workers, each alert once; diff compares it with what is live."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.commands.leaving import DIFFERENT, DONE, WRONG_USE
from tests.broker.journal_sample import (
    feed,
    groups_on,
    in_order,
    make_topics,
    messages,
    pages,
    produce_pages,
    publish_live,
    settings_file,
)
from tests.broker.kafka import wait_until
from tests.broker.shared import Reached
from tests.layout.tree import REPO
from tests.unit.feed_sample import write

RULES = b"""
rule_set_id = "cn-2024"
version = "2"
effective_from = "2024-07-01"
[T01]
share_min = 0.99
"""
START = "from streams.cli import app; app()"


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


class Live(NamedTuple):
    """A journal with what its workers have said."""

    bootstrap: str
    prefix: str
    config: Path
    stricter: Path
    folder: Path

    def shadow(self) -> list[bytes]:
        return [stored.value for stored in messages(self.bootstrap, f"{self.prefix}alerts-shadow")]


@pytest.fixture
def live(broker: Reached, prefix: str, tmp_path: Path) -> Live:
    folder = feed(tmp_path / "in")
    make_topics(broker.bootstrap, prefix, {"journal": 1, "alerts": 1, "loan-risk": 1, "portfolio": 1, "rejects": 1})
    some = pages(in_order(folder))
    produce_pages(broker.bootstrap, prefix, some)
    publish_live(broker.bootstrap, prefix, some)
    write(tmp_path / "rules.toml", RULES)
    stricter = settings_file(tmp_path, prefix, 'rule_sets = ["rules.toml"]\n[trace]\nhops_max = 5\n')
    return Live(broker.bootstrap, prefix, settings_file(tmp_path, prefix), stricter, folder)


def test_a_shadow_says_what_a_replay_under_its_settings_says_and_touches_no_group(live: Live, tmp_path: Path) -> None:
    milder = settings_file(tmp_path, live.prefix, "[trace]\nhops_max = 5\n")
    assert run("replay", live.folder, "--out", tmp_path / "files", "--config", milder)[0] == DONE
    code, said, _ = run("shadow", milder, "--once", "--bootstrap", live.bootstrap)
    assert code == DONE
    assert groups_on(live.bootstrap, f"{live.prefix}journal") == set()
    expected = (tmp_path / "files" / "alerts.jsonl").read_bytes().splitlines()
    assert live.shadow() == expected
    assert expected
    assert f"{len(expected)} alerts said, 0 were there already" in said


def test_a_shadow_that_is_started_again_goes_on_where_its_generation_ends(live: Live, tmp_path: Path) -> None:
    five, four = (settings_file(tmp_path, live.prefix, f"[trace]\nhops_max = {hops}\n") for hops in (5, 4))
    assert run("shadow", five, "--once", "--bootstrap", live.bootstrap)[0] == DONE
    first = live.shadow()
    assert run("shadow", four, "--once", "--bootstrap", live.bootstrap)[0] == DONE
    both = live.shadow()
    assert len(both) == 2 * len(first), "another generation's alerts are not taken for its own"
    assert "0 alerts said" in run("shadow", five, "--once", "--bootstrap", live.bootstrap)[1]
    assert live.shadow() == both


def test_a_shadow_follows_until_ctrl_c(live: Live, tmp_path: Path) -> None:
    empty = f"{live.prefix}new."
    make_topics(live.bootstrap, empty, {"journal": 1})
    milder = settings_file(tmp_path, empty, "[trace]\nhops_max = 5\n")
    command = [sys.executable, "-c", START, "shadow", str(milder), "--bootstrap", live.bootstrap]
    some = pages(in_order(live.folder))
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as shadow:
        assert shadow.stderr is not None
        assert b"Generation" in shadow.stderr.readline()
        produce_pages(live.bootstrap, empty, some)
        wait_until(said(live, empty), 30, "the shadow says alerts")
        shadow.send_signal(signal.SIGINT)
        assert shadow.wait(30) == 0
        assert b"Traceback" not in shadow.stderr.read()


def said(live: Live, prefix: str) -> Callable[[], bool]:
    return lambda: bool(messages(live.bootstrap, f"{prefix}alerts-shadow"))


def test_diff_compares_live_and_shadow_and_names_the_keys(live: Live, tmp_path: Path) -> None:
    assert run("shadow", live.stricter, "--once", "--bootstrap", live.bootstrap)[0] == DONE
    milder = settings_file(tmp_path, live.prefix, "[trace]\nhops_max = 5\n")
    assert run("shadow", milder, "--once", "--bootstrap", live.bootstrap)[0] == DONE
    reach = ("--config", live.config, "--bootstrap", live.bootstrap)
    code, text, _ = run("diff", "kafka:alerts", "kafka:alerts-shadow", *reach)
    assert code == DONE, "one hop less changes nothing here"
    assert "--config-a" in text
    keys = ("--config-a", live.config, "--config-b", milder)
    code, text, _ = run("diff", "kafka:alerts", "kafka:alerts-shadow", *keys, *reach)
    assert code == DONE
    assert "trace.hops_max: 6 -> 5" in text
    keys = ("--config-a", live.config, "--config-b", live.stricter)
    code, text, _ = run("diff", "kafka:alerts", "kafka:alerts-shadow", *keys, *reach)
    assert code == DIFFERENT
    assert "has said nothing (also there: " in text, "a shadow without alerts is not taken for another one"
    assert "rule_sets.cn-2024.parameters.T01.share_min: 0.1 -> 0.99" in text


def test_diff_takes_a_generation_a_whole_name_and_a_folder(live: Live, tmp_path: Path) -> None:
    from detectors.engine import ENGINE_VERSION
    from streams.live.fold import generation_of
    from streams.settings import load_settings

    strict = generation_of(ENGINE_VERSION, load_settings(live.stricter).engine)
    assert run("replay", live.folder, "--out", tmp_path / "files")[0] == DONE
    reach = ("--config", live.config, "--bootstrap", live.bootstrap)
    assert run("diff", tmp_path / "files", f"kafka:{live.prefix}alerts", "--all-revisions", *reach)[0] == DONE
    milder = settings_file(tmp_path, live.prefix, "[trace]\nhops_max = 5\n")
    for settings in (live.stricter, milder):
        assert run("shadow", settings, "--once", "--bootstrap", live.bootstrap)[0] == DONE
    code, text, _ = run("diff", "kafka:alerts", f"kafka:alerts-shadow@{strict}", *reach, "--json", "-")
    assert code == DIFFERENT
    assert json.loads(text)["totals"]["T01"]["removed"] == 6
    mild = generation_of(ENGINE_VERSION, load_settings(milder).engine)
    assert run("diff", "kafka:alerts", f"kafka:alerts-shadow@{mild}", *reach)[0] == DONE
    named = ("kafka:alerts", f"kafka:alerts-shadow@{mild}", "--config-b", live.stricter)
    assert run("diff", *named, *reach)[0] == WRONG_USE, "that generation has other settings"
