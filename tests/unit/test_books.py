"""Which book keeps an account, and which books a record is journalled in."""

from __future__ import annotations

import re
import zlib
from datetime import UTC, datetime

import pytest

from detectors.books import Books, route
from detectors.events import AccountTransaction, Disposition, Event, ListEntry, LoanDisbursement, PartyEvent, PartyLink, Tick

AT = datetime(2026, 1, 5, tzinfo=UTC)


def test_the_book_of_an_account_is_the_checksum_of_its_id() -> None:
    books = Books(8)
    assert [books.of(f"62-{i}") for i in range(20)] == [zlib.crc32(f"62-{i}".encode()) % 8 for i in range(20)]


def test_all_books_are_used() -> None:
    assert {Books(8).of(f"account {i}") for i in range(200)} == set(range(8))


def test_one_book_keeps_everything() -> None:
    assert {Books().of(f"account {i}") for i in range(200)} == {0}


def test_accounts_of_one_branch_share_a_book() -> None:
    books = Books(8, 0, r"^(\d{4})")
    assert len({books.of(f"3301-{i:06d}") for i in range(100)}) == 1
    assert len({books.of(f"{i}-000001") for i in range(1000, 1100)}) == 8


def test_an_account_that_the_pattern_does_not_match_is_dealt_out_by_its_whole_id() -> None:
    assert len({Books(8, 0, r"^(\d{4})").of(f"other bank {i}") for i in range(100)}) == 8


@pytest.mark.parametrize("owner", ["alice", "62-0001", "a (of b)", "Z(1)", "x)", "(y"])
@pytest.mark.parametrize("firm", ["broker", "f (of g)", "securities"])
def test_a_pocket_is_kept_with_its_owner(owner: str, firm: str) -> None:
    for pattern in ("", "^(.)"):
        books = Books(64, 0, pattern)
        assert books.of(f"{firm} (of {owner})") == books.of(owner)


def test_nameless_accounts_are_each_book_s_own_but_a_transit_has_one_place() -> None:
    assert Books(8, 5).home_of("~CASH") == 5
    assert Books(8, 5).home_of("~TRANSIT E1") == Books(8, 2).home_of("~TRANSIT E1")


@pytest.mark.parametrize(
    ("number", "own", "pattern", "message"),
    [
        (0, 0, "", "0 books: there may be 1 to 64"),
        (65, 0, "", "65 books: there may be 1 to 64"),
        (8, 8, "", "book 8 of 8: they are numbered from 0"),
        (8, 0, "^[", "is no regular expression"),
        (8, 0, "^..", "has 0 groups: one is needed"),
        (8, 0, "(.)(.)", "has 2 groups: one is needed"),
    ],
)
def test_books_that_cannot_be_are_refused_with_the_reason(number: int, own: int, pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Books(number, own, pattern)


def test_a_record_is_read_in_the_book_of_its_own_account() -> None:
    books = Books(8)
    payment = AccountTransaction(
        event_time=AT,
        txn_id="t",
        account_id="alice",
        amount_minor=1,
        currency="CNY",
        direction="CREDIT",
        counterparty_account="b",
    )
    assert route(payment, books) == (books.of("alice"),)
    payout = LoanDisbursement(event_time=AT, loan_id="L1", amount_minor=1, currency="CNY", disburse_account="bob")
    assert route(payout, books) == (books.of("bob"),)


@pytest.mark.parametrize(
    "event",
    [
        Tick(event_time=AT),
        PartyLink(event_time=AT, party_id="a", other_party_id="b", role="SPOUSE"),
        ListEntry(event_time=AT, list_name="HUB", account_id="a"),
        PartyEvent(event_time=AT, party_id="a", category="TAX", action="ADDED"),
        Disposition(event_time=AT, alert_id="a", outcome="FALSE_POSITIVE"),
    ],
)
def test_what_concerns_no_account_is_read_in_every_book(event: Event) -> None:
    assert route(event, Books(3)) == (0, 1, 2)
