"""T25 BORROWER_DISTRESS_EVENT: the borrower's licence, assets or tax standing is lost while the loan is owed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from detectors.alert_record import Contribution, LookAlike, Measure
from detectors.detector import LOAN, PARTY, Context
from detectors.events import PartyEvent
from detectors.finding import NOTHING_TRACED, Finding
from detectors.loans import Loan, Passage
from detectors.money import format_money
from detectors.parties import Note
from detectors.public_facts import meaning_of, published_notes
from detectors.use_rule import UseRule, clears
from detectors.uses import CONVERTED, DISTRESS

DAY_MS = 86_400_000


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.01  # of the loan that is still owed
    conversion_days_max: Annotated[int, Meta(ge=0, le=3650)] = 90  # between the end of the old registration and the new one


class BorrowerDistressEvent(UseRule[Parameters]):
    """A public event that puts the borrower's existence at stake, published while part of the loan is not repaid.

    What is owed is what was paid out less the repayments of principal and reversals that the fold has seen. It is judged from
    the loan's record, for as long as that is kept. Misses borrowers whose id the feed of events does not use.
    """

    code = "T25"
    name = "BORROWER_DISTRESS_EVENT"
    name_zh = "主体异常"
    kind = "EVENT"
    asks = frozenset({PARTY, LOAN})
    uses = frozenset()
    sees_one_book = True  # repayments that another book's accounts make are not seen
    Parameters = Parameters
    destination_en = "to a borrower in distress"
    destination_zh = "借款主体异常"
    checks = (
        "Read the public record in the original, and its date",
        "Check whether a successor has taken the business over (个转企) or the entry has been removed",
        "Compare the account's traffic of the last weeks with the usual",
    )
    measures = ("watch the accounts", "reclassify the loan", "stop further drawings", "early repayment after review")

    def counts(self, passage: Passage, context: Context) -> bool:
        return False

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def disbursed(self, loan: Loan, context: Context) -> tuple[Finding, ...]:
        """What was in force at the payout counts too."""
        return self._judge(loan, loan.paid_ms, context)

    def heard(self, event: PartyEvent, loans: Sequence[Loan], context: Context) -> tuple[Finding, ...]:
        """Something became known of a borrower, or no longer holds."""
        return tuple(finding for loan in loans for finding in self._judge(loan, event.event_time_ms, context))

    def _judge(self, loan: Loan, at_ms: int, context: Context) -> tuple[Finding, ...]:
        notes = context.parties.in_force(loan.borrower_id, at_ms)
        distress = [note for note in notes if meaning_of(note, context.codes) == DISTRESS]
        if not distress and self.code not in loan.alerts:
            return ()
        owed_minor = loan.owed_minor
        rules = self.parameters(loan, context)
        converted = _is_converted(distress, notes, rules.conversion_days_max, context)
        stands = bool(distress) and loan.share(owed_minor) >= rules.share_min and not converted
        return (self._finding(loan, distress, at_ms, owed_minor, stands, converted, context),)

    def _finding(
        self, loan: Loan, distress: list[Note], at_ms: int, owed_minor: int, stands: bool, converted: bool, context: Context
    ) -> Finding:
        owed = format_money(owed_minor, loan.currency)
        what = ", ".join(note.code or note.category for note in distress)
        share = loan.share(owed_minor)
        return Finding(
            typology=self.code, loan=loan, stands=stands, hits=(), bounds=NOTHING_TRACED, traced_minor=0, fifo_minor=0,
            severity="HIGH", score=round(0.5 + 0.5 * min(1.0, share), 4), destination_en=self.destination_en,
            destination_zh=self.destination_zh, event_time_ms=at_ms,
            party_notes=published_notes(loan.borrower_id, distress),
            measures=(
                Measure(name="owed_minor", observed=owed_minor, expected=None, threshold=None,
                        unit=f"{loan.currency} minor units"),
                Measure(name="share_owed", observed=round(share, 4), expected=None,
                        threshold=self.parameters(loan, context).share_min, unit="ratio"),
                Measure(name="distress_events_in_force", observed=len(distress), expected=0.0, threshold=1.0, unit="events"),
            ),
            look_alikes=(
                clears("conversion", converted, "the sole trader became a company within the days allowed" if converted
                       else "no conversion of the business was published"),
                LookAlike(name="late_report", result="EXCLUDED" if distress else "NOT_EXCLUDED",
                          detail="the entry is in force" if distress else "the entry was removed"),
            ),
            contributions=(
                Contribution(feature="distress", value=1.0, weight=0.5, added=0.5),
                Contribution(feature="share_owed", value=round(min(1.0, share), 4), weight=0.5,
                             added=round(0.5 * min(1.0, share), 4)),
            ),
            sentence=(
                f"{what} was published of {loan.borrower_id}, who owes {owed} ({share:.0%}) of loan {loan.loan_id}.",
                f"借款人{loan.borrower_id}被公示{what}，借据{loan.loan_id}尚欠{owed}（{share:.0%}）。",
            ),
        )  # fmt: skip


def _is_converted(distress: Sequence[Note], notes: Sequence[Note], days_max: int, context: Context) -> bool:
    """Every registration that ended was followed, or preceded, by the registration of the company it became."""
    conversions = [note.occurred_ms for note in notes if meaning_of(note, context.codes) == CONVERTED]
    ended = [note for note in distress if note.category == "REGISTRATION"]
    return (
        len(ended) == len(distress) > 0
        and bool(conversions)
        and all(any(abs(note.occurred_ms - at_ms) <= days_max * DAY_MS for at_ms in conversions) for note in ended)
    )
