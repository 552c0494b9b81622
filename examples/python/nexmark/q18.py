"""Nexmark query 18, find last bid: what is the last bid of each person on each auction?

The SQL is `ROW_NUMBER() OVER (PARTITION BY bidder, auction ORDER BY ts DESC) <= 1`. As a process function: a key of two
columns, a state with the last bid, and `on_end`, which is called for every key that has state when the input ends.

On an input without end there is no last bid, only one after which nothing came for a while: let a named timer per key
say so (`../recipes/debounce.py`), or emit every bid and have the reader keep the last.
"""

from __future__ import annotations

import pyarrow as pa
from checking import numbered, sql
from generator import Nexmark

import martlet as mt


class LastBid(mt.ProcessFunction):
    time = mt.ValueState("time", int, default=0)
    bid = mt.ValueState("bid")  # without a dtype a value may be any JSON-like thing

    def on_event(self, key, bid, row, ctx):
        if ctx.timestamp >= self.time.get():
            self.time.set(ctx.timestamp)
            self.bid.set(bid.to_dict())

    def on_end(self, key, ctx):
        ctx.emit(self.bid.get())


def run(house: Nexmark, config: mt.Config | None = None) -> mt.Stream:
    bids = mt.stream(house.bids, timestamp="ts", watermark=house.greatest_delay_ms, name="bids")
    return mt.apply_process_function(bids, ("bidder", "auction"), LastBid(), output=house.bids.schema, config=config)


def expected(house: Nexmark) -> pa.Table:
    """The same in SQL, and of two bids in one millisecond the one that came later."""
    query = """
        SELECT * EXCLUDE position
        FROM bids
        QUALIFY row_number() OVER (PARTITION BY bidder, auction ORDER BY ts DESC, position DESC) <= 1
        ORDER BY bidder, auction
    """
    return sql(query, bids=numbered(house.bids))


def main() -> None:
    house = Nexmark(events=100_000)
    last = run(house).to_arrow().sort_by([("bidder", "ascending"), ("auction", "ascending")])
    print(f"{house.bids.num_rows:,} bids of {last.num_rows:,} pairs of bidder and auction")
    assert last.equals(expected(house).cast(last.schema)), "the last bids differ from DuckDB's"
    print(f"{last.num_rows:,} rows checked against DuckDB")


if __name__ == "__main__":
    main()
