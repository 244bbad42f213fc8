"""Links, lists and the borrower's side."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from detectors.accounts import HELD, Account
from detectors.events import ListEntry, LoanDisbursement, PartyLink
from detectors.parties import BORROWER, ENTRIES_MAX, GUARANTOR, LINKS_MAX, Parties

T0 = datetime(2026, 1, 5, tzinfo=UTC)
NOW_MS = round(T0.timestamp() * 1000)
DAY_MS = 86_400_000


def link(role: str = "SPOUSE", party: str = "b", other: str = "p", **validity: Any) -> PartyLink:
    return PartyLink(event_time=T0, party_id=party, other_party_id=other, role=role, **validity)  # type: ignore[arg-type]


def account(customer: str | None, party: str | None = None) -> Account:
    made = Account("x", "CNY", HELD, False)
    made.customer_id, made.party_id = customer, party
    return made


def side(parties: Parties, owner: Account, guarantors: tuple[str, ...] = (), at_ms: int = NOW_MS) -> str | None:
    info = LoanDisbursement(
        event_time=T0, loan_id="L", amount_minor=1, currency="CNY", disburse_account="a", guarantor_party_ids=guarantors
    )
    return parties.side(info, "b", owner, at_ms)


def test_the_borrower_the_guarantor_and_the_linked_are_one_side() -> None:
    parties = Parties()
    parties.link(link())
    assert side(parties, account("b")) == BORROWER
    assert side(parties, account("g"), ("g",)) == GUARANTOR
    assert side(parties, account("p")) == "SPOUSE"
    assert side(parties, account("stranger")) is None
    assert side(parties, account(None)) is None


def test_a_link_holds_in_both_directions() -> None:
    parties = Parties()
    parties.link(link(party="p", other="b"))
    assert side(parties, account("p")) == "SPOUSE"


@pytest.mark.parametrize("role", ["SAME_ADDRESS", "SAME_PHONE", "STAFF", "BROKER"])
def test_an_address_or_an_employer_makes_no_side(role: str) -> None:
    parties = Parties()
    parties.link(link(role))
    assert side(parties, account("p")) is None


def test_a_link_counts_within_its_validity_only() -> None:
    parties = Parties()
    parties.link(link(valid_from=T0 + timedelta(days=1), valid_until=T0 + timedelta(days=2)))
    found = [side(parties, account("p"), at_ms=NOW_MS + day * DAY_MS) for day in (0, 1, 2)]
    assert found == [None, "SPOUSE", None]


def test_the_owner_that_the_bank_knows_goes_before_the_one_a_payer_states() -> None:
    parties = Parties()
    parties.link(link())
    assert side(parties, account("stranger", "p")) is None
    assert side(parties, account(None, "p")) == "SPOUSE"


def test_nobody_is_on_the_side_of_an_unknown_borrower() -> None:
    parties = Parties()
    parties.link(link())
    assert parties.side(None, None, account("p"), NOW_MS) is None


def test_lists_hold_accounts_and_parties_within_their_validity() -> None:
    parties = Parties()
    assert not parties.has_lists
    parties.enter(ListEntry(event_time=T0, list_name="HUB", account_id="tax"))
    parties.enter(ListEntry(event_time=T0, list_name="DENY", party_id="p", valid_until=T0 + timedelta(days=1)))
    assert parties.has_lists
    assert parties.lists_of("tax", None, NOW_MS) == ("HUB",)
    assert parties.lists_of("x", "p", NOW_MS) == ("DENY",)
    assert parties.lists_of("tax", "p", NOW_MS) == ("HUB", "DENY")
    assert parties.lists_of("x", "p", NOW_MS + DAY_MS) == ()


def test_what_does_not_fit_is_counted() -> None:
    parties = Parties()
    for number in range(LINKS_MAX + 2):
        parties.link(link(other=f"p{number}"))
    assert parties.counts["links_forgotten"] == 2
    for _ in range(ENTRIES_MAX + 3):
        parties.enter(ListEntry(event_time=T0, list_name="HUB", account_id="tax"))
    assert parties.counts["list_entries_forgotten"] == 3
    assert len(parties.account_lists["tax"]) == ENTRIES_MAX
