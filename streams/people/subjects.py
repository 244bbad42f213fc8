"""Whom an alert is about, and what it rests on beside the money's way, in words for people."""

from __future__ import annotations

from collections.abc import Iterator

from detectors.alert_record import Alert
from detectors.money import format_money
from streams.people.figures import counted, in_words, local_time
from streams.people.glossary import account_name

NAMED_MAX = 3
"""Loans of a group named in one line."""


def subject_words(alert: Alert) -> str:
    """The loan, the group or the account, in a few words."""
    subject = alert.subject
    if subject.kind == "ACCOUNT":
        return f"account {subject.account_id}"
    if subject.kind == "GROUP":
        names = ", ".join(member.loan_id for member in subject.members[:NAMED_MAX])
        count = len(subject.members) + subject.members_left_out
        more = ", ..." if count > NAMED_MAX else ""
        return f"{counted(count, 'loan')} ({names}{more}) around account {subject.account_id}"
    whose = f" of {subject.customer_id}" if subject.customer_id else ""
    return f"loan {subject.loan_id}{whose}" if subject.loan_id else (subject.customer_id or "subject unknown")


def loans_of(alert: Alert) -> tuple[str, ...]:
    """The loan that an alert is about, or the members of its group."""
    members = tuple(member.loan_id for member in alert.subject.members)
    return members if alert.subject.loan_id is None else (alert.subject.loan_id, *members)


def member_rows(alert: Alert, utc_offset_minutes: int) -> list[tuple[object, ...]]:
    """A group's members: (loan, customer, amount and payout, how much of it is in question)."""
    return [
        (
            member.loan_id,
            member.customer_id or "not named",
            f"{format_money(member.loan_amount_minor, alert.currency)}, {local_time(member.disbursed_at, utc_offset_minutes)}",
            format_money(member.traced_minor, alert.currency),
        )
        for member in alert.subject.members
    ]


def further_evidence(alert: Alert, utc_offset_minutes: int) -> Iterator[str]:
    """What the alert rests on beside the money's way, a line each: other payments, public facts."""
    for payment in alert.related:
        amount = format_money(payment.amount_minor, alert.currency)
        way = f"{account_name(payment.payer)} -> {account_name(payment.payee)}"
        at = local_time(payment.event_time, utc_offset_minutes)
        yield f"{in_words(payment.role)}: {at}  {amount}  {way}, txn {payment.txn_id}"
    for note in alert.party_notes:
        published = local_time(note.published_at, utc_offset_minutes)
        occurred = local_time(note.occurred_at, utc_offset_minutes)
        code = f" {note.code}" if note.code else ""
        yield f"{note.party_id}: {note.category}{code}, of {occurred}, published {published}"
