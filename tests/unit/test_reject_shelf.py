"""Rejects are distinct, in the order of their sources, and mended only by records that are sound."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from detectors.events import Fault
from streams.live.corrections import CorrectionMistake, read_corrections
from streams.live.reject_shelf import Coordinates, RejectShelf, Selection
from streams.live.rejects import LiveReject, entry_of, live_reject
from tests.unit.feed_sample import Cells, jsonl, transfer, write

FAULT = Fault("amount_minor", "expected a whole number of minor units; found 75.5")
TRANSACTIONS = "account-transactions"


def reject(partition: int, offset: int, topic: str = TRANSACTIONS) -> LiveReject:
    return live_reject(topic, partition, offset, "intake", FAULT, f"record {offset}".encode())


def test_the_shelf_gives_each_reject_once_whole_and_in_the_order_of_the_sources() -> None:
    put = [reject(1, 2), reject(0, 10), reject(0, 9), reject(0, 3, "party-links"), reject(0, 9)]
    with RejectShelf() as shelf:
        for written_ms, one in enumerate(put):
            shelf.put(0, written_ms, entry_of(one).value)
        shelf.put(0, 9, b"no reject")
        items = shelf.selected(Selection())
        assert [str(item.at) for item in items] == [
            f"{TRANSACTIONS}/0/9", f"{TRANSACTIONS}/0/10", f"{TRANSACTIONS}/1/2", "party-links/0/3",
        ]  # fmt: skip
        assert [shelf.whole(item) for item in items] == [put[2], put[1], put[0], put[3]]
        assert [item.written_ms for item in items] == [2, 1, 0, 3], "the first message of a record says when"
        assert (shelf.messages, shelf.foreign) == (6, 1)
        assert put[0].original_sha256 == hashlib.sha256(b"record 2").hexdigest()
        assert [item.at.offset for item in shelf.selected(Selection(topics=frozenset({"party-links"})))] == [3]
        assert shelf.selected(Selection(since_ms=3)) == items[3:]


def test_a_mark_stays_whatever_is_written_after_it() -> None:
    one = reject(0, 1)
    with RejectShelf() as shelf:
        for message in (one, msgspec.structs.replace(one, redriven_to=f"{TRANSACTIONS}/0/7"), one):
            shelf.put(0, 0, entry_of(message).value)
        (item,) = shelf.selected(Selection())
        assert item.redriven_to == f"{TRANSACTIONS}/0/7"


@pytest.mark.parametrize("text", ["", "a", "a/1", "a/1/", "a/-1/2", "/1/2", "a/1/2/3", "a/1/²"])
def test_what_are_no_coordinates_is_told_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write them as topic/partition/offset"):
        Coordinates.parse(text)
    assert str(Coordinates.parse("party-links/0/3")) == "party-links/0/3"


def test_all_mistakes_in_a_file_of_mended_records_are_told_with_their_lines(tmp_path: Path) -> None:
    good = {"of": f"{TRANSACTIONS}/0/1", "value": transfer(1)}
    lines: list[Cells] = [
        good,
        {"of": "nowhere", "value": {}},
        {"of": f"{TRANSACTIONS}/0/2", "value": None},
        good,
        {"value": {}},
    ]
    file = write(tmp_path / "mended.jsonl", jsonl(lines) + b"\nnot json\n")
    with pytest.raises(CorrectionMistake) as told:
        read_corrections(file)
    text = str(told.value)
    assert [f"line {number}:" in text for number in range(1, 8)] == [False, True, True, True, True, False, True]
    write(file, jsonl([good]))
    assert list(read_corrections(file)) == [Coordinates(TRANSACTIONS, 0, 1)]
