"""A small book to checkpoint: pages of payments and loans, and the fold over them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from detectors.events import AccountTransaction, Event, LoanDisbursement
from streams.live.fold import BookFold, Said
from streams.live.journal import Page, Record, Span
from streams.scenarios.folding import SHIPPED

GENERATION = "0.1-abc"
START = datetime(2026, 1, 5, tzinfo=UTC)


def payment(i: int, payer: str, payee: str, amount_minor: int = 10_000, **fields: object) -> AccountTransaction:
    """``payer`` pays, at minute i."""
    given: dict[str, object] = {
        "event_time": START + timedelta(minutes=i), "txn_id": f"t{i}", "account_id": payer, "direction": "DEBIT",
        "amount_minor": amount_minor, "currency": "CNY", "counterparty_account": payee, "txn_type": "TRANSFER",
    }  # fmt: skip
    return AccountTransaction(**given | fields)  # type: ignore[arg-type]


def loan(i: int, account: str, amount_minor: int = 50_000_000) -> LoanDisbursement:
    """A payout, at minute i."""
    return LoanDisbursement(
        event_time=START + timedelta(minutes=i), loan_id=f"L{i}", amount_minor=amount_minor, currency="CNY",
        disburse_account=account, customer_id=f"C-{account}", contract_sign_date="2026-01-01",
        product_class="WORKING_CAPITAL",
    )  # fmt: skip


def events(first: int, count: int) -> Iterator[Event]:
    """Payments among many accounts; now and then a loan, which goes to securities by way of another account."""
    for i in range(first, first + count):
        if i % 40 == 0:
            yield loan(i, f"b{i}")
        elif i % 40 == 10:
            yield payment(i, f"b{i - 10}", f"s{i}", 40_000_000)
        elif i % 40 == 20:
            yield payment(i, f"s{i - 10}", "broker", 40_000_000, txn_type="SECURITIES_TRANSFER")
        else:
            yield payment(i, f"a{i % 600}", f"a{i * 7 % 600}x", balance_after_minor=1_000_000 + i)


def pages(first: int, count: int) -> Iterator[Page]:
    """The same in pages of 20 records."""
    for start in range(first, first + count, 20):
        piece = list(events(start, 20))
        spans = [Span(topic, 0, start - 1, start + len(piece) - 1) for topic in ("account-transactions", "loan-disbursements")]
        records = [
            Record(int(isinstance(event, LoanDisbursement)), start + i, msgspec.json.encode(event))
            for i, event in enumerate(piece)
        ]
        yield Page(1, 0, spans, records)


def new_fold() -> BookFold:
    """A fold that has seen nothing."""
    return BookFold(0, SHIPPED, GENERATION)


def fold_on(fold: BookFold, records: int) -> list[Said]:
    """The next records (a multiple of 20) of the stream; what is said of them."""
    said: list[Said] = []
    for page in pages(fold.next_offset * 20, records):
        said += fold.fold(fold.next_offset, page)
    return said
