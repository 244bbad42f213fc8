"""T05 RETURN_TO_BORROWER_SIDE: loan money comes back to the borrower, its owners, family or guarantor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from detectors.alert_record import LookAlike
from detectors.detector import Context, Payment
from detectors.echo import Echo, EchoRule, EchoTerms
from detectors.loans import Loan, Passage
from detectors.parties import BORROWER
from detectors.use_rule import clears
from detectors.uses import POCKETS, says
from detectors.verdict import Weighed


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """The direct rule is a supervisor's published check (within 3 days, 0.2 to 1.25 of the loan); the rest is proposed."""

    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.20
    share_max: Annotated[float, Meta(gt=0, le=10)] = 1.25  # payments above it are other business, unless the money is certain
    direct_days_max: Annotated[int, Meta(ge=0, le=365)] = 3  # calendar days from the payout, direct payment
    return_days_max: Annotated[int, Meta(ge=0, le=365)] = 15  # through other accounts
    hops_max: Annotated[int, Meta(ge=1, le=100)] = 5
    returned_min: Annotated[float, Meta(gt=0, le=1)] = 0.90  # of what a stranger was paid, when he pays the side that much
    returned_max: Annotated[float, Meta(gt=0, le=10)] = 1.00  # ... more is other business
    like_sums: bool = True  # whether sums paid on by whom the loan had paid are read beside the money itself


class ReturnToBorrowerSide(EchoRule[Parameters]):
    """Loan money that reaches the borrower's side: directly a related party, or anybody of the side through strangers.

    Moving between the borrower's own accounts is no return, nor is redeeming what the borrower had invested. Money that comes
    back from another bank is seen only when the account it comes from is the one it had gone to.
    """

    code = "T05"
    name = "RETURN_TO_BORROWER_SIDE"
    name_zh = "回流借款人/关联方/担保人"
    Parameters = Parameters
    destination_en = "to the borrower's own side"
    destination_zh = "流向借款人一方账户"
    checks = (
        "Read contract, invoice and delivery papers of the first payment",
        "Establish the relation between the payee and the account the money came back to",
        "Look at what the returned money was used for next",
    )
    measures = (
        "watch the receiving account",
        "ask for proof of trade after review",
        "stop further drawings",
        "early repayment",
    )

    def counts(self, passage: Passage, context: Context) -> bool:
        loan, transfer = passage.loan, passage.transfer
        role = context.side(loan, passage.payee, transfer.event_time_ms)
        if role is None or passage.payer.place in POCKETS:
            return False
        rules = self.parameters(loan, context)
        payer_role = context.side(loan, passage.payer, transfer.event_time_ms)
        if _is_wage(passage, rules, context) or (says(passage.record.memo, context.codes.refund_words) and _came_from(passage)):
            return False
        days = context.day(transfer.event_time_ms) - context.day(loan.paid_ms)
        if payer_role == BORROWER:
            return role != BORROWER and days <= rules.direct_days_max
        if payer_role is not None:
            return False  # already on the borrower's side: it moves on inside it
        return 2 <= passage.hops <= rules.hops_max and days <= rules.return_days_max

    def is_outflow(self, passage: Passage, context: Context) -> bool:
        return passage.payee.account_id not in passage.loan.entrusted_accounts  # that is T06's

    def terms(self, loan: Loan, context: Context) -> EchoTerms:
        rules = self.parameters(loan, context)
        return EchoTerms(rules.returned_min, rules.returned_max, rules.return_days_max, rules.share_min, of_trader="BREACH")

    def goes_astray(self, payment: Payment, loan: Loan, context: Context) -> bool:
        return context.side(loan, payment.payee, payment.transfer.event_time_ms) is not None

    def echo_look_alikes(self, loan: Loan, echoes: Sequence[Echo], context: Context) -> tuple[LookAlike, ...]:
        deposit = all(_may_be_deposit(echo, loan) for echo in echoes)
        detail = (
            "the same sum came back where it was from, out of an account whose owner nobody names: so does a deposit of his own"
            if deposit else "another sum, another account, or an owner on record"
        )  # fmt: skip
        return (clears("own_deposit", deposit, detail),)

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def destination(self, hits: list[Passage]) -> tuple[str, str]:
        payees = ", ".join(dict.fromkeys(hit.payee.account_id for hit in hits[-3:]))
        return f"to the borrower's own side ({payees})", f"流向借款人一方账户（{payees}）"

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        rules = self.parameters(loan, context)
        traded = all(hit.payer.paid_before(hit.payee.account_id, loan.paid_ms) for hit in hits if hit.hops >= 2)
        traded = traded and any(hit.hops >= 2 for hit in hits) and (weighed.chain_ratio or 0.0) < 0.8
        paid = loan.share(sum(hit.transfer.standing_minor for hit in hits))
        too_much = paid > rules.share_max and weighed.certain_share < rules.share_min
        pool = all(_is_pooled(loan, hit, context) for hit in hits)
        return (
            clears("refund", False, "no payment counted goes back where it came from, and says that it is a refund"),
            clears("trade_before_loan", traded, "the payer had paid this account before the loan, in other amounts"
                   if traded else "no two-way trade on record before the loan, or the amounts match too well"),
            clears("beyond_ratio", too_much, f"the payments are {paid:.1%} of the loan, against at most {rules.share_max:.0%}"),
            clears("cash_pool", pool, "a member of the group that paid and was paid before the loan" if pool
                   else "not a cash pool of the group that predates the loan"),
            clears("wages", False, "no payment counted is a payroll batch, or a wage that is small or usual"),
        )  # fmt: skip


def _may_be_deposit(echo: Echo, loan: Loan) -> bool:
    """Exactly the sum came back to the very account, and neither a record nor the contract names who holds the other one."""
    payer = echo.payer
    named = payer.customer_id is not None or payer.party_id is not None or payer.account_id in loan.entrusted_accounts
    back = {transfer.payee for transfer in echo.on} == {hit.transfer.payer for hit in echo.outs}
    return not named and back and echo.on_minor == echo.out_minor


def _is_wage(passage: Passage, rules: Parameters, context: Context) -> bool:
    """A payroll batch; or the memo says wage, and it is small against the loan or goes to somebody paid before the loan."""
    if passage.record.txn_type == "PAYROLL_AGENCY":
        return True
    loan, transfer = passage.loan, passage.transfer
    if not says(passage.record.memo, context.codes.wage_words):
        return False
    usual = passage.payer.paid_before(passage.payee.account_id, loan.paid_ms)
    return usual or loan.share(transfer.amount_minor) < rules.share_min


def _is_pooled(loan: Loan, hit: Passage, context: Context) -> bool:
    """Both directions were in use between the two accounts of one group before the loan."""
    role = context.side(loan, hit.payee, hit.transfer.event_time_ms)
    forth = hit.payer.paid_before(hit.payee.account_id, loan.paid_ms)
    return role == "GROUP_MEMBER" and forth and hit.payee.paid_before(hit.payer.account_id, loan.paid_ms)


def _came_from(hit: Passage) -> bool:
    """The transfer goes back to the very account the payer's money came from, and is not more than came from there."""
    befores = {}
    for parcel in hit.parcels:
        before = parcel.trail.parent
        if before is None or before.transfer.payer != hit.transfer.payee:
            return False
        befores[before.transfer.seq] = before.transfer.amount_minor
    return hit.transfer.amount_minor <= sum(befores.values())
