"""Loan asset quality: flagged over disbursed, by product, branch, industry and vintage; and what a loan's state says."""

from __future__ import annotations

from pathlib import Path

import msgspec

from detectors.alert_record import PortfolioShare
from detectors.engine import Engine
from detectors.portfolio import PortfolioLimits, added_up
from streams.scenarios.folding import Folding, configuration_of, events_of, fold
from streams.scenarios.notation import parse_file

TWO = (
    "loan L1 to a 100.00, product WORKING_CAPITAL, branch b1, borrower-industry F5211\n"
    "loan L2 to c 300.00, product PERSONAL_BUSINESS, branch b1, borrower-industry F5299\n"
    "10:00 a -> broker 90.00, securities\n"
)


def folded(tmp_path: Path, text: str) -> Folding:
    path = tmp_path / "case.txt"
    path.write_text(f"settings trace.lot_minor_min = 1\nscenario A\n{text}", encoding="utf-8")
    return fold(parse_file(path)[0])


def cells(folding: Folding) -> dict[tuple[str, str], PortfolioShare]:
    return {(share.dimension, share.value): share for share in folding.engine.portfolio_shares()}


def test_a_cell_is_what_is_flagged_of_what_was_paid_out(tmp_path: Path) -> None:
    found = cells(folded(tmp_path, TWO))
    branch = found["branch", "b1"]
    assert (branch.loans, branch.flagged_loans, branch.disbursed_minor, branch.flagged_minor) == (2, 1, 40_000, 10_000)
    assert branch.share == 0.25
    assert found["product", "WORKING_CAPITAL"].share == 1.0
    assert found["product", "PERSONAL_BUSINESS"].share == 0.0
    assert found["industry", "F52"].loans == 2
    assert found["vintage", "2026-01"].flagged_loans == 1


def test_an_innocent_outcome_takes_the_flag_off(tmp_path: Path) -> None:
    found = cells(folded(tmp_path, TWO + "outcome T01 of L1 FALSE_POSITIVE\n"))
    assert found["branch", "b1"].flagged_minor == 0


def test_what_the_feed_does_not_state_has_a_cell_of_its_own(tmp_path: Path) -> None:
    found = cells(folded(tmp_path, "loan L1 to a 100.00\n"))
    assert found["branch", "(not stated)"].loans == found["industry", "(not stated)"].loans == 1


def test_values_beyond_the_limit_are_counted_together(tmp_path: Path) -> None:
    text = "settings portfolio.cells_max = 6\n" + "".join(f"loan L{n} to a{n} 100.00, branch b{n}\n" for n in range(6))
    folding = folded(tmp_path, text)
    found = cells(folding)
    assert sum(share.loans for (dimension, _), share in found.items() if dimension == "branch") == 6
    assert found["branch", "(others)"].loans == folding.engine.counters["portfolio_cells_merged"]


def said_of(tmp_path: Path, text: str) -> list[tuple[PortfolioShare, ...]]:
    path = tmp_path / "case.txt"
    path.write_text("settings trace.lot_minor_min = 1\n" + text, encoding="utf-8")
    (scenario,) = parse_file(path)
    engine = Engine(configuration_of(scenario))
    return [outputs.portfolio for event in events_of(scenario) if (outputs := engine.apply(event)).portfolio]


def test_cells_that_changed_are_said_once_an_hour_and_not_again(tmp_path: Path) -> None:
    text = "scenario A\n" + TWO + "10:05 c -> broker 90.00, securities\n11:00 tick\n11:01 tick\nday 2 09:00 tick\n"
    first, second = said_of(tmp_path, text)
    assert {share.flagged_minor for share in first} == {0}, "the loans, as they stood before the hour of the misuse was over"
    assert {share.dimension for share in second} == {"product", "branch", "industry", "vintage"}
    assert {share.as_of for share in second} == {"2026-01-05T03:00:00.000Z"}


def test_how_often_cells_are_said_is_configured(tmp_path: Path) -> None:
    text = "settings portfolio.say_minutes = 1440\nscenario A\n" + TWO + "11:00 tick\nday 2 00:00 tick\n"
    (only,) = said_of(tmp_path, text)
    assert {share.as_of for share in only} == {"2026-01-05T16:00:00.000Z"}, "midnight in Beijing"


def test_the_cuts_of_two_books_are_added_up(tmp_path: Path) -> None:
    one = folded(tmp_path, TWO).engine.portfolio_shares()
    other = folded(tmp_path, "loan L9 to z 100.00, branch b1\n").engine.portfolio_shares()
    total = added_up((*one, *other))
    branch = total["CNY", "branch", "b1"]
    assert (branch.loans, branch.flagged_loans, branch.disbursed_minor, branch.flagged_minor) == (3, 1, 50_000, 10_000)
    assert branch.share == 0.2
    assert total["CNY", "industry", "F52"].loans == 2
    assert list(total) == sorted(total)


def test_the_limits_have_defaults() -> None:
    assert msgspec.structs.asdict(PortfolioLimits()) == {"cells_max": 10_000, "say_minutes": 60}


def test_a_state_says_where_the_money_went_by_class_of_destination(tmp_path: Path) -> None:
    folding = folded(tmp_path, "account a has 20.00\n" + TWO)
    first, second = folding.engine.loan_risks()
    traced = first.traced["SECURITIES"]
    assert (traced.certain_minor, traced.attributed_minor, traced.possible_minor) == (7_000, 9_000, 9_000)
    assert second.traced == {}


def test_a_score_that_nobody_reviewed_is_not_for_pricing(tmp_path: Path) -> None:
    states = {
        outcome: next(iter(folded(tmp_path, TWO + (f"outcome T01 of L1 {outcome}\n" if outcome else "")).engine.loan_risks()))
        for outcome in ("", "INCONCLUSIVE_MONITOR", "MISUSE_CONFIRMED")
    }
    assert [state.usable_for_pricing for state in states.values()] == [False, False, True]
    assert [state.human_reviewed for state in states.values()] == [False, True, True]


def test_one_conclusion_does_not_cover_another_open_alert(tmp_path: Path) -> None:
    text = (
        "loan L1 to a 100.00\n10:00 a -> broker 40.00, securities\n10:10 a -> cash 40.00\noutcome T01 of L1 MISUSE_CONFIRMED\n"
    )
    (state,) = folded(tmp_path, text).engine.loan_risks()
    assert set(state.reasons) == {"T01", "T09"}
    assert not state.usable_for_pricing
