"""What makes two records the same record."""

from __future__ import annotations

import zlib

import msgspec

from detectors.events import AccountTransaction, Event, LoanDisbursement

_encode = msgspec.json.Encoder().encode


def fingerprint(event: Event, event_time_ms: int) -> tuple[str, int]:
    """(what identifies the record, a checksum of all it says: never 0)."""
    return identity(event, event_time_ms), zlib.crc32(_encode(event)) + 1


def identity(event: Event, event_time_ms: int) -> str:
    """What makes two records the same record: the event id, else the business id; records without either, their content."""
    if isinstance(event, AccountTransaction):
        return f"txn:{event.event_id or event.txn_id}/{event.account_id}"  # both legs may carry one id
    kind = type(event).__name__
    if event.event_id is not None:
        return f"{kind}:{event.event_id}"
    if isinstance(event, LoanDisbursement):
        return f"{kind}:{event.loan_id}/{event.event_type}/{event_time_ms}"
    return f"{kind}:{msgspec.json.encode(event).decode()}"


def identifier(event: Event) -> str:
    """The id that a message names a record by."""
    if event.event_id is not None:
        return event.event_id
    if isinstance(event, AccountTransaction):
        return event.txn_id
    return event.loan_id if isinstance(event, LoanDisbursement) else "the same record"


def id_field(event: Event) -> str:
    """The field that holds it."""
    if event.event_id is not None:
        return "event_id"
    return "txn_id" if isinstance(event, AccountTransaction) else "loan_id"
