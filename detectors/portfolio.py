"""Loan asset quality: what share of the money paid out is flagged, by product, branch, industry and vintage.

A loan counts from when its particulars are known, with what it had been paid out by then, in the cells of those
particulars; corrections and further payouts do not move it. It is flagged while its state is WATCH, SUSPICIOUS or CONFIRMED.
Retired loans stay counted as they were last: a vintage is judged by all of its loans.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from detectors.alert_record import PortfolioShare
from detectors.instants import rfc3339
from detectors.loans import Loan

FLAGGED = frozenset({"WATCH", "SUSPICIOUS", "CONFIRMED"})
NOT_STATED = "(not stated)"
OTHERS = "(others)"
INDUSTRY_LENGTH = 3
"""Of an industry code, GB/T 4754: the letter and two digits (the division)."""


class PortfolioLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """How finely the portfolio is cut."""

    cells_max: int = 10_000  # combinations of currency, dimension and value; loans of further values count as others
    say_minutes: int = 60  # a cell that has changed is said at most once in so many minutes, counted from midnight


class Portfolio:
    """Sums by currency, dimension and value."""

    def __init__(self, limits: PortfolioLimits, utc_offset_minutes: int) -> None:
        self.limits = limits
        self.utc_offset_ms = utc_offset_minutes * 60_000
        self.cells: dict[str, list[int]] = {}  # cell -> [loans, paid out, flagged loans, paid out to them]
        self.changed: dict[str, None] = {}  # cells of which there is news
        self.said_span = -1  # of say_minutes each, since the epoch
        self.counts: Counter[str] = Counter()

    def lend(self, loan: Loan) -> None:
        """A loan's particulars are known: from now on it counts."""
        if loan.cells:
            return
        loan.cells = tuple(self._cell(loan.currency, name, value) for name, value in self._values(loan))
        loan.counted_minor = loan.amount_minor
        for cell in loan.cells:
            sums = self.cells[cell]
            sums[0] += 1
            sums[1] += loan.counted_minor
            self.changed[cell] = None

    def flag(self, loan: Loan, state: str) -> None:
        """A loan's state has been stated."""
        flagged = state in FLAGGED
        if flagged == loan.flagged or not loan.cells:
            return
        loan.flagged = flagged
        sign = 1 if flagged else -1
        for cell in loan.cells:
            sums = self.cells[cell]
            sums[2] += sign
            sums[3] += sign * loan.counted_minor
            self.changed[cell] = None

    def news(self, now_ms: int) -> tuple[PortfolioShare, ...]:
        """Once in every ``say_minutes``: the cells that have changed."""
        span = (now_ms + self.utc_offset_ms) // (self.limits.say_minutes * 60_000)
        if span == self.said_span:
            return ()
        self.said_span = span
        changed, self.changed = self.changed, {}
        return tuple(self._share(cell, now_ms) for cell in sorted(changed))

    def shares(self, now_ms: int) -> tuple[PortfolioShare, ...]:
        """Every cell as it is now."""
        return tuple(self._share(cell, now_ms) for cell in sorted(self.cells))

    def _values(self, loan: Loan) -> tuple[tuple[str, str], ...]:
        info = loan.info
        industry = info.borrower_industry if info is not None else None
        return (
            ("product", info.product_class if info is not None else NOT_STATED),
            ("branch", (info.org_id if info is not None else None) or NOT_STATED),
            ("industry", industry[:INDUSTRY_LENGTH] if industry else NOT_STATED),
            ("vintage", rfc3339(loan.paid_ms + self.utc_offset_ms)[:7]),
        )

    def _cell(self, currency: str, dimension: str, value: str) -> str:
        cell = f"{currency} {dimension} {value}"
        if cell not in self.cells and len(self.cells) >= self.limits.cells_max:
            self.counts["portfolio_cells_merged"] += 1
            cell = f"{currency} {dimension} {OTHERS}"
        self.cells.setdefault(cell, [0, 0, 0, 0])
        return cell

    def _share(self, cell: str, now_ms: int) -> PortfolioShare:
        currency, dimension, value = cell.split(" ", 2)
        loans, paid_out, flagged_loans, flagged = self.cells[cell]
        return PortfolioShare(
            dimension=dimension, value=value, currency=currency, loans=loans, flagged_loans=flagged_loans,  # type: ignore[arg-type]
            disbursed_minor=paid_out, flagged_minor=flagged, share=_ratio(flagged, paid_out), as_of=rfc3339(now_ms),
        )  # fmt: skip


def added_up(shares: Iterable[PortfolioShare]) -> dict[tuple[str, str, str], PortfolioShare]:
    """The cuts of several books as those of one bank, by currency, dimension and value; as of the latest."""
    total: dict[tuple[str, str, str], PortfolioShare] = {}
    for share in shares:
        key = (share.currency, share.dimension, share.value)
        total[key] = _sum(total[key], share) if key in total else share
    return dict(sorted(total.items()))


def _sum(one: PortfolioShare, other: PortfolioShare) -> PortfolioShare:
    flagged, paid_out = one.flagged_minor + other.flagged_minor, one.disbursed_minor + other.disbursed_minor
    return msgspec.structs.replace(
        one, loans=one.loans + other.loans, flagged_loans=one.flagged_loans + other.flagged_loans, flagged_minor=flagged,
        disbursed_minor=paid_out, share=_ratio(flagged, paid_out), as_of=max(one.as_of, other.as_of),
    )  # fmt: skip


def _ratio(flagged: int, paid_out: int) -> float:
    return round(flagged / paid_out, 6) if paid_out else 0.0
