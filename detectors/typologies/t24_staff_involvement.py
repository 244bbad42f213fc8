"""T24 STAFF_INVOLVEMENT: an account of the bank's own staff stands in the loan money's way."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from detectors.accounts import Account
from detectors.alert_record import LookAlike
from detectors.detector import Context
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.use_rule import UseRule, clears
from detectors.uses import OTHER, says
from detectors.verdict import Weighed

FAMILY = frozenset({"SPOUSE", "RELATIVE"})


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.05  # of the loan
    window_days: Annotated[int, Meta(ge=1, le=3650)] = 90  # after the payout
    hops_max: Annotated[int, Meta(ge=1, le=100)] = 3
    rent_share_max: Annotated[float, Meta(gt=0, le=1)] = 0.20  # a first rent above this share is not taken for one
    rent_words: tuple[str, ...] = ("房租", "租金", "rent")
    lists: tuple[str, ...] = ("STAFF",)


class StaffInvolvement(UseRule[Parameters]):
    """Payments of loan money to accounts on the STAFF list, or of parties on it.

    For the eyes of audit and compliance alone: never shown to the officer's own line. Misses accounts of staff's families and
    accounts that the list does not know.
    """

    code = "T24"
    name = "STAFF_INVOLVEMENT"
    name_zh = "员工账户过渡"
    kind = "PATTERN"
    uses = frozenset({OTHER})
    Parameters = Parameters
    destination_en = "to an account of the bank's staff"
    destination_zh = "流入本行员工账户"
    checks = (
        "Without asking the officer's line: what is the member of staff to this loan?",
        "Look at where the money went from the staff account",
        "Look for other loans of the same officer with payments to this account",
    )
    measures = ("leave the account unblocked and watch it", "hand the case to audit", "take the officer off the file")

    def counts(self, passage: Passage, context: Context) -> bool:
        loan, rules = passage.loan, self.parameters(passage.loan, context)
        if not context.parties.has_lists or passage.hops > rules.hops_max:
            return False
        at_ms = passage.transfer.event_time_ms
        if not _is_staff(passage.payee, at_ms, rules, context) or _is_rent(passage, rules):
            return False
        if says(passage.record.memo, context.codes.wage_words) or context.side(loan, passage.payee, at_ms) == "BORROWER":
            return False  # wages of a second job; staff may borrow too
        return loan.hours_since_payout(at_ms) <= rules.window_days * 24

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        roles = [context.side(loan, hit.payee, hit.transfer.event_time_ms) for hit in hits]
        family = all(role in FAMILY for role in roles)
        known = all(hit.payer.paid_before(hit.payee.account_id, loan.paid_ms) for hit in hits)
        return (
            clears("relative", family, "a member of staff who is family of the borrower, by a recorded link" if family
                   else "no family link on record"),
            LookAlike(name="earlier_payments", result="EXCLUDED" if not known else "NOT_TESTABLE",
                      detail=f"this account was {'' if known else 'not '}paid before the loan"),
            LookAlike(name="rent", result="EXCLUDED", detail="no payment counted is a usual or small rent"),
        )  # fmt: skip

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """A pattern, whatever the certain share; the account is named, and the alert goes to restricted eyes only."""
        finding = super().judge(loan, hits, context)
        account_id = finding.hits[-1].payee.account_id
        return msgspec.structs.replace(finding, severity="MEDIUM", account_id=account_id, restricted=True)


def _is_staff(account: Account, at_ms: int, rules: Parameters, context: Context) -> bool:
    listed = context.parties.lists_of(account.account_id, context.party_of(account), at_ms)
    return any(name in rules.lists for name in listed)


def _is_rent(passage: Passage, rules: Parameters) -> bool:
    """The memo says rent, and the account was paid before the loan or the sum is small."""
    if not says(passage.record.memo, rules.rent_words):
        return False
    loan = passage.loan
    usual = passage.payer.paid_before(passage.payee.account_id, loan.paid_ms)
    return usual or loan.share(passage.transfer.amount_minor) <= rules.rent_share_max
