"""Parallel instances in worker processes give the output of a serial run, in its order. How workers start and end is in
test_workers.py."""

from __future__ import annotations

import datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parallel_programs import SEEN, Program, counting

import martlet as mt

pytest.importorskip("cloudpickle")


def config(parallelism: int, **options: Any) -> mt.Config:
    return mt.Config(parallelism=parallelism, progress=False, **options)


def same(make: Any, *, workers: tuple[int, ...] = (2, 3), **options: Any) -> Any:
    """What `make(config)` gives serially, after it gave the same with workers."""
    serial = make(config(1, **options))
    for parallelism in workers:
        assert make(config(parallelism, **options)) == serial, parallelism
    return serial


# ---- random programs -----------------------------------------------------------------------------------


# What a row has first may be null, and does not tell a type.
MAIN = {"k": int, "v": int, "t": int, "do": int, "n": int, "late": bool, "old": int}
OTHER = pa.schema([("key", pa.string()), ("total", pa.int64()), ("text", pa.string()), ("seen", pa.list_(pa.int64()))])
RECORD = st.fixed_dictionaries(
    {
        "k": st.one_of(st.integers(-3, 6), st.integers(-(2**60), 2**60)),
        "v": st.integers(0, 60),
        "t": st.integers(0, 80),
        "do": st.integers(0, 255),
    }
)


def outcome(records: list[dict[str, Any]], lag: int, chunk: int, config: mt.Config) -> Any:
    schema = pa.schema([(name, pa.int64()) for name in ("k", "v", "t", "do")])
    pieces = [records[at : at + chunk] for at in range(0, len(records), chunk)] or [[]]
    table = pa.Table.from_batches([pa.RecordBatch.from_pylist(piece, schema) for piece in pieces], schema)
    stream = mt.stream(table, timestamp="t", watermark=lag)
    out = mt.apply_process_function(stream, "k", Program(), output=MAIN, side_outputs={"other": OTHER}, config=config)
    side, other = out.side_output("side"), out.side_output("other")
    names = ["main", "side", "other"]
    streams = [out, side, other]
    if config.on_error == "dead_letter":
        streams.append(out.side_output("errors"))
        names.append("errors")
    results: dict[str, Any] = {}
    for name, stream in zip(names, streams, strict=True):
        try:
            results[name] = stream.to_pylist()
        except ValueError as error:
            results[name] = [str(error), error.__notes__[0]]
    for row in results.get("errors", []):
        if isinstance(row, dict):
            row.pop("traceback", None)
    return results


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    records=st.lists(RECORD, max_size=60),
    lag=st.sampled_from([0, 5, 40]),
    chunk=st.sampled_from([1, 7, 60]),
    on_error=st.sampled_from(["raise", "skip", "dead_letter"]),
    late=st.sampled_from(["process", "drop"]),
    parallelism=st.sampled_from([2, 3, 7]),
)
def test_random_programs(records, lag, chunk, on_error, late, parallelism):
    options = {"on_error": on_error, "late": late}
    serial = outcome(records, lag, chunk, config(1, **options))
    assert outcome(records, lag, chunk, config(parallelism, **options)) == serial


# ---- one thing at a time -------------------------------------------------------------------------------


def test_long_streams_and_many_chunks():
    table = pa.table({"k": [i * 7919 % 1000 for i in range(100_000)], "v": range(100_000), "t": range(100_000)})

    class Count(mt.ProcessFunction):
        count = mt.ValueState("count", int)

        def on_event(self, key, batch, row, ctx):
            n = (self.count.get() or 0) + 1
            self.count.set(n)
            ctx.emit(batch, n=n) if n % 2 else ctx.emit(batch, n=-n)
            if n % 10 == 0:
                ctx.register_event_time_timer(ctx.timestamp + 5000)

        def on_timer(self, key, fire_time_ms, ctx):
            ctx.emit(k=key, v=-1, t=fire_time_ms, n=self.count.get())

    def run(config):
        return mt.apply_process_function(mt.stream(table, timestamp="t"), "k", Count(), config=config).to_arrow()

    assert same(run).num_rows == 110_000


EVERYTHING = pa.table(
    {
        "k": pa.array([None if i % 9 == 8 else f"key {i % 5}" for i in range(200)]),
        "i8": pa.array([i % 100 if i % 3 else None for i in range(200)], pa.int8()),
        "f": pa.array([i / 7 for i in range(200)], pa.float32()),
        "b": pa.array([None if i % 4 == 0 else i % 2 == 0 for i in range(200)]),
        "s": pa.array(["é" * (i % 30) for i in range(200)]),
        "ls": pa.array([b"x" * (i % 40) for i in range(200)], pa.large_binary()),
        "vu": pa.array([f"{'long ' * (i % 7)}{i}" for i in range(200)], pa.string_view()),
        "d": pa.array([f"value {i % 3}" for i in range(200)]).dictionary_encode(),
        "big": pa.array([f"entry {i} {'y' * 200}" for i in range(200)]).dictionary_encode(),
        "ts": pa.array([datetime.datetime(2026, 1, 1) + datetime.timedelta(seconds=i) for i in range(200)]),
        "dec": pa.array(list(range(200)), pa.decimal128(12, 2)),
        "l": pa.array([list(range(i % 4)) if i % 5 else None for i in range(200)]),
        "st": pa.array([{"a": i, "b": [str(i)]} for i in range(200)]),
        "m": pa.array([[("x", i)] for i in range(200)], pa.map_(pa.string(), pa.int32())),
        "n": pa.nulls(200),
    }
)


def test_every_type_there_and_back():
    def emit(key, batch, row, ctx):
        ctx.emit(batch)
        ctx.emit_to(
            "cells", key=key, s=batch["s"], d=batch["d"], l=[*(batch["l"] or []), 1], st=batch["st"], vu=batch["vu"]
        )

    def run(config):
        table = EVERYTHING.slice(3)
        out = mt.apply_process_function(mt.stream(table), "k", emit, config=config)
        side = out.side_output("cells")
        return out.to_arrow().to_pylist(), side.to_pylist()

    main, cells = same(run, null_keys="drop")
    assert len(main) == len(cells) == 175
    assert main == [row for row in EVERYTHING.slice(3).to_pylist() if row["k"] is not None]


def test_huge_strings():
    rows = [{"k": i % 3, "s": "x" * (3_000_000 + i)} for i in range(6)]

    def emit(key, batch, row, ctx):
        ctx.emit(batch)
        ctx.emit(k=key, s=batch["s"][:-1] + "y")

    def run(config):
        out = mt.apply_process_function(mt.stream(rows), "k", emit, config=config).to_pylist()
        return [(row["k"], len(row["s"]), row["s"][-1]) for row in out]

    assert len(same(run, workers=(2,))) == 12


def test_chains_deal_the_records_out_anew():
    rows = [{"a": i % 7, "b": i * 31 % 11, "t": i} for i in range(500)]

    class First(mt.ProcessFunction):
        count = mt.ValueState("count", int)

        def on_event(self, key, batch, row, ctx):
            self.count.set((self.count.get() or 0) + 1)
            ctx.emit(a=key, b=batch["b"], n=self.count.get())
            if self.count.get() % 5 == 0:
                ctx.register_event_time_timer(ctx.timestamp + 10)
                ctx.emit_to("fifths", batch)

        def on_timer(self, key, fire_time_ms, ctx):
            ctx.emit(a=key, b=0, n=-fire_time_ms)

    class Second(mt.ProcessFunction):
        total = mt.ReducingState("total", "sum", int)

        def on_event(self, key, batch, row, ctx):
            self.total.add(batch["n"])
            ctx.emit(b=key, total=self.total.get(), at=ctx.timestamp, watermark=ctx.watermark)

    def last(key, batch, row, ctx):
        ctx.emit(batch)

    def run(config):
        first = mt.apply_process_function(mt.stream(rows, timestamp="t", watermark=3), "a", First(), config=config)
        fifths = mt.apply_process_function(first.side_output("fifths"), "b", last)
        second = mt.apply_process_function(first, "b", Second())
        return second.to_pylist(), fifths.to_pylist()

    main, fifths = same(run)
    assert len(main) > 500 and len(fifths) == 98


def test_slices():
    rows = [{"k": i // 3 % 5, "v": i, "t": i} for i in range(300)]

    class Slices(mt.ProcessFunction):
        def on_batch(self, key, batch, ctx):
            ctx.emit(k=key, first=batch["v"][0], total=sum(batch["v"].to_pylist()))

    def run(config):
        stream = mt.stream(pa.Table.from_pylist(rows), timestamp="t")
        output = {"k": int, "first": int, "total": int}
        return mt.apply_process_function(stream, "k", Slices(), output=output, config=config).to_pylist()

    assert len(same(run)) == 100


def test_processing_time_under_a_manual_clock():
    class Later(mt.ProcessFunction):
        def on_event(self, key, batch, row, ctx):
            ctx.register_processing_time_timer(ctx.processing_time + 10 * (key + 1))
            ctx.emit(k=key, at=ctx.processing_time, what="event")

        def on_timer(self, key, fire_time_ms, ctx):
            ctx.emit(k=key, at=ctx.processing_time, what="timer")

    def run(options):
        clock = mt.ManualClock(1000)

        def records():
            for i in range(60):
                clock.advance_to(1000 + i)
                yield {"k": i % 4}

        settings = mt.Config(clock=clock, parallelism=options.parallelism, progress=False)
        return mt.apply_process_function(mt.stream(records()), "k", Later(), config=settings).to_pylist()

    assert len(same(run)) == 120


def test_processing_time_of_the_system():
    """Timers fire while the source is silent."""
    import time

    class Later(mt.ProcessFunction):
        def on_event(self, key, batch, row, ctx):
            ctx.register_processing_time_timer(ctx.processing_time + 20)

        def on_timer(self, key, fire_time_ms, ctx):
            ctx.emit(k=key)

    def records():
        yield from ({"k": k} for k in range(4))
        time.sleep(0.4)
        yield {"k": 9}

    out = iter(mt.apply_process_function(mt.stream(records()), "k", Later(), config=config(2, at_end="drop")))
    assert sorted(row["k"] for batch in out for row in batch.to_pylist()) == [0, 1, 2, 3]


def test_reports_add_up():
    def fail(key, batch, row, ctx):
        if batch["v"] % 10 == 0:
            raise ValueError
        ctx.emit(batch)

    rows = [{"k": i % 7, "v": i, "t": i if i % 9 else 0} for i in range(200)]

    def run(config):
        out = mt.apply_process_function(mt.stream(rows, timestamp="t"), "k", fail, config=config)
        report = out.run(Sink())
        return {
            name: getattr(report, name)
            for name in ("records_in", "records_out", "late", "errors", "keys", "timers_fired", "watermark")
        }

    assert same(run, on_error="skip")["errors"] == 20


class Sink:
    def write(self, batch):
        pass


def test_a_state_that_is_a_global_of_a_module():
    rows = [{"k": i % 3} for i in range(20)]

    def run(config):
        return mt.apply_process_function(mt.stream(rows), "k", counting, SEEN, config=config).to_pylist()

    same(run, workers=(2,))


def test_a_state_of_a_function_that_travels_by_value():
    count = mt.ValueState("count", int)

    def add(key, batch, row, ctx):
        count.set((count.get() or 0) + 1)
        ctx.emit(k=key, n=count.get())

    def run(config):
        return mt.apply_process_function(
            mt.stream([{"k": i % 3} for i in range(9)]), "k", add, count, config=config
        ).to_pylist()

    same(run, workers=(2,))


def test_metrics_and_progress_see_the_coordinators_counters():
    class Metrics:
        def __init__(self):
            self.seen = []

        def update(self, job, counters):
            self.seen.append(counters["records_in"])

    def emit(key, batch, row, ctx):
        ctx.emit(batch)

    metrics = Metrics()
    settings = mt.Config(parallelism=2, metrics=metrics, progress=False)
    mt.apply_process_function(mt.stream([{"k": i} for i in range(50)]), "k", emit, config=settings).to_pylist()
    assert metrics.seen[-1] == 50


# ---- two inputs ----------------------------------------------------------------------------------------


def test_connected_streams():
    class Both(mt.CoProcessFunction):
        left = mt.ListState("left", int)
        right = mt.ValueState("right", int)

        def on_left(self, key, batch, row, ctx):
            self.left.add(batch["v"])
            ctx.emit(side=ctx.side, k=key, v=batch["v"], other=self.right.get() or 0)
            ctx.register_event_time_timer(ctx.timestamp + 7)

        def on_right(self, key, batch, row, ctx):
            self.right.set(batch["w"])
            ctx.emit(side=ctx.side, k=key, v=batch["w"], other=len(self.left.get()))
            ctx.emit_to("rights", batch)

        def on_timer(self, key, fire_time_ms, ctx):
            ctx.emit(side="timer", k=key, v=fire_time_ms, other=ctx.watermark)

    lefts = [{"k": i % 6, "v": i, "t": 2 * i} for i in range(150)]
    rights = [{"id": i % 5, "w": -i, "t": 3 * i + i % 4} for i in range(100)]

    def run(config):
        left, right = mt.stream(lefts, timestamp="t"), mt.stream(rights, timestamp="t", watermark=5)
        out = mt.connect_streams(left, right, Both(), key=("k", "id"), config=config)
        side = out.side_output("rights")
        return out.to_pylist(), side.to_pylist()

    main, side = same(run)
    assert len(main) == 400 and len(side) == 100


@pytest.mark.parametrize("key", ["k", None])
def test_broadcasts(key):
    rules = mt.BroadcastState("rules", int, str)

    class Ruled(mt.BroadcastProcessFunction):
        def on_event(self, key, batch, row, ctx):
            ctx.emit(k=batch["k"], v=batch["v"], rule=rules.get(batch["k"], "none"))

        def on_broadcast(self, key, batch, row, ctx):
            rules.put(batch["id"], batch["rule"])

    events = [{"k": i % 6, "v": i, "t": i} for i in range(150)]
    updates = [{"id": i % 6, "rule": f"rule {i}", "t": 10 * i} for i in range(12)]

    def run(config):
        main, side = mt.stream(events, timestamp="t"), mt.stream(updates, timestamp="t")
        return mt.broadcast_stream(main, side.broadcast(rules), Ruled(), key=key, config=config).to_pylist()

    assert len(same(run)) == 150
