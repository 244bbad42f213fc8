"""Public facts about parties: publication, removal, order of arrival, names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from detectors.events import Fault, ListEntry, PartyEvent, fault_of
from detectors.parties import NOTES_MAX, Parties, PartyLimits

T0 = datetime(2026, 1, 5, tzinfo=UTC)


def day(number: int) -> datetime:
    return T0 + timedelta(days=number)


def ms(number: int) -> int:
    return round(day(number).timestamp() * 1000)


def event(at: int, action: str = "ADDED", code: str | None = "DISHONEST", **more: Any) -> PartyEvent:
    fields: dict[str, Any] = {"event_time": day(at), "party_id": "p", "category": "JUDICIAL", "action": action, "code": code}
    return PartyEvent(**{**fields, **more})


def heard(*events: PartyEvent) -> Parties:
    parties = Parties()
    for one in events:
        parties.hear(one)
    return parties


def in_force(parties: Parties, at: int, party: str = "p") -> list[str | None]:
    return [note.code for note in parties.in_force(party, ms(at))]


def test_an_event_counts_from_its_publication_not_from_when_it_happened() -> None:
    parties = heard(event(20, occurred_at=day(2), published_at=day(20)))
    assert in_force(parties, 19) == []
    assert in_force(parties, 20) == ["DISHONEST"]
    assert parties.notes["p"][0].occurred_ms == ms(2)


def test_a_removal_ends_it_and_history_stays() -> None:
    parties = heard(event(1), event(5, "REMOVED"))
    assert in_force(parties, 4) == ["DISHONEST"]
    assert in_force(parties, 5) == []
    assert len(parties.notes["p"]) == 1


def test_a_removal_without_a_code_ends_the_whole_category_only() -> None:
    parties = heard(event(1), event(1, code="CASE_FILING"), event(1, code=None, category="TAX"), event(5, "REVOKED", None))
    assert in_force(parties, 6) == [None]


def test_a_removal_of_another_code_ends_nothing_and_is_counted() -> None:
    parties = heard(event(1), event(5, "REMOVED", "CASE_FILING"))
    assert in_force(parties, 6) == ["DISHONEST"]
    assert parties.counts["party_removals_before_their_event"] == 1


def test_a_removal_may_be_read_before_what_it_removes() -> None:
    parties = heard(event(5, "REMOVED"), event(5, "ADDED", published_at=day(1)))
    assert in_force(parties, 2) == ["DISHONEST"]
    assert in_force(parties, 5) == []


def test_what_is_added_again_after_a_removal_is_in_force_again() -> None:
    parties = heard(event(1), event(5, "REMOVED"), event(9))
    assert [in_force(parties, at) for at in (4, 6, 9)] == [["DISHONEST"], [], ["DISHONEST"]]


def test_an_update_keeps_the_first_publication() -> None:
    parties = heard(event(1, detail="old"), event(5, "UPDATED", detail="new"))
    (note,) = parties.in_force("p", ms(6))
    assert (note.published_ms, note.detail) == (ms(1), "new")


def test_a_party_keeps_so_many_notes_and_forgetting_is_counted() -> None:
    parties = heard(*[event(1, code=f"C{number}") for number in range(NOTES_MAX + 2)])
    assert len(parties.notes["p"]) == NOTES_MAX
    assert parties.counts["party_events_forgotten"] == 2


def test_so_many_parties_are_remembered_and_the_oldest_is_forgotten() -> None:
    parties = Parties(PartyLimits(noted_parties_max=2, named_parties_max=1))
    for name in "pqr":
        parties.hear(event(1, party_id=name, name=name, bank_code="B"))
    assert in_force(parties, 2, "p") == []
    assert in_force(parties, 2, "r") == ["DISHONEST"]
    assert parties.counts["noted_parties_forgotten"] == 1
    assert parties.counts["named_parties_forgotten"] == 2


def test_what_is_published_before_it_happened_is_refused_with_the_field() -> None:
    fault = fault_of(event(9, occurred_at=day(5), published_at=day(4)))
    assert isinstance(fault, Fault)
    assert (fault.field, "is before occurred_at" in fault.reason) == ("published_at", True)
    assert fault_of(event(9, occurred_at=day(5), fetched_at=day(4))) is not None
    assert fault_of(event(9, occurred_at=day(5), published_at=day(5), fetched_at=day(5))) is None


def test_a_name_stands_for_a_party_only_together_with_its_bank() -> None:
    parties = Parties()
    parties.enter(ListEntry(event_time=T0, list_name="DENY", party_id="p", name="Wang Wei", bank_code="B1"))
    assert parties.bearer("Wang Wei", "B1") == "p"
    assert parties.bearer("Wang Wei", None) is None
    assert parties.bearer("Wang Wei", "B2") is None


def test_a_name_that_two_parties_bear_at_one_bank_stands_for_neither() -> None:
    parties = Parties()
    for party in ("p", "q", "p"):
        parties.bear(party, "Wang Wei", "B1")
    assert parties.bearer("Wang Wei", "B1") is None
    assert parties.counts["names_borne_by_two_parties"] == 1
