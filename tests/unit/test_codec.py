"""Bytes become records or faults that say what to mend; nothing makes the codec raise."""

from __future__ import annotations

import json
from typing import Any

import pytest

from detectors.events import EVENT_TYPES, AccountTransaction, Fault, LoanDisbursement
from streams.codec import RECORD_BYTES_MAX, decode, encode, shorten

TRANSFER = {
    "event_time": "2026-01-05T10:00:00.123+08:00",
    "txn_id": "X1",
    "account_id": "A",
    "amount_minor": 500,
    "currency": "CNY",
    "direction": "DEBIT",
}


def line(**changes: Any) -> bytes:
    return json.dumps({**TRANSFER, **changes}).encode()


def fault_in(raw: bytes, topic: str = "account-transactions") -> Fault:
    result = decode(topic, raw)
    assert isinstance(result, Fault), f"{raw[:80]!r} was taken"
    return result


def test_a_sound_record_is_decoded_and_survives_the_way_back() -> None:
    record = decode("account-transactions", line(memo="货款", source_seq=7))
    assert isinstance(record, AccountTransaction)
    assert (record.amount_minor, record.event_time_ms, record.memo) == (500, 1767578400123, "货款")
    assert decode("account-transactions", encode(record)) == record


def test_every_topic_has_its_decoder() -> None:
    for topic in EVENT_TYPES:
        assert fault_in(b"{}", topic).reason == "the field is mandatory and is not there"


@pytest.mark.parametrize(
    ("raw", "field", "words"),
    [
        (line(amount_minor=5.5), "amount_minor", ["minor units (fen, cents), got float", "5.5"]),
        (line(amount_minor=5.0), "amount_minor", ["minor units (fen, cents), got float"]),
        (line(amount_minor=-5), "amount_minor", ["expected a positive amount in minor units", "-5"]),
        (line(amount_minor=0), "amount_minor", ["expected a positive amount in minor units", "found 0"]),
        (line(amount_minor=10**16), "amount_minor", ["<= 1000000000000000"]),
        (line(amount_minor=True), "amount_minor", ["got bool", "True"]),
        (line(amount_minor=None), "amount_minor", ["got null"]),
        (line(txn_id="x" * 129), "txn_id", ["length <= 128", "(129 characters)"]),
        (line(txn_id=""), "txn_id", ["length >= 1"]),
        (line(schema_version=2), "schema_version", ["expected 1", "found 2"]),
        (line(currency="XXQ"), "currency", ["'XXQ' is not an ISO 4217 code"]),
        (line(currency="cn"), "currency", ["^[A-Z]{3}$", "'cn'"]),
        (line(amount_exponent=0), "amount_exponent", ["0 where CNY has 2"]),
        (line(event_time="2026-01-05T10:00:00"), "event_time", ["timezone", "'2026-01-05T10:00:00'"]),
        (line(event_time="2026-02-30T10:00:00Z"), "event_time", ["Invalid RFC3339", "'2026-02-30T10:00:00Z'"]),
        (line(event_time=1767578400), "event_time", ["Expected datetime, got int"]),
        (line(event_time="9999-12-31T23:59:59-14:00"), "event_time", ["outside 1970-01-01 .. 2100-01-01"]),
        (line(event_time="0001-01-01T00:00:00+14:00"), "event_time", ["outside 1970-01-01 .. 2100-01-01"]),
        (line(direction={"a": [1] * 100}), "direction", ["got object", "characters)"]),
        (line(txn_type="GIFT"), "txn_type", ["expected one of AGENCY_PAYMENT, BATCH", "found 'GIFT'"]),
        (line(direction="x" * 5_000), "direction", ["expected one of CREDIT, DEBIT", "(5000 characters)"]),
        (line(record="tick"), "record", ["another type than its topic holds", "'tick'"]),
        (line(counterparty_account="A"), "counterparty_account", ["pays itself"]),
        (line(source_seq=2**64), "source_seq", ["at most 64 bits", "18446744073709551616"]),
        (b'{"txn_id":"X1"}', "event_time", ["mandatory and is not there"]),
        (line().replace(b"500", b"NaN"), "$", ["malformed", "invalid character"]),
        (line().replace(b"500", b"9" * 5000), "amount_minor", ["out of range"]),
        (line().replace(b'"X1"', b'"\xff\xfe"'), "$", ["not UTF-8", "\\xff\\xfe"]),
        (line().replace(b'"X1"', b'"\\ud800"'), "$", ["surrogate"]),
        (line() + line(), "$", ["trailing characters"]),
        (line()[:40], "$", ["cut off"]),
        (b"", "$", ["the line is empty"]),
        (b" \t\r", "$", ["the line is empty"]),
        (b"\xef\xbb\xbf" + line(), "$", ["byte order mark"]),
        (line().decode().encode("utf-16"), "$", ["UTF-16", "expected UTF-8"]),
        (b"null", "$", ["Expected object, got null"]),
        (b"[1,2]", "$", ["Expected object, got array", "[1, 2]"]),
        (b"[" * 100_000, "$", ["Expected object, got array"]),
        (line()[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "$", ["nested too deeply"]),
        (line()[:-1] + b',"x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}", "$", ["nested too deeply"]),
    ],
)
def test_a_fault_names_the_field_what_was_expected_and_what_stood_there(raw: bytes, field: str, words: list[str]) -> None:
    fault = fault_in(raw)
    assert fault.field == field
    for word in words:
        assert word in fault.reason
    assert len(fault.reason) < 400


def test_a_fault_inside_a_list_says_where() -> None:
    loan = {"event_time": "2026-01-05T10:00:00Z", "loan_id": "L", "amount_minor": 5, "currency": "CNY", "disburse_account": "A"}
    payments = [{"payee_account": "S", "amount_minor": 1}, {"payee_account": "S", "amount_minor": "all"}]
    fault = fault_in(json.dumps({**loan, "entrusted_payments": payments}).encode(), "loan-disbursements")
    assert fault.field == "entrusted_payments[1].amount_minor"
    assert fault.reason == "expected a whole number of minor units (fen, cents), got str; found 'all'"
    nameless = fault_in(json.dumps({**loan, "entrusted_payments": [{"amount_minor": 1}]}).encode(), "loan-disbursements")
    assert nameless.field == "entrusted_payments[0].payee_account"


def test_a_carriage_return_is_no_fault() -> None:
    assert isinstance(decode("account-transactions", line() + b"\r"), AccountTransaction)


def test_unknown_fields_are_passed_over() -> None:
    assert isinstance(decode("account-transactions", line(branch_weather="rain")), AccountTransaction)


def test_a_record_of_the_largest_size_is_taken_and_one_byte_more_is_not() -> None:
    room = RECORD_BYTES_MAX - len(line(x=""))
    assert isinstance(decode("account-transactions", line(x="y" * room)), AccountTransaction)
    fault = fault_in(line(x="y" * (room + 1)))
    assert fault.reason == f"the record has {RECORD_BYTES_MAX + 1} bytes; at most {RECORD_BYTES_MAX} are taken"


def test_bytes_of_ten_megabytes_are_rejected_unparsed() -> None:
    assert "10485760 bytes" in fault_in(b"[" * (10 << 20)).reason


def test_money_of_another_exponent_is_read_as_whole_units() -> None:
    loan = decode(
        "loan-disbursements",
        b'{"event_time":"2026-01-05T10:00:00Z","loan_id":"L","amount_minor":1000,"currency":"JPY","amount_exponent":0,'
        b'"disburse_account":"A"}',
    )
    assert isinstance(loan, LoanDisbursement)
    assert loan.amount_minor == 1000


def test_shown_values_stay_on_one_short_line() -> None:
    assert shorten("a\nb") == r"'a\nb'"
    assert shorten("\ud800") == r"'\ud800'"
    assert len(shorten("x" * 10**6)) < 100
    assert len(shorten(list(range(10**5)))) < 100
    assert shorten(10**5000) == "an integer of 16610 bits"
