"""The made-up bank runs, day by day, and its records are written as they happen; ``simulate`` is the only entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import accumulate, cycle
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec

from detectors.events import BorrowerType
from streams.simulate import further_styles, honest, styles
from streams.simulate import look_alikes as pack
from streams.simulate.agenda import Agenda
from streams.simulate.amounts import TEN_THOUSAND, some_of
from streams.simulate.duties import Duties
from streams.simulate.habits import Habits
from streams.simulate.hubs import write_lists
from streams.simulate.ledger import Ledger
from streams.simulate.lending import Lending, draw_amount
from streams.simulate.names import IdMint
from streams.simulate.plot import EARMARK_S, Label, Plot, Stage
from streams.simulate.rhythm import BEIJING, DAY_S, HOUR_S, HOUR_WEIGHTS, day_factor, day_of, is_working_day
from streams.simulate.town import Party, Town, write_links
from streams.simulate.writer import FolderWriter

START = datetime(2026, 1, 5, tzinfo=BEIJING)
MISUSE_SHARE = 0.03
TWINS_PER_MISUSE = 2
TRANSACTIONS_PER_ACCOUNT_DAY = 0.5
RENEWAL_PERCENT = 5
REPEAT_PERCENT = 12  # of ordinary loans: to a borrower who has had one
NEW_PHASE_PERMILLE = 600  # of the time: the pattern that nobody has seen appears only after that
PRELUDE_S = 35 * DAY_S
ORDINARY = "ordinary"
RENEWAL = "renewal"

BUSINESS: tuple[BorrowerType, ...] = (
    "ENTERPRISE", "ENTERPRISE", "SELF_EMPLOYED", "SELF_EMPLOYED", "FARMER", "UNREGISTERED_OPERATOR",
)  # fmt: skip
ANYBODY: tuple[BorrowerType, ...] = (*BUSINESS, "NATURAL_PERSON", "NATURAL_PERSON", "NATURAL_PERSON")
PERSONS: tuple[BorrowerType, ...] = ("NATURAL_PERSON", "NATURAL_PERSON", "SELF_EMPLOYED", "ENTERPRISE")


class Style(NamedTuple):
    """How a loan is used. ``typology`` is None for honest use; ``play`` runs from the payout on."""

    typology: str | None
    play: Callable[[Plot], Iterator[int]]
    borrowers: tuple[BorrowerType, ...] = ANYBODY
    arrange: Callable[[Plot], None] | None = None  # run before the payout
    prelude: Callable[[Plot], Iterator[int]] | None = None  # runs beside, from before the payout
    savings_permille: tuple[int, int] | None = None  # of the loan: what the borrower has of his own from the start
    has_old_loan: bool = False
    is_new: bool = False
    at_month_end: bool = False  # paid out in the last three days of a month
    amounts: tuple[int, int] | None = None  # least and most of the loan, where the course needs a certain size


STYLES: dict[str, Style] = {
    "direct_purchase": Style("T01", styles.direct_purchase),
    "two_shells": Style("T01", styles.two_shells),
    "complicit_supplier": Style("T01", styles.complicit_supplier, BUSINESS, styles.buy_from_supplier),
    "pooled_own_money": Style("T01", styles.pooled_own_money),
    "wealth_product": Style("T02", styles.wealth_product),
    "related_party_return": Style("T05", styles.related_party_return, BUSINESS, styles.find_guarantor),
    "entrusted_return": Style("T06", styles.entrusted_return, BUSINESS, styles.list_a_willing_payee),
    "loan_repays_loan": Style("T08", styles.loan_repays_loan, has_old_loan=True),
    "cash_out": Style("T09", styles.cash_out),
    "pass_through_mule": Style("T12", styles.pass_through_mule),
    "smurfed_securities": Style("T01", styles.smurfed_securities, is_new=True),
    "habitual_investor": Style(
        None, honest.habitual_investor, PERSONS, prelude=honest.keep_investing, savings_permille=(500, 3000)
    ),
    "wealthy_buyer": Style(None, honest.wealthy_buyer, PERSONS, savings_permille=(3000, 20000)),
    "supplier_invests_profit": Style(None, honest.supplier_invests_profit, BUSINESS),
    "forwarding_newcomer": Style(None, honest.forwarding_newcomer, BUSINESS),
}  # fmt: skip
"""Name -> style of misuse (with its typology) or honest twin (without one). These loans are labelled; ordinary ones are not."""

LARGE = (90 * TEN_THOUSAND, 120 * TEN_THOUSAND)  # two payments below the threshold of business loans fit in
FIRMS: tuple[BorrowerType, ...] = ("ENTERPRISE",)
TRADERS: tuple[BorrowerType, ...] = ("SELF_EMPLOYED",)
FARMERS: tuple[BorrowerType, ...] = ("FARMER",)
PRIVATE: tuple[BorrowerType, ...] = ("NATURAL_PERSON",)

PACK: dict[str, Style] = {
    "property_purchase": Style("T03", further_styles.property_purchase),
    "entrusted_split": Style("T07", further_styles.entrusted_split, TRADERS, amounts=LARGE),
    "idle_deposit": Style("T13", further_styles.idle_deposit, FIRMS),
    "circle": Style("T18", further_styles.circle, BUSINESS),
    "structured_cash": Style("T21", further_styles.structured_cash, TRADERS, amounts=(20 * TEN_THOUSAND, 80 * TEN_THOUSAND)),
    "window_dresser": Style("T22", further_styles.window_dresser, BUSINESS, at_month_end=True),
    "pays_an_officer": Style("T24", further_styles.pays_an_officer),
    "tenant": Style(None, pack.tenant, prelude=pack.keep_renting),
    "decorator": Style(None, pack.decorator, PRIVATE, pack.want_decoration),
    "refunded_buyer": Style(None, pack.refunded_buyer, PRIVATE),
    "salary_payer": Style(None, pack.salary_payer, FIRMS, prelude=pack.keep_paying_the_owner),
    "cancelled_order": Style(None, pack.cancelled_order, BUSINESS, pack.list_a_supplier),
    "two_way_trader": Style(None, pack.two_way_trader, BUSINESS, prelude=pack.keep_trading),
    "pool_member": Style(None, pack.pool_member, FIRMS, pack.join_a_group, pack.keep_pooling),
    "stage_payer": Style(None, pack.stage_payer, TRADERS, amounts=LARGE),
    "capped_payer": Style(None, pack.capped_payer, TRADERS, amounts=LARGE),
    "machine_user": Style(None, pack.machine_user, PRIVATE),
    "wages_in_cash": Style(None, pack.wages_in_cash, FIRMS, pack.use_the_basic_account),
    "farmer_in_cash": Style(None, pack.farmer_in_cash, FARMERS, pack.want_farm_supplies),
    "margin_payer": Style(None, pack.margin_payer, FIRMS, pack.list_margin),
    "waits_in_deposit": Style(None, pack.waits_in_deposit, BUSINESS),
    "hedger": Style(None, pack.hedger, FIRMS, pack.want_hedging),
    "short_loan": Style(None, pack.short_loan, FIRMS, pack.want_wages, at_month_end=True),
    "revolver": Style(None, pack.revolver, BUSINESS, pack.draw_on_a_line, at_month_end=True),
    "staff_tenant": Style(None, pack.tenant, ANYBODY, pack.know_a_clerk, pack.keep_renting_from_staff),
}  # fmt: skip
"""Styles that only the innocent pack plays: one misuse for each later typology, and the look-alikes of the table."""

_UNLABELLED: dict[str, Style] = {
    ORDINARY: Style(None, honest.ordinary, arrange=honest.agree_on_payees),
    RENEWAL: Style(None, honest.renewal, BUSINESS, arrange=honest.arrange_renewal, has_old_loan=True),
}


class Planned(NamedTuple):
    """A loan that will be paid out."""

    payout_s: int
    style: str
    borrower: Party
    amount_minor: int
    savings_minor: int


class World:
    """One run: the town, its ledger, and everything that is going to happen."""

    def __init__(
        self, writer: FolderWriter, *, loans: int, days: int, rng: Random, start_s: int, earmark_s: int = EARMARK_S
    ) -> None:
        mint = IdMint(rng)
        self.rng = rng
        self.writer = writer
        self.start_s = start_s
        self.end_s = start_s + days * DAY_S
        self.town = Town(rng, mint, loans)
        self.ledger = Ledger(writer, mint, rng)
        self.ledger.now_s = start_s
        self.agenda = Agenda(self.ledger)
        self.habits = Habits(self.ledger, self.town, self.agenda, rng)
        self.lending = Lending(self.ledger, writer, self.town, self.habits, self.agenda, rng)
        self.stage = Stage(self.ledger, self.town, self.habits, self.lending, self.agenda, rng, earmark_s)
        self.labels: list[Label] = []

    # --- planning ---------------------------------------------------------------------------------------------------

    def plan_loans(self, uses: Sequence[str]) -> None:
        """Give each planned use of a loan a borrower, an amount and a day, and put it on the agenda."""
        planned = sorted((self._plan(name) for name in uses), key=lambda loan: loan.payout_s)
        self.lending.keep_old_loans()
        write_links(self.writer, self.town, self.start_s)
        write_lists(self.writer, self.town.hubs, self.start_s)
        for loan in planned:
            style = _style(loan.style)
            begin_s = max(self.start_s, loan.payout_s - PRELUDE_S) if style.prelude is not None else loan.payout_s
            self.agenda.follow(begin_s, self._course(loan, style))

    def _plan(self, name: str) -> Planned:
        style = _style(name)
        payout_s = self._payout_time(style)
        if name == ORDINARY and self.town.borrowers and self.rng.randrange(100) < REPEAT_PERCENT:
            borrower = self.rng.choice(self.town.borrowers)
        else:
            borrower = self.town.new_borrower(self.rng.choice(style.borrowers))
        amount = draw_amount(self.rng, borrower)
        if style.amounts is not None:
            amount = self.rng.randrange(*style.amounts, TEN_THOUSAND)
        savings = some_of(self.rng, amount, *style.savings_permille) if style.savings_permille is not None else 0
        borrower.account.balance_minor += savings
        borrower.account.earmarked_minor += savings
        if style.has_old_loan:
            borrower.old_loan_id = borrower.old_loan_id or self.town.mint.next("L")
            borrower.old_loan_minor = some_of(self.rng, amount, 450, 1300)
        return Planned(payout_s, name, borrower, amount, savings)

    def _payout_time(self, style: Style) -> int:
        """Some working hour; the labelled ones leave time at the end for what follows."""
        rng, span_s = self.rng, self.end_s - self.start_s
        first = NEW_PHASE_PERMILLE if style.is_new else 30
        last = 985 if style in _UNLABELLED.values() else 880
        day_s = self.start_s + rng.randrange(span_s * first // 1000, span_s * last // 1000)
        day_s -= (day_s - self.start_s) % DAY_S
        while not is_working_day(day_of(day_s)) and rng.random() < 0.8 and day_s + DAY_S < self.end_s:
            day_s += DAY_S
        while style.at_month_end and day_of(day_s + 3 * DAY_S).month == day_of(day_s).month:
            day_s += DAY_S
        hour = rng.choices(range(24), HOUR_WEIGHTS)[0]
        return day_s + hour * HOUR_S + rng.randrange(HOUR_S)

    def _course(self, planned: Planned, style: Style) -> Iterator[int]:
        loan = self.lending.sign(planned.borrower, planned.amount_minor)
        label = Label(
            loan_id=loan.loan_id, style=planned.style, typology=style.typology, misused=style.typology is not None,
            phase="new" if style.is_new else "base",
        )  # fmt: skip
        plot = Plot(self.stage, loan, label, planned.payout_s)
        if planned.savings_minor:
            plot.save_up(planned.savings_minor)
        if style.prelude is not None:
            plot.also(style.prelude(plot))
            yield planned.payout_s
        if style.arrange is not None:
            style.arrange(plot)
        plot.pay_out(marks_entrusted=planned.style in STYLES or planned.style in PACK)
        if planned.style in STYLES or planned.style in PACK:
            self.labels.append(label)
        yield from style.play(plot)

    # --- running ----------------------------------------------------------------------------------------------------

    def run(self, per_account_day: float, progress: Callable[[int, int], None] | None) -> None:
        """Let every day pass."""
        parties = self.town.all_parties()
        weights = list(accumulate(party.weight for party in parties))
        duties = Duties(self.ledger, self.town, self.habits, self.agenda, self.rng)
        days = (self.end_s - self.start_s) // DAY_S
        for number in range(days):
            midnight_s = self.start_s + number * DAY_S
            duties.plan_day(midnight_s)
            self.lending.plan_day(midnight_s)
            acts = len(parties) * per_account_day * day_factor(day_of(midnight_s))
            self._pass_day(midnight_s, acts, parties, weights)
            if progress is not None:
                progress(number + 1, days)

    def _pass_day(self, midnight_s: int, acts: float, parties: list[Party], weights: list[float]) -> None:
        for hour, weight in enumerate(HOUR_WEIGHTS):
            hour_s = midnight_s + hour * HOUR_S
            count = self._count(acts * weight / sum(HOUR_WEIGHTS))
            times = sorted(hour_s + self.rng.randrange(HOUR_S) for _ in range(count))
            for time_s, party in zip(times, self.rng.choices(parties, cum_weights=weights, k=count), strict=True):
                self.agenda.run_until(time_s)
                self.habits.act(party)
                self.writer.flush(time_s)
            self.agenda.run_until(hour_s + HOUR_S - 1)
            self.writer.flush(hour_s + HOUR_S - 1)

    def _count(self, mean: float) -> int:
        """How many happen where ``mean`` are expected (normal approximation, rounded at random)."""
        return max(0, int(self.rng.gauss(mean, mean**0.5) + self.rng.random()))


def _style(name: str) -> Style:
    return STYLES.get(name) or PACK.get(name) or _UNLABELLED[name]


def _pack_uses(loans: int, misuse_share: float, rng: Random) -> list[str]:
    """The innocent pack: half of the honest loans are look-alikes, each in its turn, the others ordinary ones."""
    every = STYLES | PACK
    misuse = [name for name, style in every.items() if style.typology is not None]
    honest_ones = [name for name, style in every.items() if style.typology is None]
    bad = min(loans, round(loans * misuse_share))
    uses = [misuse[i % len(misuse)] for i in range(bad)]
    uses += [honest_ones[i % len(honest_ones)] for i in range((loans - bad) // 2)]
    uses += [RENEWAL if rng.randrange(100) < RENEWAL_PERCENT else ORDINARY for _ in range(loans - len(uses))]
    rng.shuffle(uses)
    return uses


def _uses(loans: int, misuse_share: float, only: Sequence[str] | None, rng: Random) -> list[str]:
    """How each of the loans will be used: by the shares, every style in its turn, in a random order."""
    if only is not None:
        uses = [name for _, name in zip(range(loans), cycle(only), strict=False)]
    else:
        misuse = [name for name, style in STYLES.items() if style.typology is not None]
        twins = [name for name, style in STYLES.items() if style.typology is None]
        bad = min(loans, round(loans * misuse_share))
        uses = [misuse[i % len(misuse)] for i in range(bad)]
        uses += [twins[i % len(twins)] for i in range(min(loans - bad, bad * TWINS_PER_MISUSE))]
        rest = loans - len(uses)
        uses += [RENEWAL if rng.randrange(100) < RENEWAL_PERCENT else ORDINARY for _ in range(rest)]
    rng.shuffle(uses)
    return uses


def _write_labels(path: Path, labels: list[Label]) -> int:
    """Labels of what came to pass: a misuse that the end of time prevented is none."""
    kept = [
        label for label in labels
        if label.misused_minor > 0 or (not label.misused and (label.txn_ids or label.style in PACK))
    ]  # fmt: skip
    kept.sort(key=lambda label: label.loan_id)
    for label in kept:
        if not label.misused:
            label.misused_minor, label.misused_first_week_minor, label.first_misuse_time = 0, 0, None
    path.write_bytes(b"".join(msgspec.json.encode(label) + b"\n" for label in kept))
    return len(kept)


def simulate(
    out: Path,
    *,
    loans: int,
    days: int,
    seed: int,
    misuse_share: float = MISUSE_SHARE,
    styles: Sequence[str] | None = None,
    innocent_pack: bool = False,
    transactions_per_account_day: float = TRANSACTIONS_PER_ACCOUNT_DAY,
    progress: Callable[[int, int], None] | None = None,
    start: datetime = START,
) -> dict[str, int]:
    """Write a folder of topic files and ``labels.jsonl``; the same arguments give the same bytes.

    Args:
        out: the folder; made when it is not there, files in it are overwritten.
        loans: how many loans are paid out.
        days: how many days pass.
        seed: of every draw.
        misuse_share: share of the loans that are misused, 0 to 1; there are twice as many honest twins.
        styles: names from :data:`STYLES` and :data:`PACK`, in turn, for all loans; None: ordinary loans with the share above.
        innocent_pack: half of the honest loans are look-alikes of misuse, and a loan's money stays apart from what its holders
            spend in daily life until the end: who is honest here is honest with every yuan.
        transactions_per_account_day: ordinary acts per account and day; a payment inside the bank shows as two records.
        progress: called after each day with (days done, days).
        start: midnight of the first day, with its offset.

    Returns:
        Records written per topic, and ``labels``.

    Raises:
        ValueError: a number out of its range, or an unknown style; all of them are named.
    """
    mistakes = _mistakes(loans, days, misuse_share, styles, transactions_per_account_day)
    if mistakes:
        raise ValueError("; ".join(mistakes))
    rng = Random(seed)
    with FolderWriter(out) as writer:
        earmark_s = days * DAY_S if innocent_pack else EARMARK_S
        world = World(writer, loans=loans, days=days, rng=rng, start_s=int(start.timestamp()), earmark_s=earmark_s)
        world.plan_loans(_pack_uses(loans, misuse_share, rng) if innocent_pack else _uses(loans, misuse_share, styles, rng))
        world.run(transactions_per_account_day, progress)
    return {**writer.counts, "labels": _write_labels(out / "labels.jsonl", world.labels)}


def _mistakes(loans: int, days: int, misuse_share: float, only: Sequence[str] | None, per_account_day: float) -> list[str]:
    unknown = [name for name in only or () if name not in STYLES and name not in PACK]
    checks = (
        (loans < 1, f"loans is {loans}, must be at least 1"),
        (days < 1, f"days is {days}, must be at least 1"),
        (not 0 <= misuse_share <= 1, f"misuse_share is {misuse_share}, must be from 0 to 1"),
        (per_account_day < 0, f"transactions_per_account_day is {per_account_day}, must not be negative"),
        (only is not None and not only, "styles is empty: name one, or leave it out"),
        (bool(unknown), f"unknown styles: {', '.join(unknown)} (known: {', '.join(STYLES | PACK)})"),
    )
    return [text for wrong, text in checks if wrong]
