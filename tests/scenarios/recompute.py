"""Recomputes an alert's figures from the alert and the records it names: an independent, slow reading of the evidence.

It reads records as a bank sends them and never asks the engine. A measure without a formula here is a mistake: whoever adds one
says how an auditor gets it. What rests on balances of whole accounts (the certain and the possible amount) is not recomputed
here; `tests/properties/test_bounds_properties.py` does that against an exhaustive model.
"""

from __future__ import annotations

import hashlib
from calendar import monthrange
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import msgspec

from detectors.alert_record import Alert, PathStep
from detectors.uses import CodeLists

Data = dict[str, Any]
DAY_S = 86_400.0
PRINTED = {"hours": 0.00501, "days": 0.0501}
"""Unit -> half of the last place that alerts print; ratios have four places."""


class Records:
    """The records of a scenario, by what alerts name them by."""

    def __init__(self, records: list[tuple[str, Data]], codes: CodeLists) -> None:
        self.codes = codes
        self.payments: dict[str, list[Data]] = {}
        self.by_account: dict[str, list[Data]] = {}
        self.loans: dict[str, list[Data]] = {}
        for topic, data in records:
            if topic == "account-transactions":
                self.payments.setdefault(data["txn_id"], []).append(data)
                self.by_account.setdefault(data["account_id"], []).append(data)
                if data.get("txn_type") == "LOAN_CREDIT" and "related_loan_id" in data and not data.get("reversal_flag"):
                    self.loans.setdefault(data["related_loan_id"], []).append(data)
            elif topic == "loan-disbursements":
                self.loans.setdefault(data["loan_id"], []).insert(0, data)

    def info(self, loan_id: str | None) -> Data:
        """What the loan ledger said of a loan first."""
        return self.loans[loan_id or ""][0]

    def standing_minor(self, txn_id: str, until: str) -> int:
        """A payment less its reversals, as known at an event time."""
        original = self.payments[txn_id][0]["amount_minor"]
        names = {txn_id, txn_id.removesuffix("+"), f"{txn_id}+"}
        back: dict[tuple[str, Any], int] = {}
        for payment in (one for records in self.payments.values() for one in records):
            if payment.get("reverses_txn_id") in names and seconds(payment["event_time"]) <= seconds(until):
                key = (payment["event_time"], payment["amount_minor"])
                back[key] = payment["amount_minor"]
        return int(max(0, original - sum(back.values())))


def seconds(moment: str) -> float:
    """An instant in seconds since 1970."""
    return datetime.fromisoformat(moment).astimezone(UTC).timestamp()


# --- the whole alert ----------------------------------------------------------------------------------------------------


def disagreements(alert: Alert, records: Records) -> Iterator[str]:
    """What in the alert is not what its evidence says; empty for a sound alert."""
    yield from _of_payments(alert, records)
    yield from _of_amounts(alert, records)
    yield from _of_score(alert)
    if alert.status == "OPEN":
        yield from _of_measures(alert, records)
    digest = _digest(alert)
    if digest != alert.evidence_digest:
        yield f"the evidence digest is {alert.evidence_digest[:16]}, recomputed {digest[:16]}"


def _of_payments(alert: Alert, records: Records) -> Iterator[str]:
    named = [(step.txn_id, step.event_time, step.payer, step.payee, step.amount_minor) for step in alert.path]
    named += [(one.txn_id, one.event_time, one.payer, one.payee, one.amount_minor) for one in alert.related]
    for txn_id, event_time, payer, payee, amount_minor in named:
        found = records.payments.get(txn_id)
        if not found:
            yield f"payment {txn_id} is in no record"
            continue
        if not any(_shows(one, event_time, payer, payee, amount_minor) for one in found):
            yield f"payment {txn_id} is {payer} -> {payee} {amount_minor} at {event_time} in the alert, not so in the records"


def _shows(record: Data, event_time: str, payer: str, payee: str, amount_minor: int) -> bool:
    own, other = record["account_id"], record.get("counterparty_account")
    ends = (own, other) if record["direction"] == "DEBIT" else (other, own)
    same = all(_is_named(name, account) for name, account in zip((payer, payee), ends, strict=True))
    return same and record["amount_minor"] == amount_minor and seconds(record["event_time"]) == seconds(event_time)


def _is_named(name: str, account: str | None) -> bool:
    """A pocket is named after the firm and its owner; who is not named in the record is a sink or a transit."""
    return name == account or name.startswith("~") or (account is not None and name.startswith(f"{account} (of "))


def _of_amounts(alert: Alert, records: Records) -> Iterator[str]:
    if not alert.traced_min_minor <= alert.traced_estimate_minor <= alert.traced_max_minor:
        yield "not certain <= attributed <= possible"
    subject = alert.subject
    if subject.kind == "LOAN" and subject.loan_id in records.loans:
        paid_out = records.info(subject.loan_id)["amount_minor"]
        if subject.loan_amount_minor != paid_out:
            yield f"the loan is {subject.loan_amount_minor}, paid out were {paid_out}"
    if subject.kind == "GROUP":
        if subject.loan_amount_minor != sum(records.info(member.loan_id)["amount_minor"] for member in subject.members):
            yield "the members' loans are not the group's"
        if alert.status == "OPEN" and sum(member.traced_minor for member in subject.members) < alert.traced_estimate_minor:
            yield "the members' traced money is less than the group's"
    left = sum(step.traced_minor for step in alert.path if step.hop == 1)
    whole = not alert.path_steps_left_out and alert.status == "OPEN" and alert.path
    reversed_some = any(records.standing_minor(step.txn_id, alert.scored_time) < step.amount_minor for step in alert.path)
    if whole and not reversed_some and left < alert.traced_estimate_minor:
        yield f"{left} left the first accounts, {alert.traced_estimate_minor} is attributed"
    if any(step.traced_minor > step.amount_minor for step in alert.path) and not _is_revisited(alert.path):
        yield "a payment carried more than it was"


def _is_revisited(path: tuple[PathStep, ...]) -> bool:
    """Money that came through a counted payment and went on to another one is carried twice by the way between."""
    payees = [step.payee for step in path]
    return len(payees) != len(set(payees)) or any(step.payer in payees for step in path)


def _of_score(alert: Alert) -> Iterator[str]:
    if alert.model_version != "scorecard-1":
        return  # a learned score: its contributions are in log-odds
    for item in alert.contributions:
        if abs(item.added - item.value * item.weight) > 2e-4:
            yield f"{item.feature}: {item.value} x {item.weight} is not {item.added}"
    total = sum(item.added for item in alert.contributions)
    if abs(min(1.0, total) - alert.score) > 1e-3:
        yield f"the contributions add up to {total:.4f}, the score is {alert.score}"


def _digest(alert: Alert) -> str:
    evidence: list[object] = [
        alert.alert_id, alert.subject, alert.traced_min_minor, alert.traced_estimate_minor, alert.traced_max_minor,
        alert.traced_fifo_minor, alert.measures, alert.path, alert.look_alikes, alert.rule_set, alert.contributions,
    ]  # fmt: skip
    if alert.related or alert.party_notes:
        evidence += [alert.related, alert.party_notes]
    return hashlib.sha256(msgspec.json.encode(evidence)).hexdigest()


def _of_measures(alert: Alert, records: Records) -> Iterator[str]:
    for measure in alert.measures:
        formula = FORMULAS.get(measure.name)
        if formula is None:
            yield f"{measure.name} has no formula in tests/scenarios/recompute.py: say how an auditor gets it"
            continue
        value = formula(alert, records)
        if value is not None and abs(value - measure.observed) > PRINTED.get(measure.unit, 6e-5):
            yield f"{measure.name} is {measure.observed} in the alert, {value} by its evidence"


# --- the measures -------------------------------------------------------------------------------------------------------

Formula = Callable[[Alert, Records], "float | None"]
"""What a measure is by the evidence; None where the scenario's records do not tell (a loan without a ledger record)."""


def _loan_minor(alert: Alert) -> int:
    return alert.subject.loan_amount_minor or 0


def _last_s(alert: Alert) -> float:
    return max(seconds(step.event_time) for step in alert.path)


def _paid_s(alert: Alert) -> float:
    assert alert.subject.disbursed_at is not None, "the subject has a payout"
    return seconds(alert.subject.disbursed_at)


def _ends(alert: Alert) -> list[PathStep]:
    """The payments the alert counts: those of the way that feed no later one of it."""
    fed = {step.payer for step in alert.path}
    return [step for step in alert.path if step.payee not in fed] or list(alert.path)


def _role(alert: Alert, role: str) -> list[Any]:
    return [one for one in alert.related if one.role == role]


def _related_minor(alert: Alert, records: Records, role: str) -> int:
    return sum(records.standing_minor(one.txn_id, alert.scored_time) for one in _role(alert, role))


def _funded_minor(alert: Alert, records: Records) -> int:
    """What the funder brought, and what he repaid himself."""
    own = [one for one in _role(alert, "bought") if one.payer == alert.subject.account_id]
    return _related_minor(alert, records, "funded") + sum(records.standing_minor(one.txn_id, alert.scored_time) for one in own)


def _to_those_who_paid_on(alert: Alert) -> list[PathStep]:
    """What the loan had paid to those whose payments the alert shows."""
    payers = {one.payer for one in _role(alert, "paid_on")}
    return [step for step in alert.path if step.payee in payers]


def _passed_on(alert: Alert, records: Records) -> float:
    own = alert.subject.account_id
    passed = sum(records.standing_minor(step.txn_id, alert.scored_time) for step in alert.path if step.payer == own)
    arrived = sum(step.amount_minor for step in alert.path if step.payee == own)
    return passed / arrived


def _inflow_minor(alert: Alert, records: Records, since_s: float, until_s: float) -> int:
    account = alert.subject.account_id or ""
    return sum(
        one["amount_minor"] for one in records.by_account.get(account, ())
        if one["direction"] == "CREDIT" and one.get("txn_type") != "LOAN_CREDIT"
        and since_s <= seconds(one["event_time"]) < until_s
    )  # fmt: skip


def _usual_minor(alert: Alert, records: Records) -> float:
    first = min(seconds(one["event_time"]) for one in records.by_account[alert.subject.account_id or ""])
    days = (_paid_s(alert) - first) / DAY_S
    return _inflow_minor(alert, records, 0.0, _paid_s(alert)) * 30 / days


def _low_periods(alert: Alert, records: Records) -> float:
    usual, low, at = _usual_minor(alert, records), 0, _paid_s(alert)
    while at + 30 * DAY_S <= seconds(alert.event_time) + 60:
        came_in = _inflow_minor(alert, records, at, at + 30 * DAY_S)
        low = low + 1 if came_in < 0.3 * usual else 0
        at += 30 * DAY_S
    return float(low)


def _last_period_minor(alert: Alert, records: Records) -> int:
    periods = (seconds(alert.event_time) + 60 - _paid_s(alert)) // (30 * DAY_S)
    start = _paid_s(alert) + (periods - 1) * 30 * DAY_S
    return _inflow_minor(alert, records, start, seconds(alert.event_time))


def _owed_minor(alert: Alert, records: Records) -> int:
    loan_id = alert.subject.loan_id
    repaid = sum(
        records.standing_minor(txn_id, alert.event_time) for txn_id, payments in records.payments.items()
        for one in payments[:1] if not one.get("reverses_txn_id")
        and one.get("txn_type") == "LOAN_PRINCIPAL" and one.get("related_loan_id") == loan_id
        and seconds(one["event_time"]) <= seconds(alert.event_time)
    )  # fmt: skip
    return int(records.info(loan_id)["amount_minor"] - repaid)


def _days_at_rest(alert: Alert, records: Records) -> float:
    """The longest stretch without a payment of the account before the money came."""
    account = alert.subject.account_id
    first_in = min(seconds(step.event_time) for step in alert.path if step.payee == account)
    every = (one for found in records.payments.values() for one in found)
    moments = {seconds(one["event_time"]) for one in every if account in (one["account_id"], one.get("counterparty_account"))}
    return max(later - earlier for earlier, later in pairwise(sorted(at for at in moments if at <= first_in))) / DAY_S


def _meanings(alert: Alert, records: Records) -> list[str]:
    """What the public notes mean: by code, else by category."""
    default = {"REGISTRATION": "REGISTERED"}
    return [
        records.codes.party_codes.get(note.code or "", "") or (default.get(note.category, "ADVERSE") if not note.code else "")
        for note in alert.party_notes
    ]


def _days_registered(alert: Alert, records: Records) -> float:
    meanings = _meanings(alert, records)
    began = min(
        seconds(note.occurred_at) for note, meaning in zip(alert.party_notes, meanings, strict=True)
        if meaning in ("REGISTERED", "BRANCH", "SOLE_TRADER")
    )  # fmt: skip
    return (_last_s(alert) - began) / DAY_S


def _payers(alert: Alert, records: Records) -> float:
    """Distinct accounts that paid the account in question up to the last payment counted."""
    account, last = alert.subject.account_id, _last_s(alert)
    payers = set()
    for one in (record for found in records.payments.values() for record in found):
        if seconds(one["event_time"]) > last or one.get("counterparty_account") is None:
            continue
        out = one["direction"] == "DEBIT"
        payer, payee = (
            (one["account_id"], one["counterparty_account"]) if out else (one["counterparty_account"], one["account_id"])
        )
        if payee == account:
            payers.add(payer)
    return float(len(payers))


def _signs(alert: Alert, records: Records) -> float:
    meanings = _meanings(alert, records)
    no_capital = "NO_CAPITAL" in meanings and "SOLE_TRADER" not in meanings
    return float(no_capital + ("NO_TAX" in meanings) + (_payers(alert, records) <= 1))


def _median_fee(alert: Alert, records: Records) -> float:
    loans = {records.info(member.loan_id)["disburse_account"]: member.loan_amount_minor for member in alert.subject.members}
    rates = sorted(step.amount_minor / loans[step.payer] for step in alert.path)
    return rates[len(rates) // 2]


def _rate_a_year(alert: Alert, records: Records) -> float:
    interest = _role(alert, "interest")
    if not interest:
        return 0.0
    lent = sum(step.amount_minor for step in alert.path if step.payee == alert.subject.account_id)
    return float(sum(one.amount_minor for one in interest) / len(interest) * 365 / 30 / lent)


def _managers(alert: Alert, records: Records) -> float:
    return float(len({records.info(member.loan_id).get("account_manager_id") for member in alert.subject.members}))


def _largest_step(alert: Alert, records: Records) -> float:
    """By how much of the larger one a payment differs at most from the next one round the circle, split payments summed."""
    sums: dict[tuple[str, str], int] = {}
    start = next(i for i, step in enumerate(alert.path) if step.payer == alert.subject.account_id)
    for step in alert.path[start:]:
        edge = (step.payer, step.payee)
        sums[edge] = sums.get(edge, 0) + records.standing_minor(step.txn_id, alert.scored_time)
    return max(1 - min(pair) / max(pair) for pair in pairwise(sums.values()))


def _daily_sums(alert: Alert, records: Records) -> float:
    """Distinct customers, Beijing days and kinds of payment among those counted."""
    found = set()
    for step in _ends(alert):
        record = records.payments[step.txn_id][0]
        day = (seconds(step.event_time) + 8 * 3600) // DAY_S
        owner = record.get("customer_id") if record["account_id"] == step.payer else None
        found.add((owner or step.payer, day, step.use == "CASH"))
    return float(len(found))


def _days_before_month_end(alert: Alert, records: Records) -> float:
    """From the payout's Beijing day to the last day of its month."""
    moment = datetime.fromtimestamp(_paid_s(alert) + 8 * 3600, UTC)
    return float(monthrange(moment.year, moment.month)[1] - moment.day)


FORMULAS: dict[str, Formula] = {
    "share_of_loan_certain": lambda alert, records: alert.traced_min_minor / _loan_minor(alert),
    "share_of_loan_attributed": lambda alert, records: alert.traced_estimate_minor / _loan_minor(alert),
    "share_of_loans_attributed": lambda alert, records: alert.traced_estimate_minor / _loan_minor(alert),
    "hours_since_payout": lambda alert, records: (_last_s(alert) - _paid_s(alert)) / 3600,
    "passed_on": _passed_on,
    # bridges
    "funded_minor": _funded_minor,
    "bought_minor": lambda alert, records: _related_minor(alert, records, "bought"),
    "share_replaced": lambda alert, records: min(
        alert.traced_estimate_minor, _funded_minor(alert, records), _related_minor(alert, records, "bought")
    ) / _loan_minor(alert),
    "days_bought_before_payout": lambda alert, records: (
        _paid_s(alert) - seconds(_role(alert, "bought")[-1].event_time)
    ) / DAY_S,
    # sums paid on by whom the loan had paid
    "paid_on_of_received": lambda alert, records: _related_minor(alert, records, "paid_on")
    / sum(records.standing_minor(step.txn_id, alert.scored_time) for step in _to_those_who_paid_on(alert)),
    "paid_on_of_loan": lambda alert, records: _related_minor(alert, records, "paid_on") / _loan_minor(alert),
    "hours_until_paid_on": lambda alert, records: (
        seconds(_role(alert, "paid_on")[-1].event_time) - seconds(_to_those_who_paid_on(alert)[0].event_time)
    ) / 3600,
    # T10
    "interest_payments": lambda alert, records: len(_role(alert, "interest")),
    "interest_paid_minor": lambda alert, records: _related_minor(alert, records, "interest"),
    "rate_a_year": _rate_a_year,
    # groups
    "borrowers": lambda alert, records: len({member.customer_id or member.loan_id for member in alert.subject.members}),
    "account_managers": _managers,
    "median_fee": _median_fee,
    # public facts
    "days_registered": _days_registered,
    "signs_of_no_business": _signs,
    "payers_of_the_payee": _payers,
    "adverse_events_in_force": lambda alert, records: len(alert.party_notes),
    "distress_events_in_force": lambda alert, records: len(alert.party_notes),
    "owed_minor": _owed_minor,
    "share_owed": lambda alert, records: _owed_minor(alert, records) / _loan_minor(alert),
    # T14, T19, T23
    "days_at_rest": _days_at_rest,
    "due_minor": lambda alert, records: _role(alert, "repaid")[0].amount_minor,
    "brought_of_due": lambda alert, records: _related_minor(alert, records, "brought") / _role(alert, "repaid")[0].amount_minor,
    "hours_before_due": lambda alert, records: (
        seconds(_role(alert, "repaid")[0].event_time) - seconds(_role(alert, "brought")[0].event_time)
    ) / 3600,
    "inflow_minor": lambda alert, records: _last_period_minor(alert, records),
    "inflow_of_usual": lambda alert, records: _last_period_minor(alert, records) / _usual_minor(alert, records),
    "low_periods": _low_periods,
    # T07, T18, T21, T22
    "largest_payment": lambda alert, records: max(step.amount_minor for step in _ends(alert)),
    "payments": lambda alert, records: len(_ends(alert)),
    "largest_step": _largest_step,
    "sums_below_threshold": _daily_sums,
    "days_before_period_end": _days_before_month_end,
}  # fmt: skip
"""Name of a measure -> how an auditor gets it."""
