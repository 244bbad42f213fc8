"""Remittances on their way: from what a book's fold says to the pages that stand in other books' journal partitions.

In a page a remittance is a record of the topic ``remittances``: the partition is the sending book, the offset the running
number between the two books, so that the receiving fold's watermark knows a repeated one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from detectors.events import Fault
from detectors.remittance import Remittance
from streams.codec import UNDECODABLE, explain_undecodable
from streams.live.journal import PAGE_VERSION, REMITTANCES, Page, Record, Span

if TYPE_CHECKING:
    from streams.live.fold import Said

_decode = msgspec.json.Decoder(Remittance).decode


def decode_remittance(value: bytes) -> Remittance | Fault:
    """A remittance, or why these bytes are none; nobody but fundtrail writes them."""
    try:
        return _decode(value)
    except UNDECODABLE as error:
        return explain_undecodable(error, value)


def pages_of(said: Iterable[Said], written_at_ms: int) -> dict[int, Page]:
    """The remittances among what folds of one book have said, in order, as one page for each book they go to."""
    records: dict[int, list[tuple[int, int, bytes]]] = {}
    for message in said:
        if message.book is not None and message.entry.key is not None:
            sender, _, number = (int(part) for part in message.entry.key.split(b"/"))
            records.setdefault(message.book, []).append((sender, number, message.entry.value))
    return {book: _page(found, written_at_ms) for book, found in sorted(records.items())}


def _page(found: list[tuple[int, int, bytes]], written_at_ms: int) -> Page:
    spans: dict[int, Span] = {}
    for sender, number, _ in found:
        first = spans.get(sender)
        spans[sender] = Span(REMITTANCES, sender, first.after if first is not None else number - 1, number)
    places = {sender: i for i, sender in enumerate(spans)}
    records = [Record(places[sender], number, value) for sender, number, value in found]
    return Page(PAGE_VERSION, written_at_ms, list(spans.values()), records)
