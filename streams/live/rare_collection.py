"""The cycle collector of a worker: it looks at what is new, once, and never again at what stays.

Python frees most objects by counting references. Its cycle collector also walks through all containers that survive, and the
state of a book is millions of them: with Python's own thresholds such a walk held the fold, the heartbeats and the metrics
up for seconds. The fold makes no cycles; what surrounds it (futures, tracebacks) makes a few, and those die young.
"""

from __future__ import annotations

import asyncio
import gc

YOUNG_OBJECTS = 20_000
"""New containers after which the new ones are looked at: some milliseconds."""

LOOKS_BEFORE_FREEZING = 10
NEVER = 1_000_000
LOOK_EVERY_S = 1.0


def collect_rarely() -> None:
    """From now on only what is new is looked at; what is there already stays out of it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, NEVER, NEVER)


def spare_what_is_there() -> None:
    """What has survived is not looked at again: a large state that was just loaded, for instance."""
    gc.collect(0)
    gc.freeze()


def spare_what_was_read() -> None:
    """In a process that collects rarely, what was just read is not looked at: at a million accounts the look takes 3 s.

    Elsewhere nothing: what is frozen is never freed when it has become a ring of garbage.
    """
    if gc.get_threshold()[1] == NEVER:
        gc.freeze()


async def spare_survivors_for_ever() -> None:
    """Now and then, so that the survivors do not pile up for one long walk."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        if gc.get_count()[1] >= LOOKS_BEFORE_FREEZING:
            spare_what_is_there()
