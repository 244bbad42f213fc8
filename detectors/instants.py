"""Instants as alerts write them."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(event_time_ms: int) -> str:
    """Milliseconds since 1970 as RFC 3339 in UTC.

    >>> rfc3339(0)
    '1970-01-01T00:00:00.000Z'
    """
    seconds, milliseconds = divmod(event_time_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def midnight_ms(date: str) -> int:
    """The beginning of an ISO date, in UTC.

    >>> midnight_ms("1970-01-02")
    86400000
    """
    return int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()) * 1000
