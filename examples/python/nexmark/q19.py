"""Nexmark query 19, auction top 10: which are the ten highest bids on each auction?

The SQL is `ROW_NUMBER() OVER (PARTITION BY auction ORDER BY price DESC) <= 10`. As a process function: the auction as
the key, and its ten best bids in a map. A map is in the order of its keys, so the keys are made to be the ranking: the
price first, highest first, then the number of the bid. Whatever is behind the tenth goes.

Two things keep it cheap. The price that has to be beaten is a typed state of its own, so that a bid that is not among
the ten costs one comparison; most are not. And a map reads and writes single entries: a new bid does not touch the
other nine.
"""

from __future__ import annotations

import pyarrow as pa
from checking import numbered, sql
from generator import Nexmark

import martlet as mt

K = 10


class TopBids(mt.ProcessFunction):
    to_beat = mt.ValueState("to_beat", int, default=-1)  # once there are ten, the price of the tenth
    number = mt.ValueState("number", int, default=0)
    top = mt.MapState("top", int)  # rank → bid

    def on_event(self, auction, bid, row, ctx):
        price = bid["price"]
        if price <= self.to_beat.get():
            return
        number = self.number.get()
        self.number.set(number + 1)
        self.top.put(-price * 2**32 + number, bid.to_dict())  # of two bids with one price the first ranks higher
        ranks = list(self.top.keys())
        if len(ranks) > K:
            self.top.remove(ranks.pop())
        if len(ranks) == K:
            self.to_beat.set(-(ranks[-1] >> 32))

    def on_end(self, auction, ctx):
        for rank, bid in enumerate(self.top.values(), start=1):
            ctx.emit({**bid, "rank": rank})


def run(house: Nexmark, config: mt.Config | None = None) -> mt.Stream:
    bids = mt.stream(house.bids, timestamp="ts", watermark=house.greatest_delay_ms, name="bids")
    output = house.bids.schema.append(pa.field("rank", pa.int64()))
    return mt.apply_process_function(bids, "auction", TopBids(), output=output, config=config)


def expected(house: Nexmark) -> pa.Table:
    """The same in SQL, with a tie going to the bid that came first."""
    query = f"""
        SELECT * EXCLUDE position, row_number() OVER highest_first AS rank
        FROM bids
        WINDOW highest_first AS (PARTITION BY auction ORDER BY price DESC, position)
        QUALIFY rank <= {K}
        ORDER BY auction, rank
    """
    return sql(query, bids=numbered(house.bids))


def main() -> None:
    house = Nexmark(events=200_000)
    top = run(house).to_arrow().sort_by([("auction", "ascending"), ("rank", "ascending")])
    auctions = len(top["auction"].unique())
    print(f"{house.bids.num_rows:,} bids, the ten highest on each of {auctions:,} auctions are {top.num_rows:,}")
    assert top.equals(expected(house).cast(top.schema)), "the rankings differ from DuckDB's"
    print(f"{top.num_rows:,} rows checked against DuckDB")


if __name__ == "__main__":
    main()
