"""Warnings that fail tests: what we leave behind does, what a client library drops by itself does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DROPS_A_COROUTINE = """
import gc

CODE = '''
async def connect():
    try:
        await never
    finally:
        raise RuntimeError("the selector is closed")
'''


class Never:
    def __await__(self):
        yield


def test_it():
    names = {{"never": Never()}}
    exec(compile(CODE, {file!r}, "exec"), names)
    connecting = names["connect"]()
    connecting.send(None)
    del connecting
    gc.collect()
"""


def _outcome(folder: Path, text: str) -> tuple[int, str]:
    """pytest's exit code and words for a file of one test, under the project's settings."""
    test = folder / "test_it.py"
    test.write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(REPOSITORY / "pyproject.toml")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [*command, "--rootdir", str(folder), str(test)], capture_output=True, text=True, cwd=folder, env=environment
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("file", "code"),
    [("/venv/lib/python3/site-packages/kafka/net/manager.py", 0), ("/checkout/streams/live/load.py", 1)],
    ids=["of kafka-python", "of ours"],
)
def test_a_coroutine_that_fails_when_it_is_dropped_fails_a_test_unless_it_is_the_client_librarys(
    tmp_path: Path, file: str, code: int
) -> None:
    found, said = _outcome(tmp_path, DROPS_A_COROUTINE.format(file=file))
    assert found == code, said


def test_a_socket_that_nobody_closed_fails_a_test(tmp_path: Path) -> None:
    found, said = _outcome(tmp_path, "import gc, socket\ndef test_it():\n    socket.socketpair()\n    gc.collect()\n")
    assert found == 1, said
