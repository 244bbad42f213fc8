"""The yardstick of bench_live: a stock Faust agent that does nothing, timed from its first to its last message.

Usage: ``python benchmarks/stock_faust.py BOOTSTRAP TOPIC COUNT``; prints seconds and processor seconds.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import uuid
from typing import Any

import faust


def main(bootstrap: str, topic: str, count: int) -> None:
    """Read ``count`` messages and end."""
    app = faust.App(
        f"stock-{uuid.uuid4().hex[:8]}",
        broker=f"kafka://{bootstrap}",
        store="memory://",
        datadir=tempfile.mkdtemp(),
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        worker_redirect_stdouts=False,
    )
    seen = 0
    began = (0.0, 0.0)

    @app.agent(app.topic(topic, value_serializer="raw"))
    async def nothing(stream: Any) -> None:
        nonlocal seen, began
        async for _ in stream:
            if seen == 0:
                began = (time.monotonic(), time.process_time())
            seen += 1
            if seen == count:
                print(time.monotonic() - began[0], time.process_time() - began[1], flush=True)
                os._exit(0)

    faust.Worker(app, loglevel="ERROR", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
