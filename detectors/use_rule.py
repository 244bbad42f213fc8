"""The common shape of a breach typology: count passages of a kind, weigh them against the loan, find or clear."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Generic, Literal, TypeVar, cast

import msgspec
from msgspec import Struct

from detectors.alert_record import LookAlike
from detectors.bridge import bridges_of, judge_bridge
from detectors.dealings import Purchase
from detectors.detector import Context, Payment
from detectors.events import PartyEvent
from detectors.finding import NOTHING_TRACED, Finding
from detectors.loans import Loan, Passage
from detectors.uses import POCKETS
from detectors.verdict import Weighed, weigh

HITS_MAX = 200
"""Passages counted per loan and typology; further ones add nothing and are not kept."""


P = TypeVar("P", bound=Struct)


class UseRule(ABC, Generic[P]):
    """A typology that asks: how much of the loan went to such places in such a time?"""

    code: ClassVar[str]
    name: ClassVar[str]
    name_zh: ClassVar[str]
    kind: ClassVar[Literal["BREACH", "PATTERN", "EVENT"]] = "BREACH"
    uses: ClassVar[frozenset[str] | None] = None
    asks: ClassVar[frozenset[str]] = frozenset()
    payment_uses: ClassVar[frozenset[str]] = frozenset()
    bridged_uses: ClassVar[frozenset[str]] = frozenset()  # bought before the payout by somebody's funds, whom the loan repays
    sees_one_book: ClassVar[bool] = False
    reads_like_sums: ClassVar[bool] = False  # also what strangers pay on, as far as their accounts are in the loan's book
    Parameters: ClassVar[type[Struct]]
    checks: ClassVar[tuple[str, ...]] = ()
    measures: ClassVar[tuple[str, ...]] = ()
    certain_part: ClassVar[float] = 1.0  # of the rule's share that has to be certain; patterns may ask for less
    tells_unproven: ClassVar[bool] = False  # whether ``judge`` may let stand what the verdict does not
    destination_en: ClassVar[str]
    destination_zh: ClassVar[str]

    @abstractmethod
    def counts(self, passage: Passage, context: Context) -> bool:
        """Whether a passage is of the kind that this typology asks about."""

    @abstractmethod
    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        """The share of the loan from which the passages break the rule."""

    def is_of_a_known_party(self, passage: Passage, hops_max: int, window_days: int, context: Context) -> bool:
        """Whether a passage, near enough to the payout, reached somebody of whom public facts may be known; cheapest first."""
        payee = passage.payee
        if not context.parties.notes or payee.is_sink or payee.place in POCKETS:
            return False
        hours = passage.loan.hours_since_payout(passage.transfer.event_time_ms)
        return passage.hops <= hops_max and hours <= window_days * 24

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        """Further innocent explanations; one NOT_EXCLUDED clears the finding."""
        return ()

    def destination(self, hits: list[Passage]) -> tuple[str, str]:
        """Where the money went, for the sentence: (English, Chinese)."""
        return self.destination_en, self.destination_zh

    def observe(self, passage: Passage, context: Context) -> tuple[Finding, ...]:
        """Count the passage when it is of the kind, and judge the loan anew."""
        if not self.counts(passage, context):
            return ()
        hits = passage.loan.hits.setdefault(self.code, [])
        if len(hits) >= HITS_MAX or any(hit is passage for hit in hits):  # it may be shown again, better informed
            return ()
        hits.append(passage)
        return self._judge_all(passage.loan, context)

    def bridged(self, passage: Passage, context: Context) -> tuple[Finding, ...]:
        """Count a passage to somebody who funded, before the payout, what the loan must not pay for."""
        if self._bridge_key not in passage.loan.hits and not self._may_bridge(passage, context):
            return ()
        if not self._bridges(passage, context):  # what was found before may have been taken back since
            known = any(hit.payee is passage.payee for hit in passage.loan.hits.get(self._bridge_key, ()))
            return self._judge_all(passage.loan, context) if known else ()
        hits = passage.loan.hits.setdefault(self._bridge_key, [])
        if len(hits) >= HITS_MAX or any(hit is passage for hit in hits):
            return ()
        hits.append(passage)
        return self._judge_all(passage.loan, context)

    def reconsider(self, loan: Loan, seqs: frozenset[int], context: Context) -> tuple[Finding, ...]:
        """Judge anew when a counted passage has been undone."""
        hits = (*loan.hits.get(self.code, ()), *loan.hits.get(self._bridge_key, ()))
        if any(hit.transfer.seq in seqs for hit in hits):
            return self._judge_all(loan, context)
        return ()

    def _judge_all(self, loan: Loan, context: Context) -> tuple[Finding, ...]:
        """What the money itself did goes first; a bridge is found where that does not stand."""
        hits = loan.hits.get(self.code)
        finding = self.judge(loan, hits, context) if hits else None
        if finding is not None and finding.stands:
            return (finding,)
        bridge = self._judge_bridges(loan, context)
        if bridge is not None and (bridge.stands or finding is None):
            return (bridge,)
        return (finding,) if finding is not None else ()

    # --- bridges: see detectors/bridge.py ----------------------------------------------------------------------------

    @property
    def _bridge_key(self) -> str:
        """Where passages to funders are kept, beside those that the rule counts."""
        return f"{self.code}~bridge"

    def _may_bridge(self, passage: Passage, context: Context) -> bool:
        """Whether the payee had funded anything of the kind before the payout: mostly not, and then nothing else is asked."""
        paid_ms, uses = passage.loan.paid_ms, self.bridged_uses
        for bought in context.dealings.funded.get(passage.payee.account_id) or ():
            if bought.transfer.event_time_ms < paid_ms and bought.transfer.use in uses:
                return True
        return False

    def _bridges(self, passage: Passage, context: Context) -> list[Purchase]:
        days_max = getattr(self.parameters(passage.loan, context), "bridge_days", 0)
        found = bridges_of(passage, self.bridged_uses, days_max, context)
        return [bought for bought in found if self.is_bridge(bought, passage.loan, context)]

    def is_bridge(self, bought: Purchase, loan: Loan, context: Context) -> bool:
        """Whether a purchase is one that this typology forbids the loan to pay for."""
        return True

    def bridge_look_alikes(self, loan: Loan, bought: list[Purchase], context: Context) -> tuple[LookAlike, ...]:
        """Innocent explanations of a bridge that only this typology knows."""
        return ()

    def _judge_bridges(self, loan: Loan, context: Context) -> Finding | None:
        """The bridge by the funder who got most."""
        by_funder: dict[str, list[Passage]] = {}
        for hit in loan.hits.get(self._bridge_key, ()):
            by_funder.setdefault(hit.payee.account_id, []).append(hit)
        if not by_funder:
            return None
        hits = max(by_funder.values(), key=lambda own: sum(hit.transfer.standing_minor for hit in own))
        standing = [hit for hit in hits if hit.transfer.standing_minor]
        bought = {purchase.transfer.seq: purchase for hit in hits for purchase in self._bridges(hit, context)}
        share_min = self.share_min(loan, hits, context)
        purchases = list(bought.values())
        if not standing or not purchases:
            if self.code not in loan.alerts:
                return None
            return msgspec.structs.replace(self._judge_together(loan, hits, False, context), stands=False)
        further = self.bridge_look_alikes(loan, purchases, context)
        return judge_bridge(self.code, loan, standing, purchases, share_min, context, further)

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """The finding on the passages that still stand.

        A later passage with an innocent picture does not undo an earlier one without: when all together do not stand, those
        on which it stood before are judged by themselves.
        """
        standing = [hit for hit in hits if hit.transfer.standing_minor]
        finding = self._judge_together(loan, standing or hits, bool(standing), context)
        if not finding.stands:
            before = [hit for hit in standing if hit.transfer.seq in loan.stood.get(self.code, ())]
            if 0 < len(before) < len(standing):
                alone = self._judge_together(loan, before, True, context)
                finding = alone if alone.stands else finding
        if finding.stands:
            loan.stood[self.code] = tuple(hit.transfer.seq for hit in finding.hits)
        return finding

    def unweighed(self, loan: Loan, hits: list[Passage]) -> Finding:
        """That nothing is found, where the rule sees so without weighing: nothing was said, so nobody asks for figures."""
        return Finding(
            typology=self.code, loan=loan, stands=False, hits=tuple(hits), bounds=NOTHING_TRACED, traced_minor=0, fifo_minor=0,
            severity="LOW", score=0.0, destination_en="", destination_zh="",
        )  # fmt: skip

    def _judge_together(self, loan: Loan, hits: list[Passage], any_standing: bool, context: Context) -> Finding:
        share_min = self.share_min(loan, hits, context)
        weighed = weigh(context, loan, hits, share_min, self.code, self.certain_part, self.tells_unproven)
        look_alikes = weighed.look_alikes + self.look_alikes(loan, hits, weighed, context)
        cleared = any(item.result == "NOT_EXCLUDED" and item.name not in _WEIGHED for item in look_alikes)
        english, chinese = self.destination(hits)
        return Finding(
            typology=self.code, loan=loan, stands=any_standing and weighed.alerts and not cleared,
            hits=tuple(hits), bounds=weighed.bounds, traced_minor=weighed.traced_minor,
            fifo_minor=weighed.fifo_minor, severity=weighed.severity, score=weighed.score, destination_en=english,
            destination_zh=chinese, measures=weighed.measures, look_alikes=look_alikes, contributions=weighed.contributions,
            kind="PATTERN" if weighed.unproven else None,
        )  # fmt: skip

    def paid(self, payment: Payment, loans: Sequence[Loan], context: Context) -> tuple[Finding, ...]:
        """Not asked for."""
        return ()

    def disbursed(self, loan: Loan, context: Context) -> tuple[Finding, ...]:
        """Not asked for."""
        return ()

    def heard(self, event: PartyEvent, loans: Sequence[Loan], context: Context) -> tuple[Finding, ...]:
        """Not asked for."""
        return ()

    def due(self, loan: Loan, at_ms: int, context: Context) -> tuple[Finding, ...]:
        """Not asked for."""
        return ()

    def snapshot(self) -> Mapping[str, object]:
        """Nothing: all of it is in ``loan.hits``."""
        return {}

    def restore(self, data: Mapping[str, object]) -> None:
        """Nothing to restore."""

    def parameters(self, loan: Loan, context: Context) -> P:
        """This typology's parameters in the rule set of the loan."""
        return cast(P, context.rules(loan).parameters[self.code])


_WEIGHED = frozenset({"own_money", "own_habit", "own_business"})  # already part of the verdict


def clears(name: str, innocent: bool, detail: str) -> LookAlike:
    """A look-alike that was tested: NOT_EXCLUDED when the innocent explanation holds."""
    return LookAlike(name=name, result="NOT_EXCLUDED" if innocent else "EXCLUDED", detail=detail)
