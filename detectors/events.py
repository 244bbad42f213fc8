"""What happened: the records that enter the fold, one frozen type each.

The types are the schema: ``docs/schemas/*.json`` is generated from them. Mandatory fields stand first and are few; every
other field is optional, and its comment says what its absence costs. Unknown fields are ignored, so that a feed may carry
more than we read.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Annotated, Literal

from msgspec import Meta, Struct

from detectors.money import AMOUNT_MINOR_MAX, EXPONENTS

SCHEMA_VERSION = 1
ID_LENGTH_MAX = 128
TEXT_LENGTH_MAX = 2_000
MEMBERS_MAX = 1_000

Id = Annotated[str, Meta(min_length=1, max_length=ID_LENGTH_MAX)]
Text = Annotated[str, Meta(max_length=TEXT_LENGTH_MAX)]
Code = Annotated[str, Meta(min_length=1, max_length=32)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", description="ISO 4217 code")]
Exponent = Annotated[int, Meta(ge=0, le=4, description="decimal digits of the minor unit; must be the currency's own")]
AmountMinor = Annotated[int, Meta(gt=0, le=AMOUNT_MINOR_MAX, description="minor units, positive")]
BalanceMinor = Annotated[int, Meta(ge=-AMOUNT_MINOR_MAX, le=AMOUNT_MINOR_MAX, description="minor units")]
Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset")]

Direction = Literal["DEBIT", "CREDIT"]
AccountKind = Literal[
    "BASIC", "GENERAL", "SPECIAL", "TEMPORARY", "PERSONAL_I", "PERSONAL_II", "PERSONAL_III",
    "TIME", "MARGIN", "STRUCTURED", "INTERNAL",
]  # fmt: skip
TransactionType = Literal[
    "TRANSFER", "CASH_WITHDRAWAL", "CASH_DEPOSIT", "PURCHASE", "PAYROLL_AGENCY", "DIRECT_DEBIT", "AGENCY_PAYMENT",
    "INTEREST", "BATCH", "LOAN_CREDIT", "LOAN_PRINCIPAL", "LOAN_INTEREST", "SECURITIES_TRANSFER", "WEALTH_INVEST", "OTHER",
]  # fmt: skip
BorrowerType = Literal["ENTERPRISE", "SELF_EMPLOYED", "UNREGISTERED_OPERATOR", "NATURAL_PERSON", "FARMER"]
ProductClass = Literal["WORKING_CAPITAL", "FIXED_ASSET", "PERSONAL_BUSINESS", "PERSONAL_CONSUMPTION", "MORTGAGE", "OTHER"]
OccurType = Literal["NEW", "RENEWAL_NO_REPAY", "ROLLOVER", "REPAY_THEN_LEND", "RESTRUCTURE", "EXTENSION", "REVOLVING_DRAW"]
LinkRole = Literal[
    "LEGAL_REP", "SHAREHOLDER", "CONTROLLER", "SPOUSE", "RELATIVE", "GUARANTOR", "SAME_ADDRESS", "SAME_PHONE",
    "GROUP_MEMBER", "STAFF", "BROKER",
]  # fmt: skip
Outcome = Literal["MISUSE_CONFIRMED", "FALSE_POSITIVE", "INCONCLUSIVE_MONITOR", "DATA_ERROR", "APPROVED_EXCEPTION"]
ListName = Literal["HUB", "ALLOW", "DENY", "BROKER", "SECURITIES_FIRM", "PROPERTY_FIRM", "LENDER", "STAFF"]


class Event(Struct, frozen=True, kw_only=True, tag_field="record", omit_defaults=True):
    """What every record carries. ``record`` names its type and may be left out where the topic says it."""

    event_time: Instant
    event_id: Id | None = None  # absent: the business id stands in for it
    schema_version: Literal[1] = 1
    source_system: Code | None = None
    source_seq: int | None = None  # orders records of one instant; absent: arrival order does

    @property
    def event_time_ms(self) -> int:
        """Event time in milliseconds since 1970 UTC."""
        return round(self.event_time.timestamp() * 1000)


class EntrustedPayment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A payment the bank makes for the borrower to the payee of the contract."""

    payee_account: Id
    amount_minor: AmountMinor
    payee_name: Text | None = None
    payee_bank_code: Code | None = None
    pay_date: Code | None = None
    status: Code | None = None


class LoanDisbursement(Event, frozen=True, kw_only=True, tag="loan_disbursement", omit_defaults=True):
    """A loan was paid out (or the payout reversed, or its particulars corrected)."""

    loan_id: Id
    amount_minor: AmountMinor
    currency: Currency
    disburse_account: Id
    event_type: Literal["DISBURSED", "REVERSED", "CORRECTED"] = "DISBURSED"
    amount_exponent: Exponent | None = None
    contract_id: Id | None = None
    contract_sign_date: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None  # absent: the payout's date
    customer_id: Id | None = None  # absent: the account's customer, once a transaction names it
    borrower_type: BorrowerType | None = None
    product_class: ProductClass = "OTHER"
    annual_rate: Annotated[float, Meta(ge=0, le=10)] | None = None  # 0.0435 = 4.35 % a year
    maturity_date: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None
    repayment_method: Code | None = None
    guarantor_party_ids: Annotated[tuple[Id, ...], Meta(max_length=MEMBERS_MAX)] = ()
    occur_type: OccurType = "NEW"
    refinanced_loan_ids: Annotated[tuple[Id, ...], Meta(max_length=MEMBERS_MAX)] = ()
    payment_mode: Literal["ENTRUSTED", "SELF", "MIXED"] | None = None
    entrusted_payments: Annotated[tuple[EntrustedPayment, ...], Meta(max_length=MEMBERS_MAX)] = ()  # absent: T06 is blind
    purpose_code: Code | None = None
    purpose_text: Text | None = None
    borrower_industry: Code | None = None  # GB/T 4754: letter and four digits
    repay_account: Id | None = None
    collection_account: Id | None = None  # absent: T23 is blind
    collateral_ids: Annotated[tuple[Id, ...], Meta(max_length=MEMBERS_MAX)] = ()  # absent: T04 goes by the customer only
    channel: Code | None = None
    org_id: Id | None = None
    account_manager_id: Id | None = None


class AccountTransaction(Event, frozen=True, kw_only=True, tag="account_transaction", omit_defaults=True, gc=False):
    """Money entered or left a deposit account: one leg of a transfer, or the whole of it when both accounts are named."""

    txn_id: Id
    account_id: Id
    amount_minor: AmountMinor
    currency: Currency
    direction: Direction  # from the deposit account's view: DEBIT = out, CREDIT = in
    txn_type: TransactionType = "TRANSFER"
    amount_exponent: Exponent | None = None
    customer_id: Id | None = None  # absent: the account is its own customer; borrower-side checks see less
    account_kind: AccountKind | None = None
    booking_date: Code | None = None
    balance_after_minor: BalanceMinor | None = None  # absent: opening balance unknown, so nothing is certain
    cash_flag: bool = False
    reversal_flag: bool = False
    reverses_txn_id: Id | None = None
    channel: Code | None = None
    counterparty_account: Id | None = None  # absent: the trail ends here, by class of use
    counterparty_name: Text | None = None
    counterparty_bank_code: Code | None = None
    counterparty_party_id: Id | None = None
    counterparty_industry: Code | None = None
    counterparty_mcc: Code | None = None
    related_loan_id: Id | None = None
    memo: Text | None = None
    end_to_end_id: Id | None = None  # absent: legs are matched by accounts, amount and time


class PartyEvent(Event, frozen=True, kw_only=True, tag="party_event", omit_defaults=True):
    """Something public became known about a party. Usable from ``published_at`` (absent: ``event_time``).

    ``REVOKED`` and ``REMOVED`` end what was ``ADDED`` under the same category and code (without a code: all of the category)
    from their own ``published_at`` on; what was known before stays history.
    """

    party_id: Id
    category: Literal["REGISTRATION", "PENALTY", "JUDICIAL", "TAX"]
    action: Literal["ADDED", "UPDATED", "REVOKED", "REMOVED"]
    occurred_at: Instant | None = None
    published_at: Instant | None = None
    fetched_at: Instant | None = None
    code: Code | None = None  # what it means stands in codes.toml; absent: what the category alone says
    detail: Text | None = None
    name: Text | None = None  # with bank_code: payments that carry both and no party id are this party's
    bank_code: Code | None = None


class PartyLink(Event, frozen=True, kw_only=True, tag="party_link", omit_defaults=True):
    """``other_party_id`` stands in ``role`` to ``party_id`` (its legal representative, spouse, guarantor, ...)."""

    party_id: Id
    other_party_id: Id
    role: LinkRole
    valid_from: Instant | None = None  # absent: always
    valid_until: Instant | None = None  # exclusive; absent: until further notice


class ListEntry(Event, frozen=True, kw_only=True, tag="list_entry", omit_defaults=True):
    """An account or a party is on a list, for a time. One of ``account_id`` and ``party_id`` is needed."""

    list_name: ListName
    account_id: Id | None = None
    party_id: Id | None = None
    name: Text | None = None
    bank_code: Code | None = None
    valid_from: Instant | None = None
    valid_until: Instant | None = None  # exclusive
    reason: Text | None = None


class Disposition(Event, frozen=True, kw_only=True, tag="disposition", omit_defaults=True):
    """An analyst's outcome of an alert, a payment or a loan: exactly one of the three is named."""

    outcome: Outcome
    alert_id: Id | None = None
    txn_id: Id | None = None
    loan_id: Id | None = None
    corrects: Outcome | None = None  # the outcome held so far, when this one replaces it; absent: it may not contradict
    reason: Text | None = None
    actor_id: Id | None = None
    actor_role: Code | None = None


class Tick(Event, frozen=True, kw_only=True, tag="tick", omit_defaults=True):
    """Time passed and nothing else happened."""


AnyEvent = LoanDisbursement | AccountTransaction | PartyEvent | PartyLink | ListEntry | Disposition | Tick

EVENT_TYPES: dict[str, type[Event]] = {
    "loan-disbursements": LoanDisbursement,
    "account-transactions": AccountTransaction,
    "party-events": PartyEvent,
    "party-links": PartyLink,
    "list-entries": ListEntry,
    "dispositions": Disposition,
    "ticks": Tick,
}
"""Topic (and file stem) -> type of its records."""

EVENT_TIME_MS_MIN = 0  # 1970-01-01
EVENT_TIME_MS_MAX = 4_102_444_800_000  # 2100-01-01


class Fault(Struct, frozen=True):
    """Why a well-formed record cannot be applied: which field, what it held, what was expected."""

    field: str
    reason: str


def fault_of(event: Event, event_time_ms: int | None = None) -> Fault | None:
    """The first thing wrong with a decoded record that its type cannot say; None when it is sound."""
    event_time_ms = event.event_time_ms if event_time_ms is None else event_time_ms
    if not EVENT_TIME_MS_MIN <= event_time_ms < EVENT_TIME_MS_MAX:
        return Fault("event_time", f"{event.event_time.isoformat()} is outside 1970-01-01 .. 2100-01-01")
    kind = type(event)
    if kind is AccountTransaction or kind is LoanDisbursement:
        return _fault_of_amount(event)  # type: ignore[arg-type]
    if isinstance(event, (PartyLink, ListEntry)):
        return _fault_of_validity(event)
    if isinstance(event, PartyEvent):
        return _fault_of_publication(event)
    return _fault_of_outcome(event) if isinstance(event, Disposition) else None


def _fault_of_amount(event: AccountTransaction | LoanDisbursement) -> Fault | None:
    exponent = EXPONENTS.get(event.currency)
    if exponent is None:
        return Fault("currency", f"{event.currency!r} is not an ISO 4217 code this version knows")
    if event.amount_exponent is not None and event.amount_exponent != exponent:
        return Fault("amount_exponent", f"{event.amount_exponent} where {event.currency} has {exponent}")
    if isinstance(event, AccountTransaction) and event.counterparty_account == event.account_id:
        return Fault("counterparty_account", f"{event.account_id!r} pays itself: payer and payee must differ")
    return None


def _fault_of_validity(event: PartyLink | ListEntry) -> Fault | None:
    if event.valid_from is not None and event.valid_until is not None and event.valid_until <= event.valid_from:
        return Fault("valid_until", f"{event.valid_until.isoformat()} is not after valid_from {event.valid_from.isoformat()}")
    if isinstance(event, ListEntry) and event.account_id is None and event.party_id is None:
        return Fault("account_id", "a list entry needs an account_id or a party_id")
    return None


def _fault_of_publication(event: PartyEvent) -> Fault | None:
    """Nothing is published before it happens, or fetched before it is published."""
    times = (("occurred_at", event.occurred_at), ("published_at", event.published_at), ("fetched_at", event.fetched_at))
    known = [(name, at) for name, at in times if at is not None]
    for (earlier_name, earlier), (name, at) in pairwise(known):
        if at < earlier:
            return Fault(name, f"{at.isoformat()} is before {earlier_name} {earlier.isoformat()}")
    return None


def _fault_of_outcome(event: Disposition) -> Fault | None:
    named = [field for field in ("alert_id", "txn_id", "loan_id") if getattr(event, field) is not None]
    if len(named) != 1:
        return Fault("alert_id", f"an outcome names one of alert_id, txn_id and loan_id; found {' and '.join(named) or 'none'}")
    if event.corrects == event.outcome:
        return Fault("corrects", f"{event.corrects} is the outcome itself: nothing would be corrected")
    return None
