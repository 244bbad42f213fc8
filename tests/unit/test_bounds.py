"""Bounds by hand: the auditors' cases, the limits, and the flow algorithm against networkx."""

from __future__ import annotations

import random

import pytest

from benchmarks import maxflow
from detectors.bounds import BoundLimits, Bounds, FlowNetwork, bounds_of
from detectors.tracer import TraceLimits
from tests.properties.play import Play
from tests.properties.strategies import OUTSIDE, Pay, PayOut, See, Step, Stream, TakeBack, Undo


def bounds(opening: dict[str, int | None], steps: tuple[Step, ...], to: list[int], limits: BoundLimits | None = None) -> Bounds:
    """Bounds of loan L1 for the payments that are the steps ``to``."""
    return Play(Stream(opening, steps)).bounds("L1", to, limits)


def figures(found: Bounds) -> tuple[int, int, bool]:
    return found.certain_minor, found.possible_minor, found.exact


# --- by hand ------------------------------------------------------------------------------------------------------------


def test_nothing_is_bounded_for_no_destinations() -> None:
    assert figures(bounds({"a": 0}, (PayOut("L1", "a", 100),), [])) == (0, 0, True)


def test_own_money_may_have_paid_and_so_may_the_loan() -> None:
    assert figures(bounds({"a": 60}, (PayOut("L1", "a", 100), Pay("a", "broker", 80)), [1])) == (20, 80, True)


def test_income_before_the_purchase_lowers_what_is_certain() -> None:
    steps = (PayOut("L1", "a", 100), Pay(OUTSIDE, "a", 50), Pay("a", "broker", 120))
    assert figures(bounds({"a": 0}, steps, [2])) == (70, 100, True)


def test_the_lowest_balance_on_the_way_limits_what_is_possible() -> None:
    steps = (PayOut("L1", "a", 100), Pay("a", "shop", 90), Pay(OUTSIDE, "a", 200), Pay("a", "broker", 150))
    assert figures(bounds({"a": 0}, steps, [3])) == (0, 10, True)


def test_money_is_bounded_through_a_shell() -> None:
    steps = (PayOut("L1", "a", 100), Pay("a", "b", 100), Pay("b", "broker", 90))
    assert figures(bounds({"a": 0, "b": 30}, steps, [2])) == (60, 90, True)


def test_two_destinations_share_the_money() -> None:
    steps = (PayOut("L1", "a", 100), Pay("a", "broker", 70), Pay("a", "shop", 70))
    opening: dict[str, int | None] = {"a": 40}
    assert figures(bounds(opening, steps, [1])) == (30, 70, True)
    assert figures(bounds(opening, steps, [1, 2])) == (100, 100, True)


def test_nothing_is_certain_behind_an_unknown_opening_balance() -> None:
    found = bounds({"a": None}, (PayOut("L1", "a", 100), Pay("a", "broker", 80)), [1])
    assert figures(found) == (0, 80, True)
    assert found.rests_on == ("opening balance of a unknown",)


def test_another_loans_money_is_other_money() -> None:
    steps = (PayOut("L1", "a", 100), PayOut("L2", "a", 100), Pay("a", "broker", 150))
    assert figures(bounds({"a": 0}, steps, [2])) == (50, 100, True)


def test_what_comes_after_the_moment_does_not_count() -> None:
    play = Play(Stream({"a": 0}, (PayOut("L1", "a", 100), Pay("a", "broker", 40), Pay("a", "broker", 60))))
    assert play.bounds("L1", [1, 2]).certain_minor == 100
    until = play.transfers[1]
    assert until is not None
    assert bounds_of(play.tracer, play.origins["L1"], play.seqs([1, 2]), until.seq).certain_minor == 40


def test_what_is_paid_out_later_was_not_there_for_certain() -> None:
    play = Play(Stream({"a": 60}, (PayOut("L1", "a", 100), Pay("a", "broker", 80), PayOut("L1", "a", 500))))
    purchase = play.transfers[1]
    assert purchase is not None
    found = bounds_of(play.tracer, play.origins["L1"], play.seqs([1]), purchase.seq)
    assert figures(found) == (20, 80, True)


# --- limits -------------------------------------------------------------------------------------------------------------


def test_a_cut_subgraph_widens_and_says_so() -> None:
    steps = (PayOut("L1", "a", 100), Pay("a", "b", 50), Pay("b", "broker", 50), Pay("a", "broker", 50))
    found = bounds({"a": 0, "b": 0}, steps, [2, 3], BoundLimits(transfers_max=2))
    assert (found.certain_minor, found.exact) == (0, False)
    assert found.possible_minor == 100
    assert any("cut by a limit" in reason for reason in found.rests_on)


def test_a_forgotten_history_widens_and_says_so() -> None:
    purchases = [Pay("a", "shop", 1)] * 9
    stream = Stream({"a": 0}, (PayOut("L1", "a", 100), *purchases, Pay("a", "broker", 91)))
    play = Play(stream, TraceLimits(lot_minor_min=1, history_transfers_max=4))
    found = play.bounds("L1", [10])
    assert (found.certain_minor, found.exact) == (0, False)
    assert found.possible_minor >= 91


def test_hops_beyond_the_limit_widen_and_say_so() -> None:
    steps = (PayOut("L1", "a", 9), Pay("a", "b", 9), Pay("b", "c", 9), Pay("c", "broker", 9))
    found = bounds({"a": 0, "b": 0, "c": 0}, steps, [3], BoundLimits(hops_max=1))
    assert figures(found) == (0, 9, False)


# --- reversals and other things that happen ------------------------------------------------------------------------------


def test_money_that_a_sink_sent_back_is_not_there() -> None:
    steps = (PayOut("L1", "a", 100), Pay("a", "broker", 100), Undo(1, 70))
    assert figures(bounds({"a": 0}, steps, [1])) == (30, 30, True)


def test_money_that_a_sink_sent_back_can_go_there_again() -> None:
    steps = (PayOut("L1", "a", 100), Pay("a", "broker", 100), Undo(1, 70), Pay("a", "broker", 50))
    assert figures(bounds({"a": 0}, steps, [1, 3])) == (80, 80, True)


def test_an_overdraft_keeps_what_it_swallowed_from_going_on() -> None:
    steps = (Pay("b", "shop", 30), PayOut("L1", "a", 100), Pay("a", "b", 100), Pay("b", "broker", 70))
    assert figures(bounds({"a": 0, "b": 0}, steps, [3])) == (70, 70, True)


@pytest.mark.xfail(strict=True, reason="what an overdraft swallowed is elsewhere for good: its reversal brings nothing back")
def test_an_overdraft_gives_back_what_a_reversal_asks_for() -> None:
    steps = (Pay("b", "shop", 30), PayOut("L1", "a", 20), Pay("a", "b", 20), Undo(2, 20), Pay("a", "broker", 20))
    assert figures(bounds({"a": 0, "b": 0}, steps, [4])) == (20, 20, True)


def test_a_payout_taken_back_cannot_have_gone_anywhere() -> None:
    steps = (PayOut("L1", "a", 100), TakeBack("L1", "a", 100), Pay(OUTSIDE, "a", 100), Pay("a", "broker", 100))
    assert figures(bounds({"a": 0}, steps, [3]))[:2] == (0, 0)


def test_an_unseen_outflow_may_have_taken_the_loan() -> None:
    steps = (PayOut("L1", "a", 100), See("a", 130), Pay("a", "broker", 130))
    found = bounds({"a": 100}, steps, [2])
    assert (found.certain_minor, found.possible_minor) == (30, 100)


def test_what_a_destination_passed_on_before_it_was_reversed_is_bounded() -> None:
    steps = (
        PayOut("L1", "a", 71), Pay("a", "c", 19), Pay("c", "broker", 1), PayOut("L1", "c", 52), Undo(1, 19),
        Pay(OUTSIDE, "c", 12), Pay("c", "shop", 63), Pay("a", "b", 32),
    )  # fmt: skip
    found = bounds({"a": 0, "b": 0, "c": 0}, steps, [1, 7])
    assert found.certain_minor <= 32 <= found.possible_minor


def test_a_cut_at_a_sinks_reversal_is_a_cut() -> None:
    steps = (
        PayOut("L1", "a", 60), PayOut("L1", "b", 8), Pay("b", "broker", 48), Pay("a", "broker", 60), Undo(2, 47),
        Pay("c", "shop", 6),
    )  # fmt: skip
    found = bounds({"a": 0, "b": 0, "c": 9}, steps, [5], BoundLimits(transfers_max=4))
    assert found.certain_minor == 0


# --- the flow algorithm -------------------------------------------------------------------------------------------------


def test_max_flow_is_networkx_on_random_graphs() -> None:
    networkx = pytest.importorskip("networkx")
    rng = random.Random(7)
    for _ in range(150):
        nodes = rng.randrange(2, 14)
        flow, graph = FlowNetwork(), networkx.DiGraph()
        for _ in range(nodes):
            graph.add_node(flow.node())
        for _ in range(rng.randrange(0, 4 * nodes)):
            tail, head = rng.randrange(nodes), rng.randrange(nodes)
            capacity = rng.choice((0, 1, 7, rng.randrange(10**12)))
            flow.edge(tail, head, capacity)
            if tail != head:
                before = graph.edges[tail, head]["capacity"] if graph.has_edge(tail, head) else 0
                graph.add_edge(tail, head, capacity=before + capacity)
        assert flow.max_flow(0, nodes - 1) == networkx.maximum_flow_value(graph, 0, nodes - 1)


def test_max_flow_leaves_the_capacities_as_they_were() -> None:
    flow = FlowNetwork()
    for _ in range(3):
        flow.node()
    flow.edge(0, 1, 5)
    flow.edge(1, 2, 3)
    assert [flow.max_flow(0, 2), flow.max_flow(0, 2), flow.max_flow(2, 0)] == [3, 3, 0]


def test_max_flow_follows_paths_longer_than_the_recursion_limit() -> None:
    flow = FlowNetwork()
    first = last = flow.node()
    for _ in range(20_000):
        after = flow.node()
        flow.edge(last, after, 4)
        last = after
    assert flow.max_flow(first, last) == 4


def test_the_networkx_comparison_catches_a_wrong_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("networkx")
    levels = FlowNetwork._levels

    def first_phase_only(self: FlowNetwork, source: int, target: int) -> list[int] | None:
        return None if any(self.capacities[1::2]) else levels(self, source, target)

    monkeypatch.setattr(FlowNetwork, "_levels", first_phase_only)
    with pytest.raises(AssertionError):
        test_max_flow_is_networkx_on_random_graphs()


def test_all_measured_methods_give_the_same_flows_at_toy_size(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("networkx")
    rows = maxflow.main(["--sizes", "12", "--loans", "2"])
    assert len({row.answer for row in rows}) == 1
    assert "own Dinic" in capsys.readouterr().out


def test_amounts_beyond_32_bits_are_called_too_large_for_scipy() -> None:
    pytest.importorskip("scipy")
    rows = {row.method: row.answer for row in maxflow.measure(12, 1, 10**12, 1)}
    assert rows.pop("scipy maximum_flow") == "too large"
    assert len(set(rows.values())) == 1
