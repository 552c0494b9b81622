"""Nexmark query 3, local item suggestion: who in Oregon, Idaho or California sells something in category 10?

The SQL joins two streams: `auction JOIN person ON seller = person.id WHERE category = 10 AND state IN (…)`. As a
process function it is one with two inputs. Both are keyed by the person, so that one call sees what the other left in
the state: the person is kept for auctions to come, and an auction whose seller is not there yet waits for him or her.
"""

from __future__ import annotations

import pyarrow as pa
from checking import sql
from generator import Nexmark

import martlet as mt

CATEGORY = 10
STATES = ("OR", "ID", "CA")
OUTPUT = {"name": str, "city": str, "state": str, "id": int}


class LocalItems(mt.CoProcessFunction):
    seller = mt.ValueState("seller")  # [name, city, state]
    waiting = mt.ListState("waiting", int)  # auctions that came before their seller

    def on_left(self, person_id, auction, row, ctx):
        if auction["category"] != CATEGORY:
            return
        seller = self.seller.get()
        if seller is None:
            self.waiting.add(auction["id"])
        else:
            self.suggest(seller, auction["id"], ctx)

    def on_right(self, person_id, person, row, ctx):
        seller = [person["name"], person["city"], person["state"]]
        self.seller.set(seller)
        for auction_id in self.waiting.get():
            self.suggest(seller, auction_id, ctx)
        self.waiting.clear()

    def suggest(self, seller, auction_id, ctx):
        name, city, state = seller
        if state in STATES:
            ctx.emit(name=name, city=city, state=state, id=auction_id)


def run(house: Nexmark, config: mt.Config | None = None) -> mt.Stream:
    auctions = mt.stream(house.auctions, timestamp="ts", watermark=house.greatest_delay_ms, name="auctions")
    persons = mt.stream(house.persons, timestamp="ts", watermark=house.greatest_delay_ms, name="persons")
    return mt.connect_streams(auctions, persons, LocalItems(), key=("seller", "id"), output=OUTPUT, config=config)


def expected(house: Nexmark) -> pa.Table:
    query = f"""
        SELECT persons.name, persons.city, persons.state, auctions.id
        FROM auctions JOIN persons ON auctions.seller = persons.id
        WHERE category = {CATEGORY} AND state IN {STATES}
        ORDER BY auctions.id
    """
    return sql(query, auctions=house.auctions, persons=house.persons)


def main() -> None:
    house = Nexmark(events=500_000)
    suggestions = run(house).to_arrow().sort_by("id")
    inputs = f"{house.auctions.num_rows:,} auctions, {house.persons.num_rows:,} persons"
    print(f"{inputs}: {suggestions.num_rows:,} suggestions")
    for row in suggestions.slice(0, 3).to_pylist():
        print(f"  {row['name']} in {row['city']}, {row['state']} sells item {row['id']}")
    assert suggestions.equals(expected(house).cast(suggestions.schema)), "the suggestions differ from DuckDB's"
    print(f"{suggestions.num_rows:,} rows checked against DuckDB")


if __name__ == "__main__":
    main()
