"""How source records are read: decoders by name. Each turns the bytes of a topic's record into an event or a fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from detectors.events import Event, Fault
from streams.codec import WHOLE_RECORD, decode, encode

Decoder = Callable[[str, bytes], Event | Fault]

DECODERS: Mapping[str, Decoder] = {"json": decode}
"""A decoder for another format (Avro with a schema registry, say) takes a line here; the journal always holds JSON."""


def decode_with(name: str, topic: str, value: bytes) -> tuple[Event | Fault, bytes]:
    """The event and its JSON: the source's own bytes where they are JSON, else the event written anew."""
    decoder = DECODERS.get(name)
    if decoder is None:
        known = ", ".join(DECODERS)
        return Fault(WHOLE_RECORD, f"its decoder {name!r} is not known here (known: {known})"), value
    event = decoder(topic, value)
    return event, value if name == "json" or isinstance(event, Fault) else encode(event)
