"""What can be a process function, and how it is called."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from helpers import Counter, rows, run

import martlet as mt

COUNTED = [{"key": "a", "n": 1}, {"key": "b", "n": 1}, {"key": "a", "n": 2}]


def test_a_class_with_state_as_class_attribute() -> None:
    assert run(rows("a", "b", "a"), Counter()) == COUNTED


def test_state_as_instance_attribute() -> None:
    class Other(mt.ProcessFunction):
        def __init__(self) -> None:
            self.seen = mt.ValueState("seen", int)

        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            self.seen.set((self.seen.get() or 0) + 1)
            ctx.emit(key=key, n=self.seen.get())

    assert run(rows("a", "b", "a"), Other()) == COUNTED


def test_a_plain_callable_with_state_as_argument() -> None:
    count = mt.ValueState("count")

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        count.set((count.get() or 0) + 1)
        assert ctx.state("count") is count
        ctx.emit(key=key, n=count.get())

    assert run(rows("a", "b", "a"), fn, count) == COUNTED


def test_state_by_name_only() -> None:
    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        count = ctx.state("count")
        count.set((count.get() or 0) + 1)
        ctx.emit(key=key, n=count.get())

    assert run(rows("a", "b", "a"), fn, mt.ValueState("count")) == COUNTED


def test_a_duck_typed_object() -> None:
    class Duck:
        count = mt.ValueState("count", int)
        on_event = Counter.on_event

    assert run(rows("a", "b", "a"), Duck()) == COUNTED


def test_an_object_with_slots() -> None:
    class Slotted:
        __slots__ = ("count",)

        def __init__(self) -> None:
            self.count = mt.ValueState("count", int)

        on_event = Counter.on_event

    assert run(rows("a", "b", "a"), Slotted()) == COUNTED


def test_methods_that_are_no_plain_functions() -> None:
    calls = []

    class Odd:
        @staticmethod
        def on_event(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            calls.append((key, row))

        @classmethod
        def open(cls, ctx: mt.Context) -> None:
            calls.append(cls)

    run(rows("a"), Odd())
    assert calls == [Odd, ("a", 0)]


def test_open_and_close_are_called_once() -> None:
    calls: list[str] = []

    class Life(mt.ProcessFunction):
        def open(self, ctx: mt.Context) -> None:
            calls.append(f"open {ctx.operator} {ctx.instance}/{ctx.parallelism} {ctx.key} {ctx.timestamp}")

        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            calls.append("event")

        def close(self) -> None:
            calls.append("close")

    run(rows(1, 2), Life())
    assert calls == ["open Life 0/1 None None", "event", "event", "close"]


def test_each_run_works_on_a_copy() -> None:
    class Keeps(mt.ProcessFunction):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            self.seen.append(key)
            ctx.emit(n=len(self.seen))

    fn = Keeps()
    out = mt.stream(rows(1, 2)).key_by("k").process(fn)
    assert out.to_pylist() == out.to_pylist() == [{"n": 1}, {"n": 2}]
    assert fn.seen == []


def test_two_functions_in_a_chain() -> None:
    class Double(mt.ProcessFunction):
        total = mt.ValueState("total", int, default=0)

        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            self.total.set(self.total.get() + batch["n"])
            ctx.emit(parity=key, total=self.total.get())

    class Parity(mt.ProcessFunction):
        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            ctx.emit(parity=key % 2, n=key)

    out = mt.stream(rows(1, 2, 3)).key_by("k").process(Parity()).key_by("parity").process(Double())
    assert out.to_pylist() == [{"parity": 1, "total": 1}, {"parity": 0, "total": 2}, {"parity": 1, "total": 4}]


def test_the_same_state_object_in_two_functions_of_a_chain() -> None:
    count = mt.ValueState("count", int, default=0)

    def first(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        count.set(count.get() + 1)
        ctx.emit(k=0, first=count.get())

    def second(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        count.set(count.get() + 1)
        ctx.emit(first=batch["first"], second=count.get())

    out = mt.stream(rows("a", "b", "a")).key_by("k").process(first, count).key_by("k").process(second, count)
    assert out.to_pylist() == [{"first": 1, "second": 1}, {"first": 1, "second": 2}, {"first": 2, "second": 3}]


def test_one_function_object_on_several_threads() -> None:
    count = mt.ValueState("count", int, default=0)

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        count.set(count.get() + 1)
        ctx.emit(key=key, n=count.get())

    table = rows(*[i % 7 for i in range(3000)])
    expected = run(table, fn, count)
    results: list[Any] = [None] * 4

    def work(i: int) -> None:
        results[i] = run(table, fn, count)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


def test_a_run_inside_a_callback_of_another() -> None:
    count = mt.ValueState("count", int, default=0)

    def inner(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        count.set(count.get() + 10)
        ctx.emit(n=count.get())

    def outer(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        count.set(count.get() + 1)
        assert run(rows("x", "x"), inner, count) == [{"n": 10}, {"n": 20}]
        ctx.emit(n=count.get())

    assert run(rows("a", "a"), outer, count) == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (Counter, "is a class; pass an instance"),
        (3, "a process function is an object with on_event"),
        (mt.ProcessFunction(), "defines no on_event"),
    ],
)
def test_what_is_no_function(fn: Any, message: str) -> None:
    with pytest.raises(mt.ConfigError, match=message):
        mt.apply_process_function(mt.stream(rows(1)), "k", fn)


def test_generator_and_unknown_methods_are_refused() -> None:
    class Yields(mt.ProcessFunction):
        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> Any:
            yield 1

    class Ends(Counter):
        def on_left(self, key: Any, batch: Any, row: int, ctx: mt.Context) -> None: ...

    for fn, message in ((Yields(), "emit results with ctx.emit"), (Ends(), "defines on_left, which nothing calls")):
        with pytest.raises(mt.ConfigError, match=message):
            mt.stream(rows(1)).key_by("k").process(fn)


def test_two_states_of_one_name() -> None:
    with pytest.raises(mt.ConfigError, match="two states named 'count'"):
        mt.stream(rows(1)).key_by("k").process(Counter(), mt.ValueState("count"))


def test_a_function_that_cannot_be_copied() -> None:
    class Locked(Counter):
        def __init__(self) -> None:
            self.lock = threading.Lock()

    with pytest.raises(mt.ConfigError, match=r"Locked cannot be copied .* in open\(ctx\)"):
        run(rows(1), Locked())
