"""When things happen: the hours of a day, the days of a year, market hours. All times are Unix seconds, read in Beijing."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from random import Random

BEIJING = timezone(timedelta(hours=8))
OFFSET_S = 8 * 3600
HOUR_S = 3_600
DAY_S = 86_400

HOUR_WEIGHTS = (2, 1, 1, 1, 1, 2, 8, 22, 48, 74, 82, 70, 52, 58, 70, 72, 62, 52, 44, 42, 40, 32, 18, 7)
"""Relative traffic of the hours 0..23."""

_BURSTS = {
    (1, 1), (2, 9), (2, 10), (2, 11), (2, 12), (2, 13), (2, 14), (4, 3), (4, 30), (5, 20), (6, 1), (6, 18), (9, 24), (9, 30),
    (10, 1), (11, 11), (12, 12), (12, 31),
}  # fmt: skip
_CLOSED = {
    (2, 16), (2, 17), (2, 18), (2, 19), (2, 20), (4, 6), (5, 1), (5, 4), (5, 5), (6, 19), (9, 25), (10, 1), (10, 2), (10, 5),
    (10, 6), (10, 7),
}  # fmt: skip
_WEEK = (1.05, 1.0, 1.0, 1.02, 1.15, 0.78, 0.66)
BURST_FACTOR = 1.9
CLOSED_FACTOR = 0.55


def day_of(time_s: int) -> date:
    """The Beijing date."""
    return datetime.fromtimestamp(time_s, BEIJING).date()


def is_working_day(day: date) -> bool:
    """Whether offices, markets and payrolls are open."""
    return day.weekday() < 5 and (day.month, day.day) not in _CLOSED


def day_factor(day: date) -> float:
    """Traffic of this day against an average one: weekday, holiday, days of the great sales."""
    key = (day.month, day.day)
    if key in _BURSTS:
        return BURST_FACTOR
    return CLOSED_FACTOR if key in _CLOSED else _WEEK[day.weekday()]


def second_of_day(time_s: int) -> int:
    """Seconds since Beijing midnight."""
    return (time_s + OFFSET_S) % DAY_S


def office_second(rng: Random) -> int:
    """A second of the day between 08:30 and 18:00."""
    return rng.randrange(8 * HOUR_S + 1800, 18 * HOUR_S)


def waking(rng: Random, time_s: int) -> int:
    """The time itself when people are awake, else some time on the following morning or forenoon."""
    second = second_of_day(time_s)
    if 7 * HOUR_S <= second < 23 * HOUR_S or rng.random() < 0.06:
        return time_s
    midnight = time_s - second + (DAY_S if second >= 23 * HOUR_S else 0)
    return midnight + rng.randrange(7 * HOUR_S, 13 * HOUR_S)


def market_hours(rng: Random, time_s: int) -> int:
    """The time itself when transfers to brokers run (weekdays 09:00-16:00), else one on the next such day."""
    second = second_of_day(time_s)
    midnight = time_s - second
    if second < 9 * HOUR_S and is_working_day(day_of(time_s)):
        return midnight + rng.randrange(9 * HOUR_S, 16 * HOUR_S)
    if second < 16 * HOUR_S and is_working_day(day_of(time_s)):
        return time_s
    midnight += DAY_S
    while not is_working_day(day_of(midnight)):
        midnight += DAY_S
    return midnight + rng.randrange(9 * HOUR_S, 16 * HOUR_S)


def delay_s(rng: Random, median_hours: float, sigma: float = 1.1) -> int:
    """A wide-tailed waiting time, at least 40 seconds."""
    return 40 + int(rng.lognormvariate(0.0, sigma) * median_hours * HOUR_S)
