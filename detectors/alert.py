"""From findings to alerts: stable ids, revisions, the money's path, sentences, the digest of the evidence.

An alert is one loan and one typology. It is revised when what it says has changed enough to matter
(``revise_share_min``), and withdrawn, not deleted, when it no longer holds.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right, insort
from collections import Counter
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from detectors.accounts import HELD
from detectors.alert_record import Alert, PathStep, RuleSetUse, Subject
from detectors.detector import Context, Detector
from detectors.finding import Finding
from detectors.loans import Loan, Published
from detectors.lots import Transfer
from detectors.money import format_money

METHOD = "loan-first, first in first out among loans; bounds by maximum flow; FIFO beside"
MODEL_VERSION = "scorecard-1"


class AlertLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """What an alert may hold and when it is said again."""

    path_steps_max: int = 60  # transfers in the path, those that carried most; the rest is counted in path_steps_left_out
    revise_share_min: float = 0.10  # an open alert is revised when a traced figure changed by this share of the loan
    prior_alerts_max: int = 5  # earlier alerts of the same customer named in an alert
    customers_max: int = 100_000  # customers whose earlier alerts are remembered; the oldest is forgotten
    scores_max: int = 1_000  # scores kept per typology for the percentile
    percentile_scores_min: int = 20  # fewer give no percentile


SEVERITIES = ("LOW", "MEDIUM", "HIGH", "CRITICAL")


class AlertBook:
    """Alerts of all open loans: what was said, and what is to be said next."""

    def __init__(self, limits: AlertLimits, configuration_digest: str) -> None:
        self.limits = limits
        self.configuration_digest = configuration_digest
        self.by_customer: dict[str, list[str]] = {}
        self.scores: dict[str, list[float]] = {}
        self.counts: Counter[str] = Counter()

    def hear(self, finding: Finding, detector: Detector, context: Context, watermark_ms: int) -> Alert | None:
        """The alert to publish for a finding; None when there is nothing new to say."""
        loan = finding.loan
        said = loan.alerts.get(finding.typology)
        if said is None:
            if not finding.stands:
                return None
            said = loan.alerts[finding.typology] = Published(alert_id(loan.loan_id, finding.typology))
        if not self._is_news(said, finding):
            self.counts["revisions_withheld"] += 1
            return None
        percentile = self._percentile(finding)
        alert = self._compose(said, finding, detector, context, watermark_ms, percentile)
        said.revision, said.status, said.severity = alert.revision, alert.status, alert.severity
        said.traced_minor, said.certain_minor = alert.traced_estimate_minor, alert.traced_min_minor
        said.score = alert.score if finding.stands else 0.0
        return alert

    def _is_news(self, said: Published, finding: Finding) -> bool:
        if (said.status == "OPEN") != finding.stands:
            return True
        if not finding.stands:
            return False
        if said.severity != finding.severity:
            return True
        change = max(abs(finding.traced_minor - said.traced_minor), abs(finding.bounds.certain_minor - said.certain_minor))
        return finding.loan.share(change) >= self.limits.revise_share_min

    def _percentile(self, finding: Finding) -> float | None:
        if not finding.stands:
            return None
        scores = self.scores.setdefault(finding.typology, [])
        percentile = None
        if len(scores) >= self.limits.percentile_scores_min:
            percentile = round(100.0 * bisect_right(scores, finding.score) / len(scores), 1)
        if len(scores) < self.limits.scores_max:
            insort(scores, finding.score)
        return percentile

    def _prior(self, loan: Loan, own_id: str) -> tuple[str, ...]:
        if loan.borrower_id is None:
            return ()
        earlier = self.by_customer.get(loan.borrower_id)
        if earlier is None:
            earlier = self.by_customer[loan.borrower_id] = []
            if len(self.by_customer) > self.limits.customers_max:
                del self.by_customer[next(iter(self.by_customer))]
                self.counts["customers_forgotten"] += 1
        prior = tuple(item for item in earlier if item != own_id)[-self.limits.prior_alerts_max :]
        if own_id not in earlier:
            earlier.append(own_id)
            del earlier[: -self.limits.prior_alerts_max - 1]
        return prior

    def _compose(
        self, said: Published, finding: Finding, detector: Detector, context: Context, watermark_ms: int,
        percentile: float | None,
    ) -> Alert:  # fmt: skip
        loan = finding.loan
        path, left_out, hops, left_bank = self._path(finding, context)
        english, chinese = sentences(finding, detector)
        last_ms = max(hit.transfer.event_time_ms for hit in finding.hits)
        rules = context.rules(loan)
        alert = Alert(
            alert_id=said.alert_id, revision=said.revision + 1, status="OPEN" if finding.stands else "WITHDRAWN",
            typology=finding.typology, typology_name=detector.name, typology_name_zh=detector.name_zh, kind=detector.kind,
            severity=finding.severity, score=finding.score, score_percentile=percentile,  # type: ignore[arg-type]
            subject=_subject(loan, finding.account_id), sentence_en=english, sentence_zh=chinese, currency=loan.account.currency,
            traced_min_minor=finding.bounds.certain_minor, traced_estimate_minor=finding.traced_minor,
            traced_max_minor=finding.bounds.possible_minor, traced_fifo_minor=finding.fifo_minor, method=METHOD,
            bounds_exact=finding.bounds.exact, bounds_rest_on=finding.bounds.rests_on, measures=finding.measures, path=path,
            path_steps_left_out=left_out, hops_visible=hops, left_bank=left_bank, look_alikes=finding.look_alikes,
            rule_set=RuleSetUse(rule_set_id=rules.rule_set_id, version=rules.version, effective_from=rules.effective_from,
                                verified=rules.verified, why=loan.rule_why),
            detector=f"{finding.typology.lower()}_{detector.name.lower()}", contributions=finding.contributions,
            model_version=MODEL_VERSION, configuration_digest=self.configuration_digest,
            prior_alerts=self._prior(loan, said.alert_id), recommended_checks=detector.checks,
            recommended_measures=detector.measures, event_time=rfc3339(last_ms), scored_time=rfc3339(watermark_ms),
            evidence_digest="",
        )  # fmt: skip
        return msgspec.structs.replace(alert, evidence_digest=evidence_digest(alert))

    def _path(self, finding: Finding, context: Context) -> tuple[tuple[PathStep, ...], int, int, bool]:
        """The transfers of the money's way in order, each with what it carried to the destination."""
        carried: dict[int, int] = {}
        steps: dict[int, tuple[int, Transfer]] = {}
        for hit in finding.hits:
            for parcel in hit.parcels:
                for hop, transfer in enumerate(parcel.trail.transfers()[1:], start=1):
                    carried[transfer.seq] = carried.get(transfer.seq, 0) + parcel.amount_minor
                    steps.setdefault(transfer.seq, (hop, transfer))
        kept = sorted(sorted(steps, key=lambda seq: (-carried[seq], seq))[: self.limits.path_steps_max])
        path = tuple(_step(*steps[seq], carried[seq]) for seq in kept)
        hops = max((hop for hop, _ in steps.values()), default=0)
        payees = (context.tracer.find(transfer.payee, transfer.currency) for _, transfer in steps.values())
        return path, len(steps) - len(kept), hops, any(account is not None and account.place != HELD for account in payees)


def alert_id(loan_id: str, typology: str) -> str:
    """The same loan and typology always have the same id."""
    return f"{typology}-{hashlib.sha256(f'{typology}|{loan_id}'.encode()).hexdigest()[:16]}"


def evidence_digest(alert: Alert) -> str:
    """SHA-256 over the canonical JSON of what the alert rests on."""
    evidence = (
        alert.alert_id, alert.subject, alert.traced_min_minor, alert.traced_estimate_minor, alert.traced_max_minor,
        alert.traced_fifo_minor, alert.measures, alert.path, alert.look_alikes, alert.rule_set, alert.contributions,
    )  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(evidence)).hexdigest()


def rfc3339(event_time_ms: int) -> str:
    """Milliseconds since 1970 as RFC 3339 in UTC.

    >>> rfc3339(0)
    '1970-01-01T00:00:00.000Z'
    """
    seconds, milliseconds = divmod(event_time_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def _step(hop: int, transfer: Transfer, carried_minor: int) -> PathStep:
    return PathStep(
        txn_id=transfer.txn_id, event_time=rfc3339(transfer.event_time_ms), payer=transfer.payer, payee=transfer.payee,
        amount_minor=transfer.amount_minor, traced_minor=carried_minor, hop=hop, use=transfer.use,
    )  # fmt: skip


def _subject(loan: Loan, account_id: str | None) -> Subject:
    info = loan.info
    named = {
        name: getattr(info, name, None)
        for name in ("contract_id", "borrower_type", "product_class", "purpose_code", "purpose_text", "org_id", "account_manager_id")
    }
    return Subject(
        loan_id=loan.loan_id, customer_id=loan.borrower_id, account_id=account_id, loan_amount_minor=loan.amount_minor,
        disbursed_at=rfc3339(loan.paid_ms), **named,
    )  # fmt: skip


def sentences(finding: Finding, detector: Detector) -> tuple[str, str]:
    """What happened in one sentence: (English, Chinese)."""
    loan, currency = finding.loan, finding.loan.account.currency
    whole = format_money(loan.amount_minor, currency)
    traced, certain = format_money(finding.traced_minor, currency), format_money(finding.bounds.certain_minor, currency)
    hours = loan.hours_since_payout(max(hit.transfer.event_time_ms for hit in finding.hits))
    hops = max(hit.hops for hit in finding.hits)
    when_en, when_zh = _when(hours)
    who = loan.borrower_id or "an unnamed customer"
    if not finding.stands:
        return (
            f"Withdrawn: what is now known of loan {loan.loan_id} of {who} no longer shows {detector.name.lower().replace('_', ' ')}.",
            f"撤回：就目前所知，借据{loan.loan_id}（客户{who}）不再构成“{detector.name_zh}”。",
        )
    sure_en = f"at least {certain} ({loan.share(finding.bounds.certain_minor):.0%}) for certain"
    sure_zh = f"其中可以确定的至少{certain}（{loan.share(finding.bounds.certain_minor):.0%}）"
    if not finding.bounds.certain_minor:
        sure_en, sure_zh = "none of it provably so, since other money was or may have been there", "因存在或可能存在自有资金，尚无可确定金额"
    payments = "1 payment" if hops == 1 else f"{hops} payments"
    english = (
        f"Of loan {loan.loan_id} ({whole}) of {who}, {traced} ({loan.share(finding.traced_minor):.0%}) went to "
        f"{finding.destination_en} within {when_en} of the payout, over {payments}; {sure_en}."
    )
    chinese = (
        f"客户{who}的借据{loan.loan_id}（{whole}）放款后{when_zh}内，{traced}（{loan.share(finding.traced_minor):.0%}）"
        f"经{hops}笔支付流向{finding.destination_zh}；{sure_zh}。"
    )
    return english, chinese


def _when(hours: float) -> tuple[str, str]:
    if hours < 1:
        minutes = max(1, round(hours * 60))
        return f"{minutes} minute{'s' if minutes > 1 else ''}", f"{minutes}分钟"
    if hours < 72:
        return f"{hours:.0f} hour{'s' if round(hours) > 1 else ''}", f"{hours:.0f}小时"
    return f"{hours / 24:.0f} days", f"{hours / 24:.0f}天"


