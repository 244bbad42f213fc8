"""Memories of payments without loan money, groups of loans, and what is asked of them: bounded, and forgetting is counted."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from detectors.engine import Engine
from streams.scenarios.folding import SHIPPED, Folding, events_of, fold
from streams.scenarios.notation import parse_file
from streams.settings import SettingsError, load_settings


def folded(tmp_path: Path, text: str) -> Folding:
    path = tmp_path / "case.txt"
    path.write_text(f"scenario A\n{text}", encoding="utf-8")
    return fold(parse_file(path)[0])


def test_an_inflow_is_remembered_when_it_is_large_for_its_account(tmp_path: Path) -> None:
    text = "account shop has 1,000.00\n10:00 a -> shop 249.00, credit leg only\n11:00 b -> shop 400.00, credit leg only\n"
    dealings = folded(tmp_path, text).engine.dealings
    assert [inflow.payer for inflow in dealings.inflows.get("shop") or ()] == ["b"]


def test_an_account_keeps_its_latest_inflows(tmp_path: Path) -> None:
    text = "settings dealings.inflows_max = 2\n" + "".join(f"1{n}:00 a{n} -> shop 100.00, credit leg only\n" for n in range(4))
    dealings = folded(tmp_path, text).engine.dealings
    assert [inflow.payer for inflow in dealings.inflows.get("shop") or ()] == ["a2", "a3"]


def test_accounts_whose_inflows_are_forgotten_are_counted(tmp_path: Path) -> None:
    text = "settings dealings.inflow_accounts_max = 4\n" + "".join(
        f"10:0{n} a -> s{n} 1.00, credit leg only\n" for n in range(8)
    )
    engine = folded(tmp_path, text).engine
    assert len(engine.dealings.inflows) <= 4
    assert engine.counters["inflow_accounts_forgotten"] >= 4


def test_a_purchase_remembers_who_had_brought_the_money_within_a_week(tmp_path: Path) -> None:
    text = (
        "early -> a 50.00, credit leg only\nday 9 10:00 late -> a 50.00, credit leg only\n11:00 a -> broker 90.00, securities\n"
    )
    dealings = folded(tmp_path, text).engine.dealings
    assert dealings.funded.get("early") is None
    assert [bought.transfer.amount_minor for bought in dealings.funded.get("late") or ()] == [9_000]


def test_a_rest_is_noted_when_it_ends_and_only_a_long_one(tmp_path: Path) -> None:
    text = "10:00 a -> shop 1.00, credit leg only\nday 62 10:00 a -> shop 1.00, credit leg only\n"
    dealings = folded(tmp_path, text).engine.dealings
    assert dealings.woken.get("shop") == (61 * 86_400_000, dealings.woken.get("shop")[1])  # type: ignore[index]
    assert folded(tmp_path, text.replace("day 62", "day 50")).engine.dealings.woken.get("shop") is None


def test_nothing_is_noted_when_no_typology_asks_for_it(tmp_path: Path) -> None:
    path = tmp_path / "case.txt"
    path.write_text("scenario A\nloan L1 to a 100.00\n10:00 b -> shop 100.00, credit leg only\n", encoding="utf-8")
    engine = Engine(msgspec.structs.replace(SHIPPED, typologies=("T05", "T12")))
    for event in events_of(parse_file(path)[0]):
        engine.apply(event)
    assert len(engine.dealings.inflows) == 0
    assert [detector.code for detector in engine.detectors] == ["T05", "T12"]


def test_a_typology_that_is_not_there_is_a_mistake_of_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('typologies = ["T05", "T99"]\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="T99"):
        load_settings(path)
    path.write_text('typologies = ["T05"]\n', encoding="utf-8")
    assert load_settings(path).engine.typologies == ("T05",)


GATHER = "".join(f"loan L{n} to a{n} 100.00\n1{n}:00 a{n} -> hub 80.00\n" for n in range(4))


def test_groups_and_members_beyond_the_limit_are_forgotten_and_counted(tmp_path: Path) -> None:
    engine = folded(tmp_path, "settings trace.lot_minor_min = 1\nsettings groups.members_max = 2\n" + GATHER).engine
    assert engine.counters["members_forgotten"] == 2
    group = engine.groups.find("T11", "hub", "CNY")
    assert group is not None
    assert [loan.loan_id for loan in group.loans.values()] == ["L2", "L3"]


def test_a_retired_loan_leaves_its_groups(tmp_path: Path) -> None:
    engine = folded(tmp_path, "settings trace.lot_minor_min = 1\n" + GATHER + "day 92 10:00 tick\n").engine
    assert engine.groups.groups == {}
    assert engine.groups.keys_of == {}
    assert engine.lending.loans_by_borrower == {}


def test_an_alert_about_a_group_outlives_neither_its_members_nor_its_outcome(tmp_path: Path) -> None:
    text = "settings trace.lot_minor_min = 1\nlink a1 SAME_ADDRESS a0\nlink a2 SAME_ADDRESS a0\n" + GATHER
    folding = folded(tmp_path, text + "outcome T11 of hub MISUSE_CONFIRMED\n")
    assert {risk.state for risk in folding.engine.loan_risks()} == {"CONFIRMED"}
    gone = folded(tmp_path, text + "day 92 10:00 tick\n")
    assert gone.engine.subject_of_alert == {}
