"""A run's results: the files of a result folder, what is remembered while they are written, and the summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import get_args

import msgspec

from detectors.alert_record import Alert, LoanRisk, PortfolioShare, Severity
from detectors.configuration import Configuration
from streams.files.effective import effective_json
from streams.files.writers import OutputFolder

ALERTS, LOAN_RISK, REJECTS, SUMMARY = "alerts.jsonl", "loan-risk.jsonl", "rejects.jsonl", "summary.json"
PORTFOLIO = "portfolio.jsonl"
CONFIGURATION = "configuration.json"
RESULT_FILES = (ALERTS, LOAN_RISK, PORTFOLIO, REJECTS, SUMMARY, CONFIGURATION)
SEVERITIES = get_args(Severity)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Records(msgspec.Struct, frozen=True):
    """Counts of records: ``read = applied + rejected + duplicate``."""

    read: int
    applied: int
    rejected: int
    duplicate: int


class JournalRecords(Records, frozen=True):
    """Counts of a journal's records: ``read = applied + rejected + duplicate + repeated + ahead``."""

    repeated: int  # written again by a writer that had crashed
    ahead: int  # from a writer that had lost its partition to another


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay did; the contents of summary.json."""

    records: Records
    alerts: dict[str, int]  # typology -> distinct alerts
    alerts_by_severity: dict[str, dict[str, int]]  # typology -> severity at the last revision -> distinct alerts
    alert_revisions: int  # lines of alerts.jsonl
    withdrawn: int  # distinct alerts whose last revision withdraws them
    loans: int
    seconds: float
    records_per_second: int
    event_time_first: str | None
    event_time_last: str | None
    files: list[str]
    ignored_files: list[str]
    damaged_files: list[str]  # could not be read to their end
    late: int
    counters: dict[str, int]
    portfolio: list[PortfolioShare]  # flagged / disbursed by product, branch, industry and vintage, at the end
    configuration_digest: str
    alerts_sha256: str


class LastRevision(msgspec.Struct, frozen=True):
    """What the summary needs of an alert."""

    alert_id: str
    typology: str
    severity: str
    status: str


class _LoanOf(msgspec.Struct, frozen=True):
    loan_id: str


_last_revision_of = msgspec.json.Decoder(LastRevision).decode
_loan_of = msgspec.json.Decoder(_LoanOf).decode


@dataclass
class Recorder:
    """Writes what comes out and remembers as much of it as the summary needs."""

    folder: OutputFolder
    alerts: dict[str, LastRevision] = field(default_factory=dict)
    loans: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.alerts_file = self.folder.writer(ALERTS)
        self.risks_file = self.folder.writer(LOAN_RISK)
        self.portfolio_file = self.folder.writer(PORTFOLIO)

    def take(self, alerts: Iterable[Alert], risks: Iterable[LoanRisk]) -> None:
        """Write these, in this order."""
        for alert in alerts:
            self.alerts_file.write(alert)
            self.alerts[alert.alert_id] = LastRevision(alert.alert_id, alert.typology, alert.severity, alert.status)
        for risk in risks:
            self.risks_file.write(risk)
            self.loans.add(risk.loan_id)

    def take_portfolio(self, shares: Iterable[PortfolioShare]) -> None:
        """Write these cuts of the portfolio."""
        for share in shares:
            self.portfolio_file.write(share)

    def take_share(self, encoded: bytes) -> None:
        """Write a cut of the portfolio that is JSON already."""
        self.portfolio_file.write_encoded(encoded)

    def take_alert(self, encoded: bytes) -> None:
        """Write an alert that is JSON already."""
        self.alerts_file.write_encoded(encoded)
        last = _last_revision_of(encoded)
        self.alerts[last.alert_id] = last

    def take_risk(self, encoded: bytes) -> None:
        """Write a loan's state that is JSON already."""
        self.risks_file.write_encoded(encoded)
        self.loans.add(_loan_of(encoded).loan_id)

    def by_severity(self) -> dict[str, dict[str, int]]:
        """Typology -> severity -> distinct alerts, in the order of typologies and of rising severity."""
        counts = Counter((alert.typology, alert.severity) for alert in self.alerts.values())
        return {
            typology: {severity: n for severity in SEVERITIES if (n := counts[typology, severity])}
            for typology in sorted({typology for typology, _ in counts})
        }

    def finish(self, summary: Summary, configuration: Configuration) -> None:
        """Write the summary and the configuration, then give every file its name."""
        self.folder.file(SUMMARY).write(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
        self.folder.file(CONFIGURATION).write(effective_json(configuration))
        self.folder.commit()

    def summary(self, records: Records, configuration: Configuration, seconds: float) -> Summary:
        """What was written, with these counts; the caller replaces what only it knows."""
        by_severity = self.by_severity()
        return Summary(
            records=records,
            alerts={typology: sum(counts.values()) for typology, counts in by_severity.items()},
            alerts_by_severity=by_severity,
            alert_revisions=self.alerts_file.records,
            withdrawn=sum(alert.status == "WITHDRAWN" for alert in self.alerts.values()),
            loans=len(self.loans),
            seconds=round(seconds, 3),
            records_per_second=round(records.read / max(seconds, 1e-9)),
            event_time_first=None,
            event_time_last=None,
            files=[],
            ignored_files=[],
            damaged_files=[],
            late=0,
            counters={},
            portfolio=[],
            configuration_digest=configuration.digest(),
            alerts_sha256=self.alerts_file.sha256,
        )


def rfc3339(event_time_ms: int | None) -> str | None:
    """An instant in UTC with milliseconds; None for None."""
    if event_time_ms is None:
        return None
    instant = _EPOCH + timedelta(milliseconds=event_time_ms)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
