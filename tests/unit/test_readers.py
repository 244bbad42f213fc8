"""The same records come out of every format and compression, and nothing that is in a file goes unmentioned."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from detectors.events import AccountTransaction, EntrustedPayment, LoanDisbursement
from streams.files.inputs import InputError, find_topic_files
from streams.files.readers import open_topic_files
from tests.unit.feed_sample import csv_bytes, ids, jsonl, misused_loans, payout, read_all, transfer, write, write_parquet


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".jsonl.gz", ".jsonl.zst", ".csv", ".csv.gz", ".csv.zst", ".parquet"])
def test_every_format_gives_the_same_records(tmp_path: Path, suffix: str) -> None:
    payouts, transfers = misused_loans()
    plain = tmp_path / "plain"
    write(plain / "account-transactions.jsonl", jsonl(transfers))
    write(plain / "loan-disbursements.jsonl", jsonl(payouts))
    expected = [(*row[:4], row[5]) for row in read_all(plain)[0]]
    form = tmp_path / "form"
    form.mkdir()
    for topic, rows in (("account-transactions", transfers), ("loan-disbursements", payouts)):
        if suffix == ".parquet":
            write_parquet(form / f"{topic}{suffix}", rows)
        else:
            write(form / f"{topic}{suffix}", csv_bytes(rows) if "csv" in suffix else jsonl(rows))
    taken, rejects = read_all(form)
    assert not rejects
    assert [(*row[:4], row[5]) for row in taken] == expected
    assert len(taken) == len(payouts) + len(transfers)


def test_a_csv_cell_may_hold_commas_quotes_newlines_and_nested_json(tmp_path: Path) -> None:
    loan = {
        **payout(1, 0),
        "purpose_text": 'steel, 5" pipes\nand "bends"',
        "entrusted_payments": [{"payee_account": "S", "amount_minor": 7}],
    }
    write(tmp_path / "loan-disbursements.csv", csv_bytes([loan, payout(2, 1)]))
    rows, rejects = read_all(tmp_path)
    assert not rejects
    first, second = rows[0][5], rows[1][5]
    assert isinstance(first, LoanDisbursement)
    assert first.purpose_text == loan["purpose_text"]
    assert first.entrusted_payments == (EntrustedPayment(payee_account="S", amount_minor=7),)
    assert isinstance(second, LoanDisbursement)
    assert second.purpose_text is None, "an empty cell is an absent field"
    assert [row[4] for row in rows] == [2, 4], "a row's line is the one it begins on"


def test_csv_numbers_are_whole_numbers_and_times_carry_an_offset(tmp_path: Path) -> None:
    rows = [transfer(n, amount_minor=amount) for n, amount in enumerate(["7", "7.0", "1e3", "７", " 7"])]
    rows.append(transfer(9, event_time="20260105"))
    write(tmp_path / "account-transactions.csv", csv_bytes(rows))
    taken, rejects = read_all(tmp_path)
    assert ids(taken) == ["X0"]
    assert [reject.field for reject in rejects] == ["amount_minor"] * 4 + ["event_time"]
    assert rejects[0].reason == "expected a whole number of minor units (fen, cents), got str; found '7.0'"


def test_csv_booleans_are_read_in_either_spelling(tmp_path: Path) -> None:
    rows = [transfer(n, cash_flag=flag) for n, flag in enumerate(["true", "FALSE", "1", "0", "yes"])]
    write(tmp_path / "account-transactions.csv", csv_bytes(rows))
    taken, rejects = read_all(tmp_path)
    assert [row[5].cash_flag for row in taken if isinstance(row[5], AccountTransaction)] == [True, False, True, False]
    assert rejects[0].reason == "Expected bool, got str; found 'yes'"


def test_lines_longer_than_a_chunk_are_read_whole(tmp_path: Path) -> None:
    rows = [transfer(n, note="z" * 300_000) for n in range(5)]
    for name in ("account-transactions.jsonl", "account-transactions-2.jsonl.zst"):
        write(tmp_path / name, jsonl(rows))
    taken, rejects = read_all(tmp_path)
    assert (len(taken), rejects) == (10, [])


def test_a_last_line_without_a_newline_counts(tmp_path: Path) -> None:
    write(tmp_path / "account-transactions.jsonl", jsonl([transfer(1), transfer(2)]).rstrip(b"\n"))
    write(tmp_path / "account-transactions-b.csv", csv_bytes([transfer(3), transfer(4)]).rstrip(b"\r\n"))
    assert ids(read_all(tmp_path)[0]) == ["X1", "X2", "X3", "X4"]


@pytest.mark.parametrize("compress", [lambda data: gzip.compress(data), lambda data: zstandard.ZstdCompressor().compress(data)])
def test_compressed_pieces_put_behind_one_another_are_one_file(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    suffix = ".gz" if compress(b"")[:2] == b"\x1f\x8b" else ".zst"
    data = b"".join(compress(jsonl([transfer(n)])) for n in range(50))
    (tmp_path / f"account-transactions.jsonl{suffix}").write_bytes(data)
    assert len(read_all(tmp_path)[0]) == 50


def test_a_byte_order_mark_and_crlf_are_taken_as_they_come(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    write(tmp_path / "account-transactions.jsonl", mark + jsonl([transfer(1), transfer(2)]).replace(b"\n", b"\r\n"))
    write(tmp_path / "account-transactions-b.csv", mark + csv_bytes([transfer(3)]))
    rows, rejects = read_all(tmp_path)
    assert (ids(rows), rejects) == (["X1", "X2", "X3"], [])


def test_other_files_of_a_folder_are_ignored_by_name(tmp_path: Path) -> None:
    write(tmp_path / "account-transactions.jsonl", jsonl([transfer(1)]))
    for name in ("labels.jsonl", "README.md", "account-transactionsold.jsonl", ".hidden"):
        write(tmp_path / name, b"x")
    (tmp_path / "account-transactions-old").mkdir()
    inputs = find_topic_files([tmp_path])
    assert [file.name for file in inputs.files] == ["account-transactions.jsonl"]
    assert inputs.ignored == ("README.md", "account-transactionsold.jsonl", "labels.jsonl")


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    path = write(tmp_path / "account-transactions.jsonl", jsonl([transfer(1)]))
    assert len(open_topic_files([tmp_path, path, path])) == 1


def test_files_of_one_name_keep_their_paths_as_names(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write(tmp_path / folder / "account-transactions.jsonl", jsonl([transfer(1)]))
    names = [source.file.name for source in open_topic_files([tmp_path / "a", tmp_path / "b"])]
    assert names == [str(tmp_path / folder / "account-transactions.jsonl") for folder in ("a", "b")]


def test_parts_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 100):
        write(tmp_path / f"account-transactions-{number}.jsonl", jsonl([transfer(number, minutes=0)]))
    assert ids(read_all(tmp_path)[0]) == ["X9", "X10", "X100"]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("labels.jsonl", b"", ["the name begins with no topic", "account-transactions"]),
        ("account-transactions.xlsx", b"x", ["this suffix is not read", ".jsonl", ".parquet"]),
        ("account-transactions.jsonl.part", b"x", ["this suffix is not read"]),
        ("account-transactions.jsonl.bz2", b"x", ["this suffix is not read"]),
        ("account-transactions.csv", b"txn_id,txn_id\n", ["names txn_id twice", "Rename or drop"]),
        ("account-transactions.csv", b"txn_id,memo\n", ["needs the columns", "account_id", "amount_minor"]),
        ("account-transactions.csv", b"txn_id;account_id\n", ["not separated by commas"]),
        ("account-transactions.csv", b"", ["there is no header line"]),
        ("account-transactions.csv", b"\xff\xfet\x00x\x00\n", ["header line is not UTF-8"]),
        ("account-transactions.parquet", b"PAR1 nonsense", ["cannot be read as Parquet", "again"]),
    ],
)
def test_what_cannot_be_begun_is_an_error_with_the_file_and_the_remedy(
    tmp_path: Path, name: str, data: bytes, words: list[str]
) -> None:
    path = write(tmp_path / name, data)
    with pytest.raises(InputError) as caught:
        open_topic_files([path])
    for word in [str(path), *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", ["account-transactions.jsonl.gz", "account-transactions.csv.zst"])
@pytest.mark.parametrize("data", [b"", b"this is no compressed file at all"])
def test_a_file_that_is_not_compressed_as_its_suffix_says_is_an_error(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=r"Fetch it again"):
        open_topic_files([tmp_path])


def test_a_missing_path_and_an_empty_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone: there is no such file or folder"):
        open_topic_files([tmp_path / "gone"])
    with pytest.raises(InputError, match=r"no topic files there.*account-transactions\.jsonl"):
        open_topic_files([tmp_path])


def test_a_parquet_table_without_time_zone_is_an_error(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = transfer(1)
    table = pa.table({key: [value] for key, value in cells.items()} | {"event_time": pa.array([0], pa.timestamp("ms"))})
    pq.write_table(table, tmp_path / "account-transactions.parquet")
    with pytest.raises(InputError, match="column event_time holds timestamps without a time zone"):
        open_topic_files([tmp_path])
