"""Accounts, origins and transfers where there are several books: the same, and what other books have to do with them."""

from __future__ import annotations

from detectors.accounts import Account
from detectors.lots import Origin, Transfer

REMITTED = "REMITTED"
"""Place of lots that have been sent to another book, for good; :attr:`BookOrigin.received_minor` is what came from there."""

Told = tuple[int, tuple[object, ...], int, tuple[object, ...]]


class BookAccount(Account):
    """An account of this book, or (``book`` is another) what is known here of another book's."""

    __slots__ = ("book", "followed_by", "reached_by", "told")

    def __init__(self, account_id: str, currency: str, place: str, is_sink: bool, book: int) -> None:
        super().__init__(account_id, currency, place, is_sink)
        self.book = book
        self.reached_by = 0  # bits of the books whose loans' money may have reached it
        self.followed_by = 0  # bits of the books that keep a passage from or to it; on another book's account, this one's
        self.told: Told = (0, (), 0, ())  # (books that know these facts, facts, books that know this traffic, traffic)


class Changes:
    """The origins whose conservation accounts have changed since other books were told."""

    __slots__ = ("origins",)

    def __init__(self) -> None:
        self.origins: dict[int, BookOrigin] = {}


class BookOrigin(Origin):
    """One loan's money as far as this book has it.

    In each book ``paid_out + received + gained = sum(places) + repaid + reversed + sum(dropped)``, where a place is
    ``REMITTED``. Over all books, what was remitted less what was received is on its way.
    """

    __slots__ = ("abroad", "changes", "home", "home_number", "received_minor", "told")

    def __init__(self, number: int, loan_id: str, start_ms: int, home: int, home_number: int, changes: Changes) -> None:
        super().__init__(number, loan_id, start_ms)
        self.set_apart()  # other books drop, too
        self.home = home
        self.home_number = home_number  # its number there
        self.received_minor = 0
        self.changes = changes
        self.told: dict[str, int] = {}  # what its home has been told of this account
        self.abroad: dict[str, int] = {}  # at home: what other books have told, summed

    def stay(self, place: str, amount_minor: int) -> None:
        """As in one book; its home will be told."""
        super().stay(place, amount_minor)
        self.changes.origins[self.number] = self

    def drop(self, reason: str, amount_minor: int) -> None:
        """As in one book; its home will be told."""
        super().drop(reason, amount_minor)
        self.changes.origins[self.number] = self

    def receive(self, amount_minor: int) -> None:
        """Money of the loan has come from another book."""
        self.received_minor += amount_minor
        self.changes.origins[self.number] = self

    def expire(self) -> None:
        """Stop following; what was sent away is another book's to drop."""
        if not self.expired:
            remitted = self.places_minor.pop(REMITTED, 0)
            super().expire()
            if remitted:
                self.places_minor[REMITTED] = remitted

    def sums(self) -> dict[str, int]:
        """The conservation account as flat figures."""
        flat = {f"at {place}": amount for place, amount in self.places_minor.items()}
        flat.update((f"dropped {limit}", amount) for limit, amount in self.dropped_minor.items())
        flat.update(repaid=self.repaid_minor, reversed=self.reversed_minor, gained=self.gained_minor)
        flat["received"] = self.received_minor
        return flat

    def news(self) -> dict[str, int]:
        """What has changed since its home was told."""
        now, before = self.sums(), self.told
        self.told = now
        changed = {name: amount - before.get(name, 0) for name, amount in now.items()}
        changed.update((name, -amount) for name, amount in before.items() if name not in now)
        return {name: amount for name, amount in changed.items() if amount}

    def hear(self, changes: dict[str, int]) -> None:
        """Another book tells what has changed there."""
        for name, amount in changes.items():
            self.abroad[name] = self.abroad.get(name, 0) + amount

    def statement(self) -> tuple[dict[str, int], int, int, dict[str, int]]:
        """Where the loan's money is, over all books; ``REMITTED`` is what no book has received yet."""
        total = self.sums()
        for name, amount in self.abroad.items():
            total[name] = total.get(name, 0) + amount
        places = {name[3:]: amount for name, amount in total.items() if name.startswith("at ")}
        places[REMITTED] = places.get(REMITTED, 0) - total["received"]
        dropped = {name[8:]: amount for name, amount in total.items() if name.startswith("dropped ")}
        if self.expired:
            dropped["age"] = dropped.get("age", 0) + sum(places.values())
            places = {}
        return {place: amount for place, amount in places.items() if amount}, total["repaid"], total["reversed"], dropped

    def imbalance_minor(self) -> int:
        """0 as long as no loan money was made or lost in this book."""
        return super().imbalance_minor() + self.received_minor


class BookTransfer(Transfer):
    """A transfer that another book has made; ``seq`` is its position here."""

    __slots__ = ("gid",)

    def __init__(
        self, seq: int, txn_id: str, event_time_ms: int, payer: str, payee: str, amount_minor: int, currency: str, use: str,
        gid: int,
    ) -> None:  # fmt: skip
        super().__init__(seq, txn_id, event_time_ms, payer, payee, amount_minor, currency, use)
        self.gid = gid
