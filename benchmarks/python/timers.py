"""Inactivity per key: tell when a key was quiet for a while. Every record moves its key's timer.

Contenders, on the same table and in the same process, in turns:

- the loop that a careful Python programmer would write by hand: a dict of deadlines and a heap of (deadline, key), with
  lazy deletion (an entry counts only if the dict still has its deadline);
- Martlet, with a typed `ValueState` for the deadline, a delete and a register per record;
- Martlet, with a named timer, which each record moves: no state at all.

All three give the same alerts in the same order: (key, deadline), when event time passes the deadline, by time, then
key. The hand-written loop checks its heap after every record, as watermarks do.

Prints the median of the rounds and the ratio to the hand-written loop (above 1: faster than it).
Usage: timers.py [--rows N] [--rounds N] [--cardinality N] [--timeout MS]
"""

from __future__ import annotations

import argparse
import gc
import heapq
import random
import statistics
import time
from collections.abc import Callable

import pyarrow as pa

import martlet as mt
from martlet import ProcessFunction, ValueState, apply_process_function

HAND_WRITTEN = "hand-written dict + heapq"
BATCH_ROWS = 65_536
OUTPUT = {"user_id": int, "deadline": int}


def hand_written(table: pa.Table, timeout: int) -> pa.Table:
    deadlines: dict[int, int] = {}
    heap: list[tuple[int, int]] = []
    push, pop = heapq.heappush, heapq.heappop
    out_keys: list[int] = []
    out_deadlines: list[int] = []
    now = -1
    for key, moment in zip(table.column("user_id").to_pylist(), table.column("t").to_pylist(), strict=True):
        deadline = moment + timeout
        deadlines[key] = deadline
        push(heap, (deadline, key))
        if moment > now:
            now = moment
        while heap[0][0] < now:
            due, quiet = pop(heap)
            if deadlines.get(quiet) == due:
                del deadlines[quiet]
                out_keys.append(quiet)
                out_deadlines.append(due)
    while heap:
        due, quiet = pop(heap)
        if deadlines.get(quiet) == due:
            del deadlines[quiet]
            out_keys.append(quiet)
            out_deadlines.append(due)
    return pa.table({"user_id": pa.array(out_keys, pa.int64()), "deadline": pa.array(out_deadlines, pa.int64())})


class Inactivity(ProcessFunction):
    deadline = ValueState("deadline", int)

    def __init__(self, timeout: int) -> None:
        self.timeout = timeout

    def on_event(self, key, batch, row, ctx):
        if (deadline := self.deadline.get()) is not None:
            ctx.delete_event_time_timer(deadline)
        deadline = ctx.timestamp + self.timeout
        self.deadline.set(deadline)
        ctx.register_event_time_timer(deadline)

    def on_timer(self, key, fire_time_ms, ctx):
        self.deadline.clear()
        ctx.emit(user_id=key, deadline=fire_time_ms)


class NamedInactivity(ProcessFunction):
    def __init__(self, timeout: int) -> None:
        self.timeout = timeout

    def on_event(self, key, batch, row, ctx):
        ctx.register_event_time_timer(ctx.timestamp + self.timeout, name="quiet")

    def on_timer(self, key, fire_time_ms, ctx):
        ctx.emit(user_id=key, deadline=fire_time_ms)


def with_martlet(function: type[ProcessFunction]) -> Callable[[pa.Table, int], pa.Table]:
    def run(table: pa.Table, timeout: int) -> pa.Table:
        events = mt.stream(table, timestamp="t")
        return pa.table(apply_process_function(events, "user_id", function(timeout), output=OUTPUT))

    return run


CONTENDERS = {
    HAND_WRITTEN: hand_written,
    "Martlet, delete + register": with_martlet(Inactivity),
    "Martlet, named timer": with_martlet(NamedInactivity),
}


def make_table(rows: int, cardinality: int) -> pa.Table:
    draw = random.Random(f"timers {cardinality}")
    keys = pa.array(draw.choices(range(cardinality), k=rows), pa.int64())
    table = pa.table({"user_id": keys, "t": pa.array(range(rows), pa.int64())})
    return pa.Table.from_batches(table.to_batches(max_chunksize=BATCH_ROWS))


def main() -> None:
    parser = argparse.ArgumentParser(description="Inactivity timers: Martlet beside a hand-written loop.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cardinality", type=int, default=100_000)
    parser.add_argument("--timeout", type=int, default=200_000, help="in ms; one record comes a millisecond")
    options = parser.parse_args()
    table = make_table(options.rows, options.cardinality)
    expected = hand_written(table, options.timeout)
    for name, run in CONTENDERS.items():
        result = run(table, options.timeout)
        assert result.equals(expected.cast(result.schema)), f"{name} gives other alerts than the hand-written loop"
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    names = list(CONTENDERS)
    for turn in range(options.rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            gc.collect()
            began = time.perf_counter()
            CONTENDERS[name](table, options.timeout)
            seconds[name].append(time.perf_counter() - began)
    reference = statistics.median(seconds[HAND_WRITTEN])
    print(f"\n{options.rows:,} records, {options.cardinality:,} keys, {expected.num_rows:,} alerts")
    print(f"  {'':28}{'M records/s':>13}{'ns/record':>12}{'ratio':>8}")
    for name, times in seconds.items():
        median = statistics.median(times)
        rate, each = options.rows / median / 1e6, median / options.rows * 1e9
        print(f"  {name:28}{rate:13.2f}{each:12.0f}{reference / median:8.2f}")


if __name__ == "__main__":
    main()
