"""Topics: one declaration, and what a broker has of it.

The declaration is ``topics.toml`` beside this module (in the repository also ``deploy/topics.toml``) or a copy of it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from streams.live.names import ALERTS, ALERTS_SHADOW, JOURNAL, LOAN_RISK, PORTFOLIO, REJECTS, SOURCES, topic_name
from streams.live.trouble import BrokerTrouble
from streams.settings import SettingsError

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

TOPICS: tuple[str, ...] = (*SOURCES, JOURNAL, ALERTS, LOAN_RISK, PORTFOLIO, REJECTS, ALERTS_SHADOW)
BY_BOOK: tuple[str, ...] = (JOURNAL, ALERTS, LOAN_RISK, PORTFOLIO, REJECTS, ALERTS_SHADOW)
"""Topics in which a partition is a book; ``rejects`` also has one for each lane."""

SHIPPED = resources.files("streams.live") / "topics.toml"


class Topic(msgspec.Struct, frozen=True):
    """A topic as it is declared, or as a broker has it. Named without prefix."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]  # Kafka's names and values; a declaration holds those it cares for


class _Declared(msgspec.Struct, forbid_unknown_fields=True):
    names: list[str]
    partitions: int
    replication: int
    config: dict[str, str | int | bool] = {}


class _Declaration(msgspec.Struct, forbid_unknown_fields=True):
    topics: list[_Declared]


def declared_topics(path: Path | None = None, *, lanes: int | None = None, books: int | None = None) -> tuple[Topic, ...]:
    """The shipped declaration or that of a file, with these numbers of partitions where given, in the order of ``TOPICS``.

    Raises:
        SettingsError: unreadable, an unknown topic or one that is missing, numbers of partitions that do not fit together.
    """
    place = str(path) if path is not None else "topics.toml"
    try:
        text = path.read_text(encoding="utf-8") if path is not None else SHIPPED.read_text(encoding="utf-8")
        declaration = msgspec.convert(tomllib.loads(text), _Declaration)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise SettingsError(f"{place}: {error}") from error
    found: dict[str, Topic] = {}
    mistakes = []
    for group in declaration.topics:
        for name in group.names:
            if name not in TOPICS or name in found:
                mistakes.append(f"{name!r} is {'declared twice' if name in found else 'no topic'}; topics: {', '.join(TOPICS)}")
            config = {key: _kafka_text(value) for key, value in group.config.items()}
            found[name] = Topic(name, _partitions(name, group.partitions, lanes, books), group.replication, config)
    mistakes += [f"{name} is not declared" for name in TOPICS if name not in found]
    mistakes += [f"{topic.name}: partitions and replication must be above 0" for topic in found.values() if not _counts(topic)]
    mistakes = mistakes or partition_mistakes({name: topic.partitions for name, topic in found.items()})
    if mistakes:
        raise SettingsError("\n".join(f"{place}: {mistake}" for mistake in mistakes))
    return tuple(found[name] for name in TOPICS)


def _partitions(name: str, declared: int, lanes: int | None, books: int | None) -> int:
    if name == REJECTS and (lanes or books):
        return max(lanes or 1, books or 1, declared)
    return (books if name in BY_BOOK else lanes) or declared


def _counts(topic: Topic) -> bool:
    return topic.partitions > 0 and topic.replication > 0


def _kafka_text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def partition_mistakes(partitions: Mapping[str, int]) -> list[str]:
    """What does not fit together among the numbers of partitions of topics; one sentence each, topics without prefix."""
    mistakes = []
    lanes = {name: partitions[name] for name in SOURCES if name in partitions}
    if len(set(lanes.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in lanes.items())
        mistakes.append(f"the source topics must have equal numbers of partitions, and have {told}")
    books = partitions.get(JOURNAL, 0)
    for name in BY_BOOK:
        if partitions.get(name, books) < books:
            mistakes.append(
                f"{name} has {partitions[name]} partitions; it needs one for each of the {books} books of the journal"
            )
    most = max(lanes.values(), default=0)
    if partitions.get(REJECTS, most) < most:
        mistakes.append(
            f"rejects has {partitions[REJECTS]} partitions; it needs one for each of the {most} lanes of the sources"
        )
    return mistakes


def present_topics(admin: KafkaAdminClient, prefix: str, names: Iterable[str] = TOPICS) -> dict[str, Topic]:
    """Those of the topics that the broker has, by name without prefix, with all of their settings.

    Raises:
        BrokerTrouble: it does not tell us their settings.
    """
    from kafka.admin import ConfigResource, ConfigResourceType

    there = {topic["name"]: topic["partitions"] for topic in described(admin, prefix, names)}
    if not there:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, full) for full in there]
    configs = admin.describe_configs(resources, config_filter="all")["topic"]
    hidden = [full for full in there if "cleanup.policy" not in configs.get(full, {})]
    if hidden:
        raise BrokerTrouble(
            f"the broker does not tell us the settings of {', '.join(hidden)}: grant this user DescribeConfigs."
        )
    return {
        full[len(prefix) :]: Topic(
            full[len(prefix) :],
            len(partitions),
            min((len(partition["replica_nodes"]) for partition in partitions), default=0),
            {key: entry["value"] for key, entry in configs[full].items()},
        )
        for full, partitions in there.items()
    }


def described(admin: KafkaAdminClient, prefix: str, names: Iterable[str]) -> list[dict[str, Any]]:
    """What the broker says of those of the topics that it has: ``name`` (full), ``topic_id``, ``partitions``."""
    there = set(admin.list_topics())
    wanted = [full for name in names if (full := topic_name(prefix, name)) in there]
    return sorted(admin.describe_topics(wanted), key=lambda topic: wanted.index(topic["name"])) if wanted else []


def message_counts(admin: KafkaAdminClient, prefix: str, topics: Iterable[Topic]) -> dict[str, int]:
    """How many offsets each topic holds, by name without prefix; compaction leaves fewer messages than that."""
    from kafka import TopicPartition
    from kafka.admin import OffsetSpec

    names = {
        TopicPartition(topic_name(prefix, topic.name), number): topic.name
        for topic in topics
        for number in range(topic.partitions)
    }
    counts = dict.fromkeys(names.values(), 0)
    for spec, sign in ((OffsetSpec.LATEST, 1), (OffsetSpec.EARLIEST, -1)):
        for partition, found in admin.list_partition_offsets(dict.fromkeys(names, spec)).items():
            counts[names[partition]] += sign * found.offset
    return counts


def differences(wanted: Sequence[Topic], there: Mapping[str, Topic], prefix: str = "") -> list[str]:
    """What a broker has otherwise than declared, one sentence each; topics in the order of the declaration."""
    found = []
    for topic in wanted:
        full = topic_name(prefix, topic.name)
        if topic.name not in there:
            found.append(f"{full}: is not there")
            continue
        has = there[topic.name]
        pairs: list[tuple[str, int | str, int | str]]
        pairs = [("partitions", topic.partitions, has.partitions), ("replication", topic.replication, has.replication)]
        pairs += [(key, value, has.config.get(key, "unknown to the broker")) for key, value in topic.config.items()]
        found += [f"{full}: {key} is {is_}, declared {declared}" for key, declared, is_ in pairs if not _same(declared, is_)]
    return found


def _same(declared: str | int, there: str | int) -> bool:
    """Whether two values mean the same: lists such as ``compact,delete`` have no order."""
    return sorted(part.strip() for part in str(declared).split(",")) == sorted(str(there).split(","))


def create_missing(admin: KafkaAdminClient, prefix: str, wanted: Sequence[Topic], there: Mapping[str, Topic]) -> list[str]:
    """Create the topics that are not there and return their full names. What is there stays as it is.

    Raises:
        BrokerTrouble: the broker refuses one; those before it may stand.
    """
    from kafka.errors import TopicAlreadyExistsError, for_code

    missing = {
        topic_name(prefix, topic.name): {
            "num_partitions": topic.partitions,
            "replication_factor": topic.replication,
            "configs": topic.config,
        }
        for topic in wanted
        if topic.name not in there
    }
    if not missing:
        return []
    answers = admin.create_topics(missing, raise_errors=False)["topics"]
    refused = {
        answer["name"]: answer["error_message"] or for_code(answer["error_code"]).__name__
        for answer in answers
        if answer["error_code"] not in (0, TopicAlreadyExistsError.errno)  # somebody else created it meanwhile
    }
    if refused:
        told = " ".join(f"{name}: {why}" for name, why in refused.items())
        raise BrokerTrouble(f"the broker refuses to create topics. {told} Change the declaration, or ask its administrator.")
    admin.wait_for_topics(list(missing))
    return list(missing)
