"""A table to look things up in, loaded into every parallel instance before the first record.

Use it for reference data: products, devices, branches, exchange rates of the day. Here each departure gets its
aircraft's manufacturer and seats, from the register of aircraft. Some aircraft are not in it.

The table is the broadcast side and has no timestamps. A bounded broadcast side without timestamps is read to its end
before the first record of the main stream, so no record comes too early for it. The main stream needs no key here: its
records are enriched one by one, and any instance may have any of them.
"""

from __future__ import annotations

import duckdb
import polars as pl
from _flights import departures, planes

import martlet as mt

OUTPUT = {"position": int, "tailnum": str, "manufacturer": str, "seats": int}
PLANES = mt.BroadcastState("planes", str)  # tail number → [manufacturer, seats]


class WithPlane(mt.BroadcastProcessFunction):
    planes = PLANES

    def on_broadcast(self, key, plane, row, ctx):
        self.planes.put(plane["tailnum"], [plane["manufacturer"], plane["seats"]])

    def on_event(self, key, flight, row, ctx):
        manufacturer, seats = self.planes.get(flight["tailnum"], [None, None])
        ctx.emit(position=flight["position"], tailnum=flight["tailnum"], manufacturer=manufacturer, seats=seats)


def enriched(flights: pl.DataFrame, table: pl.DataFrame, parallelism: int) -> pl.DataFrame:
    events = mt.stream(flights, timestamp="departure", watermark=0, name="departures")
    lookup = mt.stream(table, name="planes").broadcast(PLANES)
    config = mt.Config(parallelism=parallelism)
    return mt.broadcast_stream(events, lookup, WithPlane(), output=OUTPUT, config=config).to_polars()


def main() -> None:
    flights, table = departures(), planes()
    found = enriched(flights, table, parallelism=1)
    unknown = found["seats"].null_count()
    print(f"{flights.height:,} departures, {table.height:,} aircraft; {unknown:,} departures of others")

    expected = duckdb.sql("""
        SELECT position, tailnum, manufacturer, seats
        FROM flights LEFT JOIN "table" AS planes USING (tailnum)
        ORDER BY position
    """).pl()
    assert found.equals(expected.cast(dict(found.schema))), "the rows differ from DuckDB's"
    print(f"{found.height:,} rows checked against DuckDB")
    assert found.equals(enriched(flights, table, parallelism=2)), "two instances give something else"
    print("two parallel instances give the same, in the same order")


if __name__ == "__main__":
    main()
