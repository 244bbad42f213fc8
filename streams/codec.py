"""Bytes <-> records: one compiled decoder per topic, and a fault instead of an exception for whatever cannot be one.

Decoding is strict JSON: no NaN, no ``1.0`` where a whole number belongs, no instant without an offset. Unknown fields
are skipped. A fault names the field, what was expected and what stood there, so that the sender can mend the record.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from detectors.events import EVENT_TYPES, Event, Fault, fault_of

RECORD_BYTES_MAX = 1 << 20
"""Longest record taken, in bytes (1 MiB): three thousand times a usual one. A longer one is rejected unparsed."""

ORIGINAL_BYTES_MAX = 64 << 10
"""How much of a rejected record is kept (64 KiB); its length and SHA-256 are of the whole."""

VALUE_CHARS_MAX = 60
"""How much of an offending value a fault shows."""

WHOLE_RECORD = "$"
"""The ``field`` of a fault that concerns no single field."""

SOURCE_SEQ_MAX = 2**63 - 1
"""Largest ``source_seq`` by magnitude: a snapshot stores it in 64 bits."""

UTF8_BOM = b"\xef\xbb\xbf"

encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
"""A record, alert or risk state as JSON without spaces; fields in the order of their type, so equal values give equal bytes."""

UNDECODABLE = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)
"""What decoding raises for bytes that are no record."""

_DECODERS: dict[str, Callable[[bytes], Event]] = {
    topic: msgspec.json.Decoder(record_type).decode for topic, record_type in EVENT_TYPES.items()
}
_AT_PATH = re.compile(r"^(?P<what>.*?) - at `(?P<path>[^`]*)`$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<name>[^`]*)`")
_PATH_STEP = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<index>\d+)\]")


def decoder_of(topic: str) -> Callable[[bytes], Event]:
    """The bare decoder of a topic, for tight loops; it raises one of ``UNDECODABLE``.

    ``KeyError`` for a topic that is not in ``EVENT_TYPES``.
    """
    return _DECODERS[topic]


def decode(topic: str, raw: bytes) -> Event | Fault:
    """One record of a topic, or why these bytes are none. No bytes make it raise.

    >>> decode("ticks", b'{"event_time": "2026-01-05T10:00:00Z"}').event_time_ms
    1767607200000
    >>> decode("ticks", b'{"event_time": "soon"}')
    Fault(field='event_time', reason="Invalid RFC3339 encoded datetime; found 'soon'")
    """
    if len(raw) > RECORD_BYTES_MAX:
        return oversize_fault(len(raw))
    try:
        event = _DECODERS[topic](raw)
    except UNDECODABLE as error:
        return explain_undecodable(error, raw)
    return unsound(event) or event


def unsound(event: Event, event_time_ms: int | None = None) -> Fault | None:
    """What is wrong with a decoded record that its type cannot say; None when nothing is."""
    seq = event.source_seq
    if seq is not None and not -SOURCE_SEQ_MAX <= seq <= SOURCE_SEQ_MAX:
        return Fault("source_seq", f"expected at most 64 bits; found {shorten(seq)}")
    return fault_of(event, event_time_ms)


def oversize_fault(length: int) -> Fault:
    """The fault of a record of ``length`` bytes, more than ``RECORD_BYTES_MAX``."""
    return Fault(WHOLE_RECORD, f"the record has {length} bytes; at most {RECORD_BYTES_MAX} are taken")


def explain_undecodable(error: BaseException, raw: bytes) -> Fault:
    """Turn what a decoder raised over ``raw`` into a fault."""
    if isinstance(error, msgspec.ValidationError):
        return explain_invalid(error, lambda: msgspec.json.decode(raw))
    return Fault(WHOLE_RECORD, _malformed(error, raw))


def explain_invalid(error: msgspec.ValidationError, read_untyped: Callable[[], Any]) -> Fault:
    """Turn a type's complaint into a fault; ``read_untyped`` gives the same record as plain data, to show the value."""
    message = str(error)
    missing = _MISSING.search(message)
    at = _AT_PATH.match(message)
    path = at["path"] if at else WHOLE_RECORD
    if missing:
        return Fault(_field_name(f"{path}.{missing['name']}"), "the field is mandatory and is not there")
    what = (at["what"] if at else message).replace("`", "")
    return Fault(_field_name(path), f"{_expectation(what, path)}; found {_value_at(path, read_untyped)}")


def shorten(value: object) -> str:
    """A value as it is shown to people: one line, at most ``VALUE_CHARS_MAX`` characters and how many there were."""
    text = repr(value[: VALUE_CHARS_MAX + 1]) if isinstance(value, (str, bytes)) else _text_of(value)
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= VALUE_CHARS_MAX + 2:
        return text
    length = len(value) if isinstance(value, (str, bytes)) else len(text)
    return f"{text[:VALUE_CHARS_MAX]}… ({length} characters)"


def _text_of(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 1024:
        return f"an integer of {value.bit_length()} bits"
    return repr(value)


def _field_name(path: str) -> str:
    return path.removeprefix("$.") if path.startswith("$.") else path


def _expectation(what: str, path: str) -> str:
    if path == "$.schema_version":
        return "expected 1, the only schema version there is"
    if path == "$.record" and what.startswith("Invalid value"):
        return "the record names another type than its topic holds"
    if what.startswith("Invalid enum value"):
        return f"expected one of {', '.join(_choices().get(_field_name(path), ('its values',)))}"
    if path.endswith("amount_minor") and what == "Expected int >= 1":
        return "expected a positive amount in minor units"
    if path.endswith("amount_minor") and what.startswith("Expected int, got"):
        return f"expected a whole number of minor units (fen, cents), {what.removeprefix('Expected int, ')}"
    return what


@cache
def _choices() -> dict[str, tuple[str, ...]]:
    """Field -> the words it may hold, for the fields that have a list of them; a name means the same in every topic."""
    found: dict[str, tuple[str, ...]] = {}
    for record_type in EVENT_TYPES.values():
        described = inspect.type_info(record_type)
        assert isinstance(described, inspect.StructType), f"{record_type} is no record type"
        for field in described.fields:
            kinds = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
            words = [str(word) for kind in kinds if isinstance(kind, inspect.LiteralType) for word in kind.values]
            if words:
                found[field.encode_name] = tuple(words)
    return found


def _value_at(path: str, read_untyped: Callable[[], Any]) -> str:
    """The value a path names, shortened; says so when it cannot be read."""
    try:
        value = read_untyped()
        for step in _PATH_STEP.finditer(path):
            value = value[step["name"]] if step["name"] is not None else value[int(step["index"])]
        return shorten(value)
    except (*UNDECODABLE, LookupError, TypeError):
        return "a value that cannot be shown"


def _malformed(error: BaseException, raw: bytes) -> str:
    if not raw.strip():
        return "the line is empty; expected a JSON object"
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "the text is UTF-16; expected UTF-8"
    if raw.startswith(UTF8_BOM):
        return "a byte order mark stands before the record; expected a JSON object"
    if isinstance(error, RecursionError):
        return "the JSON is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"a text is not UTF-8: {error.reason}; found {shorten(error.object[error.start : error.start + 8])}"
    text = str(error).replace("JSON is malformed", "the JSON is malformed")
    text = text.replace("Input data was truncated", "the JSON is cut off")
    return f"{text}; found {shorten(raw)}"
