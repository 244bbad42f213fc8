"""Public facts about parties, as detectors read them and alerts show them."""

from __future__ import annotations

from collections.abc import Iterable

from detectors.alert_record import PartyNote, RelatedPayment
from detectors.instants import rfc3339
from detectors.loans import Loan
from detectors.lots import Transfer
from detectors.parties import Note
from detectors.uses import ADVERSE, REGISTERED, CodeLists


def meaning_of(note: Note, codes: CodeLists) -> str | None:
    """What a note means: by its code, else by its category: a court, penalty or tax event is adverse, whatever its code."""
    if note.code is not None and note.code in codes.party_codes:
        return codes.party_codes[note.code]
    if note.category == "REGISTRATION":
        return REGISTERED if note.code is None else None
    return ADVERSE


def published_notes(party_id: str | None, notes: Iterable[Note]) -> tuple[PartyNote, ...]:
    """Notes of a party as an alert shows them."""
    return tuple(
        PartyNote(
            party_id=party_id or "", category=note.category, code=note.code, occurred_at=rfc3339(note.occurred_ms),
            published_at=rfc3339(note.published_ms),
        )
        for note in notes
    )  # fmt: skip


def borrower_words(loan: Loan) -> tuple[str, str]:
    """The loan's borrower in a sentence: (English, Chinese)."""
    return loan.borrower_id or "an unnamed customer", loan.borrower_id or "（未载明）"


def related(role: str, transfer: Transfer) -> RelatedPayment:
    """A payment as an alert shows it beside the money's way."""
    return RelatedPayment(
        role=role, txn_id=transfer.txn_id, event_time=rfc3339(transfer.event_time_ms), payer=transfer.payer,
        payee=transfer.payee, amount_minor=transfer.amount_minor,
    )  # fmt: skip
