"""Random programs and examples, on Flink and embedded: the same results as sets."""

from __future__ import annotations

from typing import Any

import pytest
from flink_expiring import Expiring, Shown
from flink_programs import OUTPUT, RULES, Rules, States, TwoSides, records, steady
from flink_runs import difference, embedded, on_flink

import martlet as mt

SCHEMA = {"k": int, "t": int, "op": str, "n": int}
POLICIES: dict[str, Any] = {"null_keys": "drop", "null_timestamps": "process"}


def source(seed: int, count: int, disorder: int, lag: int) -> mt.Stream:
    return mt.stream(
        records(seed, count, disorder), timestamp="t", watermark=lag, schema=SCHEMA, name=f"records-{seed}"
    )


def programs() -> list[mt.Stream]:
    """Random inputs for each function; some declare what they emit, some leave it to the first emission."""
    streams = []
    for seed in range(6):
        lag = (0, 5, 30)[seed % 3]
        output = OUTPUT if seed % 2 else None
        streams.append(source(seed, 120, lag + seed, lag).key_by("k").process(States(), output=output))
    for seed in range(10, 14):
        left, right = source(seed, 60, 4, 5), source(seed + 50, 60, 4, 0)
        streams.append(left.key_by("k").connect(right.key_by("k")).process(TwoSides(), output=OUTPUT))
    # One side that is silent for long holds the watermark back, whatever the other's times are.
    left = source(14, 90, 4, 0)
    right = mt.stream(records(64, 90, 0)[::30], timestamp="t", watermark=0, schema=SCHEMA, name="seldom")
    streams.append(left.key_by("k").connect(right.key_by("k")).process(TwoSides(), output=OUTPUT))
    for seed in range(20, 22):
        rules = source(seed + 50, 20, 4, 0).broadcast(RULES)
        streams.append(source(seed, 60, 4, 0).key_by("k").connect(rules).process(Rules(), output=OUTPUT))
    for seed in range(30, 34):
        rows = steady(seed, 150, 2 + seed % 12) if seed % 2 else records(seed, 150, seed)
        in_time = mt.stream(rows, timestamp="t", watermark=20, schema=SCHEMA, name=f"in-time-{seed}")
        streams.append(in_time.key_by("k").process(Expiring(has_timers=bool(seed % 2)), output=OUTPUT))
    streams.append(source(34, 120, 20, 10).key_by("k").process(Shown(), output=OUTPUT))
    return streams


@pytest.mark.parametrize("parallelism", [1, 2])
def test_random_programs(parallelism: int) -> None:
    found = on_flink(programs(), parallelism, **POLICIES)
    for number, (flink, engine) in enumerate(zip(found, embedded(programs(), **POLICIES), strict=True)):
        assert not difference(flink, engine), f"program {number}"
