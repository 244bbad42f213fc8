"""Bad data never stops a replay: each kind is rejected with its place, reason and original, and all is accounted for."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from streams.codec import ORIGINAL_BYTES_MAX, RECORD_BYTES_MAX
from streams.files.replay import replay
from streams.settings import load_settings
from tests.unit.feed_sample import csv_bytes, jsonl, read_all, transfer, write, write_parquet

GOOD = [transfer(n) for n in range(20)]


def replayed(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The summary and the rejects of a replay, whose accounts must add up."""
    out = folder.with_name(f"{folder.name}-out")
    replay([folder], out, load_settings(None))
    summary = json.loads((out / "summary.json").read_bytes())
    rejects = [json.loads(line) for line in (out / "rejects.jsonl").read_bytes().splitlines()]
    records = summary["records"]
    assert records["read"] == records["applied"] + records["rejected"] + records["duplicate"]
    assert records["rejected"] == len(rejects)
    return summary, rejects


def original_of(reject: dict[str, Any]) -> bytes:
    kept = reject["original"]
    return base64.b64decode(kept) if reject["original_encoding"] == "base64" else kept.encode()


@pytest.mark.parametrize(
    ("raw", "field", "words"),
    [
        (b"", "$", "the line is empty"),
        (b"\r", "$", "the line is empty"),
        (b"\xef\xbb\xbf{}", "$", "byte order mark"),
        (bytes(range(128, 256)), "$", "malformed"),
        (b"\x00\x01\x02", "$", "malformed"),
        (jsonl([transfer(99, txn_id="\ud800")])[:-1], "$", "surrogate"),
        (jsonl([transfer(99)])[:-1].replace(b"X99", b"\xc3\x28"), "$", "not UTF-8"),
        (jsonl([transfer(99)])[:-1].replace(b"1099", b"NaN"), "$", "invalid character"),
        (jsonl([transfer(99)])[:-1].replace(b"1099", b"-Infinity"), "$", "the JSON is malformed"),
        (jsonl([transfer(99)])[:-2] + b',"deep":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "$", "nested too deeply"),
        (jsonl([transfer(99)])[:60], "$", "cut off"),
        (jsonl([transfer(99, memo="x" * 3_000)])[:-1], "memo", "length <= 2000"),
        (jsonl([transfer(99, schema_version=2)])[:-1], "schema_version", "found 2"),
        (jsonl([transfer(99, currency="ZZZ")])[:-1], "currency", "'ZZZ' is not an ISO 4217 code"),
        (jsonl([transfer(99, amount_minor=0)])[:-1], "amount_minor", "positive amount in minor units; found 0"),
        (jsonl([transfer(99, amount_minor=-1)])[:-1], "amount_minor", "positive amount in minor units; found -1"),
        (jsonl([transfer(99, amount_minor="12.50")])[:-1], "amount_minor", "got str; found '12.50'"),
        (jsonl([transfer(99, event_time="1850-01-01T00:00:00Z")])[:-1], "event_time", "outside 1970-01-01"),
        (jsonl([transfer(99, event_time="2099-12-31T00:00:00Z")])[:-1], "event_time", "days ahead of the stream"),
        (jsonl([transfer(3, amount_minor=77)])[:-1], "txn_id", "'X3' was used before with other content"),
    ],
)
def test_a_bad_line_among_good_ones_is_rejected_alone_and_kept(tmp_path: Path, raw: bytes, field: str, words: str) -> None:
    lines = jsonl(GOOD).splitlines()
    write(tmp_path / "in" / "account-transactions.jsonl", b"\n".join([*lines[:10], raw, *lines[10:]]) + b"\n")
    summary, rejects = replayed(tmp_path / "in")
    assert summary["records"] == {"read": 21, "applied": 20, "rejected": 1, "duplicate": 0}
    reject = rejects[0]
    assert (reject["file"], reject["line"], reject["topic"]) == ("account-transactions.jsonl", 11, "account-transactions")
    assert reject["field"] == field
    assert words in reject["reason"]
    assert original_of(reject) == raw[:ORIGINAL_BYTES_MAX]
    assert (reject["original_length"], reject["original_sha256"]) == (len(raw), hashlib.sha256(raw).hexdigest())


@pytest.mark.parametrize("size", [RECORD_BYTES_MAX + 1, 10 << 20])
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.zst", ".csv"])
def test_an_overlong_line_is_rejected_with_its_beginning_length_and_digest(tmp_path: Path, size: int, suffix: str) -> None:
    header, *rows = (b"", *jsonl(GOOD).splitlines()) if "jsonl" in suffix else csv_bytes(GOOD).splitlines()
    giant = "ü".encode() * (size // 2) + b"x" * (size % 2)
    lines = [*([header] if header else []), *rows[:5], giant, *rows[5:]]
    write(tmp_path / "in" / f"account-transactions{suffix}", b"\n".join(lines) + b"\n")
    summary, rejects = replayed(tmp_path / "in")
    assert summary["records"] == {"read": 21, "applied": 20, "rejected": 1, "duplicate": 0}
    assert rejects[0]["line"] == lines.index(giant) + 1
    assert f"the record has {size} bytes; at most {RECORD_BYTES_MAX}" in rejects[0]["reason"]
    assert original_of(rejects[0]) == giant[:ORIGINAL_BYTES_MAX]
    assert (rejects[0]["original_length"], rejects[0]["original_sha256"]) == (size, hashlib.sha256(giant).hexdigest())


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_compressed_file_that_ends_early_is_read_to_where_it_ends(tmp_path: Path, suffix: str) -> None:
    data = jsonl(transfer(n, memo=hashlib.sha256(str(n).encode()).hexdigest()) for n in range(20_000))
    packed = gzip.compress(data) if suffix == "gz" else zstandard.ZstdCompressor().compress(data)
    write(tmp_path / "in" / "account-transactions.jsonl", jsonl(transfer(n) for n in range(50_000, 50_100)))
    (tmp_path / "in" / f"account-transactions-b.jsonl.{suffix}").write_bytes(packed[: len(packed) // 2])
    summary, rejects = replayed(tmp_path / "in")
    assert summary["damaged_files"] == [f"account-transactions-b.jsonl.{suffix}"]
    assert summary["records"]["rejected"] == 1
    assert 100 < summary["records"]["applied"] < 20_000
    reject = rejects[0]
    assert reject["line"] == summary["records"]["applied"] - 100 + 1
    assert "the compressed stream ends early: from here on the file cannot be read. Fetch it again" in reject["reason"]
    assert data.splitlines()[reject["line"] - 1].startswith(original_of(reject))


def test_a_gzip_file_with_flipped_bytes_is_read_to_where_they_are(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(jsonl(transfer(n, memo=hashlib.sha256(str(n).encode()).hexdigest()) for n in range(20_000))))
    data[len(data) // 2 : len(data) // 2 + 64] = b"\xff" * 64
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "account-transactions.jsonl.gz").write_bytes(data)
    summary, rejects = replayed(tmp_path / "in")
    assert summary["damaged_files"] == ["account-transactions.jsonl.gz"]
    assert rejects[-1]["reason"].endswith("from here on the file cannot be read. Fetch it again and replay.")
    assert summary["records"]["applied"] > 1_000


def test_a_damaged_row_group_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    memos = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(3_000)]
    path = write_parquet(
        tmp_path / "in" / "account-transactions.parquet", [transfer(n, memo=memos[n]) for n in range(3_000)], group_rows=1_000
    )
    data = bytearray(path.read_bytes())
    where = data.index(memos[1_500].encode())
    data[where - 20_000 : where + 20_000] = b"\xff" * 40_000
    path.write_bytes(data)
    summary, rejects = replayed(tmp_path / "in")
    assert summary["records"] == {"read": 2_001, "applied": 2_000, "rejected": 1, "duplicate": 0}
    assert rejects[0]["line"] == 1_001
    assert "(rows 1001 to 2000): from here on the file cannot be read" in rejects[0]["reason"]
    assert summary["damaged_files"] == ["account-transactions.parquet"]


def test_a_stray_quote_in_a_csv_file_costs_only_its_row(tmp_path: Path) -> None:
    lines = csv_bytes([transfer(n, memo="fine") for n in range(300)]).splitlines()
    lines[5] = lines[5].replace(b"fine", b'5" pipe')
    lines[50] = lines[50].replace(b"fine", b'"open')
    write(tmp_path / "in" / "account-transactions.csv", b"\n".join(lines) + b"\n")
    summary, rejects = replayed(tmp_path / "in")
    assert summary["records"] == {"read": 300, "applied": 298, "rejected": 2, "duplicate": 0}
    assert [reject["line"] for reject in rejects] == [6, 51]
    assert all("a quote stands astray" in reject["reason"] for reject in rejects)
    assert [original_of(reject) for reject in rejects] == [lines[5], lines[50]]


def test_csv_rows_that_are_short_empty_or_not_utf8_are_rejected_with_their_bytes(tmp_path: Path) -> None:
    header, *rows = csv_bytes(GOOD).splitlines()
    bad = [b"a,b", b"", rows[1] + b",extra", rows[1].replace(b"X1", b"\xe9\xff")]
    write(tmp_path / "in" / "account-transactions.csv", b"\r\n".join([header, *rows, *bad]) + b"\r\n")
    summary, rejects = replayed(tmp_path / "in")
    assert summary["records"] == {"read": 24, "applied": 20, "rejected": 4, "duplicate": 0}
    columns = header.count(b",") + 1
    assert [reject["reason"].split(";")[0] for reject in rejects] == [
        f"the header names {columns} columns",
        "the line is empty",
        f"the header names {columns} columns",
        "a text is not UTF-8: invalid continuation byte",
    ]
    assert [original_of(reject).rstrip(b"\r") for reject in rejects] == bad


def test_a_parquet_row_that_is_no_record_keeps_its_cells(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    rows = [*GOOD, transfer(98, currency="ZZZ"), transfer(99, amount_minor=0)]
    write_parquet(tmp_path / "in" / "account-transactions.parquet", rows)
    summary, rejects = replayed(tmp_path / "in")
    assert summary["records"]["rejected"] == 2
    assert [(reject["line"], reject["field"]) for reject in rejects] == [(21, "currency"), (22, "amount_minor")]
    assert json.loads(rejects[1]["original"])["txn_id"] == "X99"


def test_a_file_of_nothing_but_rubbish_is_all_rejects(tmp_path: Path) -> None:
    write(tmp_path / "in" / "account-transactions.jsonl", b"\xff\xfe\n" * 3_000)
    summary, rejects = replayed(tmp_path / "in")
    assert summary["records"] == {"read": 3_000, "applied": 0, "rejected": 3_000, "duplicate": 0}
    assert [reject["line"] for reject in rejects] == list(range(1, 3_001))
    assert summary["event_time_first"] is None


def test_the_same_record_twice_counts_once(tmp_path: Path) -> None:
    write(tmp_path / "in" / "account-transactions.jsonl", jsonl([*GOOD, *GOOD[:5]]))
    summary, _ = replayed(tmp_path / "in")
    assert summary["records"] == {"read": 25, "applied": 20, "rejected": 0, "duplicate": 5}


def test_an_original_cut_within_a_character_stays_text(tmp_path: Path) -> None:
    raw = b"x" + "ü".encode() * ORIGINAL_BYTES_MAX
    write(tmp_path / "account-transactions.jsonl", raw)
    _, rejects = read_all(tmp_path)
    assert rejects[0].original_encoding == "utf-8"
    assert rejects[0].original == "x" + "ü" * (ORIGINAL_BYTES_MAX // 2 - 1)
