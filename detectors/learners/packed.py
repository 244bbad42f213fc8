"""Arrays of numbers as text, exactly: what a snapshot holds of them."""

from __future__ import annotations

from typing import Any

import msgspec


def text_of(packed: bytes) -> str:
    """Bytes as base64."""
    return msgspec.json.encode(packed)[1:-1].decode("ascii")


def bytes_of(text: str) -> bytes:
    """The bytes that :func:`text_of` was given."""
    return msgspec.json.decode(f'"{text}"', type=bytes)


def fill(store: Any, text: str) -> None:
    """Put what was an array's content into the beginning of an array of the same kind."""
    view = memoryview(store).cast("B")
    packed = bytes_of(text)
    view[: len(packed)] = packed
