"""The made-up bank: its records are sound, its books balance, and nothing in them tells the guilty at a glance."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tracemalloc
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from detectors.events import EVENT_TYPES, AccountTransaction, Event, ListEntry, LoanDisbursement, PartyLink, fault_of
from streams.simulate import writer
from streams.simulate.kinds import GOODS
from streams.simulate.ledger import OUR_BANK, Account, Ledger
from streams.simulate.plot import Label
from streams.simulate.world import PACK, STYLES, simulate
from streams.simulate.writer import TOPICS

LOANS, DAYS, SEED = 500, 45, 7
MISUSE = [name for name, style in STYLES.items() if style.typology is not None]
TWINS = [name for name, style in STYLES.items() if style.typology is None]


class Folder(NamedTuple):
    """A simulated folder, read back."""

    counts: dict[str, int]
    loans: list[LoanDisbursement]
    transactions: list[AccountTransaction]
    links: list[PartyLink]
    entries: list[ListEntry]
    labels: list[Label]

    @property
    def by_txn_id(self) -> dict[str, AccountTransaction]:
        return {txn.txn_id: txn for txn in self.transactions}


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def read_topic(folder: Path, topic: str) -> list[Event]:
    return [msgspec.json.decode(line, type=EVENT_TYPES[topic]) for line in lines(folder / f"{topic}.jsonl")]


def read_folder(path: Path, counts: dict[str, int]) -> Folder:
    topics = [read_topic(path, topic) for topic in TOPICS]
    labels = [msgspec.json.decode(line, type=Label) for line in lines(path / "labels.jsonl")]
    loans, transactions, links, entries = topics
    return Folder(counts, loans, transactions, links, entries, labels)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    path = tmp_path_factory.mktemp("town")
    return read_folder(path, simulate(path, loans=LOANS, days=DAYS, seed=SEED, misuse_share=0.1))


def digest(folder: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.iterdir()))).hexdigest()


def test_the_same_arguments_give_the_same_bytes_and_another_seed_gives_others(tmp_path: Path) -> None:
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        simulate(tmp_path / name, loans=40, days=12, seed=seed)
    assert digest(tmp_path / "first") == digest(tmp_path / "again")
    assert digest(tmp_path / "first") != digest(tmp_path / "other")


def test_the_bytes_do_not_depend_on_the_hash_seed_of_the_process(tmp_path: Path) -> None:
    for hash_seed in ("1", "2"):
        run_in_a_process(tmp_path / hash_seed, loans=40, days=12, hash_seed=hash_seed)
    assert digest(tmp_path / "1") == digest(tmp_path / "2")


def test_every_topic_is_in_the_order_of_event_time(town: Folder) -> None:
    for records in (town.loans, town.transactions, town.links, town.entries):
        times = [record.event_time for record in records]
        assert times
        assert times == sorted(times)


def test_every_record_is_sound_and_counted(town: Folder) -> None:
    records = [*town.loans, *town.transactions, *town.links, *town.entries]
    assert [fault for fault in map(fault_of, records) if fault is not None] == []
    assert {record.event_time.utcoffset().total_seconds() for record in records} == {8 * 3600.0}  # type: ignore[union-attr]
    assert len(records) + len(town.labels) == sum(town.counts.values())
    assert len(town.loans) == LOANS


def test_ids_are_never_used_twice(town: Folder) -> None:
    assert len({txn.txn_id for txn in town.transactions}) == len(town.transactions)
    assert len({loan.loan_id for loan in town.loans}) == len(town.loans)
    assert len({event.event_id for event in (*town.links, *town.entries)}) == len(town.links) + len(town.entries)


def signed(txn: AccountTransaction) -> int:
    return txn.amount_minor if txn.direction == "CREDIT" else -txn.amount_minor


def test_each_balance_is_the_one_before_it_and_the_amounts_between(town: Folder) -> None:
    balance: dict[str, int] = {}
    checked = 0
    for txn in town.transactions:
        if txn.account_id in balance:
            balance[txn.account_id] += signed(txn)
        if txn.balance_after_minor is not None:
            assert balance.get(txn.account_id, txn.balance_after_minor) == txn.balance_after_minor, txn
            assert txn.balance_after_minor >= 0, txn
            balance[txn.account_id] = txn.balance_after_minor
            checked += 1
        if txn.source_system == "PAYHUB" and txn.counterparty_account in balance:  # one record for both accounts
            balance[txn.counterparty_account] -= signed(txn)
    assert checked > len(town.transactions) * 0.8


def test_a_payment_inside_the_bank_shows_as_two_equal_legs_or_as_one_record(town: Folder) -> None:
    ours = {txn.account_id for txn in town.transactions}
    legs: Counter[tuple[str, str, int, str | None]] = Counter()
    first_side: Counter[str] = Counter()
    for txn in town.transactions:
        if txn.source_system == "PAYHUB" or txn.counterparty_account not in ours:
            continue
        payer, payee = txn.account_id, txn.counterparty_account
        if txn.direction == "CREDIT":
            payer, payee = payee, payer
        key = (payer, payee, txn.amount_minor, txn.end_to_end_id)
        if not legs[key]:
            first_side[txn.direction] += 1
        legs[key] += 1 if txn.direction == "DEBIT" else -1
    assert set(legs.values()) == {0}
    assert min(first_side.values()) > 0.3 * sum(first_side.values())
    assert any(key[3] is None for key in legs)
    hub = [txn for txn in town.transactions if txn.source_system == "PAYHUB"]
    assert {txn.counterparty_bank_code for txn in hub} == {OUR_BANK}
    assert {txn.direction for txn in hub} == {"DEBIT", "CREDIT"}


def test_a_payout_shows_as_a_disbursement_and_as_a_credit_in_either_order(town: Folder) -> None:
    credited = [txn for txn in town.transactions if txn.txn_type == "LOAN_CREDIT"]
    assert Counter((txn.account_id, txn.amount_minor) for txn in credited) == Counter(
        (loan.disburse_account, loan.amount_minor) for loan in town.loans
    )
    when = {loan.loan_id: loan.event_time for loan in town.loans}
    gaps = [(txn.event_time - when[txn.related_loan_id]).total_seconds() for txn in credited if txn.related_loan_id]
    assert min(gaps) < 0 < max(gaps)
    assert max(map(abs, gaps)) < 60


def test_an_entrusted_payment_leaves_for_the_listed_payee_within_a_minute(town: Folder) -> None:
    paid: dict[tuple[str, str | None, int], list[AccountTransaction]] = defaultdict(list)
    for txn in town.transactions:
        ends = [txn.account_id, txn.counterparty_account or ""]
        payer, payee = ends if txn.direction == "DEBIT" else ends[::-1]
        paid[payer, payee, txn.amount_minor].append(txn)
    entrusted = [(loan, payment) for loan in town.loans for payment in loan.entrusted_payments]
    assert len(entrusted) > 30
    for loan, payment in entrusted:
        found = paid[loan.disburse_account, payment.payee_account, payment.amount_minor]
        assert any(0 <= (txn.event_time - loan.event_time).total_seconds() < 60 for txn in found), payment


def test_a_reversal_names_the_record_it_takes_back_with_the_other_sign(tmp_path: Path) -> None:
    folder = read_folder(tmp_path, simulate(tmp_path, loans=300, days=60, seed=2))
    first = folder.by_txn_id
    reversals = [txn for txn in folder.transactions if txn.reversal_flag]
    assert len(reversals) > 5
    for txn in reversals:
        taken_back = first[txn.reverses_txn_id or ""]
        assert (taken_back.account_id, taken_back.amount_minor) == (txn.account_id, txn.amount_minor)
        assert taken_back.direction != txn.direction
        assert taken_back.event_time < txn.event_time


def test_an_account_that_cannot_pay_is_stopped_before_it_goes_negative() -> None:
    ledger = object.__new__(Ledger)  # the check comes before anything is written
    poor = Account("A1", "甲", "C1", OUR_BANK, "BASIC", ours=True, balance_minor=99)
    with pytest.raises(AssertionError, match="A1 holds 99, pays 100"):
        ledger.withdraw(poor, 100, GOODS)


def test_every_style_is_there_and_labels_are_the_truth(town: Folder) -> None:
    by_txn_id, loans = town.by_txn_id, {loan.loan_id: loan for loan in town.loans}
    assert {label.style for label in town.labels} == set(STYLES)
    for label in town.labels:
        assert label.misused == (STYLES[label.style].typology is not None)
        assert (label.typology is None) == (not label.misused)
        assert label.typology in (STYLES[label.style].typology, "T05")
        assert label.misused == (label.first_misuse_time is not None) == (label.misused_minor > 0)
        loan = loans[label.loan_id]
        assert label.misused_minor <= loan.amount_minor
        assert label.txn_ids
        assert {txn_id for txn_id in label.txn_ids if txn_id not in by_txn_id} == set()
        if label.misused:
            assert min(by_txn_id[txn_id].event_time for txn_id in label.txn_ids) >= loan.event_time.replace(microsecond=0)


def test_the_misused_sum_was_really_paid(town: Folder) -> None:
    by_txn_id = town.by_txn_id
    for label in town.labels:
        assert label.misused_minor <= sum(by_txn_id[txn_id].amount_minor for txn_id in label.txn_ids)


def test_the_new_pattern_appears_only_after_three_fifths_of_the_time(town: Folder) -> None:
    first, last = town.transactions[0].event_time, town.transactions[-1].event_time
    loans = {loan.loan_id: loan for loan in town.loans}
    new = [loans[label.loan_id].event_time for label in town.labels if label.phase == "new"]
    assert new
    assert min(new) >= first + (last - first) * 0.58
    assert {label.style for label in town.labels if label.phase == "new"} == {"smurfed_securities"}


@pytest.mark.parametrize("style", STYLES)
def test_a_run_of_one_style_labels_nearly_all_its_loans(style: str, tmp_path: Path) -> None:
    folder = read_folder(tmp_path, simulate(tmp_path, loans=40, days=40, seed=5, styles=[style]))
    assert {label.style for label in folder.labels} == {style}
    assert len(folder.labels) >= 32
    if STYLES[style].typology is not None:
        amounts = {loan.loan_id: loan.amount_minor for loan in folder.loans}
        shares = sorted(label.misused_minor / amounts[label.loan_id] for label in folder.labels)
        assert shares[len(shares) // 2] > 0.4


def test_wrong_arguments_are_named_together(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"loans is 0.*days is 0.*unknown styles: theft"):
        simulate(tmp_path, loans=0, days=0, seed=1, styles=["theft"])


def test_most_hubs_are_listed_and_some_are_not(town: Folder) -> None:
    listed = {entry.account_id for entry in town.entries}
    assert {"HUB", "SECURITIES_FIRM", "PROPERTY_FIRM", "LENDER"} == {entry.list_name for entry in town.entries}
    brokers = {
        txn.counterparty_account
        for txn in town.transactions
        if txn.txn_type == "SECURITIES_TRANSFER" and txn.counterparty_account
    }
    assert brokers & listed
    assert brokers - listed


def test_optional_fields_are_missing_here_and_there(town: Folder) -> None:
    with_other = [txn for txn in town.transactions if txn.counterparty_bank_code is not None]
    for field in (
        "counterparty_name",
        "counterparty_account",
        "end_to_end_id",
        "memo",
        "counterparty_party_id",
        "balance_after_minor",
    ):
        share = sum(getattr(txn, field) is None for txn in with_other) / len(with_other)
        assert 0.003 < share < 0.7, (field, share)


def test_progress_is_told_after_each_day(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    simulate(tmp_path, loans=5, days=3, seed=1, progress=lambda done, days: told.append((done, days)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def run_in_a_process(out: Path, *, loans: int, days: int, hash_seed: str) -> None:
    """Simulate in a process of its own, with its own seed of ``hash``."""
    code = (
        "import sys; from pathlib import Path; from streams.simulate.world import simulate;"
        f"simulate(Path(sys.argv[1]), loans={loans}, days={days}, seed=9)"
    )
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code, str(out)], env=environment, check=True)


def peak_memory(out: Path, days: int) -> int:
    """Most bytes that a run of so many days held at once."""
    tracemalloc.start()
    try:
        simulate(out, loans=60, days=days, seed=9, transactions_per_account_day=1.0)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PENDING_MAX", 500)
    short, long = peak_memory(tmp_path / "short", 30), peak_memory(tmp_path / "long", 120)
    sizes = [(tmp_path / name / "account-transactions.jsonl").stat().st_size for name in ("short", "long")]
    assert sizes[1] > 3 * sizes[0]
    assert long < 1.25 * short, (short, long)


def test_when_records_are_flushed_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(tmp_path / "seldom", loans=40, days=15, seed=3)
    monkeypatch.setattr(writer, "PENDING_MAX", 1)
    simulate(tmp_path / "always", loans=40, days=15, seed=3)
    assert digest(tmp_path / "seldom") == digest(tmp_path / "always")


def test_accounts_that_serve_misuse_live_an_ordinary_life_too(town: Folder) -> None:
    guilty = {txn_id for label in town.labels if label.misused for txn_id in label.txn_ids}
    borrowers = {loan.disburse_account for loan in town.loans}
    acts: dict[str, list[bool]] = defaultdict(list)
    for txn in town.transactions:
        acts[txn.account_id].append(txn.txn_id in guilty)
    helpers = [flags for account, flags in acts.items() if any(flags) and account not in borrowers]
    assert len(helpers) > 10
    assert sum(len(flags) > 2 * sum(flags) for flags in helpers) > 0.8 * len(helpers)


@pytest.mark.parametrize("style", PACK)
def test_each_style_of_the_innocent_pack_comes_to_pass(style: str, tmp_path: Path) -> None:
    folder = read_folder(tmp_path, simulate(tmp_path, loans=12, days=70, seed=5, styles=[style], innocent_pack=False))
    assert {label.style for label in folder.labels} == {style}
    assert len(folder.labels) >= 7
    for label in folder.labels:
        assert label.misused == (PACK[style].typology is not None) == (label.misused_minor > 0)
        assert label.misused_first_week_minor <= label.misused_minor


def test_half_of_the_innocent_pack_are_look_alikes_and_none_is_misused(tmp_path: Path) -> None:
    folder = read_folder(tmp_path, simulate(tmp_path, loans=120, days=40, seed=3, misuse_share=0.0, innocent_pack=True))
    assert {label.style for label in folder.labels} >= {name for name, style in PACK.items() if style.typology is None}
    assert not any(label.misused for label in folder.labels)
    assert 45 <= len(folder.labels) <= 60
