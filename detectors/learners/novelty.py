"""Novelty: how far out in the tails of its peer group an account stands when it is paid, before anything was learned.

For each peer group (``detectors/learners/peers.py``) and each of a few figures of the payee a histogram of fading counts is
kept. Of a value it tells the share of the group's payments that lay as far out on its side; the rarer, the more the value
says, in halvings: a tail of 1/2 says 0, of 1/4 says 1, of 1/1024 says 9. The mean over the figures is the novelty.

The method is ECOD's (Li et al. 2022: sums of logarithms of empirical tail shares), made online and per group. Catches an
account that does what hardly any of its peers do. Misses what is odd only in the combination of figures, and a group in which
everybody misuses. Compiled like ``detectors/profile.py``, with the same bits: no logarithm is asked of a library.
"""

from __future__ import annotations

from array import array

from detectors.profile import NAMES

# Figures of the payee, as they stand before the payment; True: a share from 0 to 1, else a count on a scale of doublings.
FIGURES = {
    "payee_of_usual_in": True,
    "payee_out_count_7d": False,
    "payee_in_count_1d": False,
    "payee_out_peers_30d": False,
    "payee_in_peers_7d": False,
    "payee_new_payers": True,
    "payee_outside_out_count": False,
    "payee_passes_on_7d": True,
}
FIGURE_NAMES = tuple(FIGURES)
COUNT = len(FIGURES)
BINS = 32
MEMORY = 20_000.0
HALVINGS_MAX = 12.0

# For other modules: constants that have a C type in the compiled twin are not seen from outside.
CELLS = COUNT * BINS
"""Numbers a group takes."""


class Novelty:
    """Histograms of every figure in every group.

    Args:
        groups_max: places for groups.
    """

    def __init__(self, groups_max: int) -> None:
        self.groups_max = groups_max
        self.count_store = array("d", bytes(8 * groups_max * COUNT * BINS))
        self.counts = self.count_store
        self.total_store = array("d", bytes(8 * groups_max))
        self.totals = self.total_store
        self.said_store = array("d", bytes(8 * COUNT))  # of the value asked about last, by figure
        self.said = self.said_store
        self.place_store = array("i", [NAMES.index(name) for name in FIGURES])
        self.place = self.place_store
        self.share_store = array("i", [int(is_share) for is_share in FIGURES.values()])
        self.is_share = self.share_store

    def clear(self, group: int) -> None:
        """Begin a group."""
        self.totals[group] = 0.0
        for i in range(group * COUNT * BINS, (group + 1) * COUNT * BINS):
            self.counts[i] = 0.0

    def total(self, group: int) -> float:
        """Payments that the group's histograms hold now."""
        return self.totals[group]

    def ask(self, group: int, x: array[float]) -> float:
        """The novelty of a vector of features in a group; leaves what each figure says in ``said``."""
        total = 0.0
        for f in range(COUNT):
            self.said[f] = self.tail(group, f, self.bin(f, x[self.place[f]]))
            total += self.said[f]
        return total / COUNT

    def see(self, group: int, x: array[float]) -> None:
        """The group learns of a payment."""
        if self.totals[group] >= MEMORY:
            self.totals[group] = self.totals[group] * 0.5
            for i in range(group * COUNT * BINS, (group + 1) * COUNT * BINS):
                self.counts[i] = self.counts[i] * 0.5
        self.totals[group] = self.totals[group] + 1.0
        for f in range(COUNT):
            i = (group * COUNT + f) * BINS + self.bin(f, x[self.place[f]])
            self.counts[i] = self.counts[i] + 1.0

    def usual(self, group: int, figure: int) -> float:
        """The median of a figure in a group, as far as its bins tell; 0 in an empty one."""
        half = self.totals[group] * 0.5
        below = 0.0
        at = (group * COUNT + figure) * BINS
        for b in range(BINS):
            below += self.counts[at + b]
            if below > half:
                return (b + 0.5) / BINS if self.is_share[figure] == 1 else self.value(b)
        return 0.0

    def bin(self, figure: int, value: float) -> int:
        """Where a value falls: 32 equal parts of a share; four parts of each doubling of 1 + a count."""
        if self.is_share[figure] == 1:
            b = int(value * BINS)
        else:
            doublings = 0.0
            left = 1.0 + value
            while left >= 2.0 and doublings < 8.0:
                left = left * 0.5
                doublings += 1.0
            b = int(4.0 * (doublings + left - 1.0))
        if b < 0:
            return 0
        return b if b < BINS else BINS - 1

    def value(self, b: int) -> float:
        """The lowest count that falls into a bin."""
        left = 1.0 + 0.25 * (b % 4)
        for _ in range(b // 4):
            left = left * 2.0
        return left - 1.0

    def tail(self, group: int, figure: int, b: int) -> float:
        """How often the nearer tail, twice, must be halved from 1; half of a value's own bin lies on each side of it."""
        at = (group * COUNT + figure) * BINS
        below = 0.0
        for i in range(b):
            below += self.counts[at + i]
        below += self.counts[at + b] * 0.5
        above = self.totals[group] - below
        share = below if below < above else above
        share = 2.0 * (share + 0.5) / (self.totals[group] + 1.0)
        halvings = 0.0
        while share < 0.5 and halvings < HALVINGS_MAX:
            share = share * 2.0
            halvings += 1.0
        return halvings + 2.0 * (1.0 - share) if share < 1.0 else halvings
