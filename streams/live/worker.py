"""The worker: intake and detect as two Faust apps in one process, with safe defaults.

Two apps, so two consumer groups: the roles can be split over processes and each keeps its committed offsets.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn

import faust
from faust.types import TP

from detectors.engine import ENGINE_VERSION
from streams.live.batches import BatchApp
from streams.live.checkpoint import StateError
from streams.live.detect_stage import DetectStage, Trimmed
from streams.live.fault_points import FaultPoints
from streams.live.fold import generation_of
from streams.live.intake import Route
from streams.live.intake_stage import IntakeStage
from streams.live.journal import NotAPage
from streams.live.kafka_log import KafkaLog
from streams.live.names import DETECT_GROUP, INTAKE_GROUP, JOURNAL, SOURCES, topic_name
from streams.live.pause_guard import PausedTooLong, PauseGuard
from streams.live_settings import LiveSettings
from streams.settings import Settings

ROLES = ("intake", "detect")
COMMIT_INTERVAL_S = 1.0
BATCHES_BUFFERED_MAX = 4
WORLD_FAILED = 1
EXPECTED = (PausedTooLong, Trimmed, NotAPage, StateError)
"""What the world may do; the message says what to do. Anything else is told with its traceback."""

logger = logging.getLogger("fundtrail")


class Worker:
    """Everything one process runs."""

    def __init__(
        self, settings: Settings, roles: tuple[str, ...], clients: dict[str, Any], books: int, route: Route,
    ) -> None:  # fmt: skip
        self.settings = settings
        self.roles = roles
        live = settings.live
        self.worker_id = worker_id_of(Path(live.detect.state_dir))
        self.guard = PauseGuard(live.kafka.session_timeout_ms)
        fault_points = FaultPoints.from_environment()
        self.log = KafkaLog(clients, live.kafka.prefix)
        generation = generation_of(ENGINE_VERSION, settings.engine)
        self.intake = IntakeStage(self.log, route, books, live, clock_ms, fault_points, self.guard)
        self.detect = DetectStage(self.log, settings.engine, generation, live, fault_points, self.guard)
        self.apps: list[BatchApp] = []
        if "intake" in roles:
            self.apps.append(self._app(INTAKE_GROUP, self.intake, SOURCES, self.intake.take, [self.intake.work]))
        if "detect" in roles:
            self.apps.append(
                self._app(DETECT_GROUP, self.detect, (JOURNAL,), self.detect.take, [self.detect.checkpoint_for_ever])
            )

    def run(self) -> None:
        """Run until told to stop; does not return when something fails."""
        try:
            _FaustWorker(self).execute_from_commandline()
        except SystemExit as leaving:
            if leaving.code not in (0, None):
                raise

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
        tasks: list[Callable[[], Awaitable[None]]],
    ) -> BatchApp:
        prefix = self.settings.live.kafka.prefix
        member = f"{self.worker_id}-{group}"
        app = BatchApp(
            topic_name(prefix, group), stage, consumer_group_instance_id=member, **faust_settings(self.settings.live)
        )
        names = [topic_name(prefix, topic) for topic in topics]
        for name in names:
            self._agent(app, name, take)
        for task in (*tasks, self.guard.beat):
            app.task(self._guarded(task))
        app.on_before_shutdown.connect(self._shutdown, weak=False)  # type: ignore[arg-type]
        return app

    def _agent(self, app: BatchApp, name: str, take: Callable[[TP, list[Any]], Awaitable[None]]) -> None:
        async def work(stream: Any) -> None:
            async for event in stream.events():
                try:
                    await take(TP(event.message.topic, event.message.partition), event.value)
                except Exception as error:
                    self.fail(error)  # never on to the next batch

        app.agent(app.batch_topic(name), name=f"{app.conf.id}.{name}", concurrency=1)(work)

    def _guarded(self, task: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            try:
                await task()
            except Exception as error:
                self.fail(error)

        run.__name__ = getattr(task, "__name__", "task")
        return run

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
        """Connect the log before anything flows."""
        await self.ours.log.start()
        await super().on_first_start()

    async def on_shutdown(self) -> None:
        """The log goes last."""
        await super().on_shutdown()
        await self.ours.log.stop()


def faust_settings(live: LiveSettings) -> dict[str, Any]:
    """Faust's settings, as far as ours or safety decide them."""
    return {
        "broker": [f"kafka://{server.strip()}" for server in live.kafka.bootstrap_servers.split(",")],
        "broker_session_timeout": live.kafka.session_timeout_ms / 1000,
        "broker_heartbeat_interval": live.kafka.session_timeout_ms / 1000 / 10,
        "broker_request_timeout": max(60.0, live.kafka.session_timeout_ms / 1000 + 5),
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


def one_book(topic: str, event: Any) -> tuple[int, ...]:
    """The route where there is one book."""
    return (0,)
