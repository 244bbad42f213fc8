"""Rows of accounts: complete, small, and only for accounts that share nothing."""

from __future__ import annotations

import pytest

from detectors.accounts import Account
from detectors.lots import Transfer
from detectors.rows import ENTANGLED, PLAIN, WITH_HISTORY, kind_of, pack, unpack

TYING = {"holdings", "claims", "gain"}
DERIVED = {"legs_awaited", "noted"}


def filled_account() -> Account:
    """Every field of an account that a row holds, different from its default."""
    account = Account("a", "CNY", "OTHER_BANK", False)
    for number, name in enumerate(sorted(set(Account.__slots__) - TYING - DERIVED), start=3):
        before = getattr(account, name)
        if type(before) is int:
            setattr(account, name, 1_000 + number)
        elif type(before) is bool:
            setattr(account, name, not before)
    account.customer_id, account.party_id, account.kind = "C", "P", "BASIC"
    account.payees = {"y": 7_000, "x": 6_000}
    transfer = Transfer(5, "t5", 1_000, "a", "x", 70, "CNY", "OTHER")
    transfer.payer_after_minor, transfer.payee_after_minor, transfer.undone_minor, transfer.loan_numbers = 3, 4, 2, (8, 9)
    account.history = [transfer]
    return account


def fields(account: Account) -> dict[str, object]:
    shown = {name: getattr(account, name) for name in Account.__slots__}
    if account.history is not None:
        shown["history"] = [[getattr(transfer, name) for name in Transfer.__slots__] for transfer in account.history]
    return shown


@pytest.mark.parametrize("account", [filled_account(), Account("a", "CNY", "HELD", False), Account("a", "CNY", "~CASH", True)])
def test_a_row_holds_every_field_of_a_plain_account(account: Account) -> None:
    found = unpack("CNY", "a", pack(account), {})
    assert fields(found) == fields(account)
    assert list(found.payees or ()) == list(account.payees or ())


def test_a_transfer_that_others_hold_too_is_the_same_one_in_a_thawed_account() -> None:
    account = filled_account()
    assert account.history is not None
    (transfer,) = account.history
    found = unpack("CNY", "a", pack(account), {5: transfer})
    assert found.history is not None
    assert found.history[0] is transfer


def test_an_account_is_entangled_as_long_as_something_in_it_is_shared() -> None:
    account = Account("a", "CNY", "HELD", False)
    transfer = Transfer(5, "t5", 1_000, "a", "x", 70, "CNY", "OTHER")
    assert kind_of(account) == PLAIN
    account.history = [transfer]
    assert kind_of(account) == WITH_HISTORY
    transfer.landings = [[]]
    assert kind_of(account) == ENTANGLED
    transfer.landings, transfer.undone_by = None, [transfer]
    assert kind_of(account) == ENTANGLED
    account.history, account.holdings = None, [None]
    assert kind_of(account) == ENTANGLED
