"""Remittances between two books: what is in them, how they travel, and what a repeated or a strange one does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from detectors.book_engine import BookEngine, engine_of
from detectors.books import Books
from detectors.engine import Engine
from detectors.events import AccountTransaction, Fault, LoanDisbursement
from detectors.remittance import Credit, Heard, Remittance, Usage
from streams.live.fold import BookFold, generation_of
from streams.live.journal import REMITTANCES, Page, Record, Span
from streams.live.remittances import decode_remittance, pages_of
from streams.settings import load_settings

SHIPPED = load_settings().engine
AT = datetime(2026, 1, 5, 10, tzinfo=UTC)
ALICE, MULE = "alice", "mule"


def two_books() -> tuple[BookEngine, BookEngine]:
    """The engines of alice's book and of the mule's."""
    books = Books(2, 0, "^(.)")
    home, away = books.of(ALICE), books.of(MULE)
    assert home != away
    return BookEngine(SHIPPED, Books(2, home, "^(.)")), BookEngine(SHIPPED, Books(2, away, "^(.)"))


def payout(amount_minor: int = 9_000_000) -> LoanDisbursement:
    return LoanDisbursement(
        event_time=AT, loan_id="L1", amount_minor=amount_minor, currency="CNY", disburse_account=ALICE, customer_id="alice"
    )


def payment(minute: int, payer: str, payee: str, amount_minor: int, **more: object) -> AccountTransaction:
    fields: dict[str, object] = {
        "event_time": AT + timedelta(minutes=minute), "txn_id": f"t{minute}", "account_id": payer, "direction": "DEBIT",
        "amount_minor": amount_minor, "currency": "CNY", "counterparty_account": payee,
    }  # fmt: skip
    return AccountTransaction(**{**fields, **more})  # type: ignore[arg-type]


def lent(home: BookEngine, away: BookEngine) -> Remittance:
    """Alice gets a loan and sends it to the mule: the remittance that carries it."""
    home.apply(payout())
    (remittance,) = home.apply(payment(1, ALICE, MULE, 9_000_000)).remittances
    return remittance


def test_a_payment_to_another_book_carries_its_lots_and_its_record() -> None:
    home, away = two_books()
    remittance = lent(home, away)
    credit = next(item for item in remittance.items if isinstance(item, Credit))
    assert (remittance.sender, remittance.to, remittance.number) == (home.books.own, away.books.own, 0)
    assert [(share.amount_minor, share.loan_id, share.hops) for share in credit.shares[0]] == [(9_000_000, "L1", 1)]
    assert [step.payee for step in credit.shares[0][0].trail] == [ALICE]
    assert credit.record.txn_id == "t1"


def test_the_payee_s_book_tells_the_loan_s_home_what_it_was_used_for() -> None:
    home, away = two_books()
    (back,) = away.receive(lent(home, away)).remittances
    usage = next(item for item in back.items if isinstance(item, Usage))
    assert (back.to, usage.step.payee, usage.shares[0].amount_minor) == (home.books.own, MULE, 9_000_000)


def test_a_repeated_remittance_changes_nothing() -> None:
    home, away = two_books()
    remittance = lent(home, away)
    away.receive(remittance)
    before = away.snapshot()
    outputs = away.receive(remittance)
    assert (outputs.status, outputs.remittances) == ("duplicate", ())
    assert away.counters["remittances_repeated"] == 1
    away.counts["remittances_repeated"] -= 1
    after = away.snapshot()
    assert before["state"]["nodes"] == after["state"]["nodes"]


def test_a_remittance_for_another_book_is_rejected() -> None:
    home, away = two_books()
    outputs = home.receive(lent(home, away))
    assert outputs.status == "rejected" and outputs.fault is not None and outputs.fault.field == "to"


def test_a_remittance_is_the_same_after_a_journey_as_json() -> None:
    home, away = two_books()
    remittance = lent(home, away)
    assert decode_remittance(msgspec.json.encode(remittance)) == remittance


@pytest.mark.parametrize("raw", [b"", b"{}", b"nonsense", b'{"sender":0,"to":1,"number":0,"watermark_ms":0,"items":[{}]}'])
def test_bytes_that_are_no_remittance_are_a_fault(raw: bytes) -> None:
    assert isinstance(decode_remittance(raw), Fault)


def test_one_page_carries_all_remittances_to_one_book() -> None:
    home, away = two_books()
    fold = BookFold(home.books.own, SHIPPED, "g", books=home.books)
    topic = "account-transactions"
    records = [(0, "loan-disbursements", payout()), (0, topic, payment(1, ALICE, MULE, 5_000_000))]
    records.append((1, topic, payment(2, ALICE, MULE, 4_000_000)))
    said = [
        message
        for page, (offset, name, event) in enumerate(records)
        for message in fold.fold(
            page, Page(1, 0, [Span(name, 0, offset - 1, offset)], [Record(0, offset, msgspec.json.encode(event))])
        )
    ]
    pages = pages_of(said, 7)
    assert list(pages) == [away.books.own]
    assert pages[away.books.own].spans == [Span(REMITTANCES, home.books.own, -1, 1)]
    assert [record.offset for record in pages[away.books.own].records] == [0, 1]
    receiver = BookFold(away.books.own, SHIPPED, "g", books=away.books)
    receiver.fold(0, pages[away.books.own])
    receiver.fold(1, pages[away.books.own])
    assert (receiver.counts["applied"], receiver.counts["repeated"]) == (2, 2)


def test_a_remittance_where_there_is_one_book_is_a_reject() -> None:
    fold = BookFold(0, SHIPPED, "g")
    heard = Remittance(sender=1, to=0, number=0, watermark_ms=0, items=(Heard(typology="T01", alert_id="a"),))
    (reject,) = fold.fold(0, Page(1, 0, [Span(REMITTANCES, 1, -1, 0)], [Record(0, 0, msgspec.json.encode(heard))]))
    assert reject.topic == "rejects" and fold.counts["rejected"] == 1


def test_one_book_is_folded_by_the_plain_engine() -> None:
    assert type(engine_of(SHIPPED, Books())) is Engine
    assert type(engine_of(SHIPPED, Books(2))) is BookEngine


def test_other_books_are_another_generation() -> None:
    generations = {generation_of("1", SHIPPED, books) for books in (Books(), Books(2), Books(8), Books(8, 0, "^(.)"))}
    assert len(generations) == 4
    assert generation_of("1", SHIPPED, Books(8, 0)) == generation_of("1", SHIPPED, Books(8, 7))
    assert generation_of("1", SHIPPED) == generation_of("1", SHIPPED, Books())


def test_a_reversal_brings_the_money_back_over_books() -> None:
    home, away = two_books()
    (back,) = away.receive(lent(home, away)).remittances
    home.receive(back)
    undo = payment(3, ALICE, MULE, 9_000_000, direction="CREDIT", reversal_flag=True, reverses_txn_id="t1", txn_id="r1")
    (recall,) = home.apply(undo).remittances
    (returned,) = away.receive(recall).remittances
    home.receive(returned)
    (risk,) = home.loan_risks()
    assert (risk.held_minor, risk.left_minor) == (9_000_000, {})
    account = home.tracer.find(ALICE, "CNY")
    assert account is not None and account.labelled_minor() == 9_000_000
