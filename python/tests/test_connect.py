"""Two keyed streams and one function: forms, merging, keys, state and timers, errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

import martlet as mt
from martlet import CoProcessFunction, ValueState, connect_streams

CLICKS = [{"user": u, "page": p, "ts": t} for u, p, t in (("ann", "/", 10), ("bob", "/a", 20), ("ann", "/b", 30))]
FLAGS = [{"who": w, "bad": b, "at": t} for w, b, t in (("ann", True, 20), ("bob", True, 25), ("ann", False, 40))]


def clicks(rows: Any = CLICKS, **options: Any) -> mt.Stream:
    return mt.stream(rows, timestamp="ts", name="clicks", **options)


def flags(rows: Any = FLAGS, **options: Any) -> mt.Stream:
    return mt.stream(rows, timestamp="at", name="flags", **options)


class Suspicious(CoProcessFunction):
    """Marks the clicks of users that are flagged at that time."""

    bad = ValueState("bad", bool, default=False)

    def on_left(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
        ctx.emit(user=key, page=batch["page"], bad=self.bad.get())

    def on_right(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
        self.bad.set(batch["bad"])


class BothSides:
    """on_event for both, duck-typed."""

    def __init__(self) -> None:
        self.count = ValueState("count", int, default=0)

    def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
        self.count.set(self.count.get() + 1)
        ctx.emit(key=key, side=ctx.side, n=self.count.get(), names=",".join(batch.keys()), wm=ctx.watermark)


EXPECTED = [
    {"user": "ann", "page": "/", "bad": False},
    {"user": "bob", "page": "/a", "bad": False},
    {"user": "ann", "page": "/b", "bad": True},
]


def test_every_form() -> None:
    left, right = clicks(), flags()
    forms = [
        connect_streams(left, right, Suspicious(), key=("user", "who")),
        connect_streams(left, right, Suspicious(), key=(("user",), ["who"])),
        connect_streams(left.key_by("user"), right.key_by("who"), Suspicious()),
        left.key_by("user").connect(right.key_by("who")).process(Suspicious()),
    ]
    for out in forms:
        assert out.to_pylist() == EXPECTED
        assert out.to_pylist() == EXPECTED
    same = [{"k": 1, "a": 1}], [{"k": 1, "b": 2}, {"k": 2, "b": 3}]
    out = connect_streams(mt.stream(same[0]), mt.stream(same[1]), BothSides(), key="k")
    assert sorted((r["key"], r["side"], r["names"]) for r in out.to_pylist()) == [
        (1, "left", "k,a"),
        (1, "right", "k,b"),
        (2, "right", "k,b"),
    ]


def test_a_plain_callable_and_states_as_arguments() -> None:
    total = ValueState("total", int, default=0)

    def add(key: Any, batch: Any, row: int, ctx: Any) -> None:
        total.set(total.get() + (1 if ctx.side == "left" else 100))
        ctx.emit(key=key, total=ctx.state("total").get())

    out = connect_streams(clicks(), flags(), add, total, key=("user", "who"))
    assert [(r["key"], r["total"]) for r in out.to_pylist()] == [
        ("ann", 1),
        ("bob", 1),  # left first at 20
        ("ann", 101),
        ("bob", 101),
        ("ann", 102),
        ("ann", 202),
    ]


def test_merged_by_time_left_first_and_the_watermark_is_the_lesser() -> None:
    seen: list[Any] = []

    def look(key: Any, batch: Any, row: int, ctx: Any) -> None:
        seen.append((ctx.side, ctx.timestamp, ctx.watermark))

    left = mt.stream([{"k": 1, "t": t} for t in (10, 20, 30)], timestamp="t")
    right = mt.stream([{"k": 1, "t": t} for t in (10, 15, 40)], timestamp="t")
    connect_streams(left, right, look, key="k").run()
    low = -(2**63)
    assert [(side, time) for side, time, _ in seen] == [
        ("left", 10),
        ("right", 10),
        ("right", 15),
        ("left", 20),
        ("left", 30),
        ("right", 40),
    ]
    assert [wm for _, _, wm in seen] == [low, low, 9, 9, 14, 14]


def test_any_chunking_gives_the_same() -> None:
    left = pa.table({"k": [i % 7 for i in range(500)], "t": [i * 3 for i in range(500)]})
    right = pa.table({"k": [i % 5 for i in range(700)], "t": [i * 2 for i in range(700)]})

    def out(a: Any, b: Any) -> list[Any]:
        streams = mt.stream(a, timestamp="t", bounded=True), mt.stream(b, timestamp="t", bounded=True)
        return connect_streams(*streams, BothSides(), key="k").to_pylist()

    whole = out(left, right)
    assert len(whole) == 1200
    for n, m in ((1, 7), (100, 3), (499, 1), (13, 700)):
        assert out(left.to_batches(max_chunksize=n), right.to_batches(max_chunksize=m)) == whole
        assert out(iter(left.to_batches(max_chunksize=n)), right.to_reader(max_chunksize=m)) == whole
        assert out(left.to_pylist(), iter(right.to_pylist())) == whole


@pytest.mark.parametrize("empty", ["left", "right", "both"])
def test_an_empty_side(empty: str) -> None:
    schema = {"k": int, "t": int}

    def side(name: str) -> mt.Stream:
        rows = [] if empty in (name, "both") else [{"k": 1, "t": 5}, {"k": 2, "t": 6}]
        return mt.stream(rows, timestamp="t", schema=schema)

    class Timers(CoProcessFunction):
        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            ctx.register_event_time_timer(ctx.timestamp + 1)
            ctx.emit(x=f"{ctx.side} {key}")

        def on_timer(self, key: Any, fire_time_ms: int, ctx: Any) -> None:
            assert ctx.side is None
            ctx.emit(x=f"timer {key}")

    out = [r["x"] for r in connect_streams(side("left"), side("right"), Timers(), key="k").to_pylist()]
    if empty == "both":
        assert out == []
    else:
        full = "right" if empty == "left" else "left"
        # An input that has ended does not hold back the watermark.
        assert out == [f"{full} 1", f"{full} 2", "timer 1", "timer 2"]


def test_timers_are_one_set_for_both_sides() -> None:
    class Once(CoProcessFunction):
        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            ctx.register_event_time_timer(100)
            ctx.emit(timers=len(ctx.timers()), fired=0)

        def on_timer(self, key: Any, fire_time_ms: int, ctx: Any) -> None:
            ctx.emit(timers=0, fired=fire_time_ms)

    rows = [{"k": "č\0ž", "t": 1}]
    out = connect_streams(mt.stream(rows, timestamp="t"), mt.stream(rows, timestamp="t"), Once(), key="k")
    assert [tuple(r.values()) for r in out.to_pylist()] == [(1, 0), (1, 0), (0, 100)]


def test_composite_keys_of_other_names_and_string_kinds() -> None:
    left = pa.table({"a": pa.array(["x", "y"]).dictionary_encode(), "b": pa.array([1, 2], pa.int64())})
    right = pa.table({"c": pa.array(["y", "x"], pa.large_string()), "d": pa.array([2, 3], pa.int64())})
    seen: dict[Any, int] = {}

    def count(key: Any, batch: Any, row: int, ctx: Any) -> None:
        seen[key] = seen.get(key, 0) + 1

    connect_streams(mt.stream(left), mt.stream(right), count, key=(("a", "b"), ("c", "d"))).run()
    assert seen == {("x", 1): 1, ("y", 2): 2, ("x", 3): 1}


def test_keys_of_two_types_name_both_columns_and_types() -> None:
    left, right = mt.stream([{"id": 1}]), mt.stream([{"name": "x"}])
    with pytest.raises(mt.KeyTypeError) as caught:
        connect_streams(left, right, Suspicious(), key=("id", "name")).run()
    for part in ("'id'", "int64", "'name'", "utf8", "Suspicious"):
        assert part in str(caught.value)


def test_a_failure_says_which_side() -> None:
    class Fails(CoProcessFunction):
        def on_left(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            pass

        def on_right(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        connect_streams(clicks(), flags(), Fails(), key=("user", "who")).run()
    assert caught.value.__notes__ == ["in operator 'Fails', right record 0, key 'ann'"]
    with pytest.raises(mt.MissingColumnError) as missing:
        connect_streams(clicks(), flags(), lambda key, batch, row, ctx: batch["page"], key=("user", "who")).run()
    assert (missing.value.record, missing.value.key) == (0, "'ann'")


def test_policies_late_nulls_and_errors(caplog: pytest.LogCaptureFixture) -> None:
    left = [{"k": 1, "t": 10}, {"k": None, "t": 11}, {"k": 1, "t": 12}]
    right = [{"k": 1, "u": 5, "t": 10}, {"k": 1, "u": 6, "t": 50}, {"k": 1, "u": 7, "t": 3}]

    def fn(key: Any, batch: Any, row: int, ctx: Any) -> None:
        if ctx.side == "right" and batch["u"] == 5:
            raise ValueError("five")
        ctx.emit(side=ctx.side, late=ctx.is_late)

    config = mt.Config(on_error="dead_letter", null_keys="dead_letter")
    streams = mt.stream(left, timestamp="t"), mt.stream(right, timestamp="t")
    out = connect_streams(*streams, fn, key="k", config=config)
    errors = out.side_output("errors")
    assert out.to_pylist() == [
        {"side": "left", "late": False},
        {"side": "left", "late": False},
        {"side": "right", "late": False},
        {"side": "right", "late": True},
    ]
    letters = errors.to_pylist()
    assert [(r["error_type"], r["record_number"], r["record"]) for r in letters] == [
        ("ValueError", 0, {"left": None, "right": {"k": 1, "u": 5, "t": 10}}),
        ("NullKeyError", 1, {"left": {"k": None, "t": 11}, "right": None}),
    ]
    assert "in operator 'fn', right record 0, key 1" in caplog.text
    config = mt.Config(late="side_output", on_error="skip", null_keys="drop")
    late = connect_streams(*streams, fn, key="k", config=config).side_output("late")
    assert late.to_pylist() == [{"left": None, "right": {"k": 1, "u": 7, "t": 3}}]
    report = connect_streams(*streams, fn, key="k", config=mt.Config(on_error="skip", null_keys="drop")).run()
    assert (report.errors, report.null_keys, report.late, report.records_in) == (1, 1, 1, 6)


def test_misuse() -> None:
    left, right = clicks(), flags()

    class OneSide:
        def on_left(self, key: Any, batch: Any, row: int, ctx: Any) -> None: ...

    class All(OneSide):
        def on_right(self, key: Any, batch: Any, row: int, ctx: Any) -> None: ...
        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None: ...

    class Nothing(CoProcessFunction):
        pass

    class Batches(Suspicious):
        def on_batch(self, key: Any, batch: Any, ctx: Any) -> None: ...

    class Plain(mt.ProcessFunction):
        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None: ...

    key: Any = ("user", "who")
    for fn, words in (
        (OneSide(), "OneSide defines on_left and no on_right"),
        (All(), "define on_event for the records of both sides, or the other two"),
        (Nothing(), "neither on_left and on_right nor on_event"),
        (Batches(), "on_batch, which nothing calls; the methods of a CoProcessFunction are open, on_event, on_left"),
        (Suspicious, "is a class"),
        (3, "a function over two streams is an object with on_left and on_right"),
    ):
        with pytest.raises(mt.ConfigError, match=words):
            connect_streams(left, right, fn, key=key)
    assert connect_streams(left, right, Plain(), key=key).run().records_in == 6
    with pytest.raises(mt.ConfigError, match="CoProcessFunction; it belongs to connect_streams"):
        left.key_by("user").process(Suspicious())
    with pytest.raises(mt.ConfigError, match=r"on_left, which nothing calls.*connect_streams"):
        left.key_by("user").process(All())
    for bad, words in (
        (None, "the left stream has no key"),
        (["a", "b", "c"], "a pair"),
        (3, "a pair"),
        (("user", ()), "at least one column"),
        ((("user", "page"), "who"), "the left key has 2 columns"),
    ):
        with pytest.raises(mt.ConfigError, match=words):
            connect_streams(left, right, Suspicious(), key=bad)
    with pytest.raises(mt.ConfigError, match="keyed by user already"):
        connect_streams(left.key_by("user"), right, Suspicious(), key=key)
    with pytest.raises(mt.ConfigError, match=r"use \.key_by"):
        left.key_by("user").connect(right)  # type: ignore[call-overload]
    with pytest.raises(mt.ConfigError, match="key both streams"):
        left.connect(right)  # type: ignore[arg-type]
    with pytest.raises(mt.ConfigError, match="expected a stream, got list"):
        connect_streams(left, CLICKS, Suspicious(), key=key)  # type: ignore[arg-type]
    with pytest.raises(mt.ConfigError, match="only a function over a broadcast"):
        connect_streams(left, right, Suspicious(), mt.BroadcastState("x"), key=key)


def test_streams_of_different_configs() -> None:
    one = clicks().key_by("user").process(lambda key, batch, row, ctx: ctx.emit(batch), config=mt.Config(late="drop"))
    two = flags().key_by("who").process(lambda key, batch, row, ctx: ctx.emit(batch), config=mt.Config(name="x"))
    with pytest.raises(mt.ConfigError, match="one job has one config"):
        connect_streams(one, two, Suspicious(), key=("user", "who"))
    with pytest.raises(mt.ConfigError, match="one job has one config"):
        connect_streams(one, flags(), Suspicious(), key=("user", "who"), config=mt.Config())
    assert connect_streams(one, flags(), Suspicious(), key=("user", "who")).to_pylist() == EXPECTED


# ---- live inputs -----------------------------------------------------------------------------------------


def test_a_live_side_that_waits_does_not_hold_up_the_other() -> None:
    release = threading.Event()
    arrived: list[Any] = []

    def slow() -> Iterator[dict[str, Any]]:
        yield {"k": 0, "x": "first"}
        assert release.wait(30)
        yield {"k": 0, "x": "last"}

    def quick() -> Iterator[dict[str, Any]]:
        for i in range(200):
            yield {"k": i, "x": "quick"}

    def fn(key: Any, batch: Any, row: int, ctx: Any) -> None:
        arrived.append(batch["x"])
        if arrived.count("quick") == 200:
            release.set()

    connect_streams(mt.stream(slow()), mt.stream(quick()), fn, key="k").run()
    assert arrived[-1] == "last"
    assert sorted(arrived) == ["first", "last", *["quick"] * 200]


def test_results_of_live_inputs_come_as_they_arrive() -> None:
    sent = threading.Event()

    def left() -> Iterator[dict[str, Any]]:
        for i in range(5):
            yield {"k": i}

    def right() -> Iterator[dict[str, Any]]:
        assert sent.wait(30)
        yield {"k": -1}

    out = connect_streams(mt.stream(left()), mt.stream(right()), lambda k, batch, row, ctx: ctx.emit(batch), key="k")
    seen = []
    for batch in out:
        seen += batch.to_pydict()["k"]
        if len(seen) == 5:
            sent.set()
    assert seen == [0, 1, 2, 3, 4, -1]


def test_an_idle_side_does_not_hold_back_the_watermark() -> None:
    release = threading.Event()

    def silent() -> Iterator[dict[str, Any]]:
        yield {"k": 1, "t": 0}
        assert release.wait(30)

    def talking() -> Iterator[dict[str, Any]]:
        yield {"k": 1, "t": 100}
        assert release.wait(30)

    class Timer(CoProcessFunction):
        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            if ctx.side == "right":
                ctx.register_event_time_timer(50)

        def on_timer(self, key: Any, fire_time_ms: int, ctx: Any) -> None:
            ctx.emit(at=fire_time_ms, watermark=ctx.watermark)
            release.set()

    left = mt.stream(silent(), timestamp="t", idle_timeout="50ms")
    right = mt.stream(talking(), timestamp="t")
    assert connect_streams(left, right, Timer(), key="k").to_pylist() == [{"at": 50, "watermark": 99}]


def test_a_failing_live_source() -> None:
    def fails() -> Iterator[dict[str, Any]]:
        yield {"k": 1}
        raise ValueError("source")

    def endless() -> Iterator[dict[str, Any]]:
        while True:
            yield {"k": 2}

    out = connect_streams(mt.stream(fails(), name="bad"), mt.stream(endless()), lambda *args: None, key="k")
    with pytest.raises(ValueError, match="source") as caught:
        out.run()
    assert "in stream 'bad', record 1" in caught.value.__notes__


def test_a_failing_source_is_not_taken_for_a_forgiven_failure() -> None:
    begun = threading.Event()

    def fails() -> Iterator[dict[str, Any]]:
        yield {"k": 1}
        begun.set()
        raise ValueError("source")

    def others() -> Iterator[dict[str, Any]]:
        assert begun.wait(30)
        for i in range(50):
            yield {"k": i}

    def fn(key: Any, batch: Any, row: int, ctx: Any) -> None:
        raise KeyError("forgiven")

    with pytest.raises(ValueError, match="source"):
        connect_streams(mt.stream(fails()), mt.stream(others()), fn, key="k", config=mt.Config(on_error="skip")).run()


def test_options_of_a_source() -> None:
    for options, words in (
        ({"bounded": 1}, "bounded=1 is not allowed"),
        ({"idle_timeout": "5 parsecs"}, "idle_timeout='5 parsecs' is no duration"),
        ({"idle_timeout": 0}, "out of range"),
        ({"idle_timeout": -1}, "out of range"),
        ({"idle_timeout": "5s", "bounded": True}, "bounded=False"),
    ):
        with pytest.raises(mt.ConfigError, match=words):
            mt.stream(iter([{"k": 1}]), **options)  # type: ignore[arg-type]
    with pytest.raises(mt.ConfigError, match="a list, is bounded"):
        mt.stream([{"k": 1}], idle_timeout="5s")
    assert mt.stream([{"k": 1}], idle_timeout="5s", bounded=False).to_pylist() == [{"k": 1}]
    with pytest.raises(mt.ConfigError, match="a stream already"):
        mt.stream(clicks().broadcast())
