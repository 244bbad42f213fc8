"""Figures and texts as people read them: shares, local times, and texts from data that cannot play tricks."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta

from detectors.alert_record import Contribution, Measure
from detectors.money import format_money

UTC_OFFSET_MINUTES = 480
"""Times are shown at this offset unless told otherwise: UTC+08:00."""

_TRICKY = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}  # control, invisible and direction characters, halves of a pair
_MINOR_UNITS = re.compile(r"\b(\d+) minor units\b")
_EPOCH_MS = re.compile(r"\b(\d{12,13}) ms\b")


def legible(text: str) -> str:
    """Text from data with every control, invisible and direction character spelled out, so that none acts on the reader.

    >>> legible("A\\x1b[31mB")
    'A\\\\x1b[31mB'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if unicodedata.category(char) not in _TRICKY else _spelled(char) for char in text)


def _spelled(char: str) -> str:
    return " " if char in "\n\t\r" else char.encode("unicode_escape", "surrogatepass").decode("ascii")


def share(part_minor: int, whole_minor: int | None) -> str:
    """A part of the whole in per cent; what is not nothing never reads 0.0%, what is not all never 100.0%.

    >>> share(999_999, 1_000_000), share(1, 1_000_000), share(5, None)
    ('99.9%', '<0.1%', 'share unknown')
    """
    if not whole_minor:
        return "share unknown"
    tenths = (2000 * part_minor + whole_minor) // (2 * whole_minor)
    if part_minor > 0 and not tenths:
        return "<0.1%"
    if part_minor < whole_minor:
        tenths = min(tenths, 999)
    return f"{tenths // 10}.{tenths % 10}%"


def local_time(instant: str, utc_offset_minutes: int, pattern: str = "%Y-%m-%d %H:%M:%S") -> str:
    """An RFC 3339 instant as wall time at an offset; a text that is no instant is returned as it is.

    >>> local_time("2026-01-05T10:00:00.000Z", 480)
    '2026-01-05 18:00:00'
    """
    try:
        moment = datetime.fromisoformat(instant)
    except ValueError:
        return legible(instant)
    if moment.tzinfo is None:
        return legible(instant)
    return f"{moment.astimezone(UTC) + timedelta(minutes=utc_offset_minutes):{pattern}}"


def offset_name(utc_offset_minutes: int) -> str:
    """The offset's name.

    >>> offset_name(480), offset_name(-210)
    ('UTC+08:00', 'UTC-03:30')
    """
    hours, minutes = divmod(abs(utc_offset_minutes), 60)
    return f"UTC{'-' if utc_offset_minutes < 0 else '+'}{hours:02d}:{minutes:02d}"


def counted(number: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "payment"), counted(1200, "payment")
    ('1 payment', '1,200 payments')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def plain(detail: str, currency: str, utc_offset_minutes: int) -> str:
    """A detector's detail for people: minor units as money, milliseconds since 1970 as local time.

    >>> plain("at least 8900 minor units", "CNY", 480)
    'at least CNY 89.00'
    """
    money = _MINOR_UNITS.sub(lambda found: format_money(int(found[1]), currency), legible(detail))
    return _EPOCH_MS.sub(lambda found: _local_ms(int(found[1]), utc_offset_minutes), money)


def _local_ms(event_time_ms: int, utc_offset_minutes: int) -> str:
    return local_time(datetime.fromtimestamp(event_time_ms // 1000, UTC).isoformat(), utc_offset_minutes)


def usual(item: Contribution) -> str:
    """What the value mostly is; empty where that is not known."""
    return f"{item.usual:.4g}" if item.usual is not None else ""


def in_words(name: str) -> str:
    """A field's or code's name as words.

    >>> in_words("share_of_loan_certain"), in_words("SELF_EMPLOYED")
    ('share of loan certain', 'self employed')
    """
    return legible(name).replace("_", " ").lower()


def measured(value: float, unit: str, currency: str) -> str:
    """A measured value with its unit."""
    if unit == "ratio":
        return f"{value:.1%}"
    if "minor" in unit:
        return format_money(round(value), currency)
    return f"{value:,.2f}".rstrip("0").rstrip(".") + f" {legible(unit)}"


def measure_cells(measure: Measure, currency: str) -> tuple[str, str, str, str]:
    """A measure as (name, observed, expected, threshold); a dash where nothing is usual or there is no threshold."""
    values = (measure.observed, measure.expected, measure.threshold)
    observed, expected, threshold = ("—" if value is None else measured(value, measure.unit, currency) for value in values)
    return in_words(measure.name), observed, expected, threshold
