"""Books: which account is kept where, and which book a record is read in.

A *book* is a journal partition with a fold of its own. The book of an account is a function of its id alone, because both
sides of a payment must know it. A record is read in the book of the account whose record it is.
"""

from __future__ import annotations

import re
import zlib
from functools import cache

from msgspec import Struct

from detectors.events import AccountTransaction, Event, LoanDisbursement
from detectors.places import TRANSIT

BOOKS_MAX = 64
"""Books are the bits of a 64-bit number where it is noted whom a change concerns."""


class Books(Struct, frozen=True):
    """How many books there are, which one this is, and by what part of their ids accounts are dealt out.

    Args:
        pattern: regular expression with one group, such as ``^(\\d{4})`` for a branch code: accounts whose group is the same
            share a book. Where it does not match, and where it is empty, the whole id decides.
    """

    number: int = 1
    own: int = 0
    pattern: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.number <= BOOKS_MAX:
            raise ValueError(f"{self.number} books: there may be 1 to {BOOKS_MAX}")
        if not 0 <= self.own < self.number:
            raise ValueError(f"book {self.own} of {self.number}: they are numbered from 0")
        mistake = mistake_in(self.pattern)
        if mistake:
            raise ValueError(mistake)

    def of(self, account_id: str) -> int:
        """The book that keeps the account.

        A pocket, ``firm (of owner)``, is kept with its owner.

        >>> books = Books(8, 0, "^(..)")
        >>> books.of("62-0001") == books.of("62-0002") == books.of("Huatai (of 62-0001)")
        True
        """
        if self.number == 1:
            return 0
        owner = account_id.rpartition(" (of ")[2].rstrip(")")
        found = _compiled(self.pattern).search(owner) if self.pattern else None
        decides = found.group(1) or owner if found is not None else owner
        return zlib.crc32(decides.encode("utf-8", "surrogatepass")) % self.number

    def home_of(self, account_id: str) -> int:
        """The book whose account of that id is meant here: nameless ones (cash, unknown payees) exist in every book."""
        if account_id.startswith("~") and not account_id.startswith(TRANSIT):
            return self.own
        return self.of(account_id)


def mistake_in(pattern: str) -> str:
    """What is wrong with a pattern; "" when nothing is."""
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        return f"{pattern!r} is no regular expression: {error}"
    return "" if groups == 1 or not pattern else f"{pattern!r} has {groups} groups: one is needed, which decides on the book"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def route(event: Event, books: Books) -> tuple[int, ...]:
    """The books that a record is to be journalled in: its account's, or all of them when it concerns no account."""
    if isinstance(event, AccountTransaction):
        return (books.of(event.account_id),)
    if isinstance(event, LoanDisbursement):
        return (books.of(event.disburse_account),)
    return tuple(range(books.number))
