"""The worker: intake and detect as two Faust apps in one process, with safe defaults.

Two apps, so two consumer groups: the roles can be split over processes and each keeps its committed offsets.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn, cast

import faust
from faust.types import TP

from detectors.books import Books, route
from detectors.engine import ENGINE_VERSION
from streams.live.batches import BatchApp, BatchConsumer
from streams.live.connection import Connection, explained
from streams.live.detect_stage import DetectStage, Trimmed
from streams.live.fault_points import FaultPoints
from streams.live.fold import generation_of
from streams.live.health import BROKER_SILENT_S_MAX, HealthCheck
from streams.live.intake_stage import IntakeStage
from streams.live.journal import NotAPage
from streams.live.kafka_log import KafkaLog
from streams.live.log_lines import say_once
from streams.live.metrics import Collector
from streams.live.monitor import Monitor
from streams.live.names import DETECT_GROUP, INTAKE_GROUP, JOURNAL, SOURCES, topic_name
from streams.live.pause_guard import PausedTooLong, PauseGuard
from streams.live.rare_collection import collect_rarely, spare_survivors_for_ever
from streams.live.state_errors import StateError
from streams.live.trouble import BrokerTrouble
from streams.settings import Settings

ROLES = ("intake", "detect")
COMMIT_INTERVAL_S = 1.0
DELIVERY_TIMEOUT_MS = 60_000
"""How long a broker may be away before an append fails and the process ends."""

BROKER_AWAY_S_MAX = 60.0
"""How long a worker waits for a broker before it ends; its supervisor starts it again, and the start says what is wrong."""

BATCHES_BUFFERED_MAX = 4


class NotWorking(Exception):
    """The worker runs and cannot do its work."""


WORLD_FAILED = 1
EXPECTED = (NotWorking, BrokerTrouble, PausedTooLong, Trimmed, NotAPage, StateError)
"""What the world may do; the message says what to do. Anything else is told with its traceback."""

Task = Callable[[], Coroutine[Any, Any, None]]

logger = logging.getLogger("fundtrail")


class Worker:
    """Everything one process runs."""

    def __init__(
        self, settings: Settings, roles: tuple[str, ...], connection: Connection, layout: Books, *,
        new_generation: bool = False,
    ) -> None:  # fmt: skip
        self.settings = settings
        self.connection = connection
        self.roles = roles
        live = settings.live
        self.worker_id = worker_id_of(Path(live.detect.state_dir))
        self.guard = PauseGuard(live.kafka.session_timeout_ms)
        fault_points = FaultPoints.from_environment()
        self.log = KafkaLog({**connection.for_aiokafka(), "request_timeout_ms": DELIVERY_TIMEOUT_MS}, live.kafka.prefix)
        self.generation = generation_of(ENGINE_VERSION, settings.engine, layout)
        self.intake = IntakeStage(
            self.log, lambda _, event: route(event, layout), layout.number, live, clock_ms, fault_points, self.guard
        )
        self.detect = DetectStage(
            self.log, settings.engine, self.generation, live, fault_points, self.guard,
            new_generation=new_generation, layout=layout,
        )  # fmt: skip
        intake_or_none = self.intake if "intake" in roles else None
        detect_or_none = self.detect if "detect" in roles else None
        self.health = HealthCheck(intake_or_none, detect_or_none, self.guard, live)
        self.monitor = Monitor(Collector(intake_or_none, detect_or_none), self.health, live.metrics)
        self.misses_broker = False
        self.apps: list[BatchApp] = []
        if "intake" in roles:
            self.apps.append(self._app(INTAKE_GROUP, self.intake, SOURCES, self.intake.take, [self.intake.work]))
        if "detect" in roles:
            self.apps.append(
                self._app(DETECT_GROUP, self.detect, (JOURNAL,), self.detect.take, [self.detect.checkpoint_for_ever])
            )

    def run(self) -> None:
        """Run until told to stop; does not return when something fails."""
        self.monitor.start()
        collect_rarely()
        live = self.settings.live
        logger.warning(
            "%s on %s (prefix %r), generation %s, state in %s; metrics at %s",
            " and ".join(self.roles), self.connection.servers, live.kafka.prefix, self.generation, live.detect.state_dir,
            self.monitor.address,
        )  # fmt: skip
        try:
            _FaustWorker(self).execute_from_commandline()
        except SystemExit as leaving:
            if leaving.code not in (0, None):
                self.fail(self._why(leaving.__context__ or leaving))  # mode leaves without a word when starting fails

    def _why(self, error: BaseException) -> BaseException:
        """The error; what a client raised becomes what is the matter with the broker."""
        try:
            with explained(self.connection):
                raise error
        except BaseException as told:
            return told

    @staticmethod
    def fail(error: BaseException) -> NoReturn:
        """End the process at once: everything is built to be killed, and clean-up could only commit what is not durable."""
        logger.error("%s", describe(error), exc_info=error if not isinstance(error, EXPECTED) else None)
        logging.shutdown()
        os._exit(WORLD_FAILED)

    def _app(
        self,
        group: str,
        stage: IntakeStage | DetectStage,
        topics: tuple[str, ...],
        take: Callable[[TP, list[Any]], Awaitable[None]],
        tasks: list[Task],
    ) -> BatchApp:
        prefix = self.settings.live.kafka.prefix
        member = f"{self.worker_id}-{group}"
        app = BatchApp(topic_name(prefix, group), stage, consumer_group_instance_id=member, **self._faust_settings())
        names = [topic_name(prefix, topic) for topic in topics]
        for name in names:
            self._agent(app, name, take)
        for task in (*tasks, self._watch, spare_survivors_for_ever):
            app.task(self.guarded(task))
        app.on_before_shutdown.connect(self._shutdown, weak=False)  # type: ignore[arg-type]
        return app

    def _faust_settings(self) -> dict[str, Any]:
        """Faust's settings, as far as ours or safety decide them."""
        session_s = self.settings.live.kafka.session_timeout_ms / 1000
        return {
            **self.connection.for_faust(),
            "datadir": str(Path(self.settings.live.detect.state_dir) / "faust"),  # else it makes folders where it is started
            "broker_session_timeout": session_s,
            "broker_heartbeat_interval": session_s / 10,
            "broker_request_timeout": max(60.0, session_s + 5),
            "broker_commit_interval": COMMIT_INTERVAL_S,
            "consumer_auto_offset_reset": "earliest",
            "stream_buffer_maxsize": BATCHES_BUFFERED_MAX,
            "stream_wait_empty": False,
            "stream_recovery_delay": 0.0,
            "topic_allow_declare": False,
            "topic_disable_leader": True,
            "web_enabled": False,
            "store": "memory://",
            "worker_redirect_stdouts": False,
        }

    def _agent(self, app: BatchApp, name: str, take: Callable[[TP, list[Any]], Awaitable[None]]) -> None:
        async def work(stream: Any) -> None:
            async for event in stream.events():
                try:
                    if cast(BatchConsumer, app.consumer).reads(event.value):
                        await take(TP(event.message.topic, event.message.partition), event.value.records)
                except Exception as error:
                    self.fail(error)  # never on to the next batch

        app.agent(app.batch_topic(name), name=f"{app.conf.id}.{name}", concurrency=1)(work)

    def guarded(self, task: Task) -> Task:
        """The task, which ends the process when it fails."""

        async def run() -> None:
            try:
                await task()
            except Exception as error:
                self.fail(error)

        run.__name__ = getattr(task, "__name__", "task")
        return run

    async def _watch(self) -> None:
        """End the process when its group will not have it: Faust would live on without ever reading a record."""
        while True:
            await asyncio.sleep(1)
            self._look_for_broker()
            if lost := self.health.live().reasons:
                raise NotWorking(f"{'; '.join(lost)}. Mend what the log names, or start it again")

    def _look_for_broker(self) -> None:
        """Say once that no broker answers, and once that one does again; end when that takes too long."""
        silent_s, servers = self.health.silent_s(), self.connection.servers
        if silent_s > BROKER_AWAY_S_MAX:
            raise NotWorking(
                f"no broker at {servers} has answered for {silent_s:.0f} s. Nothing is lost: start it again when one does"
            )
        is_away = silent_s > BROKER_SILENT_S_MAX
        if is_away and not self.misses_broker:
            logger.error("no broker at %s answers: it is waited for, %.0f s long", servers, BROKER_AWAY_S_MAX)
        elif self.misses_broker and not is_away:
            logger.warning("a broker at %s answers again", servers)
        self.misses_broker = is_away

    async def _shutdown(self, app: Any, **_: Any) -> None:
        if app.stage is self.detect:
            await self.detect.finish()


class _FaustWorker(faust.Worker):
    """Faust's worker around our apps and the log they write to."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(*worker.apps, loglevel="WARNING", redirect_stdouts=False, quiet=True)
        self.ours = worker
        self.spinner = None

    async def on_first_start(self) -> None:
        """Before anything flows: the log is connected, and the guard beats. The apps' tasks begin in their own time."""
        self.add_future(self.ours.guarded(self.ours.guard.beat)())
        await self.ours.log.start()
        await super().on_first_start()

    def on_setup_root_logger(self, logger: logging.Logger, level: int) -> None:
        """The log's handlers are there."""
        super().on_setup_root_logger(logger, level)
        say_once()

    async def on_shutdown(self) -> None:
        """The log goes last."""
        await super().on_shutdown()
        await self.ours.log.stop()


def describe(error: BaseException) -> str:
    """An error in a sentence for the log."""
    text = str(error) or "no further word"
    return text if isinstance(error, EXPECTED) else f"{type(error).__name__}: {text}"


def worker_id_of(state_dir: Path) -> str:
    """What tells this worker from others, also after a crash: the broker lets it have its partitions back at once."""
    file = state_dir / "worker-id"
    if not file.exists():
        state_dir.mkdir(parents=True, exist_ok=True)
        file.write_text(uuid.uuid4().hex, encoding="ascii")
    return file.read_text(encoding="ascii").strip()


def clock_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000
