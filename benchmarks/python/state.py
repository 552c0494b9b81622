"""States of every kind beside the hand-written loop for the same job: a dict of sets, of lists, of dicts.

- dedup: pass a (user, item) on the first time (`MapState` with int keys);
- append: keep a user's amounts and tell how many there are every tenth time (`ListState` of int);
- update: a dict of three fields per user, read, changed and set again at every record (`ValueState` without dtype,
  stored by value; the hand-written loop changes its dict in place);
- total: a running sum per user (`ReducingState` "sum" of int).

Contenders run on the same table in the same process, in turns; their outputs are compared once. Prints the median of
the rounds and the ratio to the hand-written loop (above 1: faster than it).
Usage: state.py [--rows N] [--rounds N] [--cardinality N]
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa

import martlet as mt

BATCH_ROWS = 65_536


def columns(table: pa.Table) -> zip[Any]:
    return zip(table.column("user").to_pylist(), table.column("item").to_pylist(), strict=True)


def output(users: list[int], values: list[int], name: str) -> pa.Table:
    return pa.table({"user": pa.array(users, pa.int64()), name: pa.array(values, pa.int64())})


# ---- by hand ----------------------------------------------------------------------------------------


def dedup_by_hand(table: pa.Table) -> pa.Table:
    seen: dict[int, set[int]] = {}
    users, items = [], []
    for user, item in columns(table):
        of_user = seen.get(user)
        if of_user is None:
            of_user = seen[user] = set()
        if item not in of_user:
            of_user.add(item)
            users.append(user)
            items.append(item)
    return output(users, items, "item")


def append_by_hand(table: pa.Table) -> pa.Table:
    kept: dict[int, list[int]] = {}
    users, lengths = [], []
    for user, item in columns(table):
        of_user = kept.get(user)
        if of_user is None:
            of_user = kept[user] = []
        of_user.append(item)
        if item % 10 == 0:
            users.append(user)
            lengths.append(len(of_user))
    return output(users, lengths, "n")


def update_by_hand(table: pa.Table) -> pa.Table:
    profiles: dict[int, dict[str, Any]] = {}
    users, totals = [], []
    for user, item in columns(table):
        profile = profiles.get(user)
        if profile is None:
            profile = profiles[user] = {"n": 0, "total": 0, "last": None}
        profile["n"] += 1
        profile["total"] += item
        profile["last"] = item
        users.append(user)
        totals.append(profile["total"])
    return output(users, totals, "total")


def total_by_hand(table: pa.Table) -> pa.Table:
    totals: dict[int, int] = {}
    users, out = [], []
    for user, item in columns(table):
        total = totals[user] = totals.get(user, 0) + item
        users.append(user)
        out.append(total)
    return output(users, out, "total")


# ---- with Martlet -----------------------------------------------------------------------------------


class Dedup(mt.ProcessFunction):
    seen = mt.MapState("seen", int, bool)

    def on_event(self, key, batch, row, ctx):
        item = batch["item"]
        if item not in self.seen:
            self.seen[item] = True
            ctx.emit(user=key, item=item)


class Append(mt.ProcessFunction):
    kept = mt.ListState("kept", int)

    def on_event(self, key, batch, row, ctx):
        item = batch["item"]
        self.kept.add(item)
        if item % 10 == 0:
            ctx.emit(user=key, n=self.kept.len())


class Update(mt.ProcessFunction):
    profile = mt.ValueState("profile")

    def on_event(self, key, batch, row, ctx):
        item = batch["item"]
        profile = self.profile.get() or {"n": 0, "total": 0, "last": None}
        profile["n"] += 1
        profile["total"] += item
        profile["last"] = item
        self.profile.set(profile)
        ctx.emit(user=key, total=profile["total"])


class Total(mt.ProcessFunction):
    total = mt.ReducingState("total", "sum", int)

    def on_event(self, key, batch, row, ctx):
        self.total.add(batch["item"])
        ctx.emit(user=key, total=self.total.get())


def with_martlet(function: type[mt.ProcessFunction], name: str) -> Callable[[pa.Table], pa.Table]:
    def run(table: pa.Table) -> pa.Table:
        return pa.table(
            mt.apply_process_function(mt.stream(table), "user", function(), output={"user": int, name: int})
        )

    return run


JOBS: dict[str, tuple[Callable[[pa.Table], pa.Table], Callable[[pa.Table], pa.Table]]] = {
    "dedup (map of int)": (dedup_by_hand, with_martlet(Dedup, "item")),
    "append (list of int)": (append_by_hand, with_martlet(Append, "n")),
    "update (dynamic dict)": (update_by_hand, with_martlet(Update, "total")),
    "total (reducing sum)": (total_by_hand, with_martlet(Total, "total")),
}


def make_table(rows: int, cardinality: int) -> pa.Table:
    draw = random.Random(f"state {cardinality}")
    table = pa.table(
        {
            "user": pa.array(draw.choices(range(cardinality), k=rows), pa.int64()),
            "item": pa.array(draw.choices(range(50), k=rows), pa.int64()),
        }
    )
    return pa.Table.from_batches(table.to_batches(max_chunksize=BATCH_ROWS))


def seconds(run: Callable[[pa.Table], pa.Table], table: pa.Table) -> float:
    gc.collect()
    began = time.perf_counter()
    run(table)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description="States: Martlet beside a hand-written loop.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cardinality", type=int, default=100_000)
    options = parser.parse_args()
    table = make_table(options.rows, options.cardinality)
    print(f"\n{options.rows:,} records, {options.cardinality:,} keys, M records/s")
    print(f"  {'':24}{'by hand':>10}{'Martlet':>10}{'ratio':>8}")
    for name, (by_hand, martlet) in JOBS.items():
        expected, result = by_hand(table), martlet(table)
        assert result.equals(expected.cast(result.schema)), f"{name}: the outputs differ"
        del expected, result
        times: tuple[list[float], list[float]] = ([], [])
        for turn in range(options.rounds):
            for contender in ((0, 1), (1, 0))[turn % 2]:
                times[contender].append(seconds((by_hand, martlet)[contender], table))
        hand, ours = (statistics.median(each) for each in times)
        rates = f"{options.rows / hand / 1e6:10.2f}{options.rows / ours / 1e6:10.2f}"
        print(f"  {name:24}{rates}{hand / ours:8.2f}", flush=True)


if __name__ == "__main__":
    main()
