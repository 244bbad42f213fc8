"""What a real broker that asks for a password says, and one that does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaProducer

from streams.live.connection import Connection, admin_of, connection_of, consumer_of, explained, producer_of, reach
from streams.live.trouble import BrokerTrouble
from streams.live_settings import KafkaSettings
from tests.broker.kafka import PASSWORD, USER, Broker
from tests.broker.test_broker import make_topic


def asking(broker: Broker, *, user: str = USER, password: str = PASSWORD, mechanism: str = "PLAIN") -> Connection:
    """A connection to the listener that asks for a password."""
    settings = KafkaSettings(
        security_protocol="SASL_PLAINTEXT", sasl_mechanism=mechanism, username=user, request_timeout_ms=3_000
    )
    return connection_of(settings, broker.sasl_bootstrap, {"FUNDTRAIL_KAFKA_PASSWORD": password})


def plain(address: str) -> Connection:
    return connection_of(KafkaSettings(request_timeout_ms=1_000), address, {})


@pytest.fixture
def paused(own_broker: Broker) -> Iterator[Broker]:
    own_broker.pause()
    yield own_broker
    own_broker.resume()


def test_with_the_password_every_client_gets_in(own_broker: Broker) -> None:
    connection = asking(own_broker)
    reach(connection)
    make_topic(own_broker.bootstrap, "secured")
    with producer_of(connection) as producer:
        producer.send("secured", b"by kafka-python")
    asyncio.run(send_by_aiokafka(connection, "secured", b"by aiokafka"))
    with consumer_of(connection, auto_offset_reset="earliest") as consumer, admin_of(connection) as admin:
        assert "secured" in admin.list_topics()
        consumer.subscribe(["secured"])
        assert [next(consumer).value for _ in range(2)] == [b"by kafka-python", b"by aiokafka"]


async def send_by_aiokafka(connection: Connection, topic: str, value: bytes) -> None:
    with explained(connection):
        producer = AIOKafkaProducer(**connection.for_aiokafka())
        try:
            await producer.start()
            await producer.send_and_wait(topic, value)
        finally:
            await producer.stop()


@pytest.mark.parametrize("wrong", [{"password": "guess"}, {"user": "bob"}])
def test_a_wrong_user_or_password_is_told_without_showing_it(own_broker: Broker, wrong: dict[str, str]) -> None:
    with pytest.raises(BrokerTrouble, match="refuses the user") as caught:
        reach(asking(own_broker, **wrong))
    assert "FUNDTRAIL_KAFKA_PASSWORD" in str(caught.value)
    assert "guess" not in str(caught.value)


def test_a_way_to_log_in_that_the_broker_does_not_offer_is_told(own_broker: Broker) -> None:
    with pytest.raises(BrokerTrouble, match="does not offer SASL_PLAINTEXT with SCRAM-SHA-256"):
        reach(asking(own_broker, mechanism="SCRAM-SHA-256"))


def test_a_listener_that_wants_something_else_is_told(own_broker: Broker) -> None:
    with pytest.raises(BrokerTrouble, match="expects PLAINTEXT"):
        reach(plain(own_broker.sasl_bootstrap))


def test_a_client_refused_by_the_broker_is_trouble_too(own_broker: Broker) -> None:
    with pytest.raises(BrokerTrouble), admin_of(asking(own_broker, password="guess")):
        pass
    with pytest.raises(BrokerTrouble):
        asyncio.run(send_by_aiokafka(asking(own_broker, password="guess"), "secured", b""))


def test_one_server_that_answers_is_enough(own_broker: Broker) -> None:
    reach(plain(f"no-such-host.invalid:1,{own_broker.bootstrap}"))


def test_a_broker_that_hangs_is_told(paused: Broker) -> None:
    with pytest.raises(BrokerTrouble, match="no answer within 1 s"):
        reach(plain(paused.bootstrap))
