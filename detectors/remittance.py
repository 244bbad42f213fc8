"""Remittances: what one book writes into the journal of another, as records.

A payment between accounts of two books is halved. The payer's book takes the money out, with the lots that leave by its
bookings, and sends them; the payee's book credits them. What a loan's money does in another book is told to the loan's
*home*, the book of the account it was paid out on, where the loan is judged: the transfers its money may have gone with, the
accounts it may have reached, and where its lots are.

A :class:`Remittance` is all that one journal record of ``sender`` means for one other book. ``number`` counts them, from 0,
for each pair of books: the receiver knows a repeated one by it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from detectors.events import AccountTransaction

OWN_MONEY, GHOST_MONEY = -1, -2
"""In place of a loan's home: a share of own money, or of loan money whose label a limit has dropped."""


class Step(Struct, frozen=True, array_like=True):
    """A transfer. ``gid`` names it in all books: its position in the book that made it."""

    gid: int
    txn_id: str
    event_time_ms: int
    payer: str
    payee: str
    amount_minor: int
    currency: str
    use: str
    payer_after_minor: int | None = None
    payee_after_minor: int | None = None


class Share(Struct, frozen=True, array_like=True):
    """A parcel of one loan's money in a transfer, as it arrives; ``trail`` brought it to the payer, the payout first."""

    amount_minor: int
    home: int = OWN_MONEY  # book of the loan
    number: int = 0  # of the loan's origin, at home
    loan_id: str = ""
    start_ms: int = 0
    hops: int = 0
    trail: tuple[Step, ...] = ()


Shares = tuple[tuple[Share, ...], ...]
"""Per ledger, in the order in which they left."""


class Facts(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="facts"):
    """What the bounds and the detectors read of an account, sent to whose loans may have reached it when it has changed."""

    account_id: str
    currency: str
    place: str = ""  # "": the account is gone
    is_sink: bool = False
    balance_known: bool = False
    customer_id: str | None = None
    party_id: str | None = None
    kind: str | None = None
    history_from: int = 0  # its debits before that ``gid`` are forgotten
    traffic: Traffic | None = None  # at a passage of the receiver's loans, and for those who follow it


class Traffic(Struct, frozen=True, array_like=True):
    """The profile of an account's traffic."""

    first_ms: int
    in_count: int
    in_minor: int
    payees: tuple[tuple[str, int], ...]
    payer_count: int = 0


class Follow(Struct, frozen=True, kw_only=True, tag="follow"):
    """A passage from or to the account counts for a loan of the sender: it wants to know the account's traffic from now on."""

    account_id: str
    currency: str


class Accounted(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="accounted"):
    """Changes of a loan's conservation account in the sending book."""

    number: int
    changes: dict[str, int]
    funded_late: bool = False


class Credit(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="credit"):
    """The payee's half of a transfer: money, its lots, and whose loans may be in it."""

    step: Step
    record: AccountTransaction
    shares: Shares = ()  # none: no labelled money
    is_new_payer: bool = False
    reach_minor: int = 0
    reached_by: int = 0  # bits of books
    unfunded_minor: int = 0
    received: int = -1  # number of the last remittance that had come from the receiving book


class Collection(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="collection"):
    """A payee's own record of money from an account of the receiving book, which is to send it unless it has."""

    record: AccountTransaction
    payer: str
    use: str
    received: int  # number of the last remittance that had come from there


class Collected(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="collected"):
    """The answer to a collection of what had already been sent: the record is the transfer's second leg."""

    gid: int
    record: AccountTransaction


class Awaited(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="awaited"):
    """A transfer into or out of a pocket or a sink, of which a firm of the receiving book may have a record too."""

    step: Step
    side: Literal["DEBIT", "CREDIT"]  # of the record that has come
    payer: str  # as the record names them
    payee: str
    end_to_end_id: str | None = None


class Usage(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="usage"):
    """A transfer that loans of the receiving book may have gone with; with shares, one that they did go with."""

    step: Step
    in_history: bool = False  # a debit of an account that loan money may be on
    record: AccountTransaction | None = None
    shares: tuple[Share, ...] = ()  # by the detection ledger
    beside_minor: dict[int, int] = {}  # number of the loan's origin -> what the second ledger says


class Correction(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="correction"):
    """A second record has told more about a transfer: a balance, or (``owner_known``) whose account the money went to."""

    gid: int
    payer_after_minor: int | None = None
    payee_after_minor: int | None = None
    owner_known: bool | None = None  # None: no second leg


class Recall(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="recall"):
    """A payer's own record of a reversal: the receiving book is to send the money back."""

    gid: int
    record: AccountTransaction


class Search(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="search"):
    """A reversal of a record that its own book does not know; perhaps the other side's book does.

    ``answered``: it does not, and the record is money like any other.
    """

    record: AccountTransaction
    answered: bool = False


class Return(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="return"):
    """Money that goes back to the payer of a reversed transfer."""

    gid: int  # the reversed transfer
    step: Step  # the reversal
    record: AccountTransaction
    recalled: tuple[tuple[tuple[int, int], ...], ...]  # per ledger: (parcel of the original, how much of it was still there)
    others: Shares  # given instead of what was not
    reach_minor: int = 0
    reached_by: int = 0
    in_history: bool = False
    from_sink: bool = False


class Reversal(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="reversal"):
    """A transfer that loans of the receiving book may have gone with has been reversed."""

    gid: int
    step: Step
    in_history: bool = False


class Funding(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="funding"):
    """Loan money for a transfer that had found none when it was made: it changes places with the payee's own money."""

    gid: int
    record: AccountTransaction
    shares: Shares
    reached_by: int


class Unplaced(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="unplaced"):
    """What of a funding found no place at the payee."""

    gid: int
    shares: Shares


class Heard(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="heard"):
    """An alert was published: for percentiles, and for later alerts of the same customer."""

    typology: str
    alert_id: str
    customer_id: str | None = None
    score: float | None = None


Item = (
    Facts | Follow | Accounted | Credit | Collection | Collected | Awaited | Usage | Correction | Recall | Search | Return
    | Reversal | Funding | Unplaced | Heard
)  # fmt: skip


class Remittance(Struct, frozen=True, kw_only=True):
    """One message between two books. ``watermark_ms``: how far event time has come at the sender."""

    sender: int
    to: int
    number: int
    watermark_ms: int
    items: tuple[Item, ...]
