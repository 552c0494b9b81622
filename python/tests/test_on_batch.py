"""on_batch: slices of one key, with the results that on_event gives."""

from __future__ import annotations

import itertools
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import martlet as mt
from martlet import Config, ProcessFunction, ValueState, apply_process_function

SCHEMA = pa.schema([("k", pa.int64()), ("v", pa.int64()), ("ts", pa.int64())])


def batches(rows: list[dict[str, Any]], cuts: list[int]) -> list[pa.RecordBatch]:
    edges = [0, *sorted(c for c in cuts if c <= len(rows)), len(rows)]
    return [pa.RecordBatch.from_pylist(rows[a:b], schema=SCHEMA) for a, b in itertools.pairwise(edges)]


class ByRecord(ProcessFunction):
    """Sums per key; emits and clears the sum at the end of each window of 10 ms."""

    total = ValueState("total", int)

    def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
        self.total.set((self.total.get() or 0) + batch["v"])
        ctx.emit(batch)
        if ctx.is_late:
            ctx.emit_to("seen-late", batch)
        ctx.register_event_time_timer(ctx.timestamp // 10 * 10 + 100)

    def on_timer(self, key: Any, fire_time_ms: int, ctx: Any) -> None:
        ctx.emit(k=key, v=self.total.get(), ts=fire_time_ms)
        self.total.clear()


class BySlice(ByRecord):
    def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
        raise AssertionError("on_batch is used")

    def on_batch(self, key: Any, batch: Any, ctx: Any) -> None:
        assert batch.num_rows >= 1
        assert set(batch["k"]) == {key}
        times = list(batch["ts"])
        assert ctx.timestamp == times[-1]
        self.total.set((self.total.get() or 0) + sum(batch["v"]))
        ctx.emit(batch)
        if ctx.is_late:
            ctx.emit_to("seen-late", batch)
        for window in {t // 10 for t in times}:
            ctx.register_event_time_timer(window * 10 + 100)


class Downstream(ProcessFunction):
    """Shows the timestamps and watermarks that it is given."""

    def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
        ctx.emit(k=key, v=batch["v"], ts=ctx.timestamp, wm=ctx.watermark, late=ctx.is_late)
        ctx.register_event_time_timer(ctx.timestamp + 7)

    def on_timer(self, key: Any, fire_time_ms: int, ctx: Any) -> None:
        ctx.emit(k=key, v=-1, ts=fire_time_ms, wm=ctx.watermark, late=False)


ROWS = st.lists(
    st.fixed_dictionaries({"k": st.integers(0, 1), "v": st.integers(-3, 3), "ts": st.integers(0, 80)}), max_size=50
)


@settings(deadline=None)
@given(ROWS, st.lists(st.integers(0, 50), max_size=5), st.integers(0, 20), st.booleans())
def test_on_batch_gives_what_on_event_gives(
    rows: list[dict[str, int]], cuts: list[int], bound: int, is_sorted: bool
) -> None:
    # Timers are at least 90 ms away, and no two records of a slice that far apart: on_event could not see one fire
    # between two of them that it has set itself.
    if is_sorted:
        rows.sort(key=lambda r: r["k"])
    events = mt.stream(batches(rows, cuts), timestamp="ts", watermark=bound)
    results = []
    for fn in (ByRecord(), BySlice()):
        out = apply_process_function(events, "k", fn)
        late = out.side_output("seen-late")
        down = apply_process_function(out, "k", Downstream())
        late_down = apply_process_function(late, "k", Downstream())
        results.append((down.to_pylist(), late_down.to_pylist(), down.run().late))
    assert results[0] == results[1]


@given(ROWS, st.lists(st.integers(0, 50), max_size=5), st.sampled_from(["drop", "side_output"]))
def test_late_policies_with_slices(rows: list[dict[str, int]], cuts: list[int], policy: str) -> None:
    events = mt.stream(batches(rows, cuts), timestamp="ts")
    results = []
    for fn in (ByRecord(), BySlice()):
        out = apply_process_function(events, "k", fn, config=Config(late=policy))
        late = out.side_output("late")
        results.append((out.to_pylist(), late.to_pylist()))
    assert results[0] == results[1]


def sizes(rows: Any, **stream: Any) -> list[int]:
    class Sizes(ProcessFunction):
        def on_batch(self, key: Any, batch: Any, ctx: Any) -> None:
            ctx.emit(n=len(batch))

    out = apply_process_function(mt.stream(rows, **stream), "k", Sizes())
    return [r["n"] for r in out.to_pylist()]


def test_where_slices_end() -> None:
    assert sizes([{"k": k} for k in "aabaaa"]) == [2, 1, 3]
    assert sizes(pa.table({"k": [1] * 20_000})) == [8192, 8192, 3616]
    late = [{"k": 1, "ts": t} for t in (10, 20, 30, 5, 6, 31, 32)]
    assert sizes(late, timestamp="ts") == [3, 2, 2]


def test_null_keys_end_a_slice() -> None:
    class Sizes(ProcessFunction):
        def on_batch(self, key: Any, batch: Any, ctx: Any) -> None:
            ctx.emit(n=len(batch))

    rows = [{"k": k} for k in (1, 1, None, 1, 1, 1)]
    out = apply_process_function(mt.stream(rows), "k", Sizes(), config=Config(null_keys="dead_letter"))
    errors = out.side_output("errors")
    assert [r["n"] for r in out.to_pylist()] == [2, 3]
    assert [r["record_number"] for r in errors.to_pylist()] == [2]


def test_a_timer_that_falls_due_ends_a_slice() -> None:
    class Timers(ProcessFunction):
        def on_batch(self, key: Any, batch: Any, ctx: Any) -> None:
            ctx.emit(what="slice", n=len(batch), wm=ctx.watermark)
            if ctx.watermark == -(2**63):
                ctx.register_event_time_timer(14)

        def on_timer(self, key: Any, fire_time_ms: int, ctx: Any) -> None:
            ctx.emit(what="timer", n=fire_time_ms, wm=ctx.watermark)

    rows = [{"k": k, "ts": t} for k, t in ((1, 10), (2, 10), (1, 11), (1, 12), (1, 15), (1, 20), (1, 21))]
    out = apply_process_function(mt.stream(rows, timestamp="ts"), "k", Timers())
    got = [(r["what"], r["n"]) for r in out.to_pylist()]
    assert got[:2] == [("slice", 1), ("slice", 1)]
    fired = got.index(("timer", 14))
    assert sum(n for what, n in got[2:fired] if what == "slice") == 3
    assert sum(n for what, n in got[fired:] if what == "slice") == 2


def test_a_slice_is_a_batch_and_can_be_kept() -> None:
    kept: list[Any] = []

    class Keep(ProcessFunction):
        def on_batch(self, key: Any, batch: Any, ctx: Any) -> None:
            kept.append(batch)
            ctx.emit(batch[1:])
            ctx.emit(pa.record_batch(batch).slice(0, 1))

    rows = [{"k": k, "v": v, "ts": 0} for k, v in ((1, 1), (1, 2), (1, 3), (2, 4), (2, 5))]
    out = apply_process_function(mt.stream(pa.Table.from_batches(batches(rows, []))), "k", Keep())
    assert [r["v"] for r in out.to_pylist()] == [2, 3, 1, 5, 4]
    assert [batch.to_pydict()["v"] for batch in kept] == [[1, 2, 3], [4, 5]]


@pytest.mark.parametrize("policy", ["skip", "dead_letter"])
def test_a_failed_slice_is_taken_back_as_a_whole(policy: str) -> None:
    class Fails(ProcessFunction):
        n = ValueState("n", int)

        def on_batch(self, key: Any, batch: Any, ctx: Any) -> None:
            self.n.set((self.n.get() or 0) + len(batch))
            ctx.emit(k=key, n=self.n.get())
            if -1 in list(batch["v"]):
                raise ValueError("minus one")

    rows = [{"k": k, "v": v, "ts": v + 5} for k, v in ((1, 1), (1, 2), (2, 0), (2, -1), (2, 3), (1, 4), (2, 5))]
    events = mt.stream(rows, timestamp="ts", watermark=100)
    out = apply_process_function(events, "k", Fails(), config=Config(on_error=policy))
    errors = out.side_output("errors")
    assert [(r["k"], r["n"]) for r in out.to_pylist()] == [(1, 2), (1, 3), (2, 1)]
    letters = errors.to_pylist()
    if policy == "dead_letter":
        assert [(r["record_number"], r["timestamp"], r["record"]["v"]) for r in letters] == [
            (2, 5, 0),
            (3, 4, -1),
            (4, 8, 3),
        ]
        assert "records 2 to 4" in letters[0]["traceback"]
    assert out.run().errors == 3


def test_any_object_with_on_batch() -> None:
    class Plain:
        def on_batch(self, key: Any, batch: Any, ctx: Any) -> None:
            ctx.emit(k=key, n=len(batch))

    assert apply_process_function(mt.stream([{"k": 1}] * 3), "k", Plain()).to_pylist() == [{"k": 1, "n": 3}]
    with pytest.raises(mt.ConfigError, match="defines no on_event"):
        apply_process_function(mt.stream([{"k": 1}]), "k", ProcessFunction())
