"""Cells of tables -> records: what a CSV cell or a Parquet column means in each field of a record type."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import inspect

from detectors.events import EVENT_TYPES, Event, Fault
from streams.codec import UNDECODABLE, WHOLE_RECORD, explain_invalid, unsound

CellReader = Callable[[str], Any]

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,20}")
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


def fields_of(topic: str) -> frozenset[str]:
    """Every field a record of the topic may have, with ``record``."""
    return frozenset(field.encode_name for field in _struct_type(topic).fields) | {"record"}


def mandatory_fields_of(topic: str) -> list[str]:
    """The fields without which no record of the topic is whole."""
    return [field.encode_name for field in _struct_type(topic).fields if field.required]


def time_fields_of(topic: str) -> frozenset[str]:
    """The fields that hold instants."""
    return frozenset(field.encode_name for field in _struct_type(topic).fields if _kind(field.type) == "time")


def cell_readers_of(topic: str) -> dict[str, CellReader | None]:
    """Field -> how a CSV cell of it is read; None: it is text as it stands.

    A cell that does not read as its field's kind is passed on as text, for the type to name what it expected.
    """
    by_kind: dict[str, CellReader | None] = {"whole": _whole, "ratio": _ratio, "bool": _bool, "nested": _nested}
    return {field.encode_name: by_kind.get(_kind(field.type)) for field in _struct_type(topic).fields} | {"record": None}


def record_of(topic: str, cells: dict[str, Any]) -> Event | Fault:
    """A record from its fields' values, or why there is none. Values are taken strictly: ``"5"`` is no amount."""
    try:
        event = msgspec.convert(cells, EVENT_TYPES[topic], strict=True)
    except msgspec.ValidationError as error:
        return explain_invalid(error, lambda: cells)
    except UNDECODABLE as error:
        return Fault(WHOLE_RECORD, str(error))
    return unsound(event) or event


def _struct_type(topic: str) -> inspect.StructType:
    described = inspect.type_info(EVENT_TYPES[topic])
    assert isinstance(described, inspect.StructType), f"{topic} is read into {described}, not a record type"
    return described


def _kind(described: inspect.Type) -> str:
    if isinstance(described, inspect.UnionType):
        return next((kind for inner in described.types if (kind := _kind(inner)) != "text"), "text")
    if isinstance(described, inspect.Metadata):
        return _kind(described.type)
    if isinstance(described, inspect.LiteralType):
        return "whole" if all(isinstance(value, int) for value in described.values) else "text"
    kinds: list[tuple[type[inspect.Type], str]] = [
        (inspect.BoolType, "bool"),
        (inspect.IntType, "whole"),
        (inspect.FloatType, "ratio"),
        (inspect.DateTimeType, "time"),
        (inspect.VarTupleType, "nested"),
    ]
    return next((kind for type_, kind in kinds if isinstance(described, type_)), "text")


def _whole(cell: str) -> int | str:
    return int(cell) if _WHOLE_NUMBER.fullmatch(cell) else cell


def _ratio(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def _bool(cell: str) -> bool | str:
    return _BOOLEANS.get(cell.lower(), cell)


def _nested(cell: str) -> Any:
    try:
        return msgspec.json.decode(cell)
    except UNDECODABLE:
        return cell
