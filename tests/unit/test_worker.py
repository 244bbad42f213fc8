"""A worker that cannot begin says why, in a line."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

BEGIN = """
import sys
from pathlib import Path
from detectors.books import Books
from streams.live.connection import connection_of
from streams.live.worker import Worker
from streams.settings import load_settings

settings = load_settings(Path(sys.argv[1]))
Worker(settings, ("intake",), connection_of(settings.live.kafka, sys.argv[2]), Books(1, 0, "")).run()
"""


def test_a_worker_whose_broker_goes_away_while_it_starts_says_so_and_ends(tmp_path: Path) -> None:
    """Looked at a moment before, the broker was there: nothing but the start itself can say it."""
    (tmp_path / "settings.toml").write_text(
        f'[detect]\nstate_dir = "{tmp_path}/state"\n[metrics]\nport = 0\n', encoding="utf-8"
    )
    with socket.create_server(("127.0.0.1", 0)) as held:
        nobody = f"127.0.0.1:{held.getsockname()[1]}"
    command = [sys.executable, "-c", BEGIN, str(tmp_path / "settings.toml"), nobody]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    last = ended.stderr.strip().splitlines()[-1]
    assert ended.returncode == 1
    assert f"the broker at {nobody}" in last
    assert "Traceback" not in ended.stderr
