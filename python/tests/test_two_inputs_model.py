"""Random programs over two inputs against a naive model: merging, watermarks, states, timers, broadcast rules; for any
chunking of both inputs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import martlet as mt
from martlet import connect_streams

pa = pytest.importorskip("pyarrow")

MIN, MAX = -(2**63), 2**63 - 1
SCHEMA = pa.schema([("k", pa.int64()), ("t", pa.int64()), ("op", pa.string()), ("n", pa.int64())])
OUTPUT = {"what": str, "key": int, "value": str, "at": int, "watermark": int, "late": bool}

Row = dict[str, Any]


class Model:
    """The two inputs as lists, state as dicts. `broadcast`: the right side has no key and goes first among equals."""

    def __init__(self, left: list[Row], right: list[Row], lags: tuple[int, int], broadcast: bool) -> None:
        self.sides = {"left": left, "right": right}
        self.first = "right" if broadcast else "left"
        self.broadcast = broadcast
        self.lags = dict(zip(self.sides, lags, strict=True))
        self.marks = {side: MIN for side, rows in self.sides.items() if rows}
        self.turn = self.first
        self.watermark = MIN
        self.sums: dict[int, int] = {}
        self.rules: dict[int, int] = {}
        self.timers: dict[tuple[int, int], int] = {}
        self.out: list[Row] = []

    def run(self) -> list[Row]:
        at = dict.fromkeys(self.sides, 0)
        while left := {side: rows[at[side] :] for side, rows in self.sides.items() if at[side] < len(rows)}:
            side = self.next_side({side: rows[0]["t"] for side, rows in left.items()})
            at[side] += 1
            time = left[side][0]["t"]
            self.record(side, left[side][0])
            if time is not None:
                self.marks[side] = max(self.marks[side], time - self.lags[side] - 1)
            self.advance(min(self.marks.values()))
            if len(left[side]) == 1:  # an input that has ended holds nothing back
                del self.marks[side]
                if self.marks:
                    self.advance(min(self.marks.values()))
        self.advance(MAX)
        return self.out

    def next_side(self, heads: dict[str, int | None]) -> str:
        """What has no time goes at once, in turns if both have none; otherwise the smaller time."""
        if len(heads) == 2 and set(heads.values()) == {None}:
            side, self.turn = self.turn, "left" if self.turn == "right" else "right"
            return side
        return min(heads, key=lambda one: (MIN if heads[one] is None else heads[one], one != self.first))

    def advance(self, watermark: int) -> None:
        if watermark <= self.watermark:
            return
        self.watermark = watermark
        for time, key in sorted(timer for timer in self.timers if timer[0] <= watermark):
            del self.timers[time, key]
            self.emit("timer", key, self.sums.get(key), time, False)

    def emit(self, what: str, key: int | None, value: Any, at: int | None, late: bool) -> None:
        watermark = self.watermark
        self.out.append(
            {"what": what, "key": key, "value": repr(value), "at": at, "watermark": watermark, "late": late}
        )

    def record(self, side: str, row: Row) -> None:
        key, time, op, n = row["k"], row["t"], row["op"], row["n"]
        late = time is not None and time <= self.watermark
        if self.broadcast and side == "right":
            if op == "add":
                self.rules[key] = n
            elif op == "timer":
                self.rules.pop(key, None)
            elif op == "clear":
                self.rules.clear()
            for one in sorted(self.sums) if op == "read" else []:
                self.emit("apply", one, self.sums[one], time, late)
                self.sums[one] += 1
            return
        if op == "add":
            self.sums[key] = self.sums.get(key, 0) + n
        elif op == "timer":
            self.timers[(time or 0) + n, key] = 0
        elif op == "clear":
            self.sums.pop(key, None)
        self.emit(side, key, (self.sums.get(key), sorted(self.rules.items())), time, late)


class Interpreter(mt.BroadcastProcessFunction):
    """Does what the record says. Over two streams `on_both` is its function."""

    sums = mt.ValueState("sums", int)

    def __init__(self) -> None:
        self.rules = mt.BroadcastState("rules", int, int)

    def emit(self, ctx: mt.Context, what: str, key: Any, value: Any) -> None:
        ctx.emit(
            what=what, key=key, value=repr(value), at=ctx.timestamp, watermark=ctx.watermark, late=bool(ctx.is_late)
        )

    def do(self, key: Any, batch: mt.Record, ctx: mt.Context, rules: list[Any]) -> None:
        n = batch["n"]
        match batch["op"]:
            case "add":
                self.sums.set((self.sums.get() or 0) + n)
            case "timer":
                ctx.register_event_time_timer((batch["t"] or 0) + n)
            case "clear":
                self.sums.clear()
        self.emit(ctx, str(ctx.side), key, (self.sums.get(), rules))

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.do(key, batch, ctx, self.rules.items())

    def on_broadcast(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        match batch["op"]:
            case "add":
                self.rules.put(batch["k"], batch["n"])
            case "timer":
                self.rules.remove(batch["k"])
            case "clear":
                self.rules.clear()
            case "read":
                ctx.apply_to_keyed_state(self.sums, lambda key, state: self.visit(ctx, key, state))

    def visit(self, ctx: mt.Context, key: Any, state: Any) -> None:
        self.emit(ctx, "apply", key, state.get())
        state.set(state.get() + 1)

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        ctx.emit(
            what="timer", key=key, value=repr(self.sums.get()), at=ctx.timestamp, watermark=ctx.watermark, late=False
        )


class Connected(mt.CoProcessFunction):
    sums = mt.ValueState("sums", int)
    emit, do, on_timer = Interpreter.emit, Interpreter.do, Interpreter.on_timer

    def on_left(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.do(key, batch, ctx, [])

    on_right = on_left


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "k": st.integers(-1, 2),
            "t": st.integers(0, 30) | st.none(),
            "op": st.sampled_from(["add", "add", "timer", "timer", "read", "clear"]),
            "n": st.integers(-5, 12),
        }
    ),
    max_size=20,
)
CUTS = st.lists(st.integers(0, 6), min_size=1, max_size=12)


def cut(rows: list[Row], lengths: list[int]) -> list[Any]:
    """Batches of these lengths, over and over; empty ones among them."""
    table, batches, start = pa.RecordBatch.from_pylist(rows, schema=SCHEMA), [], 0
    while start < len(rows):
        for length in [*lengths, 1]:
            batches.append(table.slice(start, length))
            start += length
    return batches or [table]


def result(left: Any, right: Any, lags: tuple[int, int], broadcast: bool, parallelism: int = 1) -> list[Row]:
    one = mt.stream(left, timestamp="t", watermark=lags[0], bounded=True)
    other = mt.stream(right, timestamp="t", watermark=lags[1], bounded=True)
    config = mt.Config(null_timestamps="process", parallelism=parallelism)
    if broadcast:
        fn = Interpreter()
        out = one.key_by("k").connect(other.broadcast(fn.rules)).process(fn, output=OUTPUT, config=config)
    else:
        out = connect_streams(one, other, Connected(), key="k", output=OUTPUT, config=config)
    return out.to_pylist()


@pytest.mark.parametrize("broadcast", [False, True], ids=["connect", "broadcast"])
@settings(deadline=None, max_examples=150)
@given(ROWS, ROWS, st.tuples(st.integers(0, 8), st.integers(0, 8)), CUTS, CUTS)
def test_two_inputs(
    broadcast: bool, left: list[Row], right: list[Row], lags: tuple[int, int], cuts: list[int], others: list[int]
) -> None:
    expected = Model(left, right, lags, broadcast).run()
    assert result(cut(left, [len(left)]), cut(right, [len(right)]), lags, broadcast) == expected
    assert result(cut(left, cuts), cut(right, others), lags, broadcast) == expected
    assert result(iter(cut(left, [0])), iter(cut(right, cuts)), lags, broadcast) == expected


@pytest.mark.parametrize("broadcast", [False, True], ids=["connect", "broadcast"])
@settings(deadline=None, max_examples=6)
@given(ROWS, ROWS, st.tuples(st.integers(0, 8), st.integers(0, 8)), CUTS, st.sampled_from([2, 3, 7]))
def test_two_inputs_in_workers(
    broadcast: bool, left: list[Row], right: list[Row], lags: tuple[int, int], cuts: list[int], parallelism: int
) -> None:
    expected = Model(left, right, lags, broadcast).run()
    assert result(cut(left, cuts), cut(right, cuts), lags, broadcast, parallelism) == expected
