"""The detectors at work: who is told of what, in which order. What they find is heard before the next one is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from detectors.detector import LOAN, PARTY, PAYMENT, Context, Detector, Payment
from detectors.events import PartyEvent
from detectors.finding import Finding
from detectors.loans import Loan, Passage

ASKED = (PAYMENT, LOAN, PARTY)
Found = Iterator[tuple[Finding, Detector]]


class Panel:
    """The detectors of one engine.

    Args:
        makes: their classes, in the order in which they are asked.
        wanted: codes of those that judge; empty: all of them.
    """

    def __init__(self, makes: Sequence[type[Detector]], wanted: Sequence[str], context: Context) -> None:
        self.context = context
        self.detectors: list[Detector] = [make() for make in makes if not wanted or make.code in wanted]
        self._bridging = [detector for detector in self.detectors if detector.bridged_uses]
        self._by_use: dict[str, list[Detector]] = {}  # made when the first payment of a class comes
        self._asking = {what: [detector for detector in self.detectors if what in detector.asks] for what in ASKED}
        self.hears_payments = any(PAYMENT in detector.asks for detector in self.detectors)
        self.payment_uses = frozenset(use for detector in self.detectors for use in detector.payment_uses)
        self.notes_dealings = any(detector.sees_one_book or detector.bridged_uses for detector in self.detectors)

    def observe(self, passage: Passage) -> Found:
        """Loan money was carried; perhaps to somebody who had funded what the loan must not pay for."""
        use, context = passage.transfer.use, self.context
        wanting = self._by_use.get(use)
        if wanting is None:
            wanting = [detector for detector in self.detectors if detector.uses is None or use in detector.uses]
            self._by_use[use] = wanting
        for detector in wanting:
            for finding in detector.observe(passage, context):
                yield finding, detector
        if passage.payee.account_id in context.dealings.funded:
            for detector in self._bridging:
                for finding in detector.bridged(passage, context):
                    yield finding, detector

    def reconsider(self, loan: Loan, seqs: frozenset[int]) -> Found:
        """Transfers that carried the loan's money have been undone, in whole or part."""
        for detector in self.detectors:
            for finding in detector.reconsider(loan, seqs, self.context):
                yield finding, detector

    def pay(self, payment: Payment, loans: Sequence[Loan]) -> Found:
        """A payment of interest was made."""
        for detector in self._asking[PAYMENT]:
            for finding in detector.paid(payment, loans, self.context):
                yield finding, detector

    def disburse(self, loan: Loan) -> Found:
        """A loan's particulars are known."""
        for detector in self._asking[LOAN]:
            for finding in detector.disbursed(loan, self.context):
                yield finding, detector

    def hear(self, event: PartyEvent, loans: Sequence[Loan]) -> Found:
        """Something became known of a party that owes these loans."""
        for detector in self._asking[PARTY]:
            for finding in detector.heard(event, loans, self.context):
                yield finding, detector

    def again(self, code: str, loan: Loan) -> Found:
        """What one detector has found of the loan, and of the groups that it is in, is judged again."""
        groups = self.context.groups.groups_of(code, loan)
        for said in (loan.alerts.get(code), *(group.said for group in groups)):
            if said is not None:
                said.waits = False
        hits = [hit for counted in loan.hits.values() for hit in counted]
        hits += [hit for group in groups for hit in group.hits()]
        seqs = frozenset(hit.transfer.seq for hit in hits)
        for detector in self.detectors:
            if detector.code == code:
                for finding in detector.reconsider(loan, seqs, self.context):
                    yield finding, detector

    def due(self, code: str, loan: Loan, at_ms: int) -> Found:
        """A detector wanted to be reminded."""
        for detector in self.detectors:
            if detector.code == code:
                for finding in detector.due(loan, at_ms, self.context):
                    yield finding, detector
