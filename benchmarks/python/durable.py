"""What durability costs: a running count per key, with checkpoints and state in RocksDB, beside the same in memory.

Every line is of one run of this script, contenders in turns:

- checkpoints every second, 100 k keys, all of it in memory: the rate beside that of the same job in memory;
- more keys than memory: `memory_limit` is a quarter of what the keys take; every key comes once, then at random; and at
  random from the start;
- against rocksdict, RocksDB driven by a hand-written loop that gets and puts each record's key;
- the pause of the record loop at a checkpoint, at 1 M keys of which 1 % changed;
- the restore of a job: seconds until its first record is through, and the memory it then has.

The function reads and writes one integer state and emits the record. What a sink does with the rows is not
part of it: this one counts them. Usage: durable.py [--rows N] [--keys N] [--updates N] [--rounds N] [--folder PATH]
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from _contest import head, medians, show

import martlet as mt
from martlet import ProcessFunction, ValueState, apply_process_function
from martlet.durable import DurableRun

BATCH_ROWS = 65_536
# What a key with one integer takes in memory as the engine counts it: key table, key, value, flags.
BYTES_PER_KEY = 57
# Numbers of keys are spread over the whole range, as identifiers are.
SPREAD = 0x5851F42D4C957F2D


class Counter(ProcessFunction):
    count = ValueState("count", int)

    def on_event(self, key, batch, row, ctx):
        self.count.set((self.count.get() or 0) + 1)
        ctx.emit(batch)


class Counting:
    """A sink that counts rows, and takes them back with a checkpoint that fails."""

    transactional = True

    def __init__(self) -> None:
        self.rows = 0

    def write(self, batch: Any) -> None:
        self.rows += batch.num_rows

    def prepare(self, checkpoint: int) -> None: ...
    def commit(self, checkpoint: int) -> None: ...
    def abort(self, checkpoint: int) -> None: ...


class Batches:
    """Arrow batches in memory, whose offset is how many were read."""

    def __init__(self, batches: list[pa.RecordBatch], pause_s: float = 0) -> None:
        self.batches, self.pause_s = batches, pause_s

    def read(self, offset: Any) -> Iterator[tuple[Any, Any]]:
        for number in range(offset or 0, len(self.batches)):
            if self.pause_s:
                time.sleep(self.pause_s)
            yield self.batches[number], number + 1


def key_of(number: int) -> int:
    mixed = number * SPREAD & (1 << 64) - 1
    return mixed - (1 << 64) if mixed >> 63 else mixed


def batches_of(numbers: Iterator[int] | range | list[int], rows: int = BATCH_ROWS) -> list[pa.RecordBatch]:
    import numpy as np

    keys = np.fromiter(numbers, dtype=np.uint64)
    with np.errstate(over="ignore"):
        keys = (keys * np.uint64(SPREAD)).view(np.int64)
    return [pa.record_batch({"user_id": pa.array(keys[start : start + rows])}) for start in range(0, len(keys), rows)]


def at_random(rows: int, keys: int, seed: int = 1) -> list[int]:
    draw = random.Random(seed)
    return draw.choices(range(keys), k=rows)


def run(batches: list[pa.RecordBatch], pause_s: float = 0, **settings: Any) -> mt.RunReport:
    sink = Counting()
    config = mt.Config(progress=False, **settings)
    out = apply_process_function(mt.stream(Batches(batches, pause_s)), "user_id", Counter(), config=config)
    report = out.run(sink)
    assert sink.rows == report.records_in, (sink.rows, report.records_in)
    return report


class Folders:
    """State directories, each used once. They stay until the end, as removing one is not part of what is timed."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._count = 0

    def fresh(self) -> Path:
        self._count += 1
        return self._parent / f"state-{self._count}"


def durable(folder: Path, **settings: Any) -> dict[str, Any]:
    return {"profile": "single-node-durable", "state_dir": folder, **settings}


# ---- the lines --------------------------------------------------------------------------------------


def checkpoints_every_second(folders: Folders, rows: int, rounds: int) -> None:
    head("Checkpoints every second, 100 k keys", "in memory", "durable")
    # The shorter one ends before a second is over: what it shows is the start and the last checkpoint.
    for count in (rows, 10 * rows):
        batches = batches_of(at_random(count, 100_000))
        seconds = medians(
            {
                "memory": lambda batches=batches: run(batches),
                "durable": lambda batches=batches: run(batches, **durable(folders.fresh(), checkpoint_interval="1s")),
            },
            rounds,
        )
        show(f"{count / 1e6:g} M records", count, seconds["memory"], seconds["durable"])


def halves(first: list[pa.RecordBatch], then: list[pa.RecordBatch], **settings: Any) -> list[float]:
    """Seconds of one job for the first batches, for those then, and in all."""
    marks: list[float] = []

    class Marked(Batches):
        def read(self, offset: Any) -> Iterator[tuple[Any, Any]]:
            for number, batch in enumerate(self.batches):
                if number == len(first):
                    marks.append(time.perf_counter())
                yield batch, number + 1

    config = mt.Config(progress=False, **settings)
    out = apply_process_function(mt.stream(Marked(first + then)), "user_id", Counter(), config=config)
    began = time.perf_counter()
    out.run(Counting())
    ended = time.perf_counter()
    return [marks[0] - began, ended - marks[0], ended - began]


def more_than_memory(folders: Folders, keys: int, updates: int) -> None:
    inserts = batches_of(range(keys))
    drawn = at_random(updates, keys)
    changes = batches_of(drawn)
    limit = keys * BYTES_PER_KEY // 4
    memory = halves(inserts, changes)
    kept = halves(inserts, changes, **durable(folders.fresh(), memory_limit=limit))
    head(f"{keys / 1e6:g} M keys, a quarter of them in memory ({limit / 1e6:.0f} MB)", "in memory", "durable")
    lines = ["every key once", f"then {updates / 1e6:g} M at random", "both"]
    for line, records, first, second in zip(lines, [keys, updates, keys + updates], memory, kept, strict=True):
        show(line, records, first, second)
    # As with few keys above: from nothing, so that a key is new or not as it comes.
    limit = len(set(drawn)) * BYTES_PER_KEY // 4
    memory = halves([], changes)
    kept = halves([], changes, **durable(folders.fresh(), memory_limit=limit))
    show(f"{updates / 1e6:g} M at random from the start", updates, memory[2], kept[2])


def hand_written(folders: Folders, batches: list[pa.RecordBatch]) -> int:
    """What one would write with rocksdict: get, add, put, for each record."""
    from rocksdict import Options, Rdict, WriteOptions

    options = Options(raw_mode=True)
    options.create_if_missing(True)
    store = Rdict(str(folders.fresh()), options)
    unlogged = WriteOptions()
    unlogged.disable_wal = True
    store.set_write_options(unlogged)
    rows = 0
    out = []
    for batch in batches:
        for key in batch.column(0).to_pylist():
            name = key.to_bytes(8, "big", signed=True)
            found = store.get(name)
            count = 1 if found is None else int.from_bytes(found, "little") + 1
            store[name] = count.to_bytes(8, "little")
        out.append(batch)
        rows += batch.num_rows
    store.flush()
    store.close()
    return rows


def beside_rocksdict(folders: Folders, rows: int, rounds: int) -> None:
    try:
        import rocksdict  # noqa: F401
    except ImportError:
        print("\nrocksdict is not installed (pip install rocksdict): no comparison with it")
        return
    head("RocksDB by hand (rocksdict, get and put for each record)", "by hand", "durable")
    for keys in (100_000, 1_000_000):
        batches = batches_of(at_random(rows, keys))
        seconds = medians(
            {
                "hand": lambda batches=batches: hand_written(folders, batches),
                "durable": lambda batches=batches: run(batches, **durable(folders.fresh())),
            },
            rounds,
        )
        show(f"{keys / 1e6:g} M keys", rows, seconds["hand"], seconds["durable"])


def pauses(folders: Folders, keys: int = 1_000_000, share: float = 0.01, checkpoints: int = 24) -> None:
    folder = folders.fresh()
    run(batches_of(range(keys)), **durable(folder, checkpoint_interval=None))
    changed = int(keys * share)
    measured: list[float] = []
    begin = DurableRun._begin

    def timed(self: DurableRun, is_complete: bool) -> bool:
        began = time.perf_counter()
        try:
            return begin(self, is_complete)
        finally:
            measured.append((time.perf_counter() - began) * 1e3)

    first = batches_of(range(keys))
    changes = batches_of(at_random(changed * checkpoints, keys), rows=changed)
    DurableRun._begin = timed  # type: ignore[method-assign]
    try:
        shutil.rmtree(folder)
        # A batch changes 1 % of the keys, and a checkpoint falls due before the next.
        run(first + changes, pause_s=0.12, **durable(folder, checkpoint_interval="100ms"))
    finally:
        DurableRun._begin = begin  # type: ignore[method-assign]
    # Those while the keys came first changed more.
    measured = measured[-checkpoints:]
    print(
        f"\nPause of the record loop at a checkpoint, {keys / 1e6:g} M keys, 1 % changed ({len(measured)} of them), ms"
    )
    ordered = sorted(measured)
    print(
        f"  median {statistics.median(ordered):.1f}, 90 % within {ordered[int(len(ordered) * 0.9)]:.1f}, "
        f"longest {ordered[-1]:.1f}"
    )
    edges = [1, 2, 5, 10, 20, 50, 100, float("inf")]
    below = 0.0
    for edge in edges:
        count = sum(below <= one < edge for one in ordered)
        if count:
            print(f"  {below:>5g} to {edge:<5g} {'#' * count} {count}")
        below = edge


class BrokenError(Exception):
    """Ends a run, not the input."""


class Breaking(Batches):
    """Then single records, slowly, so that a checkpoint has all before them; and fails."""

    def read(self, offset: Any) -> Iterator[tuple[Any, Any]]:
        yield from super().read(offset)
        for number in range(12):
            time.sleep(0.25)
            yield one_record(), len(self.batches) + number + 1
        raise BrokenError


def one_record() -> pa.RecordBatch:
    return batches_of([1])[0]


RESTORE = """
import resource, sys, time
sys.path.insert(0, {path!r})
import durable
from pathlib import Path
began = time.perf_counter()
report = durable.run(
    [None] * {count} + [durable.one_record()] * 20,
    **durable.durable(Path({folder!r}), memory_limit={limit}),
)
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
with open("/proc/self/status") as status:
    anonymous = [int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon")]
print(report.restored_from or 0, seconds, peak, anonymous[0])
"""


def restore(folders: Folders, keys: int) -> None:
    limit = keys * BYTES_PER_KEY // 4
    folder = folders.fresh()
    rows = batches_of(range(keys))
    config = mt.Config(progress=False, **durable(folder, memory_limit=limit, checkpoint_interval="1s"))
    out = apply_process_function(mt.stream(Breaking(rows)), "user_id", Counter(), config=config)
    with contextlib.suppress(BrokenError):
        out.run(Counting())
    sizes = [
        sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        for path in (folder / "checkpoints").iterdir()
    ]
    print(
        f"\nRestore of {keys / 1e6:g} M keys from a checkpoint of {max(sizes) / 1e6:.0f} MB, "
        f"memory_limit {limit / 1e6:.0f} MB"
    )
    code = RESTORE.format(path=str(Path(__file__).parent), count=len(rows), folder=str(folder), limit=limit)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    restored, seconds, peak, anonymous = done.stdout.split()
    print(
        f"  {float(seconds):.2f} s from the start of the job to its end, some records later (checkpoint {restored}); "
        f"{int(anonymous) / 1e6:.0f} MB of memory, {int(peak) / 1e6:.0f} MB at its highest with files that are mapped"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=10_000_000)
    parser.add_argument("--updates", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where state is kept; a temporary folder by default")
    parser.add_argument("--only", nargs="*", choices=["interval", "memory", "rocksdict", "pauses", "restore"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as parent:
        folders = Folders(Path(parent))
        lines = {
            "interval": lambda: checkpoints_every_second(folders, given.rows, given.rounds),
            "rocksdict": lambda: beside_rocksdict(folders, given.rows, min(given.rounds, 3)),
            "pauses": lambda: pauses(folders),
            "memory": lambda: more_than_memory(folders, given.keys, given.updates),
            "restore": lambda: restore(folders, given.keys),
        }
        for name, line in lines.items():
            if given.only is None or name in given.only:
                line()


if __name__ == "__main__":
    main()
