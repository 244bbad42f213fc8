"""How large: heavy-tailed draws in fen, people's taste for round sums, and dividing by whole permille."""

from __future__ import annotations

from random import Random

from detectors.money import split_minor

YUAN = 100
TEN_THOUSAND = 10_000 * YUAN
SMALLEST = YUAN


def heavy(rng: Random, median_minor: int, sigma: float, low_minor: int, high_minor: int) -> int:
    """A lognormal draw around a median, kept within [low, high]."""
    return max(low_minor, min(high_minor, int(median_minor * rng.lognormvariate(0.0, sigma))))


def tidy(rng: Random, amount_minor: int) -> int:
    """The sum as somebody would write it on a payment order: often rounded down, sometimes to the fen."""
    taste = rng.random()
    if taste < 0.30:
        return _floor(amount_minor, 10 ** max(2, len(str(amount_minor)) - 2))
    if taste < 0.55:
        return _floor(amount_minor, 100 * YUAN)
    return _floor(amount_minor, YUAN) if taste < 0.72 else amount_minor


def _floor(amount_minor: int, unit: int) -> int:
    return amount_minor - amount_minor % unit or amount_minor


def part(amount_minor: int, permille: int) -> int:
    """That many thousandths of the amount, rounded down."""
    return amount_minor * permille // 1000


def some_of(rng: Random, amount_minor: int, low_permille: int, high_permille: int) -> int:
    """Between two permille of the amount."""
    return part(amount_minor, rng.randint(low_permille, high_permille))


def shaved(rng: Random, amount_minor: int) -> int:
    """The amount less a fee of 0.5 to 3 %."""
    return some_of(rng, amount_minor, 970, 995)


def pieces(rng: Random, amount_minor: int, count: int) -> list[int]:
    """Unequal parts that sum to the amount; fewer when a part would be smaller than a yuan."""
    count = max(1, min(count, amount_minor // (10 * SMALLEST)))
    return split_minor(amount_minor, [rng.randint(20, 100) for _ in range(count)])
