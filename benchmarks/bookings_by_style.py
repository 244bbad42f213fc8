"""Where each booking says that loan money went, style by style of the simulator, against what is certain and possible.

Usage: ``python benchmarks/bookings_by_style.py [--loans 400] [--days 60] [--seed 1] [--styles a,b] [--json FILE] [--markdown]``

Every style gets a made-up bank of its own, folded once with all four bookings side by side. A cell is the share of the loans
of which at least ``--share`` (10 %) went to the style's destination within ``--within-days`` (30): by that booking, or in every
possible allocation (*certain*), or in at least one (*possible*). ``alert``: a standing alert of the style's typology, for
honest styles any standing breach alert; ``any alert``: of whatever kind. ``exact``: share of the loans whose bounds no limit
has widened. ``outside`` counts loans for which a booking's figure lies outside its bounds by more than limits have dropped: it
must be 0.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from detectors.accounts import Account
from detectors.bounds import bounds_of
from detectors.engine import Engine, Outputs
from detectors.events import LoanDisbursement
from detectors.loans import Loan
from detectors.lots import Transfer
from detectors.parties import BORROWER
from detectors.tracer import DAY_MS, Movement
from detectors.uses import CASH, LENDER, LOAN_REPAYMENT, POCKETS, QUASI_CASH, SECURITIES, WEALTH
from streams.files.readers import open_topic_files
from streams.files.replay import Tally, fold
from streams.settings import load_settings
from streams.simulate.plot import Label
from streams.simulate.world import STYLES, simulate

BOOKINGS = ("loan_first", "fifo", "own_first", "lifo")
COLUMNS = ("fifo", "loan_first", "own_first", "lifo", "certain", "possible", "alert", "any_alert")


class Follower:
    """One world on its way through the engine: what every labelled loan's money was seen to do, until its time is up."""

    def __init__(self, engine: Engine, labels: dict[str, Label], share_min: float, within_ms: int) -> None:
        self.engine = engine
        self.labels = labels
        self.share_min = share_min
        self.within_ms = within_ms
        self.tracked: dict[int, Loan] = {}  # by the number of the origin
        self.seen: dict[str, list[Movement]] = {}  # by loan: what may have reached the destination
        self.standing: dict[str, dict[str, str]] = {}  # by loan: typology -> kind, of alerts that stand
        self.deadlines: list[tuple[int, str]] = []
        self.verdicts: dict[str, Verdict] = {}

    def take(self, event: object, event_time_ms: int, outputs: Outputs) -> None:
        """One record went through the engine."""
        while self.deadlines and self.deadlines[0][0] < event_time_ms:
            self._settle(heapq.heappop(self.deadlines)[1])
        if isinstance(event, LoanDisbursement) and event.loan_id in self.labels and event.loan_id not in self.seen:
            loan = self.engine.lending.loans[event.loan_id]
            self.tracked[loan.origin.number] = loan
            self.seen[loan.loan_id] = []
            heapq.heappush(self.deadlines, (loan.paid_ms + self.within_ms, loan.loan_id))
        for movement in outputs.movements:
            self._remember(movement)
        for alert in outputs.alerts:
            for loan_id in (alert.subject.loan_id, *(member.loan_id for member in alert.subject.members)):
                kinds = self.standing.setdefault(loan_id or "", {})
                if alert.status == "OPEN":
                    kinds[alert.typology] = alert.kind
                else:
                    kinds.pop(alert.typology, None)

    def finish(self) -> None:
        """Time ends: settle the loans that are younger than the rest."""
        while self.deadlines:
            self._settle(heapq.heappop(self.deadlines)[1])

    def _remember(self, movement: Movement) -> None:
        numbers = {parcel.origin.number for ledger in movement.parcels for parcel in ledger}
        for number in numbers & self.tracked.keys():
            loan = self.tracked[number]
            destination = DESTINATIONS[self.labels[loan.loan_id].style]
            if destination.belongs is None or self._is_there(loan, movement.transfer, destination.belongs):
                self.seen[loan.loan_id].append(movement)

    def _is_there(self, loan: Loan, transfer: Transfer, belongs: Belongs) -> bool:
        payer = self.engine.tracer.find(transfer.payer, transfer.currency)
        payee = self.engine.tracer.find(transfer.payee, transfer.currency)
        return payer is not None and payee is not None and belongs(self.engine, loan, transfer, payer, payee)

    def _settle(self, loan_id: str) -> None:
        """What each booking, and the bounds, say of this loan."""
        loan, label = self.engine.lending.loans[loan_id], self.labels[loan_id]
        movements = [m for m in self.seen.pop(loan_id) if m.transfer.event_time_ms <= loan.paid_ms + self.within_ms]
        del self.tracked[loan.origin.number]
        own = self._labelled(loan, label)
        if DESTINATIONS[label.style].belongs is None:
            movements = [movement for movement in movements if movement.transfer.seq in own]
        ends = own | {movement.transfer.seq for movement in movements}
        bounds = bounds_of(self.engine.tracer, loan.origin, ends, max(ends, default=0), self.engine.configuration.bounds)
        minor = {name: _reached_minor(movements, i, loan, ends) for i, name in enumerate(BOOKINGS)}
        dropped = sum(loan.origin.dropped_minor.values())
        outside = any(not bounds.certain_minor - dropped <= amount <= bounds.possible_minor for amount in minor.values())
        minor |= {"certain": bounds.certain_minor, "possible": bounds.possible_minor}
        kinds = self.standing.get(loan_id, {})
        own_alert = label.typology in kinds if label.misused else "BREACH" in kinds.values()
        self.verdicts[loan_id] = Verdict(
            {name: loan.share(amount) >= self.share_min for name, amount in minor.items()}
            | {"alert": own_alert, "any_alert": bool(kinds)},
            bounds.exact, outside,
        )  # fmt: skip

    def _labelled(self, loan: Loan, label: Label) -> set[int]:
        """The payments (by ``seq``) that the label names and that are of the destination's class."""
        belongs = DESTINATIONS[label.style].belongs or _is_onward
        transfers = (self.engine.reversible.get(txn_id) for txn_id in label.txn_ids)
        return {
            transfer.seq for transfer in transfers
            if transfer is not None
            and transfer.event_time_ms <= loan.paid_ms + self.within_ms
            and self._is_there(loan, transfer, belongs)
        }  # fmt: skip


class Verdict(NamedTuple):
    """Of one loan: column -> whether it reaches the share there."""

    reached: dict[str, bool]
    exact: bool
    outside: bool


def _reached_minor(movements: Sequence[Movement], ledger: int, loan: Loan, ends: Collection[int]) -> int:
    """Loan money that came to the destination for the first time, by one ledger; what was reversed does not count."""
    total = 0
    for movement in movements:
        fresh = sum(
            parcel.amount_minor for parcel in movement.parcels[ledger]
            if parcel.origin is loan.origin and not any(step.seq in ends for step in parcel.trail.transfers()[:-1])
        )  # fmt: skip
        total += min(fresh, movement.transfer.standing_minor)
    return total


# --- destinations -------------------------------------------------------------------------------------------------------

Belongs = Callable[[Engine, Loan, Transfer, Account, Account], bool]


class Destination(NamedTuple):
    """What counts as reached. ``belongs`` None: the payments that the label names, out of accounts of others."""

    name: str
    belongs: Belongs | None


def _of_use(*uses: str) -> Belongs:
    return lambda engine, loan, transfer, payer, payee: transfer.use in uses and payer.place not in POCKETS


def _repays_another(engine: Engine, loan: Loan, transfer: Transfer, payer: Account, payee: Account) -> bool:
    """To a lender, or principal out of the borrower's account while this loan itself is not being repaid by it."""
    if transfer.use == LENDER:
        return True
    return transfer.use == LOAN_REPAYMENT and loan.origin.repaid_minor == 0


def _comes_back(engine: Engine, loan: Loan, transfer: Transfer, payer: Account, payee: Account) -> bool:
    """From a stranger to the borrower's side, or from the borrower to a related party."""
    role = engine.context.side(loan, payee, transfer.event_time_ms)
    if role is None or payer.place in POCKETS:
        return False
    payer_role = engine.context.side(loan, payer, transfer.event_time_ms)
    return payer_role is None or (payer_role == BORROWER and role != BORROWER)


def _is_onward(engine: Engine, loan: Loan, transfer: Transfer, payer: Account, payee: Account) -> bool:
    return engine.context.side(loan, payer, transfer.event_time_ms) != BORROWER


_SECURITIES = Destination("securities", _of_use(SECURITIES))
_BORROWER_SIDE = Destination("borrower's side", _comes_back)
_ONWARD = Destination("sent on by the payee", None)

DESTINATIONS: dict[str, Destination] = {
    "direct_purchase": _SECURITIES,
    "two_shells": _SECURITIES,
    "complicit_supplier": _SECURITIES,
    "pooled_own_money": _SECURITIES,
    "smurfed_securities": _SECURITIES,
    "wealth_product": Destination("wealth products", _of_use(WEALTH)),
    "related_party_return": _BORROWER_SIDE,
    "entrusted_return": _BORROWER_SIDE,
    "loan_repays_loan": Destination("other loans", _repays_another),
    "cash_out": Destination("cash, quasi-cash", _of_use(CASH, QUASI_CASH)),
    "pass_through_mule": _ONWARD,
    "habitual_investor": _SECURITIES,
    "wealthy_buyer": Destination("securities, wealth", _of_use(SECURITIES, WEALTH)),
    "supplier_invests_profit": _SECURITIES,
    "forwarding_newcomer": _ONWARD,
}
"""Style -> the place in question."""


# --- running ------------------------------------------------------------------------------------------------------------


class Row(Struct, frozen=True):
    """One style: shares of its loans, by column."""

    style: str
    misused: bool
    destination: str
    loans: int
    shares: dict[str, float]
    bounds_exact: float  # share of the loans with exact bounds
    outside: int


def measure(style: str, *, loans: int, days: int, seed: int, share_min: float, within_days: int) -> Row:
    """Make up a bank in which every loan is of this style, fold it, and read the ledgers."""
    settings = msgspec.structs.replace(load_settings().engine, bookings=BOOKINGS)
    with tempfile.TemporaryDirectory(prefix="fundtrail-") as name:
        folder = Path(name)
        simulate(folder, loans=loans, days=days, seed=seed, styles=[style])
        known = [msgspec.json.decode(line, type=Label) for line in (folder / "labels.jsonl").read_bytes().splitlines()]
        typology = STYLES[style].typology
        labels = {label.loan_id: label for label in known if label.typology == typology}  # a style may have a variant
        engine = Engine(settings)
        follower = Follower(engine, labels, share_min, within_days * DAY_MS)
        for row, outputs in fold(open_topic_files([folder]), engine, Tally(), _no_rejects):
            follower.take(row[5], row[0], outputs)
        follower.finish()
    return _row(style, list(follower.verdicts.values()))


def _no_rejects(_: int, reject: object) -> None:
    raise AssertionError(f"the simulator wrote a record that was rejected: {reject}")


def _row(style: str, verdicts: list[Verdict]) -> Row:
    count = max(1, len(verdicts))
    shares = {column: sum(verdict.reached[column] for verdict in verdicts) / count for column in COLUMNS}
    exact = sum(verdict.exact for verdict in verdicts) / count
    outside = sum(verdict.outside for verdict in verdicts)
    return Row(style, STYLES[style].typology is not None, DESTINATIONS[style].name, len(verdicts), shares, exact, outside)


def cells(row: Row) -> list[str]:
    """The row as text."""
    shares = [f"{100 * row.shares[column]:.0f} %" for column in COLUMNS]
    return [("misuse " if row.misused else "honest ") + row.style, row.destination, str(row.loans), *shares,
            f"{100 * row.bounds_exact:.0f} %", str(row.outside)]  # fmt: skip


HEADER = ["style", "destination", "loans", *(column.replace("_", "-") for column in COLUMNS[:4]),
          *(column.replace("_", " ") for column in COLUMNS[4:]), "exact", "outside"]  # fmt: skip


def show(rows: Sequence[Row], markdown: bool) -> None:
    """Print the table."""
    if markdown:
        for line in (HEADER, ["---"] * 3 + ["---:"] * (len(HEADER) - 3), *map(cells, rows)):
            print("| " + " | ".join(line) + " |")
        return
    table = Table(title="Share of loans with the given share at the destination")
    for i, column in enumerate(HEADER):
        table.add_column(column, justify="left" if i < 2 else "right")
    for row in rows:
        table.add_row(*cells(row))
    Console(width=170).print(table)


def main(arguments: Sequence[str] | None = None) -> list[Row]:
    """Run from the command line; returns the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loans", type=int, default=400, help="per style (default 400)")
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=0.10, help="of the loan")
    parser.add_argument("--within-days", type=int, default=30, help="after the payout")
    parser.add_argument("--styles", default=",".join(DESTINATIONS), help="by comma; default: all")
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--markdown", action="store_true")
    given = parser.parse_args(arguments)
    started = time.process_time()
    rows = []
    for style in given.styles.split(","):
        rows.append(measure(style, loans=given.loans, days=given.days, seed=given.seed, share_min=given.share,
                            within_days=given.within_days))  # fmt: skip
        print(f"{style}: {time.process_time() - started:.0f} s", file=sys.stderr)
    show(rows, given.markdown)
    if given.json is not None:
        given.json.write_text(json.dumps([msgspec.to_builtins(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    return rows


if __name__ == "__main__":
    main()
