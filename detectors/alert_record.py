"""What a subscriber reads: the alert and the loan's risk state, as published.

The types are the published schema (``docs/schemas/alert.json``, ``loan-risk.json``). Every figure in an alert can be
recomputed from the alert and the transfers its path names. Times are RFC 3339 in UTC with milliseconds, and all of them
are event times: a replay gives the same bytes as the live run. When an alert was emitted is on the envelope (the Kafka
message's timestamp), not in it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Severity = Literal["LOW", "MEDIUM", "HIGH", "CRITICAL"]
LookAlikeResult = Literal["EXCLUDED", "NOT_EXCLUDED", "NOT_TESTABLE"]


class PathStep(Struct, frozen=True, kw_only=True):
    """One transfer of the money's way from the payout to where it was found."""

    txn_id: str
    event_time: str
    payer: str
    payee: str
    amount_minor: int
    traced_minor: int  # how much of the loan this step carried to the place in question, by the detection ledger
    hop: int  # 1 = first payment out of the disbursement account
    use: str  # class of use, e.g. SECURITIES; OTHER where nothing is known


class RelatedPayment(Struct, frozen=True, kw_only=True):
    """A payment the alert rests on beside the money's way: one that carried no money of the loan, or need not have."""

    role: str  # what it is to the finding, e.g. bought, funded, repaid, came_back
    txn_id: str
    event_time: str
    payer: str
    payee: str
    amount_minor: int


class PartyNote(Struct, frozen=True, kw_only=True):
    """A public fact the alert rests on, as published at the time of the payment (or the event)."""

    party_id: str
    category: str
    code: str | None
    occurred_at: str
    published_at: str


class Member(Struct, frozen=True, kw_only=True):
    """One loan of a group."""

    loan_id: str
    customer_id: str | None
    loan_amount_minor: int
    traced_minor: int  # of this loan, by the detection ledger
    disbursed_at: str


class LookAlike(Struct, frozen=True, kw_only=True):
    """An innocent explanation, and what testing it gave."""

    name: str  # e.g. own_money, approved_renewal
    result: LookAlikeResult  # EXCLUDED: this is not what happened; NOT_TESTABLE: the data to tell are missing
    detail: str


class Contribution(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one observed value added to the score (of a learned score: to its log-odds)."""

    feature: str
    value: float
    weight: float
    added: float
    usual: float | None = None  # what the value mostly is; absent: not known
    peers: str | None = None  # the peer group in which ``usual`` is usual; absent: among recent payments


class Subject(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whose money it is, and (for counterparty typologies) which account behaved.

    ``kind`` GROUP: several loans, named in ``members``, ``loan_amount_minor`` is their sum. ACCOUNT: an account by itself.
    """

    kind: Literal["LOAN", "GROUP", "ACCOUNT"] = "LOAN"
    members: tuple[Member, ...] = ()  # of a group, at most members_named_max; the rest is counted in members_left_out
    members_left_out: int = 0
    loan_id: str | None = None
    contract_id: str | None = None
    customer_id: str | None = None
    borrower_type: str | None = None
    product_class: str | None = None
    purpose_code: str | None = None
    purpose_text: str | None = None
    org_id: str | None = None
    account_manager_id: str | None = None
    account_id: str | None = None
    loan_amount_minor: int | None = None
    disbursed_at: str | None = None


class Measure(Struct, frozen=True, kw_only=True):
    """What was seen against what was to be expected."""

    name: str  # e.g. share_of_loan
    observed: float
    expected: float | None  # None: nothing is usual
    threshold: float | None  # None: informative, no threshold of its own
    unit: str  # e.g. ratio, days, CNY minor units


class RuleSetUse(Struct, frozen=True, kw_only=True):
    """Which rule set judged this loan, and why that one."""

    rule_set_id: str
    version: str
    effective_from: str
    verified: bool  # False: its legal source was not read in the original
    why: str


class Alert(Struct, frozen=True, kw_only=True, tag_field="record", tag="alert"):
    """Findings about one subject and episode that somebody should see. ``revision`` grows; ``alert_id`` never changes."""

    schema_version: Literal[1] = 1
    alert_id: str
    revision: int  # 1, 2, ...; the highest one holds
    status: Literal["OPEN", "WITHDRAWN"]
    typology: str  # e.g. T01
    typology_name: str
    typology_name_zh: str
    kind: Literal["BREACH", "PATTERN", "EVENT"]
    severity: Severity
    score: float
    score_percentile: float | None  # None until enough alerts of this kind were scored
    subject: Subject
    sentence_en: str
    sentence_zh: str
    currency: str
    traced_min_minor: int  # certain: no allocation of the money puts less there
    traced_estimate_minor: int  # attributed by the detection ledger
    traced_max_minor: int  # possible: no allocation puts more there
    traced_fifo_minor: int  # attributed by plain FIFO over all money, the legal default
    method: str
    bounds_exact: bool  # False: the subgraph was cut by a limit; the bounds then err on the wide side
    bounds_rest_on: tuple[str, ...]
    measures: tuple[Measure, ...]
    path: tuple[PathStep, ...]  # in the order of the transfers; at most path_steps_max
    path_steps_left_out: int
    related: tuple[RelatedPayment, ...] = ()
    party_notes: tuple[PartyNote, ...] = ()
    hops_visible: int
    left_bank: bool
    look_alikes: tuple[LookAlike, ...]
    rule_set: RuleSetUse
    detector: str
    contributions: tuple[Contribution, ...]
    model_version: str
    configuration_digest: str
    prior_alerts: tuple[str, ...]
    recommended_checks: tuple[str, ...]
    recommended_measures: tuple[str, ...]  # by rising intrusiveness
    no_customer_contact_before_review: Literal[True] = True
    routing: Literal["NORMAL", "RESTRICTED"] = "NORMAL"  # RESTRICTED: never to the officer's own line
    event_time: str  # of the transfer that completed the finding
    scored_time: str  # the fold's event time when it was scored
    evidence_digest: str  # SHA-256 of the evidence (path, bounds, measures, look-alikes), hex


class TracedUse(Struct, frozen=True, kw_only=True):
    """How much of a loan's money is with one class of destination: ``certain <= attributed <= possible``."""

    certain_minor: int
    attributed_minor: int
    possible_minor: int
    exact: bool  # False: the bounds are wide


class LoanRisk(Struct, frozen=True, kw_only=True, tag_field="record", tag="loan_risk"):
    """The state of one loan; the last record of a ``loan_id`` holds.

    Conservation: ``paid_out = held + sum(left) + repaid + reversed + sum(dropped)``, integers, always.
    """

    schema_version: Literal[1] = 1
    loan_id: str
    customer_id: str | None
    state: Literal["NORMAL", "WATCH", "SUSPICIOUS", "CONFIRMED", "CLEARED"]
    score: float
    reasons: tuple[str, ...]  # typologies of its open alerts
    open_alerts: tuple[str, ...]
    currency: str
    paid_out_minor: int
    held_minor: int  # in visible accounts
    left_minor: dict[str, int]  # class of use -> amount, attributed
    repaid_minor: int
    reversed_minor: int
    dropped_minor: dict[str, int]  # limit -> amount
    as_of: str
    human_reviewed: bool
    usable_for_pricing: bool  # only what a person has reviewed is
    traced: dict[str, TracedUse] = {}  # place (HELD: in visible accounts) -> how much of the loan is there now, alerts or not
    # Where its own open alerts say it went: class of use of the last payment, else what the alert calls it.
    alerted: dict[str, TracedUse] = {}


class PortfolioShare(Struct, frozen=True, kw_only=True, tag_field="record", tag="portfolio_share"):
    """How much of what was paid out is flagged, in one cut of the portfolio; the last record of a cell holds."""

    schema_version: Literal[1] = 1
    dimension: Literal["product", "branch", "industry", "vintage"]
    value: str  # e.g. WORKING_CAPITAL, a branch's org_id, F52, 2026-01; "(not stated)" where the feed does not say
    currency: str
    loans: int
    flagged_loans: int  # in the state WATCH, SUSPICIOUS or CONFIRMED
    disbursed_minor: int
    flagged_minor: int  # paid out to the flagged loans
    share: float  # flagged_minor / disbursed_minor
    as_of: str
