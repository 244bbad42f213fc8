"""A bounded memory of recent keys, in two generations: constant cost, and forgetting is counted."""

from __future__ import annotations

from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """Remembers at least the last ``size_max / 2`` keys and never more than ``size_max``."""

    __slots__ = ("forgotten", "new", "old", "size_max", "turns")

    def __init__(self, size_max: int) -> None:
        self.size_max = size_max
        self.new: dict[str, V] = {}
        self.old: dict[str, V] = {}
        self.forgotten = 0
        self.turns = 0  # how often the newer half has become the older one

    def get(self, key: str) -> V | None:
        """What was kept under the key; None when it never was or is forgotten."""
        value = self.new.get(key)
        return value if value is not None else self.old.get(key)

    def __contains__(self, key: str) -> bool:
        return key in self.new or key in self.old

    def put(self, key: str, value: V) -> None:
        """Keep a value; every ``size_max / 2`` new keys the older half is forgotten."""
        new = self.new
        new[key] = value
        if len(new) * 2 >= self.size_max:
            self.forgotten += len(self.old)
            self.old, self.new = self.new, {}
            self.turns += 1

    def __len__(self) -> int:
        return len(self.new) + len(self.old)
