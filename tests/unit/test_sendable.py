"""What is sent of topic files: the order of a replay, the bytes of the sender, the lane of the account."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest

from detectors.events import Fault
from streams.codec import ORIGINAL_BYTES_MAX, RECORD_BYTES_MAX, decode
from streams.files.inputs import find_topic_files
from streams.files.merge import merge
from streams.files.readers import open_sources, open_topic_files
from streams.live.sendable import Course, Message, lines_of, messages
from tests.unit.feed_sample import jsonl, misused_loans, transfer, write

MIB = 1 << 20


def sendable(folder: Path, lanes: int = 1, bytes_max: int = 12 * MIB, first: int = 0) -> tuple[list[Message], Course]:
    course = Course()
    return list(messages(open_topic_files([folder]), lanes, bytes_max, course, first)), course


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    payouts, transfers = misused_loans()
    write(tmp_path / "loan-disbursements.jsonl", jsonl(payouts))
    write(tmp_path / "account-transactions.jsonl", jsonl(transfers))
    return tmp_path


def test_records_come_in_the_order_of_a_replay_with_rising_numbers(feed: Path) -> None:
    sent, course = sendable(feed, first=100)
    replayed = [row[6] for rows, _ in merge(open_topic_files([feed])) for row in rows]
    assert [message.value for message in sent] == replayed
    assert [message.number for message in sent] == list(range(100, 100 + len(replayed)))
    assert course == Course()


def test_an_account_has_one_lane_whatever_topic_speaks_of_it(feed: Path) -> None:
    sent, _ = sendable(feed, lanes=4)
    lanes: dict[str, set[int]] = {}
    for message in sent:
        record = json.loads(message.value)
        account = record.get("account_id") or record["disburse_account"]
        assert message.key == account.encode()
        lanes.setdefault(account, set()).add(message.partition)
    assert {len(found) for found in lanes.values()} == {1}
    assert {min(found) for found in lanes.values()} == {0, 1, 2, 3}, "all lanes are used"
    assert {message.partition for message in sendable(feed)[0]} == {0}
    assert all(message.partition == zlib.crc32(message.key or b"") % 4 for message in sent), "the same in every process"


def test_what_concerns_no_account_goes_to_the_first_lane(tmp_path: Path) -> None:
    link = {"event_time": "2026-03-02T10:00:00Z", "from_party": "C1", "to_party": "C2", "role": "SPOUSE"}
    write(tmp_path / "party-links.jsonl", jsonl([link] * 9))
    assert {(message.topic, message.partition) for message in sendable(tmp_path, lanes=7)[0]} == {("party-links", 0)}


def test_a_row_of_a_table_is_sent_as_the_json_of_its_record(tmp_path: Path) -> None:
    record = transfer(1)
    cells = {name: value for name, value in record.items() if not isinstance(value, dict)}
    text = f"{','.join(cells)},colour\n{','.join(str(value) for value in cells.values())},red\n"
    write(tmp_path / "account-transactions.csv", text.encode())
    (message,), _ = sendable(tmp_path)
    (row,) = [row for rows, _ in merge(open_topic_files([tmp_path])) for row in rows]
    assert decode("account-transactions", message.value) == row[5]
    assert b"colour" not in message.value


def test_lines_that_are_no_records_are_sent_as_they_stand_in_their_place(tmp_path: Path) -> None:
    good = jsonl([transfer(1)]).rstrip()
    not_text = b"\xff\xfe not text"
    write(tmp_path / "account-transactions.jsonl", b"\n".join([b"nonsense", good, b"", not_text, good]))
    sent, course = sendable(tmp_path)
    assert sorted(message.value for message in sent) == sorted([b"nonsense", good, b"", not_text, good])
    assert [message.value for message in sent if message.event_time_ms is None] == [b"nonsense", b"", not_text]
    assert course.undecodable == 3
    assert all(isinstance(decode(message.topic, message.value), Fault) for message in sent if message.event_time_ms is None)


@pytest.mark.parametrize("length", [ORIGINAL_BYTES_MAX + 1, RECORD_BYTES_MAX, RECORD_BYTES_MAX + 1, 3 * MIB])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_long_line_is_sent_whole_although_a_reject_keeps_its_beginning(tmp_path: Path, length: int, suffix: str) -> None:
    long_lines = [bytes([letter]) * length for letter in b"xy"]
    good = jsonl([transfer(1)]).rstrip()
    content = b"\n".join([good, long_lines[0], b"{", good, long_lines[1]])
    write(tmp_path / f"account-transactions.jsonl{suffix}", content)
    sent, course = sendable(tmp_path)
    assert [message.value for message in sent if message.event_time_ms is None] == [long_lines[0], b"{", long_lines[1]]
    assert (course.undecodable, course.cut) == (3, 0)


def test_a_line_longer_than_the_topic_takes_is_cut_and_counted(tmp_path: Path) -> None:
    write(tmp_path / "account-transactions.jsonl", b"x" * (3 * MIB) + b"\nshort")
    sent, course = sendable(tmp_path, bytes_max=2 * MIB)
    assert [len(message.value) for message in sent] == [2 * MIB, 5]
    assert (course.undecodable, course.cut) == (2, 1)


def test_a_file_that_ends_early_is_named_and_its_torn_line_is_not_sent(tmp_path: Path) -> None:
    path = tmp_path / "account-transactions.jsonl.gz"
    write(path, jsonl([transfer(number) for number in range(9_000)]))
    path.write_bytes(path.read_bytes()[:-9_000])
    sent, course = sendable(tmp_path)
    assert 0 < len(sent) < 9_000
    assert course.damaged_files == ["account-transactions.jsonl.gz"]
    assert course.undecodable == 0


def test_lines_are_read_in_bounded_pieces_and_without_their_newline(tmp_path: Path) -> None:
    write(tmp_path / "ticks.jsonl", b"one\n" + b"y" * 700_000 + b"\n\nlast")
    (source,) = open_sources(find_topic_files([tmp_path]).files)
    assert [line[:5] for line in lines_of(source.file, 9)] == [b"one", b"yyyyy", b"", b"last"]
    assert max(len(line) for line in lines_of(source.file, 9)) == 9
