"""Payments that stand out by their score alone: which are said, about which account, and with what evidence.

Catches what no rule describes and confirmed outcomes have taught. Misses what the model has not learned, and what the budget
(:mod:`detectors.budget`) leaves no room for. Breach-type alerts do not pass through here: certain evidence has no budget.

The subject is the account that was paid; further payments to it within ``episode_days`` are the same alert, said again when
their number has doubled or the severity has changed. An outcome of the alert is one of each payment that it named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from detectors.alert import alert_id
from detectors.alert_record import Contribution, LookAlike, Measure, RelatedPayment
from detectors.budget import DAY_MS, Budget, BudgetLimits
from detectors.finding import NOTHING_TRACED, Finding
from detectors.groups import Group
from detectors.instants import rfc3339
from detectors.learners import score as learned
from detectors.learners.peers import ALL
from detectors.loans import Published
from detectors.money import format_money
from detectors.ruleset import RuleSet, choose_rule_set

PAYMENTS_MAX = 20
"""Payments an episode names; of more, the latest."""
CONTRIBUTIONS_MAX = 5
"""Contributions an alert names, the largest; the rest is one sum."""
BASE = "base"
"""The contribution that every payment has."""
HIGH_TAIL = 0.001
"""The top tenth of a per cent is HIGH, the rest MEDIUM."""


class SuspiciousPayment:
    """What these alerts are called, and what is recommended."""

    code: ClassVar[str] = "S01"
    name: ClassVar[str] = "SUSPICIOUS_PAYMENT"
    name_zh: ClassVar[str] = "可疑支付"
    kind: ClassVar[Literal["BREACH", "PATTERN", "EVENT"]] = "PATTERN"
    checks: ClassVar[tuple[str, ...]] = (
        "look at what the account received and sent on in the days around the payments named",
        "compare with the business the two parties are known to do with each other",
    )
    measures: ClassVar[tuple[str, ...]] = ("keep the account under observation", "ask the account manager for the purpose")


class Episode(Group):
    """Payments to one account that stand out, within one span of time."""

    __slots__ = ("began_ms", "is_high", "joined", "payments", "score")

    def __init__(self, account_id: str, currency: str, began_ms: int, first_txn_id: str) -> None:
        super().__init__(SuspiciousPayment.code, account_id, currency)
        self.began_ms = began_ms
        self.is_high = False
        self.joined = 0  # payments so far
        self.payments: list[RelatedPayment] = []  # the latest of them
        self.score = 0.0
        self.said = Published(alert_id(f"{currency} {account_id}|{first_txn_id}", SuspiciousPayment.code))

    @property
    def alert_id(self) -> str:
        """The id of its alert."""
        assert self.said is not None, "an episode is made with its alert"
        return self.said.alert_id


class Suspects:
    """Episodes under way, and the budget for new ones."""

    __slots__ = ("budget", "episodes", "forgotten", "latest", "limits")

    def __init__(self, limits: BudgetLimits) -> None:
        self.limits = limits
        self.budget = Budget(limits)
        self.episodes: dict[str, Episode] = {}  # by alert, in the order in which they began
        self.latest: dict[str, str] = {}  # by currency and account: the alert of its latest episode
        self.forgotten = 0

    def see(self, score: learned.PaymentScore, currency: str) -> tuple[Episode, float] | None:
        """A payment was scored: when it stands out, the episode it belongs to and the rank that is asked for at present."""
        share = self.budget.see(score.event_time_ms)
        if 1 - score.percentile / 100 > share:
            return None
        key = f"{currency} {score.payee}"
        episode = self.episodes.get(self.latest.get(key, ""))
        if episode is None or score.event_time_ms - episode.began_ms >= self.limits.episode_days * DAY_MS:
            episode = Episode(score.payee, currency, score.event_time_ms, score.txn_id)
            self.budget.spend()
            self.latest[key] = episode.alert_id
            self.episodes[episode.alert_id] = episode
        return episode, 100 * (1 - share)

    def forget(self) -> str | None:
        """Forget the oldest episode beyond what is kept: its alert; None when there is none."""
        if len(self.episodes) <= self.limits.episodes_max:
            return None
        oldest = next(iter(self.episodes))
        episode = self.episodes.pop(oldest)
        key = f"{episode.currency} {episode.account_id}"
        if self.latest.get(key) == oldest:
            del self.latest[key]
        self.forgotten += 1
        return oldest


def finding_of(
    episode: Episode, score: learned.PaymentScore, why: Sequence[learned.Contribution], drifting: Sequence[str],
    rule_sets: tuple[RuleSet, ...], threshold: float, model_version: str,
) -> Finding:  # fmt: skip
    """What is said of a payment that stands out.

    Args:
        why: contributions to the score in log-odds, largest first.
        drifting: what does not look as it used to.
        threshold: the rank from which payments are said at present, 0 to 100.
    """
    episode.payments.append(
        RelatedPayment(role="stands_out", txn_id=score.txn_id, event_time=rfc3339(score.event_time_ms), payer=score.payer,
                       payee=score.payee, amount_minor=score.amount_minor)
    )  # fmt: skip
    del episode.payments[:-PAYMENTS_MAX]
    episode.joined += 1
    episode.score = max(episode.score, round(score.score, 4))
    date = rfc3339(score.event_time_ms)[:10]
    episode.own_rules, _ = choose_rule_set(rule_sets, date)
    episode.own_why = f"no rule is broken: the score is learned; the set in force on {date} is named"
    episode.is_high = episode.is_high or 1 - score.percentile / 100 <= HIGH_TAIL
    told = _told(why)
    return Finding(
        typology=SuspiciousPayment.code, loan=None, group=episode, stands=True, hits=(), bounds=NOTHING_TRACED,
        traced_minor=0, fifo_minor=0, severity="HIGH" if episode.is_high else "MEDIUM", score=episode.score,
        destination_en="", destination_zh="", account_id=episode.account_id,
        measures=(Measure(name="score_percentile", observed=round(score.percentile, 2), expected=50.0,
                          threshold=round(threshold, 2), unit="percentile"),),
        look_alikes=(_drift(drifting),),
        contributions=tuple(
            Contribution(feature=item.feature, value=round(item.value, 4), usual=round(item.usual, 4),
                         weight=round(item.weight, 4), added=round(item.weight, 4), peers=item.peers)
            for item in told
        ),
        sentence=_sentence(score, told, episode.currency), related=tuple(episode.payments), event_time_ms=score.event_time_ms,
        percentile=round(score.percentile, 2), model_version=model_version,
        is_news=episode.joined & (episode.joined - 1) == 0,
    )  # fmt: skip


def _told(why: Sequence[learned.Contribution]) -> list[learned.Contribution]:
    """The largest contributions by name, the others in one, and what every payment gets: together the score's log-odds."""
    named = [item for item in why if item.feature != BASE]
    others = named[CONTRIBUTIONS_MAX:]
    told = named[:CONTRIBUTIONS_MAX]
    if others:
        told.append(learned.Contribution(f"{len(others)}_others", 0.0, 0.0, sum(item.weight for item in others)))
    return told + [item for item in why if item.feature == BASE]


def _drift(drifting: Sequence[str]) -> LookAlike:
    if drifting:
        detail = f"{', '.join(drifting)}: no longer distributed as before, so ranks may mean less than usual"
        return LookAlike(name="drift", result="NOT_EXCLUDED", detail=detail)
    return LookAlike(name="drift", result="EXCLUDED", detail="score and features are distributed as before")


def _sentence(
    score: learned.PaymentScore, why: Sequence[learned.Contribution], currency: str
) -> tuple[str, str]:  # fmt: skip
    amount, tail = format_money(score.amount_minor, currency), f"{max(1 - score.percentile / 100, 0.0001):.2%}"
    reasons_en = ", ".join(f"{item.feature.replace('_', ' ')} {item.value:.3g} (usual {item.usual:.3g})" for item in why[:3])
    reasons_zh = "、".join(f"{item.feature} {item.value:.3g}（通常{item.usual:.3g}）" for item in why[:3])
    peers_en = f" The payee was compared with its peers ({score.peers})." if score.peers != ALL else ""
    peers_zh = f"收款账户的同类账户（{score.peers}）作为比较基准。" if score.peers != ALL else ""
    english = (
        f"Payment {score.txn_id} of {amount} from {score.payer} to {score.payee} stands out among recent payments "
        f"(top {tail} by score), mostly by {reasons_en}.{peers_en}"
    )
    chinese = (
        f"{score.payer}向{score.payee}的支付{score.txn_id}（{amount}）在近期支付中评分居前{tail}，"
        f"主要因为{reasons_zh}。{peers_zh}"
    )
    return english, chinese
