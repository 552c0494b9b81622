"""Nothing is kept: objects, references, memory; after success, failure and abandonment."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from helpers import Counter, grows, live_objects, resident_bytes, rows, run

import martlet as mt


class Everything(mt.ProcessFunction):
    """Uses every conversion and every form of emission."""

    n = mt.ValueState("n", int)
    any = mt.ValueState("any")
    text = mt.ValueState("text", str)

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.n.set((self.n.get() or 0) + 1)
        self.any.set({"a": [batch["i"], (2**70, None)], "b": batch.to_dict()})
        self.any.get()
        self.text.set(f"text {key}")
        self.text.set_json({"k": key})
        self.text.get_json()
        ctx.emit(batch, x=[1, 2], s={"a": "b"})
        ctx.emit(k=key, i=1, x=[3], s=None)
        ctx.emit({"k": key, "i": 2})
        ctx.register_event_time_timer(ctx.timestamp + 5)  # type: ignore[operator]
        for bad in (
            lambda: batch["nope"],
            lambda: ctx.emit(i="x"),
            lambda: self.n.set("x"),
            lambda: ctx.state("nope"),
            lambda: self.any.set(object()),
        ):
            with pytest.raises((mt.MartletError, TypeError)):
                bad()

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        ctx.emit(k=key, i=fire_time_ms)
        self.n.clear()


def everything() -> None:
    out = (
        mt.stream(rows("a", "b", None, "a"), timestamp="i")
        .key_by("k")
        .process(Everything(), config=mt.Config(null_keys="drop"))
    )
    assert len(out.to_pylist()) == 12
    mt.stream(iter(rows(1, 2)), timestamp="i").key_by("k").process(Everything()).run()


def failing() -> None:
    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(batch)
        raise ValueError(key)

    with pytest.raises(ValueError, match=r"b|a"):
        run(rows("a", "b"), fn)


def abandoned() -> None:
    out = iter(mt.stream(iter(rows("a", "b"))).key_by("k").process(Counter()))
    next(out)


def failing_source() -> None:
    def records() -> Any:
        yield {"k": 1}
        raise ValueError("source")

    with pytest.raises(ValueError, match="source"):
        run(records(), Counter())


def misfit() -> None:
    with pytest.raises(mt.SchemaError):
        run(iter([{"k": 1}, {"k": "x"}]), Counter())


def exported() -> None:
    pa = pytest.importorskip("pyarrow")
    out = mt.stream(rows("a", "b")).key_by("k").process(Counter())
    assert pa.table(out).num_rows == 2
    out.__arrow_c_stream__()
    _ = mt.stream(pa.table({"k": [1]})).key_by("k").process(Counter(), output={"key": int, "n": int}).schema


WORK = [everything, failing, abandoned, failing_source, misfit, exported]


@pytest.mark.parametrize("work", WORK)
def test_objects(work: Callable[[], None]) -> None:
    assert grows(live_objects, work, warm_up=3, times=20) < 20


@pytest.mark.parametrize("work", WORK)
def test_memory(work: Callable[[], None]) -> None:
    assert grows(resident_bytes, work, warm_up=100, times=300) < 3_000_000


def test_references_to_singletons_and_arguments() -> None:
    sentinel = "a value that is nowhere else " * 2
    records = [{"k": sentinel, "x": None, "b": True} for _ in range(50)]

    def refcounts() -> list[int]:
        gc.collect()
        return [sys.getrefcount(value) for value in (None, True, sentinel, Counter, mt.ValueState, mt.RecordBatch)]

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(k=sentinel, x=batch["x"], b=batch["b"])
        ctx.emit({"k": sentinel})

    run(records, fn)
    before = refcounts()
    for _ in range(20):
        run(records, fn)
        run(records, Counter())
    after = refcounts()
    assert all(abs(now - then) < 20 for then, now in zip(before, after, strict=True)), (before, after)


def test_the_function_and_the_source_are_let_go() -> None:
    class Source:
        def __iter__(self) -> Any:
            return iter(rows("a"))

    fn, source = Counter(), Source()
    gone = [weakref.ref(fn), weakref.ref(source)]
    out = mt.stream(source).key_by("k").process(fn)
    out.to_pylist()
    del fn, source, out
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


def test_a_cycle_through_a_run_is_collected() -> None:
    class Holder(mt.ProcessFunction):
        run: Any = None

        def __deepcopy__(self, memo: Any) -> Holder:
            return self

        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            ctx.emit(batch)
            self.ctx = ctx

    fn = Holder()
    gone = weakref.ref(fn)
    fn.run = iter(mt.stream(iter(rows("a", "b"))).key_by("k").process(fn))
    next(fn.run)
    del fn
    gc.collect()
    assert gone() is None


def test_an_unbounded_source_keeps_memory_flat() -> None:
    out = iter(mt.stream({"k": i % 10} for i in range(10**9)).key_by("k").process(Counter()))
    assert grows(resident_bytes, lambda: next(out), warm_up=20_000, times=50_000) < 2_000_000
