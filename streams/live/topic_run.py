"""A topic of alerts as a run to compare: the alerts of one generation."""

from __future__ import annotations

from typing import NamedTuple

from detectors.alert_record import Alert
from detectors.configuration import Configuration
from detectors.engine import ENGINE_VERSION
from streams.files.effective import effective
from streams.files.runs import Run, RunMistake, alert_in, by_id
from streams.live.fold import generation_of
from streams.live.names import GENERATION_HEADER
from streams.live.reading import Reader, header

SCHEME = "kafka:"
"""``kafka:alerts`` or ``kafka:alerts@1-0a1b2c3d4e5f6071``: a topic, and which generation in it."""


class TopicRun(NamedTuple):
    """What is named by ``kafka:TOPIC@GENERATION``."""

    topic: str
    generation: str | None  # None: the one that published last

    @classmethod
    def parse(cls, text: str) -> TopicRun:
        """What a text that begins with ``kafka:`` names."""
        topic, _, generation = text.removeprefix(SCHEME).partition("@")
        return cls(topic, generation or None)


def read_topic_run(reader: Reader, named: TopicRun, configuration: Configuration | None) -> Run:
    """The alerts of one generation in a topic: the one named, that of ``configuration``, or else the one that published last.

    A topic states the configuration's digest only; ``configuration`` tells the keys. A generation that has said nothing is
    a run without alerts, and the run's name says which others there are.

    Raises:
        RunMistake: a message that is no alert, or a generation and a configuration that do not belong together.
    """
    reader = reader if reader.has(named.topic) else reader.under("")  # the topic's whole name was given
    wanted = named.generation or (generation_of(ENGINE_VERSION, configuration) if configuration is not None else None)
    if configuration is not None and wanted is not None and not wanted.endswith(f"-{configuration.digest()}"):
        raise RunMistake(f"generation {wanted} was not said under these settings: their digest is {configuration.digest()}")
    alerts: dict[str, list[Alert]] = {}
    last_ms: dict[str, int] = {}
    for partition, stored in reader.stretch(named.topic, reader.extents(named.topic)):
        generation = (header(stored.headers, GENERATION_HEADER) or b"").decode("utf-8", "replace")
        alert = alert_in(f"{named.topic}/{partition}/{stored.offset}", stored.value)
        alerts.setdefault(generation, []).append(alert)
        last_ms[generation] = max(stored.timestamp_ms, last_ms.get(generation, 0))
    if wanted is None:
        wanted = max(last_ms, key=lambda name: (last_ms[name], name), default="")
    told = effective(configuration) if configuration is not None else None
    return Run(_name(named.topic, wanted, set(alerts)), by_id(alerts.get(wanted, ())), wanted.rpartition("-")[2] or None, told)


def _name(topic: str, generation: str, there: set[str]) -> str:
    others = ", ".join(sorted(there - {generation}))
    nothing = "" if generation in there else " has said nothing"
    return f"{SCHEME}{topic}, generation {generation or 'none'}{nothing}" + (f" (also there: {others})" if others else "")
