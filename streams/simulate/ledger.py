"""True accounts of the made-up bank: whole balances that never go below zero, and the records a feed would show of them.

A payment inside the bank shows as two legs in either order or as one record with both accounts; one that crosses banks
shows as the one leg we can see. Each account's own records stay in the order in which its balance changed.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from detectors.events import AccountKind, AccountTransaction, Direction, TransactionType
from streams.simulate.names import IdMint, masked
from streams.simulate.rhythm import DAY_S, OFFSET_S, day_of
from streams.simulate.writer import FolderWriter, instant

OUR_BANK = "B01"
CURRENCY = "CNY"
ONE_RECORD_PERCENT = 15
CREDIT_SIDE_PERCENT = 20  # of those single records, the ones written on the payee's account
NO_END_TO_END_PERCENT = 12
LEG_GAP_S_MAX = 3


class Account:
    """One account. ``ours``: its records are in the feed and its balance is kept; otherwise it is only a counterparty."""

    __slots__ = ("account_id", "balance_minor", "bank_code", "earmarked_minor", "industry", "kind", "last_s", "mcc", "name",
                 "ours", "party_id", "shows_balance")  # fmt: skip

    def __init__(
        self, account_id: str, name: str, party_id: str | None, bank_code: str, kind: AccountKind | None = None, *,
        ours: bool = False, industry: str | None = None, mcc: str | None = None, balance_minor: int = 0,
        shows_balance: bool = True,
    ) -> None:  # fmt: skip
        self.account_id = account_id
        self.name = name
        self.party_id = party_id
        self.bank_code = bank_code
        self.kind = kind
        self.ours = ours
        self.industry = industry
        self.mcc = mcc
        self.balance_minor = balance_minor
        self.shows_balance = shows_balance
        self.earmarked_minor = 0  # of the balance: already meant for something, so that daily life does not spend it
        self.last_s = 0  # of its newest record: a later change never shows an earlier time

    @property
    def free_minor(self) -> int:
        """What daily life may spend."""
        return max(0, self.balance_minor - self.earmarked_minor)


class Kind(NamedTuple):
    """What sort of payment: its type in the feed, how it was ordered, and what people write on it."""

    txn_type: TransactionType
    channel: str | None
    memos: tuple[str | None, ...]
    cash: bool = False


class Posted(NamedTuple):
    """The records of a payment: the payer's (or the only one), and the payee's when it has its own."""

    txn_id: str | None
    other_txn_id: str | None
    one_record_on: Direction | None = None


class Ledger:
    """Moves money between accounts at ``now_s`` and writes the records of it."""

    def __init__(self, writer: FolderWriter, mint: IdMint, rng: Random) -> None:
        self.now_s = 0
        self._writer = writer
        self._mint = mint
        self._rng = rng
        self._seq = 0
        self._day = -1
        self._booking_date = ""

    def pay(
        self, payer: Account, payee: Account, amount_minor: int, kind: Kind, delay_s: int = 0, reverses: Posted | None = None
    ) -> Posted:  # fmt: skip
        """Move money; a payment between two accounts of other banks leaves no record."""
        if not payee.ours:
            return self._pay_out(payer, payee, amount_minor, kind, delay_s, reverses)
        payee.balance_minor += amount_minor
        end_to_end = self._end_to_end()
        if not payer.ours:
            at_s = self.now_s + delay_s
            back = reverses.txn_id if reverses else None
            return Posted(self._leg(payee, payer, amount_minor, "CREDIT", at_s, kind, end_to_end, back), None)
        self._take(payer, amount_minor)
        if reverses.one_record_on if reverses else self._rng.randrange(100) < ONE_RECORD_PERCENT:
            return self._one_record(payer, payee, amount_minor, kind, delay_s, reverses)
        return self._two_legs(payer, payee, amount_minor, kind, delay_s, end_to_end, reverses)

    def _pay_out(
        self, payer: Account, payee: Account, amount_minor: int, kind: Kind, delay_s: int, reverses: Posted | None
    ) -> Posted:  # fmt: skip
        if not payer.ours:
            return Posted(None, None)
        self._take(payer, amount_minor)
        back = reverses.txn_id if reverses else None
        at_s = self.now_s + delay_s
        return Posted(self._leg(payer, payee, amount_minor, "DEBIT", at_s, kind, self._end_to_end(), back), None)

    def _two_legs(
        self, payer: Account, payee: Account, amount_minor: int, kind: Kind, delay_s: int, end_to_end: str | None,
        reverses: Posted | None,
    ) -> Posted:  # fmt: skip
        """A reversal's payer is the first payment's payee, so its legs name the first one's crosswise."""
        first_s = self.now_s + delay_s
        gap_s = self._rng.randrange(LEG_GAP_S_MAX + 1)
        debit_back, credit_back = (reverses.other_txn_id, reverses.txn_id) if reverses else (None, None)
        if self._rng.getrandbits(1):
            debit = self._leg(payer, payee, amount_minor, "DEBIT", first_s, kind, end_to_end, debit_back)
            credit = self._leg(payee, payer, amount_minor, "CREDIT", first_s + gap_s, kind, end_to_end, credit_back)
        else:
            credit = self._leg(payee, payer, amount_minor, "CREDIT", first_s, kind, end_to_end, credit_back)
            debit = self._leg(payer, payee, amount_minor, "DEBIT", first_s + gap_s, kind, end_to_end, debit_back)
        return Posted(debit, credit)

    def _one_record(
        self, payer: Account, payee: Account, amount_minor: int, kind: Kind, delay_s: int, reverses: Posted | None
    ) -> Posted:  # fmt: skip
        side: Direction = "CREDIT" if self._rng.randrange(100) < CREDIT_SIDE_PERCENT else "DEBIT"
        if reverses:  # on the same account as the record it takes back, hence on the other side
            side = "DEBIT" if reverses.one_record_on == "CREDIT" else "CREDIT"
        at_s = max(self.now_s + delay_s, payer.last_s, payee.last_s)
        payer.last_s = payee.last_s = at_s
        account, other = (payer, payee) if side == "DEBIT" else (payee, payer)
        back = reverses.txn_id if reverses else None
        txn_id = self._leg(account, other, amount_minor, side, at_s, kind, self._mint.next("E"), back, "PAYHUB")
        return Posted(txn_id, None, side)

    def withdraw(
        self, account: Account, amount_minor: int, kind: Kind, related_loan_id: str | None = None, delay_s: int = 0
    ) -> str:  # fmt: skip
        """Money leaves to nobody in particular: cash, a loan repayment. Returns the txn_id."""
        self._take(account, amount_minor)
        return self._alone(account, amount_minor, "DEBIT", kind, related_loan_id, delay_s)

    def deposit(
        self, account: Account, amount_minor: int, kind: Kind, related_loan_id: str | None = None, delay_s: int = 0
    ) -> str:  # fmt: skip
        """Money arrives from nobody in particular: cash, interest, a loan's payout. Returns the txn_id."""
        account.balance_minor += amount_minor
        return self._alone(account, amount_minor, "CREDIT", kind, related_loan_id, delay_s)

    def _take(self, payer: Account, amount_minor: int) -> None:
        assert 0 < amount_minor <= payer.balance_minor, f"{payer.account_id} holds {payer.balance_minor}, pays {amount_minor}"
        payer.balance_minor -= amount_minor

    def _end_to_end(self) -> str | None:
        return None if self._rng.randrange(100) < NO_END_TO_END_PERCENT else self._mint.next("E")

    def _leg(
        self, account: Account, other: Account, amount_minor: int, direction: Direction, at_s: int, kind: Kind,
        end_to_end: str | None, reverses_txn_id: str | None = None, source: str = "CORE",
    ) -> str:  # fmt: skip
        """One record with a counterparty. Fields that real feeds miss are missing at random, whoever pays."""
        at_s = account.last_s = max(at_s, account.last_s)
        txn_id = self._mint.next("T")
        self._seq += 1
        bits = self._rng.getrandbits(20)
        # Legs without an end-to-end id are matched by account, so only a stranger's account may be hidden
        hidden = not other.ours and other.kind is not None and bits & 15 == 0
        name = None if bits >> 4 & 7 == 0 else masked(other.name) if hidden else other.name
        record = AccountTransaction(
            event_time=instant(at_s), source_system=source, source_seq=self._seq, txn_id=txn_id,
            account_id=account.account_id, amount_minor=amount_minor, currency=CURRENCY, direction=direction,
            txn_type=kind.txn_type, customer_id=account.party_id, account_kind=account.kind, booking_date=self._date(at_s),
            balance_after_minor=account.balance_minor if account.shows_balance else None,
            reversal_flag=reverses_txn_id is not None, reverses_txn_id=reverses_txn_id, channel=kind.channel,
            counterparty_account=None if hidden else other.account_id, counterparty_name=name,
            counterparty_bank_code=other.bank_code,
            counterparty_party_id=other.party_id if bits >> 7 & 3 and not hidden else None,
            counterparty_industry=other.industry if bits >> 9 & 3 else None,
            counterparty_mcc=other.mcc if bits >> 11 & 7 else None,
            memo=kind.memos[(bits >> 14) % len(kind.memos)], end_to_end_id=end_to_end,
        )  # fmt: skip
        self._writer.put("account-transactions", at_s, record)
        return txn_id

    def _alone(
        self, account: Account, amount_minor: int, direction: Direction, kind: Kind, related_loan_id: str | None, delay_s: int
    ) -> str:  # fmt: skip
        """One record without a counterparty."""
        at_s = account.last_s = max(self.now_s + delay_s, account.last_s)
        txn_id = self._mint.next("T")
        self._seq += 1
        record = AccountTransaction(
            event_time=instant(at_s), source_system="CORE", source_seq=self._seq, txn_id=txn_id,
            account_id=account.account_id, amount_minor=amount_minor, currency=CURRENCY, direction=direction,
            txn_type=kind.txn_type, customer_id=account.party_id, account_kind=account.kind, booking_date=self._date(at_s),
            balance_after_minor=account.balance_minor if account.shows_balance else None, cash_flag=kind.cash,
            channel=kind.channel, related_loan_id=related_loan_id, memo=kind.memos[self._seq % len(kind.memos)],
        )  # fmt: skip
        self._writer.put("account-transactions", at_s, record)
        return txn_id

    def _date(self, at_s: int) -> str:
        day = (at_s + OFFSET_S) // DAY_S
        if day != self._day:
            self._day, self._booking_date = day, day_of(at_s).isoformat()
        return self._booking_date
