"""A flag that one stream sets and another reads: departures while the airport's weather is bad.

Use it for suspicious users (a chargeback marks the user, payments of the next hours are checked), for clicks that
belong to a recent impression, for machines under maintenance: where records of one kind change what those of another
kind mean. Here a weather report of poor visibility or strong wind marks the airport for two hours, and a better one
takes the mark away. Every departure from a marked airport is passed on.

The two streams keep their own schemas. What they share is the key, the airport, and with it the state: `on_left` and
`on_right` read and write the same value. It holds the time until which the mark is good, so that nobody has to take it
away if no report comes.

Streams with timestamps are merged by time, and at one time the left one comes first. The weather stands on the left, so
a departure on the hour sees the report of that hour.
"""

from __future__ import annotations

import duckdb
from _flights import departures, weather

import martlet as mt

HOUR_MS = 60 * 60 * 1000


class BadWeather(mt.CoProcessFunction):
    marked_until = mt.ValueState("marked_until", int)

    def on_left(self, origin, report, row, ctx):
        wind_speed, visib = report["wind_speed"], report["visib"]
        if visib < 1 or (wind_speed is not None and wind_speed >= 30):
            self.marked_until.set(ctx.timestamp + 2 * HOUR_MS)
        else:
            self.marked_until.clear()

    def on_right(self, origin, flight, row, ctx):
        marked_until = self.marked_until.get()
        if marked_until is not None and ctx.timestamp <= marked_until:
            ctx.emit(flight)


def main() -> None:
    flights, reports = departures(), weather()
    left = mt.stream(reports, timestamp="time", watermark=0, name="weather")
    right = mt.stream(flights, timestamp="departure", watermark=0, name="departures")
    passed = mt.connect_streams(left, right, BadWeather(), key="origin").to_polars()
    print(f"{passed.height:,} of {flights.height:,} departures in bad weather")
    print(f"on average {passed['dep_delay'].mean():.0f} minutes late, all others {flights['dep_delay'].mean():.0f}")

    expected = duckdb.sql(f"""
        WITH matched AS (
            SELECT flights.*, epoch_ms(departure) - epoch_ms(time) AS age_ms, visib < 1 OR wind_speed >= 30 AS is_bad
            FROM flights ASOF JOIN reports ON flights.origin = reports.origin AND flights.departure >= reports.time
        )
        SELECT * EXCLUDE (age_ms, is_bad) FROM matched WHERE is_bad AND age_ms <= {2 * HOUR_MS} ORDER BY position
    """).pl()
    assert passed.equals(expected.cast(dict(passed.schema))), "the departures differ from those of DuckDB's ASOF JOIN"
    at_a_report = flights.join(reports, left_on=["origin", "departure"], right_on=["origin", "time"])
    ties = passed.join(at_a_report, on="position", how="semi").height
    assert ties > 0, "no departure at the time of a report: ties are not tested"
    print(f"{passed.height:,} rows checked against DuckDB, {ties:,} departures at the very minute of a report")


if __name__ == "__main__":
    main()
