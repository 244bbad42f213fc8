"""What stands on the wire: topics, headers, consumer groups."""

from __future__ import annotations

from detectors.events import EVENT_TYPES

SOURCES: tuple[str, ...] = tuple(topic for topic in EVENT_TYPES if topic != "ticks")
"""The topics that intake reads: one for each kind of event but ticks, which intake makes itself."""

JOURNAL, ALERTS, LOAN_RISK, PORTFOLIO, REJECTS = "journal", "alerts", "loan-risk", "portfolio", "rejects"
ALERTS_SHADOW = "alerts-shadow"
OUTPUTS: tuple[str, ...] = (ALERTS, LOAN_RISK, PORTFOLIO, REJECTS)

COMPACTED = (LOAN_RISK, PORTFOLIO)
"""Outputs of which the last message of a key holds."""

INTAKE_GROUP, DETECT_GROUP = "fundtrail-intake", "fundtrail-detect"
"""Consumer groups, before the prefix."""

ORDER_HEADER = "fundtrail-order"
"""On source records, optional: a number that orders the records of all source topics, such as a change log's sequence."""

FOLLOWS_HEADER = "fundtrail-follows"
"""On source records, optional, beside the former: the number of the record before it in its lane. With it intake knows when
something is missing, however far the topics drift apart; -1 = nothing before."""

DECODER_HEADER = "fundtrail-decoder"
"""On source records, optional: the name of the decoder; without it, the configured one."""

REDRIVE_HEADER = "fundtrail-redrive-of"
"""On source records that were sent again: ``topic/partition/offset`` of the rejected record."""

POSITION_HEADER = "fundtrail-position"
"""On everything that detect publishes: ``offset/record/number``, the place in the journal that it follows from."""

GENERATION_HEADER = "fundtrail-generation"
"""On everything that detect publishes: engine version and configuration digest."""


def topic_name(prefix: str, topic: str) -> str:
    """The name that a topic (or group) has on the broker."""
    return prefix + topic


def topic_of(prefix: str, name: str) -> str:
    """The opposite of :func:`topic_name`."""
    assert name.startswith(prefix), f"{name} does not begin with {prefix!r}"
    return name[len(prefix) :]
