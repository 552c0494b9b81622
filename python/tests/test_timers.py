"""Timers of both domains, with a clock that is set by hand, named ones, and the end of the input."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import run

import martlet as mt

MAX = 2**63 - 1
TEXT = {"out": str}


class Script(mt.ProcessFunction):
    """Does what a record's "do" says and emits text; `on_timer` calls the same with what `then` has for the timer."""

    def __init__(self, then: Any = None) -> None:
        self.then = then

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        batch["do"] and PROGRAMS[batch["do"]](ctx)

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        stamp = "-" if ctx.timestamp is None else ctx.timestamp
        ctx.emit(out=f"{ctx.timer_domain}:{ctx.timer_name}:{fire_time_ms}@{stamp}")
        if self.then:
            self.then(fire_time_ms, ctx)


PROGRAMS: dict[str, Any] = {}


def moments(clock: mt.ManualClock, *steps: Any, end: int | None = None) -> Iterator[dict[str, Any]]:
    """Records of (processing time, key, program[, timestamp]); the clock is set before each."""
    for time, key, do, *stamp in steps:
        clock.advance_to(time)
        yield {"k": key, "do": do, "t": stamp[0] if stamp else 0}
    if end is not None:
        clock.advance_to(end)


def play(*steps: Any, fn: Any = None, at_end: str = "drop", end: int | None = None, **programs: Any) -> list[str]:
    clock = mt.ManualClock()
    PROGRAMS.clear()
    PROGRAMS.update(programs)
    config = mt.Config(clock=clock, at_end=at_end)
    got = run(moments(clock, *steps, end=end), fn or Script(), output=TEXT, config=config, timestamp="t", watermark=0)
    return [row["out"] for row in got]


# ---- processing time (CONFORMANCE.md A3, A5, A8)


def test_processing_time_is_that_of_the_clock() -> None:
    def tell(ctx: mt.Context) -> None:
        ctx.emit(out=f"{ctx.key}TIME:{ctx.processing_time}")

    assert play((17, 5, "tell"), (42, 6, "tell"), tell=tell) == ["5TIME:17", "6TIME:42"]


def test_a_processing_time_timer_fires_without_a_timestamp() -> None:
    def start(ctx: mt.Context) -> None:
        ctx.emit(out=f"{ctx.key}")
        ctx.register_processing_time_timer(ctx.processing_time + 5)

    assert play((0, 17, "start"), end=5, start=start) == ["17", "processing:None:5@-"]


def test_both_domains_and_their_deletes() -> None:
    def start(ctx: mt.Context) -> None:
        ctx.register_processing_time_timer(3)
        ctx.register_event_time_timer(4)
        ctx.register_processing_time_timer(5)
        ctx.register_event_time_timer(6)
        ctx.delete_processing_time_timer(3)
        ctx.delete_event_time_timer(4)
        ctx.delete_processing_time_timer(99)

    assert play((0, 5, "start"), end=5, start=start) == ["processing:None:5@-", "event:None:6@6"]


def test_one_time_in_both_domains_is_two_timers() -> None:
    def start(ctx: mt.Context) -> None:
        for _ in range(2):
            ctx.register_processing_time_timer(5)
            ctx.register_event_time_timer(5)
        assert ctx.timers() == [("event", 5, None), ("processing", 5, None)]

    assert play((0, "a", "start"), end=9, start=start) == ["processing:None:5@-", "event:None:5@5"]


def test_overdue_timers_fire_between_records_in_order() -> None:
    def start(ctx: mt.Context) -> None:
        ctx.register_processing_time_timer(5)
        ctx.register_processing_time_timer(4)
        ctx.register_processing_time_timer(50)

    class Keys(Script):
        def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
            ctx.emit(out=f"{key}{fire_time_ms}")

    def here(ctx: mt.Context) -> None:
        ctx.emit(out=f"{ctx.key}")

    got = play(
        (0, "b", "start"), (1, "a", "start"), (7, "c", "here"), (60, "c", "here"), fn=Keys(), start=start, here=here
    )
    assert got == ["a4", "b4", "a5", "b5", "c", "a50", "b50", "c"]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_timers_fire_after_the_record_in_which_the_clock_passed_them(size: int) -> None:
    clock = mt.ManualClock()
    pa = pytest.importorskip("pyarrow")

    class Moves(mt.ProcessFunction):
        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            clock.advance_to(clock.now + 1)
            if key == 0:
                ctx.register_processing_time_timer(5)
            ctx.emit(out=f"{key}")

        def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
            ctx.emit(out=f"timer at {ctx.processing_time}")

    table = pa.table({"k": list(range(8))})
    batches = table.to_batches(max_chunksize=size)
    got = run(batches, Moves(), output=TEXT, config=mt.Config(clock=clock))
    assert [row["out"] for row in got] == ["0", "1", "2", "3", "4", "timer at 5", "5", "6", "7"]


# ---- the end of the input


def test_event_timers_then_processing_timers_at_the_end() -> None:
    def start(ctx: mt.Context) -> None:
        ctx.register_processing_time_timer(20)
        ctx.register_processing_time_timer(10)
        ctx.register_event_time_timer(30)

    def then(time: int, ctx: mt.Context) -> None:
        assert ctx.watermark == MAX
        assert ctx.processing_time == {30: 1, 7: 20}.get(time, time)
        if time == 10:
            ctx.register_processing_time_timer(15)
            ctx.register_event_time_timer(7)

    expected = ["event:None:30@30", *(f"processing:None:{time}@-" for time in (10, 15, 20)), "event:None:7@7"]
    assert play((1, "a", "start"), fn=Script(then), start=start, at_end="fire") == expected
    assert play((1, "a", "start"), fn=Script(), start=start, at_end="drop") == expected[:1]
    assert play((1, "a", "start"), fn=Script(), start=start, at_end="keep") == expected[:1]
    assert play((1, "a", "start"), fn=Script(), start=start, at_end="drop", end=10) == [expected[1], expected[0]]


def test_kept_timers_are_in_the_report() -> None:
    class Keeps(mt.ProcessFunction):
        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            ctx.register_processing_time_timer(10)
            ctx.register_event_time_timer(10)

        def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None: ...

    for at_end, fired, pending in (("keep", 0, 2), ("drop", 0, 0), ("fire", 2, 0)):
        config = mt.Config(clock=mt.ManualClock(), at_end=at_end)
        report = mt.stream([{"k": 1}, {"k": 2}]).key_by("k").process(Keeps(), config=config).run()
        assert (report.timers_fired, report.processing_timers_fired) == (2 + fired, fired)
        assert (report.timers_pending, report.processing_timers_pending) == (pending, pending)


def test_a_processing_timer_that_registers_itself_for_ever() -> None:
    class Loops(mt.ProcessFunction):
        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            ctx.register_processing_time_timer(1)

        def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
            ctx.register_processing_time_timer(fire_time_ms)

    with pytest.raises(mt.TimerError, match="processing time") as caught:
        run([{"k": "looping"}], Loops(), config=mt.Config(clock=mt.ManualClock()))
    assert "looping" in str(caught.value)


class Ends(mt.ProcessFunction):
    kept = mt.ValueState("kept", int)

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        if batch["v"] is not None:
            self.kept.set(batch["v"])
        ctx.register_event_time_timer(5)

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        ctx.emit(out=f"timer {key}")

    def on_end(self, key: Any, ctx: mt.Context) -> None:
        assert ctx.key == key
        assert (ctx.watermark, ctx.timestamp, ctx.timer_domain, ctx.timers()) == (MAX, None, None, [])
        ctx.emit(out=f"end {key} {self.kept.get()}")
        if key == "a":
            ctx.register_event_time_timer(9)


def test_on_end_for_keys_that_hold_something_in_key_order() -> None:
    records = [{"k": key, "v": value} for key, value in (("c", 3), ("a", 1), ("none", None), ("b", 2))]
    got = [row["out"] for row in run(records, Ends(), output=TEXT)]
    assert got[:4] == ["timer a", "timer b", "timer c", "timer none"]
    assert got[4:] == ["end a 1", "end b 2", "end c 3", "timer a"]


def test_no_on_end_for_keys_of_which_all_has_expired() -> None:
    class Aged(Ends):
        kept = mt.ValueState("kept", int, ttl=mt.TTL(5, time="event", visibility="until_cleaned"))
        lasting = mt.ValueState("lasting", int)

        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            self.kept.set(1)
            if key % 400 == 0:
                self.lasting.set(2)

    # More keys than are looked at in one sweep.
    got = run([{"k": key, "v": 1} for key in range(1000)], Aged(), output={"out": str})
    assert [row["out"] for row in got] == ["end 0 None", "end 400 None", "end 800 None"]


def test_an_error_in_on_end_names_the_key() -> None:
    class Fails(Ends):
        def on_end(self, key: Any, ctx: mt.Context) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        run([{"k": "u1", "v": 1}], Fails(), output=TEXT)
    assert caught.value.__notes__ == ["in operator 'Fails', on_end(), key 'u1'"]


def test_on_end_through_a_chain() -> None:
    class Sums(mt.ProcessFunction):
        total = mt.ValueState("total", int)

        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            self.total.set((self.total.get() or 0) + batch["v"])

        def on_end(self, key: Any, ctx: mt.Context) -> None:
            ctx.emit(k="all", v=self.total.get())

    records = [{"k": i % 3, "v": i} for i in range(10)]
    stream = mt.stream(records).key_by("k").process(Sums()).key_by("k").process(Sums())
    assert stream.to_pylist() == [{"k": "all", "v": 45}]


# ---- names (CONFORMANCE.md E4, E5, M2, M8, M14)


def test_a_name_has_one_time_and_the_last_set_wins() -> None:
    def start(ctx: mt.Context) -> None:
        ctx.register_event_time_timer(10, name="x")
        ctx.register_event_time_timer(30, name="y")
        ctx.register_event_time_timer(20, name="x")
        ctx.register_event_time_timer(20)
        assert ctx.timers() == [("event", 20, "x"), ("event", 20, None), ("event", 30, "y")]
        assert (ctx.timers()[0].domain, ctx.timers()[0].time_ms, ctx.timers()[0].name) == ("event", 20, "x")

    assert play((0, "a", "start"), start=start) == ["event:x:20@20", "event:None:20@20", "event:y:30@30"]


def test_a_name_is_one_timer_across_domains() -> None:
    def start(ctx: mt.Context) -> None:
        ctx.register_event_time_timer(10, name="x")
        ctx.register_processing_time_timer(3, name="x")
        ctx.register_processing_time_timer(4, name="y")
        ctx.register_event_time_timer(11, name="y")
        assert ctx.timers() == [("event", 11, "y"), ("processing", 3, "x")]

    assert play((0, "a", "start"), end=9, start=start) == ["processing:x:3@-", "event:y:11@11"]


def test_the_pending_time_of_a_name() -> None:
    def start(ctx: mt.Context) -> None:
        assert ctx.timer("x") is None
        ctx.register_event_time_timer(10)
        assert ctx.timer("x") is None
        ctx.register_event_time_timer(10, name="x")
        ctx.register_event_time_timer(-3, name="é")
        assert (ctx.timer("x"), ctx.timer("é"), ctx.timer("y")) == (10, -3, None)
        ctx.register_processing_time_timer(4, name="x")
        assert ctx.timer("x") == 4
        ctx.delete_timer("é")
        assert ctx.timer("é") is None
        for bad in (None, 3, b"x"):
            with pytest.raises(TypeError, match="a timer's name is a str"):
                ctx.timer(bad)  # type: ignore[arg-type]

    def other(ctx: mt.Context) -> None:
        assert ctx.timer("x") is None

    def then(time: int, ctx: mt.Context) -> None:
        assert ctx.timer("x") is (None if ctx.timer_name == "x" or time == 10 else 4)

    play((0, "a", "start"), (0, "b", "other"), end=9, fn=Script(then), start=start, other=other)


def test_delete_by_name() -> None:
    def start(ctx: mt.Context) -> None:
        ctx.register_event_time_timer(10, name="ciao")
        ctx.register_event_time_timer(10, name="hello")
        ctx.register_event_time_timer(10)

    def delete(ctx: mt.Context) -> None:
        ctx.delete_timer("hello" if ctx.key == "key1" else "ciao")
        ctx.delete_timer("never seen")
        ctx.delete_event_time_timer(10)

    steps = [(0, key, do) for do in ("start", "delete") for key in ("key1", "key2")]
    assert play(*steps[:2], start=start) == ["event:ciao:10@10", "event:hello:10@10", "event:None:10@10"] * 2
    assert play(*steps, start=start, delete=delete) == ["event:ciao:10@10", "event:hello:10@10"]


def test_named_timers_clear_and_emit() -> None:
    class Bag(mt.ProcessFunction):
        bag = mt.ValueState("bag")

        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            self.bag.set([*(self.bag.get() or []), batch["v"]])
            ctx.register_event_time_timer(100, name="clear")
            ctx.register_event_time_timer(1000, name="emit")

        def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
            if ctx.timer_name == "clear":
                self.bag.clear()
            else:
                for value in [*(self.bag.get() or []), "extra"]:
                    ctx.emit(out=value)

    assert run([{"k": "mykey", "v": "value", "t": 0}], Bag(), timestamp="t") == [{"out": "extra"}]


def test_three_named_timers() -> None:
    def start(ctx: mt.Context) -> None:
        for number in (3, 1, 2):
            ctx.register_event_time_timer(10 * number, name=f"timer{number}")

    assert play((0, "mykey", "start", 10), start=start) == [f"event:timer{n}:{10 * n}@{10 * n}" for n in (1, 2, 3)]


def test_timer_loop_by_name() -> None:
    def then(time: int, ctx: mt.Context) -> None:
        assert ctx.timers() == []
        if time < 4:
            ctx.register_event_time_timer(time + 1, name="loop")

    got = play((0, "k", "start"), fn=Script(then), start=lambda ctx: ctx.register_event_time_timer(0, name="loop"))
    assert got == [f"event:loop:{time}@{time}" for time in range(5)]


def test_names_that_are_none() -> None:
    def bad(act: Any, error: type[Exception], match: str) -> None:
        with pytest.raises(error, match=match):
            play((0, "k", "act"), act=act)

    bad(lambda ctx: ctx.register_event_time_timer(1, name=3), TypeError, "name is a str, got int 3")
    bad(lambda ctx: ctx.register_event_time_timer(1, name=""), mt.ConfigError, "must not be empty")
    bad(lambda ctx: ctx.register_event_time_timer(1, name="a\0b"), mt.ConfigError, "NUL")
    bad(lambda ctx: ctx.register_event_time_timer(1, nam="x"), TypeError, "takes a time and")
    bad(lambda ctx: ctx.register_event_time_timer(), TypeError, "takes a time and")
    bad(lambda ctx: ctx.delete_timer(1), TypeError, "name is a str")
    assert play((0, "k", "act"), act=lambda ctx: ctx.register_event_time_timer(1, name=None)) == ["event:None:1@1"]


def test_many_timers_and_names_of_one_key() -> None:
    def start(ctx: mt.Context) -> None:
        for number in range(50):
            ctx.register_event_time_timer(number, name=f"é{number}")
        assert [timer.name for timer in ctx.timers()] == [f"é{number}" for number in range(50)]

    assert len(play((0, "k", "start"), start=start)) == 50


def test_timers_outside_of_a_callback() -> None:
    class Opens(Script):
        def open(self, ctx: mt.Context) -> None:
            for use in (
                lambda: ctx.register_processing_time_timer(1),
                lambda: ctx.delete_timer("x"),
                lambda: ctx.timers(),
                lambda: ctx.timer("x"),
            ):
                with pytest.raises(mt.StateAccessError):
                    use()

    play((0, "k", "nothing"), fn=Opens(), nothing=lambda ctx: None)


# ---- timers of many keys (CONFORMANCE.md E1 to E3, F1 to F4)


def test_each_key_has_its_own() -> None:
    def start(ctx: mt.Context) -> None:
        for time in (30, 10, 20):
            ctx.register_processing_time_timer(time, name=None if ctx.key == "ciao" else "hello")

    steps = [(0, "ciao", "start"), (0, "hello", "start"), *((time, "other", "") for time in (10, 20, 30))]
    got = play(*steps, start=start)
    assert got == ["processing:None:10@-", "processing:None:20@-", "processing:hello:20@-", "processing:None:30@-"]


def test_a_timer_registers_the_next() -> None:
    def then(time: int, ctx: mt.Context) -> None:
        if time < 30:
            ctx.register_processing_time_timer(time + 10)

    def start(ctx: mt.Context) -> None:
        ctx.register_processing_time_timer(10)

    expected = [f"processing:None:{time}@-" for time in (10, 20, 30)]
    for ends in itertools.combinations_with_replacement((9, 10, 20, 25, 30), 3):
        steps = [(0, "a", "start"), *((time, "b", "") for time in ends)]
        assert play(*steps, fn=Script(then), start=start) == expected[: max(ends) // 10]
    assert play((0, "a", "start"), fn=Script(then), start=start, at_end="fire") == expected


def test_a_deleted_timer_and_the_end() -> None:
    def start(ctx: mt.Context) -> None:
        ctx.register_event_time_timer(123)

    def change(ctx: mt.Context) -> None:
        ctx.delete_event_time_timer(123)
        ctx.register_event_time_timer(150)

    assert play((0, 1, "start"), (0, 1, "change"), start=start, change=change) == ["event:None:150@150"]


# ---- settings


def test_clocks() -> None:
    clock = mt.ManualClock(5)
    clock.advance_to(7)
    clock.advance_to(7)
    assert (clock.now, repr(clock)) == (7, "ManualClock(7)")
    with pytest.raises(mt.ConfigError, match="shows 7 ms and cannot go back to 6"):
        clock.advance_to(6)
    with pytest.raises(TypeError):
        clock.advance_to("8")  # type: ignore[arg-type]
    assert mt.Config(clock=clock).clock is clock
    assert mt.Config(clock="system").clock is None is mt.Config().clock
    assert mt.Config(clock="system") == mt.Config()
    with pytest.raises(mt.ConfigError, match="clock='sundial' is not a clock"):
        mt.Config(clock="sundial")
    with pytest.raises(mt.ConfigError, match="at_end='explode' is not allowed; use 'fire' or 'drop' or 'keep'"):
        mt.Config(at_end="explode")
