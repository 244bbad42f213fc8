"""Peer groups: with whom an account is compared. Accounts of one industry, loan product and account kind are peers.

Each account has a way through the groups, from the finest that its particulars allow (industry x product x kind) over its
parents (product x kind, kind) to all accounts; what is not stated adds no level. It is compared with the first on its way that
has members and payments enough, so a thin group says nothing and a data set without particulars has one group.

Groups are kept to a limit: the one longest without a payment makes room, and is counted. A parent is met whenever its child
is, so it never goes before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

ALL = "all accounts"
INDUSTRY_LENGTH = 3
"""Of an industry code, GB/T 4754: the letter and two digits (the division)."""
NUMBERS = 1 << 24
"""32-bit floats tell so many numbers apart."""


class Peers(NamedTuple):
    """What the members of a group have in common; empty: not stated, or any."""

    industry: str = ""
    product: str = ""
    kind: str = ""

    def __str__(self) -> str:
        stated = zip(("industry", "product", "kind"), self, strict=True)
        return ", ".join(f"{what} {which}" for what, which in stated if which) or ALL


class PeerGroups:
    """Groups in places; a group's number is its place plus a multiple of their count, another each time the place is used.

    Args:
        size_max: places, at least one more than there are levels.
    """

    def __init__(self, size_max: int) -> None:
        self.size_max = max(5, size_max)
        self.keys: list[Peers] = [Peers()]  # by place; place 0: all accounts
        self.numbers: list[int] = [0]
        self.members: list[int] = [0]
        self.used: list[int] = [0]
        self.ways: list[tuple[int, ...]] = [(0,)]
        self.names: list[str] = [ALL]
        self.places: dict[Peers, int] = {Peers(): 0}
        self.forgotten = 0

    def key_of(self, number: int) -> Peers | None:
        """What a group's members have in common; None when it is forgotten."""
        place = number % self.size_max
        return self.keys[place] if place < len(self.keys) and self.numbers[place] == number else None

    def way_of(self, number: int) -> tuple[int, ...]:
        """The places of a group that is there and of its parents, finest first."""
        return self.ways[number % self.size_max]

    def join(self, key: Peers, before: int, now: int) -> tuple[int, list[int]]:
        """An account becomes a member of a group and its parents: (the group's number, places that began anew).

        Args:
            before: the number of the group that it leaves.
            now: counts payments; says which groups are in use.
        """
        self.leave(before)
        fresh: list[int] = []
        way: tuple[int, ...] = (0,)
        for level in _levels(key):
            place = self.places.get(level)
            if place is None:
                place = self._make(level, now)
                fresh.append(place)
                self.ways[place] = (place, *way)
            self.used[place] = now
            self.members[place] += 1
            way = self.ways[place]
        return self.numbers[way[0]], fresh

    def leave(self, number: int) -> None:
        """A member is one no more: it has gone to another group, or is forgotten."""
        if self.key_of(number) is not None:
            for place in self.way_of(number)[:-1]:
                self.members[place] -= 1

    def _make(self, key: Peers, now: int) -> int:
        """A place for a new group."""
        if len(self.keys) < self.size_max:
            place = len(self.keys)
            self.keys.append(key)
            self.names.append(str(key))
            self.numbers.append(place)
            self.members.append(0)
            self.used.append(now)
            self.ways.append((place, 0))
        else:
            place = min(range(1, self.size_max), key=lambda at: (self.used[at], -len(self.ways[at])))
            del self.places[self.keys[place]]
            self.numbers[place] = (self.numbers[place] + self.size_max) % (NUMBERS // self.size_max * self.size_max)
            self.forgotten += 1
        self.keys[place], self.names[place], self.members[place], self.used[place] = key, str(key), 0, now
        self.places[key] = place
        return place

    # --- state ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """The state as plain data."""
        return {
            "keys": [list(key) for key in self.keys],
            "figures": [list(row) for row in zip(self.numbers, self.members, self.used, strict=True)],
            "forgotten": self.forgotten,
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take the state that :meth:`snapshot` has given."""
        self.keys = [Peers(*key) for key in data["keys"]]
        self.numbers, self.members, self.used = map(list, zip(*data["figures"], strict=True))
        self.forgotten = data["forgotten"]
        self.places = {key: place for place, key in enumerate(self.keys)}
        self.names = [str(key) for key in self.keys]
        self.ways = [(*(self.places[level] for level in reversed(_levels(key))), 0) for key in self.keys]


def _levels(key: Peers) -> list[Peers]:
    """A group's ancestors and itself, coarsest first; all accounts is none of them."""
    found = (Peers(kind=key.kind), Peers(product=key.product, kind=key.kind), key)
    return [level for level in dict.fromkeys(found) if level != Peers()]
