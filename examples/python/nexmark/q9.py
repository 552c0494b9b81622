"""Nexmark query 9, winning bids: when an auction closes, which bid has won it?

The SQL ranks `auction JOIN bid ON id = auction AND bid.ts BETWEEN auction.ts AND expires` by price and takes the first;
an engine that keeps this up to date knows a winner only until a better bid comes. As a process function the answer
comes once, when it is final: both streams are keyed by the auction, a state holds the best bid so far, and an
event-time timer at the close emits it and forgets the auction. Memory is for auctions that are open.

Two details are exact, to the millisecond:

- A bid in the very millisecond in which its auction opens counts. Streams with timestamps are merged by time, and at
  one time the left one comes first: here the auctions. A bid that finds no auction was made before it opened, or after
  it closed.
- A bid in the very millisecond of the close counts, too: the timer fires once both streams have come past it. A bid
  after the close may still come before the timer fires, and is told by its time.
"""

from __future__ import annotations

import pyarrow as pa
from checking import numbered, sql
from generator import Nexmark

import martlet as mt

OUTPUT = {"id": int, "item_name": str, "seller": int, "expires": int, "bidder": int, "price": int, "bid_ts": int}


class WinningBids(mt.CoProcessFunction):
    expires = mt.ValueState("expires", int)
    auction = mt.ValueState("auction")  # [item_name, seller]
    price = mt.ValueState("price", int, default=-1)
    bidder = mt.ValueState("bidder", int)
    bid_ts = mt.ValueState("bid_ts", int)

    def on_left(self, auction_id, auction, row, ctx):
        self.expires.set(auction["expires"])
        self.auction.set([auction["item_name"], auction["seller"]])
        ctx.register_event_time_timer(auction["expires"])

    def on_right(self, auction_id, bid, row, ctx):
        expires = self.expires.get()
        if expires is None or ctx.timestamp > expires:
            return  # the auction is not open
        price = bid["price"]
        if price > self.price.get():  # of equal bids the first wins
            self.price.set(price)
            self.bidder.set(bid["bidder"])
            self.bid_ts.set(ctx.timestamp)

    def on_timer(self, auction_id, fire_time_ms, ctx):
        if self.price.exists():
            item_name, seller = self.auction.get()
            ctx.emit(
                id=auction_id,
                item_name=item_name,
                seller=seller,
                expires=fire_time_ms,
                bidder=self.bidder.get(),
                price=self.price.get(),
                bid_ts=self.bid_ts.get(),
            )
        for state in (self.expires, self.auction, self.price, self.bidder, self.bid_ts):
            state.clear()  # an auction without state and timers costs nothing


def run(house: Nexmark, config: mt.Config | None = None) -> mt.Stream:
    auctions = mt.stream(house.auctions, timestamp="ts", watermark=0, name="auctions")
    bids = mt.stream(house.bids, timestamp="ts", watermark=0, name="bids")
    return mt.connect_streams(auctions, bids, WinningBids(), key=("id", "auction"), output=OUTPUT, config=config)


def expected(house: Nexmark) -> pa.Table:
    query = """
        SELECT id, item_name, seller, expires, bidder, price, bids.ts AS bid_ts
        FROM auctions JOIN bids ON id = auction AND bids.ts BETWEEN auctions.ts AND expires
        QUALIFY row_number() OVER (PARTITION BY id ORDER BY price DESC, bids.ts, position) <= 1
        ORDER BY expires, id
    """
    return sql(query, auctions=house.auctions, bids=numbered(house.bids))


def main() -> None:
    house = Nexmark(events=200_000)
    won = run(house).to_arrow()
    print(f"{house.auctions.num_rows:,} auctions, {house.bids.num_rows:,} bids: {won.num_rows:,} auctions were won")
    for row in sorted(won.to_pylist(), key=lambda row: -row["price"])[:3]:
        print(f"  {row['item_name']!r} for {row['price'] / 100:,.2f} by {row['bidder']}")
    # In order of the close, and of the id at one time, as timers fire.
    assert won.equals(expected(house).cast(won.schema)), "the winners differ from DuckDB's"
    print(f"{won.num_rows:,} rows checked against DuckDB, in order")


if __name__ == "__main__":
    main()
