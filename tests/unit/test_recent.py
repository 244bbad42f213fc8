"""A bounded memory of keys."""

from __future__ import annotations

from detectors.recent import Recent


def test_it_remembers_at_least_half_of_its_size_and_never_more_than_its_size() -> None:
    recent: Recent[int] = Recent(10)
    for number in range(100):
        recent.put(str(number), number)
        assert len(recent) <= 10
        for back in range(min(number + 1, 5)):
            assert recent.get(str(number - back)) == number - back


def test_what_is_forgotten_is_counted() -> None:
    recent: Recent[int] = Recent(10)
    for number in range(100):
        recent.put(str(number), number)
    assert recent.forgotten + len(recent) == 100
    assert recent.get("0") is None


def test_the_newest_value_of_a_key_holds() -> None:
    recent: Recent[int] = Recent(4)
    recent.put("a", 1)
    recent.put("b", 1)
    recent.put("a", 2)
    assert recent.get("a") == 2
