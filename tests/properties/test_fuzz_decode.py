"""A hundred thousand damaged records: each is applied, a duplicate or a reject, and leaves no mark it should not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from detectors.configuration import Configuration
from detectors.engine import Engine
from detectors.events import EVENT_TYPES, AccountTransaction, Event, Fault, LoanDisbursement
from streams.codec import decode, encode
from streams.settings import load_settings

RECORDS = 100_000
SEED = 20260105
START = datetime(2026, 1, 5, tzinfo=UTC)
IDS = [f"id{n}" for n in range(60)]
ODD_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 10**15, 10**15 + 1, -(10**15), 2**63, 10**40, 0.1, 1e308, "", " ", "\x00", "null", "NaN",
    "9" * 130, "x" * 2_001, "\u202e", "💰", [], {}, [[]], {"a": {}}, [None], ["x"] * 1_001, "2026-01-01",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-13-01T00:00:00Z",
    "1969-12-31T23:59:59Z", "2099-12-31T23:59:59.999Z",
    "CNY", "JPY", "XTS",
]  # fmt: skip
ODD_BYTES = [
    b"\xff",
    b"\x00",
    b'"',
    b"{",
    b"}",
    b"[" * 2_000,
    b"\\ud800",
    b"\\u0000",
    b"NaN",
    b"-",
    b"1e999",
    b"\xed\xa0\x80",
    b",",
]


class Feed:
    """Endless records a minute apart, some of them damaged, on accounts and ids few enough to meet again."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.alert_ids = ["no-such-alert"]
        self._minutes = 0

    def sound(self) -> tuple[str, dict[str, Any]]:
        """A topic and the cells of a record that may be taken."""
        rng = self.rng
        self._minutes += 1
        topic = rng.choice([*EVENT_TYPES, *["account-transactions"] * 8, *["loan-disbursements"] * 2])
        time = START + timedelta(minutes=self._minutes - rng.choice([0, 0, 0, rng.randrange(5_000)]))
        money = {"amount_minor": rng.randrange(1, 10**7), "currency": rng.choice(["CNY", "CNY", "CNY", "USD", "JPY"])}
        some, other, third = rng.choices(IDS, k=3)
        bodies: dict[str, dict[str, Any]] = {
            "loan-disbursements": {"loan_id": f"L{rng.randrange(3_000)}", "disburse_account": some, **money},
            "account-transactions": {
                "txn_id": f"x{rng.randrange(200_000)}", "account_id": some, **money,
                "direction": rng.choice(["DEBIT", "CREDIT"]), "counterparty_account": rng.choice([None, other]),
                "balance_after_minor": rng.randrange(-100, 10**8),
                "txn_type": rng.choice(["TRANSFER", "SECURITIES_TRANSFER", "CASH_WITHDRAWAL", "LOAN_CREDIT", "LOAN_PRINCIPAL"]),
                "related_loan_id": rng.choice([None, f"L{rng.randrange(3_000)}"]),
                "reverses_txn_id": rng.choice([None, None, None, f"x{rng.randrange(200_000)}"]),
            },
            "party-events": {"party_id": some, "category": "TAX", "action": "ADDED"},
            "party-links": {"party_id": some, "other_party_id": other, "role": "GUARANTOR"},
            "list-entries": {"list_name": "HUB", "account_id": third},
            "dispositions": {"alert_id": rng.choice(self.alert_ids), "outcome": "FALSE_POSITIVE"},
            "ticks": {},
        }  # fmt: skip
        return topic, {"event_time": time.isoformat(timespec="milliseconds"), "source_seq": self._minutes, **bodies[topic]}

    def damaged(self) -> tuple[str, bytes]:
        """A topic and bytes for it; one in five is left sound, one in twenty is pure noise."""
        rng = self.rng
        topic, cells = self.sound()
        lot = rng.random()
        if lot < 0.05:
            return topic, rng.randbytes(rng.randrange(200))
        if lot < 0.50:
            cells = rng.choice(CELL_DAMAGE)(rng, cells)
        raw = json.dumps(cells, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
        return topic, rng.choice(BYTE_DAMAGE)(rng, raw) if 0.40 < lot < 0.80 else raw


def with_odd_value(rng: Random, cells: dict[str, Any]) -> dict[str, Any]:
    """One field holds something else."""
    return {**cells, rng.choice(list(cells)): rng.choice(ODD_VALUES)}


def without_field(rng: Random, cells: dict[str, Any]) -> dict[str, Any]:
    """One field is gone."""
    gone = rng.choice(list(cells))
    return {key: value for key, value in cells.items() if key != gone}


def with_cut(rng: Random, raw: bytes) -> bytes:
    """The record ends early."""
    return raw[: rng.randrange(len(raw))]


def with_flips(rng: Random, raw: bytes) -> bytes:
    """Some bytes are others."""
    data = bytearray(raw)
    for _ in range(rng.randrange(1, 6)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def with_odd_bytes(rng: Random, raw: bytes) -> bytes:
    """Something stands between that should not."""
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + rng.choice(ODD_BYTES) + raw[at + rng.randrange(3) :]


CELL_DAMAGE: list[Callable[[Random, dict[str, Any]], dict[str, Any]]] = [with_odd_value, without_field]
BYTE_DAMAGE: list[Callable[[Random, bytes], bytes]] = [with_cut, with_flips, with_odd_bytes]


@pytest.mark.parametrize("seed", [SEED])
def test_every_damaged_record_is_applied_duplicate_or_rejected(seed: int) -> None:
    feed = Feed(seed)
    rng = feed.rng
    engine = Engine(fuzz_configuration())
    fates: Counter[str] = Counter()
    before: list[tuple[str, bytes]] = []
    accounts: set[tuple[str | None, str]] = set()
    loans: set[str] = set()
    for _ in range(RECORDS):
        topic, raw = rng.choice(before) if before and rng.random() < 0.05 else feed.damaged()
        result = decode(topic, raw)
        if isinstance(result, Fault):
            assert result.field, raw
            assert 0 < len(result.reason) < 1_000, result
            fates["undecodable"] += 1
            continue
        assert isinstance(result, Event)
        assert decode(topic, encode(result)) == result, "what was taken can be written and read again"
        out = engine.apply(result)
        fates[out.status] += 1
        assert (out.fault is not None) == (out.status == "rejected")
        if out.status == "applied":
            note_named(result, accounts, loans)
            feed.alert_ids = ([alert.alert_id for alert in out.alerts] + feed.alert_ids)[:50]
        if len(before) < 2_000:
            before.append((topic, raw))
    assert sum(fates.values()) == RECORDS
    assert set(fates) == {"undecodable", "applied", "duplicate", "rejected"}
    assert min(fates.values()) > 500, f"the fuzz must reach every fate: {fates}"
    counters = engine.counters
    assert counters["duplicates"] == fates["duplicate"]
    assert all(count >= 0 for count in counters.values()), counters
    assert feed.alert_ids != ["no-such-alert"], "the fuzz must reach the detectors"
    assert counters["late"] < fates["applied"] / 2, "the fuzz must not stand still in time"
    assert counters["loans_followed"] <= len(loans), "only applied records may open loans"
    assert counters["accounts"] <= len(accounts), "only applied records may open accounts"


def fuzz_configuration() -> Configuration:
    """The shipped one, but a date a month ahead is a mistake: else a flipped digit makes all that follows late."""
    configuration = load_settings(None).engine
    return replace(configuration, fold=replace(configuration.fold, time_leap_days_max=30))


def note_named(event: Event, accounts: set[tuple[str | None, str]], loans: set[str]) -> None:
    """What an applied record gives the engine leave to remember; a transfer may stand for an unnamed loan or place too."""
    if isinstance(event, LoanDisbursement):
        loans.add(event.loan_id)
        accounts |= {(event.disburse_account, event.currency), ("the lender", event.currency)}
    elif isinstance(event, AccountTransaction):
        accounts |= {(event.account_id, event.currency), (event.counterparty_account, event.currency)}
        accounts.add((f"pocket of {event.account_id} at {event.counterparty_account or event.txn_type}", event.currency))
        if event.txn_type == "LOAN_CREDIT":
            loans.add(event.related_loan_id or event.txn_id)


def test_what_is_rejected_leaves_the_engine_as_it_was() -> None:
    feed = Feed(SEED)
    configuration = fuzz_configuration()
    clean, littered = Engine(configuration), Engine(configuration)
    applied = rejected = 0
    while applied < 3_000:
        topic, raw = feed.damaged()
        event = decode(topic, raw)
        if isinstance(event, Fault):
            continue
        if littered.apply(event).status == "applied":
            applied += 1
            assert clean.apply(event).status == "applied"
        else:
            rejected += 1
    assert rejected > 100
    assert littered.counters | {"duplicates": 0} == clean.counters | {"duplicates": 0}
    assert list(littered.loan_risks()) == list(clean.loan_risks())
