"""From findings to alerts: stable ids, revisions, the money's path, sentences, the digest of the evidence.

An alert is one loan and one typology. It is revised when what it says has changed enough to matter
(``revise_share_min``), and withdrawn, not deleted, when it no longer holds.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right, insort
from collections import Counter
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from detectors.accounts import HELD, IN_TRANSIT
from detectors.alert_record import Alert, PathStep, RuleSetUse, Subject
from detectors.detector import Context, Detector
from detectors.finding import Finding
from detectors.loans import Loan, Published
from detectors.lots import Transfer
from detectors.money import format_money
from detectors.uses import LOAN_INTEREST, LOAN_REPAYMENT, TIME_DEPOSIT, WEALTH

WITHIN_THE_BANK = frozenset({HELD, IN_TRANSIT, TIME_DEPOSIT, WEALTH, LOAN_REPAYMENT, LOAN_INTEREST})
"""Places whose money the bank's own records still show; anywhere else it has left the bank."""

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
        if not said.revision:
            said.said_ms = watermark_ms
        said.revision, said.status, said.severity = alert.revision, alert.status, alert.severity
        said.traced_minor, said.certain_minor = alert.traced_estimate_minor, alert.traced_min_minor
        said.score = alert.score if finding.stands else 0.0
        return alert

    def overhear(self, typology: str, alert_id: str, customer_id: str | None, score: float | None) -> None:
        """Another book has published an alert: remember of it what an alert of this book would have left behind."""
        if score is not None:
            scores = self.scores.setdefault(typology, [])
            if len(scores) < self.limits.scores_max:
                insort(scores, score)
        if customer_id is not None:
            self._prior_of(customer_id, alert_id)

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
        return self._prior_of(loan.borrower_id, own_id) if loan.borrower_id is not None else ()

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
            subject=_subject(loan, finding.account_id), sentence_en=english, sentence_zh=chinese,
            currency=loan.account.currency,
            traced_min_minor=finding.bounds.certain_minor, traced_estimate_minor=finding.traced_minor,
            traced_max_minor=finding.bounds.possible_minor, traced_fifo_minor=finding.fifo_minor, method=METHOD,
            bounds_exact=finding.bounds.exact, bounds_rest_on=finding.bounds.rests_on, measures=finding.measures, path=path,
            path_steps_left_out=left_out, hops_visible=hops, left_bank=left_bank, look_alikes=finding.look_alikes,
            rule_set=RuleSetUse(rule_set_id=rules.rule_set_id, version=rules.version, effective_from=rules.effective_from,
                                verified=rules.is_verified(finding.typology), why=loan.rule_why),
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
        payees = (context.tracer.look(transfer.payee, transfer.currency) for _, transfer in steps.values())
        return (
            path,
            len(steps) - len(kept),
            hops,
            any(account is not None and account.place not in WITHIN_THE_BANK for account in payees),
        )


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
        for name in (
            "contract_id",
            "borrower_type",
            "product_class",
            "purpose_code",
            "purpose_text",
            "org_id",
            "account_manager_id",
        )
    }
    return Subject(
        loan_id=loan.loan_id, customer_id=loan.borrower_id, account_id=account_id, loan_amount_minor=loan.amount_minor,
        disbursed_at=rfc3339(loan.paid_ms), **named,
    )  # fmt: skip


def sentences(finding: Finding, detector: Detector) -> tuple[str, str]:
    """What happened in one sentence: (English, Chinese)."""
    if not finding.stands:
        return _withdrawal(finding, detector)
    loan, currency = finding.loan, finding.loan.account.currency
    standing = [hit for hit in finding.hits if hit.transfer.standing_minor]
    whole, traced = format_money(loan.amount_minor, currency), format_money(finding.traced_minor, currency)
    share = f"{loan.share(finding.traced_minor):.0%}"
    when_en, when_zh = _when(loan.hours_since_payout(max(hit.transfer.event_time_ms for hit in standing)))
    count, between = len(standing), max(hit.hops for hit in standing) - 1
    way_en = way_zh = ""
    if between and finding.account_id is None:
        way_en = f" through {_plural(between, 'account')} in between"
        way_zh = f"，中间经过{between}个账户"
    sure_en, sure_zh = _certainty(finding)
    english = (
        f"Of loan {loan.loan_id} ({whole}) of {loan.borrower_id or 'an unnamed customer'}, {traced} ({share}) went "
        f"{finding.destination_en}, within {when_en} of the payout, in {_plural(count, 'payment')}{way_en}; {sure_en}."
    )
    chinese = (
        f"客户{loan.borrower_id or '（未载明）'}的借据{loan.loan_id}（{whole}）放款后{when_zh}内，{traced}（{share}）"
        f"{finding.destination_zh}，共{count}笔支付{way_zh}；{sure_zh}。"
    )
    return english, chinese


def _certainty(finding: Finding) -> tuple[str, str]:
    loan, certain_minor = finding.loan, finding.bounds.certain_minor
    if not certain_minor:
        return (
            "none of it provably so, since other money was or may have been there",
            "因存在或可能存在其他资金，尚无可以确定的金额",
        )
    if certain_minor >= finding.traced_minor:
        return "all of it for certain", "全部金额均可确定"
    certain, share = format_money(certain_minor, loan.account.currency), f"{loan.share(certain_minor):.0%}"
    return f"at least {certain} ({share}) for certain", f"其中可以确定的不少于{certain}（{share}）"


def _withdrawal(finding: Finding, detector: Detector) -> tuple[str, str]:
    loan = finding.loan
    who_en, who_zh = loan.borrower_id or "an unnamed customer", loan.borrower_id or "（未载明）"
    innocent = [item.name for item in finding.look_alikes if item.result == "NOT_EXCLUDED"]
    if not any(hit.transfer.standing_minor for hit in finding.hits):
        why_en, why_zh = "the payments were reversed", "相关支付已被冲正"
    elif innocent:
        why_en = f"not excluded: {', '.join(name.replace('_', ' ') for name in innocent)}"
        why_zh = f"不能排除{'、'.join(LOOK_ALIKES_ZH.get(name, name) for name in innocent)}"
    else:
        why_en, why_zh = "too little of the loan is left there", "留存金额已低于规则标准"
    what = detector.name.lower().replace("_", " ")
    english = f"Withdrawn: what is now known of loan {loan.loan_id} of {who_en} no longer shows {what} ({why_en})."
    chinese = f"撤回：就目前所知，客户{who_zh}的借据{loan.loan_id}不再构成“{detector.name_zh}”（{why_zh}）。"
    return english, chinese


LOOK_ALIKES_ZH = {
    "own_money": "自有资金支付",
    "own_habit": "既有投资习惯",
    "firm_is_customer": "证券公司为其客户",
    "approved_hedging": "经批准的套期保值",
    "parking_before_payment": "付款前短暂停放",
    "refund": "退款",
    "trade_before_loan": "放款前已有往来",
    "beyond_ratio": "金额超出比例",
    "cash_pool": "集团资金池",
    "wages": "工资",
    "approved_renewal": "经批准的续贷",
    "revolving_line": "循环额度",
    "approved_cash_use": "经批准的现金使用",
    "keeps_a_margin": "留有差额",
    "known_entrusted_payee": "既有的受托支付收款人",
    "house_loan": "住房贷款",
    "decoration_loan": "装修贷款",
    "refunded_purchase": "购房款已退回",
    "purchase_cycle": "放款前已有的采购周期",
    "channel_cap": "渠道限额",
    "stage_payments": "工程进度款",
    "single_payment": "仅有单笔付款",
    "required_margin": "合同要求的保证金",
    "waiting": "付款前短暂等待",
    "amounts_differ": "各笔金额不相近",
    "two_way_trade": "双向贸易",
    "group_treasury": "集团资金归集",
    "known_payee": "放款前已有往来的收款人",
    "own_line_of_business": "与借款人同业",
    "too_few_sums": "笔数不足",
    "atm_cap": "取款机限额",
    "short_purpose": "短期用途",
    "relative": "亲属关系",
}


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _when(hours: float) -> tuple[str, str]:
    """Rounded up: what happened within an hour and a half did not happen within one."""
    minutes = max(1, math.ceil(hours * 60))
    if minutes < 60:
        return _plural(minutes, "minute"), f"{minutes}分钟"
    if hours <= 72:
        return _plural(math.ceil(hours), "hour"), f"{math.ceil(hours)}小时"
    return _plural(math.ceil(hours / 24), "day"), f"{math.ceil(hours / 24)}天"
