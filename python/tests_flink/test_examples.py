"""The examples, the recipes and the queries of Nexmark, on Flink and embedded: the same results as sets.

Two recipes over a broadcast are not here: each record of theirs must see the rules of its own time, and on Flink those
come anywhere among the records.
"""

from __future__ import annotations

import sys
from pathlib import Path

from flink_runs import difference, embedded, on_flink

import martlet as mt

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "python"
sys.path += [str(EXAMPLES / "recipes"), str(EXAMPLES / "nexmark"), str(EXAMPLES)]

import bad_weather
import chain
import debounce
import dedup
import inactivity
import last_value_join
import q3
import q9
import q11
import q18
import q19
import quickstart
import rate_limit
import seed_style
import sessions
import top_k
from _flights import departures, weather
from _nexmark import bids as nexmark_bids
from generator import Nexmark


def streams() -> dict[str, mt.Stream]:
    flights = departures().head(1200)
    reports = weather().head(300)
    bids = nexmark_bids(events=1200, per_second=100)
    house = Nexmark(events=1200, per_second=100)
    disordered = sessions.out_of_order(nexmark_bids(events=1200, per_second=10).drop("position"))

    def timed(frame: object, timestamp: str, watermark: object = 0) -> mt.Stream:
        return mt.stream(frame, timestamp=timestamp, watermark=watermark)

    readings = [
        {"ts": n * 1000, "site": site, "sensor": site[0], "value": float(n * n * 7 % 31)}
        for n in range(60)
        for site in ("north", "south", "west")
    ]
    by_time = flights.sort("scheduled", "position")
    return {
        "bad_weather": mt.connect_streams(
            timed(reports, "time"), timed(flights, "departure"), bad_weather.BadWeather(), key="origin"
        ),
        "chain": timed(readings, "ts")
        .key_by("sensor")
        .process(chain.Steps())
        .key_by("site")
        .process(chain.LargeSteps()),
        "quickstart": quickstart.out,
        "seed_style": seed_style.out,
        "debounce": timed(bids, "ts").key_by("auction").process(debounce.Debounce()),
        "dedup": timed(bids, "ts").key_by("bidder").process(dedup.Deduplicate()),
        "inactivity": timed(flights, "departure").key_by("carrier", "origin", "dest").process(inactivity.Inactivity()),
        "last_value_join": timed(reports, "time")
        .key_by("origin")
        .connect(timed(flights, "departure").key_by("origin"))
        .process(last_value_join.LastWeather(), output=last_value_join.OUTPUT),
        "rate_limit": timed(bids, "ts").key_by("bidder").process(rate_limit.RateLimit()),
        "sessions": timed(disordered, "ts", sessions.DISORDER_MS).key_by("bidder").process(sessions.Sessions()),
        "top_k": timed(by_time, "departure", "1d").key_by("origin").process(top_k.TopDelays()),
        "q3": q3.run(house),
        "q9": q9.run(house),
        "q11": q11.run(house),
        "q18": q18.run(house),
        "q19": q19.run(house),
    }


def test_examples() -> None:
    built = streams()
    found = on_flink(built.values(), 2)
    for name, flink, engine in zip(built, found, embedded(streams().values()), strict=True):
        assert not difference(flink, engine), name
