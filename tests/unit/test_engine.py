"""The fold as a whole: the same future after a restore, the same ids on replay, and nothing that hangs on names or scale.

The streams are the events of all scenarios, one after the other in one engine: every event of a scenario is moved to a time
of its own and its names get a prefix, so that the scenarios do not meet.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detectors.alert_record import Alert, LoanRisk
from detectors.configuration import Configuration
from detectors.engine import Engine
from detectors.events import EVENT_TYPES, AccountTransaction, Event, LoanDisbursement, PartyLink, Tick
from detectors.ruleset import RuleSet
from detectors.typologies import TYPOLOGIES
from streams.codec import decode, encode
from streams.scenarios.folding import SHIPPED, configuration_of, event_of, events_of, fold, named_by
from streams.scenarios.notation import FIRST_DAY, Scenario, parse_file
from streams.settings import load_settings
from streams.simulate.world import simulate

SCENARIOS = [
    scenario
    for path in sorted((Path(__file__).parent.parent / "scenarios").glob("*.txt"))
    for scenario in parse_file(path) if not scenario.known_bug
]  # fmt: skip
IDS = [f"{scenario.path.stem}: {scenario.title}" for scenario in SCENARIOS]
NAMES = (
    "loan_id", "disburse_account", "customer_id", "txn_id", "account_id", "counterparty_account", "reverses_txn_id",
    "party_id", "other_party_id", "related_loan_id", "end_to_end_id", "counterparty_party_id", "collection_account", "name",
    "bank_code", "counterparty_name", "counterparty_bank_code",
)  # fmt: skip


def renamed(event: Event, prefix: str) -> Event:
    """The event with a prefix before every name of an account, party, loan or transaction."""
    changes: dict[str, Any] = {name: prefix + value for name in NAMES if isinstance(value := getattr(event, name, None), str)}
    if isinstance(event, LoanDisbursement):
        changes["guarantor_party_ids"] = tuple(prefix + name for name in event.guarantor_party_ids)
        changes["collateral_ids"] = tuple(prefix + name for name in event.collateral_ids)
        changes["refinanced_loan_ids"] = tuple(prefix + name for name in event.refinanced_loan_ids)
        changes["entrusted_payments"] = tuple(
            msgspec.structs.replace(item, payee_account=prefix + item.payee_account) for item in event.entrusted_payments
        )
    return msgspec.structs.replace(event, **changes)


def moved(event: Event, by: timedelta) -> Event:
    """The event with all its times moved."""
    times = ("event_time", "valid_from", "valid_until", "occurred_at", "published_at", "fetched_at")
    changes = {name: at + by for name in times if (at := getattr(event, name, None)) is not None}
    return msgspec.structs.replace(event, **changes)


def stream_of(scenarios: list[Scenario]) -> list[Event]:
    """The events of these scenarios in one stream, each scenario moved by whole days behind the one before."""
    stream: list[Event] = []
    free = FIRST_DAY
    for number, scenario in enumerate(scenarios):
        events = [renamed(event, f"s{number}.") for event in events_of(scenario)]
        if events:
            by = timedelta(days=(free - min(event.event_time for event in events)).days + 1)
            stream += [moved(event, by) for event in events]
            free = max(event.event_time for event in stream[-len(events) :])
    return stream


STREAM = stream_of(SCENARIOS)


def outputs_of(engine: Engine, events: list[Event]) -> list[bytes]:
    """Everything the engine says to these events, as bytes."""
    said = []
    for event in events:
        outputs = engine.apply(event)
        said.append(encode([outputs.status, outputs.fault, outputs.alerts, outputs.risks]))
    return said


def through_json(engine: Engine) -> Engine:
    """The engine after its snapshot has been written down and read again."""
    return Engine.restore(engine.configuration, msgspec.json.decode(msgspec.json.encode(engine.snapshot())))


def alerts_of(configuration: Configuration, events: list[Event]) -> list[Alert]:
    """All alerts of a stream."""
    engine = Engine(configuration)
    return [alert for event in events for alert in engine.apply(event).alerts]


def test_the_mixed_stream_raises_every_typology() -> None:
    alerts = alerts_of(SHIPPED, STREAM)
    by_the_calendar = {"T22"}  # a story that is moved to other days no longer ends its month
    assert {alert.typology for alert in alerts} | by_the_calendar == {make.code for make in TYPOLOGIES}
    assert {alert.status for alert in alerts} == {"OPEN", "WITHDRAWN"}


def test_a_snapshot_taken_anywhere_leads_to_the_same_future() -> None:
    whole = outputs_of(Engine(SHIPPED), STREAM)
    rng = random.Random(7)
    for cut in sorted(rng.sample(range(len(STREAM)), 6)):
        first = Engine(SHIPPED)
        assert outputs_of(first, STREAM[:cut]) == whole[:cut]
        assert outputs_of(through_json(first), STREAM[cut:]) == whole[cut:], (
            f"the future differs after a restore at event {cut}"
        )


@pytest.mark.parametrize("scenario", SCENARIOS, ids=IDS)
def test_a_restore_after_every_event_changes_nothing(scenario: Scenario) -> None:
    configuration = configuration_of(scenario)
    straight, restored = Engine(configuration), Engine(configuration)
    for event in events_of(scenario):
        assert outputs_of(straight, [event]) == outputs_of(restored, [event])
        restored = through_json(restored)
    assert straight.counters == restored.counters
    assert [encode(risk) for risk in straight.loan_risks()] == [encode(risk) for risk in restored.loan_risks()]


def simulated(folder: Path) -> list[Event]:
    """A small simulated town in the order of event times."""
    simulate(folder, loans=40, days=6, seed=11, misuse_share=0.5, transactions_per_account_day=0.5)
    events = []
    for topic in EVENT_TYPES:
        path = folder / f"{topic}.jsonl"
        events += [decode(topic, line) for line in path.read_bytes().splitlines()] if path.exists() else []
    sound = [event for event in events if isinstance(event, Event)]
    assert len(sound) == len(events)
    return sorted(sound, key=lambda event: (event.event_time_ms, event.source_seq or 0))


def test_a_simulated_town_has_the_same_future_after_a_restore(tmp_path: Path) -> None:
    events = simulated(tmp_path)
    whole = outputs_of(Engine(SHIPPED), events)
    assert any(b'"record":"alert"' in said for said in whole)
    for cut in (len(events) // 3, len(events) * 3 // 4):
        first = Engine(SHIPPED)
        outputs_of(first, events[:cut])
        assert outputs_of(through_json(first), events[cut:]) == whole[cut:], (
            f"the future differs after a restore at event {cut}"
        )


def test_a_restored_snapshot_is_the_same_snapshot() -> None:
    engine = Engine(SHIPPED)
    outputs_of(engine, STREAM[:300])
    assert msgspec.json.encode(through_json(engine).snapshot()) == msgspec.json.encode(engine.snapshot())


def test_taking_a_snapshot_changes_nothing() -> None:
    watched, left_alone = Engine(SHIPPED), Engine(SHIPPED)
    for event in STREAM[:300]:
        watched.snapshot()
        assert outputs_of(watched, [event]) == outputs_of(left_alone, [event])


def test_a_replay_gives_the_same_bytes_and_ids() -> None:
    assert outputs_of(Engine(SHIPPED), STREAM) == outputs_of(Engine(SHIPPED), STREAM)
    first, second = alerts_of(SHIPPED, STREAM), alerts_of(SHIPPED, STREAM)
    assert [alert.alert_id for alert in first] == [alert.alert_id for alert in second]
    assert len({(alert.alert_id, alert.revision) for alert in first}) == len(first)


def test_revisions_of_an_alert_count_up_from_one() -> None:
    said: dict[str, int] = {}
    for alert in alerts_of(SHIPPED, STREAM):
        assert alert.revision == said.get(alert.alert_id, 0) + 1
        said[alert.alert_id] = alert.revision


def test_duplicates_change_nothing_but_their_counter() -> None:
    once, twice = Engine(SHIPPED), Engine(SHIPPED)
    rng = random.Random(3)
    before: list[Event] = []
    repeated = 0
    for event in STREAM:
        statement = outputs_of(once, [event])
        assert outputs_of(twice, [event]) == statement
        before.append(event)
        again = rng.choice(before[-50:])
        outputs = twice.apply(again)
        if outputs.status == "rejected":
            continue  # it had been refused the first time
        repeated += 1
        assert (outputs.status, outputs.alerts, outputs.risks) == ("duplicate", (), ())
    counters = twice.counters
    assert counters.pop("duplicates") == once.counters.get("duplicates", 0) + repeated
    assert counters == {name: count for name, count in once.counters.items() if name != "duplicates"}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=IDS)
def test_other_names_give_the_same_alerts_under_those_names(scenario: Scenario) -> None:
    configuration, events = configuration_of(scenario), events_of(scenario)
    original = alerts_of(configuration, events)
    other = alerts_of(configuration, [renamed(event, "zz-") for event in events])
    assert [figures(alert) for alert in other] == [figures(alert) for alert in original]
    assert [named_by(alert) for alert in other] == [f"zz-{named_by(alert)}" for alert in original]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=IDS)
def test_a_world_of_larger_amounts_is_judged_alike(scenario: Scenario) -> None:
    factor = 7
    configuration = configuration_of(scenario)
    limit = configuration.trace.lot_minor_min * factor
    wider = msgspec.structs.replace(
        configuration,
        trace=msgspec.structs.replace(configuration.trace, lot_minor_min=limit),
        rule_sets=tuple(with_larger_thresholds(rules, factor) for rules in configuration.rule_sets),
    )
    original = alerts_of(configuration, events_of(scenario))
    larger = alerts_of(wider, [scaled(event, factor) for event in events_of(scenario)])
    assert [figures(alert) for alert in larger] == [figures(alert, factor) for alert in original]


def with_larger_thresholds(rules: RuleSet, factor: int) -> RuleSet:
    """The rule set with every amount of money in it multiplied."""

    def larger(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: larger(item) for key, item in value.items()}
        return tuple(larger(item) for item in value) if isinstance(value, tuple) else value * factor

    parameters = {}
    for code, given in rules.parameters.items():
        money = {name: larger(getattr(given, name)) for name in given.__struct_fields__ if name.endswith("_minor")}
        parameters[code] = msgspec.structs.replace(given, **money)
    return msgspec.structs.replace(rules, parameters=parameters)


def figures(alert: Alert, factor: int = 1) -> tuple[object, ...]:
    """What an alert says apart from names, money times ``factor``."""
    money = (alert.traced_min_minor, alert.traced_estimate_minor, alert.traced_max_minor, alert.traced_fifo_minor)
    looks = tuple((item.name, item.result) for item in alert.look_alikes)
    steps = tuple((step.amount_minor * factor, step.traced_minor * factor, step.hop, step.use) for step in alert.path)
    return (alert.typology, alert.status, alert.revision, alert.severity, alert.score, alert.event_time,
            tuple(amount * factor for amount in money), looks, steps)  # fmt: skip


def scaled(event: Event, factor: int) -> Event:
    """The event with all its money multiplied."""
    changes: dict[str, Any] = {}
    for name in ("amount_minor", "balance_after_minor"):
        amount = getattr(event, name, None)
        if amount is not None:
            changes[name] = amount * factor
    if isinstance(event, LoanDisbursement):
        changes["entrusted_payments"] = tuple(
            msgspec.structs.replace(item, amount_minor=item.amount_minor * factor) for item in event.entrusted_payments
        )
    return msgspec.structs.replace(event, **changes)


def test_scenarios_fold_alike_whether_or_not_they_are_checked() -> None:
    for scenario in SCENARIOS[:20]:
        if not any(record.again or record.topic == "dispositions" for record in scenario.records):
            assert [encode(alert) for alert in fold(scenario).alerts] == [
                encode(alert) for alert in alerts_of(configuration_of(scenario), events_of(scenario))
            ]


def test_every_event_keeps_the_money_of_every_loan() -> None:
    engine = Engine(SHIPPED)
    for event in STREAM:
        engine.apply(event)
        for risk in engine.loan_risks():
            assert imbalance(risk) == 0, f"{risk.loan_id}: {risk}"


def imbalance(risk: LoanRisk) -> int:
    """0 as long as no money of the loan was made or lost."""
    there = risk.held_minor + sum(risk.left_minor.values()) + risk.repaid_minor + risk.reversed_minor
    return risk.paid_out_minor - there - sum(risk.dropped_minor.values())


def moment(days: float) -> Any:
    return FIRST_DAY + timedelta(days=days)


def loan(loan_id: str, days: float = 0, **changes: Any) -> LoanDisbursement:
    fields: dict[str, Any] = {"amount_minor": 10_000_000, "currency": "CNY", "disburse_account": "a"}
    return LoanDisbursement(event_time=moment(days), loan_id=loan_id, **{**fields, **changes})


def spend(txn_id: str, days: float, **changes: Any) -> AccountTransaction:
    fields: dict[str, Any] = {
        "account_id": "a", "direction": "DEBIT", "amount_minor": 9_000_000, "currency": "CNY",
        "txn_type": "SECURITIES_TRANSFER", "balance_after_minor": 1_000_000,
    }  # fmt: skip
    return AccountTransaction(event_time=moment(days), txn_id=txn_id, **{**fields, **changes})


def test_an_event_far_ahead_of_the_stream_is_refused_and_moves_no_clock() -> None:
    engine = Engine(SHIPPED)
    engine.apply(loan("L1"))
    outputs = engine.apply(spend("t1", 4_000))
    assert outputs.status == "rejected"
    assert outputs.fault is not None
    assert outputs.fault.field == "event_time"
    assert engine.apply(spend("t2", 0.1)).alerts


def test_a_correction_of_an_unknown_loan_is_refused() -> None:
    outputs = Engine(SHIPPED).apply(loan("L1", event_type="CORRECTED"))
    assert outputs.status == "rejected"
    assert outputs.fault is not None
    assert outputs.fault.field == "loan_id"


def test_corrected_particulars_choose_the_rules_anew() -> None:
    engine = Engine(SHIPPED)
    engine.apply(loan("L1", contract_sign_date="2024-07-01"))
    engine.apply(loan("L1", 0.1, contract_sign_date="2024-06-30", event_type="CORRECTED"))
    (alert,) = engine.apply(spend("t1", 0.2)).alerts
    assert alert.rule_set.rule_set_id == "cn-2009-2010"
    assert "2024-06-30" in alert.rule_set.why


def test_a_reversal_larger_than_the_loan_is_refused() -> None:
    engine = Engine(SHIPPED)
    engine.apply(loan("L1"))
    outputs = engine.apply(loan("L1", 0.1, event_type="REVERSED", amount_minor=10_000_001))
    assert outputs.status == "rejected"


def test_a_refused_record_may_be_sent_again_mended() -> None:
    engine = Engine(SHIPPED)
    engine.apply(loan("L1"))
    engine.apply(loan("L1", 0.1, event_type="CORRECTED", amount_minor=5))
    assert engine.apply(loan("L1", 0.1, event_type="CORRECTED")).status == "applied"


def test_a_loan_too_old_to_follow_says_its_last_state_and_frees_its_memory() -> None:
    engine = Engine(SHIPPED)
    engine.apply(loan("L1"))
    engine.apply(spend("t1", 0.1))
    outputs = engine.apply(Tick(event_time=moment(91)))
    assert [risk.loan_id for risk in outputs.risks] == ["L1"]
    assert imbalance(outputs.risks[0]) == 0
    assert not list(engine.loan_risks())
    assert engine.counters["loans_retired"] == 1


def test_a_restore_under_another_configuration_is_refused() -> None:
    data = Engine(SHIPPED).snapshot()
    other = msgspec.structs.replace(SHIPPED, utc_offset_minutes=0)
    with pytest.raises(ValueError, match="fold the events again"):
        Engine.restore(other, data)


def test_a_restore_of_another_version_is_refused() -> None:
    data = {**Engine(SHIPPED).snapshot(), "version": 0}
    with pytest.raises(ValueError, match="snapshot version 0"):
        Engine.restore(SHIPPED, data)


def test_ids_are_remembered_and_forgotten_with_a_count() -> None:
    limits = msgspec.structs.replace(SHIPPED.fold, seen_ids_max=10)
    engine = Engine(msgspec.structs.replace(SHIPPED, fold=limits))
    for number in range(30):
        engine.apply(spend(f"t{number}", number / 100, counterparty_account=f"shop{number}", txn_type="TRANSFER"))
    assert engine.counters["ids_forgotten"] > 0


def test_links_are_read_once_and_in_both_directions() -> None:
    link = PartyLink(event_time=moment(0), party_id="p", other_party_id="q", role="SPOUSE")
    engine = Engine(SHIPPED)
    assert [engine.apply(link).status for _ in range(2)] == ["applied", "duplicate"]
    assert engine.parties.links["p"][0][0] == "q"
    assert engine.parties.links["q"][0][0] == "p"


def test_settings_digest_changes_with_anything_in_them() -> None:
    limits = msgspec.structs.replace(SHIPPED.trace, hops_max=7)
    assert msgspec.structs.replace(SHIPPED, trace=limits).digest() != SHIPPED.digest()
    assert load_settings().engine.digest() == SHIPPED.digest()


def _faults() -> Iterator[Scenario]:
    return (scenario for scenario in SCENARIOS if any(not isinstance(event_of(record), Event) for record in scenario.records))


def test_some_scenarios_hold_records_that_are_no_events() -> None:
    assert list(_faults())
