"""A simulated world: source topics, broker, workers that are made to fail, and those who look on."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from faust.types import TP

from detectors.engine import ENGINE_VERSION
from detectors.events import Fault
from streams.codec import decode
from streams.live.fold import generation_of
from streams.live.journal import PAGE_VERSION, Page, Record, Span, encode_page
from streams.live.log import Entry, Stored
from streams.live.names import JOURNAL, ORDER_HEADER, SOURCES
from streams.live.pause_guard import PausedTooLong
from streams.live_settings import DetectSettings, IntakeSettings, KafkaSettings, LiveSettings
from streams.scenarios.folding import SHIPPED
from tests.simulation.broker import Group, Partitions
from tests.simulation.checkers import Checkers, Violation
from tests.simulation.faults import Plan, Weather, plan_of
from tests.simulation.loop import Killed, VirtualLoop
from tests.simulation.machine import in_virtual_time
from tests.simulation.model import Source
from tests.simulation.story import Told, story_of
from tests.simulation.worker import SendFailed, Worker

SESSION_MS = 700
QUIET_MS_MAX = 20_000
LOOK_MS = 25
START_MS = 1_767_960_000_000  # 2026-01-09T12:00:00Z, within a day of the last record: a live stream
GENERATION = generation_of(ENGINE_VERSION, SHIPPED)
EXPECTED_DEATHS = (Killed, SendFailed, PausedTooLong)


class World:
    """One seed's world."""

    books = 1  # with remittances between books, a model of each is needed
    configuration = SHIPPED
    generation = GENERATION

    def __init__(self, plan: Plan, folder: Path, *, is_traced: bool = False) -> None:
        self.plan = plan
        self.folder = folder
        self.random = Random(f"world {plan.seed}")
        self.loop = VirtualLoop(Random(f"loop {plan.seed}"), START_MS)
        self.weather = Weather(plan, Random(f"weather {plan.seed}"))
        self.settings = _settings_of(plan)
        self.partitions = Partitions(self.loop)
        self.intake_group = Group(self.loop, "intake", range(plan.lanes), SESSION_MS)
        self.detect_group = Group(self.loop, "detect", range(self.books), SESSION_MS)
        self.traced: list[str] = []
        self.is_traced = is_traced
        self.checkers = Checkers(self)
        self.workers: dict[int, Worker] = {}
        self.lives: Counter[int] = Counter()
        self.backups: dict[int, list[bytes]] = {}
        self.deaths: Counter[str] = Counter()
        self.unproduced = 0
        self.is_over = False
        self.journal_target: int | None = None
        self.is_done = False

    def run(self) -> None:
        """From the first record until everything is quiet; raises :class:`Violation`."""
        self._produce()
        for number in range(self.plan.workers):
            self.loop.after_ms(self.random.random() * 300 * (number > 0), None, self._start, number)
        self._brew()
        self.loop.after_ms(LOOK_MS, None, self._look)
        deadline_us = self.loop.now_us + (self.plan.faults_end_ms + QUIET_MS_MAX) * 1000
        if not self.loop.run(lambda: self.is_done, deadline_us):
            raise Violation(f"still not quiet {QUIET_MS_MAX} ms after the last fault: {self._state()}")
        self.checkers.quiet()
        if self.plan.refolds_at_the_end:
            self._refold()

    def _refold(self) -> None:
        """A new worker without any state folds the whole journal, and says again nothing that was said."""
        self.is_over = True
        for worker in self.alive():
            worker.die(Killed("the end"))
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        repeats, journal = self.checkers.repeats, self.partitions.of(JOURNAL, 0)
        self._start(0)

        def is_folded() -> bool:
            books = self.workers[0].detect.books
            return 0 in books and books[0].detect.fold.next_offset == len(journal) and not books[0].busy.locked()

        if not self.loop.run(is_folded, self.loop.now_us + QUIET_MS_MAX * 1000):
            raise Violation(f"the journal is not folded again within {QUIET_MS_MAX} ms: {self._state()}")
        if self.checkers.repeats != repeats:
            raise Violation("folded again from its beginning, the journal gave what had been published")

    # --- what others ask ----------------------------------------------------------------------------------------------

    @property
    def is_ordered(self) -> bool:
        """Whether the order of a lane is promised: all records were there before, or the consumer was never slow."""
        return self.plan.is_backlog or not self.plan.pause_gap_ms

    @staticmethod
    def route(topic: str, event: Any) -> tuple[int, ...]:
        """One book."""
        return (0,)

    def alive(self) -> list[Worker]:
        """Workers that run."""
        return [worker for worker in self.workers.values() if not worker.is_dead]

    def inputs(self) -> dict[Source, bytes]:
        """Every source record."""
        return {
            (topic, number, message.offset): message.value
            for topic in SOURCES for number in range(self.plan.lanes)
            for message in self.partitions.of(topic, number)[self.partitions.begin(topic, number) :]
        }  # fmt: skip

    def state_dir(self, number: int) -> Path:
        """The folder that a worker keeps over its lives."""
        folder = self.folder / f"w{number}"
        folder.mkdir(exist_ok=True)
        return folder

    def trace(self, *words: Any) -> None:
        """For whoever reads a failure."""
        if self.is_traced:
            self.traced.append(f"{(self.loop.now_us - self.loop.start_us) / 1000:10.3f} " + " ".join(map(str, words)))

    # --- source records -----------------------------------------------------------------------------------------------

    def _produce(self) -> None:
        if self.plan.has_trimmed_sources:
            self._trim()
        story = story_of(self.random, self.plan.records_max, has_poison=self.plan.has_poison)
        by_topic = self.random.random() < 0.5  # lanes by record, or by topic and content
        at_ms = 0.0
        for index, told in enumerate(story):
            lane = self.random.randrange(self.plan.lanes) if by_topic else index * self.plan.lanes // len(story)
            at_ms += self.random.choice((0, 1, 5, 40, 120)) * (300 / len(story)) / 8
            if self.plan.is_backlog:
                self._put(told, lane, index, START_MS - 10_000 + int(at_ms))
            else:
                self.unproduced += 1
                self.loop.after_ms(at_ms + index / 1000, None, self._put_now, told, lane, index)

    def _trim(self) -> None:
        for topic in SOURCES:
            for number in range(self.plan.lanes):
                gone = self.random.choice((0, 0, 1, 7))
                self.partitions.of(topic, number).extend(Stored(offset, 0, None, b"gone") for offset in range(gone))
                self.partitions.begins[topic, number] = gone

    def _put_now(self, told: Told, lane: int, index: int) -> None:
        self.unproduced -= 1
        self._put(told, lane, index, self.loop.now_ms)

    def _put(self, told: Told, lane: int, index: int, timestamp_ms: int) -> None:
        headers = ((ORDER_HEADER, str(1000 + index).encode()),) if self.plan.has_order_header else ()
        messages = self.partitions.of(told.topic, lane)
        messages.append(Stored(len(messages), timestamp_ms, None, told.value, headers))

    # --- workers ------------------------------------------------------------------------------------------------------

    def _start(self, number: int) -> None:
        before = self.workers.get(number)
        self._disturb_state(number)
        self.lives[number] += 1
        worker = self.workers[number] = Worker(self, number, self.lives[number])
        self.trace(worker.name, "starts")
        for index, member in enumerate(worker.members):
            old = before.members[index] if before is not None else None
            if self.plan.static_membership and old is not None and old in member.group.members:
                member.group.replace(old, member)
            else:
                member.group.join(member)
        worker.begin()

    def _disturb_state(self, number: int) -> None:
        file = self.state_dir(number) / "book-0.sqlite"
        if self.weather.strikes(self.plan.lost_state_share):
            file.unlink(missing_ok=True)
        elif self.weather.strikes(self.plan.old_state_share) and self.backups.get(number):
            file.write_bytes(self.random.choice(self.backups[number]))

    def died(self, worker: Worker, why: BaseException) -> None:
        """Its members are put out when they have not been heard of for long; it is started again."""
        self.trace(worker.name, "dies:", repr(why))
        if isinstance(why, Violation):
            raise why
        if not isinstance(why, EXPECTED_DEATHS):
            raise Violation(f"{worker.name} dies of {why!r}") from why
        self.deaths[str(why) if isinstance(why, Killed) else type(why).__name__] += 1
        for member in worker.members:
            self.loop.after_ms(SESSION_MS, None, member.group.kick, member)
        self.loop.after_ms(20 + self.random.random() * 300, None, self._start_again, worker.number)

    def _start_again(self, number: int) -> None:
        if not self.is_over:  # the refold at the end is one worker's
            self._start(number)

    def saved(self, worker: Worker, path: Path, next_offset: int) -> None:
        """A checkpoint is on the disk."""
        if self.random.random() < 0.3:
            self.backups.setdefault(worker.number, []).append(path.read_bytes())
        self.checkers.saved(worker, 0, next_offset)

    # --- faults -------------------------------------------------------------------------------------------------------

    def _brew(self) -> None:
        plan = self.plan
        for _ in range(plan.strays):
            self.loop.after_ms(self.random.random() * plan.faults_end_ms, None, self._stray)
        for gap_ms, act in (
            (plan.crash_gap_ms, self._crash), (plan.rebalance_gap_ms, self._rebalance), (plan.pause_gap_ms, self._pause),
            (400 if plan.isolations else 0, self._isolate),
        ):  # fmt: skip
            if gap_ms:
                self._again(gap_ms, act)
        self.loop.after_ms(plan.faults_end_ms, None, self._clear_up)

    def _again(self, gap_ms: float, act: Callable[[], None]) -> None:
        def happen() -> None:
            if not self.weather.is_fair:
                act()
                self._again(gap_ms, act)

        self.loop.after_ms(self.weather.wait_ms(gap_ms), None, happen)

    def _clear_up(self) -> None:
        self.weather.is_fair = True
        self.trace("the faults have ended")

    def _someone(self) -> Worker | None:
        alive = self.alive()
        return self.random.choice(alive) if alive else None

    def _crash(self) -> None:
        worker = self._someone()
        if worker is None:
            return
        if self.weather.strikes(self.plan.graceful_share):
            worker.start(worker.leave())
        else:
            worker.die(Killed("at random"))

    def _rebalance(self) -> None:
        group = self.random.choice((self.intake_group, self.detect_group))
        self.trace("rebalance of", group.name)
        group.rebalance()

    def _pause(self) -> None:
        worker = self._someone()
        if worker is None:
            return
        length_ms = (
            SESSION_MS * (0.3 + 1.5 * self.random.random()) if self.plan.pauses_are_long else 5 + 150 * self.random.random()
        )
        worker.paused_until_us = self.loop.now_us + int(length_ms * 1000)
        self.trace(worker.name, f"pauses for {length_ms:.0f} ms")
        self.loop.after_ms(SESSION_MS, None, self._miss, worker, worker.paused_until_us)

    def _miss(self, worker: Worker, until_us: int) -> None:
        """The pause that was to last so long still lasts; one that began meanwhile has its own time."""
        if worker.paused_until_us == until_us > self.loop.now_us:
            for member in worker.members:
                member.group.kick(member)

    def _isolate(self) -> None:
        worker = self._someone()
        if worker is not None:
            member = self.random.choice(worker.members)
            self.trace(member.name, "is put out of its group")
            member.group.kick(member)

    def _stray(self) -> None:
        """Somebody has set the group's offsets forward, an intake went on from there, and they were set back."""
        topic, number = self.random.choice([(topic, number) for topic in SOURCES for number in range(self.plan.lanes)])
        after = self.checkers.model.first_unknown(topic, number)
        messages = self.partitions.of(topic, number)[after + 1 :]
        sound = [m for m in messages if not isinstance(decode(topic, m.value), Fault)][:3]
        if sound:
            self.trace("a stray page of", topic, number, "behind", after)
            span = Span(topic, number, after, sound[-1].offset)
            page = Page(PAGE_VERSION, self.loop.now_ms, [span], [Record(0, m.offset, m.value) for m in sound])
            self.partitions.store(JOURNAL, 0, [Entry(None, encode_page(page))])

    # --- the end ------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        self.is_done = self.weather.is_fair and not self.unproduced and self._is_quiet()
        self.loop.after_ms(LOOK_MS, None, self._look)

    def _is_quiet(self) -> bool:
        for topic in SOURCES:
            for number in range(self.plan.lanes):
                committed = self.intake_group.committed.get(TP(topic, number), self.partitions.begin(topic, number))
                if committed < len(self.partitions.of(topic, number)):
                    return False
        if self.journal_target is None:
            self.journal_target = len(self.partitions.of(JOURNAL, 0))
        return self.detect_group.committed.get(TP(JOURNAL, 0), 0) >= self.journal_target

    def _state(self) -> str:
        ends = {f"{topic}/{number}": len(messages) for (topic, number), messages in self.partitions.stored.items() if messages}
        committed = {f"{tp.topic}/{tp.partition}": at for group in (self.intake_group, self.detect_group)
                     for tp, at in group.committed.items()}  # fmt: skip
        return f"ends {ends}, committed {committed}, alive {[worker.name for worker in self.alive()]}"


def simulate(seed: int, folder: Path, *, is_traced: bool = False, plan: Plan | None = None) -> World:
    """Run one seed; raises :class:`Violation`."""
    place = folder / f"seed-{seed}"
    place.mkdir()
    world = World(plan or plan_of(seed), place, is_traced=is_traced)
    try:
        with in_virtual_time(world):
            world.run()
    except Exception as error:
        error.add_note(f"seed {seed}: {world.plan}")
        error.world = world  # type: ignore[attr-defined]
        raise
    finally:
        for worker in world.workers.values():
            worker.on_death = lambda why: None  # type: ignore[method-assign]
            worker.die(Killed("the end"))
        shutil.rmtree(place)
    return world


def _settings_of(plan: Plan) -> LiveSettings:
    return LiveSettings(
        kafka=KafkaSettings(session_timeout_ms=SESSION_MS),
        intake=IntakeSettings(
            page_records_max=plan.page_records_max,
            buffered_records_max=plan.buffered_records_max,
            linger_ms=120,
            tick_idle_ms=300 if plan.has_ticks else 3_600_000,
            tick_lag_ms_max=7 * 86_400_000,
        ),
        detect=DetectSettings(checkpoint_interval_ms=plan.checkpoint_interval_ms, publish_interval_ms=200),
    )
