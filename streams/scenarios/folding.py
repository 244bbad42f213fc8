"""Folds a scenario through the real engine and checks its expectations where they stand in the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from detectors.accounts import HELD
from detectors.alert_record import Alert, LoanRisk
from detectors.configuration import Configuration
from detectors.engine import Engine, Outputs
from detectors.events import Event, Fault
from detectors.money import format_money
from detectors.typologies import TYPOLOGIES
from streams.codec import decode, encode
from streams.scenarios.notation import Expectation, Record, Scenario, amount_minor, in_utc, split_time
from streams.settings import load_settings

SHIPPED = load_settings().engine
CODES = {make.name: make.code for make in TYPOLOGIES} | {make.code: make.code for make in TYPOLOGIES}
SEVERITIES = ("LOW", "MEDIUM", "HIGH", "CRITICAL")
_CODE = "(?P<code>[A-Z][A-Z0-9_]+)"
_MONEY = r"-?[\d.,]*\d"


def configuration_of(scenario: Scenario, basis: Configuration = SHIPPED) -> Configuration:
    """A configuration, the shipped one if none is given, with the scenario's settings."""
    changes = {
        section: msgspec.structs.replace(getattr(basis, section), **values) for section, values in scenario.settings.items()
    }
    return msgspec.structs.replace(basis, **changes)


def event_of(record: Record) -> Event | Fault:
    """The record as the product would decode it from JSON."""
    return decode(record.topic, encode(record.data))


def events_of(scenario: Scenario) -> list[Event]:
    """The sound events of a scenario in the order of arrival."""
    return [event for record in scenario.records if not isinstance(event := event_of(record), Fault)]


class ScenarioFails(AssertionError):
    """What a scenario expects does not hold; the message starts with ``file:line:``."""


@dataclass
class Folding:
    """One scenario on its way through an engine."""

    scenario: Scenario
    engine: Engine
    alerts: list[Alert] = field(default_factory=list)  # every revision, in order
    risks: list[LoanRisk] = field(default_factory=list)
    rejected: Fault | None = None  # the last record's, until an expectation takes it
    rejected_line: int = 0

    def latest(self, code: str, loan: str) -> Alert | None:
        """The newest revision of an alert."""
        return next((a for a in reversed(self.alerts) if a.typology == code and named_by(a) == loan), None)

    def newest(self) -> Iterator[Alert]:
        """The newest revision of every alert."""
        return iter({alert.alert_id: alert for alert in self.alerts}.values())

    def open(self) -> list[Alert]:
        """The newest revisions of all alerts that are open."""
        return [alert for alert in self.newest() if alert.status == "OPEN"]


def named_by(alert: Alert) -> str | None:
    """What an expectation names an alert by: its loan, or the account of a group."""
    return alert.subject.loan_id if alert.subject.kind == "LOAN" else alert.subject.account_id


def fold(scenario: Scenario, basis: Configuration = SHIPPED) -> Folding:
    """Fold a scenario and check it; :class:`ScenarioFails` names file and line of what does not hold."""
    folding = Folding(scenario, Engine(configuration_of(scenario, basis)))
    for step in scenario.steps:
        if isinstance(step, Record):
            _settled(folding)
            _apply(folding, step)
        else:
            _check(folding, step)
    _settled(folding)
    return folding


def _settled(folding: Folding) -> None:
    place = f"{folding.scenario.path}:{folding.rejected_line}"
    if folding.rejected is not None:
        raise ScenarioFails(f"{place}: rejected, and no expectation says so: {folding.rejected}")


def _apply(folding: Folding, record: Record) -> None:
    event = event_of(record)
    if isinstance(event, Fault):
        outputs = Outputs("rejected", event)
    else:
        if record.topic == "dispositions":
            event = _named_alert(folding, event)
        outputs = folding.engine.apply(event)
    folding.rejected, folding.rejected_line = outputs.fault, record.line
    folding.alerts += outputs.alerts
    folding.risks += outputs.risks
    for risk in folding.engine.loan_risks():
        accounted = risk.held_minor + sum(risk.left_minor.values()) + risk.repaid_minor + risk.reversed_minor
        accounted += sum(risk.dropped_minor.values())
        assert accounted == risk.paid_out_minor, (
            f"{folding.scenario.path}:{record.line}: money of {risk.loan_id} made or lost: {risk}"
        )


def _named_alert(folding: Folding, event: Event) -> Event:
    """``outcome T01 of L1 FALSE_POSITIVE`` names the alert by typology and loan."""
    named = re.fullmatch(rf"{_CODE} of (?P<loan>\S+)", event.alert_id or "")  # type: ignore[attr-defined]
    alert = folding.latest(CODES[named["code"]], named["loan"]) if named is not None else None
    return event if alert is None else msgspec.structs.replace(event, alert_id=alert.alert_id)


def _check(folding: Folding, step: Expectation) -> None:
    place = f"{folding.scenario.path}:{step.line}: expect {step.text}"
    for pattern, check in CHECKS.items():
        found = re.fullmatch(pattern, step.text)
        if found is not None:
            problem = check(folding, found, step)
            if problem:
                said = "; ".join(f"{a.typology} {a.status} on {a.subject.loan_id}" for a in folding.newest()) or "no alerts"
                raise ScenarioFails(f"{place}\n  but {problem} ({said})")
            return
    raise ScenarioFails(f"{place}\n  is no expectation that the notation knows")


# --- the expectations; each returns what is wrong, or "" ----------------------------------------------------------------

Check = Callable[[Folding, "re.Match[str]", Expectation], str]


def _alert(folding: Folding, found: re.Match[str]) -> Alert:
    code = CODES.get(found["code"])
    if code is None:
        raise ScenarioFails(f"{folding.scenario.path}: {found['code']!r} is no typology")
    alert = folding.latest(code, found["loan"])
    if alert is None:
        raise ScenarioFails(f"{folding.scenario.path}: no alert {code} was ever raised on {found['loan']}")
    return alert


def _check_open(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    code = CODES.get(found["code"])
    if code is None:
        return f"{found['code']!r} is no typology"
    alert = folding.latest(code, found["loan"])
    if alert is None or alert.status != "OPEN":
        return "there is no such open alert"
    if found["severity"] and alert.severity != found["severity"]:
        return f"its severity is {alert.severity}"
    if found["time"]:
        timed = split_time(found["time"], step.day)
        times = [a.event_time for a in folding.alerts if a.alert_id == alert.alert_id]
        if timed is None or in_utc(timed[0]) not in times:
            return f"its revisions are of {', '.join(times)} (UTC)"
    return ""


def _check_none(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    there = [a for a in folding.alerts if not found["loan"] or found["loan"] in (named_by(a), *_members(a))]
    return f"there is {there[0].typology}: {there[0].sentence_en}" if there else ""


def _members(alert: Alert) -> tuple[str, ...]:
    return tuple(member.loan_id for member in alert.subject.members)


def _check_only(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    wanted = {CODES.get(name, name) for name in found["codes"].split()}
    there = {alert.typology for alert in folding.open()}
    return "" if there == wanted else f"open are {', '.join(sorted(there)) or 'none'}"


def _check_member(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    members = _members(_alert(folding, found))
    return "" if set(found["members"].split()) == set(members) else f"its members are {', '.join(members)}"


def _check_measure(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    observed = {measure.name: measure.observed for measure in _alert(folding, found).measures}
    value = observed.get(found["name"])
    return "" if value == float(found["value"]) else f"measured are {observed}"


def _check_reasons(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    risk = next(risk for risk in folding.engine.loan_risks() if risk.loan_id == found["loan"])
    return "" if set(found["codes"].split()) == set(risk.reasons) else f"its reasons are {risk.reasons}"


def _check_not(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    code = CODES.get(found["code"])
    if code is None:
        return f"{found['code']!r} is no typology"
    there = [a for a in folding.alerts if a.typology == code and found["loan"] in (named_by(a), *_members(a))]
    return f"there is: {there[-1].sentence_en}" if there else ""


def _check_withdrawn(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    alert = _alert(folding, found)
    if alert.status != "WITHDRAWN":
        return "it is open"
    opened = [a for a in folding.alerts if a.alert_id == alert.alert_id and a.status == "OPEN"]
    return "" if opened and alert.revision > opened[-1].revision else f"its revision {alert.revision} follows no open one"


def _check_revision(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    revision = _alert(folding, found).revision
    return "" if revision == int(found["number"]) else f"its revision is {revision}"


def _check_nothing(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    who = found["who"]
    for alert in folding.open():
        named = {alert.subject.account_id}
        if alert.kind == "BREACH":
            named |= {name for step_there in alert.path for name in (step_there.payer, step_there.payee)}
        if who in named:
            return f"{alert.typology} names it: {alert.sentence_en}"
    return ""


def _check_figures(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    alert = _alert(folding, found)
    figures = {"certain": alert.traced_min_minor, "attributed": alert.traced_estimate_minor, "possible": alert.traced_max_minor,
               "fifo": alert.traced_fifo_minor}  # fmt: skip
    wrong = [
        f"{name} is {format_money(figures[name], alert.currency)}"
        for name, amount in re.findall(rf"(\w+) ({_MONEY})", found["figures"])
        if figures[name] != amount_minor(amount, alert.currency)
    ]
    return ", ".join(wrong)


def _check_look_alike(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    alerts = [_alert(folding, found)] if found["loan"] else list(folding.newest())
    tested = {(item.name, item.result): item.detail for alert in alerts for item in alert.look_alikes}
    key = (found["name"], found["result"])
    if key not in tested:
        return f"tested were {sorted(tested)}"
    wanted = found["detail"]
    return f"its detail is {tested[key]!r}" if wanted and wanted not in tested[key] else ""


def _check_routing(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    routing = _alert(folding, found).routing
    return "" if routing == found["routing"] else f"its routing is {routing}"


def _check_kind(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    kind = _alert(folding, found).kind
    return "" if kind == found["kind"] else f"its kind is {kind}"


def _check_rests(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    rests = _alert(folding, found).bounds_rest_on
    return "" if any(found["words"] in note for note in rests) else f"they rest on {rests}"


def _check_rule_set(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    rules = folding.engine.lending.loans[found["loan"]].rule_set
    return "" if rules is not None and rules.rule_set_id == found["rules"] else f"it is {rules and rules.rule_set_id}"


def _check_account(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    loan = folding.engine.lending.loans[found["loan"]]
    held = sum(
        lot.amount_minor
        for account in folding.engine.tracer.all_accounts()
        if account.account_id == found["who"] or account.account_id.startswith(f"{found['who']} (of ")
        for holding in (account.holdings or ())[:1] if holding is not None
        for lot in holding.lots if lot.origin is loan.origin
    )  # fmt: skip
    currency = loan.account.currency
    return "" if held == amount_minor(found["amount"], currency) else f"it holds {format_money(held, currency)}"


def _check_loan(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    risk = next(risk for risk in folding.engine.loan_risks() if risk.loan_id == found["loan"])
    figures: dict[str, int] = {"holds": risk.held_minor, "repaid": risk.repaid_minor, "reversed": risk.reversed_minor}
    what, place = found["what"], found["place"]
    if place:
        figure = (risk.left_minor if what == "left" else risk.dropped_minor).get(place, 0)
    elif what in figures:
        figure = figures[what]
    else:
        figure = sum((risk.left_minor if what == "left" else risk.dropped_minor).values())
    return (
        "" if figure == amount_minor(found["amount"], risk.currency) else f"it is {format_money(figure, risk.currency)}: {risk}"
    )


def _check_state(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    risk = next(risk for risk in folding.engine.loan_risks() if risk.loan_id == found["loan"])
    return "" if risk.state == found["state"] else f"its state is {risk.state}"


def _check_reject(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    fault, folding.rejected = folding.rejected, None
    if fault is None:
        return "the last record was taken"
    if fault.field != found["field"] or (found["words"] or "") not in fault.reason:
        return f"the fault is {fault}"
    return ""


def _check_counter(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    count = folding.engine.counters.get(found["name"], 0)
    return "" if count == int(found["number"]) else f"it is {count}"


def _check_sentence(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    alert = _alert(folding, found)
    both = f"{alert.sentence_en}\n{alert.sentence_zh}"
    return "" if found["words"] in both else f"the sentences are:\n{both}"


def _check_hub(folding: Folding, found: re.Match[str], step: Expectation) -> str:
    account = folding.engine.tracer.find(found["who"], step.currency)
    if account is None:
        return "no such account"
    hub = account.place == "HUB" and account.is_sink
    return "" if hub else f"it is {'visible' if account.place == HELD else account.place}"


_ON = rf"{_CODE} on (?P<loan>\S+)"
CHECKS: dict[str, Check] = {
    r"no alert(?: on (?P<loan>\S+))?": _check_none,
    rf"no {_ON}": _check_not,
    rf"withdrawn {_ON}": _check_withdrawn,
    rf"revision (?P<number>\d+) of {_ON}": _check_revision,
    r"nothing on (?P<who>\S+)": _check_nothing,
    r"only (?P<codes>[A-Z0-9_]+(?: [A-Z0-9_]+)*)": _check_only,
    rf"members (?P<members>\S+(?: \S+)*) in {_ON}": _check_member,
    rf"measure (?P<name>\w+) (?P<value>-?[\d.]+) in {_ON}": _check_measure,
    r"reasons (?P<codes>T\d\d(?: T\d\d)*) of (?P<loan>\S+)": _check_reasons,
    rf"{_CODE} (?P<figures>(?:(?:certain|attributed|possible|fifo) {_MONEY} ?)+)of (?P<loan>\S+)": _check_figures,
    rf'look-alike (?P<name>\w+) (?P<result>EXCLUDED|NOT_EXCLUDED|NOT_TESTABLE)(?: in {_ON})?(?: saying "(?P<detail>.*)")?':
        _check_look_alike,
    rf"kind (?P<kind>BREACH|PATTERN|EVENT) of {_ON}": _check_kind,
    rf"routing (?P<routing>NORMAL|RESTRICTED) of {_ON}": _check_routing,
    rf'"(?P<words>.*)" under the bounds of {_ON}': _check_rests,
    rf'"(?P<words>.*)" in the sentence of {_ON}': _check_sentence,
    r"rule set (?P<rules>\S+) on (?P<loan>\S+)": _check_rule_set,
    r"state (?P<state>[A-Z]+) of (?P<loan>\S+)": _check_state,
    r'reject (?P<field>\S+)(?: saying "(?P<words>.*)")?': _check_reject,
    r"counter (?P<name>\w+) (?P<number>\d+)": _check_counter,
    r"hub (?P<who>\S+)": _check_hub,
    rf"(?P<who>\S+) holds (?P<amount>{_MONEY}) of (?P<loan>\S+)": _check_account,
    rf"(?P<loan>\S+) (?P<what>holds|left|repaid|reversed|dropped)(?: (?P<place>[A-Z_]+|[a-z]+))? (?P<amount>{_MONEY})":
        _check_loan,
    rf"{_ON}(?: at (?P<time>(?:day \d+ )?[\d:]+))?(?: (?P<severity>LOW|MEDIUM|HIGH|CRITICAL))?": _check_open,
}  # fmt: skip
"""Form of an expectation -> its check, tried in this order."""


def described(alert: Alert) -> dict[str, Any]:
    """An alert as plain data, for golden files and comparisons."""
    return msgspec.to_builtins(alert)  # type: ignore[no-any-return]
