#!/usr/bin/env python3
"""Runs the job of python/tests/crash_job.py again and again, each time killed at random moments, and compares what it
has committed in the end with a run that nothing interrupts.

    tools/crash_runs.py --runs 200 --seed 1

Each run is given by its seed: backend and parallelism (others from life to life), sinks, checkpoint interval,
savepoints and when each life is killed follow from it. `--seed S --runs 1` repeats the run that failed with seed S; the
moments are those of the clock, so it may take a few tries. Exits with 1 if a run differs.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python" / "tests"))

from crash_lives import Death, Life, Lives, Outcome, outcome, prepare, prepared

# A run that has not ended by then is a failure.
MOST_LIVES = 40


@dataclasses.dataclass
class Run:
    seed: int
    what: str
    lives: int = 0
    killed: int = 0
    seconds: float = 0.0
    trouble: str | None = None


def first_life(random_: random.Random, backends: list[str], folder: Path) -> Life:
    backend = random_.choice(backends)
    return Life(
        str(folder),
        backend=backend,
        parallelism=random_.choice([1, 2, 2]),
        sink=random_.choice(["jsonl", "sqlite", "parquet"]),
        side=random_.choice(["jsonl", "sqlite"]),
        interval_ms=random_.choice([2, 10, 30]),
        memory_limit=random_.choice([None, 1 << 20]) if backend == "rocksdb" else None,
        retained=random_.choice([1, 2, 3]),
        slow=random_.choice([0.0, 0.01, 0.02]),
    )


def another_life(life: Life, random_: random.Random, backends: list[str], is_last: bool) -> None:
    """The job goes on, in one life of three with another parallelism or backend; it is killed somewhere, or saved and
    stopped."""
    if random_.random() < 0.3:
        life.parallelism = random_.choice([1, 2, 3])
    if random_.random() < 0.3:
        life.backend = random_.choice(backends)
        life.memory_limit = random_.choice([None, 1 << 20]) if life.backend == "rocksdb" else None
    # Starting takes about 0.05 s, with workers 0.35 s; most are to die while records are under way.
    least = 0.3 if life.parallelism > 1 and random_.random() < 0.8 else 0.0
    life.kill_after = None if is_last else least + random_.uniform(0, 0.6)
    life.save_at = None
    if not is_last and random_.random() < 0.2:
        life.kill_after, life.save_at = None, (random_.randrange(15), f"saved in {life.state}")


def one_run(lives: Lives, seed: int, folder: Path, expected: Outcome, backends: list[str]) -> Run:
    random_ = random.Random(seed)
    life = first_life(random_, backends, folder)
    run = Run(seed, f"{life.backend} x{life.parallelism} {life.sink}+{life.side} every {life.interval_ms} ms")
    prepare(life)
    began = time.monotonic()
    deaths = random_.randrange(3, 7)
    has_ended = False
    while run.trouble is None and run.lives < MOST_LIVES:
        another_life(life, random_, backends, is_last=run.lives >= deaths)
        death = lives.live(life)
        run.lives += 1
        if death.is_killed and life.kill_after is not None:
            run.killed += 1
        elif not death.is_end:
            run.trouble = told(death)
        elif life.save_at is not None and life.path(life.save_at[1]).exists():
            # It goes on from there in a new directory.
            life.restore_from, life.state = life.save_at[1], f"{life.state}'"
        elif has_ended or random_.random() < 0.7:
            break
        else:
            # A second start has nothing left to do, and must change nothing.
            has_ended = True
    if run.trouble is None and run.lives == MOST_LIVES:
        run.trouble = "it does not come to an end"
    if run.trouble is None:
        run.trouble = outcome(life).difference(expected)
    run.seconds = time.monotonic() - began
    if run.trouble is None:
        shutil.rmtree(folder)
    return run


def told(death: Death) -> str:
    return f"a life ended with {death.status}: {death.trace or death.stderr}"


def runs(seeds: list[int], backends: list[str], top: Path, at_once: int, say: bool = True) -> list[Run]:
    """One after the other in `at_once` threads."""
    with Lives() as lives:
        life = prepared(top / "expected")
        lives.end(life)
        expected = outcome(life)
    found: list[Run] = []
    local = threading.local()
    opened: list[Lives] = []

    def work(seed: int) -> Run:
        if not hasattr(local, "lives"):
            local.lives = Lives().__enter__()
            opened.append(local.lives)
        return one_run(local.lives, seed, top / str(seed), expected, backends)

    try:
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            for run in pool.map(work, seeds):
                found.append(run)
                if say:
                    print(f"seed {run.seed}: {run.what}: {run.lives} lives, {run.killed} killed,", end=" ")
                    print(f"{run.seconds:.1f} s: {run.trouble or 'same'}", flush=True)
    finally:
        for lives in opened:
            lives.__exit__()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; the others follow")
    parser.add_argument("--backend", action="append", choices=["memory", "rocksdb"], help="default: both")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, help="where to work; what a failed run leaves stays there")
    arguments = parser.parse_args()
    top = arguments.folder or Path(tempfile.mkdtemp(prefix="martlet-crash-"))
    began = time.monotonic()
    seeds = list(range(arguments.seed, arguments.seed + arguments.runs))
    found = runs(seeds, arguments.backend or ["memory", "rocksdb"], top, arguments.at_once)
    failed = [run for run in found if run.trouble]
    kills = sum(run.killed for run in found)
    print(f"{len(found)} runs, {kills} kills, {len(failed)} failed, {time.monotonic() - began:.0f} s")
    if failed:
        print(f"seeds {', '.join(str(run.seed) for run in failed)}; what they left is in {top}")
        return 1
    shutil.rmtree(top)
    return 0


if __name__ == "__main__":
    sys.exit(main())
