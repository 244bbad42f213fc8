"""T15 SHELL_COUNTERPARTY: loan money goes to a firm that was registered lately and shows no sign of a business."""

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
from detectors.use_rule import UseRule, clears
from detectors.uses import BRANCH, NO_CAPITAL, NO_TAX, REGISTERED, SOLE_TRADER
from detectors.verdict import Weighed

DAY_MS = 86_400_000
_OLD_DAYS = 365
"""A group member registered so long ago, or of which nothing is published, is an older firm."""
_REGISTRATIONS = frozenset({REGISTERED, BRANCH, SOLE_TRADER})


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.20  # of the loan that went to such a firm
    registered_days_max: Annotated[int, Meta(ge=1, le=3650)] = 180  # between registration and payment
    signs_min: Annotated[int, Meta(ge=1, le=3)] = 2  # of: no capital, no tax, a single customer
    window_days: Annotated[int, Meta(ge=1, le=3650)] = 90  # after the payout
    hops_max: Annotated[int, Meta(ge=1, le=100)] = 2  # payments from the borrower's account to the firm


class ShellCounterparty(UseRule[Parameters]):
    """A payee whose registration, as published by the time of the payment, is young, and which shows ``signs_min`` signs.

    Signs: a public note of no paid-in capital, one of no tax, and no payer beside the borrower (or the accounts that passed
    the loan's money on). Misses firms of which nothing was published, and bought shelf companies, whose registration is old.
    """

    code = "T15"
    name = "SHELL_COUNTERPARTY"
    name_zh = "空壳对手方"
    kind = "PATTERN"
    Parameters = Parameters
    destination_en = "to a newly registered firm without signs of a business"
    destination_zh = "流向新设空壳企业"
    checks = (
        "Read the firm's registration, paid-in capital, staff and tax record as they are today",
        "Ask for contract, invoice and delivery papers of the payment in the credit file",
        "Check who controls the firm, and whether its address or phone is the borrower's",
    )
    measures = ("watch the payee's account", "refuse it as an entrusted payee", "ask for proof of trade after review")

    def counts(self, passage: Passage, context: Context) -> bool:
        loan, payee, transfer = passage.loan, passage.payee, passage.transfer
        rules = self.parameters(loan, context)
        if not self.is_of_a_known_party(passage, rules.hops_max, rules.window_days, context):
            return False
        notes = context.parties.in_force(context.party_of(payee), transfer.event_time_ms)
        if not _is_young(notes, transfer.event_time_ms, rules.registered_days_max, context):
            return False
        signs = _signs(passage, notes, context)
        return len(signs) >= rules.signs_min and context.side(loan, payee, transfer.event_time_ms) is None

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def destination(self, hits: list[Passage]) -> tuple[str, str]:
        names = ", ".join(dict.fromkeys(hit.payee.account_id for hit in hits[-3:]))
        return f"to {names}, newly registered and without signs of a business", f"流向新设空壳企业{names}"

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        branch = all(_has(hit, BRANCH, context) or _is_of_older_group(hit, context) for hit in hits)
        traded = all(hit.payer.paid_before(hit.payee.account_id, loan.paid_ms) for hit in hits)
        signs = ", ".join(sorted({sign for hit in hits for sign in _signs(hit, _notes(hit, context), context)}))
        return (
            LookAlike(name="honest_start_up", result="EXCLUDED", detail=f"signs of no business: {signs}"),
            clears("new_branch", branch, "registered as a branch, or of one group with an older firm" if branch
                   else "no branch, and no link to a group"),
            LookAlike(name="self_employed_supplier", result="EXCLUDED",
                      detail="missing capital does not count where a sole trader is registered"),
            clears("trade_before_loan", traded, "it was paid before the loan" if traded else "it was not paid before the loan"),
        )  # fmt: skip

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """As a breach is weighed, but never graver than MEDIUM; the public facts stand in the alert."""
        finding = super().judge(loan, hits, context)
        last = finding.hits[-1]
        notes = _notes(last, context)
        youth = last.transfer.event_time_ms - (_registered_ms(notes, context) or 0)
        measures = (
            *finding.measures,
            Measure(name="days_registered", observed=round(youth / DAY_MS, 1), expected=None,
                    threshold=self.parameters(loan, context).registered_days_max, unit="days"),
            Measure(name="signs_of_no_business", observed=len(_signs(last, notes, context)), expected=0.0,
                    threshold=self.parameters(loan, context).signs_min, unit="signs"),
            Measure(name="payers_of_the_payee", observed=last.payee.payer_count, expected=None, threshold=None, unit="payers"),
        )  # fmt: skip
        facts = published_notes(context.party_of(last.payee), notes)
        return msgspec.structs.replace(
            finding, severity="MEDIUM", measures=measures, party_notes=facts, account_id=last.payee.account_id
        )


def _notes(hit: Passage, context: Context) -> tuple[Note, ...]:
    return context.parties.in_force(context.party_of(hit.payee), hit.transfer.event_time_ms)


def _registered_ms(notes: tuple[Note, ...], context: Context) -> int | None:
    """The day of a party's registration, as published."""
    return min((note.occurred_ms for note in notes if meaning_of(note, context.codes) in _REGISTRATIONS), default=None)


def _is_young(notes: tuple[Note, ...], at_ms: int, days_max: int, context: Context) -> bool:
    registered_ms = _registered_ms(notes, context)
    return registered_ms is not None and at_ms - registered_ms < days_max * DAY_MS


def _signs(hit: Passage, notes: tuple[Note, ...], context: Context) -> list[str]:
    """Signs that the payee has no business of its own."""
    meanings = {meaning_of(note, context.codes) for note in notes}
    signs = []
    if NO_CAPITAL in meanings and SOLE_TRADER not in meanings:
        signs.append("no paid-in capital")
    if NO_TAX in meanings:
        signs.append("no tax")
    if hit.payee.payer_count <= 1:
        signs.append("a single customer")
    return signs


def _has(hit: Passage, meaning: str, context: Context) -> bool:
    return any(meaning_of(note, context.codes) == meaning for note in _notes(hit, context))


def _is_of_older_group(hit: Passage, context: Context) -> bool:
    """Linked as a member of a group to a party that is not itself young, as far as anything is published of it."""
    at_ms = hit.transfer.event_time_ms
    roles = context.parties.roles(context.party_of(hit.payee), at_ms)
    firms = [other for other, role in roles if role == "GROUP_MEMBER"]
    return any(not _is_young(context.parties.in_force(firm, at_ms), at_ms, _OLD_DAYS, context) for firm in firms)
