"""A real Apache Kafka for tests: one process that is broker and controller, on its own ports, with its own data.

``python -m tests.broker.kafka`` runs one until it is interrupted, for a laptop.
"""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.broker.jars import broker_jars

USER, PASSWORD = "alice", "secret-of-alice"
"""Who may log in on the broker's second listener (``sasl_bootstrap``, SASL_PLAINTEXT, mechanism PLAIN)."""

MESSAGE_BYTES_MAX = 12 << 20
START_SECONDS_MAX = 60
PORTS = range(20_000, 32_000)
"""Below the ports that the system hands to clients: none of them can take a stopped broker's port before it is back."""

CLUSTER_ID = "ZnVuZHRyYWlsLXRlc3RzMQ"
QUICK_JVM = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Starts in two seconds. A benchmark wants the optimising compiler: the same without the last option."""

# Names in braces are filled in for each broker. A broker that was killed may register again only when its session has ended.
PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{sasl}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
log.dirs={data}
num.partitions=1
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=400
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
message.max.bytes={message_bytes_max}
replica.fetch.max.bytes={message_bytes_max}
log.cleaner.dedupe.buffer.size=16777216
"""

LOGGING = """
status=error
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %p %c: %m%n
"""


class Broker:
    """One Kafka process. Ports and data stay the same from start to start.

    It dies with the process that started it, as far as the system can arrange that (Linux with util-linux).
    """

    def __init__(self, folder: Path, libs: Path, jvm: tuple[str, ...] = QUICK_JVM) -> None:
        self.folder = folder
        self._classes = f"{libs}/*"
        self._jvm = jvm
        self._process: subprocess.Popen[bytes] | None = None
        plain, sasl, controller = free_ports(3)
        self.bootstrap = f"127.0.0.1:{plain}"
        self.sasl_bootstrap = f"127.0.0.1:{sasl}"
        folder.mkdir(parents=True, exist_ok=True)
        values = {"plain": plain, "sasl": sasl, "controller": controller, "data": folder / "data", "user": USER}
        values |= {"password": PASSWORD, "message_bytes_max": MESSAGE_BYTES_MAX}
        (folder / "server.properties").write_text(PROPERTIES.format(**values))
        (folder / "log4j2.properties").write_text(LOGGING)

    def start(self) -> None:
        """Start it, and return when it answers."""
        assert self._process is None, "the broker runs already"
        if not (self.folder / "data" / "meta.properties").exists():
            self._format()
        with (self.folder / "broker.log").open("ab") as log:
            command = [*_dying_with_us(), *self._java("kafka.Kafka"), "server.properties"]
            self._process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            wait_until(self._answers, START_SECONDS_MAX, lambda: f"the broker answers; its log ends:\n{self.log_end()}")
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask it to end, and wait for it."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: it writes nothing more."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it, if it runs, and start it on the same ports and data."""
        if self._process is not None:
            self.stop()
        self.start()

    def pause(self) -> None:
        """It keeps its connections and answers nothing until :meth:`resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """The opposite of :meth:`pause`."""
        self._signal(signal.SIGCONT)

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return self._process.pid if self._process is not None else None

    def log_end(self, chars: int = 2_000) -> str:
        """The end of the broker's own log."""
        return (self.folder / "broker.log").read_text(errors="replace")[-chars:]

    def _java(self, main: str) -> list[str]:
        return ["java", *self._jvm, "-Dlog4j2.configurationFile=log4j2.properties", "-cp", self._classes, main]

    def _format(self) -> None:
        command = [*self._java("kafka.tools.StorageTool"), "format", "-t", CLUSTER_ID, "-c", "server.properties"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, f"the data folder cannot be made: {done.stdout}{done.stderr}"

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the broker ended by itself; its log ends:\n{self.log_end()}"
        return answers(self.bootstrap)

    def _signal(self, number: int) -> None:
        assert self._process is not None, "the broker does not run"
        self._process.send_signal(number)

    def _end(self, number: int) -> None:
        self._signal(number)
        assert self._process is not None
        if number != signal.SIGKILL:
            self._process.send_signal(signal.SIGCONT)  # a paused process does not hear that it shall end
        self._process.wait(timeout=START_SECONDS_MAX)
        self._process = None


def answers(bootstrap: str) -> bool:
    """Whether a broker there says which cluster it is."""
    host, _, port = bootstrap.split(",")[0].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
        return bool(AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=2).brokers)
    except (KafkaException, OSError):
        return False


def wait_until(condition: Callable[[], bool], seconds: float, what: Callable[[], str] | str) -> None:
    """Look again and again; after ``seconds`` say what was waited for in vain."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Ports on the loopback address that nobody listens on now."""
    chance = random.SystemRandom()
    found: list[int] = []
    while len(found) < count:
        port = chance.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def _dying_with_us() -> list[str]:
    """A prefix for a command that shall not outlive this process, even if that is killed."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


def _run_until_interrupted() -> None:
    with tempfile.TemporaryDirectory(prefix="fundtrail-broker-") as folder:
        broker = Broker(Path(folder), broker_jars())
        broker.start()
        print(f"KAFKA_BOOTSTRAP_SERVERS={broker.bootstrap}  (interrupt to stop it and forget its data)", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            broker.stop()


if __name__ == "__main__":
    _run_until_interrupted()
