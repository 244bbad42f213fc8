"""What must hold: after every message that is stored and every commit (safety), and when all is quiet (liveness)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from faust.types import TP

from detectors.events import Fault
from streams.codec import decode
from streams.live.fold import COUNTED
from streams.live.journal import Position
from streams.live.log import Stored
from streams.live.names import JOURNAL, POSITION_HEADER, REJECTS, SOURCES
from streams.live.rejects import LiveReject
from tests.simulation.model import Model, merged

if TYPE_CHECKING:
    from tests.simulation.worker import Worker
    from tests.simulation.world import World


class Violation(Exception):
    """A promise is broken."""


class Checkers:
    """Looks at everything that the broker gets."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.model = Model(world.configuration, world.partitions.begin)
        self.rejects: dict[bytes, bytes] = {}  # key -> value
        # per topic, place -> was each copy a zombie's?
        self.published: dict[str, dict[int, list[bool]]] = {topic: {} for topic in self.model.place}
        self.durable: Counter[tuple[int, int]] = Counter()  # (worker number, book) -> the furthest checkpoint on its disk
        self.repeats = 0
        world.partitions.on_stored = self.stored
        world.intake_group.on_commit = self.intake_committed
        world.detect_group.on_commit = self.detect_committed

    # --- safety -------------------------------------------------------------------------------------------------------

    def stored(self, topic: str, partition: int, message: Stored, writer: Worker | None) -> None:
        """A message more stands in the log."""
        self.world.trace(writer.name if writer else "source", "writes", topic, partition, message.offset)
        if topic == JOURNAL:
            self._page(message, writer)
        elif topic in self.published:
            assert writer is not None
            self._output(topic, message, writer)
        elif topic == REJECTS:
            self._reject(message)

    def intake_committed(self, group: str, offsets: Mapping[TP, int], member: Any) -> None:
        """Everything before a committed source offset stands in the journal or in the rejects."""
        for tp, offset in offsets.items():
            self._demand_known(tp.topic, tp.partition, offset, f"{member.name} commits {tp.topic}/{tp.partition} {offset}")

    def detect_committed(self, group: str, offsets: Mapping[TP, int], member: Any) -> None:
        """A committed journal offset was reached by a checkpoint on the disk of whoever commits it."""
        for tp, offset in offsets.items():
            durable = self.durable[member.process.number, tp.partition]
            if offset > durable:
                raise Violation(f"{member.name} commits journal offset {offset}, its disk only has a checkpoint at {durable}")

    def saved(self, worker: Worker, book: int, next_offset: int) -> None:
        """A checkpoint is on the disk; everything before it must have been published."""
        self.world.trace(worker.name, "has a checkpoint", book, next_offset)
        self.durable[worker.number, book] = max(self.durable[worker.number, book], next_offset)
        for topic, due in self.model.due.items():
            missing = [
                one for place, one in enumerate(due) if one.position.offset < next_offset and not self._has(topic, place)
            ]
            if missing:
                raise Violation(f"{worker.name} has a checkpoint at {next_offset}, but {topic} lacks {missing[0].position}")

    def folded(self, worker: Worker) -> None:
        """No watermark has passed a record that is neither in the journal nor rejected."""
        for at_work in worker.detect.books.values():
            for source, upto in at_work.detect.fold.watermarks.items():
                topic, _, number = source.partition("/")
                self._demand_known(topic, int(number), upto + 1, f"{worker.name}'s watermark of {source} is {upto}")

    def _has(self, topic: str, place: int) -> bool:
        return place in self.published[topic]

    def _demand_known(self, topic: str, partition: int, before: int, when: str) -> None:
        unknown = self.model.first_unknown(topic, partition)
        if unknown < before:
            raise Violation(f"{when}, but {topic}/{partition}/{unknown} is neither in the journal nor rejected")

    def _page(self, message: Stored, writer: Worker | None) -> None:
        ahead = self.model.counts["ahead"]
        page = self.model.read(message.offset, message.value)
        if writer is not None and self.model.counts["ahead"] > ahead:
            raise Violation(f"{writer.name}'s page {message.offset} leaves out records before its own: {page.spans}")

    def _output(self, topic: str, message: Stored, writer: Worker) -> None:
        position = Position.parse(dict(message.headers)[POSITION_HEADER])
        place = self.model.place[topic].get(position)
        what = f"{writer.name} publishes {topic} {position}"
        if place is None:
            raise Violation(f"{what}, which does not follow from the journal")
        if self.model.due[topic][place].value != message.value:
            raise Violation(f"{what} with other bytes than the model: {message.value!r}")
        copies = self.published[topic]
        if place > 0 and place - 1 not in copies:
            raise Violation(f"{what}, but the one before it, {self.model.due[topic][place - 1].position}, was never published")
        if place in copies:
            self._repeated(what, [*copies[place], writer.is_zombie])
        copies.setdefault(place, []).append(writer.is_zombie)

    def _repeated(self, what: str, copies: list[bool]) -> None:
        self.repeats += 1
        if copies.count(False) > 1:
            raise Violation(f"{what} once more, and neither copy is a zombie's")
        if not self.world.plan.may_repeat:
            raise Violation(f"{what} once more in a world without zombies")

    def _reject(self, message: Stored) -> None:
        assert message.key is not None
        reject = msgspec.json.decode(message.value, type=LiveReject)
        if self.rejects.setdefault(message.key, message.value) != message.value:
            raise Violation(f"two different rejects of {message.key!r}")
        source = (reject.topic, reject.partition, reject.offset)
        if reject.stage == "intake":
            self.model.refused[source] = None

    # --- liveness -----------------------------------------------------------------------------------------------------

    def quiet(self) -> None:
        """All is done: nothing is missing, nothing too much, everything adds up."""
        self._outputs_complete()
        self._inputs_accounted()
        self._rejects_complete()
        self._counts_add_up()
        self._books_have_one_keeper()
        if self.world.is_ordered:
            self._order_kept()

    def _outputs_complete(self) -> None:
        """What follows from the pages waited for; a tick may have written one more meanwhile."""
        target = self.world.journal_target
        assert target is not None
        for topic, due in self.model.due.items():
            missing = [
                one.position for place, one in enumerate(due) if one.position.offset < target and not self._has(topic, place)
            ]
            if missing:
                raise Violation(f"{topic} lacks {missing[0]} ({len(missing)} of {len(due)} in all)")

    def _inputs_accounted(self) -> None:
        for source, value in self.world.inputs().items():
            is_fault = isinstance(decode(source[0], value), Fault)
            if (source in self.model.refused) != is_fault or (source in self.model.seen) == is_fault:
                raise Violation(f"{source} should be {'rejected by intake' if is_fault else 'in the journal'} and is not")

    def _rejects_complete(self) -> None:
        expected = {*self.model.refused, *self.model.rejected}
        keys = {f"{topic}/{partition}/{offset}".encode() for topic, partition, offset in expected}
        if keys != set(self.rejects):
            raise Violation(f"rejects that are missing or too many: {sorted(keys ^ set(self.rejects))}")
        for (topic, partition, offset), fault in self.model.rejected.items():
            reject = msgspec.json.decode(self.rejects[f"{topic}/{partition}/{offset}".encode()], type=LiveReject)
            if (reject.field, reject.reason) != (fault.field, fault.reason):
                raise Violation(f"{topic}/{partition}/{offset} is rejected as {reject.reason!r} instead of {fault.reason!r}")

    def _counts_add_up(self) -> None:
        journal = self.world.partitions.of(JOURNAL, 0)
        for worker in self.world.alive():
            if worker.intake.writing.locked():
                continue  # between two pages
            counts, waiting = worker.intake.counts, worker.intake.waiting
            told = counts["journalled"] + counts["rejected"] + counts["duplicate"] + counts["unwritten"] + waiting
            if counts["in"] != told:
                raise Violation(f"{worker.name}: {counts['in']} came in, accounted for are {told}: {dict(counts)}")
            for at_work in worker.detect.books.values():
                fold = at_work.detect.fold
                if fold.next_offset == len(journal):
                    self._fold_adds_up(worker.name, Counter({name: fold.counts[name] for name in COUNTED}))

    def _books_have_one_keeper(self) -> None:
        for worker in self.world.alive():
            member = worker.members[1]
            if member.flows and set(worker.detect.books) != set(member.numbers):
                raise Violation(f"{worker.name} keeps books {sorted(worker.detect.books)}, its own are {list(member.numbers)}")

    def _fold_adds_up(self, name: str, counts: Counter[str]) -> None:
        expected = Counter({name: self.model.counts[name] for name in COUNTED})
        if counts != expected or sum(counts.values()) != self.model.journalled:
            raise Violation(f"{name}'s fold counts {dict(counts)}; the journal holds {dict(expected)}")

    def _order_kept(self) -> None:
        for number in range(self.world.plan.lanes):
            parts = self.world.partitions
            lane = {topic: parts.of(topic, number)[parts.begin(topic, number) :] for topic in SOURCES}
            expected = [place for place in merged(lane) if (place[0], number, place[1]) not in self.model.refused]
            found = [(topic, offset) for topic, partition, offset in self.model.seen if partition == number]
            if found != expected:
                at = next(index for index, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1])
                raise Violation(f"lane {number}: record {at} of the journal is {found[at]}, in order it is {expected[at]}")
