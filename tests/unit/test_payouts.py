"""The two records of one payout."""

from __future__ import annotations

import pytest

from detectors.accounts import HELD, Account
from detectors.loans import Loan
from detectors.lots import Origin, Transfer
from detectors.payouts import DAY_MS, Half, Payouts

KEY = ("a", "CNY", 100)


def loan(loan_id: str = "L1") -> Loan:
    return Loan(loan_id, Origin(1, loan_id, 0), Account("a", "CNY", HELD, False), 0)


def half(is_credit: bool, of: Loan, names_loan: bool = True) -> Half:
    payout = Transfer(1, "t", 0, "~LENDER", "a", 100, "CNY", "LOAN")
    of.origin.payouts.append(payout)
    return Half(is_credit, names_loan, 0, of, payout)


@pytest.mark.parametrize("is_credit", [True, False])
def test_the_other_record_is_found_once_in_either_order(is_credit: bool) -> None:
    payouts, waiting = Payouts(3), half(is_credit, loan())
    payouts.wait(KEY, waiting)
    assert payouts.match(KEY, is_credit=is_credit, loan_id="L1", event_time_ms=0) is None
    assert payouts.match(KEY, is_credit=not is_credit, loan_id="L1", event_time_ms=0) is waiting
    assert payouts.match(KEY, is_credit=not is_credit, loan_id="L1", event_time_ms=0) is None
    assert not payouts.halves


@pytest.mark.parametrize(("days", "found"), [(3, True), (3.1, False), (-3, True)])
def test_the_records_are_at_most_some_days_apart(days: float, found: bool) -> None:
    payouts = Payouts(3)
    payouts.wait(KEY, half(True, loan()))
    assert (payouts.match(KEY, is_credit=False, loan_id="L1", event_time_ms=round(days * DAY_MS)) is not None) is found


@pytest.mark.parametrize(("named", "asked", "found"), [(True, "L2", False), (False, "L2", True), (True, None, True)])
def test_a_record_that_names_another_loan_is_another_payout(named: bool, asked: str | None, found: bool) -> None:
    payouts = Payouts(3)
    payouts.wait(KEY, half(True, loan(), named))
    assert (payouts.match(KEY, is_credit=False, loan_id=asked, event_time_ms=0) is not None) is found


def test_a_loan_that_is_no_longer_followed_waits_for_nothing() -> None:
    payouts, one, other = Payouts(3), loan("L1"), loan("L2")
    payouts.wait(KEY, half(True, one))
    payouts.wait(KEY, half(True, other))
    payouts.forget(one)
    assert [item.loan for item in payouts.halves[KEY]] == [other]
    payouts.forget(other)
    assert not payouts.halves
