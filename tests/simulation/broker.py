"""A broker in memory: partitions that only grow, and consumer groups with generations."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from faust.types import TP

from streams.live.log import Entry, Stored
from tests.simulation.loop import Process, VirtualLoop

HEARTBEAT_MS_MAX = 40
"""How long it takes a member to hear of a rebalance, at most."""


class Partitions:
    """Everything that is stored. ``on_stored(topic, partition, stored, writer)`` hears of each message."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.stored: dict[tuple[str, int], list[Stored]] = {}
        self.begins: dict[tuple[str, int], int] = {}  # what stood before has been deleted
        self.on_stored: Callable[[str, int, Stored, Any], None] = lambda *_: None

    def of(self, topic: str, partition: int) -> list[Stored]:
        """The messages of a partition by offset, those deleted since among them."""
        return self.stored.setdefault((topic, partition), [])

    def begin(self, topic: str, partition: int) -> int:
        """The earliest offset."""
        return self.begins.get((topic, partition), 0)

    def store(self, topic: str, partition: int, entries: Iterable[Entry], writer: Any = None) -> int:
        """Append; the first one's offset."""
        messages = self.of(topic, partition)
        first = len(messages)
        for entry in entries:
            message = Stored(len(messages), self.loop.now_ms, *entry)
            messages.append(message)
            self.on_stored(topic, partition, message, writer)
        return first


class Member(Protocol):
    """What a group asks of its members."""

    name: str
    is_kicked: bool
    mail: deque[Mail]

    @property
    def process(self) -> Process:
        """Whose mail it is."""
        ...

    def read_mail(self) -> None:
        """There is one message more in ``mail``."""


class Mail(NamedTuple):
    """What a group tells a member: let go and rejoin, you have been put out, or what is yours from now on."""

    what: str  # rebalance, kicked, assigned
    number: int = 0  # epoch or generation
    numbers: Sequence[int] = ()  # of partitions


@dataclass
class Group:
    """A consumer group with eager rebalances: everybody lets go before anybody gets."""

    loop: VirtualLoop
    name: str
    numbers: Sequence[int]
    session_ms: int
    committed: dict[TP, int] = field(default_factory=dict)
    notes: dict[TP, str] = field(default_factory=dict)
    members: list[Member] = field(default_factory=list)
    generation: int = 0
    generations: dict[str, int] = field(default_factory=dict)  # member -> the generation it belongs to
    owners: dict[int, Member] = field(default_factory=dict)
    on_commit: Callable[[str, Mapping[TP, int], Any], None] = lambda *_: None
    epoch: int = 0
    waits_for: list[Member] = field(default_factory=list)

    def join(self, member: Member) -> None:
        """A new member, or one that had been put out."""
        member.is_kicked = False
        assert member not in self.members, f"{member.name} has joined {self.name} before"
        self.members.append(member)
        self._rebalance(member)

    def replace(self, before: Member, after: Member) -> None:
        """Static membership: a restarted process takes its predecessor's place, and nobody else notices."""
        self.members[self.members.index(before)] = after
        if before in self.waits_for:
            self.waits_for.remove(before)
            self._complete_if_all()
        elif not self.is_preparing:
            mine = sorted(number for number, owner in self.owners.items() if owner is before)
            self.owners.update(dict.fromkeys(mine, after))
            self.generations[after.name] = self.generation
            self._tell(after, Mail("assigned", self.generation, mine), 5)

    def kick(self, member: Member) -> None:
        """It was not heard of for too long."""
        if member not in self.members:
            return
        self._put_out(member)
        if member in self.waits_for:
            self.waits_for.remove(member)
            self._complete_if_all()
        else:
            self._rebalance(None)

    def rebalance(self) -> None:
        """For no reason that members could know."""
        self._rebalance(None)

    def rejoin(self, member: Member, epoch: int) -> None:
        """It has let go."""
        if epoch == self.epoch and member in self.waits_for:
            self.waits_for.remove(member)
            self._complete_if_all()

    def commit(self, member: Member, generation: int, offsets: Mapping[TP, int]) -> bool:
        """Taken from members of the present generation only."""
        if member.is_kicked or self.generations.get(member.name) != generation:
            return False
        self.on_commit(self.name, offsets, member)
        self.committed.update(offsets)
        return True

    @property
    def is_preparing(self) -> bool:
        """Whether a rebalance is under way."""
        return bool(self.waits_for)

    def _rebalance(self, joined: Member | None) -> None:
        if self.is_preparing:
            return  # who has rejoined already waits with the new one
        self.epoch += 1
        self.waits_for = [member for member in self.members if member is not joined]
        for member in self.waits_for:
            self._tell(member, Mail("rebalance", self.epoch), HEARTBEAT_MS_MAX)
        self.loop.after_ms(self.session_ms, None, self._give_up_waiting, self.epoch)
        self._complete_if_all()

    def _give_up_waiting(self, epoch: int) -> None:
        if epoch == self.epoch and self.waits_for:
            for member in self.waits_for:
                self._put_out(member)
            self.waits_for = []
            self._complete_if_all()

    def _put_out(self, member: Member) -> None:
        self.members.remove(member)
        self.generations.pop(member.name, None)
        member.is_kicked = True
        self._tell(member, Mail("kicked"), 5 * HEARTBEAT_MS_MAX)

    def _complete_if_all(self) -> None:
        if self.waits_for:
            return
        self.generation += 1
        self.generations = {member.name: self.generation for member in self.members}
        places = list(self.members)
        self.loop.random.shuffle(places)
        self.owners = {number: places[index % len(places)] for index, number in enumerate(self.numbers) if places}
        for member in self.members:
            mine = sorted(number for number, owner in self.owners.items() if owner is member)
            self._tell(member, Mail("assigned", self.generation, mine), 10)

    def _tell(self, member: Member, mail: Mail, wait_ms_max: float) -> None:
        """In the order of sending, whenever it arrives."""
        member.mail.append(mail)
        self.loop.after_ms(1 + self.loop.random.random() * wait_ms_max, member.process, member.read_mail)
