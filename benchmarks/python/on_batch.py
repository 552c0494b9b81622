"""on_batch beside on_event, on input sorted by key: a sum per key, the records passed on.

The aim is five times on_event with runs of a hundred records a key and more; what a call costs by itself shows in short
runs. Each is checked to pass on what it is given.
Usage: on_batch.py [--rows N] [--rounds N] [--run N ...]
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time

import pyarrow as pa
import pyarrow.compute as pc

import martlet as mt
from martlet import ProcessFunction, ValueState, apply_process_function


class ByRecord(ProcessFunction):
    total = ValueState("total", int)

    def on_event(self, key, batch, row, ctx):
        self.total.set((self.total.get() or 0) + batch["amount"])
        ctx.emit(batch)


class BySlice(ProcessFunction):
    total = ValueState("total", int)

    def on_batch(self, key, batch, ctx):
        self.total.set((self.total.get() or 0) + sum(batch["amount"].to_pylist()))
        ctx.emit(batch)


class BySliceArrow(ProcessFunction):
    total = ValueState("total", int)

    def on_batch(self, key, batch, ctx):
        amounts = pa.array(batch["amount"])
        self.total.set((self.total.get() or 0) + pc.sum(amounts).as_py())
        ctx.emit(batch)


def make_table(rows: int, run: int) -> pa.Table:
    keys = [i // run for i in range(rows)]
    return pa.table({"user_id": keys, "amount": [i % 100 for i in range(rows)]})


def run_once(table: pa.Table, fn: ProcessFunction) -> tuple[float, pa.Table]:
    gc.collect()
    began = time.perf_counter()
    result = pa.table(apply_process_function(mt.stream(table), "user_id", fn))
    return time.perf_counter() - began, result


def main() -> None:
    parser = argparse.ArgumentParser(description="on_batch beside on_event, on input sorted by key.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--run", type=int, nargs="*", default=[1, 10, 100, 1000], help="records a key")
    options = parser.parse_args()
    functions = {"on_event": ByRecord, "on_batch, list": BySlice, "on_batch, pyarrow": BySliceArrow}
    for run in options.run:
        table = make_table(options.rows, run)
        seconds: dict[str, list[float]] = {name: [] for name in functions}
        for _ in range(options.rounds):
            for name, function in functions.items():
                elapsed, result = run_once(table, function())
                seconds[name].append(elapsed)
                assert result.equals(table), f"{name} does not pass on what it is given"
                del result
        print(f"\n{options.rows:,} records, {run:,} a key\n  {'':20}{'M records/s':>13}{'ratio':>8}")
        base = statistics.median(seconds["on_event"])
        for name, times in seconds.items():
            median = statistics.median(times)
            print(f"  {name:20}{options.rows / median / 1e6:13.2f}{base / median:8.2f}", flush=True)


if __name__ == "__main__":
    main()
