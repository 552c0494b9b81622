"""Side outputs: their forms and schemas, one run for all outputs, chains over them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

import martlet as mt
from martlet import ProcessFunction, ValueState, apply_process_function

ROWS = [{"k": k, "v": v} for k, v in (("a", 0), ("b", 1), ("c", 2))]


def split(key: Any, batch: Any, row: int, ctx: Any) -> None:
    ctx.emit(k=batch["k"])
    ctx.emit_to("v", v=batch["v"])


def generated(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    yield from rows


def test_k4_side_output() -> None:
    out = apply_process_function(mt.stream(ROWS), "k", split)
    side = out.side_output("v")
    assert [r["k"] for r in out.to_pylist()] == ["a", "b", "c"]
    assert [r["v"] for r in side.to_pylist()] == [0, 1, 2]


def test_k4_a_function_after_a_side_output() -> None:
    out = apply_process_function(mt.stream(ROWS), "k", split)
    plus = apply_process_function(out.side_output("v"), "v", lambda key, batch, row, ctx: ctx.emit(v=batch["v"] + 1))
    assert [r["v"] for r in plus.to_pylist()] == [1, 2, 3]
    assert [r["k"] for r in out.to_pylist()] == ["a", "b", "c"]


def test_k4_two_tags() -> None:
    def both(key: Any, batch: Any, row: int, ctx: Any) -> None:
        ctx.emit(batch)
        ctx.emit_to("side1", v=batch["v"])
        ctx.emit_to("side2", {"s": f"{key}{batch['v']}"})

    out = apply_process_function(mt.stream(ROWS), "k", both)
    one, two = out.side_output("side1"), out.side_output("side2")
    assert two.to_pylist() == [{"s": "a0"}, {"s": "b1"}, {"s": "c2"}]
    assert one.to_pylist() == [{"v": 0}, {"v": 1}, {"v": 2}]
    assert out.to_pylist() == ROWS


def test_a10_side_outputs_carry_the_timestamp_of_their_record() -> None:
    def emit(key: Any, batch: Any, row: int, ctx: Any) -> None:
        ctx.emit(s=f"IN:{batch['v']}")
        ctx.emit_to("int-out", batch)
        ctx.emit_to("long-out", v=batch["v"])

    def stamped(key: Any, batch: Any, row: int, ctx: Any) -> None:
        ctx.emit(ts=ctx.timestamp)

    events = mt.stream([{"v": 42, "ts": 17}], timestamp="ts")
    out = apply_process_function(events, "v", emit)
    streams = [
        apply_process_function(one, key, stamped)
        for one, key in ((out, "s"), (out.side_output("int-out"), "v"), (out.side_output("long-out"), "v"))
    ]
    assert [one.to_pylist() for one in streams] == [[{"ts": 17}]] * 3


def test_every_form_of_emit() -> None:
    table = pa.table({"k": [7], "v": [8]})

    def forms(key: Any, batch: Any, row: int, ctx: Any) -> None:
        ctx.emit_to("x", batch)
        ctx.emit_to("x", {"k": 1})
        ctx.emit_to("x", k=2, v=3)
        ctx.emit_to("x", batch, v=9)
        ctx.emit_to("x", table)
        ctx.emit_to("x", table.to_batches()[0])

    out = apply_process_function(mt.stream([{"k": 5, "v": 6}]), "k", forms).side_output("x")
    assert [(r["k"], r["v"]) for r in out.to_pylist()] == [(5, 6), (1, None), (2, 3), (5, 9), (7, 8), (7, 8)]


def test_a_declared_schema_is_kept_and_checked() -> None:
    def emit(key: Any, batch: Any, row: int, ctx: Any) -> None:
        ctx.emit_to("x", n=batch["v"])

    out = apply_process_function(mt.stream(ROWS), "k", emit, side_outputs={"x": {"n": "int32"}, "y": {"m": str}})
    x, y = out.side_output("x"), out.side_output("y")
    assert x.schema.types == ("int32",)
    assert x.to_arrow().schema.field("n").type == pa.int32()
    assert y.to_pylist() == []
    assert y.schema.names == ("m",)
    bad = apply_process_function(mt.stream(ROWS), "k", emit, side_outputs={"x": {"other": int}})
    with pytest.raises(mt.SchemaError, match="'n'"):
        bad.side_output("x").to_pylist()


def test_one_run_feeds_a_source_that_can_be_read_once() -> None:
    for first in (0, 1):
        out = apply_process_function(mt.stream(generated(ROWS)), "k", split)
        streams = [out, out.side_output("v")]
        expected = [[{"k": r["k"]} for r in ROWS], [{"v": r["v"]} for r in ROWS]]
        assert streams[first].to_pylist() == expected[first]
        assert streams[1 - first].to_pylist() == expected[1 - first]
        with pytest.raises(mt.MartletError, match="only once"):
            streams[first].to_pylist()


def test_outputs_can_be_read_side_by_side() -> None:
    rows = [{"k": i % 3, "v": i} for i in range(1000)]
    source = (pa.RecordBatch.from_pylist(rows[i : i + 10]) for i in range(0, 1000, 10))
    out = apply_process_function(mt.stream(source), "k", split)
    side = out.side_output("v")
    main: list[int] = []
    sides: list[int] = []
    for one, other in zip(out, side, strict=True):
        main += one.to_pydict()["k"]
        sides += other.to_pydict()["v"]
    assert main == [r["k"] for r in rows]
    assert sides == [r["v"] for r in rows]


def test_a_second_consumption_runs_again() -> None:
    out = apply_process_function(mt.stream(ROWS), "k", split)
    side = out.side_output("v")
    for _ in range(3):
        assert len(side.to_pylist()) == 3
        assert len(out.to_pylist()) == 3
        assert len(out.to_arrow()) == 3


def test_the_same_tag_is_the_same_stream() -> None:
    out = apply_process_function(mt.stream(ROWS), "k", split)
    assert out.side_output("v") is out.side_output("v")


def test_a_tag_that_nobody_asked_for_is_counted_and_dropped() -> None:
    out = apply_process_function(mt.stream(ROWS), "k", split)
    report = out.run()
    assert (report.records_out, report.side_records, report.side_dropped) == (3, 0, 3)
    side = out.side_output("v")
    report = out.run()
    assert (report.records_out, report.side_records, report.side_dropped) == (3, 3, 0)
    assert len(side.to_pylist()) == 3


def test_side_streams_of_every_function_of_a_chain() -> None:
    out1 = apply_process_function(mt.stream(generated(ROWS)), "k", split, name="one")
    out2 = apply_process_function(out1, "k", lambda key, batch, row, ctx: ctx.emit_to("w", w=key * 2), name="two")
    v, w = out1.side_output("v"), out2.side_output("w")
    assert w.to_pylist() == [{"w": "aa"}, {"w": "bb"}, {"w": "cc"}]
    assert v.to_pylist() == [{"v": 0}, {"v": 1}, {"v": 2}]
    assert out2.to_pylist() == []


def test_watermarks_reach_what_follows_a_side_output() -> None:
    class Timer(ProcessFunction):
        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            ctx.register_event_time_timer(ctx.timestamp + 5)
            ctx.emit(t=ctx.timestamp, wm=ctx.watermark, late=ctx.is_late)

        def on_timer(self, key: Any, fire_time_ms: int, ctx: Any) -> None:
            ctx.emit(t=-fire_time_ms, wm=ctx.watermark, late=False)

    rows = [{"k": 1, "ts": t} for t in (10, 12, 20, 11, 30)]
    events = mt.stream(rows, timestamp="ts")
    direct = apply_process_function(events, "k", Timer()).to_pylist()
    side = apply_process_function(events, "k", lambda key, batch, row, ctx: ctx.emit_to("x", batch)).side_output("x")
    assert apply_process_function(side, "k", Timer()).to_pylist() == direct


def test_a_failure_reaches_every_output_after_its_rows() -> None:
    def fails(key: Any, batch: Any, row: int, ctx: Any) -> None:
        if batch["v"] == 2:
            raise ValueError("two")
        split(key, batch, row, ctx)

    out = apply_process_function(mt.stream(ROWS), "k", fails)
    side = out.side_output("v")
    for one in (out, side):
        seen: list[Any] = []
        with pytest.raises(ValueError, match="two"):
            for batch in one:
                seen += batch.to_pylist()
        assert len(seen) == 2


def test_side_output_state_and_schema_by_use() -> None:
    class Dedup(ProcessFunction):
        seen = ValueState("seen", bool)

        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            if self.seen.exists():
                ctx.emit_to("duplicates", batch)
            else:
                self.seen.set(True)
                ctx.emit(batch)

    out = apply_process_function(mt.stream([*ROWS, *ROWS]), "k", Dedup())
    duplicates = out.side_output("duplicates")
    assert duplicates.schema.names == ("k", "v")
    assert pa.table(duplicates).to_pylist() == ROWS
    assert out.to_pylist() == ROWS


def test_misuse() -> None:
    out = apply_process_function(mt.stream(ROWS), "k", split)
    with pytest.raises(mt.ConfigError, match="no function"):
        mt.stream(ROWS).side_output("x")
    with pytest.raises(mt.ConfigError, match="no function"):
        out.side_output("v").side_output("w")
    for tag in ("", "a\0b", 3, None):
        with pytest.raises(mt.ConfigError, match="tag"):
            out.side_output(tag)  # type: ignore[arg-type]
    with pytest.raises(mt.ConfigError, match="mapping"):
        apply_process_function(mt.stream(ROWS), "k", split, side_outputs=["x"])  # type: ignore[arg-type]

    def wrong_tag(key: Any, batch: Any, row: int, ctx: Any) -> None:
        ctx.emit_to(3, batch)

    with pytest.raises(TypeError, match="tag"):
        apply_process_function(mt.stream(ROWS), "k", wrong_tag).run()

    def reserved(key: Any, batch: Any, row: int, ctx: Any) -> None:
        ctx.emit_to("late", batch)

    taken = apply_process_function(mt.stream(ROWS), "k", reserved, config=mt.Config(late="side_output"))
    with pytest.raises(mt.ConfigError, match="'late' is filled by the engine"):
        taken.run()
    assert apply_process_function(mt.stream(ROWS), "k", reserved).side_output("late").to_pylist() == ROWS
