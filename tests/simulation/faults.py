"""The seeded plan of one world: how it is built, and what goes wrong in it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from random import Random

from streams.live.fault_points import STEPS


@dataclass
class Plan:
    """What a seed means. Shares are chances; times are virtual milliseconds."""

    seed: int
    lanes: int
    workers: int
    records_max: int
    is_backlog: bool  # everything stands in the source topics before the first worker starts
    has_order_header: bool
    has_ticks: bool
    has_trimmed_sources: bool  # the first records of the source topics are deleted before anybody reads them
    has_poison: bool
    page_records_max: int
    buffered_records_max: int
    batch_records_max: int
    fetch_ms_max: int
    append_ms_max: int
    ask_ms_max: int  # how long the broker takes to say where a partition begins or how it ends
    checkpoint_interval_ms: int
    crashes: list[tuple[str, int]]  # (step, at which time there)
    crash_gap_ms: float  # mean time between random crashes; 0 = none
    rebalance_gap_ms: float
    pause_gap_ms: float
    pauses_are_long: bool  # longer than the session
    isolations: bool  # a member is put out while it works on
    append_failure_share: float
    late_landing_share: float  # of appends under way when their process dies, those that land afterwards
    disk_full_share: float
    orphan_share: float  # of checkpoints under way when their process dies, those that are finished nevertheless
    old_state_share: float  # of restarts, those that find an earlier state file
    lost_state_share: float
    static_membership: bool
    graceful_share: float
    faults_end_ms: int

    @property
    def may_repeat(self) -> bool:
        """Whether somebody may publish under a name that others have taken over: the named exception."""
        return self.isolations or self.late_landing_share > 0 or (self.pause_gap_ms > 0 and self.pauses_are_long)

    def __str__(self) -> str:
        return ", ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))


def plan_of(seed: int) -> Plan:
    """The plan of a seed. A quarter of all worlds has no zombies, so that the strict promise is tested most."""
    random = Random(f"plan {seed}")

    def maybe(share: float, value: float) -> float:
        return value if random.random() < share else 0

    zombies = random.random() < 0.3
    crashing = random.random() < 0.85
    return Plan(
        seed=seed,
        lanes=random.choice((1, 1, 2)),
        workers=random.choice((1, 2, 2, 3)),
        records_max=random.choice((12, 30, 60)),
        is_backlog=random.random() < 0.4,
        has_order_header=random.random() < 0.5,
        has_ticks=random.random() < 0.15,
        has_trimmed_sources=random.random() < 0.15,
        has_poison=random.random() < 0.5,
        page_records_max=random.choice((1, 2, 3, 5, 20)),
        buffered_records_max=random.choice((2, 5, 1000)),
        batch_records_max=random.choice((1, 3, 10)),
        fetch_ms_max=random.choice((4, 12, 20)),
        append_ms_max=random.choice((2, 10, 60)),
        ask_ms_max=random.choice((3, 3, 120)),
        checkpoint_interval_ms=random.choice((40, 120, 400)),
        crashes=[(random.choice(STEPS), random.randint(1, 8)) for _ in range(random.randint(0, 5))] if crashing else [],
        crash_gap_ms=maybe(0.5, random.choice((150, 400, 900))),
        rebalance_gap_ms=maybe(0.5, random.choice((80, 250, 600))),
        pause_gap_ms=maybe(0.3, 500) if not zombies else maybe(0.6, 400),
        pauses_are_long=zombies,
        isolations=zombies and random.random() < 0.5,
        append_failure_share=maybe(0.3, 0.05),
        late_landing_share=maybe(0.5, 0.3) if zombies else 0,
        disk_full_share=maybe(0.3, 0.3),
        orphan_share=maybe(0.5, 0.5),
        old_state_share=maybe(0.3, 0.4),
        lost_state_share=maybe(0.2, 0.3),
        static_membership=random.random() < 0.5,
        graceful_share=maybe(0.5, 0.3),
        faults_end_ms=random.choice((300, 900, 1800)),
    )


class Weather:
    """Decides, event by event, what the plan makes of it; stops deciding for the worse when the faults have ended."""

    def __init__(self, plan: Plan, random: Random) -> None:
        self.plan = plan
        self.random = random
        self.is_fair = False
        self.left = {name: [at for step, at in plan.crashes if step == name] for name in STEPS}
        self.reached = dict.fromkeys(STEPS, 0)

    def strikes(self, share: float) -> bool:
        """Whether something of this chance happens now."""
        return not self.is_fair and share > 0 and self.random.random() < share

    def kills_at(self, step: str) -> bool:
        """Whether the process dies at this step, this time."""
        self.reached[step] += 1
        return not self.is_fair and self.reached[step] in self.left[step]

    def wait_ms(self, gap_ms: float) -> float:
        """Until the next of something that happens every ``gap_ms`` on average."""
        return self.random.expovariate(1 / gap_ms)
