"""Which accounts a record speaks of: its own, and on the other side an account, a pocket of the payer, or a sink."""

from __future__ import annotations

from collections import Counter, deque

from detectors.accounts import HELD, IN_TRANSIT, OTHER_BANK, Account
from detectors.events import AccountTransaction
from detectors.lots import Transfer
from detectors.parties import Parties
from detectors.tracer import LOAN_REPAYMENT, Tracer
from detectors.uses import HUB, LENDER, LOAN_INTEREST, OTHER, POCKETS, PROPERTY, CodeLists, use_of

SINK_LISTS = frozenset({HUB, PROPERTY, LENDER})
UNKNOWN_PAYEE = "UNKNOWN_PAYEE"
TRANSIT = "~TRANSIT "
"""Before an end-to-end id: the account of what is on its way under it."""


class Places:
    """Finds and keeps the accounts of records; knows lists, hubs and transfers in transit."""

    def __init__(self, tracer: Tracer, parties: Parties, codes: CodeLists, hub_payers_min: int) -> None:
        self.tracer = tracer
        self.parties = parties
        self.codes = codes
        self.hub_payers_min = hub_payers_min
        self.transits: deque[tuple[int, str, str]] = deque()  # (event time, account, currency)
        self.counts: Counter[str] = Counter()

    def forget_before(self, event_time_ms: int) -> None:
        """Transfers in transit since before that time have no second leg: their money has left by an unknown way."""
        while self.transits and self.transits[0][0] < event_time_ms:
            _, account_id, currency = self.transits.popleft()
            self._end_transit(account_id, currency)

    def own_account(self, txn: AccountTransaction) -> Account:
        """The account whose record this is; from now on it is visible."""
        account = self.tracer.account(txn.account_id, txn.currency, HELD)
        if account.place == OTHER_BANK:
            self.tracer.move_place(account, HELD, False)
        if txn.account_kind is not None:
            account.kind = txn.account_kind
            if txn.account_kind == "INTERNAL" and not account.is_sink:
                self.tracer.move_place(account, HUB, True)
        if txn.customer_id is not None:
            account.customer_id = txn.customer_id
        return account

    def counterparty(self, txn: AccountTransaction, own: Account, is_debit: bool, event_time_ms: int) -> tuple[str, Account]:
        """The class of use of the transfer, and the account, pocket or sink on its other side."""
        other_id = txn.counterparty_account
        party_id = txn.counterparty_party_id
        if txn.counterparty_bank_code is not None:
            party_id = self._resolved(txn)
        listed = self._listed(other_id, party_id, event_time_ms) if self.parties.has_lists else None
        use = use_of(txn, listed, self.codes)
        if use in POCKETS and other_id is not None and (own.is_sink or txn.account_kind == "INTERNAL"):
            return use, self.tracer.account(other_id, txn.currency, OTHER_BANK)  # the firm's own record of it
        if use in POCKETS:
            firm = other_id if other_id is not None else use.lower()
            return use, self.tracer.account(f"{firm} (of {own.account_id})", txn.currency, use)
        if other_id is None or use in (LOAN_REPAYMENT, LOAN_INTEREST):
            return use, self._nameless(txn, use, event_time_ms)
        other = self.tracer.account(other_id, txn.currency, OTHER_BANK)
        if listed in SINK_LISTS and not other.is_sink:
            self.tracer.move_place(other, listed, True)
        if party_id is not None:
            other.party_id = party_id
        return use, other

    def _resolved(self, txn: AccountTransaction) -> str | None:
        """The counterparty's party by id, else by name and bank; from records that say all three it is learned."""
        if txn.counterparty_party_id is None:
            return self.parties.bearer(txn.counterparty_name, txn.counterparty_bank_code)
        self.parties.bear(txn.counterparty_party_id, txn.counterparty_name, txn.counterparty_bank_code)
        return txn.counterparty_party_id

    def _listed(self, account_id: str | None, party_id: str | None, event_time_ms: int) -> str | None:
        parties = self.parties
        if account_id not in parties.account_lists and party_id not in parties.party_lists:
            return None
        for name in parties.lists_of(account_id or "", party_id, event_time_ms):
            use = self.codes.lists.get(name)
            if use is not None:
                return use
        return None

    def _nameless(self, txn: AccountTransaction, use: str, event_time_ms: int) -> Account:
        """The other side has no account: a sink by class of use, or a transit that its end-to-end id joins to the other leg."""
        if use != OTHER or txn.end_to_end_id is None:
            place = UNKNOWN_PAYEE if use == OTHER else use
            return self.tracer.account(f"~{place}", txn.currency, place, is_sink=True)
        return self._transit(f"{TRANSIT}{txn.end_to_end_id}", txn.currency, event_time_ms)

    def _transit(self, account_id: str, currency: str, event_time_ms: int) -> Account:
        if not self.tracer.is_own(account_id):
            return self.tracer.account(account_id, currency, IN_TRANSIT)
        if self.tracer.find(account_id, currency) is None:
            self.transits.append((event_time_ms, account_id, currency))
        transit = self.tracer.account(account_id, currency, IN_TRANSIT)
        transit.balance_known = True  # it holds what was sent and nothing else
        return transit

    def _end_transit(self, account_id: str, currency: str) -> None:
        """No second leg came: the money has left by an unknown way."""
        account = self.tracer.look(account_id, currency)
        assert account is not None, f"transit {account_id} is gone before its time"
        self.tracer.move_place(account, UNKNOWN_PAYEE, True)
        self.tracer.close(account)

    def see_balance(self, txn: AccountTransaction, own: Account, event_time_ms: int) -> None:
        if txn.balance_after_minor is None:
            return
        before = txn.balance_after_minor + (txn.amount_minor if txn.direction == "DEBIT" else -txn.amount_minor)
        if before != own.balance_minor or not own.balance_known:  # mostly it is what we have
            self._reconcile(own, before, event_time_ms)

    def _reconcile(self, own: Account, stated_minor: int, event_time_ms: int) -> None:
        """A late record, or one that may not hold transfers known from their other side, says nothing about now."""
        self.tracer.see_balance(own, stated_minor, late=event_time_ms < own.last_ms or own.legs_awaited > 0)

    def second_leg(self, txn: AccountTransaction, own: Account, transfer: Transfer, event_time_ms: int) -> None:
        """The other record of a transfer that has been applied: it only tells the account's balance."""
        self.counts["legs_matched"] += 1
        if txn.balance_after_minor is not None and own.last_seq == transfer.seq:  # nothing of its own has followed
            self._reconcile(own, txn.balance_after_minor, event_time_ms)
            self.tracer.find(transfer.payer, transfer.currency)  # whose history holds the transfer that changes
            if transfer.payee == own.account_id:
                transfer.payee_after_minor = own.balance_minor
            elif transfer.payer == own.account_id:
                transfer.payer_after_minor = max(0, own.balance_minor)
        own.last_ms = max(own.last_ms, event_time_ms)

    def note_traffic(self, transfer: Transfer, payer: Account, payee: Account, event_time_ms: int) -> None:
        """The small profile that rules read: first and last time, counts, sums, who paid whom."""
        if not payer.first_ms:
            payer.first_ms = event_time_ms
        if not payee.first_ms:
            payee.first_ms = event_time_ms
        if event_time_ms > payer.last_ms:
            payer.last_ms = event_time_ms
        if event_time_ms > payee.last_ms:
            payee.last_ms = event_time_ms
        payer.last_seq = payee.last_seq = transfer.seq
        payee.in_count += 1
        payee.in_minor += transfer.amount_minor
        if not payer.is_sink and payer.pays(payee.account_id, event_time_ms):
            payee.payer_count += 1
            if payee.payer_count == self.hub_payers_min and not payee.is_sink:
                self.counts["hubs_by_degree"] += 1
                self.tracer.move_place(payee, HUB, True)

    def host(self, txn: AccountTransaction, account_id: str, use: str, event_time_ms: int) -> Account:
        """The account of this book that another book's record names on its other side."""
        if use in POCKETS:
            return self.tracer.account(account_id, txn.currency, OTHER_BANK)  # a firm's own record
        if account_id.startswith(TRANSIT):
            return self._transit(account_id, txn.currency, event_time_ms)
        account = self.tracer.account(account_id, txn.currency, OTHER_BANK)
        party_id = self._resolved(txn) if txn.counterparty_bank_code is not None else txn.counterparty_party_id
        listed = self._listed(txn.counterparty_account, party_id, event_time_ms)
        if listed in SINK_LISTS and not account.is_sink:
            self.tracer.move_place(account, listed, True)
        if party_id is not None:
            account.party_id = party_id
        return account

    def note_sent(self, transfer: Transfer, payer: Account) -> bool:
        """The payer's half of :meth:`note_traffic`, where the payee is another book's; True when it had not paid it before."""
        payer.first_ms = payer.first_ms or transfer.event_time_ms
        payer.last_ms = max(payer.last_ms, transfer.event_time_ms)
        payer.last_seq = transfer.seq
        return not payer.is_sink and payer.pays(transfer.payee, transfer.event_time_ms)

    def note_received(self, transfer: Transfer, payee: Account, is_new_payer: bool) -> None:
        """The payee's half."""
        payee.first_ms = payee.first_ms or transfer.event_time_ms
        payee.last_ms = max(payee.last_ms, transfer.event_time_ms)
        payee.last_seq = transfer.seq
        payee.in_count += 1
        payee.in_minor += transfer.amount_minor
        if is_new_payer:
            payee.payer_count += 1
            if payee.payer_count == self.hub_payers_min and not payee.is_sink:
                self.counts["hubs_by_degree"] += 1
                self.tracer.move_place(payee, HUB, True)
