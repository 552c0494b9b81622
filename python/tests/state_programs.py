"""Functions with state, and what tests of state tables do with them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import martlet as mt


class Keeper(mt.ProcessFunction):
    """Sets a state to a record's column `v`, and emits what was there."""

    def __init__(self, dtype: Any = None, **options: Any) -> None:
        self.value = mt.ValueState("value", dtype, **options)

    def on_event(self, key, batch, row, ctx):
        before = self.value.get()
        ctx.emit(n=batch["n"], before=repr(before))
        self.value.set(DATA[batch["n"]] if batch["n"] in DATA else batch["v"])


#: What Keeper stores for a record's number.
DATA: dict[int, Any] = {}


class Everything(mt.ProcessFunction):
    """Every kind of state."""

    one = mt.ValueState("one", int)
    many = mt.ListState("many", "utf8")
    by_name = mt.MapState("by name", "utf8", "float64")
    anything = mt.MapState("anything")
    total = mt.ReducingState("total", "sum", int)
    seen = mt.AggregatingState("seen", list, lambda seen, v: [*seen, v], lambda seen: len(seen))
    brief = mt.ListState("brief", int, ttl="1h")

    def on_event(self, key, batch, row, ctx):
        v = batch["v"]
        self.one.set(v)
        self.many.add(f"größer {v}")
        self.by_name.put(f"n{v % 3}", v / 2)
        self.anything.put((v % 2, "x"), {"v": v, "bytes": b"\0\xff", 1: None})
        self.total.add(v)
        self.seen.add((v,))
        self.brief.add(v)
        ctx.register_processing_time_timer(2**50 + v)
        ctx.register_processing_time_timer(2**50, name="soon")
        ctx.emit(v=v)

    def on_timer(self, key, fire_time_ms, ctx):
        ctx.emit(v=-1)


STATES = ["one", "many", "by name", "anything", "total", "seen", "brief"]


def durable(path: Path, **settings: Any) -> mt.Config:
    return mt.Config(state_dir=path, checkpoint_interval=None, at_end="keep", **settings)


def everything(rows: list[dict[str, Any]], key: Any = "k") -> mt.Stream:
    return mt.apply_process_function(mt.stream(rows), key, Everything(), output={"v": "int64"})


def tables_of(path: Path) -> dict[str, mt.Stream]:
    return {**{name: mt.read_state(path, name) for name in STATES}, "timers": mt.read_state(path, timers=True)}


def output_of(out: mt.Stream, config: mt.Config) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mt.MartletWarning)
        out.run(lambda batch: rows.extend(batch.to_pylist()), config=config)
    return rows
