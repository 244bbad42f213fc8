"""The benchmark of the live path runs at toy size, so that it cannot rot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.broker.shared import Reached

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_live.py"


def test_the_live_benchmark_says_what_it_claims_to_say(broker: Reached, tmp_path: Path) -> None:
    out = tmp_path / "live.json"
    command = [sys.executable, str(SCRIPT), "--records", "9000", "--accounts", "300", "--seconds", "1", "--json", str(out)]
    environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap}
    subprocess.run(command, check=True, capture_output=True, env=environment, timeout=400)
    found = json.loads(out.read_text())
    assert found["throughput"]["bank"]["answer"] != found["throughput"]["payments"]["answer"]
    assert found["fold"]["same_alerts"] == "True"
    assert [row["share_of_rate"] for row in found["latency"]] == [0.1, 0.5, 0.8]
    assert found["bursts"]["burst"] == found["bursts"]["records_per_second"] > 0
    assert all(row["states"] > 0 and row["states_p99_ms"] >= row["journal_p50_ms"] for row in found["latency"][1:])
