"""Inactivity alerts: tell when a key has been silent for too long, in steps.

Use it for devices that stop reporting, customers who stop buying, feeds that dry up: where the news is that nothing
came. Here a connection (carrier, origin, destination) raises a notice after two days without a departure and an alarm
after seven.

Both deadlines are named timers. Setting a named timer again moves it, so each departure pushes both ahead with two
calls, and no state remembers which times to delete.

One thing to know: the watermark moves after a record. A departure that ends a silence is processed before the timers
that have fallen due meanwhile, and would move them too. So it reports what is overdue before it does. That is right
for records in order of time; `sessions.py` is written for any order.
"""

from __future__ import annotations

import duckdb
from _flights import departures

import martlet as mt

DAY_MS = 24 * 60 * 60 * 1000
LIMITS = {"notice": 2 * DAY_MS, "alarm": 7 * DAY_MS}


class Inactivity(mt.ProcessFunction):
    def on_event(self, connection, flight, row, ctx):
        for name, limit in LIMITS.items():
            due_ms = ctx.timer(name)
            if due_ms is not None and due_ms < ctx.timestamp:
                self.report(connection, name, due_ms, ctx)
            ctx.register_event_time_timer(ctx.timestamp + limit, name=name)

    def on_timer(self, connection, fire_time_ms, ctx):
        self.report(connection, ctx.timer_name, fire_time_ms, ctx)

    def report(self, connection, name, due_ms, ctx):
        carrier, origin, dest = connection
        ctx.emit(carrier=carrier, origin=origin, dest=dest, level=name, last_seen_ms=due_ms - LIMITS[name])


def main() -> None:
    flights = departures()
    events = mt.stream(flights, timestamp="departure", watermark=0, name="departures")
    reports = events.key_by("carrier", "origin", "dest").process(Inactivity()).to_polars()
    counts = ", ".join(f"{n:,} × {level}" for level, n in reports["level"].value_counts(sort=True).iter_rows())
    print(f"{flights.height:,} departures, {counts}")

    # At the end of the input all timers fire: the last departure of a connection is followed by both reports.
    expected = duckdb.sql(f"""
        WITH silences AS (
            SELECT carrier, origin, dest, epoch_ms(departure) AS last_seen_ms,
                   lead(epoch_ms(departure)) OVER connection - epoch_ms(departure) AS silence_ms
            FROM flights
            WINDOW connection AS (PARTITION BY carrier, origin, dest ORDER BY position)
        ), limits(level, limit_ms) AS (VALUES ('notice', {LIMITS["notice"]}), ('alarm', {LIMITS["alarm"]}))
        SELECT carrier, origin, dest, level, last_seen_ms
        FROM silences JOIN limits ON coalesce(silence_ms > limit_ms, true)
        ORDER BY ALL
    """).pl()
    assert reports.sort(reports.columns).equals(expected), "the reports differ from DuckDB's"
    print(f"{reports.height:,} rows checked against DuckDB")


if __name__ == "__main__":
    main()
