"""Plays a stream of steps on a real tracer and keeps what the properties look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence

from detectors.accounts import HELD, Account
from detectors.bounds import BoundLimits, Bounds, bounds_of, whereabouts
from detectors.lots import OWN, Landing, Lot, Origin, Transfer
from detectors.tracer import LENDER_ACCOUNT, Movement, TraceLimits, Tracer
from tests.properties.strategies import OUTSIDE, SINKS, Expire, Pay, PayOut, See, Step, Stream, TakeBack, Undo

LEDGERS = ("loan_first", "fifo", "lifo", "own_first")
WIDE = TraceLimits(hops_max=10**6, lot_minor_min=1, history_transfers_max=10**6)
CNY = "CNY"

Shown = tuple[str, int, int, tuple[str, ...]]  # a lot as data: loan ("" for own money), amount, hops, ids of its trail


class Play:
    """One stream on one tracer. ``transfers[i]`` is the transfer of step i (None for steps that are none).

    Step i happens at i ms, or at ``times_ms[i]`` (repeated when it is short): then credits may come late.
    """

    def __init__(
        self, stream: Stream, limits: TraceLimits = WIDE, ledgers: tuple[str, ...] = LEDGERS,
        after_each: Callable[[Play], None] | None = None, names: dict[str, str] | None = None,
        ids: Sequence[str] | None = None, times_ms: Sequence[int] = (), places: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.stream = stream
        self.tracer = Tracer(ledgers, limits)
        self.names = names or {}
        self.ids = ids
        self.times_ms = times_ms
        self.origins: dict[str, Origin] = {}
        self.transfers: list[Transfer | None] = []
        self.arrived: Counter[tuple[str, int, int]] = Counter()  # (loan, ledger, step) -> amount its payment carried
        for name, balance in stream.opening.items():
            account = self.tracer.account(self.name(name), CNY, (places or {}).get(name, HELD))
            account.balance_known, account.balance_minor = balance is not None, balance or 0
        for name in (*SINKS, OUTSIDE):
            self.tracer.account(self.name(name), CNY, name.upper(), True)
        for step in stream.steps:
            self.play(step)
            if after_each is not None:
                after_each(self)

    def name(self, name: str) -> str:
        """What the account or loan is called in this play."""
        return self.names.get(name, name)

    def account(self, name: str) -> Account:
        """The tracer's account for a name in the stream."""
        account = self.tracer.find(self.name(name), CNY)
        assert account is not None
        return account

    def held_accounts(self) -> list[Account]:
        """The accounts that keep lots."""
        return [account for account in self.tracer.all_accounts() if not account.is_sink]

    def seqs(self, steps: Collection[int]) -> frozenset[int]:
        """The positions in the fold of some steps' transfers."""
        return frozenset(transfer.seq for i in steps if (transfer := self.transfers[i]) is not None)

    def bounds(self, loan: str, steps: Collection[int], limits: BoundLimits | None = None) -> Bounds:
        """Certain and possible for a loan and the payments of those steps, now."""
        return bounds_of(self.tracer, self.origins[loan], self.seqs(steps), 10**9, limits)

    def whereabouts(self, loan: str, limits: BoundLimits | None = None) -> dict[str, tuple[int, Bounds]]:
        """(Attributed, bounds) by class of destination, now."""
        return whereabouts(self.tracer, self.origins[loan], limits or BoundLimits())

    def standing(self, loan: str, ledger: int, steps: Collection[int]) -> int:
        """Money of the loan that those payments carried, came through none of them before, and was not sent back."""
        seqs = self.seqs(steps)
        landings = [
            landing for i in steps for landing in self._landings(i, ledger) if landing.taken.origin is self.origins[loan]
        ]
        ways = [(landing.taken.amount_minor, landing.taken.trail) for landing in landings]
        return sum(amount for amount, trail in ways if trail and not any(step.seq in seqs for step in trail.transfers()))

    def _landings(self, i: int, ledger: int) -> list[Landing]:
        transfer = self.transfers[i]
        return transfer.landings[ledger] if transfer is not None and transfer.landings else []

    def shown(self) -> dict[str, list[list[Shown]]]:
        """Every account's lots in every ledger, as data that two plays can be compared by."""
        return {account.account_id: shown_lots(account, len(self.tracer.bookings)) for account in self.held_accounts()}

    def by_origin(self) -> dict[tuple[str, int, str], int]:
        """(account, ledger, loan) -> amount."""
        amounts: Counter[tuple[str, int, str]] = Counter()
        for account_id, ledgers in self.shown().items():
            for ledger, lots in enumerate(ledgers):
                for loan, amount, _, _ in lots:
                    amounts[account_id, ledger, loan] += amount
        return {key: amount for key, amount in amounts.items() if key[2]}

    def _transfer(self, i: int, payer: str, payee: str, amount_minor: int) -> Transfer:
        at_ms = self.times_ms[i % len(self.times_ms)] if self.times_ms else i
        txn_id = self.ids[i] if self.ids is not None else f"t{i}"
        return Transfer(self.tracer.next_seq(), txn_id, at_ms, payer, payee, amount_minor, CNY, "X")

    def play(self, step: Step) -> None:
        """Apply one more step."""
        i = len(self.transfers)
        transfer: Transfer | None = None
        if isinstance(step, Pay):
            transfer = self._pay(i, step)
        elif isinstance(step, PayOut):
            transfer = self._pay_out(i, step)
        elif isinstance(step, Undo):
            transfer = self._undo(i, step)
        elif isinstance(step, TakeBack):
            self.tracer.reverse_payout(self.origins[step.loan], step.amount_minor, self.account(step.account))
        elif isinstance(step, See):
            self.tracer.see_balance(self.account(step.account), step.stated_minor, False)
        elif isinstance(step, Expire) and step.loan in self.origins:
            self.origins[step.loan].expire()
        self.transfers.append(transfer)

    def _pay_out(self, i: int, step: PayOut) -> Transfer:
        origin = self.origins.get(step.loan)
        if origin is None:
            origin = self.origins[step.loan] = self.tracer.open_origin(self.name(step.loan), i)
        account = self.account(step.account)
        transfer = self._transfer(i, LENDER_ACCOUNT, account.account_id, step.amount_minor)
        self.tracer.pay_out(origin, transfer, account)
        return transfer

    def _pay(self, i: int, step: Pay) -> Transfer:
        payer, payee = self.account(step.payer), self.account(step.payee)
        transfer = self._transfer(i, payer.account_id, payee.account_id, step.amount_minor)
        self._note(i, self.tracer.pay(transfer, payer, payee))
        return transfer

    def _note(self, i: int, movement: Movement | None) -> None:
        loans = {origin.number: loan for loan, origin in self.origins.items()}
        for ledger, parcels in enumerate(movement.parcels if movement is not None else ()):
            for parcel in parcels:
                self.arrived[loans[parcel.origin.number], ledger, i] += parcel.amount_minor

    def _undo(self, i: int, step: Undo) -> Transfer:
        original = self.transfers[step.step]
        assert original is not None
        payer, payee = self.tracer.find(original.payer, CNY), self.tracer.find(original.payee, CNY)
        assert payer is not None
        assert payee is not None
        reversal = self._transfer(i, original.payee, original.payer, step.amount_minor)
        self.tracer.undo(original, reversal, payer, payee)
        return reversal


def shown_lots(account: Account, ledgers: int) -> list[list[Shown]]:
    """An account's lots in every ledger. Own money is shown only between or after loans' money, where its position counts."""
    holdings = account.holdings or [None] * ledgers
    return [_merged([shown(lot) for lot in holding.lots]) if holding is not None else [] for holding in holdings]


def shown(lot: Lot) -> Shown:
    """A lot as data."""
    trail = tuple(transfer.txn_id for transfer in lot.trail.transfers()) if lot.trail is not None else ()
    return (lot.origin.loan_id, lot.amount_minor, lot.hops, trail) if lot.origin is not OWN else ("", lot.amount_minor, 0, ())


def _merged(lots: list[Shown]) -> list[Shown]:
    """Neighbours that differ in the amount only are one parcel."""
    merged: list[Shown] = []
    for lot in lots:
        if merged and (merged[-1][0], *merged[-1][2:]) == (lot[0], *lot[2:]):
            merged[-1] = (lot[0], merged[-1][1] + lot[1], *lot[2:])
        else:
            merged.append(lot)
    return merged


def check_conservation(play: Play) -> None:
    """No loan money made or lost, and what the conservation accounts say is there is there, place by place."""
    for loan, origin in play.origins.items():
        assert origin.imbalance_minor() == 0, f"{loan}: {origin.imbalance_minor()} minor units made or lost"
        if not origin.expired:
            held = sum(
                lot.amount_minor for account in play.held_accounts() if account.holdings is not None
                for lot in (account.holdings[0].lots if account.holdings[0] is not None else ()) if lot.origin is origin
            )  # fmt: skip
            assert origin.places_minor.get(HELD, 0) == held, f"{loan}: {origin.places_minor} but {held} in lots"


def check_lots(play: Play) -> None:
    """Lots are positive, fill ordered ledgers to the balance, and never exceed it."""
    for account in play.held_accounts():
        for booking, holding in zip(play.tracer.bookings, account.holdings or (), strict=False):
            if holding is None:
                continue
            amounts = [lot.amount_minor for lot in holding.lots]
            assert all(amount > 0 for amount in amounts), f"{account.account_id} {booking.name}: {amounts}"
            labelled = sum(lot.amount_minor for lot in holding.lots if lot.origin is not OWN)
            assert holding.labelled_minor == labelled, f"{account.account_id} {booking.name}: counts {holding.labelled_minor}"
            balance = max(0, account.balance_minor)
            full = sum(amounts) == balance if booking.ordered else sum(amounts) <= balance
            assert full, f"{account.account_id} {booking.name}: lots {amounts}, balance {balance}"
