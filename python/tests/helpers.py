"""Small functions that many tests use."""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import martlet as mt


class Counter(mt.ProcessFunction):
    """Numbers the records of each key."""

    count = mt.ValueState("count", int)

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        n = (self.count.get() or 0) + 1
        self.count.set(n)
        ctx.emit(key=key, n=n)


def rows(*keys: Any) -> list[dict[str, Any]]:
    return [{"k": key, "i": i} for i, key in enumerate(keys)]


def run(
    records: Any, fn: Any, *states: Any, key: Any = "k", output: Any = None, config: Any = None, **stream: Any
) -> list[dict[str, Any]]:
    """Applies `fn` to a stream over `records` and returns what comes out."""
    out = mt.apply_process_function(mt.stream(records, **stream), key, fn, *states, output=output, config=config)
    return out.to_pylist()


def in_callback(body: Any, *states: Any, dtype: Any = None) -> Any:
    """Runs `body(state, ctx)` inside one callback with a state of `dtype` and returns what it returns."""
    state = mt.ValueState("s", dtype)
    result: list[Any] = []

    def on_event(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        result.append(body(state, ctx))

    run([{"k": 1}], on_event, state, *states)
    return result[0]


def live_objects() -> int:
    """Objects that the garbage collector knows, after it has run."""
    gc.collect()
    return len(gc.get_objects())


def resident_bytes() -> int:
    """Memory of this process; skips the test where that cannot be told."""
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def grows(measure: Callable[[], int], work: Callable[[], object], *, warm_up: int, times: int) -> int:
    """By how much `measure` grows while the work is done so many times; the first few do not count. The least of
    three tries: a leak grows in each of them, threads that other tests have left behind do not."""
    for _ in range(warm_up):
        work()
    least: int | None = None
    for _ in range(3):
        before = measure()
        for _ in range(times):
            work()
        growth = measure() - before
        if growth <= 0:
            return growth
        least = growth if least is None else min(least, growth)
    assert least is not None
    return least
