"""The scorecard: what an investigator would say of a payment before anything was learned. Readable, and versioned.

Each term is between 0 and 1, or nearly so; its weight is in log-odds. Their sum, with ``BIAS``, is the cold start, and the
trees that outcomes grow add to it. The terms are relative: shares, ratios, counts that saturate, and how the accounts
compare with the average account. Catches money that is passed on whole and soon, groups that pay the same payees, bursts.
Misses whatever looks like ordinary spending. Compiled like ``detectors/profile.py``, with the same bits.
"""

from __future__ import annotations

from array import array

from detectors.profile import NAMES

VERSION = "scorecard-2"
BIAS = -7.0
WEIGHTS = {
    "group": 3.0,  # others who pay the payer's payees pay this payee, too
    "passed_on": 3.0,  # the amount matches one received in the last days, and is large
    "large": 0.5,
    "collects": 0.7,  # the payer has received much lately
    "burst": 1.5,  # the payer has just made other payments
    "payee_burst": 1.0,  # the payee has just received others
    "common_source": 1.5,  # the payee's other payers have a payer in common with this one
    "payer_idle": 1.5,  # an account that is known for a while and hardly used for ordinary spending
    "payee_idle": 1.0,
    "new_pair": 1.5,
    "habit": -2.0,  # a purchase or cash
    "over_usual": 0.5,  # more than the payee usually receives
    "receives": 1.0,  # the payer mostly receives
    "funded": 0.5,  # what the payer has received this week covers the amount
    "confirmed": 1.0,  # of the outcomes about one of the two, the share that was misuse: one outcome tells at once
    "confirmed_near": 1.0,  # of those whom the two have dealt with lately, the share with a confirmed misuse
    "novel": 2.2,  # the payee is far out in the tails of its peer group
}
TERMS = tuple(WEIGHTS)

_GROUP, _MATCH, _MATCH_AGE, _MATCH_RATIO = (NAMES.index(n) for n in ("groups_20d", "match", "match_age", "match_ratio"))
_RANK, _COLLECTS, _BURST, _PAYEE_BURST = (
    NAMES.index(n) for n in ("amount_rank", "payer_in_count_7d", "payer_out_count_1d", "payee_in_count_1d")
)
_COMMON, _SPENDS, _PAYEE_SPENDS, _AGE, _PAYEE_AGE = (
    NAMES.index(n) for n in ("common_source", "payer_outside_out_count", "payee_outside_out_count", "payer_age", "payee_age")
)
_PAIR, _KIND, _OVER, _RECEIVES, _FUNDED = (
    NAMES.index(n) for n in ("pair_count", "kind", "payee_of_usual_in", "payer_receives", "payer_in_share_7d")
)
_KNOWN, _PAYEE_KNOWN, _NEAR, _PAYEE_NEAR = (
    NAMES.index(n)
    for n in ("payer_confirmed_share", "payee_confirmed_share", "payer_payers_confirmed_share", "payee_payers_confirmed_share")
)
_NOVEL = NAMES.index("payee_novelty")


class Scorecard:
    """The sum of the terms, and what the average payment's accounts spend outside, which some are compared with."""

    def __init__(self) -> None:
        self.terms_store = array("d", bytes(8 * len(TERMS)))
        self.terms = self.terms_store
        self.weights_store = array("d", WEIGHTS.values())
        self.weights = self.weights_store
        self.number = len(TERMS)
        self.bias = BIAS
        self.spends = 0.0
        self.seen = 0.0
        self.last = array("f", bytes(4 * len(NAMES)))

    def bind(self, last: array[float]) -> None:
        """Where the vector of the payment at hand stands."""
        self.last = last

    def ask_last(self) -> float:
        """Log-odds of the payment at hand."""
        return self.ask(self.last)

    def see_last(self) -> None:
        """Learn what is average from the payment at hand."""
        self.see(self.last)

    def ask(self, x: array[float]) -> float:
        """Log-odds of a vector of features; leaves the terms in ``terms``."""
        self.fill(x)
        total = self.bias
        for i in range(self.number):
            total += self.weights[i] * self.terms[i]
        return total

    def see(self, x: array[float]) -> None:
        """Learn what is average: a mean that follows its last thousand payments."""
        if self.seen < 1000.0:
            self.seen = self.seen + 1.0
        mean = x[_SPENDS] * 0.5 + x[_PAYEE_SPENDS] * 0.5  # each made a double first
        self.spends = self.spends + (mean - self.spends) / self.seen

    def fill(self, x: array[float]) -> None:
        """The terms of a vector, in the order of ``TERMS``."""
        large = x[_RANK] * 2.0 - 1.0 if x[_RANK] > 0.5 else 0.0
        passed = (x[_MATCH] - 0.85) / 0.15 if x[_MATCH] > 0.85 else 0.0
        if x[_MATCH_AGE] >= 5.0 or x[_MATCH_RATIO] > 1.02:
            passed = 0.0
        over = x[_OVER] * 2.0 - 1.0 if x[_OVER] > 0.5 and x[_PAYEE_AGE] > 5.0 else 0.0
        self.terms[0] = x[_GROUP] / (x[_GROUP] + 1.0)
        self.terms[1] = passed * large
        self.terms[2] = large * large
        self.terms[3] = x[_COLLECTS] / (x[_COLLECTS] + 2.0)
        self.terms[4] = x[_BURST] / (x[_BURST] + 1.0)
        self.terms[5] = x[_PAYEE_BURST] / (x[_PAYEE_BURST] + 1.0)
        self.terms[6] = x[_COMMON] / (x[_COMMON] + 1.0)
        self.terms[7] = self.idle(x[_SPENDS], x[_AGE])
        self.terms[8] = self.idle(x[_PAYEE_SPENDS], x[_PAYEE_AGE])
        self.terms[9] = 1.0 if x[_PAIR] == 0.0 else 0.0
        self.terms[10] = 1.0 if x[_KIND] > 0.0 else 0.0
        self.terms[11] = over
        self.terms[12] = x[_RECEIVES]
        self.terms[13] = x[_FUNDED]
        self.terms[14] = x[_KNOWN] if x[_KNOWN] > x[_PAYEE_KNOWN] else x[_PAYEE_KNOWN]
        self.terms[15] = x[_NEAR] if x[_NEAR] > x[_PAYEE_NEAR] else x[_PAYEE_NEAR]
        self.terms[16] = x[_NOVEL] * 0.25 if x[_NOVEL] < 4.0 else 1.0

    def idle(self, spends: float, age: float) -> float:
        """How much less than average an account spends; nothing where hardly anybody spends outside."""
        if self.spends <= 1.0 or spends >= self.spends:
            return 0.0
        return (1.0 - spends / self.spends) * (age / 30.0 if age < 30.0 else 1.0)
