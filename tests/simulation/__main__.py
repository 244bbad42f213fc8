"""``python -m tests.simulation SEED`` tells one world's story; ``--seeds N [--from M]`` runs many."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.simulation.checkers import Violation
from tests.simulation.world import simulate

MEMORY_DISK = Path("/dev/shm")


def memory_disk() -> str | None:
    """Where files are cheapest."""
    return str(MEMORY_DISK) if MEMORY_DISK.is_dir() else None


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", help="tell this world's story")
    parser.add_argument("--seeds", type=int, default=1000, help="how many to run")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first of them")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=memory_disk()) as folder:
        return tell(arguments.seed, Path(folder)) if arguments.seed is not None else many(arguments, Path(folder))


def tell(seed: int, folder: Path) -> int:
    """Everything that happens under one seed."""
    try:
        world, failure = simulate(seed, folder, is_traced=True), None
    except Violation as violation:
        world, failure = violation.world, violation  # type: ignore[attr-defined]
    print(world.plan, *world.traced, sep="\n")
    if failure is not None and failure.__cause__ is not None:
        traceback.print_exception(failure.__cause__)
    print(f"seed {seed}: {failure or 'every promise is kept'}")
    return int(failure is not None)


def many(arguments: argparse.Namespace, folder: Path) -> int:
    """Many seeds, their rate, and those that failed."""
    started, failed, totals = time.perf_counter(), 0, Counter[str]()
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        try:
            world = simulate(seed, folder)
        except Violation as violation:
            failed += 1
            print(f"seed {seed}: {violation}")
        else:
            totals.update(world.deaths)
            totals["alerts"] += len(world.checkers.published["alerts"])
            totals["repeats"] += world.checkers.repeats
            totals["steps"] += world.loop.steps
    seconds = time.perf_counter() - started
    print(f"{arguments.seeds} seeds in {seconds:.1f} s ({arguments.seeds / seconds:.0f} a second), {failed} failed")
    print(", ".join(f"{name} {count}" for name, count in totals.most_common()))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
