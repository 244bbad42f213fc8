"""Fixtures of the tests that meet a real broker: one for the whole run, topics of one's own, a broker one may kill."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from kafka.admin import KafkaAdminClient
from kafka.errors import UnknownTopicOrPartitionError

from tests.broker.jars import NoBroker, broker_jars
from tests.broker.kafka import Broker
from tests.broker.shared import Reached, shared_broker

_NUMBERS = itertools.count(1)


def _cannot(error: NoBroker) -> NoReturn:
    """Skip with the reason; where a broker was promised, fail with it."""
    if os.environ.get("REQUIRE_BROKER") == "1":
        pytest.fail(f"REQUIRE_BROKER=1, but {error}", pytrace=False)
    pytest.skip(f"no broker: {error}")


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reached]:
    """The broker that all tests share, in whichever process they run; nobody may stop it."""
    base = tmp_path_factory.getbasetemp()
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    try:
        with shared_broker(run / "shared_broker") as reached:
            yield reached
    except NoBroker as error:
        _cannot(error)


@pytest.fixture(scope="session")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of this test process alone, which a test may stop, kill and pause; the next test finds it running again."""
    try:
        broker = Broker(tmp_path_factory.mktemp("own_broker"), broker_jars())
    except NoBroker as error:
        _cannot(error)
    broker.start()
    yield broker
    if broker.pid is not None:
        broker.kill()


@pytest.fixture(autouse=True)
def _own_broker_runs_again(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "own_broker" in request.fixturenames:
        broker: Broker = request.getfixturevalue("own_broker")
        if broker.pid is None:
            broker.start()
        else:
            broker.resume()


@pytest.fixture
def prefix(broker: Reached) -> Iterator[str]:
    """A prefix that no other test has; its topics are deleted afterwards."""
    prefix = f"t{next(_NUMBERS)}-{uuid.uuid4().hex[:10]}."
    yield prefix
    with KafkaAdminClient(bootstrap_servers=broker.bootstrap) as admin:
        ours = [name for name in admin.list_topics() if name.startswith(prefix)]
        try:
            if ours:
                admin.delete_topics(ours)
        except UnknownTopicOrPartitionError:
            pass  # a test deletes its own topics too


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A folder that does not exist yet, for a worker's state."""
    return tmp_path / "state"
