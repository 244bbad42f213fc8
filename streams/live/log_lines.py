"""What client libraries say again and again is logged now and then, with how often it was said.

While a broker is away each of a worker's connections tries again ten times a second and says so every time: thousands of lines
a minute, among which our own would not be found.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

EVERY_S = 30.0
"""The same words (whatever they are filled in with) are not repeated sooner."""

KINDS_MAX = 1_000
"""Different words remembered; beyond it all are forgotten, and said once more."""

OURS = "fundtrail"


class SaidOnce(logging.Filter):
    """Lets a library's message through once in ``EVERY_S``; ours always."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.clock = clock
        self.said: dict[tuple[str, str], tuple[float, int]] = {}  # (when last let through, how often held back since)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written; one that is says how many were not."""
        if record.name == OURS:
            return True
        kind, now = (record.name, str(record.msg)), self.clock()
        when, held_back = self.said.get(kind, (-EVERY_S, 0))
        if now - when < EVERY_S:
            self.said[kind] = (when, held_back + 1)
            return False
        if len(self.said) >= KINDS_MAX:
            self.said.clear()
        self.said[kind] = (now, 0)
        if held_back:
            record.msg, record.args = f"{record.getMessage()} (and {held_back} more like it)", ()
        return True


def say_once() -> None:
    """From now on, of everything that is logged in this process."""
    once = SaidOnce()
    for handler in logging.getLogger().handlers:
        handler.addFilter(once)
