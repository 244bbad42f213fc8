"""Where the broker is and how it is asked: precedence, mistakes, and reasons that people can act on."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import aiokafka.errors
import kafka.errors
import pytest

from streams.live.connection import Connection, admin_of, connection_of, consumer_of, explained, producer_of, reach
from streams.live.trouble import BrokerTrouble
from streams.live_settings import KafkaSettings
from streams.settings import SettingsError

SASL = KafkaSettings(security_protocol="SASL_PLAINTEXT", username="alice", password_env="PW", request_timeout_ms=300)
QUICK = KafkaSettings(request_timeout_ms=300)


@contextmanager
def server(answer: bytes | None) -> Iterator[str]:
    """Something that listens and is no broker: it keeps silent, or sends ``answer`` and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    caller, _ = listening.accept()
                except OSError:
                    return
                if answer is None:
                    kept.append(caller)
                    continue
                with caller:
                    caller.recv(1_000)
                    caller.sendall(answer)

        kept: list[socket.socket] = []
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        for caller in kept:
            caller.close()


def unused_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"127.0.0.1:{listening.getsockname()[1]}"


def trouble_with(connection: Connection) -> str:
    with pytest.raises(BrokerTrouble) as caught:
        reach(connection)
    return str(caught.value)


def test_the_option_goes_before_the_environment_and_that_before_the_settings() -> None:
    settings, environment = KafkaSettings(bootstrap_servers="c:3"), {"KAFKA_BOOTSTRAP_SERVERS": "b:2"}
    assert connection_of(settings, "a:1", environment).servers == "a:1"
    assert connection_of(settings, None, environment).servers == "b:2"
    assert connection_of(settings, None, {}).servers == "c:3"


def test_servers_are_hosts_with_a_port_or_the_usual_one() -> None:
    assert connection_of(KafkaSettings(), "a:1, b ,[::1]:9", {}).hosts == (("a", 1), ("b", 9092), ("::1", 9))


def test_all_mistakes_are_told_together() -> None:
    settings = KafkaSettings(security_protocol="SASL_SSL", sasl_mechanism="MAGIC", ca_file="/nowhere.pem")
    with pytest.raises(SettingsError) as caught:
        connection_of(settings, "host:port", {})
    told = str(caught.value)
    for part in ("'MAGIC'", "username: SASL_SSL needs one", "FUNDTRAIL_KAFKA_PASSWORD is not set", "'host:port'", "ca_file"):
        assert part in told
    with pytest.raises(SettingsError, match="security_protocol: 'TLS'"):
        connection_of(KafkaSettings(security_protocol="TLS"), None, {})


def test_the_password_comes_from_the_environment_and_is_never_shown() -> None:
    connection = connection_of(SASL, None, {"PW": "hush-hush"})
    for arguments in (connection.for_kafka_python(), connection.for_aiokafka()):
        assert arguments["sasl_plain_password"] == "hush-hush"
        assert arguments["sasl_plain_username"] == "alice"
        assert arguments["security_protocol"] == "SASL_PLAINTEXT"
    assert connection.for_faust()["broker_credentials"].password == "hush-hush"
    assert "hush-hush" not in repr(connection)


def test_without_security_nothing_of_it_is_passed_on() -> None:
    connection = connection_of(KafkaSettings(), "a:1,b:2", {"FUNDTRAIL_KAFKA_PASSWORD": "unused"})
    assert "sasl_plain_password" not in connection.for_aiokafka()
    faust = connection.for_faust()
    assert [str(url) for url in faust["broker"]] == ["kafka://a:1", "kafka://b:2"]
    assert faust["broker_credentials"] is None


def test_a_port_where_nobody_listens_is_told_with_the_remedy() -> None:
    address = unused_address()
    told = trouble_with(connection_of(QUICK, address, {}))
    assert told.startswith(f"no broker can be used. {address}: nobody listens there.")
    assert "--bootstrap" in told


def test_an_unknown_host_is_told() -> None:
    assert "no-such-host.invalid:9092: the name of that host is not known" in trouble_with(
        connection_of(QUICK, "no-such-host.invalid", {})
    )


def test_each_server_has_its_own_reason() -> None:
    first, second = unused_address(), "no-such-host.invalid:9"
    told = trouble_with(connection_of(QUICK, f"{first},{second}", {}))
    assert f"{first}: nobody listens" in told
    assert f"{second}: the name" in told


def test_a_server_that_keeps_silent_is_told() -> None:
    with server(answer=None) as address:
        assert f"{address}: no answer within 0.3 s" in trouble_with(connection_of(QUICK, address, {}))


def test_a_server_that_is_no_broker_is_told() -> None:
    with server(answer=b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        told = trouble_with(connection_of(KafkaSettings(request_timeout_ms=2_000), address, {}))
        assert address in told
        assert "Traceback" not in told
        encrypted = connection_of(KafkaSettings(security_protocol="SSL", request_timeout_ms=2_000), address, {})
        assert "does not speak TLS" in trouble_with(encrypted)


@pytest.mark.parametrize("open_client", [admin_of, consumer_of, producer_of])
def test_a_client_that_cannot_begin_is_trouble_and_leaves_nothing_open(open_client) -> None:
    with server(answer=None) as address:
        before = threading.active_count()
        with pytest.raises(BrokerTrouble, match="no answer within"), open_client(connection_of(QUICK, address, {})):
            raise AssertionError("there is no broker")
        assert threading.active_count() == before


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (kafka.errors.TopicAuthorizationFailedError("journal"), "may not do that"),
        (aiokafka.errors.GroupAuthorizationFailedError("detect"), "may not do that"),
        (kafka.errors.SaslAuthenticationFailedError(), "refuses the user"),
        (aiokafka.errors.KafkaConnectionError("gone"), "the connection was closed"),
        (aiokafka.errors.RequestTimedOutError(), "no answer within"),
        (kafka.errors.NotEnoughReplicasError(), "NotEnoughReplicasError"),
    ],
)
def test_what_either_client_raises_is_explained(error: Exception, words: str) -> None:
    with pytest.raises(BrokerTrouble, match=words), explained(connection_of(KafkaSettings(), "a:1", {})):
        raise error


def test_what_is_no_failure_of_the_broker_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), explained(connection_of(KafkaSettings(), "a:1", {})):
        raise ZeroDivisionError
