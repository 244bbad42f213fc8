"""The declaration of topics: one source of truth, and what it must not say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streams.codec import RECORD_BYTES_MAX
from streams.live.names import ALERTS, JOURNAL, LOAN_RISK, PORTFOLIO, REJECTS, SOURCES
from streams.live.topics import BY_BOOK, SHIPPED, TOPICS, Topic, declared_topics, differences, partition_mistakes
from streams.live_settings import IntakeSettings
from streams.settings import SettingsError

REPO = Path(__file__).parents[2]


def copy(tmp_path: Path, pattern: str = "", replacement: str = "") -> Path:
    """A changed copy of the shipped declaration."""
    text = SHIPPED.read_text(encoding="utf-8")
    changed = re.sub(pattern, replacement, text, count=1)
    assert not pattern or changed != text
    path = tmp_path / "mine.toml"
    path.write_text(changed, encoding="utf-8")
    return path


def by_name(topics: tuple[Topic, ...]) -> dict[str, Topic]:
    return {topic.name: topic for topic in topics}


def test_the_file_for_users_is_the_shipped_one() -> None:
    assert (REPO / "deploy" / "topics.toml").read_text(encoding="utf-8") == SHIPPED.read_text(encoding="utf-8")


def test_every_topic_is_declared_once_and_fits_the_settings_as_shipped() -> None:
    topics = by_name(declared_topics())
    assert tuple(topics) == TOPICS
    longest = {name: int(topic.config["max.message.bytes"]) for name, topic in topics.items()}
    assert longest[JOURNAL] > IntakeSettings().page_bytes_max + RECORD_BYTES_MAX
    assert longest[REJECTS] > 4 * max(longest[name] for name in SOURCES) / 3
    policies = {name: topic.config["cleanup.policy"] for name, topic in topics.items()}
    assert "compact" not in policies[JOURNAL] + policies[ALERTS]
    assert policies[LOAN_RISK] == policies[PORTFOLIO] == "compact"


def test_lanes_and_books_change_the_numbers_of_partitions() -> None:
    topics = by_name(declared_topics(lanes=4, books=3))
    assert {topics[name].partitions for name in SOURCES} == {4}
    assert {name: topics[name].partitions for name in BY_BOOK if name != REJECTS} == dict.fromkeys(set(BY_BOOK) - {REJECTS}, 3)
    assert topics[REJECTS].partitions == 4, "one for each lane, of which there are more"


@pytest.mark.parametrize(
    ("pattern", "replacement", "told"),
    [
        (r'"dispositions"\]', '"dispositons"]', "'dispositons' is no topic"),
        (r'"dispositions"\]', '"dispositions", "journal"]', "'journal' is declared twice"),
        (r'\["alerts"\]', '["alerts-shadow"]', "alerts is not declared"),
        ("partitions = 1", "partitions = 0", "must be above 0"),
        ("partitions = 1", "partitions = 2", "rejects has 1 partitions; it needs one for each of the 2 lanes"),
        ("partitions = 1", "copies = 1", "copies"),
        ("partitions = 1", "partitions =", "mine.toml"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(tmp_path: Path, pattern: str, replacement: str, told: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(told)):
        declared_topics(copy(tmp_path, pattern, replacement))


def test_a_copy_says_the_same_and_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert declared_topics(copy(tmp_path)) == declared_topics()
    with pytest.raises(SettingsError, match=r"none\.toml"):
        declared_topics(tmp_path / "none.toml")


def test_numbers_of_partitions_must_fit_together() -> None:
    fitting = {**dict.fromkeys(SOURCES, 3), "journal": 2, "alerts": 2, "loan-risk": 4, "rejects": 3}
    assert partition_mistakes(fitting) == []
    assert "equal numbers of partitions" in partition_mistakes({**fitting, "dispositions": 1})[0]
    assert "alerts has 1 partitions" in partition_mistakes({**fitting, "alerts": 1})[0]
    assert "3 lanes" in partition_mistakes({**fitting, "rejects": 2})[0]
    assert "5 books" in partition_mistakes({**fitting, "journal": 5})[0]
    assert partition_mistakes({"journal": 5}) == [], "a topic that is not there is another mistake"


def test_every_difference_is_told_with_both_values() -> None:
    wanted = [Topic("a", 2, 3, {"cleanup.policy": "compact,delete", "retention.ms": "-1"}), Topic("b", 1, 1, {})]
    there = {"a": Topic("a", 1, 1, {"cleanup.policy": "delete", "retention.ms": "-1"})}
    assert differences(wanted, there, "p.") == [
        "p.a: partitions is 1, declared 2",
        "p.a: replication is 1, declared 3",
        "p.a: cleanup.policy is delete, declared compact,delete",
        "p.b: is not there",
    ]
    same = {"a": Topic("a", 2, 3, {"cleanup.policy": "delete,compact", "retention.ms": "-1"}), "b": wanted[1]}
    assert differences(wanted, same) == [], "a list of policies has no order"
