"""The records that simulated worlds are made of: the week of the golden test, as a bank would send them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec

from detectors.engine import Engine
from detectors.events import Fault
from streams.codec import decode, encode
from streams.live.names import SOURCES
from streams.scenarios.folding import SHIPPED, Folding, _apply
from streams.scenarios.notation import Record, parse_file

WEEK = Path(__file__).parents[1] / "golden" / "misuse_week.txt"


class Told(NamedTuple):
    """One record: the topic, its JSON."""

    topic: str
    value: bytes


@cache
def week() -> tuple[Told, ...]:
    """All records in order, with the ids of alerts filled in."""
    scenario = parse_file(WEEK)[0]
    folding = Folding(scenario, Engine(SHIPPED))
    told = []
    for record in scenario.records:
        if record.topic not in SOURCES:
            continue
        data = dict(record.data)
        if record.topic == "dispositions":
            data["alert_id"] = _alert_id(folding, record)
        told.append(Told(record.topic, encode(data)))
        _apply(folding, record)
        folding.rejected = None
    assert len(folding.alerts) >= 8, "the week has lost its alerts"
    return tuple(told)


def _alert_id(folding: Folding, record: Record) -> str:
    code, _, loan = str(record.data["alert_id"]).partition(" of ")
    alert = folding.latest(code, loan)
    assert alert is not None, f"no alert {record.data['alert_id']}"
    return alert.alert_id


def story_of(random: Random, records_max: int, *, has_poison: bool) -> list[Told]:
    """A stretch of the week with some records left out, and perhaps poison among them."""
    whole = week()
    lists = [told for told in whole if told.topic in ("list-entries", "party-links")]
    rest = [told for told in whole if told not in lists]
    length = min(records_max, len(rest))
    begin = random.randint(0, len(rest) - length)
    drop = random.choice((0.0, 0.0, 0.15))
    told = lists + [one for one in rest[begin : begin + length] if random.random() >= drop]
    if has_poison:
        for _ in range(random.randint(1, 5)):
            told.insert(random.randint(0, len(told)), _poison(random, told))
    return told


def _poison(random: Random, told: list[Told]) -> Told:
    """Something that is no record, a repeated record, or one that contradicts another."""
    like = random.choice([one for one in told if not isinstance(decode(*one), Fault)])
    kind = random.randint(0, 2)
    if kind == 0:
        return Told(like.topic, random.choice((b"", b"{", b'{"event_time": 3}', b"\xff" * 5)))
    if kind == 1:
        return like
    data = msgspec.json.decode(like.value)
    if "amount_minor" in data:
        data["amount_minor"] += 1
    return Told(like.topic, encode(data))
