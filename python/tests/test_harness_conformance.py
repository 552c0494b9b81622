"""Cases of the suites of Flink, Beam and Bytewax, through the harness; the numbers are those of the conformance list.

Flink: KeyedProcessOperatorTest (A), InternalTimerServiceImplTest (E), BatchExecutionInternalTimeServiceTest (F),
TtlStateTestBase (I); J is in test_harness_states.py. Beam: userstate_test.py, ParDoTest (M). Bytewax:
test_stateful.py (O).
"""

from __future__ import annotations

from typing import Any

import pytest
from script import MAX, MIN, Script

import martlet as mt
from martlet.testing import Harness

TEXT, INT = {"out": str}, {"out": int}


class F(mt.ProcessFunction):
    """Two plain functions as a process function."""

    def __init__(self, event: Any, timer: Any = None, **states: mt.State) -> None:
        self.event, self.timer = event, timer
        for name, state in states.items():
            setattr(self, name, state)

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.event(self, key, batch["v"], ctx)

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        self.timer(self, key, fire_time_ms, ctx)


def emit(ctx: mt.Context, value: Any) -> None:
    ctx.emit(out=value)


# ---- A: the keyed process function -------------------------------------------------------------------


def a1(fn: F, key: Any, v: Any, ctx: mt.Context) -> None:
    assert ctx.key == key == int(v)
    emit(ctx, v)


def a2(fn: F, key: Any, v: Any, ctx: mt.Context) -> None:
    emit(ctx, f"{v}TIME:{ctx.watermark} TS:{ctx.timestamp}")


def a3(fn: F, key: Any, v: Any, ctx: mt.Context) -> None:
    emit(ctx, f"{v}TIME:{ctx.processing_time} TS:{'null' if ctx.timestamp is None else ctx.timestamp}")


def a4(fn: F, key: Any, v: Any, ctx: mt.Context) -> None:
    emit(ctx, v)
    ctx.register_event_time_timer(ctx.watermark + 5)


def a4_timer(fn: F, key: Any, time: int, ctx: mt.Context) -> None:
    assert ctx.timer_domain == "event" and ctx.timestamp == time
    emit(ctx, 1777)


def a5(fn: F, key: Any, v: Any, ctx: mt.Context) -> None:
    emit(ctx, v)
    ctx.register_processing_time_timer(ctx.processing_time + 5)


def a5_timer(fn: F, key: Any, time: int, ctx: mt.Context) -> None:
    assert ctx.timer_domain == "processing" and ctx.timestamp is None
    emit(ctx, 1777)


def a6(fn: Any, key: Any, v: Any, ctx: mt.Context) -> None:
    if fn.seen.get() is None:
        emit(ctx, f"INPUT:{v}")
        fn.seen.set(v)
        ctx.register_event_time_timer(ctx.watermark + 5)
    else:
        fn.seen.clear()
        ctx.delete_event_time_timer(ctx.watermark + 4)


def a6_timer(fn: Any, key: Any, time: int, ctx: mt.Context) -> None:
    emit(ctx, f"STATE:{fn.seen.get()}")


def a7(fn: Any, key: Any, v: Any, ctx: mt.Context) -> None:
    if fn.seen.get() is None:
        emit(ctx, f"INPUT:{v}")
        fn.seen.set(v)
        ctx.register_processing_time_timer(ctx.processing_time + 5)
    else:
        fn.seen.clear()
        ctx.delete_processing_time_timer(ctx.processing_time + 4)


def a8(fn: F, key: Any, v: Any, ctx: mt.Context) -> None:
    ctx.register_processing_time_timer(3)
    ctx.register_event_time_timer(4)
    ctx.register_processing_time_timer(5)
    ctx.register_event_time_timer(6)
    ctx.delete_processing_time_timer(3)
    ctx.delete_event_time_timer(4)


def a8_timer(fn: F, key: Any, time: int, ctx: mt.Context) -> None:
    emit(ctx, "EVENT:1777" if ctx.timer_domain == "event" else "PROC:1777")


def seen() -> mt.ValueState:
    return mt.ValueState("seen", int)


A_CASES: dict[str, tuple[Any, dict[str, Any], str, list[Any]]] = {
    "A1": (lambda: F(a1), {"k": int}, "5/5@12; 42/42@13", [("5", 12), ("42", 13)]),
    "A2": (
        lambda: F(a2),
        {},
        "W 17; 5@12; W 42; 6@13",
        ["W 17", ("5TIME:17 TS:12", 12), "W 42", ("6TIME:42 TS:13", 13)],
    ),
    "A3": (lambda: F(a3), {}, "PT 17; 5@-; PT 42; 6@-", [("5TIME:17 TS:null", None), ("6TIME:42 TS:null", None)]),
    "A4": (
        lambda: F(a4, a4_timer),
        {"k": int, "v": int, "output": INT},
        "W 0; 17@42; W 5",
        ["W 0", (17, 42), (1777, 5), "W 5"],
    ),
    "A5": (lambda: F(a5, a5_timer), {"k": int, "v": int, "output": INT}, "17@-; PT 5", [(17, None), (1777, None)]),
    "A6": (
        lambda: F(a6, a6_timer, seen=seen()),
        {"k": int, "v": int},
        "W 1; 17@0; 13@0; W 2; 42@1; 13@1; W 6; W 7",
        [
            "W 1",
            ("INPUT:17", 0),
            ("INPUT:13", 0),
            "W 2",
            ("INPUT:42", 1),
            ("STATE:17", 6),
            "W 6",
            ("STATE:42", 7),
            "W 7",
        ],
    ),
    "A7": (
        lambda: F(a7, a6_timer, seen=seen()),
        {"k": int, "v": int},
        "PT 1; 17@-; 13@-; PT 2; 13@-; 42@-; PT 6; PT 7",
        [("INPUT:17", None), ("INPUT:13", None), ("INPUT:42", None), ("STATE:17", None), ("STATE:42", None)],
    ),
    "A8": (
        lambda: F(a8, a8_timer),
        {"k": int, "v": int},
        "5@12; SNAP; PT 5; W 6",
        [("PROC:1777", None), ("EVENT:1777", 6), "W 6"],
    ),
}


@pytest.mark.parametrize("case", A_CASES)
@pytest.mark.parametrize("snapshots", [False, True], ids=["straight", "snapshot_between_steps"])
def test_a(case: str, snapshots: bool) -> None:
    fn, settings, steps, expected = A_CASES[case]
    settings = {"output": TEXT, **settings}
    if snapshots:
        steps = steps.replace(";", "; SNAP;")
    assert Script(fn, **settings).run(steps) == expected


def test_a10_side_outputs() -> None:
    def on_event(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        v = batch["value"]
        ctx.emit(out=f"IN:{v}")
        ctx.emit_to("int-out", {"out": v})
        ctx.emit_to("long-out", {"out": v})

    h = Harness(on_event)
    h.push(42, timestamp=17)
    assert h.output(timestamps=True) == [({"out": "IN:42"}, 17)]
    assert h.side_output("int-out", timestamps=True) == [({"out": 42}, 17)]
    assert h.side_output("long-out") == [{"out": 42}]
    assert h.side_output("long-out") == []
    assert h.side_output("never") == []


# ---- E and F: timers --------------------------------------------------------------------------------


def register(*timers: tuple[str, str, int]) -> Any:
    """Registers (domain, name, time) for every record."""

    def event(fn: F, key: Any, v: Any, ctx: mt.Context) -> None:
        for domain, name, time in timers:
            act = ctx.register_event_time_timer if domain == "ET" else ctx.register_processing_time_timer
            act(time, name=name)

    return event


def tell(fn: F, key: Any, time: int, ctx: mt.Context) -> None:
    emit(ctx, f"{key}/{ctx.timer_name}@{time}")


def pending(h: Harness, key: Any) -> list[tuple[str | None, int]]:
    return [(timer.name, timer.time_ms) for timer in h.timers(key)]


def test_e1_timers_of_one_key_fire_in_turn() -> None:
    """A name has one time here, so each of Flink's timers is one of its own name."""
    names = [("ciao1", 10), ("ciao2", 20), ("ciao3", 30), ("hello1", 10), ("hello2", 20)]
    s = Script(lambda: F(register(*(("PT", name, time) for name, time in names)), tell), output=TEXT)
    s.run("key1@-")
    left = [sorted(pending(s.harness, "key1"))]
    for time in (10, 20, 30):
        s.step(f"PT {time}")
        left.append(sorted(pending(s.harness, "key1")))
    assert [len(timers) for timers in left] == [5, 3, 1, 0]
    assert [out for out, _ in s.out] == [
        "key1/ciao1@10",
        "key1/hello1@10",
        "key1/ciao2@20",
        "key1/hello2@20",
        "key1/ciao3@30",
    ]


def test_e2_an_earlier_timer_comes_first() -> None:
    s = Script(lambda: F(register(("PT", "a", 20), ("PT", "b", 10)), tell), output=TEXT)
    s.run("x@-; PT 10")
    assert pending(s.harness, "x") == [("a", 20)]
    assert s.run("PT 20") == [("x/b@10", None), ("x/a@20", None)]


def test_e3_a_timer_registers_the_next() -> None:
    def again(fn: F, key: Any, time: int, ctx: mt.Context) -> None:
        tell(fn, key, time, ctx)
        if time < 30:
            ctx.register_processing_time_timer(time + 10, name="t")

    s = Script(lambda: F(register(("PT", "t", 10)), again), output=TEXT)
    s.run("x@-")
    for time in (10, 20, 30):
        assert pending(s.harness, "x") == [("t", time)]
        s.step(f"PT {time}")
    assert pending(s.harness, "x") == []
    assert [out for out, _ in s.out] == ["x/t@10", "x/t@20", "x/t@30"]


@pytest.mark.parametrize(("domain", "step"), [("ET", "W 10"), ("PT", "PT 10")])
@pytest.mark.parametrize("deleting", [False, True], ids=["E4", "E5"])
def test_e4_e5_keys_and_names(domain: str, step: str, deleting: bool) -> None:
    def event(fn: F, key: Any, v: Any, ctx: mt.Context) -> None:
        if v == "register":
            register((domain, "ciao", 10), (domain, "hello", 10))(fn, key, v, ctx)
        else:
            ctx.delete_timer(v)

    s = Script(lambda: F(event, tell), output=TEXT)
    s.run("key1/register@-; key2/register@-; SNAP" + ("; key1/hello@-; key2/ciao@-" if deleting else ""))
    counts = [len(s.harness.timers(key)) for key in ("key1", "key2")]
    assert counts == ([1, 1] if deleting else [2, 2])
    s.run(step)
    fired = [out[0] for out in s.out if out != "W 10"]
    everything = ["key1/ciao@10", "key1/hello@10", "key2/ciao@10", "key2/hello@10"]
    assert fired == (["key1/ciao@10", "key2/hello@10"] if deleting else everything)
    assert [s.harness.timers(key) for key in ("key1", "key2")] == [[], []]


def f_event(fn: F, key: Any, v: Any, ctx: mt.Context) -> None:
    word, time = v[:3], int(v[3:])
    {
        "ET+": ctx.register_event_time_timer,
        "ET-": ctx.delete_event_time_timer,
        "PT+": ctx.register_processing_time_timer,
    }[word](time)


def f_timer(fn: F, key: Any, time: int, ctx: mt.Context) -> None:
    emit(ctx, time)
    if ctx.timer_domain == "event":
        emit(ctx, ctx.watermark)


@pytest.mark.parametrize(
    ("steps", "fired"),
    [
        ("1/ET+123@-; 1/ET-123@-; 1/ET+150@-; END", [(150, 150), (MAX, 150)]),
        ("1/ET+123@-; 1/ET+123@-", []),
        ("1/ET+123@-; 2/ET+124@-; END", [(123, 123), (MAX, 123), (124, 124), (MAX, 124)]),
        ("1/PT+150@-; END", [(150, None)]),
    ],
    ids=["F1", "F2", "F3", "F4"],
)
def test_f_the_end_of_a_bounded_input(steps: str, fired: list[Any]) -> None:
    s = Script(lambda: F(f_event, f_timer), output=INT)
    assert s.harness.watermark == MIN
    assert s.run(steps) == fired


# ---- I: time to live ---------------------------------------------------------------------------------


def ttl_value(**options: Any) -> Any:
    return lambda: F(value_event, value=mt.ValueState("value", str, ttl=mt.TTL(100, **options)))


def value_event(fn: Any, key: Any, v: Any, ctx: mt.Context) -> None:
    if v == "get":
        emit(ctx, fn.value.get() or "none")
    else:
        fn.value.set(v)


TTL_CASES: dict[str, tuple[Any, str, list[str]]] = {
    "I1": (
        ttl_value(),
        "PT 0; a/X@-; PT 20; a/get@-; PT 50; a/Y@-; PT 120; a/get@-; PT 170; a/Z@-; PT 220; a/get@-; PT 300; a/get@-",
        ["X", "Y", "Z", "none"],
    ),
    "I3": (
        ttl_value(update="read_write"),
        "PT 0; a/X@-; PT 50; a/get@-; PT 120; a/get@-; PT 250; a/get@-",
        ["X", "X", "none"],
    ),
    "I6": (
        ttl_value(),
        "PT 0; id2/X@-; PT 50; id1/X@-; id2/Y@-; PT 120; id1/get@-; id2/get@-; PT 170; id2/Z@-; "
        "PT 230; id1/get@-; id2/get@-; PT 300; id1/get@-; id2/get@-",
        ["X", "Y", "none", "Z", "none", "none"],
    ),
    "I12": (ttl_value(), "PT 0; a/X@-; PT 99; a/get@-; PT 100; a/get@-", ["X", "none"]),
}


@pytest.mark.parametrize("snapshots", [False, True], ids=["straight", "snapshot_between_steps"])
@pytest.mark.parametrize("case", TTL_CASES)
def test_i_ttl(case: str, snapshots: bool) -> None:
    fn, steps, expected = TTL_CASES[case]
    s = Script(fn, output=TEXT)
    out = s.run(steps.replace(";", "; SNAP;") if snapshots else steps)
    assert [value for value, _ in out] == expected


def test_i1_what_a_read_finds_expired_is_gone() -> None:
    s = Script(ttl_value(), output=TEXT)
    s.run("a/X@-; PT 100")
    full = len(s.harness.snapshot())
    s.run("a/get@-")
    assert len(s.harness.snapshot()) < full


def test_looking_keeps_nothing_alive() -> None:
    s = Script(ttl_value(update="read_write"), output=TEXT)
    s.run("a/X@-; PT 60")
    assert s.harness.state("value", "a") == "X"
    s.run("PT 100")
    assert s.harness.state("value", "a") is None


@pytest.mark.parametrize("snapshots", [False, True], ids=["straight", "snapshot_between_steps"])
def test_i8_elements_expire_one_by_one(snapshots: bool) -> None:
    def event(fn: Any, key: Any, v: Any, ctx: mt.Context) -> None:
        if v == "get":
            emit(ctx, str(fn.items.get()))
        else:
            fn.items.extend(map(int, v.split(",")))

    steps = "PT 0; a/5,7,10@-; PT 50; a/8,9,11@-; PT 120; a/get@-"
    s = Script(lambda: F(event, items=mt.ListState("items", int, ttl=100)), output=TEXT)
    s.run(steps.replace(";", "; SNAP;") if snapshots else steps)
    assert s.out == [("[8, 9, 11]", None)]
    assert s.harness.state("items", "a") == [8, 9, 11]


# ---- M: Beam ----------------------------------------------------------------------------------------


def test_m1_combining_value() -> None:
    def event(fn: Any, key: Any, v: Any, ctx: mt.Context) -> None:
        emit(ctx, f"{v},{fn.sum.get() or 0}")
        fn.sum.add(1)

    s = Script(lambda: F(event, sum=mt.ReducingState("sum", "sum", int)), output=TEXT)
    s.run("W 10; mykey/A@10; mykey/B@10; mykey/C@11; W 25; mykey/D@25; END")
    assert [out[0] for out in s.out if isinstance(out, tuple)] == ["A,0", "B,1", "C,2", "D,3"]


def test_m2_a_timer_clears_before_another_reads() -> None:
    def event(fn: Any, key: Any, v: Any, ctx: mt.Context) -> None:
        fn.bag.add(v)
        ctx.register_event_time_timer(100, name="clear")
        ctx.register_event_time_timer(1000, name="emit")

    def timer(fn: Any, key: Any, time: int, ctx: mt.Context) -> None:
        if ctx.timer_name == "clear":
            fn.bag.clear()
        else:
            for value in [*fn.bag.get(), "extra"]:
                emit(ctx, value)

    s = Script(lambda: F(event, timer, bag=mt.ListState("bag", str)), output=TEXT)
    assert s.run("W 0; mykey/value@1; W 100; END") == ["W 0", "W 100", ("extra", 1000)]


def test_m8_named_timers() -> None:
    names = (("ET", "timer1", 10), ("ET", "timer2", 20), ("ET", "timer3", 30))
    s = Script(lambda: F(register(*names), lambda fn, key, time, ctx: emit(ctx, ctx.timer_name)), output=TEXT)
    assert s.run("W 10; mykey/1@5; END") == ["W 10", ("timer1", 10), ("timer2", 20), ("timer3", 30)]


def test_m14_a_timer_loop() -> None:
    def timer(fn: F, key: Any, time: int, ctx: mt.Context) -> None:
        emit(ctx, time)
        if time < 4:
            ctx.register_event_time_timer(time + 1, name="loop")

    s = Script(lambda: F(register(("ET", "loop", 0)), timer), output=INT)
    assert [out for out, _ in s.run("mykey@0; END")] == [0, 1, 2, 3, 4]


# ---- O: Bytewax -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keeps", "expected"),
    [(False, ["NEW,ITEM", "NEW,ITEM"]), (True, ["NEW,ITEM", "ITEM,ITEM"])],
    ids=["O1", "O2"],
)
def test_o1_o2_discard_and_retain(keeps: bool, expected: list[str]) -> None:
    def event(fn: Any, key: Any, v: Any, ctx: mt.Context) -> None:
        emit(ctx, f"{fn.last.get() or 'NEW'},ITEM")
        fn.last.set("ITEM")
        if not keeps:
            fn.last.clear()

    s = Script(lambda: F(event, last=mt.ValueState("last", str)), output=TEXT)
    assert [out for out, _ in s.run("k/1@-; k/2@-")] == expected


def test_o7_resumes_after_a_crash() -> None:
    def event(fn: Any, key: Any, v: Any, ctx: mt.Context) -> None:
        last = fn.last.get()
        fn.last.set(v)
        if last is not None:
            emit(ctx, f"{key},{last},{v}")

    s = Script(lambda: F(event, last=mt.ValueState("last", str)), output=TEXT)
    assert s.run("a/a1@-; b/b1@-; SNAP; a/a2@-; b/b2@-") == [("a,a1,a2", None), ("b,b1,b2", None)]
