"""A broker from Docker's image, for machines without Java but with an engine."""

from __future__ import annotations

import shutil
import subprocess
import uuid

from tests.broker.kafka import MESSAGE_BYTES_MAX, START_SECONDS_MAX, answers, free_ports, wait_until

IMAGE = "apache/kafka:4.0.0"


def docker_engine() -> bool:
    """Whether there is an engine that answers."""
    return shutil.which("docker") is not None and subprocess.run(["docker", "info"], capture_output=True).returncode == 0


class DockerBroker:
    """One container, gone when it is killed."""

    sasl_bootstrap: str | None = None

    def __init__(self) -> None:
        port, controller = free_ports(2)
        self.bootstrap = f"127.0.0.1:{port}"
        self._name = f"fundtrail-{uuid.uuid4().hex}"
        self._port, self._controller = port, controller

    def start(self) -> None:
        """Run the container, and return when it answers."""
        settings = {
            "NODE_ID": "1",
            "PROCESS_ROLES": "broker,controller",
            "CONTROLLER_QUORUM_VOTERS": f"1@localhost:{self._controller}",
            "LISTENERS": f"PLAINTEXT://:{self._port},CONTROLLER://:{self._controller}",
            "ADVERTISED_LISTENERS": f"PLAINTEXT://{self.bootstrap}",
            "LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            "GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
            "AUTO_CREATE_TOPICS_ENABLE": "false",
            "MESSAGE_MAX_BYTES": str(MESSAGE_BYTES_MAX),
        }
        options = [word for name, value in settings.items() for word in ("-e", f"KAFKA_{name}={value}")]
        publish = ["-p", f"{self.bootstrap}:{self._port}"]
        subprocess.run(
            ["docker", "run", "-d", "--rm", "--name", self._name, *publish, *options, IMAGE], check=True, capture_output=True
        )
        wait_until(lambda: answers(self.bootstrap), 2 * START_SECONDS_MAX, f"{IMAGE} answers at {self.bootstrap}")

    def kill(self) -> None:
        """Remove it with its data."""
        subprocess.run(["docker", "rm", "-f", self._name], capture_output=True)
