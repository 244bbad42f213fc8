"""Triage: every payment from account to account gets a score, and confirmed outcomes teach what deserves a look.

A score is made before anything is learned from its payment: log-odds of a scorecard, with what the trees grown from outcomes
add to it. Outcomes come late and only for what was reviewed; until then the features of a payment, as scored, wait for it in
a bounded memory. Only outcomes teach: what nobody looked at is no negative.

Method, features, costs and figures: ``docs/learning.md``.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from math import exp
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from detectors.accounts import Account
from detectors.learners.novelty import CELLS as NOVELTY_CELLS
from detectors.learners.novelty import FIGURE_NAMES, Novelty
from detectors.learners.packed import bytes_of, fill, text_of
from detectors.learners.pair import Pair
from detectors.learners.peers import INDUSTRY_LENGTH, PeerGroups, Peers
from detectors.learners.score import Contribution, PaymentScore
from detectors.learners.scorecard import BIAS, TERMS, VERSION, WEIGHTS, Scorecard
from detectors.lots import Transfer
from detectors.profile import NAMES, ROW_BYTES, ROW_FLOATS, ROW_GROUP, ROW_NUMBER, Profiles
from detectors.recent import Recent
from detectors.uses import CASH, PURCHASE

DAY_MS = 86_400_000
Matrix = NDArray[Any]
USUAL_MAX = 127
"""Payments from which is told what is usual."""
USUAL_EVERY = 16
BAR_STEP = 0.2
"""By how much the bar moves in log-odds: up by nearly this when a score is above it."""
CURRENCIES_MAX = 255
"""Currencies told apart; others count as one."""
_KINDS = {PURCHASE: 1, CASH: 2}
_OF_ALL = (0,)
"""The way of an account of which nothing is stated."""
_NOVELTY = NAMES.index("payee_novelty")


class LearningLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """What the learners keep and how fast they learn."""

    scoring: int = 1  # 0: no profiles, no scores
    profiles_max: int = 2_000_000  # accounts with a profile; the longest known is forgotten
    waiting_max: int = 100_000  # scored payments whose outcome may still come
    trees_max: int = 200  # in two forests of half as many; the oldest of each makes room
    depth: int = 4  # questions from the top of a tree to a leaf
    step: int = 1_500  # an outcome of misuse counts 250, another 1; so many make a tree of all examples
    shrink: float = 0.15  # of what a tree says
    bad_max: int = 4_000  # outcomes of misuse that the trees of a forest are grown from
    good_max: int = 8_000  # other outcomes
    reviewed_share: float = 0.01  # of payments, by score: those above the bar count as looked at
    peer_groups_max: int = 500  # peer groups with histograms; the one longest without a payment is forgotten
    peer_members_min: int = 30  # accounts that make a group's usual worth comparing with; with fewer its parent is asked
    peer_payments_min: int = 300  # payments that do
    seed: int = 1  # of what is drawn when a tree is grown


class Waiting(Struct, frozen=True, gc=False):
    """A scored payment whose outcome may come; ``payer`` and ``payee`` are numbers of profiles."""

    since_ms: int
    payer: int
    payee: int
    currency: int
    vector: bytes
    stood_out: bool = False  # it scored so high that it will have been looked at


Halves = Recent[Waiting | None]
"""Scored payments by id; None: its outcome has come. None keeps its place, so that a half only grows."""


class Triage:
    """Profiles, scores and the model that outcomes teach."""

    def __init__(self, limits: LearningLimits) -> None:
        self.limits = limits
        self.profiles = Profiles(limits.profiles_max)
        self.scorecard = Scorecard()
        self.forests = Pair(
            len(NAMES), trees_max=limits.trees_max, depth=limits.depth, bad_max=limits.bad_max, good_max=limits.good_max,
            step=limits.step, shrink=limits.shrink, seed=limits.seed,
        )  # fmt: skip
        self.groups = PeerGroups(limits.peer_groups_max)
        self.novelty = Novelty(self.groups.size_max)
        self.scorecard.bind(self.profiles.out)
        self.forests.bind(self.profiles.out)
        self.zero_ms: int | None = None  # the first payment's time
        self.numbers: dict[str, int] = {}  # of accounts, in the order in which they were met
        self.names: list[str] = []  # by row
        self.touched = bytearray()  # by row: 1 when it may have changed since :meth:`take_touched`
        self.met = 0
        self.currencies: dict[str, int] = {}
        self.waiting: Halves = Recent(limits.waiting_max)
        self.usual: list[bytes] = []  # some of the vectors, the last ones
        self.counts: Counter[str] = Counter()
        self.scored = 0
        self.bar = 0.0  # log-odds that about ``reviewed_share`` of payments exceed

    # --- the main path ----------------------------------------------------------------------------------------------

    def see(self, transfer: Transfer, payer: Account, payee: Account) -> PaymentScore | None:
        """Score a payment from account to account, then let its accounts' profiles know of it; None: not one."""
        at_ms = transfer.event_time_ms
        if self.zero_ms is None:
            self.zero_ms = at_ms
        days = (at_ms - self.zero_ms) / DAY_MS
        if payer.is_sink or payee.is_sink:
            self._see_outside(transfer, payer, payee, days)
            return None
        numbers = self.numbers
        u = numbers.get(payer.account_id)
        if u is None:
            u = self._meet(payer.account_id, days)
        v = numbers.get(payee.account_id)
        if v is None:
            v = self._meet(payee.account_id, days)
        currency = self.currencies.get(transfer.currency)
        if currency is None:
            currency = self.currencies[transfer.currency] = min(len(self.currencies), CURRENCIES_MAX)
        profiles, amount = self.profiles, transfer.amount_minor
        balance = payer.balance_minor if payer.balance_known else -1
        profiles.features(u, v, amount, days, _KINDS.get(transfer.use, 0), currency, balance)
        way = self._way(v, payee) if len(self.groups.keys) > 1 or payee.kind is not None else _OF_ALL
        group = self._peers_on(way) if len(way) > 1 else 0
        out, novelty = profiles.out, self.novelty
        out[_NOVELTY] = novelty.ask(group, out)
        odds = self.scorecard.ask_last() + self.forests.ask_last()
        vector = profiles.vector()
        self.scorecard.see_last()
        for place in way:
            novelty.see(place, out)
        profiles.pay(u, v, amount, days, currency)
        touched, size = self.touched, self.limits.profiles_max
        touched[u if u < size else u % size] = 1
        touched[v if v < size else v % size] = 1
        share, stood_out = self.limits.reviewed_share, odds > self.bar
        self.bar += BAR_STEP * (1.0 - share) if stood_out else -BAR_STEP * share
        self._await(transfer.txn_id, Waiting(at_ms, u, v, currency, vector, stood_out))
        return PaymentScore(transfer.txn_id, at_ms, transfer.payer, transfer.payee, amount, _squash(odds), vector,
                            peers=self.groups.names[group])  # fmt: skip

    def _see_outside(self, transfer: Transfer, payer: Account, payee: Account, days: float) -> None:
        """A payment from or to nobody in particular."""
        is_in = payer.is_sink
        account = payee if is_in else payer
        if not account.is_sink:
            number = self._number(account.account_id, days)
            self.profiles.outside(number, transfer.amount_minor, days, is_in)
            self._touch(number)

    def _number(self, account_id: str, days: float) -> int:
        number = self.numbers.get(account_id)
        if number is None:
            number = self._meet(account_id, days)
        return number

    def _meet(self, account_id: str, days: float) -> int:
        """An account gets its row; at the limit that of the longest known."""
        number = self.met % _numbers_of(self.limits.profiles_max)
        if self.met < self.limits.profiles_max:
            self.names.append(account_id)
            self.touched.append(1)
        else:
            row = number % self.limits.profiles_max
            self.groups.leave(int(self.profiles.store[row * ROW_FLOATS + ROW_GROUP]))
            del self.numbers[self.names[row]]
            self.names[row] = account_id
            self.counts["profiles_forgotten"] += 1
        self.met += 1
        self.numbers[account_id] = number
        self.profiles.open(number, days)
        return number

    # --- peer groups ------------------------------------------------------------------------------------------------

    def describe(self, account_id: str, industry: str | None, product: str | None, at_ms: int) -> None:
        """A record says in which industry an account's owner is, or which product was paid out to it."""
        industry, product = (industry or "")[:INDUSTRY_LENGTH], product or ""
        if not industry and not product:
            return
        if self.zero_ms is None:
            self.zero_ms = at_ms
        number = self._number(account_id, (at_ms - self.zero_ms) / DAY_MS)
        known = self._group(number)
        key = self.groups.key_of(known) or Peers()
        wanted = Peers(industry or key.industry, product or key.product, key.kind)
        if wanted != key:
            self._join(number, wanted, known)

    def _group(self, number: int) -> int:
        return int(self.profiles.store[number % self.limits.profiles_max * ROW_FLOATS + ROW_GROUP])

    def _join(self, number: int, key: Peers, before: int) -> int:
        group, fresh = self.groups.join(key, before, self.scored)
        for place in fresh:
            self.novelty.clear(place)
        self.profiles.store[number % self.limits.profiles_max * ROW_FLOATS + ROW_GROUP] = group
        self._touch(number)
        return group

    def _way(self, number: int, account: Account) -> tuple[int, ...]:
        """The groups of an account, finest first."""
        kind, group = account.kind, self._group(number)
        if not group and kind is None:
            return (0,)
        key = self.groups.key_of(group)
        if key is None or (kind is not None and kind != key.kind):
            group = self._join(number, (key or Peers())._replace(kind=kind or ""), group)
        way = self.groups.way_of(group)
        for place in way:
            self.groups.used[place] = self.scored
        return way

    def _peers_on(self, way: tuple[int, ...]) -> int:
        """The first group on the way that has members and payments enough."""
        limits, members = self.limits, self.groups.members
        for place in way[:-1]:
            if members[place] >= limits.peer_members_min and self.novelty.total(place) >= limits.peer_payments_min:
                return place
        return 0

    def _await(self, txn_id: str, waiting: Waiting) -> None:
        """The features wait for the outcome, and some of them say what is usual."""
        before, known = self.waiting.old, self.waiting
        if txn_id in known.new or txn_id in before:
            self.counts["scored_ids_repeated"] += 1  # an outcome speaks of the payment that had the id first
        else:
            known.put(txn_id, waiting)
            if known.old is not before:
                self.counts["scored_payments_forgotten"] += sum(each is not None for each in before.values())
        if self.scored % USUAL_EVERY == 0:
            self.usual.append(waiting.vector)
            del self.usual[:-USUAL_MAX]
        self.scored += 1

    # --- learning ---------------------------------------------------------------------------------------------------

    @property
    def version(self) -> str:
        """What names the model in an alert: how far it has learned is part of it."""
        return f"triage-2+{VERSION}/{self.counts['outcomes_learned']}"

    def since_ms(self, txn_id: str) -> int | None:
        """When a scored payment that awaits its outcome was made; None when it is not (or no longer) one."""
        waiting = self.waiting.get(txn_id)
        return waiting.since_ms if waiting is not None else None

    def learn(self, txn_id: str, outcome_is_misuse: bool, event_time_ms: int) -> bool:
        """Learn from a confirmed outcome of a scored payment; False when the payment is not remembered."""
        waiting = self.waiting.get(txn_id)
        if waiting is None:
            self.counts["outcomes_of_forgotten_payments"] += 1
            return False
        assert self.zero_ms is not None, "a payment waits and none was seen"
        days = (waiting.since_ms - self.zero_ms) / DAY_MS
        half = self.waiting.new if txn_id in self.waiting.new else self.waiting.old
        half[txn_id] = None
        self._touch(waiting.payer)
        self._touch(waiting.payee)
        self.profiles.confirm(waiting.payer, waiting.payee, waiting.currency, outcome_is_misuse, days)
        vector = array("f", waiting.vector)
        grown = self.forests.learn(vector, outcome_is_misuse, self.scorecard.ask(vector), waiting.stood_out)
        if grown:
            self.counts["trees_grown"] += grown
        self.counts["outcomes_learned"] += 1
        return True

    # --- explaining -------------------------------------------------------------------------------------------------

    def explain(self, score: PaymentScore) -> list[Contribution]:
        """What makes the score, by the present model, largest first: the weights add up to its log-odds.

        A term of the scorecard is named ``scorecard:term`` and has its own value; the trees' part is told by feature. ``usual``
        is the median of recent payments; of what the payee is compared with its peers in, the median of the peer group, which
        is named. How far it stands out among them is told figure by figure (``novelty:figure``). ``base`` is what a payment
        would get of which every term was usual.
        """
        vectors = [array("f", packed) for packed in self.usual] or [array("f", score.vector)]
        vector = array("f", score.vector)
        found, base = self._of_scorecard(vector, vectors, score)
        average, added = self.forests.contributions(vector)
        for feature, weight in added.items():
            usual = sorted([each[feature] for each in vectors])[len(vectors) // 2]
            peers = None
            if NAMES[feature] in FIGURE_NAMES:
                usual, peers = self._usual_of(score, FIGURE_NAMES.index(NAMES[feature])), score.peers
            found.append(Contribution(NAMES[feature], vector[feature], usual, weight, peers))
        found = [item for item in found if item.weight != 0.0]
        found.append(Contribution("base", 1.0, 1.0, base + average))
        return sorted(found, key=lambda item: (item.feature == "base", -abs(item.weight), item.feature))

    def odds(self, vector: array[float]) -> float:
        """The log-odds that the present model gives a vector of features."""
        return self.scorecard.ask(vector) + self.forests.ask(vector)

    def _of_scorecard(
        self, vector: array[float], vectors: list[array[float]], score: PaymentScore
    ) -> tuple[list[Contribution], float]:
        terms = []
        for each in vectors:
            self.scorecard.ask(each)
            terms.append(self.scorecard.terms_store.tolist())
        self.scorecard.ask(vector)
        found, base = [], BIAS
        for i, name in enumerate(TERMS):
            value, usual = self.scorecard.terms_store[i], sorted([each[i] for each in terms])[len(terms) // 2]
            base += WEIGHTS[name] * usual
            found += self._of_term(name, value, usual, vector, score)
        return found, base

    def _of_term(self, name: str, value: float, usual: float, vector: array[float], score: PaymentScore) -> list[Contribution]:
        """One contribution; of a payee that stands out among its peers one a figure, by what each says."""
        weight = WEIGHTS[name] * (value - usual)
        if name != "novel" or weight <= 0.0:
            return [Contribution(f"scorecard:{name}", value, usual, weight, score.peers if name == "novel" else None)]
        self.novelty.ask(self._place_of(score), vector)
        said = self.novelty.said_store.tolist()
        return [
            Contribution(f"novelty:{figure}", vector[NAMES.index(figure)], self._usual_of(score, i),
                         weight * said[i] / sum(said), score.peers)
            for i, figure in enumerate(FIGURE_NAMES)
            if said[i] > 0.0
        ] or [Contribution(f"scorecard:{name}", value, usual, weight, score.peers)]  # fmt: skip

    def _place_of(self, score: PaymentScore) -> int:
        """The peer group that a score was made with; all accounts when it is forgotten since."""
        return self.groups.names.index(score.peers) if score.peers in self.groups.names else 0

    def _usual_of(self, score: PaymentScore, figure: int) -> float:
        return self.novelty.usual(self._place_of(score), figure)

    # --- state ------------------------------------------------------------------------------------------------------

    def packed_bytes(self) -> int:
        """What the profiles take, packed."""
        return len(self.names) * ROW_BYTES

    def snapshot(self) -> dict[str, Any]:
        """The state as plain data."""
        return {
            **self.small_parts(),
            "accounts": list(self.names),
            "rows": text_of(self.profiles.store[: len(self.names) * ROW_FLOATS].tobytes()),
            "waiting": [[_row(txn_id, each) for txn_id, each in half.items()] for half in (self.waiting.old, self.waiting.new)],
            "waiting_turns": [self.waiting.turns, self.waiting.forgotten],
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take the state that :meth:`snapshot` has given."""
        self.take_rows(data["accounts"], bytes_of(data["rows"]))
        self.waiting.old, self.waiting.new = (dict(map(_waiting, half)) for half in data["waiting"])
        self.waiting.turns, self.waiting.forgotten = data["waiting_turns"]
        self.take_small_parts(data)

    # --- state in parts: what a checkpoint need not write anew ------------------------------------------------------

    def small_parts(self) -> dict[str, Any]:
        """The state without what grows with accounts (rows) and with payments (those that wait)."""
        return {
            "groups": self.groups.snapshot(),
            "novelty": text_of(self.novelty.count_store[: len(self.groups.keys) * NOVELTY_CELLS].tobytes()),
            "novelty_totals": text_of(self.novelty.total_store.tobytes()),
            "wide": text_of(self.profiles.wide_store.tobytes()),
            "scorecard": [self.scorecard.spends, self.scorecard.seen],
            "forests": self.forests.snapshot(),
            "zero_ms": self.zero_ms,
            "met": self.met,
            "currencies": dict(self.currencies),
            "usual": [text_of(vector) for vector in self.usual],
            "counts": dict(self.counts),
            "scored": self.scored,
            "bar": self.bar,
        }

    def take_small_parts(self, data: Mapping[str, Any]) -> None:
        """The opposite of :meth:`small_parts`."""
        fill(self.profiles.wide_store, data["wide"])
        fill(self.novelty.count_store, data["novelty"])
        fill(self.novelty.total_store, data["novelty_totals"])
        self.groups.restore(data["groups"])
        self.scorecard.spends, self.scorecard.seen = data["scorecard"]
        self.forests.restore(data["forests"])
        self.zero_ms, self.met, self.scored = data["zero_ms"], data["met"], data["scored"]
        self.bar = data["bar"]
        self.currencies = dict(data["currencies"])
        self.usual = [bytes_of(text) for text in data["usual"]]
        self.counts = Counter(data["counts"])

    def rows_of(self, rows: Matrix) -> tuple[list[str], bytes]:
        """(Accounts, packed profiles one behind the other) of some rows."""
        names = self.names
        return [names[row] for row in rows.tolist()], self._matrix()[rows].tobytes()

    def take_rows(self, names: list[str], packed: bytes) -> None:
        """All rows, in their order: the opposite of :meth:`rows_of`."""
        self.names = list(names)
        if len(names) > self.profiles.size:
            self.profiles.grow(len(names) - 1)
        matrix = self._matrix()
        matrix[: len(names)] = np.frombuffer(packed, np.float32).reshape(-1, ROW_FLOATS)
        self.numbers = dict(zip(self.names, matrix[: len(names), ROW_NUMBER].astype(np.int64).tolist(), strict=True))
        self.touched = bytearray(len(names))

    def _matrix(self) -> Matrix:
        """The profiles' rows, not a copy; let go of it before a row is added."""
        return np.frombuffer(self.profiles.store, np.float32).reshape(-1, ROW_FLOATS)

    def take_touched(self) -> bytearray:
        """Which rows may have changed since this was last asked; from now on those of the next time are noted."""
        touched, self.touched = self.touched, bytearray(len(self.names))
        return touched

    def give_back_touched(self, touched: bytearray) -> None:
        """What was taken has not been used: it counts for the next time, too."""
        for row, is_touched in enumerate(touched):
            self.touched[row] |= is_touched

    def learned(self) -> list[str]:
        """Payments that waited and no longer do, in an order that does not depend on how they came."""
        return sorted(txn_id for half in (self.waiting.old, self.waiting.new) for txn_id, each in half.items() if each is None)

    def _touch(self, number: int) -> None:
        self.touched[number % self.limits.profiles_max] = 1


def _numbers_of(profiles_max: int) -> int:
    """How many numbers there are: a multiple of the rows, which 32-bit floats tell apart."""
    return max(1, (1 << 24) // profiles_max) * profiles_max


def _row(txn_id: str, waiting: Waiting | None) -> list[Any]:
    if waiting is None:
        return [txn_id]
    return [
        txn_id,
        waiting.since_ms,
        waiting.payer,
        waiting.payee,
        waiting.currency,
        text_of(waiting.vector),
        waiting.stood_out,
    ]


def _waiting(row: list[Any]) -> tuple[str, Waiting | None]:
    if len(row) == 1:
        return row[0], None
    return row[0], Waiting(row[1], row[2], row[3], row[4], bytes_of(row[5]), row[6])


def _squash(odds: float) -> float:
    return 1.0 / (1.0 + exp(-odds)) if odds > -700 else 0.0
