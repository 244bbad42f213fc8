"""The tracer, event by event: payments, payouts, stated balances, late credits, reversals, limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from detectors.accounts import HELD, OTHER_BANK, OVERDRAFT
from detectors.lots import Origin, Transfer
from detectors.tracer import DAY_MS, HOUR_MS, LENDER_ACCOUNT, LOAN_REPAYMENT, Movement, TraceLimits, Tracer
from tests.properties.play import LEDGERS, Play, check_conservation, check_lots
from tests.properties.strategies import OUTSIDE, Expire, Pay, PayOut, See, Stream, TakeBack, Undo

CNY = "CNY"
WIDE = TraceLimits(lot_minor_min=1)


class Bank:
    """A tracer with accounts a, b, c and a sink, told what to do in words."""

    def __init__(self, opening: dict[str, int | None], ledgers: Sequence[str] = LEDGERS, limits: TraceLimits = WIDE) -> None:
        self.tracer = Tracer(ledgers, limits)
        self.transfers: dict[str, Transfer] = {}
        for name, balance in opening.items():
            account = self.tracer.account(name, CNY, HELD)
            account.balance_known, account.balance_minor = balance is not None, balance or 0
        self.tracer.account("broker", CNY, "SECURITIES", True)
        self.tracer.account("lender", CNY, LOAN_REPAYMENT, True)
        self.loan = self.tracer.open_origin("L1", 0)

    def out(self, payee: str, amount: int, at_ms: int = 0, loan: Origin | None = None) -> None:
        transfer = Transfer(self.tracer.next_seq(), f"out{amount}", at_ms, LENDER_ACCOUNT, payee, amount, CNY, "LOAN")
        self.tracer.pay_out(loan or self.loan, transfer, self.tracer.account(payee, CNY, HELD))

    def pay(self, payer: str, payee: str, amount: int, at_ms: int = 0, repays: Origin | None = None) -> Movement | None:
        transfer = Transfer(self.tracer.next_seq(), payer + payee, at_ms, payer, payee, amount, CNY, "X")
        self.transfers[payer + payee] = transfer
        return self.tracer.pay(transfer, self.tracer.account(payer, CNY, HELD), self.tracer.account(payee, CNY, HELD), repays)

    def held(self, name: str, ledger: int = 0) -> int:
        account = self.tracer.find(name, CNY)
        holding = account.holdings[ledger] if account is not None and account.holdings is not None else None
        return sum(lot.amount_minor for lot in holding.lots if lot.origin is self.loan) if holding is not None else 0

    def funded(self) -> dict[str, int]:
        """Payment -> amount in the detection ledger that late credits funded."""
        amounts: Counter[str] = Counter()
        for _, movement in self.tracer.funded:
            amounts[movement.transfer.txn_id] += sum(parcel.amount_minor for parcel in movement.parcels[0])
        return dict(amounts)


# --- payments -----------------------------------------------------------------------------------------------------------


def test_a_payment_without_loan_money_near_moves_balances_only() -> None:
    bank = Bank({"a": 50, "b": 0})
    assert bank.pay("a", "b", 20) is None
    assert [bank.tracer.account(name, CNY, HELD).balance_minor for name in "ab"] == [30, 20]


def test_a_movement_tells_what_left_in_every_ledger() -> None:
    bank = Bank({"a": 50, "b": 0})
    bank.out("a", 100)
    movement = bank.pay("a", "b", 80)
    assert movement is not None
    carried = {name: sum(p.amount_minor for p in parcels) for name, parcels in zip(LEDGERS, movement.parcels, strict=True)}
    assert carried == {"loan_first": 80, "fifo": 30, "lifo": 80, "own_first": 30}


def test_a_parcel_knows_its_hops_and_its_way() -> None:
    bank = Bank({"a": 0, "b": 0, "c": 0})
    bank.out("a", 100)
    bank.pay("a", "b", 100)
    movement = bank.pay("b", "broker", 60)
    assert movement is not None
    (parcel,) = movement.parcels[0]
    assert (parcel.hops, parcel.amount_minor) == (2, 60)
    assert [step.txn_id for step in parcel.trail.transfers()] == ["out100", "ab", "bbroker"]


def test_a_repayment_of_the_loan_itself_counts_as_repaid() -> None:
    bank = Bank({"a": 0})
    bank.out("a", 100)
    bank.pay("a", "lender", 40, repays=bank.loan)
    bank.pay("a", "lender", 10)
    assert (bank.loan.repaid_minor, bank.loan.places_minor) == (40, {HELD: 50, LOAN_REPAYMENT: 10})


def test_an_overdraft_swallows_loan_money_and_says_so() -> None:
    bank = Bank({"a": 0, "b": 0})
    bank.pay("b", "broker", 30)
    bank.out("a", 100)
    bank.pay("a", "b", 50, DAY_MS * 2)
    assert bank.loan.places_minor == {HELD: 70, OVERDRAFT: 30}


def test_moving_an_account_to_another_place_moves_its_money_in_the_books() -> None:
    bank = Bank({"a": 0})
    bank.out("a", 100)
    account = bank.tracer.account("a", CNY, HELD)
    bank.tracer.move_place(account, OTHER_BANK, False)
    assert (bank.loan.places_minor, bank.held("a")) == ({OTHER_BANK: 100}, 100)
    bank.tracer.move_place(account, "HUB", True)
    assert (bank.loan.places_minor, account.holdings) == ({"HUB": 100}, None)


def test_accounts_of_two_currencies_are_two_accounts() -> None:
    tracer = Tracer()
    assert tracer.account("a", "CNY", HELD) is not tracer.account("a", "USD", HELD)
    assert tracer.find("a", "EUR") is None
    assert [account.currency for account in tracer.all_accounts()] == ["CNY", "USD"]


# --- limits -------------------------------------------------------------------------------------------------------------


def test_money_beyond_the_hops_is_dropped_and_keeps_its_position() -> None:
    bank = Bank({"a": 0, "b": 0, "c": 0}, limits=TraceLimits(hops_max=1, lot_minor_min=1))
    bank.out("a", 100)
    bank.pay("a", "b", 100)
    bank.pay("b", "c", 100)
    assert (bank.loan.places_minor, bank.loan.dropped_minor) == ({}, {"hops": 100})
    assert bank.tracer.account("c", CNY, HELD).labelled_minor() == 100


def test_small_parcels_are_dropped_by_amount() -> None:
    bank = Bank({"a": 0, "b": 0}, limits=TraceLimits(lot_minor_min=10))
    bank.out("a", 100)
    bank.pay("a", "b", 9)
    assert (bank.loan.places_minor, bank.loan.dropped_minor) == ({HELD: 91}, {"amount": 9})


def test_an_expired_loan_moves_on_without_a_label() -> None:
    bank = Bank({"a": 0, "b": 0})
    bank.out("a", 100)
    bank.loan.expire()
    bank.loan.expire()
    assert bank.pay("a", "broker", 60) is None
    assert (bank.loan.places_minor, bank.loan.dropped_minor, bank.loan.imbalance_minor()) == ({}, {"age": 100}, 0)


def test_histories_are_forgotten_after_the_age_limit() -> None:
    bank = Bank({"a": 0, "b": 0}, limits=TraceLimits(lot_minor_min=1, age_days_max=10))
    bank.out("a", 100)
    bank.pay("a", "b", 40)
    bank.tracer.forget_before(10 * DAY_MS)
    assert bank.tracer.account("a", CNY, HELD).history is not None
    bank.tracer.forget_before(10 * DAY_MS + 1)
    assert bank.tracer.account("a", CNY, HELD).history is None


def test_a_history_is_cut_at_its_limit_and_the_cut_is_counted() -> None:
    bank = Bank({"a": 0}, limits=TraceLimits(lot_minor_min=1, history_transfers_max=4))
    bank.out("a", 100)
    for _ in range(5):
        bank.pay("a", "broker", 1)
    history = bank.tracer.account("a", CNY, HELD).history
    assert history is not None
    assert (len(history), bank.tracer.counts["history_forgotten"]) == (4, 1)


def test_a_payout_after_expiry_is_dropped_by_age() -> None:
    play = Play(Stream({"a": 0}, (PayOut("L1", "a", 10), Expire("L1"), PayOut("L1", "a", 7), Pay("a", "broker", 17))))
    assert (play.origins["L1"].places_minor, play.origins["L1"].dropped_minor) == ({}, {"age": 17})


# --- stated balances ----------------------------------------------------------------------------------------------------


def test_the_first_stated_balance_settles_the_opening_one() -> None:
    bank = Bank({"a": None})
    bank.out("a", 100)
    account = bank.tracer.account("a", CNY, HELD)
    bank.tracer.see_balance(account, 130, False)
    assert (account.balance_known, account.balance_minor, bank.held("a", 1)) == (True, 130, 100)


def test_an_unseen_outflow_takes_own_money_only() -> None:
    bank = Bank({"a": 20})
    bank.out("a", 100)
    account = bank.tracer.account("a", CNY, HELD)
    bank.tracer.see_balance(account, 50, False)
    assert (account.balance_minor, bank.held("a"), bank.tracer.counts["unseen_outflow"]) == (100, 100, 1)


def test_an_unseen_inflow_is_own_money() -> None:
    bank = Bank({"a": 0})
    bank.out("a", 100)
    bank.tracer.see_balance(bank.tracer.account("a", CNY, HELD), 160, False)
    assert (bank.held("a"), bank.tracer.account("a", CNY, HELD).balance_minor) == (100, 160)
    bank.tracer.see_balance(bank.tracer.account("a", CNY, HELD), 999, True)
    assert bank.tracer.account("a", CNY, HELD).balance_minor == 160, "a late record's balance says nothing about now"


def test_an_unseen_outflow_spares_the_loan_money_of_every_ledger() -> None:
    stream = Stream({"a": 50, "b": 0}, (PayOut("L1", "a", 50), Pay("a", "b", 50), See("a", 10)))
    check_lots(Play(stream))


# --- late credits -------------------------------------------------------------------------------------------------------

ORDERS = pytest.mark.parametrize("balance", [None, 0], ids=["opening-unknown", "opening-0"])


def _late(balance: int | None, chained: bool) -> Bank:
    bank = Bank({"a": 0, "b": balance, "c": balance})
    bank.out("a", 100)
    if chained:
        bank.pay("c", "broker", 80, 3)
        bank.pay("b", "c", 100, 2)
    else:
        bank.pay("b", "broker", 80, 2)
    bank.pay("a", "b", 100, 1)
    return bank


@ORDERS
def test_a_late_credit_funds_the_payment_that_came_first(balance: int | None) -> None:
    bank = _late(balance, False)
    assert bank.loan.places_minor == {HELD: 20, "SECURITIES": 80}
    assert bank.held("b") == 20
    assert bank.funded() == {"bbroker": 80}


@ORDERS
def test_a_late_credit_funds_a_chain_told_backwards(balance: int | None) -> None:
    bank = _late(balance, True)
    assert bank.loan.places_minor == {HELD: 20, "SECURITIES": 80}
    assert bank.held("c") == 20


@ORDERS
def test_a_late_credit_funds_a_chain_told_in_order(balance: int | None) -> None:
    bank = Bank({"a": 0, "b": balance, "c": balance})
    bank.out("a", 100)
    bank.pay("b", "c", 100, 2)
    bank.pay("c", "broker", 80, 3)
    bank.pay("a", "b", 100, 1)
    assert bank.loan.places_minor == {HELD: 20, "SECURITIES": 80}
    assert bank.held("c") == 20
    assert bank.funded() == {"bc": 100, "cbroker": 80}


@ORDERS
def test_a_payout_that_arrives_late_funds_the_payment_that_came_first(balance: int | None) -> None:
    bank = Bank({"a": balance})
    bank.pay("a", "broker", 80, 2)
    bank.out("a", 100, 1)
    assert bank.loan.places_minor == {HELD: 20, "SECURITIES": 80}


def test_a_credit_with_a_later_event_time_funds_nothing() -> None:
    bank = Bank({"a": 0, "b": None})
    bank.out("a", 100)
    bank.pay("b", "broker", 80, 2)
    bank.pay("a", "b", 100, 3)
    assert (bank.loan.places_minor, bank.tracer.funded) == ({HELD: 100}, [])


def test_a_claim_waits_no_longer_than_its_limit() -> None:
    bank = Bank({"a": 0, "b": None}, limits=TraceLimits(lot_minor_min=1, claim_hours_max=1))
    bank.out("a", 100)
    bank.pay("b", "broker", 80, 2)
    bank.pay("a", "c", 1, 2)
    bank.pay("a", "b", 10, 2 + HOUR_MS + 1)
    assert (bank.tracer.funded, bank.tracer.account("b", CNY, HELD).claims) == ([], None)


def test_claims_beyond_the_limit_are_given_up_and_counted() -> None:
    bank = Bank({"b": None}, limits=TraceLimits(lot_minor_min=1, claims_max=2))
    for amount in (5, 6, 7):
        bank.pay("b", "broker", amount, 2)
    claims = bank.tracer.account("b", CNY, HELD).claims
    assert claims is not None
    assert ([claim.amount_minor for claim in claims], bank.tracer.counts["claims_given_up"]) == ([6, 7], 1)


def test_a_late_credit_makes_no_money_in_any_ledger() -> None:
    stream = Stream({"a": 0, "d": None}, (PayOut("L1", "a", 69), Pay("d", "a", 14), Pay("a", "d", 69)))
    check_lots(Play(stream, times_ms=[0, 2, 1]))


@ORDERS
def test_late_credits_conserve_whatever_they_fund(balance: int | None) -> None:
    for chained in (False, True):
        bank = _late(balance, chained)
        assert bank.loan.imbalance_minor() == 0


# --- reversals ----------------------------------------------------------------------------------------------------------


def test_a_reversed_payment_brings_the_loan_money_back() -> None:
    play = Play(Stream({"a": 0, "b": 0}, (PayOut("L1", "a", 100), Pay("a", "broker", 60), Undo(1, 60))))
    assert play.origins["L1"].places_minor == {HELD: 100}
    assert play.shown()["a"][0] == [("L1", 100, 0, ("t0",))]


def test_more_than_stands_cannot_be_undone() -> None:
    bank = Bank({"a": 50, "b": 0})
    bank.pay("a", "b", 20)
    a, b = (bank.tracer.account(name, CNY, HELD) for name in "ab")
    with pytest.raises(AssertionError, match="21 of 20"):
        bank.tracer.undo(bank.transfers["ab"], Transfer(bank.tracer.next_seq(), "u", 1, "b", "a", 21, CNY, "X"), a, b)


def test_what_was_passed_on_is_made_good_from_the_payees_lots() -> None:
    steps = (PayOut("L1", "a", 9), Pay("a", "b", 9), Pay("b", "broker", 6), PayOut("L2", "b", 10), Undo(1, 9))
    play = Play(Stream({"a": 0, "b": 0}, steps))
    assert play.by_origin()["a", 0, "L2"] == 6
    assert OVERDRAFT not in play.origins["L2"].places_minor


def test_reversed_own_money_stands_where_it_stood_in_fifo() -> None:
    play = Play(Stream({"a": 39, "b": 0}, (PayOut("L1", "a", 15), Pay("a", "b", 23), Undo(1, 23))))
    assert [(loan, amount) for loan, amount, _, _ in play.shown()["a"][1]] == [("", 39), ("L1", 15)]


def test_a_payout_taken_back_counts_as_reversed() -> None:
    play = Play(Stream({"a": 20}, (PayOut("L1", "a", 100), TakeBack("L1", "a", 30))))
    assert (play.origins["L1"].places_minor, play.origins["L1"].reversed_minor) == ({HELD: 70}, 30)


def test_a_payout_taken_back_from_an_unknown_balance_fills_every_ledger() -> None:
    steps = (PayOut("L1", "a", 3), PayOut("L2", "a", 11), Pay("a", "broker", 1), TakeBack("L1", "a", 11))
    check_lots(Play(Stream({"a": None}, steps)))


def test_an_account_overdrawn_by_a_payout_taken_back_keeps_no_lots() -> None:
    steps = (PayOut("L1", "a", 10), PayOut("L2", "a", 5), Pay("a", "broker", 10), TakeBack("L2", "a", 9), Pay(OUTSIDE, "a", 2))
    check_lots(Play(Stream({"a": 0}, steps)))


@pytest.mark.parametrize("order", LEDGERS)
def test_any_booking_can_be_the_detection_ledger(order: str) -> None:
    play = Play(
        Stream({"a": 10, "b": 0}, (PayOut("L1", "a", 10), Pay("a", "b", 20))), ledgers=(order,), after_each=check_conservation
    )
    assert play.by_origin() == {("b", 0, "L1"): 10}


def test_own_first_money_arrives_own_money_first() -> None:
    opening: dict[str, int | None] = {"a": 10, "b": 0}
    before = (Pay("b", "broker", 10), PayOut("L1", "a", 10))
    whole = Play(Stream(opening, (*before, Pay("a", "b", 20))), ledgers=("own_first",))
    parts = Play(Stream(opening, (*before, Pay("a", "b", 10), Pay("a", "b", 10))), ledgers=("own_first",))
    assert whole.by_origin() == parts.by_origin()
