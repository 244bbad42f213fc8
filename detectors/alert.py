"""From findings to alerts: stable ids, revisions, the money's path, sentences, the digest of the evidence.

An alert is one subject (a loan, a group of loans, an account) and one typology. It is revised when what it says has changed
enough to matter (``revise_share_min``) and it was not said just now (``revise_hours_min``), and withdrawn, not deleted, when
it no longer holds.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right, insort
from collections import Counter
from typing import Any

import msgspec

from detectors.accounts import HELD, IN_TRANSIT
from detectors.alert_record import Alert, Member, PathStep, RuleSetUse, Subject
from detectors.detector import AGAIN, Context, Described
from detectors.economy import HOUR_MS, TOO_SOON, AlertEconomy, AlertLimits, lowered
from detectors.finding import Finding
from detectors.groups import Group
from detectors.instants import rfc3339
from detectors.loans import Loan, Passage, Published
from detectors.lots import Transfer
from detectors.sentences import sentences
from detectors.uses import LOAN_INTEREST, LOAN_REPAYMENT, OTHER, TIME_DEPOSIT, WEALTH

WITHIN_THE_BANK = frozenset({HELD, IN_TRANSIT, TIME_DEPOSIT, WEALTH, LOAN_REPAYMENT, LOAN_INTEREST})
"""Places whose money the bank's own records still show; anywhere else it has left the bank."""

METHOD = "loan-first, first in first out among loans; bounds by maximum flow; FIFO beside"
MODEL_VERSION = "scorecard-1"


class AlertBook:
    """Alerts of all open loans: what was said, and what is to be said next."""

    def __init__(self, limits: AlertLimits, configuration_digest: str) -> None:
        self.limits = limits
        self.configuration_digest = configuration_digest
        self.by_customer: dict[str, list[str]] = {}
        self.scores: dict[str, list[float]] = {}
        self.economy = AlertEconomy(limits)
        self.counts: Counter[str] = Counter()

    def hear(
        self, finding: Finding, detector: Described, context: Context, watermark_ms: int, loans_followed: int
    ) -> Alert | None:  # fmt: skip
        """The alert to publish for a finding; None when there is nothing new to say, or it is not to be said now."""
        said = finding.said
        if said is None and not finding.stands:
            return None
        finding = lowered(finding, finding.kind or detector.kind, context, self.limits)
        if said is not None and not self._is_news(said, finding):
            self.counts["revisions_withheld"] += 1
            return None
        withheld = self.economy.withholds(finding, finding.kind or detector.kind, said, watermark_ms, loans_followed)
        if withheld:
            self.counts[withheld] += self._waits(finding, context) if withheld == TOO_SOON else 1
            return None
        said = said if said is not None else _open(finding)
        percentile = finding.percentile if finding.percentile is not None else self._percentile(finding)
        alert = self._compose(said, finding, detector, context, watermark_ms, percentile)
        if not said.revision:
            said.said_ms = watermark_ms
        said.revised_ms = watermark_ms
        said.revision, said.status, said.severity = alert.revision, alert.status, alert.severity
        said.traced_minor, said.certain_minor = alert.traced_estimate_minor, alert.traced_min_minor
        said.possible_minor, said.exact = alert.traced_max_minor, alert.bounds_exact
        if finding.hits:
            use = finding.hits[-1].transfer.use
            said.destination = use if use != OTHER else detector.name
        said.score = alert.score if finding.stands else 0.0
        if finding.group is not None:
            for loan in finding.group.loans.values():
                loan.alerts[f"{finding.typology}/{said.alert_id}"] = said
        return alert

    def _waits(self, finding: Finding, context: Context) -> bool:
        """Have the finding judged again when it may be said; False when that is arranged already."""
        said, about = finding.said, finding.about
        assert said is not None, f"a first finding of {finding.typology} cannot come too soon"
        if said.waits:
            return False
        said.waits = True
        loan = about if isinstance(about, Loan) else next(iter(about.loans.values()))
        context.remind(f"{AGAIN}{finding.typology}", loan, said.revised_ms + self.limits.revise_hours_min * HOUR_MS)
        return True

    def overhear(self, typology: str, alert_id: str, customer_id: str | None, score: float | None) -> None:
        """Another book has published an alert: remember of it what an alert of this book would have left behind."""
        if score is not None:
            scores = self.scores.setdefault(typology, [])
            if len(scores) < self.limits.scores_max:
                insort(scores, score)
        if customer_id is not None:
            self._prior_of(customer_id, alert_id)

    def _is_news(self, said: Published, finding: Finding) -> bool:
        if (said.status == "OPEN") != finding.stands or finding.is_news:
            return True
        if not finding.stands:
            return False
        if said.severity != finding.severity:
            return True
        change = max(abs(finding.traced_minor - said.traced_minor), abs(finding.bounds.certain_minor - said.certain_minor))
        return finding.about.share(change) >= self.limits.revise_share_min

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

    def _prior(self, about: Loan | Group, own_id: str) -> tuple[str, ...]:
        customer_id = about.borrower_id if isinstance(about, Loan) else None
        return self._prior_of(customer_id, own_id) if customer_id is not None else ()

    def _prior_of(self, customer_id: str, own_id: str) -> tuple[str, ...]:
        earlier = self.by_customer.get(customer_id)
        if earlier is None:
            earlier = self.by_customer[customer_id] = []
            if len(self.by_customer) > self.limits.customers_max:
                del self.by_customer[next(iter(self.by_customer))]
                self.counts["customers_forgotten"] += 1
        prior = tuple(item for item in earlier if item != own_id)[-self.limits.prior_alerts_max :]
        if own_id not in earlier:
            earlier.append(own_id)
            del earlier[: -self.limits.prior_alerts_max - 1]
        return prior

    def _compose(
        self, said: Published, finding: Finding, detector: Described, context: Context, watermark_ms: int,
        percentile: float | None,
    ) -> Alert:  # fmt: skip
        about = finding.about
        path, left_out, hops, left_bank = self._path(finding, context)
        english, chinese = sentences(finding, detector)
        last_ms = max((hit.transfer.event_time_ms for hit in finding.hits), default=watermark_ms)
        rules = context.rules(about)
        alert = Alert(
            alert_id=said.alert_id, revision=said.revision + 1, status="OPEN" if finding.stands else "WITHDRAWN",
            typology=finding.typology, typology_name=detector.name, typology_name_zh=detector.name_zh,
            kind=finding.kind or detector.kind,
            severity=finding.severity, score=finding.score, score_percentile=percentile,  # type: ignore[arg-type]
            subject=self._subject(finding), sentence_en=english, sentence_zh=chinese, currency=about.currency,
            traced_min_minor=finding.bounds.certain_minor, traced_estimate_minor=finding.traced_minor,
            traced_max_minor=finding.bounds.possible_minor, traced_fifo_minor=finding.fifo_minor, method=METHOD,
            bounds_exact=finding.bounds.exact, bounds_rest_on=finding.bounds.rests_on, measures=finding.measures, path=path,
            path_steps_left_out=left_out, related=finding.related, party_notes=finding.party_notes, hops_visible=hops,
            left_bank=left_bank, look_alikes=finding.look_alikes,
            rule_set=RuleSetUse(rule_set_id=rules.rule_set_id, version=rules.version, effective_from=rules.effective_from,
                                verified=rules.is_verified(finding.typology), why=about.rule_why),
            detector=f"{finding.typology.lower()}_{detector.name.lower()}", contributions=finding.contributions,
            model_version=finding.model_version or MODEL_VERSION, configuration_digest=self.configuration_digest,
            prior_alerts=self._prior(about, said.alert_id), recommended_checks=detector.checks,
            recommended_measures=detector.measures, routing="RESTRICTED" if finding.restricted else "NORMAL",
            event_time=rfc3339(last_ms if finding.event_time_ms is None else finding.event_time_ms),
            scored_time=rfc3339(watermark_ms), evidence_digest="",
        )  # fmt: skip
        return msgspec.structs.replace(alert, evidence_digest=evidence_digest(alert))

    def _subject(self, finding: Finding) -> Subject:
        if finding.group is not None:
            return _subject_of_group(finding.group, finding.hits, self.limits.members_named_max)
        assert finding.loan is not None, f"a finding of {finding.typology} is about nobody"
        return _subject_of_loan(finding.loan, finding.account_id)

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
        payees = (context.tracer.look(transfer.payee, transfer.currency) for _, transfer in steps.values())
        return (
            path,
            len(steps) - len(kept),
            hops,
            any(account is not None and account.place not in WITHIN_THE_BANK for account in payees),
        )


def alert_id(subject: str, typology: str) -> str:
    """The same subject (a loan's id) and typology always have the same id."""
    return f"{typology}-{hashlib.sha256(f'{typology}|{subject}'.encode()).hexdigest()[:16]}"


def group_alert_id(group: Group) -> str:
    """The same account, typology and first member always have the same id; a group that forms anew is another episode."""
    first = next((loan.loan_id for loan in group.loans.values()), "")
    return alert_id(f"{group.currency} {group.account_id}|{first}", group.typology)


def _open(finding: Finding) -> Published:
    """A subject of which nothing was said yet; an alert about a group is one of each member's alerts too."""
    group = finding.group
    if group is None:
        assert finding.loan is not None, f"a finding of {finding.typology} is about nobody"
        said = finding.loan.alerts[finding.typology] = Published(alert_id(finding.loan.loan_id, finding.typology))
        return said
    group.said = Published(group_alert_id(group))
    return group.said


def evidence_digest(alert: Alert) -> str:
    """SHA-256 over the canonical JSON of what the alert rests on."""
    evidence = (
        alert.alert_id, alert.subject, alert.traced_min_minor, alert.traced_estimate_minor, alert.traced_max_minor,
        alert.traced_fifo_minor, alert.measures, alert.path, alert.look_alikes, alert.rule_set, alert.contributions,
        *((alert.related, alert.party_notes) if alert.related or alert.party_notes else ()),
    )  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(evidence)).hexdigest()


def _step(hop: int, transfer: Transfer, carried_minor: int) -> PathStep:
    return PathStep(
        txn_id=transfer.txn_id, event_time=rfc3339(transfer.event_time_ms), payer=transfer.payer, payee=transfer.payee,
        amount_minor=transfer.amount_minor, traced_minor=carried_minor, hop=hop, use=transfer.use,
    )  # fmt: skip


def _subject_of_loan(loan: Loan, account_id: str | None) -> Subject:
    named: dict[str, Any] = {name: getattr(loan.info, name, None) for name in _PARTICULARS}
    return Subject(
        loan_id=loan.loan_id, customer_id=loan.borrower_id, account_id=account_id, loan_amount_minor=loan.amount_minor,
        disbursed_at=rfc3339(loan.paid_ms), **named,
    )  # fmt: skip


_PARTICULARS = (
    "contract_id", "borrower_type", "product_class", "purpose_code", "purpose_text", "org_id", "account_manager_id",
)  # fmt: skip


def _subject_of_group(group: Group, hits: tuple[Passage, ...], members_max: int) -> Subject:
    """A group with its members, in the order in which they joined; an account by itself when it has none."""
    if not group.loans:
        return Subject(kind="ACCOUNT", account_id=group.account_id)
    traced: dict[int, int] = {}
    for hit in hits:
        number = hit.loan.origin.number
        traced[number] = traced.get(number, 0) + hit.standing_minor()
    members = tuple(
        Member(loan_id=loan.loan_id, customer_id=loan.borrower_id, loan_amount_minor=loan.amount_minor,
               traced_minor=traced.get(number, 0), disbursed_at=rfc3339(loan.paid_ms))
        for number, loan in list(group.loans.items())[:members_max]
    )  # fmt: skip
    return Subject(
        kind="GROUP", account_id=group.account_id, loan_amount_minor=group.amount_minor, disbursed_at=rfc3339(group.paid_ms),
        members=members, members_left_out=len(group.loans) - len(members),
    )  # fmt: skip
