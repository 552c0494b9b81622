"""Sessions: what a user does belongs together until nothing happens for a while. Records may be out of order.

Use it for visits, trips, working hours: anything that ends by a gap and not by a record that says so. (This is query 11
of Nexmark: how many bids did a person make in each session, ten seconds without a bid being the end.)

The key is the bidder. A MapState holds the sessions that are still open, from start to [end, bids]. Usually that is
one; but as long as the watermark has not passed the gap, a record out of order may still arrive between two of them
and join them. Each session has one timer, at its end plus the gap. When it fires, no record that is still to come can
belong to the session.
"""

from __future__ import annotations

from random import Random

import duckdb
import polars as pl
from _nexmark import bids as nexmark_bids

import martlet as mt

GAP_MS = 10_000
DISORDER_MS = 15_000  # more than the gap, so that a bidder can have several open sessions


class Sessions(mt.ProcessFunction):
    open_sessions = mt.MapState("open_sessions", int)

    def on_event(self, bidder, bid, row, ctx):
        start = end = ctx.timestamp
        bids = 1
        for other_start, (other_end, other_bids) in self.open_sessions.items():
            if other_start - GAP_MS <= end and start <= other_end + GAP_MS:  # the bid belongs to this session
                self.open_sessions.remove(other_start)
                ctx.delete_event_time_timer(other_end + GAP_MS)
                start, end, bids = min(start, other_start), max(end, other_end), bids + other_bids
        self.open_sessions.put(start, [end, bids])
        ctx.register_event_time_timer(end + GAP_MS)

    def on_timer(self, bidder, fire_time_ms, ctx):
        for start, (end, bids) in self.open_sessions.items():
            if end + GAP_MS == fire_time_ms:
                ctx.emit(bidder=bidder, start_ms=start, end_ms=end, bids=bids)
                self.open_sessions.remove(start)  # a bidder without sessions and timers costs nothing


def out_of_order(bids: pl.DataFrame) -> pl.DataFrame:
    """Each bid arrives up to DISORDER_MS after it was made."""
    random = Random(11)
    arrival = pl.Series("arrival", [ts + random.randrange(DISORDER_MS) for ts in bids["ts"]])
    return bids.with_columns(arrival).sort("arrival", maintain_order=True)


def main() -> None:
    bids = out_of_order(nexmark_bids(events=100_000, per_second=100).drop("position"))
    events = mt.stream(bids, timestamp="ts", watermark=DISORDER_MS, name="bids")
    sessions = events.key_by("bidder").process(Sessions()).to_polars()
    print(f"{bids.height:,} bids of {bids['bidder'].n_unique():,} bidders in {sessions.height:,} sessions")

    # In SQL: a bid begins a session if the one before it is further away than the gap; the running sum of the
    # beginnings numbers the sessions.
    expected = duckdb.sql(f"""
        WITH begun AS (
            SELECT *, coalesce(ts - lag(ts) OVER (PARTITION BY bidder ORDER BY ts) > {GAP_MS}, true) AS begins FROM bids
        ), numbered AS (
            SELECT *, sum(begins::INT) OVER (PARTITION BY bidder ORDER BY ts, begins DESC ROWS UNBOUNDED PRECEDING) AS n
            FROM begun
        )
        SELECT bidder, min(ts) AS start_ms, max(ts) AS end_ms, count(*) AS bids
        FROM numbered GROUP BY bidder, n
        ORDER BY end_ms, bidder
    """).pl()
    assert sessions.equals(expected), "the sessions differ from DuckDB's"  # in order of their end, as timers fire
    print(f"{sessions.height:,} rows checked against DuckDB")


if __name__ == "__main__":
    main()
