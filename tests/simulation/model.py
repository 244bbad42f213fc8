"""What must come out, computed another way: every record once through one plain engine, in the order of the journal.

The model knows nothing of spans, watermarks, checkpoints or positions already published. It reads what stands in the log.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from detectors.configuration import Configuration
from detectors.engine import Engine, Outputs
from detectors.events import Fault, Tick
from streams.codec import decode, encode
from streams.live.journal import Page, Position, decode_page
from streams.live.log import Stored
from streams.live.names import ALERTS, LOAN_RISK, ORDER_HEADER, PORTFOLIO, SOURCES

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Source = tuple[str, int, int]
"""Topic, partition, offset of a source record."""


class Due(NamedTuple):
    """A message that must stand in an output partition."""

    position: Position
    value: bytes


class Model:
    """One book, as its journal says.

    Args:
        begins: where each source partition begins; what stood before is gone.
    """

    def __init__(self, configuration: Configuration, begins: Callable[[str, int], int]) -> None:
        self.engine = Engine(configuration)
        self.begins = begins
        self.refused: dict[Source, None] = {}  # by intake, and stored
        self.known: dict[tuple[str, int], int] = {}  # the first offset that is neither in the journal nor refused
        self.seen: dict[Source, None] = {}  # in the order of their first appearance
        self.due: dict[str, list[Due]] = {ALERTS: [], LOAN_RISK: [], PORTFOLIO: []}
        self.place: dict[str, dict[Position, int]] = {ALERTS: {}, LOAN_RISK: {}, PORTFOLIO: {}}
        self.rejected: dict[Source, Fault] = {}
        self.counts: Counter[str] = Counter()
        self.journalled = 0

    def read(self, offset: int, raw: bytes) -> Page:
        """One page more stands in the journal."""
        page = decode_page(raw)
        for index, record in enumerate(page.records):
            span = page.spans[record.span]
            self.journalled += 1
            self._record(Position(offset, index, 0), (span.topic, span.partition, record.offset), record.value)
        if page.tick_ms is not None:
            tick = Tick(event_time=EPOCH + timedelta(milliseconds=page.tick_ms))
            self._due(Position(offset, len(page.records), 0), self.engine.apply(tick))
        return page

    def first_unknown(self, topic: str, partition: int) -> int:
        """The first offset of a source partition that is neither in the journal nor refused."""
        offset = self.known.get((topic, partition)) or self.begins(topic, partition)
        while (topic, partition, offset) in self.seen or (topic, partition, offset) in self.refused:
            offset += 1
        self.known[topic, partition] = offset
        return offset

    def _record(self, position: Position, source: Source, value: bytes) -> None:
        if source in self.seen:
            self.counts["repeated"] += 1
            return
        if self.first_unknown(*source[:2]) < source[2]:
            self.counts["ahead"] += 1
            return
        self.seen[source] = None
        event = decode(source[0], value)
        outputs = Outputs("rejected", event) if isinstance(event, Fault) else self.engine.apply(event)
        self.counts[outputs.status] += 1
        if outputs.fault is not None:
            self.rejected[source] = outputs.fault
        self._due(position, outputs)

    def _due(self, position: Position, outputs: Outputs) -> None:
        number = 0
        for topic, said in ((ALERTS, outputs.alerts), (LOAN_RISK, outputs.risks), (PORTFOLIO, outputs.portfolio)):
            for one in said:
                at = position._replace(number=number)
                self.place[topic][at] = len(self.due[topic])
                self.due[topic].append(Due(at, encode(one)))
                number += 1


def merged(lane: dict[str, list[Stored]]) -> list[tuple[str, int]]:
    """The one order of a lane's records: the topic whose next record is first goes first; of equals, the one named earlier."""
    waiting = {topic: deque(lane.get(topic, ())) for topic in SOURCES}
    order: list[tuple[str, int]] = []
    while any(waiting.values()):
        topic = min((topic for topic in SOURCES if waiting[topic]), key=lambda topic: _order(waiting[topic][0]))
        order.append((topic, waiting[topic].popleft().offset))
    return order


def _order(message: Stored) -> int:
    headers = dict(message.headers)
    return int(headers[ORDER_HEADER]) if ORDER_HEADER in headers else message.timestamp_ms
