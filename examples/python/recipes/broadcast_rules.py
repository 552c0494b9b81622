"""Rules that change while the job runs, pushed to every parallel instance.

Use it for fraud rules, feature flags, price lists, thresholds: a small stream of settings that all records must see,
whatever their key. Here every airline has a rule, how late a departure may be. In the middle of the year some rules
become stricter and one is withdrawn. Each departure that breaks its airline's rule is reported, with a running number
per aircraft.

The rules arrive in `on_broadcast`, which every instance calls for every rule and which is the only place that may write
the broadcast state. The departures are keyed by the aircraft and spread over the instances; `on_event` reads the rules
and has the aircraft's own state beside them.

Both streams have timestamps, so they are merged by time, and at one time the rule comes first: a departure at 6:00 is
under the rule of 6:00. The reports are the same, in the same order, however many instances there are.
"""

from __future__ import annotations

from datetime import datetime

import duckdb
import polars as pl
from _flights import airlines, departures

import martlet as mt

START, CHANGE = datetime(2013, 1, 1), datetime(2013, 7, 1, 6)
RULES = mt.BroadcastState("rules", str)  # carrier → [airline, limit_min]


class LateDepartures(mt.BroadcastProcessFunction):
    rules = RULES
    reports = mt.ValueState("reports", int, default=0)

    def on_broadcast(self, key, rule, row, ctx):
        if rule["limit_min"] is None:
            self.rules.remove(rule["carrier"])
        else:
            self.rules.put(rule["carrier"], [rule["airline"], rule["limit_min"]])

    def on_event(self, tailnum, flight, row, ctx):
        rule = self.rules.get(flight["carrier"])
        if rule is None:
            return
        airline, limit_min = rule
        if flight["dep_delay"] > limit_min:
            number = self.reports.get() + 1
            self.reports.set(number)
            ctx.emit(flight, airline=airline, limit_min=limit_min, number=number)


def rule_table() -> pl.DataFrame:
    """An hour for everybody; from July on half an hour for those who fly for others, and no rule for United."""
    names = airlines().rename({"name": "airline"})
    stricter = pl.col("carrier").is_in(["9E", "EV", "MQ", "OO", "YV"])
    limit = pl.when(stricter).then(pl.lit(30)).otherwise(pl.lit(None, pl.Int32))
    first = names.with_columns(since=pl.lit(START, pl.Datetime("ms")), limit_min=pl.lit(60))
    second = names.filter(stricter | (pl.col("carrier") == "UA"))
    return pl.concat([first, second.with_columns(since=pl.lit(CHANGE, pl.Datetime("ms")), limit_min=limit)])


def late_departures(flights: pl.DataFrame, rules: pl.DataFrame, parallelism: int) -> pl.DataFrame:
    events = mt.stream(flights, timestamp="departure", watermark=0, name="departures")
    changes = mt.stream(rules, timestamp="since", watermark=0, name="rules").broadcast(RULES)
    config = mt.Config(parallelism=parallelism)
    return mt.broadcast_stream(events, changes, LateDepartures(), key="tailnum", config=config).to_polars()


def main() -> None:
    flights, rules = departures(), rule_table()
    late = late_departures(flights, rules, parallelism=1)
    print(f"{flights.height:,} departures, {rules.height} rules: {late.height:,} reports")

    expected = duckdb.sql("""
        WITH ruled AS (
            SELECT flights.*, airline, limit_min
            FROM flights ASOF JOIN rules ON flights.carrier = rules.carrier AND flights.departure >= rules.since
        )
        SELECT *, row_number() OVER (PARTITION BY tailnum ORDER BY position) AS number
        FROM ruled WHERE dep_delay > limit_min
        ORDER BY position
    """).pl()
    assert late.equals(expected.cast(dict(late.schema))), "the reports differ from those of DuckDB's ASOF JOIN"
    ties = flights.filter(departure=CHANGE).height
    assert ties > 0, "no departure at the time of a change: ties are not tested"
    print(f"{late.height:,} rows checked against DuckDB, {ties} departures at the very minute of the change")
    assert late.equals(late_departures(flights, rules, parallelism=2)), "two instances give something else"
    print("two parallel instances give the same, in the same order")


if __name__ == "__main__":
    main()
