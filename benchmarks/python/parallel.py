"""Two worker processes beside one process, for a callback of about 2 µs and for the cheapest there is.

The function travels to the workers, batches of records go there and come back in shared memory, and the outputs are
merged to the order of a serial run; all that is overhead. It is worth it when the callback costs more: the target is
1.6 times one process for a callback of 2 µs and more, and not below 0.8 times for the cheapest. That needs two cores
that have nothing else to do.

- cheapest: `on_event` counts per key in a typed state and emits the record view;
- busy: the same, after arithmetic in plain Python that takes about 2 µs (measured at the start).

Starting the processes takes the same time for any number of records: it is printed by itself, with the ratio that is
left without it. The input is large enough for it to matter little: --rows records for the cheapest callback, a fifth
of them for the busy one.
Usage: parallel.py [--rows N] [--rounds N] [--cardinality N] [--workers N]
"""

from __future__ import annotations

import argparse
import os
import random
import time
import timeit
from collections.abc import Callable

import pyarrow as pa
from _contest import head, medians, show

import martlet as mt

BATCH_ROWS = 65_536
DRAWN_ROWS = 1_000_000
BUSY_US = 2.0


class Cheapest(mt.ProcessFunction):
    count = mt.ValueState("count", int, default=0)

    def on_event(self, user, event, row, ctx):
        self.count.set(self.count.get() + 1)
        ctx.emit(event)


class Busy(mt.ProcessFunction):
    count = mt.ValueState("count", int, default=0)

    def __init__(self, turns: int) -> None:
        self.turns = turns

    def on_event(self, user, event, row, ctx):
        busy_work(self.turns)
        self.count.set(self.count.get() + 1)
        ctx.emit(event)


def busy_work(turns: int) -> int:
    x = 1
    for _ in range(turns):
        x = x * 1_103_515_245 + 12_345 & 0x7FFF_FFFF
    return x


def turns_for(microseconds: float) -> int:
    """How many turns of `busy_work` take so long here."""
    each = min(timeit.repeat(lambda: busy_work(1_000), number=20, repeat=5)) / 20 / 1_000
    return max(1, round(microseconds / 1e6 / each))


def run(table: pa.Table, function: Callable[[], mt.ProcessFunction], parallelism: int) -> pa.Table:
    events = mt.stream(table)
    config = mt.Config(parallelism=parallelism)
    return pa.table(mt.apply_process_function(events, "user", function(), output=table.schema, config=config))


def make_table(rows: int, cardinality: int) -> pa.Table:
    """Records of which every million is the same."""
    draw = random.Random(f"parallel {cardinality}")
    drawn = min(rows, DRAWN_ROWS)
    columns = {"user": draw.choices(range(cardinality), k=drawn), "amount": draw.choices(range(100), k=drawn)}
    drawn_table = pa.Table.from_batches(pa.table(columns).to_batches(max_chunksize=BATCH_ROWS))
    return pa.concat_tables([drawn_table] * -(-rows // drawn)).slice(0, rows)


def start_up(workers: int, rounds: int) -> float:
    """Seconds that a job with next to no records takes, at best."""
    table = make_table(100, 10)
    times = []
    for _ in range(2 * rounds):
        began = time.perf_counter()
        run(table, Cheapest, workers)
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description="Worker processes beside one process.")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cardinality", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    table = make_table(options.rows, options.cardinality)
    fewer = table.slice(0, max(1, options.rows // 5))
    turns = turns_for(BUSY_US)
    contests: list[tuple[str, pa.Table, Callable[[], mt.ProcessFunction]]] = [
        ("cheapest callback", table, Cheapest),
        (f"busy for {BUSY_US:g} µs ({turns} turns)", fewer, lambda: Busy(turns)),
    ]
    starting = start_up(options.workers, options.rounds)
    print(f"Starting {options.workers} workers and ending them: {starting * 1e3:.0f} ms")
    title = f"Worker processes, {options.rows:,} records, {options.cardinality:,} keys, {os.cpu_count()} cores"
    head(title, "one", f"{options.workers} workers")
    for name, records, function in contests:
        several = run(records, function, options.workers)
        assert several.equals(run(records, function, 1)), f"{name}: the outputs differ"
        del several
        contenders = {
            "one": lambda records=records, function=function: run(records, function, 1),
            "workers": lambda records=records, function=function: run(records, function, options.workers),
        }
        seconds = medians(contenders, options.rounds)
        show(name, records.num_rows, *seconds.values())
        show("  without the start", records.num_rows, seconds["one"], seconds["workers"] - starting)


if __name__ == "__main__":
    main()
