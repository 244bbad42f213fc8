"""What a book is about to tell the others, gathered while an event is applied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from detectors.abroad import BookAccount
from detectors.crossing import BookTracer
from detectors.remittance import Accounted, Facts, Item, Remittance, Traffic


class Outbox:
    """Items by receiver, and the number of the next remittance to each. Empty between events."""

    def __init__(self, sender: int) -> None:
        self.sender = sender
        self.items: dict[int, list[Item]] = {}
        self.numbers: dict[int, int] = {}

    def put(self, to: int, item: Item) -> None:
        """Tell another book something."""
        self.items.setdefault(to, []).append(item)

    def put_first(self, to: int, items: list[Item]) -> None:
        """Tell another book what it must know before all else."""
        self.items[to] = [*items, *self.items.get(to, ())]

    def seal(self, watermark_ms: int) -> tuple[Remittance, ...]:
        """One remittance for each book that is to be told something, in the order of the books."""
        sealed = tuple(self._seal(to, self.items[to], watermark_ms) for to in sorted(self.items))
        self.items.clear()
        return sealed

    def _seal(self, to: int, items: list[Item], watermark_ms: int) -> Remittance:
        number = self.numbers.get(to, 0)
        self.numbers[to] = number + 1
        return Remittance(sender=self.sender, to=to, number=number, watermark_ms=watermark_ms, items=tuple(items))


def books_in(bits: int) -> Iterator[int]:
    """The books whose bits are set, in order."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def tell_state(tracer: BookTracer, outbox: Outbox) -> None:
    """Facts of accounts and conservation accounts that have changed, before whatever rests on them."""
    first: dict[int, list[Item]] = {}
    for account in tracer.to_retell.values():
        for to, facts in _facts(tracer, account):
            first.setdefault(to, []).append(facts)
    for origin in tracer.changes.origins.values():
        if origin.home != tracer.books.own:
            changes = origin.news()
            if changes:
                item = Accounted(number=origin.home_number, changes=changes, funded_late=origin.funded_late)
                first.setdefault(origin.home, []).append(item)
    tracer.to_retell.clear()
    tracer.shown.clear()
    tracer.changes.origins.clear()
    for to, items in first.items():
        outbox.put_first(to, items)


def _facts(tracer: BookTracer, account: BookAccount) -> Iterator[tuple[int, Facts]]:
    """What is news about an account, for each book that follows it."""
    shown = tracer.shown.get((account.currency, account.account_id), 0)
    followers = (account.reached_by | account.followed_by | shown) & ~tracer.own_bit
    if not followers:
        return
    gone = tracer.find(account.account_id, account.currency) is not account
    facts = (
        "" if gone else account.place, account.is_sink, account.balance_known, account.customer_id, account.party_id,
        account.kind, account.history_from_seq,
    )  # fmt: skip
    know_facts, known_facts, know_traffic, known_traffic = account.told
    know_facts = know_facts if facts == known_facts else 0
    wanted = (shown if account.is_sink else shown | account.followed_by) & ~tracer.own_bit
    traffic: tuple[Any, ...] = known_traffic
    if wanted:
        payees = tuple((account.payees or {}).items())
        traffic = (account.first_ms, account.in_count, account.in_minor, payees, account.payer_count)
        know_traffic = know_traffic if traffic == known_traffic else 0
    to_facts, to_traffic = followers & ~know_facts, wanted & ~know_traffic
    account.told = (know_facts | to_facts, facts, know_traffic | to_traffic, traffic)
    for to in books_in(to_facts | to_traffic):
        yield to, Facts(
            account_id=account.account_id, currency=account.currency, place="" if gone else account.place,
            is_sink=account.is_sink, balance_known=account.balance_known, customer_id=account.customer_id,
            party_id=account.party_id, kind=account.kind, history_from=account.history_from_seq,
            traffic=Traffic(*traffic) if to_traffic >> to & 1 else None,
        )  # fmt: skip
