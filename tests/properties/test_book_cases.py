"""Small worlds, each about one thing that must cross books: one book and several say the same of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import msgspec
import pytest

from detectors.book_engine import BookEngine
from detectors.books import Books
from detectors.engine import Engine
from detectors.events import AccountTransaction, Event, ListEntry, LoanDisbursement
from streams.codec import encode
from streams.settings import load_settings
from tests.properties.many_books import Bank, seen_in_any_book

SHIPPED = seen_in_any_book(load_settings().engine)
START = datetime(2026, 1, 5, tzinfo=UTC)
PATTERN = "^(.)"
LETTERS = {book: [c for c in "abcdefghijklmnopqrstuvwxyz" if Books(3, 0, PATTERN).of(c) == book] for book in range(3)}
HOME, AWAY, THIRD = (LETTERS[book][0] for book in range(3))
"""First letters of accounts in three different books: the loan's, and two others."""

ALICE, MULE, SHELL = f"{HOME}-alice", f"{AWAY}-mule", f"{THIRD}-shell"


class Story:
    """Records in the order of arrival."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.numbers: Iterator[int] = count()

    def loan(self, minute: int, amount: int, account: str = ALICE, **more: object) -> Story:
        """A payout, in yuan."""
        self.events.append(LoanDisbursement(
            event_time=at(minute), loan_id="L1", amount_minor=amount * 100, currency="CNY", disburse_account=account,
            customer_id="alice", **more,  # type: ignore[arg-type]
        ))  # fmt: skip
        return self

    def record(self, minute: int, account: str, direction: str, other: str | None, amount: int, **more: object) -> Story:
        """One account's record of a payment, in yuan; ``after`` states its balance."""
        after = more.pop("after", None)
        fields: dict[str, object] = {
            "event_time": at(minute), "txn_id": f"t{next(self.numbers)}", "account_id": account, "direction": direction,
            "amount_minor": amount * 100, "currency": "CNY", "counterparty_account": other, "customer_id": account[2:],
            "balance_after_minor": after * 100 if isinstance(after, int) else None,
        }  # fmt: skip
        self.events.append(AccountTransaction(**{**fields, **more}))  # type: ignore[arg-type]
        return self

    def buys(self, minute: int, account: str, amount: int, **more: object) -> Story:
        """Securities are bought."""
        return self.record(minute, account, "DEBIT", f"{THIRD}-broker", amount, txn_type="SECURITIES_TRANSFER", **more)


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def alerts_of(story: Story) -> list[dict[str, object]]:
    """What one book says, after three have said the same."""
    engine = Engine(SHIPPED)
    one: list[bytes] = []
    bank = Bank(SHIPPED, 3, PATTERN)
    for event in story.events:
        one += [encode(alert) for alert in engine.apply(event).alerts]
        bank.read(event)
        assert bank.imbalances() == {}
        assert bank.underway_minor() == {}
    bank.settle()
    assert bank.remittances > 0
    assert [msgspec.json.decode(alert) for alert in bank.alerts] == [msgspec.json.decode(alert) for alert in one]
    assert bank.alerts == one
    assert bank.final_risks() == sorted(encode(risk) for risk in engine.loan_risks())
    return [msgspec.json.decode(alert) for alert in one]


def test_a_habit_that_grows_after_a_passage_counts_at_the_next_one() -> None:
    story = Story().record(0, MULE, "CREDIT", None, 9_000, after=9_000)
    story.buys(10, MULE, 2_000, after=7_000).buys(20, MULE, 2_000, after=5_000).buys(25, MULE, 5_000, after=0)
    story.loan(100, 3_000).record(110, ALICE, "DEBIT", MULE, 1_000, after=2_000).buys(120, MULE, 1_000, after=0)
    story.record(130, MULE, "CREDIT", None, 4_000, after=4_000).buys(140, MULE, 4_000, after=0)
    story.record(150, ALICE, "DEBIT", SHELL, 1_000, after=1_000).buys(160, SHELL, 1_000, after=0)
    first, last = alerts_of(story)[0], alerts_of(story)[-1]
    assert first["score"] != last["score"]


def test_a_balance_that_the_payer_s_own_record_tells_later_bounds_the_loan_at_its_home() -> None:
    story = Story().loan(0, 3_000).record(10, ALICE, "DEBIT", MULE, 3_000, after=0)
    story.record(20, SHELL, "CREDIT", MULE, 3_000, after=3_000)  # the payee's record is first
    story.record(20, MULE, "DEBIT", SHELL, 3_000, after=1_000)
    (alert,) = [alert for alert in alerts_of(story.buys(30, SHELL, 3_000, after=0)) if alert["typology"] == "T01"]
    assert alert["bounds_rest_on"] == ["all balances on the way known"]


def test_a_balance_told_later_reaches_whoever_may_have_to_bound_the_payment() -> None:
    story = Story().loan(0, 3_000).record(10, ALICE, "DEBIT", MULE, 3_000, after=0).buys(20, MULE, 3_000)
    story.record(30, SHELL, "CREDIT", MULE, 500, txn_id="own money")  # no lots are left, but they may have been this
    alerts_of(story)
    bank = Bank(SHIPPED, 3, PATTERN).play(story.events)
    home = bank.folds[bank.books.of(ALICE)].engine
    assert isinstance(home, BookEngine)
    (seen,) = [transfer for transfer in home.book_tracer.transfers.values() if transfer.txn_id == "own money"]
    assert seen.payer_after_minor is None
    bank.play(Story().record(31, MULE, "DEBIT", SHELL, 500, after=700, txn_id="second leg").events)
    assert seen.payer_after_minor == 70_000


def test_money_that_left_unseen_is_known_before_the_payment_that_showed_it() -> None:
    own = f"{HOME}-savings"
    story = Story().record(0, MULE, "CREDIT", None, 500, after=500).loan(10, 1_000)
    story.record(20, ALICE, "DEBIT", MULE, 1_000, after=0).record(21, MULE, "CREDIT", ALICE, 1_000, after=1_500)
    story.record(25, own, "CREDIT", None, 1, after=1, customer_id="alice")
    story.record(30, MULE, "DEBIT", own, 1_000, after=200)  # 300 have left that no record shows
    (alert,) = [alert for alert in alerts_of(story) if alert["typology"] == "T05"]
    assert alert["traced_min_minor"] == 50_000


def test_a_reversal_over_books_withdraws_the_alert() -> None:
    guarantor = f"{AWAY}-guarantor"
    story = Story().loan(0, 3_000, guarantor_party_ids=("guarantor",)).record(
        5, guarantor, "CREDIT", None, 1, after=1
    ).record(10, ALICE, "DEBIT", guarantor, 2_900, after=100, txn_id="paid")  # fmt: skip
    story.record(20, ALICE, "CREDIT", guarantor, 2_900, after=3_000, reversal_flag=True, reverses_txn_id="paid")
    assert [(alert["typology"], alert["status"]) for alert in alerts_of(story)] == [("T05", "OPEN"), ("T05", "WITHDRAWN")]


@pytest.mark.parametrize("reporter", ["payer", "payee"])
def test_a_reversal_reported_by_either_side_gives_back_what_is_still_there(reporter: str) -> None:
    story = Story().loan(0, 3_000).record(10, ALICE, "DEBIT", MULE, 3_000, after=0, txn_id="paid")
    story.record(12, MULE, "CREDIT", ALICE, 3_000, after=3_000, txn_id="got")
    story.record(20, MULE, "DEBIT", SHELL, 1_000, after=2_000)
    if reporter == "payer":
        story.record(30, ALICE, "CREDIT", MULE, 2_000, after=2_000, reversal_flag=True, reverses_txn_id="got")
    else:
        story.record(30, MULE, "DEBIT", ALICE, 2_000, after=0, reversal_flag=True, reverses_txn_id="paid")
    story.record(31, ALICE, "CREDIT", MULE, 2_000, after=2_000, reversal_flag=True, reverses_txn_id="paid", txn_id="second")
    assert [alert["traced_estimate_minor"] for alert in alerts_of(story.buys(40, ALICE, 2_000, after=0))][-1] == 200_000


def test_loan_money_that_finds_no_room_where_it_was_meant_to_go_stays() -> None:
    story = Story().record(0, ALICE, "CREDIT", None, 1, after=1).buys(1, ALICE, 1, after=0)
    story.record(0, MULE, "CREDIT", None, 1, after=1).record(1, MULE, "DEBIT", None, 1, after=0, txn_type="CASH_WITHDRAWAL")
    story.record(90, ALICE, "DEBIT", MULE, 900)  # alice has nothing: the payment waits for its money
    story.record(80, MULE, "DEBIT", None, 900, txn_type="CASH_WITHDRAWAL")  # and is spent, by a record that came late
    story.loan(60, 900)
    alerts_of(story.record(200, ALICE, "DEBIT", SHELL, 1))


def test_loan_money_that_comes_late_goes_after_what_was_paid_without_it_over_three_books() -> None:
    story = Story().loan(0, 900)
    for i, account in enumerate((MULE, SHELL)):
        story.record(2 + i, account, "CREDIT", None, 1, after=1).record(4 + i, account, "DEBIT", None, 1, txn_type="PURCHASE")
    story.record(95, MULE, "DEBIT", SHELL, 900).buys(99, SHELL, 900)
    alerts = alerts_of(story.record(90, ALICE, "DEBIT", MULE, 900))
    assert [alert["traced_estimate_minor"] for alert in alerts if alert["typology"] == "T01"] == [90_000]


def test_a_payout_that_comes_late_raises_the_same_alert_though_at_once() -> None:
    """In one book what a payout has funded is looked at with the next payment, in several where the payment was made."""
    story = Story().record(0, ALICE, "CREDIT", None, 1, after=1).record(1, ALICE, "DEBIT", None, 1, txn_type="PURCHASE")
    story.record(2, MULE, "CREDIT", None, 1, after=1).record(3, MULE, "DEBIT", None, 1, txn_type="PURCHASE")
    story.record(90, ALICE, "DEBIT", MULE, 900).buys(95, MULE, 900).loan(60, 900).record(200, SHELL, "DEBIT", None, 1)
    engine, bank = Engine(SHIPPED), Bank(SHIPPED, 3, PATTERN).play(story.events)
    one = [msgspec.json.decode(encode(alert)) for event in story.events for alert in engine.apply(event).alerts]
    many = [msgspec.json.decode(alert) for alert in bank.alerts]
    assert {alert.pop("scored_time") for alert in one} == {"2026-01-05T03:20:00.000Z"}
    assert {alert.pop("scored_time") for alert in many} == {"2026-01-05T01:35:00.000Z"}
    assert many == one


def test_a_firm_s_own_record_does_not_make_its_customer_a_hub() -> None:
    firm = f"{AWAY}-firm"
    story = Story()
    story.events.append(ListEntry(event_time=at(0), list_name="HUB", account_id=ALICE))
    story.loan(0, 900).record(
        10, firm, "CREDIT", ALICE, 100, account_kind="INTERNAL", txn_type="SECURITIES_TRANSFER"
    ).buys(20, ALICE, 800)  # fmt: skip
    (alert,) = alerts_of(story)  # the first payment alone proves nothing: the opening balance is unknown
    assert (alert["typology"], alert["traced_estimate_minor"]) == ("T01", 90_000)


@pytest.mark.parametrize("first", ["customer", "firm"])
def test_both_records_of_a_purchase_are_one_purchase_wherever_the_firm_is_kept(first: str) -> None:
    firm = f"{AWAY}-firm"
    story = Story().record(0, firm, "CREDIT", None, 1, account_kind="INTERNAL").loan(0, 900)
    if first == "customer":
        story.record(10, ALICE, "DEBIT", firm, 900, txn_type="SECURITIES_TRANSFER", after=0)
        story.record(11, firm, "CREDIT", ALICE, 900, txn_type="SECURITIES_TRANSFER", account_kind="INTERNAL")
    else:
        story.record(10, firm, "CREDIT", ALICE, 900, txn_type="SECURITIES_TRANSFER", account_kind="INTERNAL")
        story.record(11, ALICE, "DEBIT", firm, 900, txn_type="SECURITIES_TRANSFER", after=0)
    alerts_of(story.record(20, ALICE, "DEBIT", MULE, 1))


def test_a_hub_is_seen_by_payers_from_all_books() -> None:
    configuration = msgspec.structs.replace(SHIPPED, fold=msgspec.structs.replace(SHIPPED.fold, hub_payers_min=6))
    story = Story().loan(0, 9_000)
    for i in range(6):
        story.record(10 + i, f"{(HOME, AWAY, THIRD)[i % 3]}-payer{i}", "DEBIT", SHELL, 1)
    story.record(30, ALICE, "DEBIT", SHELL, 9_000, after=0).buys(40, SHELL, 9_000)
    bank = Bank(configuration, 3, PATTERN).play(story.events)
    (risk,) = bank.final_risks()
    assert msgspec.json.decode(risk)["left_minor"] == {"HUB": 900_000}
    assert bank.alerts == []
