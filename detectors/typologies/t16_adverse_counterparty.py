"""T16 ADVERSE_COUNTERPARTY: loan money goes to a party that a court, an authority or the tax office has on record."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from detectors.alert_record import LookAlike, Measure
from detectors.detector import Context
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.parties import Note
from detectors.public_facts import meaning_of, published_notes
from detectors.use_rule import UseRule
from detectors.uses import ADVERSE, DISTRESS
from detectors.verdict import Weighed


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.20  # of the loan that went to such parties
    window_days: Annotated[int, Meta(ge=1, le=3650)] = 90  # after the payout
    hops_max: Annotated[int, Meta(ge=1, le=100)] = 2  # payments from the borrower's account to the party


class AdverseCounterparty(UseRule[Parameters]):
    """A payee with an adverse event that was published, and not removed, at the time of the payment.

    The party is known by its id, or by its name together with its bank, never by a name alone. Misses what is published
    later, and parties at other banks that payments do not name.
    """

    code = "T16"
    name = "ADVERSE_COUNTERPARTY"
    name_zh = "涉诉/失信/处罚对手方"
    kind = "PATTERN"
    Parameters = Parameters
    destination_en = "to a party with an adverse public record"
    destination_zh = "流向涉诉/失信/处罚对手方"
    checks = (
        "Read the public record in the original: which role the party has, which amount, whether it is settled",
        "Check that it is the same party and not one of the same name",
        "Establish what the payment was for",
    )
    measures = ("watch the payee", "refuse it as an entrusted payee", "ask for proof of trade after review")

    def counts(self, passage: Passage, context: Context) -> bool:
        loan, payee, transfer = passage.loan, passage.payee, passage.transfer
        rules = self.parameters(loan, context)
        if not self.is_of_a_known_party(passage, rules.hops_max, rules.window_days, context):
            return False
        return bool(_adverse(passage, context)) and context.side(loan, payee, transfer.event_time_ms) is None

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def destination(self, hits: list[Passage]) -> tuple[str, str]:
        names = ", ".join(dict.fromkeys(hit.payee.account_id for hit in hits[-3:]))
        return f"to {names}, with an adverse public record", f"流向{names}（涉诉/失信/处罚）"

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        party = context.party_of(hits[-1].payee)
        kinds = ", ".join(sorted({f"{note.category} {note.code or ''}".strip() for note in _adverse(hits[-1], context)}))
        return (
            LookAlike(name="plaintiff", result="EXCLUDED", detail=f"what counts is against the party: {kinds}"),
            LookAlike(name="revoked_or_settled", result="EXCLUDED",
                      detail="none of it had been removed or settled by the time of the payment"),
            LookAlike(name="same_name_only", result="EXCLUDED", detail=f"the party is known as {party}, not by a bare name"),
        )  # fmt: skip

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """As a breach is weighed, but never graver than MEDIUM; the public facts stand in the alert."""
        finding = super().judge(loan, hits, context)
        last = finding.hits[-1]
        notes = _adverse(last, context)
        count = Measure(name="adverse_events_in_force", observed=len(notes), expected=0.0, threshold=1.0, unit="events")
        return msgspec.structs.replace(
            finding, severity="MEDIUM", measures=(*finding.measures, count), account_id=last.payee.account_id,
            party_notes=published_notes(context.party_of(last.payee), notes),
        )  # fmt: skip


def _adverse(hit: Passage, context: Context) -> tuple[Note, ...]:
    notes = context.parties.in_force(context.party_of(hit.payee), hit.transfer.event_time_ms)
    return tuple(note for note in notes if meaning_of(note, context.codes) in (ADVERSE, DISTRESS))
