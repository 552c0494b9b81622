"""Whole programs of Flink's Python suite (test_data_stream.py) through the public API, on one and on two instances.

The numbers are those of the conformance list. At the end the places where two streams meet at one time.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import martlet as mt

PARALLEL = pytest.mark.parametrize("parallelism", [1, 2])


def records(columns: str, *rows: tuple[Any, ...]) -> list[dict[str, Any]]:
    return [dict(zip(columns.split(), row, strict=True)) for row in rows]


def column(out: mt.Stream, name: str = "out") -> list[Any]:
    return [row[name] for row in out.to_pylist()]


# ---- K1: two keyed inputs ----------------------------------------------------------------------------


class K1(mt.CoProcessFunction):
    count = mt.ValueState("count", int, default=0)

    def __init__(self) -> None:
        self.has_registered = False

    def on_left(self, key: str, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        if not self.has_registered:
            self.has_registered = True
            ctx.register_event_time_timer(3)
        self.on_right(key, batch, row, ctx)

    def on_right(self, key: str, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.count.set(self.count.get() + 1)
        ctx.emit(name=key, n=self.count.get(), instance=ctx.instance, side=ctx.side)

    def on_timer(self, key: str, fire_time_ms: int, ctx: mt.Context) -> None:
        ctx.emit(name="on_timer", n=fire_time_ms, instance=ctx.instance, side="none")


def plus_one(key: str, batch: mt.Record, row: int, ctx: mt.Context) -> None:
    ctx.emit(batch, n=batch["n"] + 1)


@PARALLEL
@pytest.mark.parametrize("form", ["function", "method"])
def test_k1_keyed_co_process(parallelism: int, form: str) -> None:
    left = mt.stream(records("f0 f1", ("a", 1), ("b", 2), ("c", 3)), timestamp="f1", watermark=0)
    right = mt.stream(records("f0 f1", ("b", 2), ("c", 3), ("d", 4)), timestamp="f1", watermark=0)
    config = mt.Config(parallelism=parallelism)
    if form == "function":
        counted = mt.connect_streams(left, right, K1(), key="f0", config=config)
    else:
        counted = left.key_by("f0").connect(right.key_by("f0")).process(K1(), config=config)
    rows = counted.key_by("name").process(plus_one).to_pylist()
    counts = sorted((row["name"], row["n"]) for row in rows if row["name"] != "on_timer")
    assert counts == [("a", 2), ("b", 2), ("b", 3), ("c", 2), ("c", 3), ("d", 2)]
    # The first record of an instance registers a timer, so there is one for each instance that has some.
    timers = [(row["instance"], row["n"]) for row in rows if row["name"] == "on_timer"]
    assert sorted(timers) == [(i, 4) for i in sorted({row["instance"] for row in rows if row["side"] == "left"})]
    assert parallelism > 1 or timers == [(0, 4)]


# ---- K2, K3: a broadcast -----------------------------------------------------------------------------

RULES = mt.BroadcastState("rules", int, str)


class K2(mt.BroadcastProcessFunction):
    """Applies the rule of its kind to each record; keeps records for which there is none until it comes."""

    rules = RULES

    def __init__(self) -> None:
        self.cache: dict[int, list[str]] = {}

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        v = batch["v"]
        rule = self.rules.get(v % 2)
        if rule is None:
            self.cache.setdefault(v % 2, []).append(self.text(v, ctx))
        else:
            self.flush(v % 2, rule, ctx)
            ctx.emit(out=rule + self.text(v, ctx))

    def on_broadcast(self, key: None, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        kind, rule = batch["kind"], batch["rule"]
        ctx.emit(out=f"{kind}{self.text(rule, ctx)}")
        self.rules.put(kind, rule)
        self.flush(kind, rule, ctx)

    def flush(self, kind: int, rule: str, ctx: mt.Context) -> None:
        for text in self.cache.pop(kind, []):
            ctx.emit(out=rule + text)

    def text(self, value: Any, ctx: mt.Context) -> str:
        return f"{value}"


K2_RULES = records("kind rule", (0, "a"), (1, "b"))
K2_APPLIED = ["a2", "a4", "b1", "b3", "b5"]


def per_instance(broadcast: list[Any], parallelism: int) -> list[Any]:
    """What comes from every instance."""
    return [text for text in broadcast for _ in range(parallelism)]


@PARALLEL
@pytest.mark.parametrize("form", ["function", "method"])
def test_k2_co_broadcast_process(parallelism: int, form: str) -> None:
    elements = mt.stream(records("v", (1,), (2,), (3,), (4,), (5,)))
    rules = mt.stream(K2_RULES).broadcast(RULES)
    config = mt.Config(parallelism=parallelism)
    if form == "function":
        out = mt.broadcast_stream(elements, rules, K2(), config=config)
    else:
        out = elements.connect(rules).process(K2(), config=config)
    assert sorted(column(out)) == sorted(per_instance(["0a", "1b"], parallelism) + K2_APPLIED)


@PARALLEL
@pytest.mark.parametrize("times", [(0, 0), (1, 2), (2, 4), (3, 3), (5, 9), (9, 9)])
def test_k2_wherever_the_rules_come(parallelism: int, times: tuple[int, int]) -> None:
    elements = mt.stream(records("v", (1,), (2,), (3,), (4,), (5,)), timestamp="v", watermark=0)
    rules = [{**rule, "since": time} for rule, time in zip(K2_RULES, times, strict=True)]
    broadcast = mt.stream(rules, timestamp="since", watermark=0).broadcast(RULES)
    out = mt.broadcast_stream(elements, broadcast, K2(), config=mt.Config(parallelism=parallelism))
    assert sorted(column(out)) == sorted(per_instance(["0a", "1b"], parallelism) + K2_APPLIED)


BASE = 1603708000000


class K3(K2):
    def on_event(self, key: int, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        assert key == batch["v"]
        super().on_event(key, batch, row, ctx)
        ctx.register_event_time_timer(ctx.timestamp + 10_000)

    def on_timer(self, key: int, fire_time_ms: int, ctx: mt.Context) -> None:
        ctx.emit(out=self.text(key, ctx))

    def text(self, value: Any, ctx: mt.Context) -> str:
        return f"{value}@{ctx.timestamp - BASE}"


@PARALLEL
def test_k3_keyed_co_broadcast_process(parallelism: int) -> None:
    elements = records("v ts", *((i, BASE + 211_000 + 1000 * (i - 1)) for i in range(1, 5)))
    rules = records("kind ts rule", (0, BASE + 215_000, "a"), (1, BASE + 215_000, "b"))
    out = mt.broadcast_stream(
        mt.stream(elements, timestamp="ts", watermark=0),
        mt.stream(rules, timestamp="ts", watermark=0).broadcast(RULES),
        K3(),
        key="v",
        config=mt.Config(parallelism=parallelism),
    )
    applied = ["b1@211000", "a2@212000", "b3@213000", "a4@214000"]
    fired = ["1@221000", "2@222000", "3@223000", "4@224000"]
    rows = column(out)
    assert sorted(rows) == sorted(per_instance(["0a@215000", "1b@215000"], parallelism) + applied + fired)
    assert rows[-4:] == fired


# ---- K4 to K6: side outputs --------------------------------------------------------------------------


def k4(key: str, batch: mt.Record, row: int, ctx: mt.Context) -> None:
    ctx.emit(out=batch["f0"])
    ctx.emit_to("side1", out=batch["f1"])
    ctx.emit_to("side2", out=f"{batch['f0']}{batch['f1']}")


def incremented(key: int, batch: mt.Record, row: int, ctx: mt.Context) -> None:
    ctx.emit(out=batch["out"] + 1)


@PARALLEL
def test_k4_side_outputs(parallelism: int) -> None:
    elements = mt.stream(records("f0 f1", ("a", 0), ("b", 1), ("c", 2)))
    main = mt.apply_process_function(elements, "f0", k4, config=mt.Config(parallelism=parallelism))
    side1, side2 = main.side_output("side1"), main.side_output("side2")
    mapped = side1.key_by("out").process(incremented)
    assert column(main) == ["a", "b", "c"]
    assert column(side1) == [0, 1, 2]
    assert column(mapped) == [1, 2, 3]
    assert column(side2) == ["a0", "b1", "c2"]


class K5(mt.CoProcessFunction):
    def on_left(self, key: str, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(out=batch["f0"])
        ctx.emit_to("side", out=batch["f1"])

    def on_right(self, key: str, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(out=batch["f1"])
        ctx.emit_to("side", out=batch["f0"])


@PARALLEL
def test_k5_side_output_of_a_co_process_function(parallelism: int) -> None:
    left = mt.stream(records("f0 f1", ("a", 0), ("b", 1), ("c", 2)))
    right = mt.stream(records("f0 f1", (3, "c"), (1, "a"), (0, "d")))
    main = mt.connect_streams(left, right, K5(), key=("f0", "f1"), config=mt.Config(parallelism=parallelism))
    side = main.side_output("side")
    assert sorted(column(main)) == ["a", "a", "b", "c", "c", "d"]
    assert sorted(column(side)) == [0, 0, 1, 1, 2, 3]


class K6(mt.BroadcastProcessFunction):
    rules = RULES

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(out=batch["f0"])
        ctx.emit_to("side", out=batch["f1"])

    def on_broadcast(self, key: None, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(out=batch["f1"])
        ctx.emit_to("side", out=batch["f0"])


@PARALLEL
@pytest.mark.parametrize("key", [None, "f0"], ids=["no_key", "keyed"])
def test_k6_side_output_of_a_broadcast(parallelism: int, key: str | None) -> None:
    elements = mt.stream(records("f0 f1", ("a", 0), ("b", 1), ("c", 2)))
    broadcast = mt.stream(records("f0 f1", (3, "d"), (4, "f"))).broadcast(RULES)
    main = mt.broadcast_stream(elements, broadcast, K6(), key=key, config=mt.Config(parallelism=parallelism))
    side = main.side_output("side")
    assert sorted(column(main)) == ["a", "b", "c", *per_instance(["d", "f"], parallelism)]
    assert sorted(column(side)) == [0, 1, 2, *per_instance([3, 4], parallelism)]


# ---- K14, K15: errors and timestamps -----------------------------------------------------------------


@PARALLEL
def test_k14_the_error_reaches_the_caller(parallelism: int) -> None:
    def failing(key: str, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        raise ValueError("flat_map_func error")

    elements = mt.stream(records("f0 f1", ("a", 0), ("b", 1)))
    out = mt.apply_process_function(elements, "f0", failing, config=mt.Config(parallelism=parallelism))
    with pytest.raises(ValueError, match=r"^flat_map_func error") as raised:
        out.to_pylist()
    assert type(raised.value) is ValueError
    assert any("failing" in note and "a" in note for note in raised.value.__notes__)


@PARALLEL
def test_k15_timestamps(parallelism: int) -> None:
    times = [1603708211000, 1603708224000, 1603708226000, 1603708289000]

    def on_event(key: int, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        assert ctx.timestamp == int(batch["ts"])
        ctx.emit(out=ctx.timestamp)

    elements = mt.stream(records("v ts", *enumerate(times, start=1)), timestamp="ts", watermark=0)
    out = mt.apply_process_function(elements, "v", on_event, config=mt.Config(parallelism=parallelism))
    assert column(out) == times


# ---- where two streams meet at one time ---------------------------------------------------------------

TIMES = [(left, right) for left in ([1], [2], [1, 2, 2, 3]) for right in ([1], [2, 2], [0, 1, 3, 3, 4])]


def in_pieces(rows: list[dict[str, Any]], size: int) -> Any:
    """The rows as a table of batches of `size` rows."""
    pa = pytest.importorskip("pyarrow")
    return pa.Table.from_batches(pa.Table.from_pylist(rows).to_batches(max_chunksize=size))


def both(left: list[int], right: list[int], first: str, second: str) -> tuple[list[Any], list[Any], list[str]]:
    """Rows of both sides, and the texts of their calls merged by time, `first` before `second` at one time."""
    rows = {
        side: records("k ts v", *(("x", time, f"{side}{i}@{time}") for i, time in enumerate(times)))
        for side, times in ((first, left), (second, right))
    }
    merged = sorted(rows[first] + rows[second], key=lambda row: row["ts"])  # stable: the first side first
    return rows[first], rows[second], [row["v"] for row in merged]


class Sides(mt.CoProcessFunction):
    def on_event(self, key: str, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        assert ctx.side == batch["v"].rstrip("@0123456789")
        ctx.emit(out=batch["v"])


@PARALLEL
@pytest.mark.parametrize("sizes", [*itertools.product([1, 2, 10], repeat=2)], ids=str)
def test_left_comes_first_at_one_time(parallelism: int, sizes: tuple[int, int]) -> None:
    for left_times, right_times in TIMES:
        left, right, expected = both(left_times, right_times, "left", "right")
        out = mt.connect_streams(
            mt.stream(in_pieces(left, sizes[0]), timestamp="ts", watermark=0),
            mt.stream(in_pieces(right, sizes[1]), timestamp="ts", watermark=0),
            Sides(),
            key="k",
            config=mt.Config(parallelism=parallelism),
        )
        assert column(out) == expected, (left_times, right_times)


class Latest(mt.BroadcastProcessFunction):
    rules = RULES

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(out=f"{batch['v']} after {','.join(self.rules.values())}")

    def on_broadcast(self, key: None, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.rules.put(self.rules.len(), batch["v"])


@PARALLEL
@pytest.mark.parametrize("key", [None, "k"], ids=["no_key", "keyed"])
@pytest.mark.parametrize("sizes", [*itertools.product([1, 2, 10], repeat=2)], ids=str)
def test_the_broadcast_comes_first_at_one_time(parallelism: int, key: str | None, sizes: tuple[int, int]) -> None:
    for rule_times, times in TIMES:
        rules, elements, calls = both(rule_times, times, "rule", "event")
        expected, seen = [], list[str]()
        for call in calls:
            if call.startswith("rule"):
                seen.append(call)
            else:
                expected.append(f"{call} after {','.join(seen)}")
        out = mt.broadcast_stream(
            mt.stream(in_pieces(elements, sizes[0]), timestamp="ts", watermark=0),
            mt.stream(in_pieces(rules, sizes[1]), timestamp="ts", watermark=0).broadcast(RULES),
            Latest(),
            key=key,
            config=mt.Config(parallelism=parallelism),
        )
        assert column(out) == expected, (rule_times, times)


@PARALLEL
@pytest.mark.parametrize("timestamp", [None, "ts"])
def test_a_bounded_broadcast_without_timestamps_is_read_first(parallelism: int, timestamp: str | None) -> None:
    elements = records("k ts v", *(("x", time, f"event@{time}") for time in range(3)))
    rules = records("v", *((f"rule{i}",) for i in range(20_000)))
    out = mt.broadcast_stream(
        mt.stream(elements, timestamp=timestamp),
        mt.stream(rules).broadcast(RULES),
        Latest(),
        key="k",
        config=mt.Config(parallelism=parallelism),
    )
    everything = ",".join(f"rule{i}" for i in range(20_000))
    assert column(out) == [f"event@{time} after {everything}" for time in range(3)]
