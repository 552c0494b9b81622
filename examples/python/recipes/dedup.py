"""Deduplication with a rule of your own, per user, in bounded memory.

Use it when "the same again" is more than equal columns within one batch: here a bid is a repeat if the same bidder bid
on the same auction less than ten seconds ago and offers no more than then. Every bid, passed on or not, starts the ten
seconds anew.

The key is the bidder; a MapState holds the last bid on each of the bidder's auctions. Its TTL in event time takes
entries away that can no longer make a bid a repeat, also those of bidders who never come back. A TTL is about memory:
it follows the watermark, which is always a little behind the record at hand. The rule itself therefore compares times.
"""

from __future__ import annotations

import duckdb
from _nexmark import bids as nexmark_bids

import martlet as mt

REPEAT_MS = 10_000


class Deduplicate(mt.ProcessFunction):
    # auction -> [time, price] of the bidder's last bid: without a dtype a value may be any JSON-like thing
    last_bids = mt.MapState("last_bids", int, ttl=mt.TTL(REPEAT_MS, time="event"))

    def on_event(self, bidder, bid, row, ctx):
        last = self.last_bids.get(bid["auction"])
        self.last_bids.put(bid["auction"], [ctx.timestamp, bid["price"]])
        if last is not None:
            time, price = last
            if ctx.timestamp - time < REPEAT_MS and bid["price"] <= price:
                return  # a repeat
        ctx.emit(bid)


def main() -> None:
    # Slowed down to a hundred events a second, so that ten seconds are long enough for one person to bid twice.
    bids = nexmark_bids(events=100_000, per_second=100)
    events = mt.stream(bids, timestamp="ts", watermark=0, name="bids")
    passed = events.key_by("bidder").process(Deduplicate()).to_polars()
    print(f"{bids.height:,} bids of {bids['bidder'].n_unique():,} bidders, {bids.height - passed.height:,} repeats")

    expected = duckdb.sql(f"""
        SELECT position, ts, auction, bidder, price
        FROM bids
        WINDOW bidding AS (PARTITION BY bidder, auction ORDER BY position)
        QUALIFY NOT coalesce(ts - lag(ts) OVER bidding < {REPEAT_MS} AND price <= lag(price) OVER bidding, false)
        ORDER BY position
    """).pl()
    assert passed.equals(expected.cast(dict(passed.schema))), "the bids that were passed on differ from DuckDB's"
    print(f"{passed.height:,} rows checked against DuckDB")


if __name__ == "__main__":
    main()
