"""Functions of two inputs keep nothing: objects, memory, threads; after success, failure and abandonment."""

from __future__ import annotations

import gc
import pickle
import resource
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import martlet as mt
from martlet.testing import Harness

ROWS = [{"k": f"key {i % 3}", "t": i, "x": None if i % 2 else "text"} for i in range(12)]

table = mt.BroadcastState("table", str, int)
seen = mt.ListState("seen")


class Rules(mt.BroadcastProcessFunction):
    same = mt.BroadcastState("table", str, int)

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        seen.add({"x": batch["x"], "side": ctx.side})
        for bad in (
            lambda: table.put(key, 1),
            lambda: ctx.apply_to_keyed_state(seen, print),
            lambda: ctx.apply_to_keyed_state("nope", print),
            lambda: ctx.apply_to_keyed_state(3, print),  # type: ignore[arg-type]
        ):
            with pytest.raises((mt.MartletError, TypeError)):
                bad()
        ctx.emit(batch, n=len(self.same), table=[[k, str(v)] for k, v in table.items()])

    def on_broadcast(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.same.put(batch["k"], batch["t"])
        ctx.apply_to_keyed_state(seen, lambda key, state: ctx.emit_to("keys", key=key, n=len(state.get())))

        def fail(key: Any, state: Any) -> None:
            raise KeyError(key)

        if batch["t"] == 7:
            with pytest.raises(KeyError):
                ctx.apply_to_keyed_state("seen", fail)
        with pytest.raises(mt.StateAccessError):
            seen.get()


def both(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
    ctx.emit(batch, side=ctx.side)


def connected() -> None:
    out = mt.connect_streams(mt.stream(ROWS, timestamp="t"), mt.stream(ROWS, timestamp="t"), both, key="k")
    assert len(out.to_pylist()) == 24
    live = mt.connect_streams(mt.stream(iter(ROWS)), mt.stream(iter(ROWS)), both, key="k")
    assert len(live.to_pylist()) == 24


def broadcast() -> None:
    main, rules = mt.stream(ROWS, timestamp="t"), mt.stream(ROWS, timestamp="t")
    out = mt.broadcast_stream(main, rules.broadcast(table), Rules(), seen, key="k")
    keys = out.side_output("keys")
    assert len(out.to_pylist()) == 12
    assert len(keys.to_pylist()) == 1 + 2 + 9 * 3
    out.explain()
    out._repr_html_()


def failing() -> None:
    class Fails(Rules):
        def on_broadcast(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            def fail(key: Any, state: Any) -> None:
                raise ValueError(key)

            ctx.apply_to_keyed_state(seen, fail)

    main, rules = mt.stream(ROWS, timestamp="t"), mt.stream(ROWS, timestamp="t")
    with pytest.raises(ValueError, match="key 0"):
        mt.broadcast_stream(main, rules.broadcast(table), Fails(), seen, key="k").run()
    with pytest.raises(mt.KeyTypeError):
        mt.connect_streams(mt.stream([{"k": 1}]), mt.stream([{"k": "x"}]), both, key="k").run()


def failing_sources() -> None:
    def records() -> Iterator[dict[str, Any]]:
        yield {"k": 1}
        raise ValueError("source")

    for _ in range(3):
        with pytest.raises(ValueError, match="source"):
            mt.connect_streams(mt.stream(records()), mt.stream(records()), both, key="k").run()


def abandoned() -> None:
    out = iter(mt.connect_streams(mt.stream(iter(ROWS)), mt.stream(iter(ROWS)), both, key="k"))
    next(out)


def harness() -> None:
    with Harness(Rules(), table, seen, key="k") as h:
        h.push({"k": "a", "x": "y"}, timestamp=1)
        h.push_broadcast({"k": "a", "t": 2}, timestamp=1)
        h.advance_watermark(main=5)
        h.set_idle("broadcast")
        assert h.state("table") == {"a": 2}
        h.output()
    with pytest.raises(mt.ConfigError):
        h.push_left({"k": "a"})


def schemas() -> None:
    schema = mt.Schema({"a": "list<int64>", "b": {"x": str}, "c": "timestamp[ms, UTC]"})
    assert pickle.loads(pickle.dumps(schema)) == schema
    for damaged in ((), ("l",), ("l", "", 0, None, (3,), None), ("l", "", 0, b"x", (), (3,)), 5):
        with pytest.raises((ValueError, TypeError)):
            mt.Schema._rebuild(damaged)  # type: ignore[attr-defined]


WORK = [connected, broadcast, failing, failing_sources, abandoned, harness, schemas]


@pytest.mark.parametrize("work", WORK)
def test_objects(work: Callable[[], None]) -> None:
    def count() -> int:
        gc.collect()
        return len(gc.get_objects())

    for _ in range(3):
        work()
    before = count()
    for _ in range(20):
        work()
    assert count() - before < 20


@pytest.mark.parametrize("work", WORK)
def test_memory(work: Callable[[], None]) -> None:
    def rss() -> int:
        with open("/proc/self/statm") as statm:  # noqa: PTH123
            return int(statm.read().split()[1]) * resource.getpagesize()

    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    for _ in range(50):
        work()
    gc.collect()
    before = rss()
    for _ in range(150):
        work()
    gc.collect()
    assert rss() - before < 3_000_000


def test_references() -> None:
    def refcounts() -> list[int]:
        gc.collect()
        return [sys.getrefcount(value) for value in (None, True, table, seen, Rules, both, mt.BroadcastState)]

    for work in (connected, broadcast, harness):
        work()
    before = refcounts()
    for _ in range(20):
        for work in (connected, broadcast, failing, harness):
            work()
    after = refcounts()
    assert all(abs(now - then) < 20 for then, now in zip(before, after, strict=True)), (before, after)


def test_a_cycle_through_a_run_is_collected() -> None:
    class Holder(mt.CoProcessFunction):
        run: Any = None

        def __deepcopy__(self, memo: Any) -> Holder:
            return self

        def on_left(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            ctx.emit(batch)
            self.ctx = ctx

        on_right = on_left

    fn = Holder()
    gone = weakref.ref(fn)
    fn.run = iter(mt.connect_streams(mt.stream(iter(ROWS)), mt.stream(iter(ROWS)), fn, key="k"))
    next(fn.run)
    del fn
    for _ in range(100):
        gc.collect()
        if gone() is None:
            break
        time.sleep(0.01)
    assert gone() is None


def test_a_run_that_is_closed_leaves_waiting_sources_and_their_threads_to_end() -> None:
    release = threading.Event()
    closed: list[str] = []

    def waits(name: str) -> Iterator[dict[str, Any]]:
        try:
            yield {"k": 1}
            release.wait(30)
            yield {"k": 2}
        finally:
            closed.append(name)

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(k=key)

    out = iter(mt.connect_streams(mt.stream(waits("left")), mt.stream(waits("right")), fn, key="k"))
    begun = time.monotonic()
    got = 0
    while got < 2:
        got += next(out).num_rows
    out.close()  # type: ignore[attr-defined]
    assert time.monotonic() - begun < 10
    del out
    release.set()
    for _ in range(1000):
        if len(closed) == 2:
            break
        gc.collect()
        time.sleep(0.01)
    assert sorted(closed) == ["left", "right"]


def test_two_pumps_share_the_gil() -> None:
    """Two generators that compute, and the function on the job's thread: all three get on."""
    progress = {"left": 0, "right": 0}
    seen_at: list[tuple[int, int]] = []

    def numbers(name: str) -> Iterator[dict[str, Any]]:
        for i in range(2_000):
            progress[name] = i
            yield {"k": i % 5, "i": i}

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        seen_at.append((progress["left"], progress["right"]))

    report = mt.connect_streams(mt.stream(numbers("left")), mt.stream(numbers("right")), fn, key="k").run()
    assert report.records_in == 4_000
    # Neither side was read to its end before the other one began.
    assert any(0 < left < 1_999 and 0 < right < 1_999 for left, right in seen_at)
