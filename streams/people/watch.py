"""`fundtrail watch`: alerts as they are said, each a compact line and its sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
from rich.text import Text

from detectors.alert_record import Alert
from detectors.money import format_money
from streams.live.log import Stored
from streams.live.names import GENERATION_HEADER
from streams.live.reading import header
from streams.people import glossary
from streams.people.figures import in_words, legible, local_time, share
from streams.people.folder import SEVERITIES
from streams.people.subjects import loans_of, subject_words

STYLES = {"CRITICAL": "bold white on red", "HIGH": "bold red", "MEDIUM": "bold yellow", "LOW": "bold"}
SENTENCE_INDENT = "    "

_decode = msgspec.json.Decoder(Alert).decode


class Filter(NamedTuple):
    """Which alerts are shown; what is empty asks for nothing."""

    severity: str | None = None  # this grave or graver
    typologies: frozenset[str] = frozenset()
    loans: frozenset[str] = frozenset()
    customers: frozenset[str] = frozenset()

    def shows(self, alert: Alert) -> bool:
        """Whether an alert is asked for."""
        return (
            (self.severity is None or SEVERITIES.index(alert.severity) <= SEVERITIES.index(self.severity))
            and (not self.typologies or alert.typology in self.typologies)
            and (not self.loans or any(loan in self.loans for loan in loans_of(alert)))
            and (not self.customers or any(customer in self.customers for customer in _customers_of(alert)))
        )


class Seen(NamedTuple):
    """A message of the topic, or the generation that begins here in its partition."""

    alert: Alert | None
    raw: bytes
    news: str = ""  # said instead of an alert


def seen(messages: Iterable[tuple[int, Stored]], wanted: Filter) -> Iterator[Seen]:
    """The alerts asked for, and what is to be known between them."""
    generations: dict[int, bytes | None] = {}
    for partition, stored in messages:
        generation = header(stored.headers, GENERATION_HEADER)
        if generations.get(partition, generation) != generation:
            name = (generation or b"unknown").decode("utf-8", "replace")
            yield Seen(
                None, b"", f"book {partition}: from here on generation {legible(name)} (another engine or configuration)"
            )
        generations[partition] = generation
        try:
            alert = _decode(stored.value)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            yield Seen(None, b"", f"partition {partition}, offset {stored.offset}: no alert ({legible(str(error))})")
            continue
        if wanted.shows(alert):
            yield Seen(alert, stored.value)


def alert_text(alert: Alert, utc_offset_minutes: int) -> Text:
    """The line and the sentence; what is withdrawn is struck and says so."""
    gone = alert.status == "WITHDRAWN"
    text = Text(local_time(alert.event_time, utc_offset_minutes) + "  ")
    badge = f"{glossary.MARKS[alert.severity]} {alert.severity}"
    text.append(f"{badge:12}", style="strike dim" if gone else STYLES[alert.severity])
    text.append(f" {alert.typology} {in_words(alert.typology_name)}", style="bold")
    text.append(f"  {legible(subject_words(alert))}  {_amount(alert)}  ")
    text.append(legible(alert.alert_id), style="cyan")
    if alert.revision > 1:
        text.append(f" revision {alert.revision}", style="magenta")
    if gone:
        text.append(" WITHDRAWN", style="bold")
    text.append("\n" + SENTENCE_INDENT)
    text.append(legible(alert.sentence_en), style="strike" if gone else "")
    return text


def _customers_of(alert: Alert) -> tuple[str | None, ...]:
    return (alert.subject.customer_id, *(member.customer_id for member in alert.subject.members))


def _amount(alert: Alert) -> str:
    certain = format_money(alert.traced_min_minor, alert.currency)
    return f"certain {certain} ({share(alert.traced_min_minor, alert.subject.loan_amount_minor)})"
