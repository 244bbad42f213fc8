"""Who belongs to whom: customers of accounts, links between parties, and lists, each with its time of validity.

Parties match by id; a bare name links nobody.
"""

from __future__ import annotations

from collections import Counter

from detectors.accounts import Account
from detectors.events import ListEntry, LoanDisbursement, PartyLink

LINKS_MAX = 200
"""Links remembered per party; later ones are counted as forgotten."""
ENTRIES_MAX = 20
"""List entries remembered per account or party."""

BORROWER = "BORROWER"
GUARANTOR = "GUARANTOR"
_SIDE_ROLES = frozenset({"LEGAL_REP", "SHAREHOLDER", "CONTROLLER", "SPOUSE", "RELATIVE", "GUARANTOR", "GROUP_MEMBER"})
_UNTIL_FURTHER_NOTICE = 1 << 62


class Parties:
    """What is known of parties. Times are event times in ms; an entry counts from when it was read and within its validity."""

    def __init__(self) -> None:
        self.links: dict[str, list[tuple[str, str, int, int]]] = {}  # party -> (other, role, from, until)
        self.account_lists: dict[str, list[tuple[str, int, int]]] = {}  # account -> (list, from, until)
        self.party_lists: dict[str, list[tuple[str, int, int]]] = {}
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


def _validity(event: PartyLink | ListEntry) -> tuple[int, int]:
    since = 0 if event.valid_from is None else round(event.valid_from.timestamp() * 1000)
    until = _UNTIL_FURTHER_NOTICE if event.valid_until is None else round(event.valid_until.timestamp() * 1000)
    return since, until
