"""Notices that the process has been stopped for so long that its partitions must belong to somebody else by now."""

from __future__ import annotations

import asyncio
import time

BEAT_S = 0.25
SHARE_OF_SESSION = 0.8


class PausedTooLong(Exception):
    """The process was paused (a suspended machine, a stopped container, a debugger) for most of the session timeout."""


class PauseGuard:
    """Beats while the process runs; :meth:`check` raises when the beat has failed for most of the session timeout."""

    def __init__(self, session_timeout_ms: int) -> None:
        self.limit_s = session_timeout_ms / 1000 * SHARE_OF_SESSION
        self.last = time.monotonic()

    async def beat(self) -> None:
        """Beat for ever; starting may have taken long and counts for nothing."""
        self.last = time.monotonic()
        while True:
            self.check()
            self.last = time.monotonic()
            await asyncio.sleep(BEAT_S)

    def check(self) -> None:
        """Raise :class:`PausedTooLong` rather than write under a name that others may have taken over."""
        silent_s = time.monotonic() - self.last
        if silent_s > self.limit_s:
            raise PausedTooLong(
                f"this process did not run for {silent_s:.0f} s, so its partitions may belong to another worker by now. It "
                "ends rather than publish twice: start it again"
            )
