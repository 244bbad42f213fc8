"""Mended records for a redrive: a file of JSON lines, each naming the reject it mends."""

from __future__ import annotations

from pathlib import Path

import msgspec

from detectors.events import EVENT_TYPES, Fault
from streams.codec import decode
from streams.live.reject_shelf import Coordinates


class CorrectionMistake(ValueError):
    """A file of mended records that cannot be used; the message names every mistake with its line."""


class _Line(msgspec.Struct):
    of: str
    value: msgspec.Raw


def read_corrections(file: Path) -> dict[Coordinates, bytes]:
    """Mended values by the coordinates of their rejects, as ``rejects list --json`` writes them: ``of`` and ``value``.

    Raises:
        CorrectionMistake: a line is not of that form, its record would be rejected again, or two lines mend one reject.
    """
    found: dict[Coordinates, bytes] = {}
    mistakes: list[str] = []
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            at, value = _correction(line)
            if at in found:
                raise ValueError(f"{at} is mended by an earlier line too")
            found[at] = value
        except (msgspec.MsgspecError, ValueError) as error:
            mistakes.append(f"{file}, line {number}: {error}")
    if mistakes:
        raise CorrectionMistake("\n".join(mistakes))
    return found


def _correction(line: bytes) -> tuple[Coordinates, bytes]:
    read = msgspec.json.decode(line, type=_Line)
    at, value = Coordinates.parse(read.of), bytes(read.value)
    if at.topic not in EVENT_TYPES:
        raise ValueError(f"{at.topic!r} is no topic of records")
    event = decode(at.topic, value)
    if isinstance(event, Fault):
        raise ValueError(f"{at} would be rejected again: {event.field}: {event.reason}")
    return at, value
