"""Classes of use: what kind of destination a payment has, from its type, lists, merchant and industry codes, memo.

A class that can give money back to its owner (securities, wealth products, time deposits) is a *pocket* of the payer: the
money keeps its lots there and brings them back when it is redeemed. Other classes are sinks: the money has left.
"""

from __future__ import annotations

from msgspec import Struct

from detectors.events import AccountTransaction

SECURITIES = "SECURITIES"
WEALTH = "WEALTH"
PROPERTY = "PROPERTY"
TIME_DEPOSIT = "TIME_DEPOSIT"
CASH = "CASH"
QUASI_CASH = "QUASI_CASH"
LOAN_REPAYMENT = "LOAN_REPAYMENT"
LOAN_INTEREST = "LOAN_INTEREST"
LENDER = "LENDER"
HUB = "HUB"
PURCHASE = "PURCHASE"
AGENCY = "AGENCY"
OTHER = "OTHER"

ADVERSE = "ADVERSE"  # counts against a counterparty
DISTRESS = "DISTRESS"  # a borrower's existence or licence is at stake
NO_CAPITAL = "NO_CAPITAL"
NO_TAX = "NO_TAX"
CONVERTED = "CONVERTED"  # a sole trader became a company
HARMLESS = "HARMLESS"  # a plaintiff, a settled case
SALES_HELD = "SALES_HELD"  # declared sales are what they were
REGISTERED = "REGISTERED"  # the day on which a party came into being
BRANCH = "BRANCH"  # ... as a branch of another
SOLE_TRADER = "SOLE_TRADER"  # ... without capital of its own, as is usual for it
PARTY_MEANINGS = frozenset({
    ADVERSE, DISTRESS, NO_CAPITAL, NO_TAX, CONVERTED, HARMLESS, SALES_HELD, REGISTERED, BRANCH, SOLE_TRADER,
})  # fmt: skip
"""What a code of a party event may mean."""

CLASSES = frozenset({
    SECURITIES, WEALTH, PROPERTY, TIME_DEPOSIT, CASH, QUASI_CASH, LENDER, HUB, PURCHASE, AGENCY, OTHER,
})  # fmt: skip
"""What a merchant code, an industry, a word or a list may mean; repayments and interest are told by the type of the record."""

POCKETS = frozenset({SECURITIES, WEALTH, TIME_DEPOSIT})

_BY_TYPE: dict[str, str] = {
    "CASH_WITHDRAWAL": CASH,
    "CASH_DEPOSIT": CASH,
    "LOAN_PRINCIPAL": LOAN_REPAYMENT,
    "LOAN_INTEREST": LOAN_INTEREST,
    "SECURITIES_TRANSFER": SECURITIES,
    "WEALTH_INVEST": WEALTH,
    "PAYROLL_AGENCY": AGENCY,
    "AGENCY_PAYMENT": AGENCY,
    "DIRECT_DEBIT": AGENCY,
}
_SPECIFIC = frozenset({
    "CASH_WITHDRAWAL", "CASH_DEPOSIT", "LOAN_PRINCIPAL", "LOAN_INTEREST", "SECURITIES_TRANSFER", "WEALTH_INVEST",
})  # fmt: skip


class CodeLists(Struct, frozen=True, forbid_unknown_fields=True):
    """Which codes and words mean which class of use; from ``rulesets/codes.toml`` or a bank's own code file.

    Of two beginnings of an industry code, and of two words, the one that stands first is found.
    """

    codes_id: str = "shipped"
    version: str = "1"
    mcc: dict[str, str] = {}  # merchant category code -> class
    industry: dict[str, str] = {}  # prefix of a GB/T 4754 code -> class
    memo: dict[str, str] = {}  # word in the memo -> class; weak evidence, used last
    lists: dict[str, str] = {}  # list name -> class
    refund_words: tuple[str, ...] = ()
    wage_words: tuple[str, ...] = ()
    mortgage_words: tuple[str, ...] = ()
    rent_words: tuple[str, ...] = ()
    household_mcc: tuple[str, ...] = ()  # merchant category codes where households buy, and firms do not buy stock
    fee_industries: tuple[str, ...] = ()  # prefixes of GB/T 4754 codes whose business is fees on loans and houses
    party_codes: dict[str, str] = {}  # code of a party event -> what it means, one of the words below


def use_of(txn: AccountTransaction, listed: str | None, codes: CodeLists) -> str:
    """The class of use of a payment.

    Args:
        listed: the class that the lists give the counterparty, if any.
    """
    txn_type = txn.txn_type
    if txn_type in _SPECIFIC:
        return _BY_TYPE[txn_type]
    if txn.cash_flag:
        return CASH
    if listed is not None:
        return listed
    if txn.counterparty_mcc is not None and txn.counterparty_mcc in codes.mcc:
        return codes.mcc[txn.counterparty_mcc]
    if txn.counterparty_industry is not None:
        for prefix, use in codes.industry.items():
            if txn.counterparty_industry.startswith(prefix):
                return use
    if txn_type in _BY_TYPE:
        return _BY_TYPE[txn_type]
    if txn.memo is not None:
        for word, use in codes.memo.items():
            if word in txn.memo:
                return use
    return PURCHASE if txn_type == "PURCHASE" else OTHER


def says(text: str | None, words: tuple[str, ...]) -> bool:
    """Whether a memo contains one of the words, in any case; a Latin word counts only where a word begins.

    >>> says("Wages May", ("wage",)), says("sewage fee", ("wage",)), says("5月工资", ("工资",))
    (True, False, True)
    """
    if text is None:
        return False
    lowered = text.lower()
    return any(_begins(word, lowered) for word in words)


def _begins(word: str, text: str) -> bool:
    at = text.find(word)
    while at > 0 and word.isascii() and text[at - 1].isascii() and text[at - 1].isalpha():
        at = text.find(word, at + 1)
    return at >= 0
