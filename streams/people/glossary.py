"""The words people meet in an alert, explained in both languages."""

from __future__ import annotations

from typing import NamedTuple


class Term(NamedTuple):
    """A name in both languages, and what it means."""

    english: str
    chinese: str
    meaning: str = ""


USES: dict[str, Term] = {
    "SECURITIES": Term("securities/futures", "证券/期货"),
    "WEALTH": Term("wealth products", "理财产品"),
    "PROPERTY": Term("property", "房地产"),
    "TIME_DEPOSIT": Term("time deposit", "定期存款"),
    "CASH": Term("cash", "现金"),
    "QUASI_CASH": Term("quasi-cash", "类现金"),
    "LOAN_REPAYMENT": Term("loan repayment", "归还贷款"),
    "LOAN_INTEREST": Term("loan interest", "贷款利息"),
    "LENDER": Term("another lender", "其他放贷机构"),
    "HUB": Term("hub account", "枢纽账户"),
    "PURCHASE": Term("card purchase", "消费"),
    "AGENCY": Term("payroll/direct debit", "代发/代扣"),
    "OTHER": Term("use not known", "用途不明"),
}
"""Class of use of a payment -> its name."""

SINKS: dict[str, str] = {
    "~LENDER": "the lender",
    "~UNSEEN": "a payer that was not seen",
    "~OTHER_BANK": "another bank (account not named)",
    "~OVERDRAFT": "an overdraft",
}
"""Places that are no account -> what to call them; other places are named after their class of use."""

SEVERITIES: dict[str, Term] = {
    "CRITICAL": Term(
        "critical",
        "严重",
        "A forbidden use, and at least half the loan is there for certain. Look today, before anything else.",
    ),
    "HIGH": Term("high", "高", "A forbidden use, and for certain as much of the loan is there as the rule needs. Look today."),
    "MEDIUM": Term("medium", "中", "The behaviour speaks for it, but own money may have paid. Look this week."),
    "LOW": Term("low", "低", "A weak sign. Look when the others are done."),
}
"""Severity -> name and what to do."""

MARKS = {"CRITICAL": "▲▲", "HIGH": "▲", "MEDIUM": "●", "LOW": "○"}
"""A shape per severity, so that colour is not needed."""

AMOUNTS: dict[str, Term] = {
    "certain": Term(
        "certain", "确定", "However the money in the accounts is divided up, at least this much of the loan is there."
    ),
    "attributed": Term(
        "attributed", "归属", "What the detection ledger puts there: loan money is taken to leave an account first."
    ),
    "possible": Term("possible", "可能", "However the money is divided up, no more than this of the loan can be there."),
}
"""The three amounts."""

LOOK_ALIKE_RESULTS: dict[str, Term] = {
    "EXCLUDED": Term("excluded", "已排除", "tested: this is not what happened"),
    "NOT_EXCLUDED": Term("not excluded", "未排除", "tested: this may be what happened"),
    "NOT_TESTABLE": Term("could not be tested", "无法检验", "the data to tell are missing"),
}
"""Result of testing an innocent explanation -> its name."""

LOOK_ALIKES: dict[str, str] = {
    "drift": "scores and features are not what they were",
    "own_money": "the borrower's own money paid",
    "own_habit": "the borrower always paid there, before the loan too",
    "firm_is_customer": "the firm is a customer of the borrower",
    "approved_hedging": "the loan was approved for hedging",
    "approved_renewal": "an approved renewal of the old loan",
    "revolving_line": "a draw on a revolving line",
    "approved_cash_use": "cash use was approved",
    "wages_in_cash": "wages paid in cash",
    "trade_before_loan": "the two traded before the loan",
    "returned_payment": "a returned payment",
    "established_payee": "a payee with an established business",
    "refund": "a refund",
    "cash_pool": "an agreed cash pool of the group",
    "wages": "wages",
    "parking_before_payment": "money parked until a dated payment",
    "repays_itself": "the loan repaid itself early",
    "beyond_ratio": "more came back than the loan could explain",
    "keeps_a_margin": "the account kept a trader's margin",
    "known_entrusted_payee": "a payee known long before the loan",
    "other_business": "the account has other business",
    "own_business": "the trade of an account on the way",
    "cash_habit": "a habit of drawing small sums",
    "house_loan": "a loan that is meant for a house",
    "decoration_loan": "the decoration that the loan was given for",
    "refunded_purchase": "the purchase was undone and paid back",
    "rent_or_fee": "rent or a management fee",
    "purchase_cycle": "a purchase cycle that predates the loan",
    "channel_cap": "as much as the channel allows in a day",
    "stage_payments": "building work paid by stages",
    "single_payment": "a single payment",
    "required_margin": "margin that the contract requires",
    "waiting": "the money only waited for some days",
    "amounts_differ": "the amounts are not alike",
    "two_way_trade": "trade in both directions",
    "group_treasury": "the treasury of a group",
    "known_payee": "payees known before the loan",
    "own_line_of_business": "the borrower's own line of business",
    "missing_or_stale_code": "a missing or stale industry code",
    "too_few_sums": "too few such sums",
    "atm_cap": "as much as a machine gives in a day",
    "daily_takings": "daily takings",
    "salaries": "salaries",
    "short_purpose": "a purpose that is short by nature",
    "relative": "a relative",
    "earlier_payments": "payments before the loan",
    "rent": "rent",
    "seasonal_firm": "a seasonal firm",
    "opened_for_the_loan": "an account opened for the loan",
    "new_branch": "a new branch of an older firm",
    "self_employed_supplier": "a self-employed supplier",
    "honest_start_up": "an honest start-up",
    "plaintiff": "the party is the plaintiff",
    "revoked_or_settled": "revoked or settled before the payment",
    "same_name_only": "only the name is the same",
    "dealer_of_many": "a dealer with many buyers",
    "hub": "a hub account",
    "wholesaler_or_platform": "a wholesaler or a platform",
    "insurer_or_notary": "an insurer or a notary",
    "family_or_guarantor": "the family or the guarantor helps",
    "customer_pays_in_time": "a customer pays in time",
    "holiday": "a holiday",
    "season": "the season",
    "conversion": "a sole trader became a company",
    "late_report": "a late report, removed again",
    "approved_refinancing": "an approved refinancing",
    "genuine_sale": "a genuine sale of the house",
    "unlike_amounts": "quite other amounts",
    "approved_intercompany": "an approved loan within the group",
    "repays_own_debt": "the borrower pays an own debt",
    "allow_list": "the counterparty is on the allow list",
}
"""Innocent explanation -> what it says; unknown names are shown as words."""

KINDS: dict[str, Term] = {
    "BREACH": Term("breach of a rule", "违规", "the loan's rules forbid this destination"),
    "PATTERN": Term("suspicious pattern", "可疑模式", "the way the money moved is unusual; needs a second sign"),
    "EVENT": Term("event", "事件", "something became known about the borrower"),
}
"""Kind of typology -> its name."""

STATUSES: dict[str, Term] = {
    "OPEN": Term("open", "待处理"),
    "WITHDRAWN": Term("withdrawn", "已撤回", "what became known later no longer supports it; kept for the record"),
}
"""Status of an alert -> its name."""

GLOSSARY: tuple[Term, ...] = (
    Term("account that passed it on", "过手账户", "An account the money only went through on its way."),
    Term(
        "alert", "预警", "Facts about one loan and one kind of misuse that somebody should see. It is revised, never repeated."
    ),
    Term(
        "first in, first out",
        "先进先出",
        "The usual legal rule for mixed money: what came first leaves first. Given beside the attributed amount.",
    ),
    Term(
        "hop",
        "跳",
        "One payment from an account to the next. Hop 1 is the first payment out of the account the loan was paid to.",
    ),
    Term(
        "hub account",
        "枢纽账户",
        "Clearing, payment platform, tax office and the like: so many pay there that meeting there says nothing.",
    ),
    Term(
        "loan money in a payment",
        "所含贷款资金",
        "How much of a payment was this loan's money on its way to the place in question.",
    ),
    Term(
        "look-alike", "相似的正当情形", "An innocent reason for the same picture. Each one was tested, and the result is shown."
    ),
    Term(
        "opening balance unknown",
        "期初余额不明",
        "The data do not say what an account held before; nothing that passed it is certain.",
    ),
    Term("payout", "放款", "The moment the loan's money reached the borrower's account."),
    Term("percentile", "百分位", "Share of earlier alerts of this kind that scored no higher."),
    Term("revision", "版本", "A later, corrected statement of the same alert. The highest one holds."),
    Term("rule set", "规则集", "The thresholds in force on the day the loan's contract was signed."),
    Term("score", "评分", "0 to 1: how strongly the observed facts speak together. It orders alerts of equal severity."),
    Term(
        "withdrawn",
        "已撤回",
        "Later facts (a reversal, a late record) took the ground from under the alert. Nothing is deleted.",
    ),
)
"""Other words, in alphabetical order."""


def use_name(use: str) -> str:
    """The English name of a class of use."""
    return USES[use].english if use in USES else use.replace("_", " ").lower()


def use_both(use: str) -> str:
    """The name of a class of use in both languages."""
    return f"{USES[use].english} {USES[use].chinese}" if use in USES else use_name(use)


def account_name(account: str) -> str:
    """An account's id; for a place that is no account, what to call it.

    >>> account_name("6222-01"), account_name("~CASH")
    ('6222-01', 'cash (no account named)')
    """
    if not account.startswith("~"):
        return account
    if account.startswith("~TRANSIT "):
        return f"in transit ({account.removeprefix('~TRANSIT ')})"
    return SINKS.get(account) or f"{use_name(account.removeprefix('~'))} (no account named)"
