"""Classes of use: which evidence goes before which."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from detectors.events import AccountTransaction
from detectors.uses import (
    AGENCY,
    CASH,
    HUB,
    LOAN_REPAYMENT,
    OTHER,
    PROPERTY,
    PURCHASE,
    QUASI_CASH,
    SECURITIES,
    WEALTH,
    says,
    use_of,
)
from streams.settings import load_settings

CODES = load_settings().engine.codes


def txn(**changes: Any) -> AccountTransaction:
    fields: dict[str, Any] = {"txn_id": "t", "account_id": "a", "amount_minor": 1, "currency": "CNY", "direction": "DEBIT"}
    return AccountTransaction(event_time=datetime(2026, 1, 5, tzinfo=UTC), **{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "listed", "use"),
    [
        ({}, None, OTHER),
        ({"txn_type": "SECURITIES_TRANSFER"}, None, SECURITIES),
        ({"txn_type": "WEALTH_INVEST", "counterparty_mcc": "6211"}, None, WEALTH),
        ({"txn_type": "LOAN_PRINCIPAL"}, HUB, LOAN_REPAYMENT),
        ({"cash_flag": True}, HUB, CASH),
        ({}, SECURITIES, SECURITIES),
        ({"counterparty_mcc": "6211"}, HUB, HUB),
        ({"counterparty_mcc": "7013", "counterparty_industry": "J6710"}, None, PROPERTY),
        ({"counterparty_industry": "J6710"}, None, SECURITIES),
        ({"counterparty_industry": "J66"}, None, OTHER),
        ({"txn_type": "PURCHASE"}, None, PURCHASE),
        ({"txn_type": "PURCHASE", "counterparty_mcc": "5944"}, None, QUASI_CASH),
        ({"txn_type": "PAYROLL_AGENCY", "memo": "首付"}, None, AGENCY),
        ({"memo": "购房 首付款"}, None, PROPERTY),
    ],
)
def test_stronger_evidence_names_the_class(changes: dict[str, Any], listed: str | None, use: str) -> None:
    assert use_of(txn(**changes), listed, CODES) == use


@pytest.mark.parametrize(
    ("memo", "meant"),
    [("Salary March", True), ("3月工资", True), ("sewage fee", False), ("sewage, wages", True), (None, False), ("", False)],
)
def test_a_memo_says_a_word_only_where_the_word_begins(memo: str | None, meant: bool) -> None:
    assert says(memo, CODES.wage_words) is meant
