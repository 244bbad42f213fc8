"""Places where a test can have the process killed: ``FUNDTRAIL_FAULT=detect.published:3`` dies at the third time there.

The names are the numbered steps of docs/architecture.md. Without the variable a fault point is one comparison.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "FUNDTRAIL_FAULT"

STEPS = (
    "intake.released",
    "intake.rejected",
    "intake.journalled",
    "intake.committing",
    "detect.folded",
    "detect.published",
    "detect.checkpointing",
    "detect.checkpointed",
    "detect.committing",
)
"""In the order of a record's way."""


class FaultPoints:
    """Counts down to the armed one."""

    def __init__(self, armed: str = "") -> None:
        name, _, times = armed.partition(":")
        if name and name not in STEPS:
            raise ValueError(f"{VARIABLE}={armed!r}: {name!r} is none of {', '.join(STEPS)}")
        self.name = name
        self.left = int(times or 1)

    @classmethod
    def from_environment(cls) -> FaultPoints:
        """What the environment has armed; usually nothing."""
        return cls(os.environ.get(VARIABLE, ""))

    def reach(self, name: str) -> None:
        """Step ``name`` is done; dies here if that was armed."""
        if name == self.name:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
