"""A last-value join: records of one kind get what was last known from another kind, as of their own time.

Use it to enrich a fast stream with values that change now and then (prices, limits, sensor readings) where each record
must see the value of its time, and not the newest there is. Here each departure gets the airport's last weather report,
unless that is more than three hours old.

Both kinds travel in one stream, ordered by time, with a column that tells them apart; what one kind lacks is null. The
key is what they have in common: the airport. A ValueState holds the last report. At one time weather comes first, so a
departure on the hour sees the report of that hour.
"""

from __future__ import annotations

import duckdb
import polars as pl
from _flights import departures, weather

import martlet as mt

HOUR_MS = 60 * 60 * 1000
OUTPUT = {"position": int, "origin": str, "temp": float, "visib": float, "age_min": int}


class LastWeather(mt.ProcessFunction):
    report = mt.ValueState("report")  # [time, temp, visib]: without a dtype a state holds any JSON-like value

    def on_event(self, origin, record, row, ctx):
        if record["kind"] == "weather":
            self.report.set([ctx.timestamp, record["temp"], record["visib"]])
            return
        time, temp, visib = self.report.get() or (None, None, None)
        if time is None or ctx.timestamp - time > 3 * HOUR_MS:
            ctx.emit(position=record["position"], origin=origin)  # what a row does not mention is null
        else:
            age_min = (ctx.timestamp - time) // 60_000
            ctx.emit(position=record["position"], origin=origin, temp=temp, visib=visib, age_min=age_min)


def union(flights: pl.DataFrame, reports: pl.DataFrame) -> pl.DataFrame:
    """Both tables in order of time, the reports first where times are equal."""
    return pl.concat(
        [
            reports.select(pl.lit("weather").alias("kind"), "time", "origin", "temp", "visib"),
            flights.select(pl.lit("departure").alias("kind"), "origin", "position", time="departure"),
        ],
        how="diagonal",
    ).sort("time", maintain_order=True)


def main() -> None:
    flights, reports = departures(), weather()
    events = mt.stream(union(flights, reports), timestamp="time", watermark=0, name="departures and weather")
    enriched = events.key_by("origin").process(LastWeather(), output=OUTPUT).to_polars()
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
