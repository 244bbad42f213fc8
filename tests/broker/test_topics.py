"""``fundtrail topics`` on a real broker."""

from __future__ import annotations

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from typer.testing import CliRunner

from streams.cli import app
from streams.commands.leaving import DONE, WORLD_FAILED, WRONG_USE
from streams.live.topics import TOPICS
from tests.broker.kafka import wait_until
from tests.broker.shared import Reached
from tests.broker.test_broker import send

RUNNER = CliRunner()


def run(*arguments: object) -> tuple[int, str, str]:
    result = RUNNER.invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "150"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def there(broker: Reached, prefix: str) -> tuple[str, ...]:
    return ("--bootstrap", broker.bootstrap, "--prefix", prefix)


def test_topics_are_created_as_declared_and_checked(there: tuple[str, ...], prefix: str) -> None:
    code, said, complaint = run("topics", "check", *there)
    assert code == WORLD_FAILED
    assert said.count("is not there") == len(TOPICS)
    assert "fundtrail topics create" in complaint
    code, said, _ = run("topics", "create", *there, "--lanes", 2, "--books", 3)
    assert code == DONE
    assert "12 created, 0 were there; nothing differs" in said
    assert run("topics", "check", *there, "--lanes", 2, "--books", 3) == (DONE, "all 12 topics are as declared\n", "")


def test_what_differs_is_told_and_left_alone(there: tuple[str, ...], prefix: str, broker: Reached) -> None:
    assert run("topics", "create", *there)[0] == DONE
    journal = ConfigResource(ConfigResourceType.TOPIC, f"{prefix}journal", {"retention.ms": "60000"})
    with KafkaAdminClient(bootstrap_servers=broker.bootstrap) as admin:
        admin.alter_configs([journal])
        admin.delete_topics([f"{prefix}alerts"])
    wanted = [f"{prefix}journal: retention.ms is 60000, declared 31536000000", f"{prefix}alerts: is not there"]
    wait_until(lambda: run("topics", "check", *there)[1].splitlines() == wanted, 20, "both differences are told")
    assert run("topics", "check", *there)[0] == WORLD_FAILED
    code, said, _ = run("topics", "create", *there)
    assert code == DONE
    assert f"created  {prefix}alerts\n" in said
    assert f"differs  {prefix}journal: retention.ms is 60000" in said
    assert "1 created, 11 were there; 1 differences were left as they are" in said


def test_describe_shows_what_the_topics_hold(there: tuple[str, ...], prefix: str, broker: Reached) -> None:
    assert "Not there: loan-disbursements" in run("topics", "describe", *there)[1]
    assert run("topics", "create", *there)[0] == DONE
    send(broker.bootstrap, f"{prefix}alerts", [b"one"])
    code, said, _ = run("topics", "describe", *there)
    assert code == DONE
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines() if prefix in line}
    assert rows[f"{prefix}journal"] == ["1", "1", "delete", "365", "d", "4", "MiB", "0"]
    assert rows[f"{prefix}loan-risk"][2:4] == ["compact", "always"]
    assert rows[f"{prefix}portfolio"][2:4] == ["compact", "always"]
    assert rows[f"{prefix}alerts"][-1] == "1"


def test_more_copies_than_brokers_are_refused_with_the_brokers_reason(there: tuple[str, ...], tmp_path) -> None:
    from streams.live.topics import SHIPPED

    many = tmp_path / "mine.toml"
    many.write_text(SHIPPED.read_text(encoding="utf-8").replace("replication = 1", "replication = 99"), encoding="utf-8")
    code, _, complaint = run("topics", "create", *there, "--declaration", many)
    assert code == WORLD_FAILED
    assert "replication factor" in complaint
    assert complaint.count("\n") == 1
    many.write_text("topics = 1", encoding="utf-8")
    assert run("topics", "create", *there, "--declaration", many)[0] == WRONG_USE


def test_without_a_broker_each_command_says_so_in_one_line() -> None:
    for command in ("create", "check", "describe"):
        code, said, complaint = run("topics", command, "--bootstrap", "127.0.0.1:1")
        assert (code, said) == (WORLD_FAILED, "")
        assert complaint.startswith("fundtrail: no broker can be used. 127.0.0.1:1: nobody listens there.")
        assert complaint.count("\n") == 1
