"""The published schemas are the ones of the types, and they judge records as the types do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from detectors.events import EVENT_TYPES, Fault
from streams import schemas
from streams.codec import decode
from tests.layout.tree import REPO

FOLDER = REPO / schemas.FOLDER

DISBURSEMENT: dict[str, Any] = {
    "event_time": "2026-03-02T09:30:00+08:00",
    "loan_id": "L1",
    "amount_minor": 10_000_000,
    "currency": "CNY",
    "disburse_account": "A1",
}
TRANSACTION: dict[str, Any] = {
    "event_time": "2026-03-02T10:00:00.250Z",
    "txn_id": "X1",
    "account_id": "A1",
    "amount_minor": 5_000,
    "currency": "CNY",
    "direction": "DEBIT",
}
LIST_ENTRY: dict[str, Any] = {"event_time": "2026-03-02T00:00:00Z", "list_name": "HUB", "account_id": "TAX"}
LINK: dict[str, Any] = {"event_time": "2026-03-02T00:00:00Z", "party_id": "P1", "other_party_id": "P2", "role": "SPOUSE"}
NEWS: dict[str, Any] = {"event_time": "2026-03-02T00:00:00Z", "party_id": "P1", "category": "TAX", "action": "ADDED"}
OUTCOME: dict[str, Any] = {"event_time": "2026-03-02T00:00:00Z", "alert_id": "a1", "outcome": "FALSE_POSITIVE"}
TICK: dict[str, Any] = {"event_time": "2026-03-02T00:00:00Z"}

GOOD: list[tuple[str, dict[str, Any]]] = [
    ("loan-disbursements", DISBURSEMENT),
    ("loan-disbursements", DISBURSEMENT | {"record": "loan_disbursement", "amount_exponent": 2, "schema_version": 1}),
    ("loan-disbursements", DISBURSEMENT | {"entrusted_payments": [{"payee_account": "S1", "amount_minor": 1}]}),
    ("account-transactions", TRANSACTION),
    ("account-transactions", TRANSACTION | {"currency": "JPY", "amount_exponent": 0}),
    ("account-transactions", TRANSACTION | {"memo": None, "amount_exponent": None, "balance_after_minor": -5}),
    ("account-transactions", TRANSACTION | {"a_field_of_another_system": [1, 2]}),
    ("account-transactions", TRANSACTION | {"event_time": "2026-03-02 10:00:00z"}),
    ("account-transactions", TRANSACTION | {"event_time": "2026-03-02t10:00:00.123456789-0530"}),
    ("party-events", NEWS),
    ("party-links", LINK | {"valid_until": "2027-01-01T00:00:00+08:00"}),
    ("list-entries", LIST_ENTRY),
    ("list-entries", LIST_ENTRY | {"account_id": None, "party_id": "P1"}),
    ("dispositions", OUTCOME),
    ("dispositions", OUTCOME | {"alert_id": None, "txn_id": "t1", "corrects": "MISUSE_CONFIRMED"}),
    ("dispositions", OUTCOME | {"alert_id": None, "loan_id": "L1"}),
    ("ticks", TICK),
]

BAD: list[tuple[str, str, dict[str, Any]]] = [
    ("negative amount", "account-transactions", TRANSACTION | {"amount_minor": -1}),
    ("no amount at all", "account-transactions", TRANSACTION | {"amount_minor": 0}),
    ("more money than there is", "account-transactions", TRANSACTION | {"amount_minor": 10**15 + 1}),
    ("fraction of a minor unit", "account-transactions", TRANSACTION | {"amount_minor": 0.5}),
    ("amount as text", "account-transactions", TRANSACTION | {"amount_minor": "5000"}),
    ("instant without offset", "account-transactions", TRANSACTION | {"event_time": "2026-03-02T10:00:00"}),
    ("date alone", "account-transactions", TRANSACTION | {"event_time": "2026-03-02"}),
    ("hour 24", "account-transactions", TRANSACTION | {"event_time": "2026-03-02T24:00:00Z"}),
    ("month 13", "account-transactions", TRANSACTION | {"event_time": "2026-13-02T10:00:00Z"}),
    ("no seconds", "account-transactions", TRANSACTION | {"event_time": "2026-03-02T10:00Z"}),
    ("milliseconds instead of an instant", "account-transactions", TRANSACTION | {"event_time": 1_772_416_800_000}),
    ("optional instant without offset", "party-links", LINK | {"valid_from": "2026-03-02T10:00:00"}),
    ("other type's name", "account-transactions", TRANSACTION | {"record": "tick"}),
    ("direction unknown", "account-transactions", TRANSACTION | {"direction": "OUT"}),
    ("currency in small letters", "account-transactions", TRANSACTION | {"currency": "cny"}),
    ("currency unknown", "account-transactions", TRANSACTION | {"currency": "XXX"}),
    ("exponent of another currency", "account-transactions", TRANSACTION | {"currency": "JPY", "amount_exponent": 2}),
    ("empty id", "account-transactions", TRANSACTION | {"txn_id": ""}),
    ("id too long", "account-transactions", TRANSACTION | {"txn_id": "x" * 129}),
    ("mandatory null", "account-transactions", TRANSACTION | {"account_id": None}),
    ("schema version of the future", "account-transactions", TRANSACTION | {"schema_version": 2}),
    ("sequence beyond 64 bits", "account-transactions", TRANSACTION | {"source_seq": 2**63}),
    ("no loan id", "loan-disbursements", {key: value for key, value in DISBURSEMENT.items() if key != "loan_id"}),
    ("entrusted payment of nothing", "loan-disbursements", DISBURSEMENT | {"entrusted_payments": [{"payee_account": "S1"}]}),
    ("contract date in another style", "loan-disbursements", DISBURSEMENT | {"contract_sign_date": "2024/06/30"}),
    ("list entry of nobody", "list-entries", {key: value for key, value in LIST_ENTRY.items() if key != "account_id"}),
    ("list entry of null", "list-entries", LIST_ENTRY | {"account_id": None}),
    ("role unknown", "party-links", LINK | {"role": "FRIEND"}),
    ("outcome unknown", "dispositions", OUTCOME | {"outcome": "GUILTY"}),
    ("outcome of nothing", "dispositions", OUTCOME | {"alert_id": None}),
    ("outcome of two things", "dispositions", OUTCOME | {"loan_id": "L1"}),
    ("correction of an unknown outcome", "dispositions", OUTCOME | {"corrects": "GUILTY"}),
    ("no instant", "ticks", {}),
]


def validator_of(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def test_the_committed_schemas_are_those_of_the_types() -> None:
    assert schemas.differences(FOLDER) == [], "run make schemas"


def test_a_stale_a_missing_and_a_leftover_schema_are_told(tmp_path: Path) -> None:
    schemas.write(tmp_path)
    assert schemas.differences(tmp_path) == []
    (tmp_path / "ticks.json").write_text("{}", encoding="utf-8")
    (tmp_path / "alert.json").unlink()
    (tmp_path / "gone.json").write_text("{}", encoding="utf-8")
    assert schemas.differences(tmp_path) == ["alert.json", "gone.json", "ticks.json"]
    assert schemas.write(tmp_path) == ["alert.json", "gone.json", "ticks.json"]
    assert schemas.differences(tmp_path) == []


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_each_schema_is_a_schema_of_draft_2020_12_with_a_relative_id(path: Path) -> None:
    schema = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert (schema["$schema"], schema["$id"]) == (schemas.DIALECT, path.name)


@pytest.mark.parametrize(("topic", "record"), GOOD)
def test_schema_and_type_both_take_a_good_record(topic: str, record: dict[str, Any]) -> None:
    assert [error.message for error in validator_of(topic).iter_errors(record)] == []
    assert not isinstance(decode(topic, json.dumps(record).encode()), Fault)


@pytest.mark.parametrize(("what", "topic", "record"), BAD, ids=[what for what, _, _ in BAD])
def test_schema_and_type_both_refuse_a_bad_record(what: str, topic: str, record: dict[str, Any]) -> None:
    assert not validator_of(topic).is_valid(record), what
    assert isinstance(decode(topic, json.dumps(record).encode()), Fault), what


def test_every_topic_has_a_good_example() -> None:
    assert {topic for topic, _ in GOOD} == set(EVENT_TYPES)


def test_what_is_written_names_its_type_and_so_must_what_is_read() -> None:
    for stem in ("alert", "loan-risk"):
        assert "record" in json.loads((FOLDER / f"{stem}.json").read_text(encoding="utf-8"))["required"]
