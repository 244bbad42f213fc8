"""Accounts as rows: an account that no lot, claim or gain ties to others is packed into a few bytes of its own.

Nearly all accounts are *plain* in this sense. Packed rows are what a checkpoint writes one by one, and what a fold that
was loaded from a checkpoint keeps instead of objects until it needs them (:class:`ColdAccounts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from detectors.accounts import Account
from detectors.lots import Transfer

PLAIN, WITH_HISTORY, ENTANGLED = "plain", "with history", "entangled"
"""Kinds of accounts: the first two can be packed, the second holds transfers that others may hold too."""

_DEFAULTS: tuple[Any, ...] = (
    0, "HELD", True, 0, 0, 0, 0, 0, 0, None, None, None, False, None, 0, 0, 0, 0, 0, 0, 0, None,
)  # fmt: skip
"""The fields of a row that ends early, in the order of :func:`pack`: what is rare stands last and is left out."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list).decode


def kind_of(account: Account) -> str:
    """Whether an account can be packed by itself; what several books know of one cannot."""
    if type(account) is not Account:
        return ENTANGLED
    if account.holdings is not None or account.claims is not None or account.gain is not None:
        return ENTANGLED
    history = account.history
    if not history:
        return PLAIN
    for transfer in history:
        if transfer.landings is not None or transfer.undone_by is not None or transfer.payer != account.account_id:
            return ENTANGLED
    return WITH_HISTORY


def pack(account: Account) -> bytes:
    """A plain account as bytes, without its id and currency, and without what the open legs say (``legs_awaited``)."""
    since = account.first_ms
    payees: list[Any] | None = None
    if account.payees is not None:
        payees = []
        for payee, paid_ms in account.payees.items():
            payees += (payee, paid_ms - since)
    row = [
        account.balance_minor, account.place, account.balance_known, since, account.last_ms - since, account.last_seq,
        account.in_count, account.in_minor, account.payer_count, payees, account.customer_id, account.kind, account.is_sink,
        account.party_id, account.assumed_minor, account.reach_minor, account.reach_ms, account.history_from_seq,
        account.unfunded_minor, account.unfunded_ms, account.unseen_minor,
        None if account.history is None else [_packed_transfer(transfer) for transfer in account.history],
    ]  # fmt: skip
    last = len(row)
    while last and row[last - 1] == _DEFAULTS[last - 1]:
        last -= 1
    return _encode(row[:last])


def unpack(currency: str, account_id: str, packed: bytes, resident: Mapping[int, Transfer]) -> Account:
    """The account that was packed; ``resident``: transfers, by ``seq``, that others hold too."""
    row = _decode(packed)
    row += _DEFAULTS[len(row) :]
    account = Account(account_id, currency, row[1], row[12])
    since = row[3]
    account.balance_minor, _, account.balance_known, account.first_ms, lasting_ms, account.last_seq = row[:6]
    account.last_ms = since + lasting_ms
    account.in_count, account.in_minor, account.payer_count, payees, account.customer_id, account.kind = row[6:12]
    if payees is not None:
        account.payees = {payees[i]: payees[i + 1] + since for i in range(0, len(payees), 2)}
    account.party_id, account.assumed_minor, account.reach_minor, account.reach_ms, account.history_from_seq = row[13:18]
    account.unfunded_minor, account.unfunded_ms, account.unseen_minor, history = row[18:]
    if history is not None:
        account.history = [resident.get(item[0]) or _unpacked_transfer(item, account_id, currency) for item in history]
    return account


def _packed_transfer(transfer: Transfer) -> tuple[Any, ...]:
    return (
        transfer.seq, transfer.txn_id, transfer.event_time_ms, transfer.payee, transfer.amount_minor, transfer.use,
        transfer.payer_after_minor, transfer.payee_after_minor, transfer.undone_minor, transfer.loan_numbers,
    )  # fmt: skip


def _unpacked_transfer(item: list[Any], payer: str, currency: str) -> Transfer:
    seq, txn_id, event_time_ms, payee, amount_minor, use, payer_after, payee_after, undone_minor, loan_numbers = item
    transfer = Transfer(seq, txn_id, event_time_ms, payer, payee, amount_minor, currency, use)
    transfer.payer_after_minor, transfer.payee_after_minor = payer_after, payee_after
    transfer.undone_minor, transfer.loan_numbers = undone_minor, tuple(loan_numbers)
    return transfer


class ColdAccounts:
    """Packed accounts that nothing has asked for since the fold was loaded.

    Args:
        packed: currency -> account id -> row.
        holders: (currency, account id) of those whose rows hold transfers.
    """

    def __init__(self, packed: dict[str, dict[str, bytes]], holders: frozenset[tuple[str, str]] = frozenset()) -> None:
        self.packed = packed
        self.holders = holders
        self.resident: dict[int, Transfer] = {}  # transfers that a history in a row shares with the graph

    def take(self, currency: str, account_id: str) -> Account | None:
        """The account, which from now on is the caller's; None when it is not here."""
        book = self.packed.get(currency)
        packed = book.pop(account_id, None) if book is not None else None
        return unpack(currency, account_id, packed, self.resident) if packed is not None else None

    def keys(self) -> Iterator[tuple[str, str]]:
        """(currency, account id) of every account that is here."""
        for currency, book in self.packed.items():
            for account_id in book:
                yield currency, account_id

    def __len__(self) -> int:
        return sum([len(book) for book in self.packed.values()])
