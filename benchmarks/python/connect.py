"""A function over two connected streams beside the hand-written loop over two dicts.

Events add up per user, each weighted by the user's level, which another stream changes as time goes on; every event
gives a row. Both streams are in order of time and are merged by it, changes first at one time.

By hand this is: columns to lists, a merge by index, a dict for the levels and one for the totals, lists back to Arrow.
Martlet does the same with `on_left` and `on_right` over two typed states, from Arrow to Arrow. Contenders run in one
process, in turns; their outputs are compared once. A record is one of either stream.
Usage: connect.py [--rows N] [--rounds N] [--cardinality N ...]
"""

from __future__ import annotations

import argparse
import random

import pyarrow as pa
from _contest import head, medians, show

import martlet as mt

BATCH_ROWS = 65_536
OUTPUT = {"user": int, "total": int}


def by_hand(changes: pa.Table, events: pa.Table) -> pa.Table:
    change_times, change_users, change_levels = (column.to_pylist() for column in changes.columns)
    times, users, amounts = (column.to_pylist() for column in events.columns)
    levels: dict[int, int] = {}
    totals: dict[int, int] = {}
    out_users, out_totals = [], []
    position, end = 0, len(change_times)
    for time, user, amount in zip(times, users, amounts, strict=True):
        while position < end and change_times[position] <= time:
            levels[change_users[position]] = change_levels[position]
            position += 1
        total = totals[user] = totals.get(user, 0) + amount * levels.get(user, 1)
        out_users.append(user)
        out_totals.append(total)
    return pa.table({"user": pa.array(out_users, pa.int64()), "total": pa.array(out_totals, pa.int64())})


class Weighted(mt.CoProcessFunction):
    level = mt.ValueState("level", int, default=1)
    total = mt.ValueState("total", int, default=0)

    def on_left(self, user, change, row, ctx):
        self.level.set(change["level"])

    def on_right(self, user, event, row, ctx):
        total = self.total.get() + event["amount"] * self.level.get()
        self.total.set(total)
        ctx.emit(user=user, total=total)


def martlet(changes: pa.Table, events: pa.Table) -> pa.Table:
    left = mt.stream(changes, timestamp="ts", watermark=0)
    right = mt.stream(events, timestamp="ts", watermark=0)
    return pa.table(mt.connect_streams(left, right, Weighted(), key="user", output=OUTPUT))


def make_table(rows: int, cardinality: int, span: int, name: str) -> pa.Table:
    draw = random.Random(f"{name} {cardinality}")
    columns = {
        "ts": pa.array(sorted(draw.choices(range(span), k=rows)), pa.int64()),
        "user": pa.array(draw.choices(range(cardinality), k=rows), pa.int64()),
        name: pa.array(draw.choices(range(1, 10), k=rows), pa.int64()),
    }
    return pa.Table.from_batches(pa.table(columns).to_batches(max_chunksize=BATCH_ROWS))


def main() -> None:
    parser = argparse.ArgumentParser(description="Two connected streams: Martlet beside a loop over two dicts.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cardinality", type=int, nargs="+", default=[1_000, 100_000])
    options = parser.parse_args()
    head(f"Two connected streams, {options.rows:,} records", "two dicts", "Martlet")
    for cardinality in options.cardinality:
        for share in (0.5, 0.1):
            changes = make_table(int(options.rows * share), cardinality, options.rows, "level")
            events = make_table(options.rows - changes.num_rows, cardinality, options.rows, "amount")
            assert martlet(changes, events).equals(by_hand(changes, events)), "the outputs differ"
            contenders = {
                "by hand": lambda left=changes, right=events: by_hand(left, right),
                "Martlet": lambda left=changes, right=events: martlet(left, right),
            }
            seconds = medians(contenders, options.rounds)
            show(f"{cardinality:,} keys, {share:.0%} on the left", options.rows, *seconds.values())


if __name__ == "__main__":
    main()
