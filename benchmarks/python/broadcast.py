"""A function over a stream and broadcast rules beside the hand-written loop over two dicts.

Every event is of a kind, and each kind has a limit, which a stream of rules changes as time goes on. Events above the
limit are counted per user, and each of them gives a row. Both streams are in order of time and are merged by it, rules
first at one time.

By hand this is: columns to lists, a merge by index, a dict for the rules and one for the counts, lists back to Arrow.
Martlet does the same with a `BroadcastState` and a typed `ValueState`, from Arrow to Arrow. Contenders run in one
process, in turns; their outputs are compared once. A record is one of either stream.
Usage: broadcast.py [--rows N] [--rounds N] [--cardinality N]
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence

import pyarrow as pa
from _contest import head, medians, show

import martlet as mt

BATCH_ROWS = 65_536
OUTPUT = {"user": int, "n": int}
RULES = mt.BroadcastState("rules", int, int)  # kind → limit


def by_hand(rules: pa.Table, events: pa.Table) -> pa.Table:
    rule_times, rule_kinds, rule_limits = (column.to_pylist() for column in rules.columns)
    columns = (column.to_pylist() for column in events.columns)
    limits: dict[int, int] = {}
    counts: dict[int, int] = {}
    users, numbers = [], []
    position, end = 0, len(rule_times)
    for time, user, kind, amount in zip(*columns, strict=True):
        while position < end and rule_times[position] <= time:
            limits[rule_kinds[position]] = rule_limits[position]
            position += 1
        limit = limits.get(kind)
        if limit is not None and amount > limit:
            n = counts[user] = counts.get(user, 0) + 1
            users.append(user)
            numbers.append(n)
    return pa.table({"user": pa.array(users, pa.int64()), "n": pa.array(numbers, pa.int64())})


class OverTheLimit(mt.BroadcastProcessFunction):
    rules = RULES
    count = mt.ValueState("count", int, default=0)

    def on_broadcast(self, key, rule, row, ctx):
        self.rules.put(rule["kind"], rule["limit"])

    def on_event(self, user, event, row, ctx):
        limit = self.rules.get(event["kind"])
        if limit is not None and event["amount"] > limit:
            n = self.count.get() + 1
            self.count.set(n)
            ctx.emit(user=user, n=n)


def martlet(rules: pa.Table, events: pa.Table) -> pa.Table:
    main_stream = mt.stream(events, timestamp="ts", watermark=0)
    broadcast = mt.stream(rules, timestamp="ts", watermark=0).broadcast(RULES)
    return pa.table(mt.broadcast_stream(main_stream, broadcast, OverTheLimit(), key="user", output=OUTPUT))


def make_rules(kinds: int, changes: int, span: int) -> pa.Table:
    """A rule for every kind at the start, and changes spread over the time of the events."""
    draw = random.Random(f"rules {kinds} {changes}")
    columns = {
        "ts": [0] * kinds + sorted(draw.choices(range(span), k=changes)),
        "kind": [*range(kinds), *draw.choices(range(kinds), k=changes)],
        "limit": draw.choices(range(100), k=kinds + changes),
    }
    return in_batches(columns)


def make_events(rows: int, kinds: int, cardinality: int) -> pa.Table:
    draw = random.Random(f"events {kinds} {cardinality}")
    columns = {
        "ts": range(rows),
        "user": draw.choices(range(cardinality), k=rows),
        "kind": draw.choices(range(kinds), k=rows),
        "amount": draw.choices(range(100), k=rows),
    }
    return in_batches(columns)


def in_batches(columns: dict[str, Sequence[int]]) -> pa.Table:
    return pa.Table.from_batches(pa.table(columns).to_batches(max_chunksize=BATCH_ROWS))


def main() -> None:
    parser = argparse.ArgumentParser(description="Broadcast rules: Martlet beside a loop over two dicts.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cardinality", type=int, default=100_000)
    options = parser.parse_args()
    head(f"Broadcast rules, {options.rows:,} events, {options.cardinality:,} keys", "two dicts", "Martlet")
    for kinds, changes in ((100, 0), (100, options.rows // 10), (100_000, options.rows // 10)):
        events = make_events(options.rows, kinds, options.cardinality)
        rules = make_rules(kinds, changes, options.rows)
        assert martlet(rules, events).equals(by_hand(rules, events)), "the outputs differ"
        contenders = {
            "by hand": lambda rules=rules, events=events: by_hand(rules, events),
            "Martlet": lambda rules=rules, events=events: martlet(rules, events),
        }
        seconds = medians(contenders, options.rounds)
        show(f"{kinds:,} rules, {changes:,} changes", events.num_rows + rules.num_rows, *seconds.values())


if __name__ == "__main__":
    main()
