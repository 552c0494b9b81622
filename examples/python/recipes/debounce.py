"""Debounce: of a burst of records only the last one comes out, once the burst is over.

Use it where every change triggers something expensive (a mail, a search index, a cache to refill) and only the state
after the last change matters. Here bids on an auction come in bursts, and the auction's page is rendered again half a
second after the last bid of each.

The key is the auction; a ValueState holds the last bid, and a named timer ends the burst. Setting a named timer again
moves it, so each bid is a set and a register, whatever was pending before.

One thing to know: the watermark moves after a record. A bid that comes after the pause is processed before the timer
that has fallen due meanwhile, and would replace both. So it lets the old burst end first. That is right for records in
order of time; `sessions.py` is written for any order.
"""

from __future__ import annotations

import duckdb
from _nexmark import bids as nexmark_bids

import martlet as mt

QUIET_MS = 500


class Debounce(mt.ProcessFunction):
    last_bid = mt.ValueState("last_bid")

    def on_event(self, auction, bid, row, ctx):
        quiet_ms = ctx.timer("quiet")
        if quiet_ms is not None and quiet_ms < ctx.timestamp:
            self.end_burst(ctx)
        self.last_bid.set(bid.to_dict())
        ctx.register_event_time_timer(ctx.timestamp + QUIET_MS, name="quiet")

    def on_timer(self, auction, fire_time_ms, ctx):
        self.end_burst(ctx)
        self.last_bid.clear()  # an auction without state and timers costs nothing

    def end_burst(self, ctx):
        ctx.emit(self.last_bid.get())


def main() -> None:
    bids = nexmark_bids(events=100_000, per_second=500)
    events = mt.stream(bids, timestamp="ts", watermark=0, name="bids")
    rendered = events.key_by("auction").process(Debounce()).to_polars()
    print(f"{bids.height:,} bids on {bids['auction'].n_unique():,} auctions, pages rendered {rendered.height:,} times")

    # A bid is the last of its burst if none follows within the pause; at the end of the input every burst ends.
    expected = duckdb.sql(f"""
        SELECT position, ts, auction, bidder, price
        FROM bids
        QUALIFY coalesce(lead(ts) OVER (PARTITION BY auction ORDER BY position) - ts > {QUIET_MS}, true)
        ORDER BY position
    """).pl()
    found = rendered.sort("position")  # the output is in the order in which the bursts end
    assert found.equals(expected.cast(dict(found.schema))), "the last bids of the bursts differ from DuckDB's"
    print(f"{rendered.height:,} rows checked against DuckDB")


if __name__ == "__main__":
    main()
