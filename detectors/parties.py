"""Who belongs to whom, and what is publicly known of whom: links, lists and party events, each with its time of validity.

Parties match by id, then by name *and* bank; a bare name links nobody. A party event counts from its publication to the
publication of its removal; after that it is history, which stays.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from detectors.accounts import Account
from detectors.events import ListEntry, LoanDisbursement, PartyEvent, PartyLink

LINKS_MAX = 200
"""Links remembered per party; later ones are counted as forgotten."""
ENTRIES_MAX = 20
"""List entries remembered per account or party."""

NOTES_MAX = 50
"""Party events remembered per party; the oldest is forgotten first, and counted."""

ALLOW = "ALLOW"
BORROWER = "BORROWER"
GUARANTOR = "GUARANTOR"
_SIDE_ROLES = frozenset({"LEGAL_REP", "SHAREHOLDER", "CONTROLLER", "SPOUSE", "RELATIVE", "GUARANTOR", "GROUP_MEMBER"})
_UNTIL_FURTHER_NOTICE = 1 << 62


class PartyLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """How many parties are remembered; beyond, the oldest is forgotten and counted."""

    noted_parties_max: int = 200_000  # parties with party events
    named_parties_max: int = 200_000  # pairs of name and bank that stand for a party


class Note(NamedTuple):
    """One thing publicly known of a party. A removal that came before what it removes is a note of no duration."""

    category: str
    code: str | None
    occurred_ms: int
    published_ms: int  # usable from here on
    ended_ms: int  # ... and no longer from here on
    detail: str


class Parties:
    """What is known of parties. Times are event times in ms; an entry counts from when it was read and within its validity."""

    def __init__(self, limits: PartyLimits | None = None) -> None:
        self.limits = limits or PartyLimits()
        self.notes: dict[str, list[Note]] = {}  # party -> what became known of it, by publication
        self.named: dict[str, str] = {}  # name and bank -> party; "" where two parties bear one name at one bank
        self.links: dict[str, list[tuple[str, str, int, int]]] = {}  # party -> (other, role, from, until)
        self.account_lists: dict[str, list[tuple[str, int, int]]] = {}  # account -> (list, from, until)
        self.party_lists: dict[str, list[tuple[str, int, int]]] = {}
        self.has_allowed = False  # whether any entry of the allow list was ever read
        self.counts: Counter[str] = Counter()

    @property
    def has_lists(self) -> bool:
        """Whether any account or party is on a list at all."""
        return bool(self.account_lists or self.party_lists)

    def link(self, event: PartyLink) -> None:
        """Remember a link, in both directions."""
        span = _validity(event)
        for one, other in ((event.party_id, event.other_party_id), (event.other_party_id, event.party_id)):
            known = self.links.setdefault(one, [])
            if len(known) >= LINKS_MAX:
                self.counts["links_forgotten"] += 1
                continue
            known.append((other, event.role, *span))

    def enter(self, event: ListEntry) -> None:
        """Put an account or a party on a list."""
        entry = (event.list_name, *_validity(event))
        for book, key in ((self.account_lists, event.account_id), (self.party_lists, event.party_id)):
            if key is None:
                continue
            known = book.setdefault(key, [])
            known.append(entry)
            if len(known) > ENTRIES_MAX:
                del known[0]
                self.counts["list_entries_forgotten"] += 1
        self.has_allowed = self.has_allowed or event.list_name == ALLOW
        self.bear(event.party_id, event.name, event.bank_code)

    def bear(self, party_id: str | None, name: str | None, bank_code: str | None) -> None:
        """Remember that a party bears a name at a bank; a pair that two parties bear stands for neither."""
        if party_id is None or name is None or bank_code is None:
            return
        key = f"{bank_code} {name}"
        known = self.named.get(key)
        if known is None:
            self.named[key] = party_id
            if len(self.named) > self.limits.named_parties_max:
                del self.named[next(iter(self.named))]
                self.counts["named_parties_forgotten"] += 1
        elif known and known != party_id:
            self.named[key] = ""
            self.counts["names_borne_by_two_parties"] += 1

    def bearer(self, name: str | None, bank_code: str | None) -> str | None:
        """The one party that bears a name at a bank; None when there is none, or more than one, or a part is missing."""
        if name is None or bank_code is None:
            return None
        return self.named.get(f"{bank_code} {name}") or None

    # --- what is publicly known -------------------------------------------------------------------------------------

    def hear(self, event: PartyEvent) -> None:
        """Something became known of a party, or no longer holds."""
        self.bear(event.party_id, event.name, event.bank_code)
        published_ms = event.event_time_ms if event.published_at is None else _ms(event.published_at)
        known = self.notes.setdefault(event.party_id, [])
        if event.action in ("REVOKED", "REMOVED"):
            self._end(known, event, published_ms)
        else:
            self._note(known, event, published_ms)
        if len(known) > NOTES_MAX:
            del known[0]
            self.counts["party_events_forgotten"] += 1
        if len(self.notes) > self.limits.noted_parties_max:
            del self.notes[next(iter(self.notes))]
            self.counts["noted_parties_forgotten"] += 1

    def _note(self, known: list[Note], event: PartyEvent, published_ms: int) -> None:
        occurred_ms = published_ms if event.occurred_at is None else _ms(event.occurred_at)
        note = Note(event.category, event.code, occurred_ms, published_ms, _UNTIL_FURTHER_NOTICE, event.detail or "")
        for i, other in enumerate(known):
            removal = other.published_ms == other.ended_ms
            if other.category != event.category or other.ended_ms <= published_ms:
                continue
            if other.code != event.code and not (removal and other.code is None):
                continue
            if removal:  # it was read before what it removes
                known[i] = note._replace(ended_ms=other.ended_ms)
            elif event.action == "UPDATED" and other.ended_ms == _UNTIL_FURTHER_NOTICE:
                known[i] = other._replace(detail=note.detail)
            else:
                continue
            return
        known.append(note)

    def _end(self, known: list[Note], event: PartyEvent, published_ms: int) -> None:
        ended = False
        for i, note in enumerate(known):
            if _is_of(note, event) and note.published_ms <= published_ms < note.ended_ms:
                known[i] = note._replace(ended_ms=published_ms)
                ended = True
        if not ended:
            self.counts["party_removals_before_their_event"] += 1
            known.append(Note(event.category, event.code, published_ms, published_ms, published_ms, event.detail or ""))

    def in_force(self, party_id: str | None, at_ms: int) -> tuple[Note, ...]:
        """What was published of a party by then and had not been removed by then."""
        if party_id is None or party_id not in self.notes:
            return ()
        return tuple(note for note in self.notes[party_id] if note.published_ms <= at_ms < note.ended_ms)

    def roles(self, party_id: str | None, at_ms: int) -> tuple[tuple[str, str], ...]:
        """(other party, role) of every link of a party that is valid then; a link is read in both directions."""
        if party_id is None:
            return ()
        return tuple((other, role) for other, role, since, until in self.links.get(party_id, ()) if since <= at_ms < until)

    def lists_of(self, account_id: str, party_id: str | None, at_ms: int) -> tuple[str, ...]:
        """The lists an account or its party is on at that time."""
        entries = self.account_lists.get(account_id, ())
        if party_id is not None and party_id in self.party_lists:
            entries = [*entries, *self.party_lists[party_id]]
        return tuple(name for name, since, until in entries if since <= at_ms < until)

    def side(self, info: LoanDisbursement | None, borrower_id: str | None, account: Account, at_ms: int) -> str | None:
        """The role in which an account's owner belongs to the borrower's side of a loan; None for a stranger."""
        party_id = account.customer_id or account.party_id
        if party_id is None:
            return None
        if party_id == borrower_id:
            return BORROWER
        if info is not None and party_id in info.guarantor_party_ids:
            return GUARANTOR
        if borrower_id is None:
            return None
        for other, role, since, until in self.links.get(borrower_id, ()):
            if other == party_id and role in _SIDE_ROLES and since <= at_ms < until:
                return role
        return None


def _is_of(note: Note, event: PartyEvent) -> bool:
    """Whether an event speaks of a note: by category and code; a removal without a code speaks of the whole category."""
    return note.category == event.category and event.code in (None, note.code)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _validity(event: PartyLink | ListEntry) -> tuple[int, int]:
    since = 0 if event.valid_from is None else _ms(event.valid_from)
    until = _UNTIL_FURTHER_NOTICE if event.valid_until is None else _ms(event.valid_until)
    return since, until
