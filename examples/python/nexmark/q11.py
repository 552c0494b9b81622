"""Nexmark query 11, user sessions: how many bids did a person make before pausing for ten seconds?

The SQL is `SELECT bidder, count(*), SESSION_START(…), SESSION_END(…) … GROUP BY bidder, SESSION(ts, INTERVAL '10'
SECOND)`. As a process function it is the bidder as the key, three typed states for the open session, and one timer.

Moving the timer at every bid would be a timer operation a record. Instead it stands still: when it fires and there were
bids since, it registers itself again for the time at which the session ends as things are now. That is one timer
operation a pause, however many bids there are.

The bids are in order of time here. `../recipes/sessions.py` does the same for records out of order, and has to work
harder for it.
"""

from __future__ import annotations

import pyarrow as pa
from checking import sql
from generator import Nexmark

import martlet as mt

GAP_MS = 10_000
OUTPUT = {"bidder": int, "bid_count": int, "start_ms": int, "end_ms": int}


class UserSessions(mt.ProcessFunction):
    start = mt.ValueState("start", int)
    last = mt.ValueState("last", int)
    bids = mt.ValueState("bids", int)

    def on_event(self, bidder, bid, row, ctx):
        now = ctx.timestamp
        last = self.last.get()
        # The watermark moves after a record, so a bid after the pause comes before the timer that ends the session.
        if last is not None and now - last > GAP_MS:
            self.end_session(bidder, last, ctx)
            last = None
        if last is None:
            self.start.set(now)
            self.bids.set(1)
            ctx.register_event_time_timer(now + GAP_MS, name="pause")
        else:
            self.bids.set(self.bids.get() + 1)
        self.last.set(now)

    def on_timer(self, bidder, fire_time_ms, ctx):
        last = self.last.get()
        if fire_time_ms < last + GAP_MS:
            ctx.register_event_time_timer(last + GAP_MS, name="pause")
        else:
            self.end_session(bidder, last, ctx)
            self.last.clear()
            self.start.clear()
            self.bids.clear()  # a bidder without state and timers costs nothing

    def end_session(self, bidder, last, ctx):
        ctx.emit(bidder=bidder, bid_count=self.bids.get(), start_ms=self.start.get(), end_ms=last + GAP_MS)


def run(house: Nexmark, config: mt.Config | None = None) -> mt.Stream:
    bids = mt.stream(house.bids, timestamp="ts", watermark=0, name="bids")
    return mt.apply_process_function(bids, "bidder", UserSessions(), output=OUTPUT, config=config)


def expected(house: Nexmark) -> pa.Table:
    """The same in SQL: a bid begins a session if the one before it is further away than the gap."""
    query = f"""
        WITH begun AS (
            SELECT bidder, ts, coalesce(ts - lag(ts) OVER (PARTITION BY bidder ORDER BY ts) > {GAP_MS}, true) AS begins
            FROM bids
        ), numbered AS (
            SELECT *, sum(begins::INT) OVER (PARTITION BY bidder ORDER BY ts, begins DESC ROWS UNBOUNDED PRECEDING) AS n
            FROM begun
        )
        SELECT bidder, count(*) AS bid_count, min(ts) AS start_ms, max(ts) + {GAP_MS} AS end_ms
        FROM numbered GROUP BY bidder, n
        ORDER BY bidder, start_ms
    """
    return sql(query, bids=house.bids)


def main() -> None:
    house = Nexmark(events=200_000, per_second=100)  # slow enough for pauses of ten seconds
    sessions = run(house).to_arrow().sort_by([("bidder", "ascending"), ("start_ms", "ascending")])
    longest = max(sessions["bid_count"].to_pylist())
    print(f"{house.bids.num_rows:,} bids in {sessions.num_rows:,} sessions, the busiest of {longest:,} bids")
    assert sessions.equals(expected(house)), "the sessions differ from DuckDB's"
    print(f"{sessions.num_rows:,} rows checked against DuckDB")


if __name__ == "__main__":
    main()
