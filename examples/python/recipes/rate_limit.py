"""A rate limit per key: at most so many requests in any stretch of time, the rest is refused.

Use it where a fixed window per minute will not do, because twice the limit fits around its edges. Here a bidder may
place five bids within any second. Refused bids do not count: whoever slows down is served again at once.
Bids are judged in the order in which they come, which is meant to be that of time.

The key is the bidder; a ListState holds the times of the bids that were accepted within the last second, five at most.
With a TTL in event time the list of a bidder who went away is cleaned up without a timer. Decisions compare times all
the same, because a TTL follows the watermark, which is a little behind the record at hand.
"""

from __future__ import annotations

import duckdb
from _nexmark import bids as nexmark_bids

import martlet as mt

LIMIT = 5
WINDOW_MS = 1000


class RateLimit(mt.ProcessFunction):
    accepted = mt.ListState("accepted", int, ttl=mt.TTL(WINDOW_MS, time="event"))

    def on_event(self, bidder, bid, row, ctx):
        recent = [time for time in self.accepted.get() if time > ctx.timestamp - WINDOW_MS]
        is_accepted = len(recent) < LIMIT
        if is_accepted:
            recent.append(ctx.timestamp)
            self.accepted.set(recent)
        ctx.emit(bid, is_accepted=is_accepted)


def main() -> None:
    bids = nexmark_bids(events=20_000, per_second=100)
    events = mt.stream(bids, timestamp="ts", watermark=0, name="bids")
    decided = events.key_by("bidder").process(RateLimit()).to_polars()
    accepted = decided.filter("is_accepted")
    print(f"{bids.height:,} bids of {bids['bidder'].n_unique():,} bidders, {accepted.height:,} accepted")

    undecided = decided.drop("is_accepted")
    assert undecided.equals(bids.cast(dict(undecided.schema))), "some bids came out otherwise than they went in"

    # A decision depends on the decisions before it, and SQL does not loop. But it can tell when all of them are right:
    # if each bid is accepted exactly when fewer than LIMIT accepted ones of its bidder are in the second before it.
    # Only one set of decisions is like that: nothing is before the first, and the others follow one from another.
    wrong = duckdb.sql(f"""
        SELECT bid.position, bid.is_accepted, count(earlier.position) AS accepted_before
        FROM decided AS bid
        LEFT JOIN accepted AS earlier
          ON earlier.bidder = bid.bidder AND earlier.position < bid.position AND earlier.ts > bid.ts - {WINDOW_MS}
        GROUP BY ALL
        HAVING bid.is_accepted <> (accepted_before < {LIMIT})
    """).pl()
    assert wrong.is_empty(), f"DuckDB counts otherwise: {wrong}"
    print(f"{decided.height:,} rows checked against DuckDB")


if __name__ == "__main__":
    main()
