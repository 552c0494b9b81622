"""Two functions in a row: a Polars frame in, a DuckDB query out.

The first, keyed by sensor, turns readings into steps from one reading to the next. The second, keyed by site, numbers
the large steps of the site. Event times and the watermark travel with the records from one to the other.
"""

import duckdb
import polars as pl

import martlet as mt


class Steps(mt.ProcessFunction):
    last = mt.ValueState("last", float)

    def on_event(self, key, batch, row, ctx):
        value, before = batch["value"], self.last.get()
        self.last.set(value)
        if before is not None:
            ctx.emit(site=batch["site"], sensor=key, step=value - before)


class LargeSteps(mt.ProcessFunction):
    alarms = mt.ValueState("alarms", int, default=0)

    def on_event(self, key, batch, row, ctx):
        if abs(batch["step"]) >= 5:
            self.alarms.set(self.alarms.get() + 1)
            ctx.emit(batch, alarm=self.alarms.get(), at_ms=ctx.timestamp)


def main() -> None:
    readings = pl.DataFrame(
        {
            "ts": [0, 1_000, 2_000, 3_000, 4_000, 5_000],
            "site": ["north", "south", "north", "south", "north", "south"],
            "sensor": ["n1", "s1", "n1", "s1", "n1", "s1"],
            "value": [20.0, 7.0, 26.5, 7.5, 19.5, 2.0],
        }
    )
    steps = mt.stream(readings, timestamp="ts").key_by("sensor").process(Steps())
    alarms = steps.key_by("site").process(LargeSteps())

    print(alarms.explain())
    worst = duckdb.sql(
        "SELECT site, count(*) AS alarms, max(abs(step)) AS largest FROM alarms GROUP BY site ORDER BY site"
    )
    print(worst)

    assert worst.fetchall() == [("north", 2, 7.0), ("south", 1, 5.5)]
    assert [record["at_ms"] for record in alarms.to_pylist()] == [2_000, 4_000, 5_000]


if __name__ == "__main__":
    main()
