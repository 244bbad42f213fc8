"""`fundtrail rejects`: what was refused and why, as lists, as one reject in full, and as lines to mend."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from streams.codec import encode
from streams.live.reject_shelf import Shelved
from streams.live.rejects import LiveReject
from streams.people.figures import counted, legible, local_time

ORIGINAL_CHARS_MAX = 4_000
"""How much of an original is shown on the terminal."""

HEX_BYTES = 16


def summary_lines(items: Sequence[Shelved]) -> Iterator[str]:
    """How many of which kind, the commonest first."""
    counts = Counter(item.kind for item in items)
    open_ones = Counter(item.kind for item in items if item.redriven_to is None)
    yield f"{'rejects':>9}{'open':>9}  topic, stage, field: reason"
    for kind, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        topic, stage, field, reason = kind
        yield legible(f"{count:>9,}{open_ones[kind]:>9,}  {topic}, {stage}, {field}: {reason}")


def item_lines(items: Sequence[Shelved], shown_max: int, utc_offset_minutes: int) -> Iterator[str]:
    """One line for each reject."""
    width = max((len(str(item.at)) for item in items[:shown_max]), default=0)
    for item in items[:shown_max]:
        at = local_time(_rfc3339(item.written_ms), utc_offset_minutes)
        gone = f" [redriven to {item.redriven_to}]" if item.redriven_to is not None else ""
        yield legible(f"{item.at!s:{width}}  {at}  {item.stage:6}  {item.size:>9,} B  {item.field}: {item.reason}{gone}")
    if len(items) > shown_max:
        yield f"... and {len(items) - shown_max:,} more (--limit N)"


def mending_line(item: Shelved, reject: LiveReject) -> str:
    """A reject as one line of JSON. Mend ``value`` and give the lines to ``redrive --from``; the rest is for orientation."""
    value = _as_json(reject) if reject.is_whole else None
    data = {
        "of": reject.coordinates,
        "stage": reject.stage,
        "field": reject.field,
        "reason": reject.reason,
        "rejected_at": _rfc3339(item.written_ms),
        "bytes": reject.original_length,
        "redriven_to": item.redriven_to,
        "value": value,
        **({"original_base64": reject.original} if value is None else {}),
    }
    return encode(data).decode()


def reject_lines(item: Shelved, reject: LiveReject, utc_offset_minutes: int) -> Iterator[str]:
    """One reject in full, its original readable."""
    yield f"Reject {reject.coordinates}, by {reject.stage}"
    yield legible(f"  field     {reject.field}")
    yield legible(f"  reason    {reject.reason}")
    yield f"  rejected  {local_time(_rfc3339(item.written_ms), utc_offset_minutes)}"
    if reject.timestamp_ms is not None:
        yield f"  written   {local_time(_rfc3339(reject.timestamp_ms), utc_offset_minutes)}"
    if reject.source_key is not None:
        yield f"  key       {_text(reject.source_key)}"
    yield from (legible(f"  header    {name} = {_text(value)}") for name, value in reject.source_headers)
    yield f"  redriven  {'to ' + item.redriven_to if item.redriven_to is not None else 'no'}"
    kept = "whole" if reject.is_whole else f"its first {counted(len(reject.kept), 'byte')}"
    yield f"  original  {counted(reject.original_length, 'byte')}, SHA-256 {reject.original_sha256}; {kept}:"
    yield ""
    yield from _readable(reject)


def _readable(reject: LiveReject) -> Iterator[str]:
    value = _as_json(reject) if reject.is_whole else None
    if value is not None:
        lines = json.dumps(value, indent=2, ensure_ascii=False).splitlines()
    else:
        text = _utf8(reject.kept)
        lines = [text] if text is not None else list(_hex_lines(reject.kept))
    left = ORIGINAL_CHARS_MAX
    for line in lines:
        yield legible(line[:left])
        left -= len(line)
        if left <= 0:
            yield "... (--raw writes all of it)"
            return


def _as_json(reject: LiveReject) -> object:
    """The original parsed; None when it is no JSON object."""
    try:
        value = msgspec.json.decode(reject.kept)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _utf8(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _text(raw: bytes) -> str:
    text = _utf8(raw)
    return legible(text) if text is not None else f"base64 {base64.b64encode(raw).decode()}"


def _hex_lines(raw: bytes) -> Iterator[str]:
    for begin in range(0, len(raw), HEX_BYTES):
        some = raw[begin : begin + HEX_BYTES]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in some)
        yield f"{begin:08x}  {some.hex(' '):{HEX_BYTES * 3}} {letters}"


def _rfc3339(timestamp_ms: int) -> str:
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).isoformat(timespec="milliseconds")
