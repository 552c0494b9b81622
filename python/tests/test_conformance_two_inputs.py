"""Cases of Flink's suites for functions of two inputs, through the harness; numbered as in the conformance list.

KeyedCoProcessOperatorTest (B), CoBroadcastWithKeyedOperatorTest (C), CoBroadcastWithNonKeyedOperatorTest (D).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from script import MAX, MIN
from two_inputs import TwoInputs

import martlet as mt
from martlet.testing import Harness

SNAPSHOTS = pytest.mark.parametrize("snapshots", [False, True], ids=["straight", "snapshot_between_steps"])


def time_of(ctx: mt.Context) -> str:
    return "null" if ctx.timestamp is None else str(ctx.timestamp)


def with_snapshots(steps: str, snapshots: bool) -> str:
    return steps.replace(";", "; SNAP;") if snapshots else steps


# ---- B: two keyed inputs ----------------------------------------------------------------------------


class B1(mt.CoProcessFunction):
    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        assert ctx.side == ("left" if isinstance(batch["v"], int) else "right")
        ctx.emit(out=f"{batch['v']}WM:{ctx.watermark} TS:{time_of(ctx)}")


class B2(mt.CoProcessFunction):
    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(out=f"{batch['v']}PT:{ctx.processing_time} TS:{time_of(ctx)}")


class B3(mt.CoProcessFunction):
    def on_left(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(out=f"INPUT1:{batch['v']}")
        self.register(ctx, 5)

    def on_right(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(out=f"INPUT2:{batch['v']}")
        self.register(ctx, 6)

    def register(self, ctx: mt.Context, time_ms: int) -> None:
        ctx.register_event_time_timer(time_ms)

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        assert ctx.timer_domain == "event" and ctx.timestamp == fire_time_ms and ctx.key == key
        ctx.emit(out=f"{key}:1777")


class B4(B3):
    def register(self, ctx: mt.Context, time_ms: int) -> None:
        ctx.register_processing_time_timer(time_ms)

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        assert ctx.timer_domain == "processing" and ctx.timestamp is None
        ctx.emit(out=f"{key}:1777")


class B5(mt.CoProcessFunction):
    seen = mt.ValueState("seen", str)

    def on_left(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.handle(f"INPUT1:{batch['v']}", str(batch["v"]), ctx)

    def on_right(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.handle(f"INPUT2:{batch['v']}", batch["v"], ctx)

    def handle(self, text: str, value: str, ctx: mt.Context) -> None:
        if self.seen.get() is None:
            ctx.emit(out=text)
            self.seen.set(value)
            ctx.register_event_time_timer(ctx.watermark + 5)
        else:
            self.seen.clear()
            ctx.delete_event_time_timer(ctx.watermark + 4)

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        ctx.emit(out=f"STATE:{self.seen.get()}")


class B8(mt.CoProcessFunction):
    def on_left(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(out=f"{batch['v']},{ctx.key}")

    on_right = on_left


B_CASES: dict[str, tuple[Callable[[], Any], str, list[Any]]] = {
    "B1": (
        B1,
        "W1 17; W2 17; 1:5@12; W1 42; W2 42; 2:6@13",
        ["W 17", ("5WM:17 TS:12", 12), "W 42", ("6WM:42 TS:13", 13)],
    ),
    "B2": (B2, "PT 17; 1:5@-; PT 42; 2:6@-", [("5PT:17 TS:null", None), ("6PT:42 TS:null", None)]),
    "B3": (
        B3,
        "1:17@42; 2:18@42; W1 5; W2 5; W1 6; W2 6",
        [("INPUT1:17", 42), ("INPUT2:18", 42), ("17:1777", 5), "W 5", ("18:1777", 6), "W 6"],
    ),
    "B4": (
        B4,
        "1:17@-; 2:18@-; PT 5; PT 6",
        [("INPUT1:17", None), ("INPUT2:18", None), ("17:1777", None), ("18:1777", None)],
    ),
    "B5": (
        B5,
        "W1 1; W2 1; 1:17@0; 1:13@0; W1 2; W2 2; 1:13@1; 2:42@1; W1 6; W2 6; W1 7; W2 7",
        [
            "W 1",
            ("INPUT1:17", 0),
            ("INPUT1:13", 0),
            "W 2",
            ("INPUT2:42", 1),
            ("STATE:17", 6),
            "W 6",
            ("STATE:42", 7),
            "W 7",
        ],
    ),
    "B8": (
        B8,
        "1:5@-; 1:6@-; 2:hello@-; 2:world@-",
        [("5,5", None), ("6,6", None), ("hello,hello", None), ("world,world", None)],
    ),
    "B9, left only": (B3, "1:17@42; W1 17", [("INPUT1:17", 42)]),
    "B9, right only": (B3, "2:17@42; W2 17", [("INPUT2:17", 42)]),
}


@SNAPSHOTS
@pytest.mark.parametrize("case", B_CASES)
def test_b(case: str, snapshots: bool) -> None:
    fn, steps, expected = B_CASES[case]
    assert TwoInputs(fn, left=int).run(with_snapshots(steps, snapshots)) == expected


def test_b9_a_watermark_of_one_side_fires_nothing_until_the_other_follows() -> None:
    t = TwoInputs(B3, left=int)
    assert t.run("1:17@42; W1 17") == [("INPUT1:17", 42)]
    assert t.harness.watermark == MIN and len(t.harness.timers("17")) == 1
    t.out.clear()
    assert t.run("W2 4; W2 20") == ["W 4", ("17:1777", 5), "W 17"]


def test_both_inputs_share_a_timer_of_one_key_and_time() -> None:
    class Both(B3):
        def register(self, ctx: mt.Context, time_ms: int) -> None:
            ctx.register_event_time_timer(5)

    out = TwoInputs(Both, left=int).run("1:17@1; 2:17@2; W 5")
    assert out == [("INPUT1:17", 1), ("INPUT2:17", 2), ("17:1777", 5), "W 5"]


def test_the_end_of_both_inputs_fires_what_is_pending() -> None:
    out = TwoInputs(B3, left=int).run("1:17@1; 2:18@2; END")
    assert out == [("INPUT1:17", 1), ("INPUT2:18", 2), ("17:1777", 5), ("18:1777", 6), f"W {MAX}"]


# ---- C: a keyed input and a broadcast ----------------------------------------------------------------


class C1(mt.BroadcastProcessFunction):
    items = mt.ListState("items", str)
    rules = mt.BroadcastState("rules", str, int)

    def __init__(self) -> None:
        self.collected: dict[Any, list[str]] = {}

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.items.add(batch["v"])

    def on_broadcast(self, key: None, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        assert key is None

        def collect(key: Any, state: Any) -> None:
            assert key not in self.collected
            self.collected[key] = state.get()

        ctx.apply_to_keyed_state(self.items, collect)


def test_c1_apply_to_keyed_state() -> None:
    t = TwoInputs(C1, right=int)
    keyed = ["test1"] * 2 + ["test2"] * 3 + ["test3"] * 3 + ["test2"]
    t.run("; ".join(f"k:{key}@12" for key in keyed) + "; b:1@13")
    expected = {"test1": ["test1"] * 2, "test2": ["test2"] * 4, "test3": ["test3"] * 3}
    assert t.harness.fn.collected == expected


def test_c1_the_function_may_change_the_state_and_emit() -> None:
    class Clear(C1):
        def on_broadcast(self, key: None, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            def clear(key: Any, state: Any) -> None:
                ctx.emit(out=f"{key}:{len(state.get())}")
                state.clear()

            ctx.apply_to_keyed_state(self.items, clear)

    t = TwoInputs(Clear, right=int)
    out = t.run("k:b@1; k:a@2; k:a@3; b:1@4; b:2@5; k:a@6; b:3@7")
    assert sorted(out[:2]) == [("a:2", 4), ("b:1", 4)]
    assert out[2:] == [("a:1", 7)]
    assert t.harness.state("items", "a") is None


class C2(mt.BroadcastProcessFunction):
    rules = mt.BroadcastState("rules", str, int)

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.register_event_time_timer(41)
        self.tell("non-br-out", f"NON-BR:{batch['v']} WM:{ctx.watermark} TS:{time_of(ctx)}", ctx)

    def on_broadcast(self, key: None, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.tell("br-out", f"BR:{batch['v']} WM:{ctx.watermark} TS:{time_of(ctx)}", ctx)

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        assert key == "6" == ctx.key
        self.tell("timer-out", f"TIMER:{fire_time_ms}", ctx)

    def tell(self, tag: str, text: str, ctx: mt.Context) -> None:
        ctx.emit(out=text)


class C3(C2):
    def tell(self, tag: str, text: str, ctx: mt.Context) -> None:
        ctx.emit_to(tag, out=text)


C2_STEPS = "W 10; b:5@12; W 40; k:6@13; k:6@15; W 50"
C2_BROADCAST = [("BR:5 WM:10 TS:12", 12)]
C2_KEYED = [("NON-BR:6 WM:40 TS:13", 13), ("NON-BR:6 WM:40 TS:15", 15)]


@SNAPSHOTS
def test_c2_times_and_watermarks(snapshots: bool) -> None:
    expected = ["W 10", *C2_BROADCAST, "W 40", *C2_KEYED, ("TIMER:41", 41), "W 50"]
    assert TwoInputs(C2, right=int).run(with_snapshots(C2_STEPS, snapshots)) == expected


def test_c3_side_outputs() -> None:
    t = TwoInputs(C3, right=int)
    assert t.run(C2_STEPS) == ["W 10", "W 40", "W 50"]
    for tag, expected in (("br-out", C2_BROADCAST), ("non-br-out", C2_KEYED), ("timer-out", [("TIMER:41", 41)])):
        assert t.harness.side_output(tag, timestamps=True) == [({"out": text}, time) for text, time in expected]


class C4(mt.BroadcastProcessFunction):
    state = mt.BroadcastState("state", str, int)

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        assert dict(self.state.items()) == {f"{v}.key": v for v in (5, 34, 53, 12, 98)}
        ctx.register_event_time_timer(41)

    def on_broadcast(self, key: None, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.state.put(f"{batch['v']}.key", batch["v"])

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        entries = " ".join(f"{name}->{v}" for name, v in self.state.items())
        ctx.emit(out=f"TS:{fire_time_ms} {entries}")


@SNAPSHOTS
def test_c4_a_timer_sees_the_latest_broadcast_state(snapshots: bool) -> None:
    steps = "W 10; b:5@10; b:34@12; b:53@15; b:12@16; b:98@19; k:trigger@13; b:51@21; W 50"
    entries = "12.key->12 34.key->34 5.key->5 51.key->51 53.key->53 98.key->98"  # iteration is in key order
    expected = ["W 10", (f"TS:41 {entries}", 41), "W 50"]
    assert TwoInputs(C4, right=int).run(with_snapshots(steps, snapshots)) == expected


class OnBroadcast(mt.BroadcastProcessFunction):
    """Does `body(self, ctx)` in the broadcast callback."""

    value = mt.ValueState("value", int)
    rules = mt.BroadcastState("rules", str, int)

    def __init__(self, body: Callable[[Any, mt.Context], Any]) -> None:
        self.body = body

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.value.set(1)

    def on_broadcast(self, key: None, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.body(self, ctx)


FORBIDDEN: dict[str, Callable[[Any, mt.Context], Any]] = {
    "C7 read": lambda fn, ctx: fn.value.get(),
    "C7 write": lambda fn, ctx: fn.value.set(2),
    "C7 clear": lambda fn, ctx: fn.value.clear(),
    "C10 event time": lambda fn, ctx: ctx.register_event_time_timer(5),
    "C10 processing time": lambda fn, ctx: ctx.register_processing_time_timer(5),
    "C10 delete": lambda fn, ctx: ctx.delete_event_time_timer(5),
    "C10 list": lambda fn, ctx: ctx.timers(),
}


@pytest.mark.parametrize("case", FORBIDDEN)
def test_c7_c10_there_is_no_key_in_the_broadcast_callback(case: str) -> None:
    t = TwoInputs(lambda: OnBroadcast(FORBIDDEN[case]), right=int)
    t.run("k:a@1")
    with pytest.raises(mt.MartletError, match="key") as raised:
        t.run("b:1@2")
    assert isinstance(raised.value, (mt.StateAccessError, mt.TimerError))
    assert t.harness.state("value", "a") == 1
    assert t.harness.timers("a") == []


WRITES: dict[str, Callable[[Any], Any]] = {
    "put": lambda state: state.put("b", 2),
    "change": lambda state: state.put("a", 2),
    "remove": lambda state: state.remove("a"),
    "clear": lambda state: state.clear(),
}


@pytest.mark.parametrize("case", WRITES)
@pytest.mark.parametrize("callback", ["on_event", "on_timer"])
def test_c9_the_keyed_side_cannot_write(case: str, callback: str) -> None:
    class ReadOnly(mt.BroadcastProcessFunction):
        rules = mt.BroadcastState("rules", str, int)

        def on_broadcast(self, key: None, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            self.rules.put("a", batch["v"])

        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            ctx.register_event_time_timer(5)
            if callback == "on_event":
                self.attempt(ctx)

        def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
            if callback == "on_timer":
                self.attempt(ctx)

        def attempt(self, ctx: mt.Context) -> None:
            with pytest.raises(mt.StateAccessError, match="rules"):
                WRITES[case](self.rules)
            ctx.emit(out=str(self.rules.items()))

    out = TwoInputs(ReadOnly, right=int).run("b:1@1; k:x@2; W 5")
    assert [text for text, _ in filter(lambda one: isinstance(one, tuple), out)] == ["[('a', 1)]"]


# ---- D: an input without a key and a broadcast -------------------------------------------------------


class D1(mt.BroadcastProcessFunction):
    m1 = mt.BroadcastState("m1", str, int)
    m2 = mt.BroadcastState("m2", int, str)

    def on_broadcast(self, key: None, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        v = batch["v"]
        self.m1.put(f"key.{v}", v)
        self.m2.put(v, f"value.{v}")

    def on_event(self, key: None, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        assert key is None and ctx.key is None
        for state in (self.m1, self.m2):
            for name, value in state.items():
                ctx.emit(out=f"{batch['v']}:{name}->{value}")


def test_d1_two_broadcast_states() -> None:
    h = Harness(D1(), output={"out": str})
    for v in (5, 6):
        h.push_broadcast({"v": v}, timestamp=v)
    h.push({"v": "9"}, timestamp=15)
    out = h.output(timestamps=True)
    expected = ["9:key.5->5", "9:key.6->6", "9:5->value.5", "9:6->value.6"]
    assert sorted(row["out"] for row, _ in out) == sorted(expected)
    assert {time for _, time in out} == {15}


class D2(mt.BroadcastProcessFunction):
    rules = mt.BroadcastState("rules", str, int)

    def on_event(self, key: None, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(out=f"{batch['v']}WM:{ctx.watermark} TS:{time_of(ctx)}")

    on_broadcast = on_event


def test_d2_times_and_watermarks() -> None:
    h = Harness(D2(), output={"out": str})
    h.advance_watermark(10)
    h.push_broadcast({"v": 5}, timestamp=12)
    h.advance_watermark(40)
    h.push({"v": "6"}, timestamp=13)
    h.push({"v": "6"}, timestamp=15)
    h.advance_watermark(50)
    expected = [("5WM:10 TS:12", 12), ("6WM:40 TS:13", 13), ("6WM:40 TS:15", 15)]
    assert h.output(timestamps=True) == [({"out": text}, time) for text, time in expected]
    assert h.watermark == 50
