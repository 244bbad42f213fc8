"""A forked child: what it tells, what it leaves alone, and how its end is noticed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from streams.live.child import NICER_BY, Child, ChildFailed


def test_a_childs_exception_is_told_to_its_parent() -> None:
    def fail() -> bytes:
        raise RuntimeError("the disk is on fire")

    with pytest.raises(ChildFailed, match="RuntimeError: the disk is on fire"):
        Child(fail).wait()


def test_a_child_that_ends_without_a_word_has_failed() -> None:
    with pytest.raises(ChildFailed, match="ended with status 3"):
        Child(lambda: os._exit(3)).wait()  # type: ignore[arg-type, return-value]


def test_a_child_steps_back_behind_its_parent_where_processors_are_short() -> None:
    assert int(Child(lambda: b"%d" % os.nice(0)).wait()) == min(19, os.nice(0) + NICER_BY)


def test_a_child_keeps_no_socket_of_its_parents() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        descriptor = listening.fileno()

        def is_open() -> bytes:
            try:
                os.fstat(descriptor)
            except OSError:
                return b"closed"
            return b"open"

        assert Child(is_open).wait() == b"closed"
        assert listening.fileno() == descriptor


def test_a_child_runs_no_exit_handler_and_leaves_interrupts_to_its_parent(tmp_path: Path) -> None:
    program = """
import atexit, os, signal, sys
from streams.live.child import Child
atexit.register(lambda: print("handler of", "parent" if os.getpid() == parent else "child"))
parent = os.getpid()
def work():
    os.kill(os.getpid(), signal.SIGINT)
    return b"lived"
print(Child(work).wait().decode(), flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["lived", "handler of parent", ""]


def test_a_child_that_still_works_is_not_waited_for() -> None:
    reader, writer = os.pipe()
    child = Child(lambda: os.read(reader, 1), (reader,))
    assert child.poll() is None
    os.write(writer, b"x")
    assert child.wait() == b"x"
    os.close(reader)
    os.close(writer)
