"""A last-value join: records of one stream get what was last known from another, as of their own time.

Use it to enrich a fast stream with values that change now and then (prices, limits, sensor readings) where each record
must see the value of its time, and not the newest there is. Here each departure gets the airport's last weather report,
unless that is more than three hours old.

The key is what the streams have in common: the airport. A ValueState holds the last report; `on_left` writes it,
`on_right` reads it. Streams with timestamps are merged by time, and at one time the left one comes first: so the
weather stands on the left, and a departure on the hour sees the report of that hour.
"""

from __future__ import annotations

import duckdb
from _flights import departures, weather

import martlet as mt

HOUR_MS = 60 * 60 * 1000
OUTPUT = {"position": int, "origin": str, "temp": float, "visib": float, "age_min": int}


class LastWeather(mt.CoProcessFunction):
    report = mt.ValueState("report")  # [time, temp, visib]: without a dtype a state holds any JSON-like value

    def on_left(self, origin, report, row, ctx):
        self.report.set([ctx.timestamp, report["temp"], report["visib"]])

    def on_right(self, origin, flight, row, ctx):
        time, temp, visib = self.report.get() or (None, None, None)
        if time is None or ctx.timestamp - time > 3 * HOUR_MS:
            ctx.emit(position=flight["position"], origin=origin)  # what a row does not mention is null
        else:
            age_min = (ctx.timestamp - time) // 60_000
            ctx.emit(position=flight["position"], origin=origin, temp=temp, visib=visib, age_min=age_min)


def main() -> None:
    flights, reports = departures(), weather()
    left = mt.stream(reports, timestamp="time", watermark=0, name="weather").key_by("origin")
    right = mt.stream(flights, timestamp="departure", watermark=0, name="departures").key_by("origin")
    enriched = left.connect(right).process(LastWeather(), output=OUTPUT).to_polars()
    unknown = enriched["age_min"].null_count()
    print(f"{flights.height:,} departures, {reports.height:,} weather reports; {unknown:,} departures without one")

    expected = duckdb.sql(f"""
        WITH matched AS (
            SELECT position, flights.origin, temp, visib, epoch_ms(departure) - epoch_ms(time) AS age_ms
            FROM flights ASOF LEFT JOIN reports ON flights.origin = reports.origin AND flights.departure >= reports.time
        )
        SELECT position, origin, if(age_ms <= {3 * HOUR_MS}, temp, NULL) AS temp,
               if(age_ms <= {3 * HOUR_MS}, visib, NULL) AS visib,
               if(age_ms <= {3 * HOUR_MS}, age_ms // 60000, NULL) AS age_min
        FROM matched ORDER BY position
    """).pl()
    assert enriched.equals(expected.cast(dict(enriched.schema))), "the joined rows differ from DuckDB's ASOF JOIN"
    print(f"{enriched.height:,} rows checked against DuckDB")


if __name__ == "__main__":
    main()
