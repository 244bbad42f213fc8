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
    strays: int  # pages of a writer that goes on far behind where the journal is
    page_records_max: int
    buffered_records_max: int
    batch_records_max: int
    fetch_ms_max: int
    append_ms_max: int
    ask_ms_max: int  # how long the broker takes to say where a partition begins or how it ends
    checkpoint_interval_ms: int
    publishes: bool  # snapshots, to a folder that outlives the workers
    crashes: list[tuple[str, int]]  # (step, at which time there)
    crash_gap_ms: float  # mean time between random crashes; 0 = none
    rebalance_gap_ms: float
    pause_gap_ms: float
    pauses_are_long: bool  # longer than the session
    isolations: bool  # a member is put out while it works on
    append_failure_share: float
    late_landing_share: float  # of appends under way when their process dies, those that land afterwards
    disk_full_share: float
    orphan_share: float  # of checkpoints under way when their process dies, those that were past the last question
    old_state_share: float  # of restarts, those that find an earlier state file
    lost_state_share: float
    static_membership: bool
    graceful_share: float
    faults_end_ms: int
    refolds_at_the_end: bool  # once all is quiet, a new worker without any state folds the whole journal again

    @property
    def may_repeat(self) -> bool:
        """Whether somebody may publish under a name that others have taken over: the named exception."""
        return self.isolations or self.late_landing_share > 0 or (self.pause_gap_ms > 0 and self.pauses_are_long)

    def __str__(self) -> str:
        return ", ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))


def plan_of(seed: int) -> Plan:
    """The plan of a seed. Seven worlds in ten have no zombies, so that the strict promise is tested most.

    Every field is drawn from a generator of its own, so that a new field leaves the others as they were.
    """

    def draw(name: str) -> Random:
        return Random(f"{seed} {name}")

    def chance(name: str, share: float) -> bool:
        return draw(name).random() < share

    def maybe(name: str, share: float, *values: float) -> float:
        random = draw(name)
        return random.choice(values) if random.random() < share else 0

    def one_of(name: str, *values: int) -> int:
        return draw(name).choice(values)

    zombies = chance("zombies", 0.3)
    crashes = draw("crashes")
    return Plan(
        seed=seed,
        lanes=one_of("lanes", 1, 1, 2),
        workers=one_of("workers", 1, 2, 2, 3),
        records_max=one_of("records", 12, 30, 60),
        is_backlog=chance("backlog", 0.4),
        has_order_header=chance("order header", 0.5),
        has_ticks=chance("ticks", 0.15),
        has_trimmed_sources=chance("trimmed sources", 0.15),
        has_poison=chance("poison", 0.5),
        strays=one_of("strays", 0, 0, 0, 0, 0, 0, 0, 2),
        page_records_max=one_of("page", 1, 2, 3, 5, 20),
        buffered_records_max=one_of("buffer", 2, 5, 1000),
        batch_records_max=one_of("batch", 1, 3, 10),
        fetch_ms_max=one_of("fetch", 4, 12, 20),
        append_ms_max=one_of("append", 2, 10, 60),
        ask_ms_max=one_of("ask", 3, 3, 120),
        checkpoint_interval_ms=one_of("checkpoint", 40, 120, 400),
        publishes=chance("publishes", 0.2),
        crashes=[(crashes.choice(STEPS), crashes.randint(1, 8)) for _ in range(crashes.choice((0, 0, 1, 3, 5)))],
        crash_gap_ms=maybe("crash", 0.45, 150, 400, 900),
        rebalance_gap_ms=maybe("rebalance", 0.5, 80, 250, 600),
        pause_gap_ms=maybe("pause", 0.6 if zombies else 0.3, 400),
        pauses_are_long=zombies,
        isolations=zombies and chance("isolations", 0.5),
        append_failure_share=maybe("append failure", 0.3, 0.05),
        late_landing_share=maybe("late landing", 0.5, 0.3) if zombies else 0,
        disk_full_share=maybe("disk full", 0.3, 0.3),
        orphan_share=maybe("orphan", 0.5, 0.5),
        old_state_share=maybe("old state", 0.3, 0.4),
        lost_state_share=maybe("lost state", 0.2, 0.3),
        static_membership=chance("static", 0.5),
        graceful_share=maybe("graceful", 0.5, 0.3),
        faults_end_ms=one_of("end", 300, 900, 1800),
        refolds_at_the_end=chance("refold", 0.2),
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
