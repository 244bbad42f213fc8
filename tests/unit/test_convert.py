"""Converters say what their source says: every record, exact money, no labels among the facts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streams.files.convert import convert
from streams.files.convert.topic_folder import instant, minor_units
from streams.files.inputs import InputError
from streams.files.replay import replay
from streams.files.writers import OutputRefused
from streams.settings import load_settings
from tests.unit.feed_sample import read_all

DAY_MS = 1_767_225_600_000  # 2026-01-01


def records(out: Path, topic: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / f"{topic}.jsonl").read_bytes().splitlines()]


def payments_folder(path: Path) -> Path:
    path.mkdir()
    rows = [
        ("T1", "A1", "A2", 500, "TRANSFER", -70, 900),
        ("T2", "A1", "EXT:spending", 42, "PURCHASE", 458, 0),
        ("T3", "EXT:income", "A2", 99, "INCOME", 0, 999),
        ("T4", "A2", "EXT:spending", 9, "CASH_WITHDRAWAL", 990, 0),
    ]
    names = ("txn_id", "payer", "payee", "amount_minor", "txn_type", "payer_balance_minor", "payee_balance_minor")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    times = {"event_time_ms": [DAY_MS + n for n in range(len(rows))]}
    pq.write_table(pa.table(columns | times), path / "transactions.parquet")
    (path / "loans.csv").write_text(f"loan_id,event_time_ms,account,amount_minor\nL1,{DAY_MS - 1},A1,150000\n")
    (path / "labels.csv").write_text("txn_id,pattern\nT1,7\n")
    (path / "loan_labels.csv").write_text("loan_id,misused,pattern\nL1,1,7\n")
    return path


def test_payments_become_one_record_each_with_both_accounts(tmp_path: Path) -> None:
    written = convert("payments", payments_folder(tmp_path / "src"), tmp_path / "out")
    assert written == {"loan-disbursements.jsonl": 1, "account-transactions.jsonl": 4, "labels.csv": 2, "loan_labels.csv": 2}
    sent, bought, earned, cash = records(tmp_path / "out", "account-transactions")
    assert (sent["account_id"], sent["direction"], sent["counterparty_account"]) == ("A1", "DEBIT", "A2")
    assert (sent["balance_after_minor"], sent["currency"], sent["event_time"]) == (-70, "CNY", "2026-01-01T00:00:00Z")
    assert "counterparty_account" not in bought
    assert bought["txn_type"] == "PURCHASE"
    assert (earned["account_id"], earned["direction"], earned["txn_type"]) == ("A2", "CREDIT", "OTHER")
    assert earned["balance_after_minor"] == 999
    assert "counterparty_account" not in earned
    assert (cash["txn_type"], cash["cash_flag"]) == ("CASH_WITHDRAWAL", True)
    (loan,) = records(tmp_path / "out", "loan-disbursements")
    assert (loan["loan_id"], loan["disburse_account"], loan["amount_minor"]) == ("L1", "A1", 150_000)
    assert loan["event_time"] == "2025-12-31T23:59:59.999000Z"


def test_labels_lie_beside_and_reach_no_topic_file(tmp_path: Path) -> None:
    convert("payments", payments_folder(tmp_path / "src"), tmp_path / "out", currency="SEK")
    assert (tmp_path / "out" / "loan_labels.csv").read_text() == "loan_id,misused,pattern\nL1,1,7\n"
    for topic in ("account-transactions", "loan-disbursements"):
        text = (tmp_path / "out" / f"{topic}.jsonl").read_text()
        assert "pattern" not in text
        assert "misused" not in text
        assert '"currency":"SEK"' in text
    summary = replay([tmp_path / "out"], tmp_path / "replayed", load_settings(None))
    assert summary.ignored_files == ["labels.csv", "loan_labels.csv"]
    assert summary.records.applied == 5


def test_tide_payments_keep_their_currency_and_what_is_unsound_stays_in(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    rows = [
        ("T1", "person", "A", 500, "EUR", "DEPOSIT"),
        ("T2", "A", "B", 7, "JPY", "WITHDRAWAL"),
        ("T3", "A", "B", 0, "GBP", "TRANSFER"),
        ("T4", "B", "B", 5, "GBP", "PAYMENT"),
    ]
    names = ("txn_id", "payer", "payee", "amount_minor", "currency", "txn_type")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns | {"event_time_ms": [DAY_MS] * 4}), tmp_path / "src" / "transactions.parquet")
    (tmp_path / "src" / "labels.csv").write_text("txn_id,pattern\nT1,x\n")
    convert("tide", tmp_path / "src", tmp_path / "out")
    deposit, withdrawal, nothing, itself = records(tmp_path / "out", "account-transactions")
    assert (deposit["account_id"], deposit["direction"], deposit["txn_type"]) == ("A", "CREDIT", "CASH_DEPOSIT")
    assert deposit["counterparty_account"] == "person"
    assert (withdrawal["account_id"], withdrawal["direction"], withdrawal["txn_type"]) == ("A", "DEBIT", "CASH_WITHDRAWAL")
    assert withdrawal["currency"] == "JPY"
    assert (nothing["amount_minor"], itself["txn_type"]) == (0, "PURCHASE")
    taken, rejects = read_all(tmp_path / "out")
    assert len(taken) == 2
    assert [reject.field for reject in rejects] == ["amount_minor", "counterparty_account"]


TRANS = """"trans_id";"account_id";"date";"type";"operation";"amount";"balance";"k_symbol";"bank";"account"
11;5;930101;"PRIJEM";"VKLAD";700.10;700.10;"";;
12;5;930101;"VYDAJ";"PREVOD NA UCET";8033.00;-7332.90;"UVER";"YZ";"87144583"
13;5;930131;"PRIJEM";"";0.30;-7332.60;"UROK";;
14;5;930131;"VYDAJ";"VYBER";14.60;-7347.20;"SLUZBY";"";"0"
15;6;930201;"VYBER";"VYBER";100.00;5.00;" ";"";""
16;6;930201;"VYDAJ";"PREVOD NA UCET";2452.00;5.00;"SIPO";"YZ";"1"
"""


def berka_folder(path: Path) -> Path:
    path.mkdir()
    (path / "trans_1993.asc").write_text(TRANS, encoding="windows-1250", newline="\r\n")
    (path / "loan.asc").write_text(
        '"loan_id";"account_id";"date";"amount";"duration";"payments";"status"\n5314;5;931231;96396;14;8033.00;"B"\n'
    )
    (path / "disp.asc").write_text('"disp_id";"client_id";"account_id";"type"\n1;41;5;"OWNER"\n2;42;5;"DISPONENT"\n')
    return path


def test_berka_amounts_become_exact_haler_and_dates_noon_in_prague(tmp_path: Path) -> None:
    convert("berka", berka_folder(tmp_path / "src"), tmp_path / "out")
    paid_in, instalment, interest, fee, cash, household = records(tmp_path / "out", "account-transactions")
    assert (paid_in["amount_minor"], paid_in["balance_after_minor"], paid_in["currency"]) == (70_010, 70_010, "CZK")
    assert (paid_in["event_time"], paid_in["source_seq"]) == ("1993-01-01T12:00:00+01:00", 0)
    assert (paid_in["direction"], paid_in["txn_type"], paid_in["cash_flag"]) == ("CREDIT", "CASH_DEPOSIT", True)
    assert paid_in["customer_id"] == "41"
    assert (instalment["direction"], instalment["txn_type"], instalment["related_loan_id"]) == (
        "DEBIT",
        "LOAN_PRINCIPAL",
        "L5314",
    )
    assert (instalment["counterparty_account"], instalment["counterparty_bank_code"]) == ("YZ87144583", "YZ")
    assert (interest["txn_type"], interest["amount_minor"]) == ("INTEREST", 30)
    assert fee["txn_type"] == "OTHER"
    assert not {"cash_flag", "counterparty_account"} & fee.keys()
    assert (cash["direction"], cash["txn_type"]) == ("DEBIT", "CASH_WITHDRAWAL")
    assert household["txn_type"] == "AGENCY_PAYMENT"


def test_a_berka_loan_keeps_its_status_to_its_label(tmp_path: Path) -> None:
    convert("berka", berka_folder(tmp_path / "src"), tmp_path / "out")
    (loan,) = records(tmp_path / "out", "loan-disbursements")
    assert (loan["loan_id"], loan["amount_minor"], loan["maturity_date"]) == ("L5314", 9_639_600, "1995-02-28")
    assert "status" not in loan
    assert (tmp_path / "out" / "loan_labels.csv").read_text() == "loan_id,status\nL5314,B\n"


def test_stolen_money_is_one_payout_a_source_before_its_first_flow(tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    (source / "flows.csv").write_text(
        "Timestamp,Block,Tx_hash,From,From_label,To,To_label,Value_in_USD\n"
        "2024-07-16 12:06:35,9,0xc,0xs,Thief,0xb,,0.5\n"
        "2024-07-16 12:04:47,8,0xb,0xa,,0xt,Mixer,335.65\n"
        "2024-07-16 12:04:47,7,0xa,0xs,Thief,0xa,,335.65\n"
        "2024-07-16 12:06:35,9,0xc,0xs,Thief,0xd,,10\n"
    )
    (source / "sources.txt").write_text("0xs\n0xunused")
    (source / "terminals.txt").write_text("0xt\n")
    convert("laundernet", source, tmp_path / "out")
    (payout,) = records(tmp_path / "out", "loan-disbursements")
    assert (payout["loan_id"], payout["amount_minor"], payout["currency"]) == ("STOLEN-0xs", 33_565 + 50 + 1_000, "USD")
    assert payout["event_time"] == "2024-07-16T12:04:46.999000Z"
    flows = records(tmp_path / "out", "account-transactions")
    assert [flow["txn_id"] for flow in flows] == ["0xa", "0xb", "0xc", "0xc#2"]
    assert [flow["amount_minor"] for flow in flows] == [33_565, 33_565, 50, 1_000]
    assert "Mixer" not in (tmp_path / "out" / "account-transactions.jsonl").read_text()
    assert (tmp_path / "out" / "terminals.txt").read_text() == "0xt\n"


def test_a_folder_of_several_clusters_asks_for_one(tmp_path: Path) -> None:
    for name in ("cluster-3", "cluster-4"):
        (tmp_path / "src" / name).mkdir(parents=True)
        (tmp_path / "src" / name / "flows.csv").write_text("")
    with pytest.raises(InputError, match="Name one of its folders: cluster-3, cluster-4"):
        convert("laundernet", tmp_path / "src", tmp_path / "out")


@pytest.mark.parametrize(
    ("kind", "spoil", "words"),
    [
        ("payments", "transactions.parquet", r"transactions\.parquet: there is no such file"),
        ("payments", "labels.csv", r"labels\.csv: there is no such file"),
        ("berka", "trans_1993.asc", r"there is no trans\*\.asc"),
        ("berka", "disp.asc", r"disp\.asc: there is no such file"),
    ],
)
def test_a_source_that_lacks_a_file_is_an_error_and_leaves_no_topic_file(
    tmp_path: Path, kind: str, spoil: str, words: str
) -> None:
    source = (payments_folder if kind == "payments" else berka_folder)(tmp_path / "src")
    (source / spoil).unlink()
    with pytest.raises(InputError, match=words):
        convert(kind, source, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.jsonl"))


def test_a_source_of_another_kind_is_an_error(tmp_path: Path) -> None:
    source = payments_folder(tmp_path / "src")
    (source / "loans.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="does not look like payments"):
        convert("payments", source, tmp_path / "out")
    with pytest.raises(InputError, match="no such kind of source"):
        convert("swift", source, tmp_path / "out2")
    with pytest.raises(InputError, match="there is no such folder"):
        convert("tide", tmp_path / "none", tmp_path / "out3")


def test_a_folder_in_use_is_not_written_into(tmp_path: Path) -> None:
    source = payments_folder(tmp_path / "src")
    with pytest.raises(OutputRefused):
        convert("payments", source, source)


def test_amounts_are_read_exactly_or_not_at_all() -> None:
    assert minor_units("999999999999.99", "CZK") == 99_999_999_999_999
    assert minor_units("5", "JPY") == 5
    with pytest.raises(ValueError, match="more decimals than CZK"):
        minor_units("0.001", "CZK")
    assert instant(DAY_MS + 1).isoformat() == "2026-01-01T00:00:00.001000+00:00"
