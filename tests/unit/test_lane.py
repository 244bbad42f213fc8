"""The order in which a lane lets its records go."""

from __future__ import annotations

import random
from types import SimpleNamespace

import msgspec
import pytest

from streams.live.lane import Lane, SourceRecord, source_record
from streams.live_settings import IntakeSettings

SETTINGS = IntakeSettings(linger_ms=25, order_wait_ms_max=1_000, page_records_max=100, page_bytes_max=10_000)
A, B = "loan-disbursements", "account-transactions"


def lane(**changes: int) -> Lane:
    return Lane({A: -1, B: -1}, msgspec.structs.replace(SETTINGS, **changes))


def record(topic: str, offset: int, order: int, *, at: int = 0, follows: int | None = None, size: int = 10) -> SourceRecord:
    return SourceRecord(order, None if follows is None else order, follows, topic, offset, b"x" * size, 0, None, (), at)


def went(lane: Lane, now_ms: int, *at_end: str) -> list[int]:
    return [released.order for released in lane.release(now_ms, at_end.__contains__)]


def test_two_topics_become_one_order() -> None:
    merged = lane()
    merged.offer(A, [record(A, 0, 1), record(A, 1, 4), record(A, 2, 9)])
    merged.offer(B, [record(B, 0, 2), record(B, 1, 3), record(B, 2, 5)])
    assert went(merged, 0) == [1, 2, 3, 4, 5]  # 9 waits: B may still show an earlier one


def test_a_topic_that_is_known_to_hold_more_is_waited_for() -> None:
    merged = lane()
    merged.offer(A, [record(A, 0, 7)])
    assert went(merged, 900) == []
    merged.offer(B, [record(B, 0, 3)])
    assert went(merged, 900, A, B) == [3, 7]


def test_a_topic_at_its_end_is_given_the_linger_and_no_more() -> None:
    merged = lane()
    merged.offer(A, [record(A, 0, 7)])
    assert went(merged, 24, B) == []
    assert went(merged, 25, B) == [7]


def test_a_record_that_came_later_gets_its_own_linger() -> None:
    merged = lane()
    merged.offer(A, [record(A, 0, 7, at=0), record(A, 1, 8, at=20)])
    assert went(merged, 25, B) == [7]
    assert went(merged, 45, B) == [8]


def test_after_the_longest_wait_a_record_goes_and_that_is_counted() -> None:
    merged = lane()
    merged.offer(A, [record(A, 0, 7)])
    assert went(merged, 1_000) == [7]
    assert merged.unordered == 1


def test_a_record_goes_exactly_when_its_predecessor_has_gone() -> None:
    merged = lane()
    merged.offer(A, [record(A, 0, 0, follows=-1), record(A, 1, 1, follows=0), record(A, 2, 4, follows=3)])
    assert went(merged, 25, B) == [0, 1]
    assert went(merged, 999, B) == []  # 2 and 3 are missing, whatever is known of the other topic's end
    merged.offer(B, [record(B, 0, 2, follows=1), record(B, 1, 3, follows=2)])
    assert went(merged, 999, B) == [2, 3, 4]


def test_a_next_owner_who_knows_the_last_number_waits_for_the_next() -> None:
    merged = Lane({A: 5, B: 7}, SETTINGS, last_order=40)
    merged.offer(A, [record(A, 6, 43, follows=42)])
    assert went(merged, 500, A, B) == []
    merged.offer(B, [record(B, 8, 41, follows=40), record(B, 9, 42, follows=41)])
    assert went(merged, 500, A, B) == [41, 42, 43]


def test_a_record_without_a_number_does_not_loosen_the_order_of_the_others() -> None:
    merged = lane()
    merged.offer(A, [record(A, 0, 0, follows=-1), record(A, 1, 1_790_000_000_000)])
    assert went(merged, 25, B) == [0, 1_790_000_000_000]
    merged.offer(A, [record(A, 2, 2, follows=1)])
    assert went(merged, 900, B) == []  # 1 is still missing


def test_what_was_taken_before_is_a_duplicate() -> None:
    merged = lane()
    merged.offer(A, [record(A, 0, 1), record(A, 1, 2)])
    merged.offer(A, [record(A, 0, 1), record(A, 1, 2), record(A, 2, 3)])
    assert merged.duplicates == 2
    assert went(merged, 25, B) == [1, 2, 3]
    assert merged.after == {A: 2, B: -1}


def test_a_page_holds_at_most_so_many_records_and_bytes_but_always_one() -> None:
    merged = lane(page_records_max=2, page_bytes_max=100)
    merged.offer(
        A, [record(A, i, i) for i in range(3)] + [record(A, 3, 3, size=500), record(A, 4, 4, size=60), record(A, 5, 5, size=60)]
    )
    assert [went(merged, 25, B) for _ in range(5)] == [[0, 1], [2], [3], [4], [5]]


@pytest.mark.parametrize("seed", range(50))
def test_any_cutting_of_two_topics_gives_the_one_order(seed: int) -> None:
    chance = random.Random(seed)
    topics = [chance.choice((A, B)) for _ in range(200)]
    offsets = {A: 0, B: 0}
    queues: dict[str, list[SourceRecord]] = {A: [], B: []}
    for order, topic in enumerate(topics):
        queues[topic].append(record(topic, offsets[topic], order, follows=order - 1))
        offsets[topic] += 1
    merged, now_ms = lane(), 0
    found: list[int] = []
    while len(found) < 200:
        topic = chance.choice((A, B))
        count = chance.randrange(8)
        merged.offer(topic, [arrived._replace(received_ms=now_ms) for arrived in queues[topic][:count]])
        del queues[topic][:count]
        now_ms += chance.randrange(40)
        found += went(merged, now_ms, A, B)
    assert found == list(range(200)) and merged.unordered == 0


@pytest.mark.parametrize(
    ("headers", "order", "follows"),
    [
        ([], 1_234, None),
        ([("fundtrail-order", b"7")], 7, None),
        ([("fundtrail-order", b"7"), ("fundtrail-follows", b"-1")], 7, -1),
        ([("fundtrail-order", b"7x"), ("fundtrail-follows", b"")], 1_234, None),
        ([("fundtrail-order", b"9" * 30)], 1_234, None),
    ],
)
def test_numbers_in_headers_count_only_when_they_are_numbers(
    headers: list[tuple[str, bytes]], order: int, follows: int | None
) -> None:
    raw = SimpleNamespace(headers=headers, timestamp=1_234, offset=3, value=None, key=None)
    taken = source_record(A, raw, 99)
    assert (taken.order, taken.follows, taken.value) == (order, follows, b"")
