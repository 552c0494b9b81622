"""Small functions that many tests use."""

from __future__ import annotations

from typing import Any

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
