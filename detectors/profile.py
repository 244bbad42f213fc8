"""Counterparty profiles: what an account usually receives and pays, how fast, and with whom; and what that says of a payment.

One row of 32-bit floats an account, in one flat array: fading counts and sums of three horizons, means, first and last times,
the counterparties dealt with last in each direction, and confirmed outcomes. Times are days since the first payment. Accounts
are numbers in the order in which they were met, so no name reaches a feature, and no time of day does: times enter as
differences only. What belongs to every currency is compared as it stands, in minor units.

Catches what shows in an account's recent past and in that of its counterparties: money passed on quickly and whole, bursts of
new counterparties, groups that pay the same payees, rings, layers. Misses what is older than the remembered counterparties
or what needs more than three steps.

This file is also compiled (``profile.pxd`` gives the types): loops over plain numbers, no containers, no exceptions. A number
has the same bits in both.
"""

from __future__ import annotations

from array import array

PEERS = 12
PEER = 4
SCALARS = 48
IN0 = SCALARS
OUT0 = SCALARS + PEERS * PEER
WIDTH = SCALARS + 2 * PEERS * PEER
# What is asked of a counterparty stands in the first 64 bytes of its row: one fetch from memory.
NUMBER, IN_T, OUT_T = 0, 1, 2
IN_N, OUT_N = 3, 6
BAD_OUT, BAD_IN, BAD_T, GOOD, FIRST, CURRENCY, GROUP = 9, 10, 11, 12, 13, 14, 15
IN_S, OUT_S = 16, 19
X_IN_T, X_OUT_T, X_IN_N, X_IN_S, X_OUT_N, X_OUT_S = 22, 23, 24, 25, 26, 27
COUNT_IN, COUNT_OUT, NEW_IN, NEW_OUT, MEAN_IN, MEAN_OUT = 28, 29, 30, 31, 32, 33
X_COUNT_IN, X_COUNT_OUT, X_MEAN_IN, X_MEAN_OUT = 34, 35, 36, 37
FAR = 1000.0
AGE = 30.0
NEAR = 5.0
WIDE = 20.0
TRAIL_MAX = 32
TRAIL_HOPS = 8.0
MEAN_OVER = 30.0
BINS = 128
KINDS = 256

# For other modules: constants that have a C type in the compiled twin are not seen from outside.
ROW_FLOATS = WIDTH
ROW_BYTES = 4 * WIDTH
ROW_NUMBER = NUMBER
ROW_GROUP = GROUP


def names_of_features() -> tuple[str, ...]:
    """Every feature, in the order of :meth:`Profiles.features`."""
    names = ["amount_rank", "amount_zeros", "kind", "currency_share", "currency_risk", "payee_currency_share",
             "payee_currency_risk", "of_balance"]  # fmt: skip
    for who in ("payer", "payee"):
        names += [f"{who}_{way}_peers_{days}d" for way in ("in", "out") for days in (1, 7, 30)]
        for days in (1, 7, 30):
            names += [f"{who}_{what}_{days}d" for what in ("in_count", "out_count", "in_share", "out_share", "passes_on")]
        names += [f"{who}_{what}" for what in ("since_in", "since_out", "age", "of_usual_in", "of_usual_out", "receives",
                  "new_payers", "new_payees", "outside_since_in", "outside_since_out", "outside_in_share",
                  "outside_out_share", "outside_of_usual_in", "outside_of_usual_out", "outside_spends", "outside_out_count",
                  "confirmed_out", "confirmed_in", "confirmed_share", "since_confirmed")]  # fmt: skip
    for whom in ("payer_payers", "payer_payees", "payee_payers", "payee_payees"):
        names += [f"{whom}_{what}" for what in ("confirmed", "fan_out", "fan_in", "confirmed_share")]
    names += ["match", "match_age", "match_ratio", "of_in_3d", "of_in_14d"]
    names += ["pair_count", "pair_since", "pair_of_last", "pair_back_count", "pair_back_since"]
    names += ["groups_5d", "groups_20d", "common_source", "cycle", "shortcut"]
    names += ["ring_hops", "ring_days", "trail_hops", "trail_accounts", "trail_confirmed_share"]
    names += ["payee_novelty"]  # not made here: detectors/learners/novelty.py
    return tuple(names)


NAMES = names_of_features()


class Profiles:
    """The rows of all accounts, by number.

    Args:
        size_max: rows; a number's row is ``number % size_max``, so the account known longest makes room.
    """

    def __init__(self, size_max: int) -> None:
        self.size_max = size_max
        self.size = 64 if size_max > 64 else size_max
        self.store = array("f", bytes(4 * WIDTH * self.size))
        self.rows = self.store
        self.out = array("f", bytes(4 * len(NAMES)))
        self.x = self.out
        self.wide_store = array("d", bytes(8 * (BINS + 3 * KINDS + 1)))
        self.wide = self.wide_store
        self.grid_store = array("d", [2.0 ** (i / 4.0) for i in range(BINS)])
        self.grid = self.grid_store
        self.decay_store = array("d", _decays())
        self.decay = self.decay_store
        self.way_store = array("d", bytes(8 * 3 * TRAIL_MAX))  # account, time, steps: whom the walk back has met
        self.way = self.way_store

    # --- rows -------------------------------------------------------------------------------------------------------

    def open(self, number: int, days: float) -> None:
        """Begin the row of an account met now; whoever had it is forgotten."""
        slot = number % self.size_max
        if slot >= self.size:
            self.grow(slot)
        at = slot * WIDTH
        for i in range(WIDTH):
            self.rows[at + i] = 0.0
        self.rows[at + NUMBER] = number
        self.rows[at + FIRST] = days
        self.rows[at + IN_T] = -FAR
        self.rows[at + OUT_T] = -FAR
        self.rows[at + X_IN_T] = -FAR
        self.rows[at + X_OUT_T] = -FAR
        self.rows[at + BAD_T] = -FAR
        self.rows[at + CURRENCY] = -1.0
        for i in range(2 * PEERS):
            self.rows[at + IN0 + i * PEER] = -1.0

    def grow(self, slot: int) -> None:
        """Room for more rows, up to ``size_max``."""
        size = self.size
        while size <= slot:
            size = size * 2
        if size > self.size_max:
            size = self.size_max
        store = array("f", bytes(4 * WIDTH * size))
        store[: WIDTH * self.size] = self.store
        self.store = store
        self.rows = store
        self.size = size

    def slot(self, number: int) -> int:
        """The row of an account; most numbers are rows, and a division is slow."""
        return number if number < self.size_max else number % self.size_max

    def row(self, row: int) -> bytes:
        """A row, packed."""
        return self.store[row * WIDTH : (row + 1) * WIDTH].tobytes()

    def vector(self) -> bytes:
        """The features computed last, packed."""
        return self.out.tobytes()

    def fade(self, days: float, horizon: float) -> float:
        """What is left of 1 after that many days: exp(-days / horizon), between the points of a table."""
        if days <= 0.0:
            return 1.0
        k = days * 32.0 / horizon
        if k >= 511.0:
            return 0.0
        i = int(k)
        f = k - i
        return self.decay[i] * (1.0 - f) + self.decay[i + 1] * f

    def find(self, base: int, peer: float) -> int:
        """Where a counterparty stands among those remembered; -1: nowhere."""
        for i in range(PEERS):
            if self.rows[base + i * PEER] == peer:
                return i
        return -1

    def note(self, base: int, peer: int, days: float, amount: float) -> int:
        """A counterparty was dealt with: it stands first now. 1 if it was not remembered; the last one makes room."""
        i = self.find(base, peer)
        new = 0
        count = 0.0
        if i < 0:
            new = 1
            i = PEERS - 1
        else:
            count = self.rows[base + i * PEER + 3]
        while i > 0:
            to = base + i * PEER
            self.rows[to] = self.rows[to - PEER]
            self.rows[to + 1] = self.rows[to - PEER + 1]
            self.rows[to + 2] = self.rows[to - PEER + 2]
            self.rows[to + 3] = self.rows[to - PEER + 3]
            i -= 1
        self.rows[base] = peer
        self.rows[base + 1] = days
        self.rows[base + 2] = amount
        self.rows[base + 3] = count + 1.0
        return new

    def flow(self, at: int, counts: int, sums: int, last: int, amount: float, days: float) -> None:
        """Fade three counts and the three sums behind them, and add a payment."""
        since = days - self.rows[at + last]
        for k in range(3):
            horizon = 1.0 if k == 0 else (7.0 if k == 1 else 30.0)
            left = self.fade(since, horizon)
            self.rows[at + counts + k] = self.rows[at + counts + k] * left + 1.0
            self.rows[at + sums + k] = self.rows[at + sums + k] * left + amount
        if since > 0.0:
            self.rows[at + last] = days

    def usual(self, at: int, count: int, mean: int, amount: float) -> None:
        """A mean that follows its last thirty payments."""
        self.rows[at + count] = self.rows[at + count] + 1.0
        n = self.rows[at + count]
        if n > MEAN_OVER:
            n = MEAN_OVER
        self.rows[at + mean] = self.rows[at + mean] + (amount - self.rows[at + mean]) / n

    def pay(self, payer: int, payee: int, amount: float, days: float, currency: int) -> None:
        """Both profiles learn of a payment from account to account."""
        u = self.slot(payer) * WIDTH
        v = self.slot(payee) * WIDTH
        self.flow(u, OUT_N, OUT_S, OUT_T, amount, days)
        self.usual(u, COUNT_OUT, MEAN_OUT, amount)
        self.rows[u + NEW_OUT] = self.rows[u + NEW_OUT] + self.note(u + OUT0, payee, days, amount)
        self.flow(v, IN_N, IN_S, IN_T, amount, days)
        self.usual(v, COUNT_IN, MEAN_IN, amount)
        self.rows[v + NEW_IN] = self.rows[v + NEW_IN] + self.note(v + IN0, payer, days, amount)
        self.rows[u + CURRENCY] = currency
        self.wide[BINS + currency] = self.wide[BINS + currency] + 1.0
        self.wide[BINS + 3 * KINDS] = self.wide[BINS + 3 * KINDS] + 1.0
        b = self.bin(amount)
        self.wide[b] = self.wide[b] + 1.0

    def outside(self, number: int, amount: float, days: float, is_in: bool) -> None:
        """A profile learns of a payment from or to nobody in particular: cash, shops without an account, the outside."""
        at = self.slot(number) * WIDTH
        last = X_IN_T if is_in else X_OUT_T
        count = X_IN_N if is_in else X_OUT_N
        left = self.fade(days - self.rows[at + last], 30.0)
        self.rows[at + count] = self.rows[at + count] * left + 1.0
        self.rows[at + count + 1] = self.rows[at + count + 1] * left + amount
        if days > self.rows[at + last]:
            self.rows[at + last] = days
        if is_in:
            self.usual(at, X_COUNT_IN, X_MEAN_IN, amount)
        else:
            self.usual(at, X_COUNT_OUT, X_MEAN_OUT, amount)

    def confirm(self, payer: int, payee: int, currency: int, is_bad: bool, days: float) -> None:
        """Both profiles learn the outcome of a payment made ``days`` after the first; forgotten accounts learn nothing."""
        u = self.slot(payer) * WIDTH
        v = self.slot(payee) * WIDTH
        self.wide[BINS + 2 * KINDS + currency] = self.wide[BINS + 2 * KINDS + currency] + 1.0
        if is_bad:
            self.wide[BINS + KINDS + currency] = self.wide[BINS + KINDS + currency] + 1.0
        if self.rows[u + NUMBER] == payer:
            self.outcome(u, BAD_OUT, is_bad, days)
        if self.rows[v + NUMBER] == payee:
            self.outcome(v, BAD_IN, is_bad, days)

    def outcome(self, at: int, bad: int, is_bad: bool, days: float) -> None:
        """One outcome in one profile."""
        if is_bad:
            self.rows[at + bad] = self.rows[at + bad] + 1.0
            if days > self.rows[at + BAD_T]:
                self.rows[at + BAD_T] = days
        else:
            self.rows[at + GOOD] = self.rows[at + GOOD] + 1.0

    # --- what is asked of a payment ---------------------------------------------------------------------------------

    def features(self, payer: int, payee: int, amount: float, days: float, kind: int, currency: int, balance: float) -> None:
        """All features of a payment that no profile knows of yet, to ``out``.

        Args:
            kind: 0 a transfer, 1 a purchase, 2 cash.
            balance: of the payer before it; negative: not known.
        """
        u = self.slot(payer) * WIDTH
        v = self.slot(payee) * WIDTH
        j = self.terms(v, amount, kind, currency, balance)
        j = self.habits(u, amount, days, j)
        j = self.habits(v, amount, days, j)
        j = self.company(u + IN0, days, j)
        j = self.company(u + OUT0, days, j)
        j = self.company(v + IN0, days, j)
        j = self.company(v + OUT0, days, j)
        j = self.passing(u + IN0, amount, days, j)
        j = self.pair(u, payee, amount, days, j)
        self.structure(u, v, payer, payee, days, j)

    def bin(self, amount: float) -> int:
        """The amount's place on a scale of quarter doublings."""
        low = 0
        high = BINS - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self.grid[middle] <= amount:
                low = middle
            else:
                high = middle - 1
        return low

    def terms(self, v: int, amount: float, kind: int, currency: int, balance: float) -> int:
        """What the payment itself says: rank of the amount among all, roundness, kind, currency."""
        b = self.bin(amount)
        below = 0.0
        total = 1.0
        for i in range(BINS):
            if i < b:
                below += self.wide[i]
            total += self.wide[i]
        zeros = 0.0
        left = amount
        while left >= 10.0 and left % 10.0 == 0.0:
            zeros += 1.0
            left = left / 10.0
        self.x[0] = below / total
        self.x[1] = zeros
        self.x[2] = kind
        self.x[3] = self.currency_share(currency)
        self.x[4] = self.currency_risk(currency)
        its = int(self.rows[v + CURRENCY])
        self.x[5] = self.currency_share(its) if its >= 0 else -1.0
        self.x[6] = self.currency_risk(its) if its >= 0 else -1.0
        self.x[7] = amount / (amount + balance) if balance >= 0.0 else -1.0
        return 8

    def currency_share(self, currency: int) -> float:
        """Of all payments."""
        total = self.wide[BINS + 3 * KINDS]
        return self.wide[BINS + currency] / total if total > 0.0 else 1.0

    def currency_risk(self, currency: int) -> float:
        """Confirmed share of its outcomes, as if 50 more had been of the usual kind (1 in 100)."""
        return (self.wide[BINS + KINDS + currency] + 0.5) / (self.wide[BINS + 2 * KINDS + currency] + 50.0)

    def windows(self, base: int, days: float, j: int) -> int:
        """Counterparties dealt with in the last 1, 7 and 30 days."""
        one = 0.0
        seven = 0.0
        thirty = 0.0
        for i in range(PEERS):
            if self.rows[base + i * PEER] < 0.0:
                break
            age = days - self.rows[base + i * PEER + 1]
            if age > 30.0:
                break
            thirty += 1.0
            if age <= 7.0:
                seven += 1.0
                if age <= 1.0:
                    one += 1.0
        self.x[j] = one
        self.x[j + 1] = seven
        self.x[j + 2] = thirty
        return j + 3

    def habits(self, at: int, amount: float, days: float, j: int) -> int:
        """One account: how much comes and goes at three horizons, how the amount compares, and what was confirmed of it."""
        j = self.windows(at + IN0, days, j)
        j = self.windows(at + OUT0, days, j)
        since_in = days - self.rows[at + IN_T]
        since_out = days - self.rows[at + OUT_T]
        for k in range(3):
            horizon = 1.0 if k == 0 else (7.0 if k == 1 else 30.0)
            left_in = self.fade(since_in, horizon)
            left_out = self.fade(since_out, horizon)
            came = self.rows[at + IN_S + k] * left_in
            went = self.rows[at + OUT_S + k] * left_out
            self.x[j] = self.rows[at + IN_N + k] * left_in
            self.x[j + 1] = self.rows[at + OUT_N + k] * left_out
            self.x[j + 2] = came / (came + amount)
            self.x[j + 3] = went / (went + amount)
            self.x[j + 4] = went / (went + came + 1.0)
            j += 5
        age = days - self.rows[at + FIRST]
        count_in = self.rows[at + COUNT_IN]
        count_out = self.rows[at + COUNT_OUT]
        self.x[j] = since_in if since_in < FAR else FAR
        self.x[j + 1] = since_out if since_out < FAR else FAR
        self.x[j + 2] = age if age < AGE else AGE
        self.x[j + 3] = amount / (amount + self.rows[at + MEAN_IN] + 1.0)
        self.x[j + 4] = amount / (amount + self.rows[at + MEAN_OUT] + 1.0)
        self.x[j + 5] = count_in / (count_in + count_out + 1.0)
        self.x[j + 6] = self.rows[at + NEW_IN] / (count_in + 1.0)
        self.x[j + 7] = self.rows[at + NEW_OUT] / (count_out + 1.0)
        return self.beyond(at, amount, days, j + 8)

    def beyond(self, at: int, amount: float, days: float, j: int) -> int:
        """One account's dealings with the outside, and confirmed outcomes."""
        since_in = days - self.rows[at + X_IN_T]
        since_out = days - self.rows[at + X_OUT_T]
        left_in = self.fade(since_in, 30.0)
        left_out = self.fade(since_out, 30.0)
        came = self.rows[at + X_IN_S] * left_in
        went = self.rows[at + X_OUT_S] * left_out
        self.x[j] = since_in if since_in < FAR else FAR
        self.x[j + 1] = since_out if since_out < FAR else FAR
        self.x[j + 2] = came / (came + amount)
        self.x[j + 3] = went / (went + amount)
        self.x[j + 4] = amount / (amount + self.rows[at + X_MEAN_IN] + 1.0)
        self.x[j + 5] = amount / (amount + self.rows[at + X_MEAN_OUT] + 1.0)
        self.x[j + 6] = went / (went + came + 1.0)
        self.x[j + 7] = self.rows[at + X_OUT_N] * left_out
        bad = self.rows[at + BAD_OUT] + self.rows[at + BAD_IN]
        since = days - self.rows[at + BAD_T]
        self.x[j + 8] = self.rows[at + BAD_OUT]
        self.x[j + 9] = self.rows[at + BAD_IN]
        self.x[j + 10] = bad / (bad + self.rows[at + GOOD] + 1.0)
        self.x[j + 11] = since if since < FAR else FAR
        return j + 12

    def company(self, base: int, days: float, j: int) -> int:
        """Counterparties of the last 30 days: confirmed ones, and the busiest of them."""
        bad = 0.0
        count = 0.0
        fan_out = 0.0
        fan_in = 0.0
        for i in range(PEERS):
            b = base + i * PEER
            if self.rows[b] < 0.0 or days - self.rows[b + 1] > 30.0:
                break
            peer = int(self.rows[b])
            q = self.slot(peer) * WIDTH
            if self.rows[q + NUMBER] != peer:
                continue
            count += 1.0
            if self.rows[q + BAD_OUT] + self.rows[q + BAD_IN] > 0.0:
                bad += 1.0
            went = self.rows[q + OUT_N + 1] * self.fade(days - self.rows[q + OUT_T], 7.0)
            came = self.rows[q + IN_N + 1] * self.fade(days - self.rows[q + IN_T], 7.0)
            if went > fan_out:
                fan_out = went
            if came > fan_in:
                fan_in = came
        self.x[j] = bad
        self.x[j + 1] = fan_out
        self.x[j + 2] = fan_in
        self.x[j + 3] = bad / (count + 1.0)
        return j + 4

    def passing(self, base: int, amount: float, days: float, j: int) -> int:
        """How well the amount matches one that the payer received in the last 14 days, and all that it received."""
        best = 0.0
        best_age = FAR
        ratio = 9.0
        three = 0.0
        fourteen = 0.0
        for i in range(PEERS):
            b = base + i * PEER
            if self.rows[b] < 0.0:
                break
            age = days - self.rows[b + 1]
            if age > 14.0:
                break
            got = self.rows[b + 2]
            fourteen += got
            if age <= 3.0:
                three += got
            match = amount / got if amount < got else got / amount
            if match > best:
                best = match
                best_age = age
                ratio = amount / got
        self.x[j] = best
        self.x[j + 1] = best_age
        self.x[j + 2] = ratio if ratio < 9.0 else 9.0
        self.x[j + 3] = amount / (three + amount)
        self.x[j + 4] = amount / (fourteen + amount)
        return j + 5

    def pair(self, u: int, payee: int, amount: float, days: float, j: int) -> int:
        """What the two had to do with each other before, in both directions."""
        i = self.find(u + OUT0, payee)
        b = u + OUT0 + i * PEER
        self.x[j] = self.rows[b + 3] if i >= 0 else 0.0
        self.x[j + 1] = days - self.rows[b + 1] if i >= 0 else FAR
        self.x[j + 2] = amount / (amount + self.rows[b + 2]) if i >= 0 else 1.0
        i = self.find(u + IN0, payee)
        b = u + IN0 + i * PEER
        self.x[j + 3] = self.rows[b + 3] if i >= 0 else 0.0
        self.x[j + 4] = days - self.rows[b + 1] if i >= 0 else FAR
        return j + 5

    def structure(self, u: int, v: int, payer: int, payee: int, days: float, j: int) -> None:
        """Shapes that need no search: groups with the same payees, common sources, rings of three and four, short cuts."""
        near = 0.0
        wide = 0.0
        for i in range(PEERS):  # who else pays the payer's other payees, and pays this payee too
            b = u + OUT0 + i * PEER
            if self.rows[b] < 0.0 or days - self.rows[b + 1] > WIDE:
                break
            other = int(self.rows[b])
            q = self.slot(other) * WIDTH
            if other == payee or self.rows[q + NUMBER] != other:
                continue
            for k in range(PEERS):
                c = q + IN0 + k * PEER
                if self.rows[c] < 0.0 or days - self.rows[c + 1] > WIDE:
                    break
                if self.rows[c] == payer:
                    continue
                m = self.find(v + IN0, self.rows[c])
                if m >= 0:
                    last = days - self.rows[v + IN0 + m * PEER + 1]
                    if last <= WIDE:
                        wide += 1.0
                        if last <= NEAR and days - self.rows[c + 1] <= NEAR and days - self.rows[b + 1] <= NEAR:
                            near += 1.0
        self.x[j] = near
        self.x[j + 1] = wide
        self.sources(u, v, payer, payee, days, j + 2)
        self.trail(payer, payee, days, j + 5)

    def sources(self, u: int, v: int, payer: int, payee: int, days: float, j: int) -> None:
        """Who paid the payers: sources in common, the payee among them, or a payee who is paid by a payer's payer itself."""
        common = 0.0
        cycle = 0.0
        shortcut = 0.0
        for i in range(PEERS):  # the payee's other payers
            b = v + IN0 + i * PEER
            if self.rows[b] < 0.0 or days - self.rows[b + 1] > WIDE:
                break
            other = int(self.rows[b])
            q = self.slot(other) * WIDTH
            if other == payer or self.rows[q + NUMBER] != other:
                continue
            if self.is_recent(u + IN0, other, days):
                shortcut += 1.0
            for k in range(PEERS):
                c = q + IN0 + k * PEER
                if self.rows[c] < 0.0 or days - self.rows[c + 1] > WIDE:
                    break
                if self.is_recent(u + IN0, int(self.rows[c]), days):
                    common += 1.0
        for i in range(PEERS):  # the payer's payers
            b = u + IN0 + i * PEER
            if self.rows[b] < 0.0 or days - self.rows[b + 1] > WIDE:
                break
            other = int(self.rows[b])
            q = self.slot(other) * WIDTH
            if self.rows[q + NUMBER] != other:
                continue
            for k in range(PEERS):
                c = q + IN0 + k * PEER
                if self.rows[c] < 0.0 or days - self.rows[c + 1] > WIDE:
                    break
                far = int(self.rows[c])
                w = self.slot(far) * WIDTH
                if far == payee or (self.rows[w + NUMBER] == far and self.is_recent(w + IN0, payee, days)):
                    cycle += 1.0
        self.x[j] = common
        self.x[j + 1] = cycle
        self.x[j + 2] = shortcut

    def trail(self, payer: int, payee: int, days: float, j: int) -> None:
        """Walk back over whom the payer's money may have come from, in falling order of time, nearest first.

        Does the payee stand there, its money has gone round. Bounded in accounts (``TRAIL_MAX``), steps and days.
        """
        self.way[0] = payer
        self.way[1] = days
        self.way[2] = 1.0
        count = 1
        at = 0
        ring = 0.0
        since = FAR
        bad = 0.0
        steps = 1.0
        while at < count and ring == 0.0:
            who = int(self.way[3 * at])
            before = self.way[3 * at + 1]
            steps = self.way[3 * at + 2]
            q = self.slot(who) * WIDTH
            at += 1
            if self.rows[q + NUMBER] != who:
                continue
            if self.rows[q + BAD_OUT] + self.rows[q + BAD_IN] > 0.0:
                bad += 1.0
            for i in range(PEERS):
                b = q + IN0 + i * PEER
                if self.rows[b] < 0.0 or days - self.rows[b + 1] > WIDE:
                    break
                if self.rows[b + 1] > before:
                    continue
                other = int(self.rows[b])
                if other == payee:
                    if steps > 1.0:
                        ring = steps + 1.0
                        since = days - self.rows[b + 1]
                        break
                elif steps < TRAIL_HOPS and count < TRAIL_MAX and self.is_fresh(other, count):
                    self.way[3 * count] = other
                    self.way[3 * count + 1] = self.rows[b + 1]
                    self.way[3 * count + 2] = steps + 1.0
                    count += 1
        self.x[j] = ring
        self.x[j + 1] = since
        self.x[j + 2] = self.way[3 * count - 1] - 1.0
        self.x[j + 3] = count - 1
        self.x[j + 4] = bad / (at + 1.0)

    def is_fresh(self, other: int, count: int) -> bool:
        """Whether the walk back has not met an account."""
        i = 0
        while i < count and self.way[3 * i] != other:
            i += 1
        return i == count

    def is_recent(self, base: int, peer: int, days: float) -> bool:
        """Whether a counterparty was dealt with in the last 20 days."""
        i = self.find(base, peer)
        return i >= 0 and days - self.rows[base + i * PEER + 1] <= WIDE


def _decays() -> list[float]:
    """exp(-i / 32) for i below 512, by steps of one factor, so that it has the same bits everywhere."""
    step = 0.9692332344763441  # exp(-1/32)
    found = []
    left = 1.0
    for _ in range(512):
        found.append(left)
        left = left * step
    return found
