"""Five Nexmark queries as process functions, each beside the loop one would write by hand.

The functions are those of `examples/python/nexmark`, the input is their generator's: persons, auctions and bids of the
given number of events, as Arrow. The loops do the same with dicts and lists, from Arrow to Arrow. Records are those
that a query reads: both of its inputs, or the bids.

The loops are the shortest correct ones. They have no timers: query 9 keeps a heap of closing times instead; query 11
notices the end of a session at the bidder's next bid, or at the end of the input, and keeps every bidder for ever.

Outputs are compared once, as sets of rows. Contenders run in one process, in turns.
Usage: nexmark.py [--events N] [--rounds N] [--query N ...]
"""

from __future__ import annotations

import argparse
import heapq
import sys
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from _contest import head, medians, show

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples" / "python" / "nexmark"))

import q3
import q9
import q11
import q18
import q19
from generator import Nexmark

BATCH_ROWS = 65_536


def columns(table: pa.Table, names: str) -> list[list[Any]]:
    return [table.column(name).to_pylist() for name in names.split()]


def table_of(rows: list[Any], schema: pa.Schema) -> pa.Table:
    parts = zip(*rows, strict=True) if rows else ([] for _ in schema)
    arrays = [pa.array(part, field.type) for part, field in zip(parts, schema, strict=True)]
    return pa.table(dict(zip(schema.names, arrays, strict=True)))


def ints(names: str) -> pa.Schema:
    return pa.schema([(name, pa.int64()) for name in names.split()])


# ---- by hand ----------------------------------------------------------------------------------------


def q3_by_hand(house: Nexmark) -> pa.Table:
    auctions = columns(house.auctions, "ts id seller category")
    person_times, *persons = columns(house.persons, "ts id name city state")
    people: dict[int, tuple[str, str, str]] = {}
    waiting: dict[int, list[int]] = {}
    out: list[Any] = []
    position, end = 0, len(person_times)

    def next_person() -> None:
        person_id, *fields = (values[position] for values in persons)
        people[person_id] = person = tuple(fields)
        for auction_id in waiting.pop(person_id, ()):
            if person[2] in q3.STATES:
                out.append((*person, auction_id))

    for time, auction_id, seller, category in zip(*auctions, strict=True):
        while position < end and person_times[position] < time:
            next_person()
            position += 1
        if category != q3.CATEGORY:
            continue
        person = people.get(seller)
        if person is None:
            waiting.setdefault(seller, []).append(auction_id)
        elif person[2] in q3.STATES:
            out.append((*person, auction_id))
    while position < end:
        next_person()
        position += 1
    text = pa.string()
    return table_of(out, pa.schema([("name", text), ("city", text), ("state", text), ("id", pa.int64())]))


def q9_by_hand(house: Nexmark) -> pa.Table:
    auctions = columns(house.auctions, "ts id item_name seller expires")
    bids = columns(house.bids, "ts auction bidder price")
    open_auctions: dict[int, list[Any]] = {}  # [item_name, seller, expires, bidder, price, bid_ts]
    closing: list[tuple[int, int]] = []
    out: list[Any] = []
    auction_times = auctions[0]
    position, end = 0, len(auction_times)

    def close_before(time: int) -> None:
        while closing and closing[0][0] < time:
            auction_id = heapq.heappop(closing)[1]
            auction = open_auctions.pop(auction_id)
            if auction[4] >= 0:
                out.append((auction_id, *auction))

    for time, auction_id, bidder, price in zip(*bids, strict=True):
        while position < end and auction_times[position] <= time:
            _, opened, item_name, seller, expires = (values[position] for values in auctions)
            open_auctions[opened] = [item_name, seller, expires, None, -1, None]
            heapq.heappush(closing, (expires, opened))
            position += 1
        if closing and closing[0][0] < time:
            close_before(time)
        auction = open_auctions.get(auction_id)
        if auction is not None and price > auction[4]:
            auction[3:] = bidder, price, time
    close_before(sys.maxsize)
    schema = ints("id item_name seller expires bidder price bid_ts").set(1, pa.field("item_name", pa.string()))
    return table_of(out, schema)


def q11_by_hand(house: Nexmark) -> pa.Table:
    gap = q11.GAP_MS
    sessions: dict[int, list[int]] = {}  # [bids, start, last]
    out: list[Any] = []
    for time, bidder in zip(*columns(house.bids, "ts bidder"), strict=True):
        session = sessions.get(bidder)
        if session is None:
            sessions[bidder] = [1, time, time]
        elif time - session[2] > gap:
            out.append((bidder, session[0], session[1], session[2] + gap))
            session[:] = 1, time, time
        else:
            session[0] += 1
            session[2] = time
    out += [(bidder, bids, start, last + gap) for bidder, (bids, start, last) in sessions.items()]
    return table_of(out, ints("bidder bid_count start_ms end_ms"))


def q18_by_hand(house: Nexmark) -> pa.Table:
    last: dict[tuple[int, int], Any] = {}
    for bid in zip(*columns(house.bids, "ts auction bidder price channel url extra"), strict=True):
        key = (bid[2], bid[1])
        other = last.get(key)
        if other is None or bid[0] >= other[0]:
            last[key] = bid
    return table_of(list(last.values()), house.bids.schema)


def q19_by_hand(house: Nexmark) -> pa.Table:
    top: dict[int, list[Any]] = {}
    for bid in zip(*columns(house.bids, "ts auction bidder price channel url extra"), strict=True):
        best = top.get(bid[1])
        if best is None:
            best = top[bid[1]] = []
        elif len(best) == q19.K and bid[3] <= best[-1][3]:
            continue
        best.insert(bisect_right(best, -bid[3], key=lambda other: -other[3]), bid)
        del best[q19.K :]
    rows = [(*bid, rank) for best in top.values() for rank, bid in enumerate(best, start=1)]
    return table_of(rows, house.bids.schema.append(pa.field("rank", pa.int64())))


# ---- measuring --------------------------------------------------------------------------------------

Query = Callable[[Nexmark], pa.Table]

# The inputs each reads, the loop, the function, and the events in a second: sessions need pauses.
QUERIES: dict[int, tuple[str, str, Query, Callable[[Nexmark], Any], int]] = {
    3: ("local items", "auctions persons", q3_by_hand, q3.run, 10_000),
    9: ("winning bids", "auctions bids", q9_by_hand, q9.run, 10_000),
    11: ("user sessions", "bids", q11_by_hand, q11.run, 100),
    18: ("last bids", "bids", q18_by_hand, q18.run, 10_000),
    19: ("top 10 bids", "bids", q19_by_hand, q19.run, 10_000),
}


def house_of(events: int, per_second: int) -> Nexmark:
    """Its tables in batches, as a reader of files would give them."""
    house = Nexmark(events, per_second=per_second)
    for kind in ("persons", "auctions", "bids"):
        batches = getattr(house, kind).to_batches(max_chunksize=BATCH_ROWS)
        house.__dict__[kind] = pa.Table.from_batches(batches)  # where a cached property keeps its value
    return house


def check(name: str, found: pa.Table, expected: pa.Table) -> None:
    order = [(column, "ascending") for column in expected.column_names]
    same = found.cast(expected.schema).sort_by(order).equals(expected.sort_by(order))
    assert same, f"{name}: the outputs differ"


def main() -> None:
    parser = argparse.ArgumentParser(description="Nexmark queries: Martlet beside hand-written loops.")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--query", type=int, nargs="+", default=[*QUERIES], choices=[*QUERIES])
    options = parser.parse_args()
    head(f"Nexmark, {options.events:,} events", "by hand", "Martlet")
    houses = {rate: house_of(options.events, rate) for rate in {QUERIES[number][-1] for number in options.query}}
    for number in options.query:
        title, inputs, by_hand, run, rate = QUERIES[number]
        house = houses[rate]
        check(title, pa.table(run(house)), by_hand(house))
        contenders = {
            "by hand": lambda by_hand=by_hand, house=house: by_hand(house),
            "Martlet": lambda run=run, house=house: pa.table(run(house)),
        }
        seconds = medians(contenders, options.rounds)
        records = sum(getattr(house, kind).num_rows for kind in inputs.split())
        show(f"query {number}, {title}", records, *seconds.values())


if __name__ == "__main__":
    main()
