"""Alerts, loan states and rejects of a small made-up bank, as `fundtrail replay` would leave them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from detectors.alert_record import Alert, Contribution, LoanRisk, LookAlike, Measure, PathStep, RuleSetUse, Subject
from detectors.money import format_money

START = datetime(2026, 1, 5, 1, 30, tzinfo=UTC)
LOAN_MINOR = 100_000_000  # one million yuan

NAMES = {
    "T01": ("SECURITIES_DIVERSION", "挪用入股市/期货", "BREACH"),
    "T02": ("WEALTH_PRODUCT_DIVERSION", "挪用购买理财", "BREACH"),
    "T05": ("RETURN_TO_BORROWER_SIDE", "回流借款人/关联方/担保人", "BREACH"),
    "T06": ("ENTRUSTED_PAYEE_RETURN", "受托支付收款人回流", "BREACH"),
    "T08": ("LOAN_REPAYS_LOAN", "借新还旧", "BREACH"),
    "T09": ("CASH_OUT", "套现", "BREACH"),
    "T12": ("PASS_THROUGH", "快进快出", "PATTERN"),
}

CHECKS = {
    "T01": (
        "Ask the securities clearing records of the paying account for the days around the payment",
        "Compare the stated purpose and the contract with the payment's memo and payee",
    ),
    "T02": ("See what the product pays out and when",),
    "T05": (
        "Read contract, invoice and delivery papers of the first payment",
        "Establish the relation between the payee and the account the money came back to",
    ),
    "T06": ("Read the purchase contract and the delivery papers of the entrusted payment",),
    "T08": ("Check whether the new loan was approved as a renewal of the old one",),
    "T09": ("Compare withdrawals with wage lists and purchase slips",),
    "T12": ("Look at who controls the account that passed the money on",),
}


def at(minutes: float) -> str:
    """RFC 3339 of so many minutes after START."""
    return f"{START + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%S}.000Z"


def step(
    number: int, minutes: float, payer: str, payee: str, traced_minor: int, hop: int, use: str = "OTHER", **more: Any
) -> PathStep:
    """A step; ``amount_minor`` is what was traced unless given."""
    fields: dict[str, Any] = {
        "txn_id": f"TX-20260105-{number:06d}",
        "event_time": at(minutes),
        "payer": payer,
        "payee": payee,
        "amount_minor": traced_minor,
        "traced_minor": traced_minor,
        "hop": hop,
        "use": use,
    }
    return PathStep(**{**fields, **more})


def alert(typology: str, loan_id: str, path: tuple[PathStep, ...], **more: Any) -> Alert:
    """An alert with figures that follow from its path unless given."""
    name, name_zh, kind = NAMES[typology]
    last_hop = max((item.hop for item in path), default=0)
    traced = more.pop("traced", sum(item.traced_minor for item in path if item.hop == last_hop))
    loan = more.pop("loan_amount_minor", LOAN_MINOR)
    certain, possible = more.pop("certain", traced), more.pop("possible", min(loan, traced + loan // 20))
    digest = hashlib.sha256(f"{typology}|{loan_id}".encode()).hexdigest()
    customer = more.pop("customer_id", f"C{loan_id[-4:]}")
    currency = more.get("currency", "CNY")
    money = format_money(traced, currency)
    en = f"{name.lower().replace('_', ' ')} within 3 hours of the payout, over {last_hop} payments"
    zh = f"经{last_hop}笔支付流向“{name_zh}”"
    fields: dict[str, Any] = {
        "alert_id": f"{typology}-{digest[:16]}",
        "revision": 1,
        "status": "OPEN",
        "typology": typology,
        "typology_name": name,
        "typology_name_zh": name_zh,
        "kind": kind,
        "severity": "CRITICAL" if certain * 2 >= loan else "HIGH" if certain else "MEDIUM",
        "score": round(min(1.0, 0.4 * certain / loan + 0.2 * traced / loan + 0.3), 4),
        "score_percentile": 97.5,
        "subject": Subject(
            loan_id=loan_id,
            contract_id=f"HT-{loan_id}",
            customer_id=customer,
            borrower_type="SELF_EMPLOYED",
            product_class="PERSONAL_BUSINESS",
            purpose_code="GOODS",
            purpose_text="采购建材",
            org_id="ORG-0571",
            account_manager_id="AM-017",
            loan_amount_minor=loan,
            disbursed_at=at(0),
        ),
        "sentence_en": f"Of loan {loan_id} ({format_money(loan, currency)}) of {customer}, {money} went to {en}; "
        f"at least {format_money(certain, currency)} ({certain / loan:.0%}) for certain.",
        "sentence_zh": f"客户{customer}的借据{loan_id}（{format_money(loan, currency)}）放款后3小时内，{money}{zh}；"
        f"其中可以确定的至少{format_money(certain, currency)}（{certain / loan:.0%}）。",
        "currency": currency,
        "traced_min_minor": certain,
        "traced_estimate_minor": traced,
        "traced_max_minor": possible,
        "traced_fifo_minor": (certain + traced) // 2,
        "method": "loan-first, first in first out among loans; bounds by maximum flow",
        "bounds_exact": True,
        "bounds_rest_on": ("all balances on the way known",),
        "measures": (
            Measure(name="share_of_loan_certain", observed=round(certain / loan, 4), expected=0.0, threshold=0.1, unit="ratio"),
            Measure(
                name="share_of_loan_attributed", observed=round(traced / loan, 4), expected=0.0, threshold=0.1, unit="ratio"
            ),
            Measure(name="hours_since_payout", observed=2.6, expected=None, threshold=None, unit="hours"),
        ),
        "path": path,
        "path_steps_left_out": 0,
        "hops_visible": last_hop,
        "left_bank": False,
        "look_alikes": (
            LookAlike(
                name="own_money",
                result="EXCLUDED" if certain else "NOT_EXCLUDED",
                detail=f"at least {certain} minor units cannot have been other money; all balances on the way known",
            ),
            LookAlike(
                name="own_habit",
                result="EXCLUDED",
                detail="1 payments by this payer to S-88 so far, the first on record at 1767583800000 ms",
            ),
        ),
        "rule_set": RuleSetUse(
            rule_set_id="cn-2024",
            version="2024.1",
            effective_from="2024-07-01",
            verified=False,
            why="contract signed 2025-12-20",
        ),
        "detector": f"{typology.lower()}_{name.lower()}",
        "contributions": (
            Contribution(
                feature="certain_share", value=round(certain / loan, 4), weight=0.4, added=round(0.4 * certain / loan, 4)
            ),
            Contribution(
                feature="attributed_share", value=round(traced / loan, 4), weight=0.2, added=round(0.2 * traced / loan, 4)
            ),
            Contribution(feature="speed", value=0.98, weight=0.15, added=0.147),
        ),
        "model_version": "scorecard-1",
        "configuration_digest": "0f" * 32,
        "prior_alerts": (),
        "recommended_checks": CHECKS[typology],
        "recommended_measures": (
            "watch the remaining balance",
            "ask for proof of use after review",
            "stop further drawings",
            "early repayment",
        ),
        "event_time": path[-1].event_time if path else at(0),
        "scored_time": path[-1].event_time if path else at(0),
        "evidence_digest": digest,
    }
    return Alert(**{**fields, **more})


def securities_over_two_shells() -> list[Alert]:
    """T01 in two revisions: the loan goes through two shell firms to a securities account."""
    path = (
        step(1, 12, "6222-0200-0001", "SHELL-A-20251101", 60_000_000, 1),
        step(2, 15, "6222-0200-0001", "SHELL-B-20251103", 35_000_000, 1),
        step(3, 47, "SHELL-A-20251101", "6217-8801-LIWEI", 59_000_000, 2, amount_minor=59_500_000),
        step(4, 63, "SHELL-B-20251103", "6217-8801-LIWEI", 34_500_000, 2),
        step(5, 151, "6217-8801-LIWEI", "SEC-CITIC-88001", 90_000_000, 3, "SECURITIES", amount_minor=92_000_000),
    )
    first = alert("T01", "JJ-2026-0001", path[:4], traced=40_000_000, certain=0)
    second = alert(
        "T01",
        "JJ-2026-0001",
        path,
        traced=90_000_000,
        certain=89_000_000,
        possible=93_500_000,
        revision=2,
        prior_alerts=("T09-00aa11bb22cc33dd",),
    )
    return [first, second]


def return_to_legal_representative() -> Alert:
    """T05: a supplier sends the money to the borrower's legal representative."""
    path = (
        step(11, 30, "6222-0200-0002", "SUPPLIER-X", 80_000_000, 1),
        step(12, 1500, "SUPPLIER-X", "6217-LEGALREP-ZHAO", 40_000_000, 2),
        step(13, 1560, "SUPPLIER-X", "6217-LEGALREP-ZHAO", 38_400_000, 2, amount_minor=39_000_000),
    )
    return alert("T05", "JJ-2026-0002", path, certain=38_000_000)


def entrusted_payee_forwards() -> Alert:
    """T06: the entrusted payee, new and without other business, forwards to many accounts."""
    head = step(21, 1, "6222-0200-0003", "ENTRUSTED-PAYEE-9", 100_000_000, 1)
    fan = tuple(
        step(22 + i, 600 + 7 * i, "ENTRUSTED-PAYEE-9", f"PERSON-{i:02d}-ACCOUNT", 9_000_000 - 500_000 * i, 2) for i in range(14)
    )
    return alert("T06", "JJ-2026-0003", (head, *fan), certain=60_000_000, traced=80_500_000)


def loan_repays_loan() -> Alert:
    """T08: a new loan pays off an old one."""
    path = (step(41, 20, "6222-0200-0004", "~LOAN_REPAYMENT", 70_000_000, 1, "LOAN_REPAYMENT"),)
    return alert("T08", "JJ-2026-0004", path, certain=66_000_000)


def cash_out_with_unknown_balance() -> Alert:
    """T09: cash at several places; nothing is certain since an opening balance is unknown."""
    path = (
        step(51, 45, "6222-0200-0005", "6217-COUSIN", 30_000_000, 1),
        step(52, 60, "6222-0200-0005", "~CASH", 5_000_000, 1, "CASH"),
        *(step(53 + i, 100 + 3 * i, "6217-COUSIN", "~CASH", 4_990_000, 2, "CASH") for i in range(5)),
        step(60, 400, "6217-COUSIN", "GOLD-SHOP-77", 4_000_000, 2, "QUASI_CASH"),
    )
    return alert(
        "T09",
        "JJ-2026-0005",
        path,
        traced=33_950_000,
        certain=0,
        possible=100_000_000,
        bounds_exact=False,
        bounds_rest_on=("opening balance of 6217-COUSIN unknown", "history of 1 accounts cut by a limit"),
        left_bank=True,
        score_percentile=None,
    )


def pass_through() -> Alert:
    """T12 on a counterparty account."""
    path = (
        step(71, 5, "6222-0200-0006", "MULE-4471", 50_000_000, 1),
        step(72, 21, "MULE-4471", "OTHERBANK-0098", 49_800_000, 2),
    )
    subject = Subject(
        loan_id="JJ-2026-0006", customer_id="C0006", account_id="MULE-4471", loan_amount_minor=LOAN_MINOR, disbursed_at=at(0)
    )
    return alert("T12", "JJ-2026-0006", path, certain=49_000_000, severity="MEDIUM", subject=subject, left_bank=True)


def withdrawn_after_reversal() -> list[Alert]:
    """T02, raised and then withdrawn since the purchase was reversed two days later."""
    path = (step(81, 1440, "6222-0200-0007", "~WEALTH", 50_000_000, 1, "WEALTH"),)
    raised = alert("T02", "JJ-2026-0007", path)
    later = msgspec.structs.replace(
        raised,
        revision=2,
        status="WITHDRAWN",
        sentence_en="Withdrawn: what is now known of loan JJ-2026-0007 no longer shows wealth product diversion.",
        sentence_zh="撤回：就目前所知，借据JJ-2026-0007不再构成“挪用购买理财”。",
        event_time=at(4400),
        scored_time=at(4400),
    )
    return [raised, later]


def long_chain(steps: int = 60) -> Alert:
    """T05 over a chain of accounts, as long as a path may be."""
    accounts = [f"ACCOUNT-{i:03d}-OF-A-LONG-CHAIN-{i * 7919 % 100_000:05d}" for i in range(steps + 1)]
    path = tuple(step(100 + i, 10 + 9 * i, accounts[i], accounts[i + 1], 50_000_000 - 10_000 * i, i + 1) for i in range(steps))
    return alert("T05", "JJ-2026-0008", path, certain=0, score=0.41, path_steps_left_out=3)


def hostile() -> Alert:
    """Every text tries to be markup, an escape sequence or a direction override."""
    bad = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    path = (
        step(901, 5, f"{bad}A", "[bold red]B[/]\x1b[31m", 20_000_000, 1, txn_id=f"T\u202e{bad}"),
        step(902, 9, "[bold red]B[/]\x1b[31m", bad, 20_000_000, 2, "SECURITIES"),
    )
    made = alert("T01", "JJ-2026-0009", path, alert_id=f"T01-{bad}", sentence_en=f"en {bad}", sentence_zh=f"中文 {bad}")
    return msgspec.structs.replace(
        made,
        subject=msgspec.structs.replace(made.subject, loan_id=bad, customer_id=f"{bad}\x07", purpose_text="&lt;b&gt;" + bad),
        bounds_rest_on=(bad,),
        recommended_checks=(bad,),
        prior_alerts=(bad,),
        typology_name_zh=bad,
        look_alikes=(LookAlike(name=bad, result="EXCLUDED", detail=bad),),
        severity="LOW",
    )


def sample_alerts() -> list[Alert]:
    """All of the above but the hostile one, in the order they would be published."""
    return [
        *securities_over_two_shells(),
        return_to_legal_representative(),
        entrusted_payee_forwards(),
        loan_repays_loan(),
        cash_out_with_unknown_balance(),
        pass_through(),
        *withdrawn_after_reversal(),
        long_chain(),
    ]


def loan_risk(loan_id: str, reasons: tuple[str, ...]) -> LoanRisk:
    """A loan state whose figures balance."""
    return LoanRisk(
        loan_id=loan_id,
        customer_id=f"C{loan_id[-4:]}",
        state="SUSPICIOUS",
        score=0.9,
        reasons=reasons,
        open_alerts=(),
        currency="CNY",
        paid_out_minor=LOAN_MINOR,
        held_minor=6_000_000,
        left_minor={"SECURITIES": 90_000_000},
        repaid_minor=1_000_000,
        reversed_minor=0,
        dropped_minor={"hops": 3_000_000},
        as_of=at(200),
        human_reviewed=False,
        usable_for_pricing=False,
    )


REJECTS = (
    {
        "file": "account-transactions.jsonl",
        "line": 17,
        "topic": "account-transactions",
        "field": "amount_minor",
        "reason": "expected a positive amount in minor units; found -5",
        "original": '{"txn_id": "T-<b>17</b>", "amount_minor": -5}',
    },
    {
        "file": "account-transactions.jsonl",
        "line": 21,
        "topic": "account-transactions",
        "field": "amount_minor",
        "reason": "expected a positive amount in minor units; found 0",
        "original": '{"txn_id": "T-21", "amount_minor": 0}',
    },
    {
        "file": "loan-disbursements.jsonl",
        "line": 3,
        "topic": "loan-disbursements",
        "field": "$",
        "reason": "the JSON is cut off; found '{\"loan'",
        "original": '{"loan',
    },
)

SUMMARY = {
    "records": {"read": 20_010, "applied": 20_000, "rejected": 3, "duplicate": 7},
    "alerts": {"T01": 1, "T05": 2},
    "seconds": 1.25,
    "records_per_second": 16_008.0,
    "event_time_first": at(-40_000),
    "event_time_last": at(20_000),
    "counters": {},
}


def write_folder(folder: Path, alerts: list[Alert]) -> Path:
    """Write a result folder with these alerts."""
    folder.mkdir(parents=True, exist_ok=True)
    risks = [loan_risk(item.subject.loan_id, (item.typology,)) for item in alerts if item.subject.loan_id]
    for name, records in (("alerts", alerts), ("loan-risk", risks), ("rejects", REJECTS)):
        (folder / f"{name}.jsonl").write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    (folder / "summary.json").write_bytes(msgspec.json.encode(SUMMARY))
    return folder
