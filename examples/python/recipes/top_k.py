"""Top k per key and window, out of records that are not in order.

Use it for rankings by the hour or day that are final when they appear: here the three longest delays of each day at
each airport. The flights come in order of the timetable while their time is the actual departure, up to a day later, so
several days of an airport are open at once.

The key is the airport; a MapState holds the best three of each open day, so memory follows the open days and not the
flights. The first flight of a day sets a timer at the day's last millisecond. It fires when the watermark says that no
flight of the day is still to come. (Every flight sets it; setting a timer again does nothing.)
"""

from __future__ import annotations

import duckdb
from _flights import departures

import martlet as mt

K = 3
DAY_MS = 24 * 60 * 60 * 1000


class TopDelays(mt.ProcessFunction):
    # day → the longest delays so far, as [-delay, position, flight]: sorting puts the longest first
    longest = mt.MapState("longest", int)

    def on_event(self, origin, flight, row, ctx):
        day = ctx.timestamp // DAY_MS
        candidate = [-flight["dep_delay"], flight["position"], f"{flight['carrier']}{flight['flight']}"]
        self.longest.put(day, sorted([*self.longest.get(day, default=[]), candidate])[:K])
        ctx.register_event_time_timer((day + 1) * DAY_MS - 1)

    def on_timer(self, origin, fire_time_ms, ctx):
        day = fire_time_ms // DAY_MS
        for rank, (delay, _, flight) in enumerate(self.longest.get(day), start=1):
            ctx.emit(origin=origin, day=day, rank=rank, flight=flight, delay_min=-delay)
        self.longest.remove(day)


def main() -> None:
    flights = departures().sort("scheduled", "position")
    events = mt.stream(flights, timestamp="departure", watermark="1d", name="departures")
    top = events.key_by("origin").process(TopDelays()).to_polars()
    print("The longest delays of 2013, of all airports:")
    for row in top.sort("delay_min", descending=True).head(3).iter_rows(named=True):
        print(f"  {row['flight']:8} from {row['origin']}  {row['delay_min'] / 60:4.1f} hours")

    expected = duckdb.sql(f"""
        SELECT origin, epoch_ms(departure) // {DAY_MS} AS day, row_number() OVER longest_first AS rank,
               concat(carrier, flight) AS flight, dep_delay AS delay_min
        FROM flights
        WINDOW longest_first AS (PARTITION BY origin, day ORDER BY dep_delay DESC, position)
        QUALIFY rank <= {K}
        ORDER BY day, origin, rank
    """).pl()
    assert top.equals(expected), "the rankings differ from DuckDB's"  # in order of the day, then the airport
    print(f"{top.height:,} rows checked against DuckDB")


if __name__ == "__main__":
    main()
