"""The HTTP side: /metrics, /health/live, /health/ready, on loopback unless told otherwise."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, make_wsgi_app

from streams.live.health import Health, HealthCheck
from streams.live.metrics import Collector
from streams.live_settings import MetricsSettings


class PortTaken(Exception):
    """The metrics port is in use."""


class Monitor:
    """Serves metrics and health from a thread of its own. ``address`` is where, once started."""

    def __init__(self, collector: Collector, health: HealthCheck, settings: MetricsSettings) -> None:
        registry = CollectorRegistry()
        registry.register(collector)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self._metrics = make_wsgi_app(registry)
        self._health = health
        self._settings = settings
        self.address = ""

    def start(self) -> None:
        """Bind and serve.

        Raises:
            PortTaken: something else listens there.
        """
        host, port = self._settings.host, self._settings.port
        try:
            server = make_server(host, port, self._serve, server_class=_Server, handler_class=_Quiet)
        except OSError as error:
            raise PortTaken(
                f"metrics cannot be served on {host}:{port} ({error.strerror}): another worker may be there. Set port in "
                "[metrics]; 0 takes any free one"
            ) from error
        self.address = f"http://{host}:{server.server_port}"
        threading.Thread(target=server.serve_forever, name="monitor", daemon=True).start()

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path == "/health/live":
            return _answer(self._health.live(), start_response)
        if path == "/health/ready":
            return _answer(self._health.ready(), start_response)
        if path == "/metrics":
            return self._metrics(environ, start_response)  # type: ignore[no-any-return]
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"/metrics, /health/live, /health/ready\n"]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the base class's
        """Requests are not logged."""


def _answer(health: Health, start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK" if health.is_good else "503 Service Unavailable", [("Content-Type", "application/json")])
    return [json.dumps({"ok": health.is_good, "reasons": list(health.reasons)}).encode() + b"\n"]
