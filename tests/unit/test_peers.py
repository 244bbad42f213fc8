"""Peer groups: with whom an account is compared when it is paid, and what an alert says of it."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from detectors.alert_record import Alert
from detectors.checks import Example, check_learner
from detectors.configuration import Configuration
from detectors.engine import Engine
from detectors.events import AccountTransaction, Event, LoanDisbursement
from detectors.learners.features import NAMES
from detectors.learners.novelty import FIGURE_NAMES, Novelty
from detectors.learners.peers import ALL, PeerGroups, Peers
from detectors.learners.score import PaymentScore
from tests.unit.test_triage import START, configured, payment, scores_of

SMALL = {"peer_members_min": 5, "peer_payments_min": 50}
SHOPS, FARMS = "F521", "A011"


def loan(account: str, industry: str | None, product: str = "WORKING_CAPITAL") -> LoanDisbursement:
    return LoanDisbursement(
        event_time=START, loan_id=f"L-{account}", amount_minor=1_000_000, currency="CNY", disburse_account=account,
        borrower_industry=industry, product_class=product,  # type: ignore[arg-type]
    )  # fmt: skip


def of_kind(txn: AccountTransaction, kind: str) -> AccountTransaction:
    return msgspec.structs.replace(txn, account_kind=kind)  # type: ignore[arg-type]


def trade(shops: int = 8, farms: int = 8, days: int = 20) -> list[Event]:
    """Every day each shop is paid by nine customers, and each farm by one: what is usual of the one is rare of the other."""
    stream: list[Event] = [*(loan(f"shop{n}", SHOPS) for n in range(shops)), *(loan(f"farm{n}", FARMS) for n in range(farms))]
    for day in range(days):
        for n in range(shops):
            stream += [paid(f"c{day}.{n}.{k}", f"c{(day + 7 * k + n) % 90}", f"shop{n}", day * 24 + k) for k in range(9)]
        stream += [paid(f"f{day}.{n}", f"c{(day + n) % 90}", f"farm{n}", day * 24 + n % 9) for n in range(farms)]
    return sorted(stream, key=lambda event: event.event_time)


def paid(txn_id: str, payer: str, payee: str, hours: float, amount_minor: int = 50_000) -> AccountTransaction:
    return msgspec.structs.replace(payment(0, payer, payee, 0, amount_minor), txn_id=txn_id,
                                   event_time=START + timedelta(hours=hours + 1))  # fmt: skip


def burst(payee: str, day: int = 20) -> list[AccountTransaction]:
    """Nine customers pay within a day."""
    return [paid(f"b{k}", f"d{k}", payee, day * 24 + k) for k in range(9)]


def folded(events: list[Event], **limits: int) -> Engine:
    engine = Engine(configured(**{**SMALL, **limits}))
    for event in events:
        engine.apply(event)
    return engine


def value(score: PaymentScore, name: str) -> float:
    return score.features[NAMES.index(name)]


def test_the_same_payments_are_ordinary_in_one_group_and_novel_in_another() -> None:
    last = {payee: scores_of(folded(trade()), burst(payee))[-1] for payee in ("shop0", "farm0")}
    assert last["shop0"].peers == "industry F52, product WORKING_CAPITAL"
    assert last["farm0"].peers == "industry A01, product WORKING_CAPITAL"
    assert value(last["shop0"], "payee_novelty") < 0.6
    assert value(last["farm0"], "payee_novelty") > 1.8
    blind = [event for event in trade() if not isinstance(event, LoanDisbursement)]
    same = {payee: scores_of(folded(blind), burst(payee))[-1] for payee in ("shop0", "farm0")}
    assert {score.peers for score in same.values()} == {ALL}
    assert max(value(score, "payee_novelty") for score in same.values()) < 0.6


def test_a_group_with_few_members_is_not_asked_and_its_parent_is() -> None:
    own = [of_kind(paid(f"own{n}", name, "c1", -0.5), "BASIC")
           for n, name in enumerate(("shop0", "shop1", "shop2", "shop3", "farm0", "farm1", "farm2"))]  # fmt: skip
    engine = folded([*own, *trade(shops=4, farms=3)])  # three farms and four shops: seven accounts of one kind and product
    farm, other = scores_of(engine, [paid("x", "c5", "farm0", 490), paid("y", "c5", "nobody", 491)])
    assert farm.peers == "product WORKING_CAPITAL, kind BASIC"
    assert other.peers == ALL
    (many,) = scores_of(folded([*own, *trade(shops=4, farms=3)], peer_members_min=3), [paid("x", "c5", "farm0", 490)])
    assert many.peers == "industry A01, product WORKING_CAPITAL, kind BASIC"


def test_an_industry_that_only_a_payment_states_makes_a_peer_too() -> None:
    engine = folded(trade())
    named = msgspec.structs.replace(paid("x", "c5", "stall", 490), counterparty_industry="F5299")
    scores_of(engine, [named])
    (score,) = scores_of(engine, [paid("y", "c6", "stall", 491)])
    assert score.peers == ALL  # the only one of that industry without a loan
    assert Peers("F52") in engine.triage.groups.places


def test_an_explanation_names_the_group_and_what_is_usual_in_it() -> None:
    engine = folded(trade())
    score = scores_of(engine, burst("farm0"))[-1]
    why = {item.feature: item for item in engine.triage.explain(score)}
    told = why["novelty:payee_in_count_1d"]
    assert told.peers == score.peers == "industry A01, product WORKING_CAPITAL"
    assert told.value > 4 * max(told.usual, 0.5)
    assert told.weight > 0
    group = engine.triage._place_of(score)
    assert told.usual == engine.triage.novelty.usual(group, FIGURE_NAMES.index("payee_in_count_1d"))


def test_an_alert_says_among_whom_the_payee_stands_out() -> None:
    limits = msgspec.structs.replace(Engine(configured()).configuration.budget, alerts_per_day=200.0, scores_min=200)
    configuration: Configuration = msgspec.structs.replace(configured(**SMALL), budget=limits)
    engine, alerts = Engine(configuration), list[Alert]()
    for event in [*trade(), *burst("farm0"), *burst("farm1", day=23)]:
        alerts += engine.apply(event).alerts
    told = [
        (alert, item) for alert in alerts if alert.subject.account_id in ("farm0", "farm1")
        for item in alert.contributions if item.feature.startswith("novelty:")
    ]  # fmt: skip
    assert "industry A01, product WORKING_CAPITAL" in {item.peers for _, item in told}
    whole = next(alert for alert, item in told if item.peers != ALL)
    assert "compared with its peers (industry A01, product WORKING_CAPITAL)" in whole.sentence_en
    assert "同类账户（industry A01, product WORKING_CAPITAL）" in whole.sentence_zh


@pytest.mark.parametrize("split", [5, 100, 900, 1_700])
def test_a_fold_split_anywhere_compares_with_the_same_peers(split: int) -> None:
    stream = [*trade(), *burst("farm0")]
    whole, first = folded(stream), folded(stream[:split])
    second = Engine.restore(first.configuration, msgspec.json.decode(msgspec.json.encode(first.snapshot())))
    for event in stream[split:]:
        second.apply(event)
    assert second.triage.snapshot() == whole.triage.snapshot()


def test_more_groups_than_there_is_room_for_are_forgotten_and_counted() -> None:
    industries = [f"A{n:02}1" for n in range(40)]
    stream: list[Event] = []
    for n in range(400):
        stream += [loan(f"x{n}", industries[n % 40]), paid(f"t{n}", f"c{n % 9}", f"x{n}", n)]
    engine = folded(stream, peer_groups_max=10)
    groups = engine.triage.groups
    assert len(groups.keys) == 10
    assert engine.counters["peer_groups_forgotten"] > 300
    assert sum(groups.members) <= 2 * 400
    (score,) = scores_of(engine, [paid("again", "c1", "x0", 500)])  # its group is gone
    assert score.peers == ALL


def test_members_are_counted_once_and_leave_with_their_profile() -> None:
    groups = PeerGroups(10)
    number, fresh = groups.join(Peers("A01", "", "BASIC"), 0, now=1)
    assert [str(groups.keys[place]) for place in fresh] == ["kind BASIC", "industry A01, kind BASIC"]
    second, _ = groups.join(Peers("A01", "MORTGAGE", "BASIC"), number, now=2)
    members = {groups.names[place]: groups.members[place] for place in range(1, len(groups.keys))}
    assert members == {
        "kind BASIC": 1, "industry A01, kind BASIC": 0, "product MORTGAGE, kind BASIC": 1,
        "industry A01, product MORTGAGE, kind BASIC": 1,
    }  # fmt: skip
    groups.leave(second)
    assert set(groups.members) == {0}


class Alone:
    """Novelty as a learner: what the histograms of one group say of a vector, squeezed into 0 to 1."""

    def __init__(self) -> None:
        self.novelty = Novelty(1)

    def score(self, features: Sequence[float]) -> float:
        return self.novelty.ask(0, array("f", features)) / 13.0

    def learn(self, features: Sequence[float], is_misuse: bool) -> None:
        self.novelty.see(0, array("f", features))

    def snapshot(self) -> Mapping[str, Any]:
        return {"counts": list(self.novelty.count_store), "totals": list(self.novelty.total_store)}

    def restore(self, data: Mapping[str, Any]) -> None:
        for store, name in ((self.novelty.count_store, "counts"), (self.novelty.total_store, "totals")):
            for i, number in enumerate(data[name]):
                store[i] = number


def test_novelty_conforms() -> None:
    payments = [event for event in trade() if isinstance(event, AccountTransaction)]
    vectors = [score.features for score in scores_of(Engine(configured()), payments)]
    stream: list[Example] = [(vector, n % 50 == 0) for n, vector in enumerate(vectors)]
    check_learner(Alone, stream)
