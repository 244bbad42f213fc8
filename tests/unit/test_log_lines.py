"""What libraries repeat is logged now and then; what we say, always."""

from __future__ import annotations

import logging

from streams.live.log_lines import EVERY_S, KINDS_MAX, OURS, SaidOnce


def record(name: str, msg: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "file.py", 1, msg, args, None)


def test_what_a_library_repeats_is_said_now_and_then_with_how_often() -> None:
    now = [100.0]
    once = SaidOnce(lambda: now[0])
    assert once.filter(record("aiokafka", "Unable connect to node %s", 1))
    assert not any(once.filter(record("aiokafka", "Unable connect to node %s", node)) for node in range(500))
    assert once.filter(record("aiokafka", "Unable to update metadata")), "other words are said at once"
    now[0] += EVERY_S
    again = record("aiokafka", "Unable connect to node %s", 7)
    assert once.filter(again)
    assert again.getMessage() == "Unable connect to node 7 (and 500 more like it)"
    now[0] += EVERY_S
    later = record("aiokafka", "Unable connect to node %s", 7)
    assert once.filter(later)
    assert later.getMessage() == "Unable connect to node 7"


def test_what_we_say_is_never_held_back() -> None:
    once = SaidOnce(lambda: 0.0)
    assert all(once.filter(record(OURS, "no broker answers")) for _ in range(5))


def test_no_more_words_are_remembered_than_the_limit() -> None:
    once = SaidOnce(lambda: 0.0)
    for number in range(3 * KINDS_MAX):
        once.filter(record("aiokafka", f"words {number}"))
        assert len(once.said) <= KINDS_MAX
