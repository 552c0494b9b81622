"""Many programs in one job: starting one takes seconds, whatever it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import martlet as mt
from martlet.flink.running import FlinkRun
from martlet.graph import Plan

Rows = list[dict[str, Any]]


def config(parallelism: int, **settings: Any) -> mt.Config:
    return mt.Config(profile="distributed-durable", parallelism=parallelism, progress=False, **settings)


def on_flink(streams: Iterable[mt.Stream], parallelism: int, **settings: Any) -> list[Rows]:
    """The rows of each stream, from one job on Flink."""
    run = FlinkRun(Plan.of([stream._edge for stream in streams]), config(parallelism, **settings))
    return [[row for batch in output.batches(1) for row in batch.to_pylist()] for output in run.outputs()]


def embedded(streams: Iterable[mt.Stream], **settings: Any) -> list[Rows]:
    """The same from the engine alone; each stream in a run of its own."""
    found = []
    for stream in streams:
        found.append(
            [
                row
                for batch in stream._start(mt.Config(progress=False, **settings)).batches(1)
                for row in batch.to_pylist()
            ]
        )
    return found


def difference(flink: Rows, engine: Rows) -> dict[str, list[str]]:
    """What only one of them has, as sets: Flink has no order across keys. Nothing if they are the same."""
    left, right = (Counter(repr(sorted(row.items())) for row in rows) for rows in (flink, engine))
    found = {"only on Flink": sorted((left - right).elements()), "only embedded": sorted((right - left).elements())}
    return {where: rows for where, rows in found.items() if rows}
