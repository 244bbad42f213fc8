"""The accounts of the live path see every offset that is missing, and take what the fold takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detectors.engine import ENGINE_VERSION
from streams.live.accounting import Ledger, Walk, offsets_told
from streams.live.fold import BookFold, generation_of
from streams.live.journal import PAGE_VERSION, Page, Record, Span
from streams.settings import load_settings
from tests.unit.feed_sample import jsonl, transfer

TOPIC = "account-transactions"
CONFIGURATION = load_settings(None).engine

pages_of_a_storm = st.lists(
    st.builds(lambda after, length: (after, after + length), st.integers(-1, 12), st.integers(1, 6)), min_size=1, max_size=12
)


def page(after: int, upto: int) -> Page:
    records = [Record(0, offset, jsonl([transfer(offset)]).strip()) for offset in range(after + 1, upto + 1)]
    return Page(PAGE_VERSION, 0, [Span(TOPIC, 0, after, upto)], records)


@given(pages_of_a_storm)
def test_the_walk_takes_exactly_what_the_fold_takes_whatever_crashed_writers_wrote(spans: list[tuple[int, int]]) -> None:
    fold = BookFold(0, CONFIGURATION, generation_of(ENGINE_VERSION, CONFIGURATION))
    walk, taken = Walk(), []
    for offset, (after, upto) in enumerate(spans):
        fold.fold(offset, page(after, upto))
        taken += [record for _, record in walk.taken(page(after, upto))]
    assert walk.watermarks == fold.watermarks
    assert len(taken) == fold.counts["applied"]
    assert taken == sorted(set(taken))


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)), st.integers(0, 10), st.integers(0, 30))
def test_a_ledger_accounts_for_every_offset_once(journalled: set[int], rejected: set[int], begin: int, end: int) -> None:
    ledger = Ledger(begin, end)
    for offset in journalled:
        ledger.journalled(offset)
    for offset in rejected:
        ledger.rejected(offset)
    inside = set(range(begin, end))
    missing = {offset for run in ledger.missing() for offset in range(run.begin, run.end)}
    assert missing == inside - journalled - rejected
    assert ledger.counts == (len(inside & journalled), len(inside & rejected - journalled))
    assert sum(ledger.counts) + len(missing) == len(inside)


def test_a_ledger_leaves_out_what_can_no_longer_be_known() -> None:
    ledger = Ledger(0, 5)
    ledger.journalled(1)
    ledger.journalled(4)
    ledger.begin_at(3)
    assert [(run.begin, run.end) for run in ledger.missing()] == [(3, 4)]
    ledger.begin_at(9)
    assert list(ledger.missing()) == []
    assert ledger.counts == (0, 0)


def test_offsets_are_told_as_runs() -> None:
    assert offsets_told([3, 4, 5, 9], 4) == "3-5, 9"
    assert offsets_told([3, 4], 1_002) == "3-4 and 1,000 more"
