"""Whether the worker lives, and whether it does its work: assignment and progress, not only an answering process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from streams.live.detect_stage import DetectStage
from streams.live.intake_stage import IntakeStage
from streams.live.pause_guard import PauseGuard
from streams.live_settings import LiveSettings

BEAT_SILENT_S_MAX = 10.0
CHECKPOINTS_MISSED_MAX = 6
BROKER_SILENT_S_MAX = 5.0
"""A broker that restarts in less is not worth a word."""


class Health(NamedTuple):
    """``reasons`` is empty when all is well."""

    reasons: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Whether there is nothing to complain of."""
        return not self.reasons


class HealthCheck:
    """Asked by an orchestrator. ``stalled_s_max``: how long work may wait without any progress."""

    def __init__(
        self, intake: IntakeStage | None, detect: DetectStage | None, guard: PauseGuard, settings: LiveSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.stages = [stage for stage in (intake, detect) if stage is not None]
        self.intake, self.detect = intake, detect
        self.guard = guard
        self.clock = clock
        self.stalled_s_max = settings.kafka.session_timeout_ms / 1000 * 2
        self.checkpoint_s_max = settings.detect.checkpoint_interval_ms / 1000 * CHECKPOINTS_MISSED_MAX
        self.joined_at = [clock() for _ in self.stages]
        self.answered_at = [clock() for _ in self.stages]

    def live(self) -> Health:
        """Not live: restart the process. The event loop stands still, or the group has not had us for two session timeouts."""
        reasons = []
        if (silent_s := self.clock() - self.guard.last) > BEAT_SILENT_S_MAX:
            reasons.append(f"the event loop has not run for {silent_s:.0f} s")
        for index, stage in enumerate(self.stages):
            if stage.consumer is not None and stage.consumer.has_joined:
                self.joined_at[index] = self.clock()
            elif (alone_s := self.clock() - self.joined_at[index]) > self.stalled_s_max:
                reasons.append(f"{_name(stage)} is no member of its consumer group, for {alone_s:.0f} s now: see the log")
        return Health(tuple(reasons))

    def silent_s(self) -> float:
        """For how long the broker has not answered a stage that had joined its group; 0 while it does."""
        now = self.clock()
        for index, stage in enumerate(self.stages):
            if stage.consumer is None or not stage.consumer.has_joined or stage.consumer.has_coordinator:
                self.answered_at[index] = now
        return now - min(self.answered_at, default=now)

    def ready(self) -> Health:
        """Not ready: it runs but does not do its work (yet). A stand-by without partitions is ready."""
        reasons = list(self.live().reasons)
        if (silent_s := self.silent_s()) > BROKER_SILENT_S_MAX:
            reasons.append(f"no broker has answered for {silent_s:.0f} s; what waits for it is not lost")
        for stage in self.stages:
            if stage.consumer is None or not stage.consumer.has_joined:
                reasons.append(f"{_name(stage)} has no assignment from its consumer group yet")
        reasons += self._intake_stalled() if self.intake is not None else []
        reasons += self._detect_stalled(self.detect) if self.detect is not None else []
        return Health(tuple(reasons))

    def _intake_stalled(self) -> Sequence[str]:
        assert self.intake is not None
        stalled_s = self.clock() - self.intake.progress_at
        if self.intake.waiting and stalled_s > self.stalled_s_max:
            return [f"intake holds {self.intake.waiting} records and has written none for {stalled_s:.0f} s"]
        return []

    def _detect_stalled(self, detect: DetectStage) -> Sequence[str]:
        reasons = []
        for book, at_work in list(detect.books.items()):
            lag, stalled_s = detect.lag(at_work), self.clock() - at_work.progress_at
            if lag and stalled_s > self.stalled_s_max:
                reasons.append(f"book {book} is {lag} pages behind and has folded none for {stalled_s:.0f} s")
            behind = at_work.detect.fold.next_offset > at_work.durable
            if behind and (age_s := self.clock() - at_work.saved_at) > self.checkpoint_s_max:
                reasons.append(f"book {book} has had no checkpoint for {age_s:.0f} s")
        return reasons


def _name(stage: IntakeStage | DetectStage) -> str:
    return "intake" if isinstance(stage, IntakeStage) else "detect"
