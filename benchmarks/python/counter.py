"""Running count per key, one row out per record, from Arrow in to Arrow out: Martlet beside what one would use instead.

Contenders, on the same table and in the same process, in turns:

- the loop that a careful Python programmer would write by hand: columns to lists, a dict, lists back to Arrow;
- Martlet, a Python `on_event` with a typed `ValueState`, emitting two fields;
- the same, emitting the record view (the output is then the input's row, so that no Python object is made for it);
- Martlet with a callback that does nothing: what a record costs before your own code, the boundary;
- Bytewax, with `stateful_map` on one worker.

Prints the median of the rounds and the ratio to the hand-written loop (above 1: faster than it).
Usage: counter.py [--rows N] [--rounds N] [--cardinality N ...] [--without-bytewax]
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

import martlet as mt
from martlet import ProcessFunction, ValueState, apply_process_function

HAND_WRITTEN = "hand-written loop"
BATCH_ROWS = 65_536


# ---- the work, four times ---------------------------------------------------------------------------


def hand_written(table: pa.Table) -> pa.Table:
    counts: dict[Any, int] = {}
    get = counts.get
    out_keys, out_n = [], []
    append_key, append_n = out_keys.append, out_n.append
    for key in table.column("user_id").to_pylist():
        n = get(key, 0) + 1
        counts[key] = n
        append_key(key)
        append_n(n)
    return pa.table(
        {"user_id": pa.array(out_keys, table.schema.field("user_id").type), "n": pa.array(out_n, pa.int64())}
    )


class Counter(ProcessFunction):
    count = ValueState("count", int)

    def on_event(self, key, batch, row, ctx):
        n = (self.count.get() or 0) + 1
        self.count.set(n)
        ctx.emit(user_id=key, n=n)


class CounterOfViews(ProcessFunction):
    count = ValueState("count", int)

    def on_event(self, key, batch, row, ctx):
        self.count.set((self.count.get() or 0) + 1)
        ctx.emit(batch)


class Empty(ProcessFunction):
    def on_event(self, key, batch, row, ctx):
        pass


def martlet_fields(table: pa.Table) -> pa.Table:
    return pa.table(apply_process_function(mt.stream(table), "user_id", Counter()))


def martlet_views(table: pa.Table) -> pa.Table:
    return pa.table(apply_process_function(mt.stream(table), "user_id", CounterOfViews()))


def martlet_empty(table: pa.Table) -> pa.Table:
    return pa.table(apply_process_function(mt.stream(table), "user_id", Empty(), output=table.schema))


def bytewax_counter(table: pa.Table) -> pa.Table:
    # Its keys are strings, and its items Python objects: both conversions are part of using it with Arrow data.
    import bytewax.operators as op
    from bytewax.dataflow import Dataflow
    from bytewax.testing import TestingSink, TestingSource, run_main

    key_type = table.schema.field("user_id").type
    items = [(str(key), key) for key in table.column("user_id").to_pylist()]
    out: list[tuple[str, tuple[Any, int]]] = []

    def count(state: int | None, key: Any) -> tuple[int, tuple[Any, int]]:
        n = (state or 0) + 1
        return n, (key, n)

    flow = Dataflow("counter")
    stream = op.input("in", flow, TestingSource(items, batch_size=1_024))
    op.output("out", op.stateful_map("count", stream, count), TestingSink(out))
    run_main(flow)
    keys, counts = zip(*(value for _, value in out), strict=True)
    return pa.table({"user_id": pa.array(keys, key_type), "n": pa.array(counts, pa.int64())})


# ---- measuring --------------------------------------------------------------------------------------


@dataclass
class Contender:
    name: str
    run: Callable[[pa.Table], pa.Table]
    counts_in_output: bool = True
    in_order: bool = True
    emits: bool = True
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def make_table(rows: int, cardinality: int, kind: str) -> pa.Table:
    draw = random.Random(f"{kind} {cardinality}")
    numbers = draw.choices(range(cardinality), k=rows)
    if kind == "int":
        keys = pa.array([number * 1_000_003 for number in numbers], pa.int64())
    else:
        keys = pa.array([f"user-{number:07d}" for number in numbers], pa.string())
    return pa.Table.from_batches(pa.table({"user_id": keys}).to_batches(max_chunksize=BATCH_ROWS))


def check(contender: Contender, result: pa.Table, expected: pa.Table) -> None:
    """Fails unless the contender did the same work as the hand-written loop."""
    if not contender.emits:
        assert result.num_rows == 0, f"{contender.name}: {result.num_rows} rows of a function that emits none"
        return
    columns = ["user_id", "n"] if contender.counts_in_output else ["user_id"]
    result, expected = result.select(columns), expected.select(columns)
    if not contender.in_order:
        order = [(column, "ascending") for column in columns]
        result, expected = result.sort_by(order), expected.sort_by(order)
    assert result.num_rows == expected.num_rows, f"{contender.name}: {result.num_rows} rows of {expected.num_rows}"
    for column in columns:
        same = result.column(column).cast(expected.schema.field(column).type) == expected.column(column)
        assert same, f"{contender.name}: column {column} differs from the hand-written loop's"


def measure(table: pa.Table, contenders: list[Contender], rounds: int) -> None:
    """One round that is checked and not counted, then `rounds` rounds in rotating order."""
    expected = hand_written(table)
    for contender in contenders:
        check(contender, contender.run(table), expected)
    del expected
    for turn in range(rounds):
        shift = turn % len(contenders)
        for contender in contenders[shift:] + contenders[:shift]:
            gc.collect()
            began = time.perf_counter()
            result = contender.run(table)
            contender.seconds.append(time.perf_counter() - began)
            del result


def show(title: str, rows: int, contenders: list[Contender]) -> None:
    reference = next(contender for contender in contenders if contender.name == HAND_WRITTEN).median
    print(f"\n{title}\n  {'':24}{'M records/s':>13}{'ns/record':>12}{'ratio':>8}")
    for contender in contenders:
        rate, each = rows / contender.median / 1e6, contender.median / rows * 1e9
        print(f"  {contender.name:24}{rate:13.2f}{each:12.0f}{reference / contender.median:8.2f}", flush=True)


def contenders_for(with_bytewax: bool) -> list[Contender]:
    contenders = [
        Contender(HAND_WRITTEN, hand_written),
        Contender("Martlet, two fields", martlet_fields),
        Contender("Martlet, record view", martlet_views, counts_in_output=False),
        Contender("Martlet, empty callback", martlet_empty, emits=False),
    ]
    if with_bytewax:
        # It gives the records of one input batch grouped by key.
        contenders.append(Contender("Bytewax", bytewax_counter, in_order=False))
    return contenders


def main() -> None:
    parser = argparse.ArgumentParser(description="Running count per key: Martlet, a hand-written loop, Bytewax.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cardinality", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--without-bytewax", action="store_true")
    arguments = parser.parse_args()
    for kind in ("int", "string"):
        for cardinality in arguments.cardinality:
            table = make_table(arguments.rows, cardinality, kind)
            contenders = contenders_for(with_bytewax=not arguments.without_bytewax)
            measure(table, contenders, arguments.rounds)
            show(f"{arguments.rows:,} records, {cardinality:,} {kind} keys", arguments.rows, contenders)


if __name__ == "__main__":
    main()
