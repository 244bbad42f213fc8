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
    for traced in (first.traced["SECURITIES"], first.alerted["SECURITIES"]):
        assert (traced.certain_minor, traced.attributed_minor, traced.possible_minor) == (7_000, 9_000, 9_000)
    assert second.traced == second.alerted == {}


def test_money_that_nobody_alerts_on_is_in_the_state_with_its_bounds_too(tmp_path: Path) -> None:
    folding = folded(tmp_path, "account c has 20.00\nloan L2 to c 300.00\n10:00 c -> broker 40.00, securities\n")
    (state,) = folding.engine.loan_risks()
    assert (state.state, state.alerted) == ("NORMAL", {})
    traced = state.traced["SECURITIES"]
    assert (traced.certain_minor, traced.attributed_minor, traced.possible_minor) == (2_000, 4_000, 4_000)
    assert traced.exact


def test_what_is_redeemed_is_no_longer_there_though_the_alert_stands(tmp_path: Path) -> None:
    folding = folded(tmp_path, TWO + "12:00 broker -> a 50.00, securities\n")
    first, _ = folding.engine.loan_risks()
    assert first.alerted["SECURITIES"].attributed_minor == 9_000
    assert first.traced["SECURITIES"].attributed_minor == first.left_minor["SECURITIES"] == 4_000


def test_the_last_state_of_a_loan_says_where_its_money_was_when_it_was_last_followed(tmp_path: Path) -> None:
    folding = folded(tmp_path, TWO + "day 95 10:00 tick\n")
    states = {risk.loan_id: risk for risk in folding.risks}
    assert states["L1"].dropped_minor == {"age": 10_000}
    assert states["L1"].traced["SECURITIES"].attributed_minor == 9_000


def test_a_repayment_of_another_loan_is_not_certain_once_the_loan_has_repaid_itself(tmp_path: Path) -> None:
    text = "account a has 0.00\nloan L1 to a 100.00\n10:00 a repays L9 40.00\n"
    (state,) = folded(tmp_path, text).engine.loan_risks()
    assert state.traced["LOAN_REPAYMENT"].certain_minor == 4_000
    (state,) = folded(tmp_path, text + "11:00 a repays L1 10.00\n").engine.loan_risks()
    assert (state.repaid_minor, state.left_minor["LOAN_REPAYMENT"]) == (1_000, 4_000)
    repaid = state.traced["LOAN_REPAYMENT"]
    assert (repaid.certain_minor, repaid.attributed_minor, repaid.exact) == (0, 4_000, False)


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
