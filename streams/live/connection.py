"""The one place that turns settings into client arguments, and what clients raise into :class:`BrokerTrouble`.

Neither client library says *why* it could not begin (both raise a time-out, whatever happened), hence :func:`reach`, which
asks each server once and keeps the reason.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aiokafka import errors as async_errors
from aiokafka.conn import create_conn
from aiokafka.protocol.metadata import MetadataRequest
from kafka import KafkaConsumer, KafkaProducer
from kafka import errors as sync_errors
from kafka.admin import KafkaAdminClient

from streams.live.trouble import BrokerTrouble
from streams.live_settings import KafkaSettings
from streams.settings import SettingsError

if TYPE_CHECKING:
    from yarl import URL

BOOTSTRAP_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
PORT_ASSUMED = 9092
SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
WHERE_TO_NAME_IT = f"with --bootstrap, {BOOTSTRAP_VARIABLE} or bootstrap_servers in [kafka]"

PRODUCE_BYTES_MAX = 20 << 20
"""Longest request that our producers send: what a topic takes is decided by its ``max.message.bytes``, not by the client."""

FETCH_WAIT_MS = 500
"""How long a broker may hold back the answer to a fetch when there is nothing to read; it must stay below the time-out."""

KAFKA_FAILURES = (sync_errors.KafkaError, async_errors.KafkaError)
"""What kafka-python and aiokafka raise; :func:`explained` turns them into ``BrokerTrouble``."""

_OUR_FAULT = (sync_errors.KafkaConfigurationError, sync_errors.IllegalArgumentError, sync_errors.IllegalStateError)
_REFUSED_LOGIN = (sync_errors.SaslAuthenticationFailedError, async_errors.SaslAuthenticationFailed,
                  async_errors.AuthenticationFailedError)  # fmt: skip
_NO_SUCH_LOGIN = (sync_errors.UnsupportedSaslMechanismError, sync_errors.IllegalSaslStateError,
                  async_errors.UnsupportedSaslMechanismError, async_errors.IllegalSaslStateError)  # fmt: skip
_NOT_ALLOWED = (sync_errors.AuthorizationError, async_errors.TopicAuthorizationFailedError,
                async_errors.GroupAuthorizationFailedError, async_errors.ClusterAuthorizationFailedError)  # fmt: skip
_NO_ANSWER = (TimeoutError, sync_errors.KafkaTimeoutError, async_errors.KafkaTimeoutError, async_errors.RequestTimedOutError)

# Without a handler Python prints the clients' warnings on stderr; what matters of them is in our own messages.
for _library in ("kafka", "aiokafka"):
    logging.getLogger(_library).addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Connection:
    """How to reach the broker, checked: the servers that were decided on, and the password."""

    settings: KafkaSettings
    servers: str
    password: str = field(default="", repr=False)

    @cached_property
    def hosts(self) -> tuple[tuple[str, int], ...]:
        """The servers as pairs of host and port."""
        return tuple(_host_of(server) for server in self.servers.split(","))

    @cached_property
    def ssl_context(self) -> ssl.SSLContext | None:
        """Checks the broker's certificate; None where nothing is encrypted."""
        if not self.settings.security_protocol.endswith("SSL"):
            return None
        return ssl.create_default_context(cafile=self.settings.ca_file or None)

    @property
    def uses_password(self) -> bool:
        """Whether the broker asks who we are."""
        return self.settings.security_protocol.startswith("SASL_")

    def for_kafka_python(self) -> dict[str, Any]:
        """Arguments that its admin client, producer and consumer take alike."""
        timeout_ms = self.settings.request_timeout_ms
        return {**self._arguments(), "request_timeout_ms": timeout_ms, "bootstrap_timeout_ms": timeout_ms}

    def for_aiokafka(self) -> dict[str, Any]:
        """Arguments that its producer and consumer take alike."""
        return {**self._arguments(), "request_timeout_ms": self.settings.request_timeout_ms}

    def for_faust(self) -> dict[str, Any]:
        """Settings of a Faust app: ``broker`` and ``broker_credentials``."""
        return {"broker": self._faust_urls(), "broker_credentials": self._faust_credentials()}

    def _arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "bootstrap_servers": [f"{host}:{port}" for host, port in self.hosts],
            "client_id": "fundtrail",
            **self.security(),
        }
        return arguments

    def security(self) -> dict[str, Any]:
        """Protocol, certificate check and log-in, named as both libraries name them."""
        found: dict[str, Any] = {"security_protocol": self.settings.security_protocol}
        if self.ssl_context is not None:
            found["ssl_context"] = self.ssl_context
        if self.uses_password:
            found["sasl_mechanism"] = self.settings.sasl_mechanism
            found["sasl_plain_username"] = self.settings.username
            found["sasl_plain_password"] = self.password
        return found

    def _faust_urls(self) -> list[URL]:
        from yarl import URL

        return [URL(f"kafka://{host}:{port}") for host, port in self.hosts]

    def _faust_credentials(self) -> Any:
        import faust

        if self.uses_password:
            login = {"username": self.settings.username, "password": self.password, "mechanism": self.settings.sasl_mechanism}
            return faust.SASLCredentials(ssl_context=self.ssl_context, **login)
        return faust.SSLCredentials(context=self.ssl_context) if self.ssl_context is not None else None


def connection_of(
    settings: KafkaSettings, bootstrap: str | None = None, environment: Mapping[str, str] = os.environ
) -> Connection:
    """Decide on the servers (``bootstrap``, the environment, the settings) and take the password from the environment.

    Raises:
        SettingsError: what cannot work whatever the broker says, all of it together.
    """
    servers = bootstrap or environment.get(BOOTSTRAP_VARIABLE) or settings.bootstrap_servers
    mistakes = []
    if settings.security_protocol not in SECURITY_PROTOCOLS:
        mistakes.append(f"security_protocol: {settings.security_protocol!r} is none of {', '.join(SECURITY_PROTOCOLS)}")
    if settings.sasl_mechanism not in SASL_MECHANISMS:
        mistakes.append(f"sasl_mechanism: {settings.sasl_mechanism!r} is none of {', '.join(SASL_MECHANISMS)}")
    connection = Connection(settings, servers, environment.get(settings.password_env, ""))
    if connection.uses_password and not settings.username:
        mistakes.append(f"username: {settings.security_protocol} needs one")
    if connection.uses_password and not connection.password:
        mistakes.append(f"password_env: the environment variable {settings.password_env} is not set")
    mistakes += _mistakes_of(lambda: connection.hosts, "bootstrap_servers")
    mistakes += _mistakes_of(lambda: connection.ssl_context, "ca_file")
    if mistakes:
        raise SettingsError("\n".join(f"[kafka] {mistake}" for mistake in mistakes))
    return connection


def _mistakes_of(look: Callable[[], object], key: str) -> list[str]:
    try:
        look()
    except (ValueError, OSError) as error:  # ssl.SSLError is an OSError
        return [f"{key}: {error}"]
    return []


def _host_of(server: str) -> tuple[str, int]:
    host, colon, port = server.strip().rpartition(":")
    if not colon:
        host, port = server.strip(), str(PORT_ASSUMED)
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ValueError(f"{server!r} is not host:port; name the broker {WHERE_TO_NAME_IT}")
    return host.strip("[]"), int(port)


def reach(connection: Connection) -> None:
    """Make sure that one of the servers answers and lets us in, or say for each why not.

    Raises:
        BrokerTrouble: none does. Not to be called inside a running event loop.
    """
    reasons = asyncio.run(_try_all(connection))
    if reasons:
        raise BrokerTrouble("no broker can be used. " + " ".join(reasons))


async def _try_all(connection: Connection) -> list[str]:
    """Why each server fails; nothing at all when one works."""
    reasons = []
    for host, port in connection.hosts:
        try:
            await asyncio.wait_for(_ask(connection, host, port), connection.settings.request_timeout_ms / 1000)
        except (OSError, *KAFKA_FAILURES) as error:  # TimeoutError is an OSError
            reasons.append(f"{host}:{port}: {_reason(error, connection)}")
        else:
            return []
    return reasons


async def _ask(connection: Connection, host: str, port: int) -> None:
    timeout_ms = connection.settings.request_timeout_ms
    connected = await create_conn(host, port, client_id="fundtrail", request_timeout_ms=timeout_ms, **connection.security())
    try:
        await connected.send(MetadataRequest([]))
    finally:
        connected.close()


def _reason(error: BaseException, connection: Connection) -> str:
    """What happened and what to do, as sentences without the server's name."""
    settings = connection.settings
    if isinstance(error, socket.gaierror):
        return f"the name of that host is not known. Correct it {WHERE_TO_NAME_IT}."
    if isinstance(error, ConnectionRefusedError):
        return f"nobody listens there. Start the broker, or name another {WHERE_TO_NAME_IT}."
    if isinstance(error, _REFUSED_LOGIN):
        return (
            f"it refuses the user {settings.username!r} with this password. Correct username in [kafka] or the password in "
            f"the environment variable {settings.password_env}."
        )
    if isinstance(error, _NO_SUCH_LOGIN):
        return (
            f"it does not offer {settings.security_protocol} with {settings.sasl_mechanism} there. Correct security_protocol "
            "or sasl_mechanism in [kafka], or the port."
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}). Name its authority with ca_file in [kafka]."
    if isinstance(error, ssl.SSLError):
        return "it does not speak TLS there. Correct security_protocol in [kafka], or the port."
    if isinstance(error, _NOT_ALLOWED):
        return f"the user {settings.username!r} may not do that ({_text(error)}). Grant it the right."
    if isinstance(error, _NO_ANSWER):
        return (
            f"no answer within {settings.request_timeout_ms / 1000:g} s. Look whether the broker is well; then run this again."
        )
    if isinstance(error, (ConnectionError, sync_errors.KafkaConnectionError, async_errors.KafkaConnectionError)):
        return f"the connection was closed. Look whether the broker expects {settings.security_protocol} there, and is well."
    if isinstance(error, OSError):
        return f"{error.strerror or error}. Correct the address {WHERE_TO_NAME_IT}."
    return f"{_text(error)}. Look into the broker's log; then run this again."


def _text(error: BaseException) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__


@contextmanager
def explained(connection: Connection) -> Iterator[None]:
    """What a client raises inside becomes ``BrokerTrouble`` with the reason and the remedy."""
    try:
        yield
    except _OUR_FAULT:
        raise
    except KAFKA_FAILURES as error:
        raise BrokerTrouble(f"the broker at {connection.servers}: {_reason(error, connection)}") from error


@contextmanager
def admin_of(connection: Connection) -> Iterator[KafkaAdminClient]:
    """kafka-python's admin client; failures inside become ``BrokerTrouble``."""
    with explained(connection):
        admin = _made(KafkaAdminClient, connection.for_kafka_python())
        try:
            yield admin
        finally:
            admin.close()


@contextmanager
def consumer_of(connection: Connection, **arguments: Any) -> Iterator[KafkaConsumer]:
    """kafka-python's consumer without a group; failures inside become ``BrokerTrouble``."""
    wait_ms = min(FETCH_WAIT_MS, connection.settings.request_timeout_ms // 2)
    ours = {"group_id": None, "enable_auto_commit": False, "fetch_max_wait_ms": wait_ms}
    with explained(connection):
        consumer = _made(KafkaConsumer, {**connection.for_kafka_python(), **ours, **arguments})
        try:
            yield consumer
        finally:
            consumer.close(autocommit=False)


@contextmanager
def producer_of(connection: Connection, **arguments: Any) -> Iterator[KafkaProducer]:
    """kafka-python's idempotent producer; failures inside become ``BrokerTrouble``.

    When the inside fails, what was not sent yet is dropped; else leaving waits until all is acknowledged.
    """
    ours = {"acks": "all", "enable_idempotence": True, "max_request_size": PRODUCE_BYTES_MAX, "allow_auto_create_topics": False}
    with explained(connection):
        producer = _made(KafkaProducer, {**connection.for_kafka_python(), **ours, **arguments})
        try:
            yield producer
        except BaseException:
            producer._sender.force_close()  # close(timeout=0) gives up waiting before it comes to this
            producer.close()
            raise
        producer.close()


def _made(kind: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """A client of kafka-python; when it cannot begin, its sockets and thread are closed, which it leaves open itself."""
    inner: list[Any] = []
    default = kind.DEFAULT_CONFIG["kafka_client"]  # type: ignore[attr-defined]

    def remembered(**configs: Any) -> Any:
        inner.append(default(**configs))
        return inner[-1]

    try:
        return kind(**arguments, kafka_client=remembered)
    except BaseException:
        for client in inner:
            client.close()
        raise
