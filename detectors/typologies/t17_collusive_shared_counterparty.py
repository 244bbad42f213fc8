"""T17 COLLUSIVE_SHARED_COUNTERPARTY: many borrowers pay one party what looks like a fee on their loans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from detectors.alert_record import LookAlike, Measure
from detectors.detector import Context
from detectors.group_rule import GroupRule
from detectors.groups import Group
from detectors.loans import Loan, Passage
from detectors.money import format_money
from detectors.use_rule import clears
from detectors.uses import OTHER

_PROPORTIONAL, _BROKER = "proportional_to_the_loan", "on_the_broker_list"


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    borrowers_min: Annotated[int, Meta(ge=2, le=1000)] = 5
    window_days: Annotated[int, Meta(ge=1, le=365)] = 30  # within which they pay
    fee_min: Annotated[float, Meta(gt=0, le=1)] = 0.01  # of the loan, smallest payment that looks like a fee
    fee_max: Annotated[float, Meta(gt=0, le=1)] = 0.05  # ... and largest
    exposure_days: Annotated[int, Meta(ge=1, le=3650)] = 30  # after a payout
    spread_max: Annotated[float, Meta(ge=0, le=1)] = 0.20  # by which the rates may differ from their median
    payers_ratio_max: Annotated[float, Meta(ge=1, le=1000)] = 3.0  # payers of the account per borrower: more is other business


class CollusiveSharedCounterparty(GroupRule[Parameters]):
    """Unrelated borrowers who, soon after their payouts, pay the same party one to five per cent of their loans.

    The second signal that a pattern needs: the payments are the same share of each loan, or the party is on the list of
    brokers. Misses fees in cash, to several accounts, or to an account with much other business.
    """

    code = "T17"
    name = "COLLUSIVE_SHARED_COUNTERPARTY"
    name_zh = "团伙共用对手方"
    Parameters = Parameters
    destination_en = "to one party as a fee on several loans"
    destination_zh = "多名借款人向同一对手方支付疑似费用"
    checks = (
        "Establish what the party does, and whether it is licensed to broker loans",
        "Compare who brought the applications, and their papers: same texts, same templates",
        "Ask the borrowers' account managers, after review, whether they know the party",
    )
    measures = ("watch the party's account", "review the loans together", "refuse applications that it brings")

    def counts(self, passage: Passage, context: Context) -> bool:
        payee, loan = passage.payee, passage.loan
        if passage.hops != 1 or payee.is_sink or passage.transfer.use != OTHER:
            return False
        rules = self.parameters(loan, context)
        if not rules.fee_min <= loan.share(passage.transfer.amount_minor) <= rules.fee_max:
            return False
        if loan.hours_since_payout(passage.transfer.event_time_ms) > rules.exposure_days * 24:
            return False
        return self.still_counts(passage, context)

    def still_counts(self, hit: Passage, context: Context) -> bool:
        """What goes to the borrower's own side is no fee."""
        return context.side(hit.loan, hit.payee, hit.transfer.event_time_ms) is None

    def window_days(self, loan: Loan, context: Context) -> int:
        return self.parameters(loan, context).window_days

    def members_min(self, loan: Loan, context: Context) -> int:
        return self.parameters(loan, context).borrowers_min

    def second_signals(self, group: Group, hits: Sequence[Passage], context: Context) -> Mapping[str, float]:
        rules = self.parameters(hits[0].loan, context)
        rates = _rates(hits)
        median = rates[len(rates) // 2]
        alike = all(abs(rate - median) <= rules.spread_max * median for rate in rates)
        last = hits[-1]
        lists = context.parties.lists_of(last.payee.account_id, context.party_of(last.payee), last.transfer.event_time_ms)
        return {_PROPORTIONAL: 0.3 if alike else 0.0, _BROKER: 0.3 if "BROKER" in lists else 0.0}

    def look_alikes(
        self, group: Group, hits: Sequence[Passage], signals: Mapping[str, float], context: Context
    ) -> tuple[LookAlike, ...]:
        rules = self.parameters(hits[0].loan, context)
        payee = hits[-1].payee
        borrowers = {hit.loan.borrower_id or hit.loan.loan_id for hit in hits}
        busy = payee.payer_count > rules.payers_ratio_max * len(borrowers)
        industries = {hit.record.counterparty_industry or "" for hit in hits}
        licensed = any(industry.startswith(prefix) for industry in industries for prefix in context.codes.fee_industries)
        traded = any(hit.payer.paid_before(payee.account_id, hit.loan.paid_ms) for hit in hits)
        return (
            clears("wholesaler_or_platform", busy, f"{payee.payer_count} payers for {len(borrowers)} borrowers"),
            clears("insurer_or_notary", licensed, "its industry charges fees on loans" if licensed
                   else "its industry, as payments state it, is none that charges fees on loans"),
            clears("trade_before_loan", traded, "a borrower had paid it before the loan" if traded
                   else "no borrower had paid it before the loan"),
        )  # fmt: skip

    def extra_measures(self, group: Group, hits: Sequence[Passage], context: Context) -> tuple[Measure, ...]:
        rates = _rates(hits)
        rules = self.parameters(hits[0].loan, context)
        median = Measure(name="median_fee", observed=round(rates[len(rates) // 2], 4), expected=None, threshold=rules.fee_min,
                         unit="ratio")  # fmt: skip
        return (median,)

    def sentence(self, group: Group, finding_minor: int, signals: Mapping[str, float]) -> tuple[str, str]:
        borrowers = {loan.borrower_id or loan.loan_id for loan in group.loans.values()}
        amount = format_money(finding_minor, group.currency)
        return (
            f"{len(borrowers)} borrowers paid {group.account_id} {amount} after their payouts, like shares of their loans.",
            f"{len(borrowers)}名借款人放款后不久向账户{group.account_id}支付共{amount}，占各自贷款比例相近。",
        )


def _rates(hits: Sequence[Passage]) -> list[float]:
    """Each payment as a share of its loan, rising."""
    return sorted(hit.loan.share(hit.transfer.amount_minor) for hit in hits)
