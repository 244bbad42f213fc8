"""Virtual time: one seeded queue of everything that is going to happen, and coroutines driven by it.

asyncio's locks, futures and ``sleep`` work unchanged, because they only ask the running loop for futures and timers; here
these come from the queue. What happens at one moment happens in a seeded order, later than asyncio would be free to do it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from heapq import heappop, heappush
from random import Random
from typing import Any

STEP_US_MAX = 200
"""How long a coroutine that could go on is kept waiting, at most."""


class Killed(BaseException):
    """The process ends here, as by SIGKILL."""


class Stuck(Exception):
    """Nothing is going to happen any more."""


class Process:
    """Whose code runs: it may be paused (SIGSTOP) and killed."""

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.loop = loop
        self.name = name
        self.is_dead = False
        self.paused_until_us = 0
        self.tasks: list[Task] = []
        self.ended_by: BaseException | None = None

    def start(self, work: Coroutine[Any, Any, Any], then: Callable[[Any], None] | None = None) -> Task:
        """Run a coroutine; ``then`` gets its result. An exception out of it is the process's end."""
        task = Task(self, work, then)
        self.tasks.append(task)
        self.loop.soon(self, task.step)
        return task

    def die(self, why: BaseException) -> None:
        """Nothing of it runs from here on."""
        if self.is_dead:
            return
        self.is_dead = True
        self.ended_by = why
        self.on_death(why)
        for task in self.tasks:
            task.abandon()
        self.tasks.clear()

    def on_worked(self) -> None:
        """Work beside the loop is done."""

    def on_death(self, why: BaseException) -> None:
        """For those who keep account."""


class Task:
    """A coroutine of a process."""

    def __init__(self, process: Process, work: Coroutine[Any, Any, Any], then: Callable[[Any], None] | None) -> None:
        self.process = process
        self.work = work
        self.then = then
        self.waits_for: asyncio.Future[Any] | None = None
        self.is_cancelled = False
        self.is_running = False
        self.is_done = False

    def step(self) -> None:
        """Run up to the next place where it waits."""
        if self.is_done:
            return
        self.waits_for = None
        self.is_running = True
        try:
            waits_for = self.work.throw(asyncio.CancelledError()) if self.is_cancelled else self.work.send(None)
        except StopIteration as end:
            self._finish()
            if self.then is not None:
                self.then(end.value)
        except asyncio.CancelledError:
            self._finish()
        except BaseException as error:
            self._finish()
            self.process.die(error)
        else:
            self._wait(waits_for)
        finally:
            self.is_running = False
            if self.process.is_dead:
                self.abandon()

    def cancel(self) -> None:
        """Raise CancelledError where it waits."""
        if self.is_done:
            return
        if self.waits_for is None or not self.waits_for.cancel():
            self.is_cancelled = True

    def abandon(self) -> None:
        """It never goes on."""
        if not self.is_running:
            self.is_done = True
            self.work.close()

    def _wait(self, waits_for: Any) -> None:
        self.is_cancelled = False
        if waits_for is None:
            self.process.loop.soon(self.process, self.step)
        else:
            waits_for._asyncio_future_blocking = False
            self.waits_for = waits_for
            waits_for.add_done_callback(self._wake)

    def _wake(self, _: Any) -> None:
        if self.process.loop.process is self.process:
            self.step()
        else:
            self.process.loop.soon(self.process, self.step)

    def _finish(self) -> None:
        self.is_done = True
        if self in self.process.tasks:
            self.process.tasks.remove(self)


class Timer:
    """What is going to happen, unless it is cancelled."""

    __slots__ = ("act", "args", "process")

    def __init__(self, process: Process | None, act: Callable[..., None] | None, args: tuple[Any, ...]) -> None:
        self.process = process
        self.act = act
        self.args = args

    def cancel(self) -> None:
        """Do not."""
        self.act = None


class VirtualLoop:
    """The queue. Only what asyncio's locks, futures and sleep ask of a loop, and what the world asks."""

    def __init__(self, random: Random, start_ms: int) -> None:
        self.random = random
        self.start_us = start_ms * 1000
        self.now_us = self.start_us
        self.process: Process | None = None  # whose code runs now; None: the broker's or the fault plan's
        self.steps = 0
        self._queue: list[tuple[int, float, int, Timer]] = []
        self._number = 0

    # --- what the world asks ------------------------------------------------------------------------------------------

    def at(self, when_us: int, process: Process | None, act: Callable[..., None], *args: Any) -> Timer:
        """Do something at that time, on behalf of a process (or of nobody's)."""
        timer = Timer(process, act, args)
        self._put(when_us, timer)
        return timer

    def after_ms(self, wait_ms: float, process: Process | None, act: Callable[..., None], *args: Any) -> Timer:
        """Do something after that time."""
        return self.at(self.now_us + int(wait_ms * 1000), process, act, *args)

    def soon(self, process: Process | None, act: Callable[..., None], *args: Any) -> Timer:
        """Do something after a little while."""
        return self.at(self.now_us + int(self.random.random() * STEP_US_MAX), process, act, *args)

    @property
    def now_ms(self) -> int:
        """The wall clock of all processes."""
        return self.now_us // 1000

    def run(self, until: Callable[[], bool], deadline_us: int) -> bool:
        """Let things happen until ``until()`` or the deadline; whether it was the former."""
        asyncio._set_running_loop(self)  # type: ignore[arg-type]
        try:
            while not until():
                if not self._queue:
                    raise Stuck("nothing is going to happen any more")
                if self._queue[0][0] > deadline_us:
                    self.now_us = max(self.now_us, deadline_us)
                    return False
                self._happen()
            return True
        finally:
            asyncio._set_running_loop(None)
            self.process = None

    def _happen(self) -> None:
        when_us, _, _, timer = heappop(self._queue)
        process = timer.process
        if timer.act is None or (process is not None and process.is_dead):
            return
        if process is not None and process.paused_until_us > when_us:
            self._put(process.paused_until_us, timer)
            return
        self.now_us = max(self.now_us, when_us)
        self.steps += 1
        self.process = process
        timer.act(*timer.args)

    def _put(self, when_us: int, timer: Timer) -> None:
        self._number += 1
        heappush(self._queue, (max(when_us, self.now_us), self.random.random(), self._number, timer))

    # --- what asyncio asks --------------------------------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        """A future whose callbacks go through the queue."""
        return asyncio.Future(loop=self)  # type: ignore[arg-type]

    def call_soon(self, act: Callable[..., None], *args: Any, context: Any = None) -> Timer:
        """The callback of a future."""
        return self.soon(self.process, act, *args)

    def call_later(self, wait_s: float, act: Callable[..., None], *args: Any, context: Any = None) -> Timer:
        """The end of a sleep."""
        return self.after_ms(wait_s * 1000, self.process, act, *args)

    def run_in_executor(self, executor: Any, work: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Work beside the loop: it is done a little later, other coroutines may run meanwhile."""
        done, process = self.create_future(), self.process
        assert process is not None
        self.soon(process, self._execute, done, process, work, args)
        return done

    def _execute(self, done: asyncio.Future[Any], process: Process, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            result = work(*args)
        except Killed as killed:
            process.die(killed)
        except Exception as error:
            if not done.cancelled():
                done.set_exception(error)
        else:
            process.on_worked()
            if not done.cancelled():
                done.set_result(result)

    def get_debug(self) -> bool:
        """No."""
        return False

    def time(self) -> float:
        """Seconds."""
        return self.now_us / 1e6
