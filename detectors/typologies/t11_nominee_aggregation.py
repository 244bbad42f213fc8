"""T11 NOMINEE_AGGREGATION: the money of several loans is gathered on one account, whose owner seems to be the real borrower."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from detectors.accounts import Account
from detectors.alert_record import LookAlike, Measure
from detectors.detector import PAYMENT, Context, Payment
from detectors.finding import Finding
from detectors.group_rule import DAY_MS, GroupRule
from detectors.groups import Group
from detectors.loans import Loan, Passage
from detectors.lots import Transfer
from detectors.money import format_money
from detectors.use_rule import clears
from detectors.uses import LOAN_INTEREST, LOAN_REPAYMENT, POCKETS, says

SERVICE_DAYS = 3
"""Within which a member pays on what the common account gave him for his instalment."""
PAYMENTS_MAX = 60
"""Payments that tie the members together, remembered per group."""
_SERVICES, _RETURNS, _SIDE, _ADDRESS = "services_their_loans", "pays_them_back", "controls_members", "share_an_address"
_WEIGHTS = {_SERVICES: 0.3, _RETURNS: 0.2, _SIDE: 0.3, _ADDRESS: 0.2}
_ENGLISH = {
    _SERVICES: "it also repays their loans", _RETURNS: "it pays money back to them",
    _SIDE: "its owner is linked to several of them", _ADDRESS: "several of them share an address or a phone",
}  # fmt: skip
_CHINESE = {
    _SERVICES: "并代其还款",
    _RETURNS: "并向其回拨资金",
    _SIDE: "户主与多名借款人存在关联",
    _ADDRESS: "多名借款人地址或电话相同",
}


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    loans_min: Annotated[int, Meta(ge=2, le=1000)] = 3  # of different borrowers
    window_days: Annotated[int, Meta(ge=1, le=365)] = 7  # within which their money meets
    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.20  # of each loan
    hops_max: Annotated[int, Meta(ge=1, le=100)] = 4  # payments from a borrower's account to the common one
    exposure_days: Annotated[int, Meta(ge=1, le=3650)] = 90  # after a payout
    tied_min: Annotated[int, Meta(ge=2, le=1000)] = 2  # members that a second signal has to concern
    returned_min: Annotated[float, Meta(gt=0, le=1)] = 0.20  # of what a member brought: less paid back is change or a refund
    tied_share_min: Annotated[float, Meta(gt=0, le=1)] = 0.34  # ... and as a share of the members


class NomineeAggregation(GroupRule[Parameters]):
    """Loans of different borrowers whose money meets on one account that is no hub, and a second signal that ties them.

    Second signals: one payer services several of the loans; the account pays money back to several of the borrowers; its
    owner is linked to several of them; several share an address or a phone. Without one, a dealer who sells to many farmers
    looks the same, and nothing is said. Misses gathering in cash or at another bank.
    """

    code = "T11"
    name = "NOMINEE_AGGREGATION"
    name_zh = "借名贷款/垒大户"
    asks = frozenset({PAYMENT})
    payment_uses = frozenset({LOAN_REPAYMENT, LOAN_INTEREST})
    Parameters = Parameters
    destination_en = "to one account that gathers several loans"
    destination_zh = "多笔贷款归集至同一账户"
    checks = (
        "Compare the borrowers' addresses, phones, guarantors and account managers",
        "Establish who operates the gathering account and what it pays for",
        "Check who brought the applications, and who pays the instalments",
    )
    measures = ("watch all loans of the group", "review them together", "stop further drawings", "treat as one exposure")

    def counts(self, passage: Passage, context: Context) -> bool:
        payee, loan = passage.payee, passage.loan
        if payee.is_sink or payee.place in POCKETS or passage.payee is loan.account:
            return False
        rules = self.parameters(loan, context)
        if passage.hops > rules.hops_max or loan.share(passage.traced_minor) < rules.share_min:
            return False
        if loan.hours_since_payout(passage.transfer.event_time_ms) > rules.exposure_days * 24:
            return False
        return self.still_counts(passage, context)

    def still_counts(self, hit: Passage, context: Context) -> bool:
        """Moving to an own account gathers nothing."""
        owner = context.party_of(hit.payee)
        return owner is None or owner != hit.loan.borrower_id

    def window_days(self, loan: Loan, context: Context) -> int:
        return self.parameters(loan, context).window_days

    def members_min(self, loan: Loan, context: Context) -> int:
        return self.parameters(loan, context).loans_min

    def observe(self, passage: Passage, context: Context) -> tuple[Finding, ...]:
        """Join; from the second member on, the common account's payments are of interest."""
        findings = super().observe(passage, context)
        group = context.groups.find(self.code, passage.payee.account_id, passage.transfer.currency)
        if group is not None and len(group.loans) > 1 and passage.loan.origin.number in group.loans:
            for loan in group.loans.values():
                context.watch(passage.payee, loan)
        return findings

    def paid(self, payment: Payment, loans: Sequence[Loan], context: Context) -> tuple[Finding, ...]:
        """A loan is serviced, or the common account pays: does that tie members together?"""
        groups: dict[str, Group] = {}
        for loan in loans:
            for group in context.groups.groups_of(self.code, loan):
                groups.setdefault(group.account_id, group)
        findings: list[Finding] = []
        for group in groups.values():
            if _ties(group, payment, context) and len(group.ties) < PAYMENTS_MAX:
                group.ties.append(payment.transfer)
                group.tied.append(_member_paid_for(group, payment, context))
                findings += self.judge(group, context)
        return tuple(findings)

    def second_signals(self, group: Group, hits: Sequence[Passage], context: Context) -> Mapping[str, float]:
        first = next(iter(group.loans.values()))
        rules = self.parameters(first, context)
        least = max(rules.tied_min, math.ceil(rules.tied_share_min * len(group.loans)))
        ties = list(zip(group.ties, group.tied, strict=True))
        serviced = {loan_id for payment, loan_id in ties if payment.use in _DEBT_SERVICE}
        returned = [loan for loan in group.loans.values() if _returned_share(group, loan) >= rules.returned_min]
        last = hits[-1]
        at_ms = last.transfer.event_time_ms
        sided = [loan for loan in group.loans.values() if context.side(loan, last.payee, at_ms) is not None]
        found = {
            _SERVICES: len(serviced) >= least, _RETURNS: len(returned) >= least, _SIDE: len(sided) >= least,
            _ADDRESS: _sharing(group, at_ms, context) >= least,
        }  # fmt: skip
        return {name: _WEIGHTS[name] if there else 0.0 for name, there in found.items()}

    def look_alikes(
        self, group: Group, hits: Sequence[Passage], signals: Mapping[str, float], context: Context
    ) -> tuple[LookAlike, ...]:
        alone = not any(signals.values())
        payee = hits[-1].payee
        return (
            clears("dealer_of_many", alone, f"{payee.payer_count} payers; nothing else ties the borrowers" if alone
                   else "more than a common dealer ties the borrowers"),
            LookAlike(name="hub", result="EXCLUDED", detail=f"the account is no hub; it has {payee.payer_count} payers"),
        )  # fmt: skip

    def extra_measures(self, group: Group, hits: Sequence[Passage], context: Context) -> tuple[Measure, ...]:
        managers = {loan.info.account_manager_id for loan in group.loans.values() if loan.info is not None}
        return (Measure(name="account_managers", observed=len(managers), expected=None, threshold=None, unit="managers"),)

    def sentence(self, group: Group, finding_minor: int, signals: Mapping[str, float]) -> tuple[str, str]:
        borrowers = {loan.borrower_id or loan.loan_id for loan in group.loans.values()}
        amount = format_money(finding_minor, group.currency)
        why_en = "; ".join(_ENGLISH[name] for name, weight in signals.items() if weight) or "nothing else ties them"
        why_zh = "；".join(_CHINESE[name] for name, weight in signals.items() if weight) or "无其他关联"
        return (
            f"{amount} of {len(group.loans)} loans of {len(borrowers)} borrowers was gathered on {group.account_id}; {why_en}.",
            f"{len(borrowers)}名借款人的{len(group.loans)}笔贷款共{amount}归集至账户{group.account_id}，{why_zh}。",
        )


_DEBT_SERVICE = frozenset({LOAN_REPAYMENT, LOAN_INTEREST})


def _ties(group: Group, payment: Payment, context: Context) -> bool:
    """Somebody else pays a member's loan, with his own hands or the member's; or the common account pays a member."""
    member = _member_paid_for(group, payment, context)
    if not member:
        return False
    if payment.transfer.use not in _DEBT_SERVICE:
        return payment.payer.account_id == group.account_id and not says(payment.record.memo, context.codes.refund_words)
    owner = context.party_of(payment.payer)
    by_hub = payment.payer.account_id == group.account_id or (owner is not None and owner == _owner(group, context))
    return by_hub or any(
        loan_id == member and tie.use not in _DEBT_SERVICE and _funds(tie, payment.transfer)
        for tie, loan_id in zip(group.ties, group.tied, strict=True)
    )


def _funds(tie: Transfer, service: Transfer) -> bool:
    """What the common account paid a member went into the service of the loan: like amount, within days."""
    late_ms = service.event_time_ms - tie.event_time_ms
    return 0 <= late_ms <= SERVICE_DAYS * DAY_MS and abs(tie.amount_minor - service.amount_minor) <= 0.1 * service.amount_minor


def _returned_share(group: Group, loan: Loan) -> float:
    """What the common account paid back to a member, as a share of what had come from his loan."""
    back = sum(
        tie.standing_minor for tie, loan_id in zip(group.ties, group.tied, strict=True)
        if loan_id == loan.loan_id and tie.use not in _DEBT_SERVICE
    )  # fmt: skip
    brought = sum(hit.standing_minor() for hit in group.passages.get(loan.origin.number, ()))
    return back / brought if brought else 0.0


def _owner(group: Group, context: Context) -> str | None:
    account = context.tracer.look(group.account_id, group.currency)
    return context.party_of(account) if account is not None else None


def _member_paid_for(group: Group, payment: Payment, context: Context) -> str:
    """The member whose loan the payment services, or whose account it goes to; "" when it is none's."""
    for loan in group.loans.values():
        if payment.transfer.use in _DEBT_SERVICE:
            if payment.record.related_loan_id == loan.loan_id:
                return loan.loan_id
        elif _is_of(payment.payee, loan, context) and not payment.payer.paid_before(payment.payee.account_id, loan.paid_ms):
            return loan.loan_id
    return ""


def _is_of(account: Account, loan: Loan, context: Context) -> bool:
    return account is loan.account or (loan.borrower_id is not None and context.party_of(account) == loan.borrower_id)


def _sharing(group: Group, at_ms: int, context: Context) -> int:
    """How many members share an address or a phone: with another member, or each with the same third party."""
    owners = dict.fromkeys(loan.borrower_id for loan in group.loans.values() if loan.borrower_id is not None)
    near: dict[str, set[str]] = {}  # party -> the members at its address or phone
    for borrower in owners:
        for other, role in context.parties.roles(borrower, at_ms):
            if role in ("SAME_ADDRESS", "SAME_PHONE"):
                near.setdefault(other, {other} if other in owners else set()).add(borrower)
    return max((len(members) for members in near.values()), default=0)
