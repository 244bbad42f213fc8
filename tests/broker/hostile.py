"""Records that no feed should send, seeded."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from streams.live.names import SOURCES

HUGE_BYTES = 10_000_000


def hostile_records(chance: random.Random, count: int, *, huge: int = 3) -> Iterator[tuple[str, bytes]]:
    """(topic, value); ``huge`` of them have 10 MB."""
    for number in range(count):
        topic = chance.choice(SOURCES)
        if number < huge:
            yield topic, b'{"event_time": "2026-01-01T00:00:00Z", "memo": "' + b"x" * HUGE_BYTES + b'"}'
        else:
            yield topic, chance.choice(_KINDS)(chance)


def _noise(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randint(1, 400))


def _deep(chance: random.Random) -> bytes:
    depth = chance.randint(500, 20_000)
    return b"[" * depth + b"]" * depth


def _wrong_types(chance: random.Random) -> bytes:
    return json.dumps({field: chance.choice([[], {}, True, 1.5, "?"]) for field in _transaction(chance)}).encode()


def _cut(chance: random.Random) -> bytes:
    whole = json.dumps(_transaction(chance)).encode()
    return whole[: chance.randint(1, len(whole) - 1)]


def _unknown_version(chance: random.Random) -> bytes:
    return json.dumps({**_transaction(chance), "schema_version": chance.randint(2, 99)}).encode()


def _far_future(chance: random.Random) -> bytes:
    return json.dumps({**_transaction(chance), "event_time": f"{chance.randint(2100, 9999)}-01-01T00:00:00Z"}).encode()


def _no_amount(chance: random.Random) -> bytes:
    return json.dumps({**_transaction(chance), "amount_minor": chance.choice([0, -5, 10**30, None, 1.5])}).encode()


def _empty(chance: random.Random) -> bytes:
    return chance.choice([b"", b"  ", b"null", b"0", b'""', b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b"NaN"])


def _transaction(chance: random.Random) -> dict[str, Any]:
    return {
        "event_time": "2026-01-05T10:00:00+08:00",
        "txn_id": f"hostile-{chance.randrange(10**9)}",
        "account_id": f"H{chance.randrange(1000)}",
        "amount_minor": 100,
        "currency": chance.choice(["XXX", "cny", "", 7]),
        "direction": chance.choice(["IN", "debit", None]),
    }


_KINDS: tuple[Callable[[random.Random], bytes], ...] = (
    _noise, _deep, _wrong_types, _cut, _unknown_version, _far_future, _no_amount, _empty,
)  # fmt: skip
