"""What is asked of a payment and its two accounts: ratios to their own habits, never times of day, names or raw amounts."""

from __future__ import annotations

from math import exp, log

from detectors.profile import Profile

NAMES = ("passed_on", "payer_days_new", "payee_days_new", "payee_fan_in", "payer_fan_out", "amount_habit", "edge_is_new")
"""Every feature, in the order of a score's ``features``."""

DAY_MS = 86_400_000


def features_of(payer: Profile, payee: Profile, amount_minor: int, event_time_ms: int) -> tuple[float, ...]:
    """The features of a payment before its accounts' profiles know of it."""
    arrived = payer.in_minor * exp(-max(0, event_time_ms - payer.in_ms) / (3 * DAY_MS))
    usual = payer.out_minor / payer.out_count if payer.out_count else float(amount_minor)
    return (
        min(amount_minor, arrived) / amount_minor,
        exp(-(event_time_ms - payer.first_ms) / (30 * DAY_MS)),
        exp(-(event_time_ms - payee.first_ms) / (30 * DAY_MS)),
        log(1.0 + len(payee.payers)),
        log(1.0 + len(payer.payees)),
        min(3.0, abs(log(amount_minor / usual))),
        0.0 if payee.number in payer.payees else 1.0,
    )
