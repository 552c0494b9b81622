#!/usr/bin/env python3
"""Runs the job of python/tests/crash_job.py again and again, each time killed at random moments, and compares what it has
committed in the end with a run that nothing interrupts.

    tools/crash_runs.py --runs 200 --seed 1

Each run is given by its seed: backend, parallelism (also another one from life to life), sinks, checkpoint interval and
when each life is killed follow from it. `--seed S --runs 1` repeats the run that failed with seed S; the moments are
those of the clock, so it may take a few tries. Exits with 1 if a run differs.
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

# A life that fails by itself, and one that hangs, are both failures.
MOST_LIVES = 40


@dataclasses.dataclass
class Run:
    seed: int
    killed: int = 0
    ended: int = 0
    seconds: float = 0.0
    trouble: str | None = None
    what: str = ""


def settings(random_: random.Random, backends: list[str]) -> Life:
    """All but the folder."""
    backend = random_.choice(backends)
    return Life(
        "",
        backend=backend,
        parallelism=random_.choice([1, 2, 2]),
        sink=random_.choice(["jsonl", "sqlite", "parquet"]),
        side=random_.choice(["jsonl", "sqlite"]),
        interval_ms=random_.choice([2, 10, 30]),
        memory_limit=random_.choice([None, 1_000_000]) if backend == "rocksdb" else None,
        retained=random_.choice([1, 2, 3]),
        slow=random_.choice([0.0, 0.01, 0.02]),
    )


def one_run(lives: Lives, seed: int, top: Path, expected: dict[str, Outcome], backends: list[str]) -> Run:
    random_ = random.Random(seed)
    life = settings(random_, backends)
    run = Run(seed, what=f"{life.backend} x{life.parallelism} {life.sink}+{life.side} every {life.interval_ms} ms")
    life.folder = str(top / str(seed))
    prepare(life)
    began = time.monotonic()
    deaths = random_.randrange(2, 6)
    while run.trouble is None and run.killed + run.ended < MOST_LIVES:
        # Once in a while it goes on with another parallelism.
        life.parallelism = random_.choice([1, 2]) if random_.random() < 0.15 else life.parallelism
        # Starting takes about 0.05 s, with workers 0.35 s; most are to die while records are under way.
        least = 0.3 if life.parallelism > 1 and random_.random() < 0.8 else 0.0
        life.kill_after = least + random_.uniform(0, 0.6) if run.killed < deaths else None
        death = lives.live(life)
        if death.is_killed and life.kill_after is not None:
            run.killed += 1
        elif death.is_end:
            run.ended += 1
            # A second start has nothing left to do, and must change nothing.
            if run.ended == 2 or random_.random() < 0.8:
                break
        else:
            run.trouble = told(death)
    if run.trouble is None:
        run.trouble = outcome(life).difference(expected[life.backend])
    run.seconds = time.monotonic() - began
    if run.trouble is None:
        shutil.rmtree(top / str(seed))
    return run


def told(death: Death) -> str:
    return f"a life ended with {death.status}: {death.trace or death.stderr}"


def runs(seeds: list[int], backends: list[str], top: Path, at_once: int, say: bool = True) -> list[Run]:
    """One after the other in `at_once` threads."""
    expected: dict[str, Outcome] = {}
    with Lives() as lives:
        for backend in backends:
            life = prepared(top / f"expected-{backend}", backend=backend)
            lives.end(life)
            expected[backend] = outcome(life)
    found: list[Run] = []
    local = threading.local()
    opened: list[Lives] = []

    def work(seed: int) -> Run:
        if not hasattr(local, "lives"):
            local.lives = Lives().__enter__()
            opened.append(local.lives)
        return one_run(local.lives, seed, top, expected, backends)

    try:
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            for run in pool.map(work, seeds):
                found.append(run)
                if say:
                    words = run.trouble or "same"
                    print(f"seed {run.seed}: {run.what}: {run.killed} killed, {run.seconds:.1f} s: {words}", flush=True)
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
