"""Many files become one stream in event-time order; a poison record moves nobody but itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from streams.files.merge import OPEN_FILES_MAX, REORDER_RECORDS, Course, merge
from streams.files.readers import Block, Source, open_topic_files
from tests.unit.feed_sample import at, ids, jsonl, payout, read_all, transfer, write


def test_files_are_merged_by_event_time(tmp_path: Path) -> None:
    for part in range(3):
        write(tmp_path / f"account-transactions-{part}.jsonl", jsonl(transfer(n) for n in range(part, 5_000, 3)))
    rows, _ = read_all(tmp_path)
    assert ids(rows) == [f"X{n}" for n in range(5_000)]


def test_records_of_one_instant_go_by_topic_then_sequence_then_file_and_line(tmp_path: Path) -> None:
    party = {"event_time": at(0), "party_id": "P", "category": "TAX", "action": "ADDED"}
    link = {"event_time": at(0), "party_id": "P", "other_party_id": "Q", "role": "SPOUSE"}
    entry = {"event_time": at(0), "list_name": "HUB", "account_id": "H"}
    disposition = {"event_time": at(0), "alert_id": "T01-x", "outcome": "FALSE_POSITIVE"}
    write(tmp_path / "account-transactions-b.jsonl", jsonl([transfer(5, 0), transfer(6, 0)]))
    write(
        tmp_path / "account-transactions-a.jsonl",
        jsonl([transfer(1, 0, source_seq=8), transfer(2, 0, source_seq=3), transfer(3, 0)]),
    )
    write(tmp_path / "loan-disbursements.jsonl", jsonl([payout(1, 0)]))
    write(tmp_path / "list-entries.jsonl", jsonl([entry]))
    write(tmp_path / "party-links.jsonl", jsonl([link]))
    write(tmp_path / "party-events.jsonl", jsonl([party]))
    write(tmp_path / "dispositions.jsonl", jsonl([disposition]))
    write(tmp_path / "ticks.jsonl", jsonl([{"event_time": at(0)}]))
    rows, _ = read_all(tmp_path)
    kinds = [type(row[5]).__name__ for row in rows]
    assert kinds[:4] == ["ListEntry", "PartyLink", "PartyEvent", "LoanDisbursement"]
    assert ids(rows)[4:9] == ["X3", "X5", "X6", "X2", "X1"]
    assert kinds[9:] == ["Disposition", "Tick"]


def test_disorder_within_the_look_ahead_is_put_right_and_nothing_is_late(tmp_path: Path) -> None:
    rng = Random(3)
    numbers = sorted(range(6_000), key=lambda n: n + rng.randrange(REORDER_RECORDS))
    write(tmp_path / "account-transactions.jsonl", jsonl(transfer(n) for n in numbers))
    course = Course()
    rows, _ = read_all(tmp_path, course=course)
    assert ids(rows) == [f"X{n}" for n in range(6_000)]
    assert course.late == 0


def test_a_far_future_record_does_not_hold_back_the_rest_of_its_file(tmp_path: Path) -> None:
    records = [transfer(n) for n in range(3_000)]
    records[1_500]["event_time"] = "2099-01-01T00:00:00Z"
    write(tmp_path / "account-transactions.jsonl", jsonl(records))
    write(tmp_path / "loan-disbursements.jsonl", jsonl(payout(n, n * 100 + 0.5) for n in range(30)))
    course = Course()
    rows, _ = read_all(tmp_path, course=course)
    assert ids(rows)[-1] == "X1500"
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert (len(rows), course.late) == (3_030, 0)


def test_a_record_beyond_the_look_ahead_comes_where_it_stands_and_is_counted(tmp_path: Path) -> None:
    records = [transfer(n) for n in range(4_000)]
    records.append(records.pop(10))
    write(tmp_path / "account-transactions.jsonl", jsonl(records))
    course = Course()
    rows, _ = read_all(tmp_path, course=course)
    assert sorted(ids(rows)) == sorted(f"X{n}" for n in range(4_000))
    assert course.late == 1
    assert 10 < ids(rows).index("X10") < 4_000


class Watched:
    """A source that keeps book of who is being read."""

    def __init__(self, source: Source, reading: set[int], most: list[int]) -> None:
        self.file, self.index = source.file, source.index
        self._source, self._reading, self._most = source, reading, most

    def blocks(self) -> Iterator[Block]:
        self._reading.add(self.index)
        self._most[0] = max(self._most[0], len(self._reading))
        try:
            yield from self._source.blocks()
        finally:
            self._reading.discard(self.index)


def test_many_files_are_opened_only_when_their_time_comes(tmp_path: Path) -> None:
    days, size = OPEN_FILES_MAX + 2, 3_000  # more than one block, so that a file stays open between stretches
    for day in range(days):
        lines = jsonl(transfer(day * size + n) for n in range(size)) + b"broken\n"
        write(tmp_path / f"account-transactions-{day}.jsonl", lines)
    write(tmp_path / "ticks.jsonl", b"nothing but rejects\n")
    reading: set[int] = set()
    most = [0]
    stretches = list(merge([Watched(source, reading, most) for source in open_topic_files([tmp_path])]))
    times = [row[0] for rows, _ in stretches for row in rows]
    assert times == sorted(times)
    assert (len(times), sum(len(rejects) for _, rejects in stretches)) == (days * size, days + 1)
    assert most[0] <= 2, "one is being read, another may begin before it is through"
    assert not reading


def test_merging_many_files_gives_what_merging_few_gives(tmp_path: Path) -> None:
    rng = Random(5)
    parts: list[list[dict[str, object]]] = [[] for _ in range(OPEN_FILES_MAX * 3)]
    for n in range(4_000):
        parts[rng.randrange(len(parts))].append(transfer(n, minutes=n // 3, source_seq=n))
    for number, part in enumerate(parts):
        write(tmp_path / "many" / f"account-transactions-{number}.jsonl", jsonl(part))
    write(
        tmp_path / "one" / "account-transactions.jsonl", jsonl(transfer(n, minutes=n // 3, source_seq=n) for n in range(4_000))
    )
    assert ids(read_all(tmp_path / "many")[0]) == ids(read_all(tmp_path / "one")[0])


def test_rejects_do_not_wait_for_records(tmp_path: Path) -> None:
    write(tmp_path / "account-transactions.jsonl", b"broken\n" * 50_000 + jsonl([transfer(1)]))
    stretches = list(merge(open_topic_files([tmp_path])))
    assert len(stretches) > 1, "rejects must flow, or a file of nothing else would be held in memory"
    assert sum(len(rejects) for _, rejects in stretches) == 50_000
    assert [ids(rows) for rows, _ in stretches if rows] == [["X1"]]
