"""Settings of the live path: where Kafka is, how pages are written, where state is kept. They never change an alert."""

from __future__ import annotations

from msgspec import Struct


class KafkaSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How to reach the broker."""

    bootstrap_servers: str = "localhost:9092"  # KAFKA_BOOTSTRAP_SERVERS and --bootstrap go before
    prefix: str = ""  # before every topic and group name
    security_protocol: str = "PLAINTEXT"  # PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL
    sasl_mechanism: str = "PLAIN"  # PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
    username: str = ""
    password_env: str = "FUNDTRAIL_KAFKA_PASSWORD"  # the environment variable that holds the password
    ca_file: str = ""  # certificate authority of SSL
    request_timeout_ms: int = 10_000  # how long a broker may take to answer before a command gives up
    session_timeout_ms: int = 30_000  # a worker not heard of for so long loses its partitions


class IntakeSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How source records become pages."""

    decoder: str = "json"
    page_records_max: int = 500
    page_bytes_max: int = 512_000  # must stay below the journal topic's max.message.bytes
    linger_ms: int = 25  # how long a record waits for company, and for earlier records of other topics
    order_wait_ms_max: int = 30_000  # how long a record waits for a topic that is known to hold records not yet fetched
    buffered_records_max: int = 20_000  # of one topic; beyond it, intake stops fetching the topic
    tick_idle_ms: int = 60_000  # after so long without records a live stream's time moves on with the clock
    tick_lag_ms_max: int = 3_600_000  # a stream further behind the clock than this is history: it gets no ticks


class DetectSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the fold's state is kept, and how often."""

    state_dir: str = "fundtrail-state"
    checkpoint_interval_ms: int = 10_000
    publish_url: str = ""  # where snapshots are published (fsspec URL or folder); empty: nowhere
    publish_interval_ms: int = 300_000


class BookSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Which account is kept in which book; the number of books is the journal's number of partitions."""

    by: str = "account"  # account: by the account's id, or the part of it that the pattern's group finds
    pattern: str = ""  # regular expression with one group, such as ^(\d{4}) for a branch code; empty: the whole id


class MetricsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where metrics and health are served."""

    host: str = "127.0.0.1"
    port: int = 9464  # 0: any free one, said at start


class LiveSettings(Struct, frozen=True, kw_only=True):
    """What a worker depends on besides the fold's configuration."""

    kafka: KafkaSettings = KafkaSettings()
    intake: IntakeSettings = IntakeSettings()
    detect: DetectSettings = DetectSettings()
    books: BookSettings = BookSettings()
    metrics: MetricsSettings = MetricsSettings()


LIVE_SECTIONS: dict[str, type[Struct]] = {
    "kafka": KafkaSettings,
    "intake": IntakeSettings,
    "detect": DetectSettings,
    "books": BookSettings,
    "metrics": MetricsSettings,
}
