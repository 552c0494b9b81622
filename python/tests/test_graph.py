"""Pipelines that are graphs: branches, diamonds, shared runs, names."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import martlet as mt
from martlet import apply_process_function, connect_streams
from martlet.graph import Plan

ROWS = [{"k": i % 3, "v": i} for i in range(9)]


class Counted:
    """A source that counts how often it is read."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.reads = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.reads += 1
        return iter(self.rows)


def split(key: Any, batch: Any, row: int, ctx: Any) -> None:
    if batch["v"] % 2:
        ctx.emit_to("odd", batch)
    else:
        ctx.emit(batch)


def plus(n: int) -> Any:
    def add(key: Any, batch: Any, row: int, ctx: Any) -> None:
        ctx.emit(k=batch["k"], v=batch["v"] + n)

    return add


def both(key: Any, batch: Any, row: int, ctx: Any) -> None:
    ctx.emit(k=key, v=batch["v"], side=ctx.side)


def values(stream: mt.Stream) -> list[int]:
    return [r["v"] for r in stream.to_pylist()]


def test_a_diamond_is_one_run_that_reads_the_source_once() -> None:
    source = Counted(ROWS)
    halves = apply_process_function(mt.stream(source, timestamp="v"), "k", split)
    even = apply_process_function(halves, "k", plus(100), name="even")
    odd = apply_process_function(halves.side_output("odd"), "k", plus(0), name="odd")
    out = connect_streams(even, odd, both, key="k")
    assert source.reads == 0
    rows = out.to_pylist()
    assert source.reads == 1
    assert [(r["v"], r["side"]) for r in rows] == [
        (100, "left"),
        (1, "right"),
        (102, "left"),
        (3, "right"),
        (104, "left"),
        (5, "right"),
        (106, "left"),
        (7, "right"),
        (108, "left"),
    ]
    assert [r["k"] for r in rows] == [r["v"] % 100 % 3 for r in rows]


def test_one_source_on_both_sides() -> None:
    source = Counted(ROWS)
    events = mt.stream(source, timestamp="v")
    out = events.key_by("k").connect(events.key_by("v")).process(both)
    assert [r["k"] for r in out.to_pylist()] == [i for v in range(9) for i in (v % 3, v)]
    assert source.reads == 1
    once = mt.stream(iter(ROWS), timestamp="v", bounded=True)
    out = once.key_by("k").connect(once.key_by("v")).process(both)
    assert len(out.to_pylist()) == 18


def test_two_functions_over_one_stream() -> None:
    source = Counted(ROWS)
    events = mt.stream(source)
    one, two = apply_process_function(events, "k", plus(1)), apply_process_function(events, "v", plus(2))
    assert values(two) == [i + 2 for i in range(9)]
    assert values(one) == [i + 1 for i in range(9)]
    assert source.reads == 2


def test_functions_over_a_source_that_can_be_read_once_share_a_run() -> None:
    for first in (0, 1):
        events = mt.stream(iter(ROWS))
        streams = [apply_process_function(events, "k", plus(1)), apply_process_function(events, "v", plus(2))]
        expected = [[i + n for i in range(9)] for n in (1, 2)]
        assert values(streams[first]) == expected[first]
        assert values(streams[1 - first]) == expected[1 - first]
        with pytest.raises(mt.MartletError, match="only once"):
            streams[first].to_pylist()
    events = mt.stream(iter(ROWS))
    one = apply_process_function(events, "k", plus(1), config=mt.Config(name="one"))
    other = apply_process_function(events, "k", plus(1), config=mt.Config(name="other"))
    assert len(values(one)) == 9
    with pytest.raises(mt.MartletError, match="only once"):
        other.to_pylist()


def test_a_branch_and_what_is_built_on_it() -> None:
    events = mt.stream(iter(ROWS))
    one = apply_process_function(events, "k", plus(1))
    two = apply_process_function(one, "k", plus(10))
    three = apply_process_function(one, "k", plus(100))
    assert values(three) == [i + 101 for i in range(9)]
    assert values(two) == [i + 11 for i in range(9)]
    with pytest.raises(mt.MartletError, match="only once"):
        one.to_pylist()


def test_runs_are_shared_across_sources() -> None:
    left = apply_process_function(mt.stream(iter(ROWS), timestamp="v", bounded=True), "k", split)
    odd = left.side_output("odd")
    right = mt.stream(iter(ROWS), timestamp="v", bounded=True)
    out = connect_streams(left, right, both, key="k")
    plain = apply_process_function(right, "k", plus(0))
    assert values(plain) == list(range(9))
    assert values(odd) == [1, 3, 5, 7]
    assert values(out) == [0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8]


def test_the_output_of_a_connect_goes_on() -> None:
    out = connect_streams(mt.stream(ROWS, timestamp="v"), mt.stream(ROWS, timestamp="v"), both, key="k")
    twice = connect_streams(out, apply_process_function(out, "k", plus(50)), both, key="k", name="again")
    end = apply_process_function(twice, "k", plus(1))
    assert sorted(values(end)) == sorted([v + 1 for v in range(9)] * 2 + [v + 51 for v in range(9)] * 2)
    side = connect_streams(mt.stream(ROWS), mt.stream(ROWS), split, key="k").side_output("odd")
    assert sorted(values(side)) == [1, 1, 3, 3, 5, 5, 7, 7]


def test_a_branch_that_lets_nothing_through_holds_up_nothing() -> None:
    taken = 0

    def endless() -> Iterator[dict[str, Any]]:
        nonlocal taken
        while True:
            taken += 1
            yield {"k": taken % 3, "v": taken}

    def nothing(key: Any, batch: Any, row: int, ctx: Any) -> None:
        pass

    events = mt.stream(endless(), timestamp="v", bounded=True)
    silent = apply_process_function(events, "k", nothing, output={"k": int, "v": int})
    out = iter(connect_streams(silent, events, both, key="k"))
    for i in range(1, 50):
        assert next(out).to_pylist() == [{"k": i % 3, "v": i, "side": "right"}]
    assert taken < 60


def test_names_are_unique_in_a_job() -> None:
    def Same(key: Any, batch: Any, row: int, ctx: Any) -> None:  # noqa: N802
        ctx.emit(k=key, v=batch["v"], op=ctx.operator)

    left = apply_process_function(mt.stream(ROWS), "k", Same)
    right = apply_process_function(mt.stream(ROWS), "k", Same)

    def emit(key: Any, batch: Any, row: int, ctx: Any) -> None:
        ctx.emit(side=ctx.side, op=batch["op"])

    out = connect_streams(left, right, emit, key="k")
    assert {(r["side"], r["op"]) for r in out.to_pylist()} == {("left", "Same"), ("right", "Same-2")}
    assert "'stream'" in out.explain()
    assert "'stream-2'" in out.explain()
    chain = apply_process_function(left, "k", Same)
    assert repr(chain) == "<Stream stream -> Same -> Same-2>"
    one = apply_process_function(mt.stream(ROWS), "k", Same, name="x")
    two = apply_process_function(mt.stream(ROWS), "k", Same, name="x")
    with pytest.raises(mt.ConfigError, match="an operator named 'x' already"):
        connect_streams(one, two, emit, key="k")
    with pytest.raises(mt.ConfigError, match="an operator named 'x' already"):
        apply_process_function(one, "k", Same, name="x")


def test_long_chains() -> None:
    stream = mt.stream(ROWS[:2])
    for _ in range(100):
        stream = apply_process_function(stream, "k", plus(1))
    assert values(stream) == [100, 101]
    assert repr(stream).endswith("-> add-100>")
    assert "'add-100'" in stream.explain()


def test_a_plan_can_be_pickled_without_its_sources() -> None:
    class NotPicklable:
        def __iter__(self) -> Any:
            return iter(ROWS)

        def __reduce__(self) -> Any:
            raise TypeError("a source stays where it is")

    class Fn(mt.CoProcessFunction):
        pass

    left, right = mt.stream(NotPicklable()), mt.stream(NotPicklable())
    one = apply_process_function(
        left, "k", print, mt.ValueState("s", int), output={"k": int}, side_outputs={"t": {"a": "list<int64>"}}
    )
    out = connect_streams(one, right, print, key="k")
    operators = pickle.loads(pickle.dumps(Plan.of([out._edge]).operators))
    assert [(one.operator.name, one.operator.kind, one.operator.keys, one.inputs) for one in operators] == [
        ("print", "process", (("k",),), ((0, 0, None),)),
        ("print-2", "connect", (("k",), ("k",)), ((-1, 1, None), (1, 0, None))),
    ]
    first = operators[0].operator
    assert (first.output, first.side_outputs) == (mt.Schema({"k": int}), {"t": mt.Schema({"a": "list<int64>"})})
    assert repr(first.states) == "(ValueState('s', 'int64'),)"


def test_nothing_is_kept() -> None:
    class Source:
        def __iter__(self) -> Any:
            return iter(ROWS)

    source = Source()
    gone = weakref.ref(source)
    events = mt.stream(source)
    halves = apply_process_function(events, "k", split)
    out = connect_streams(halves, halves.side_output("odd"), both, key="k")
    out.to_pylist()
    next(iter(out))
    del source, events, halves, out
    gc.collect()
    assert gone() is None


def test_the_job_is_named_after_its_sources(caplog: pytest.LogCaptureFixture) -> None:
    out = connect_streams(mt.stream(ROWS, name="a"), mt.stream(ROWS, name="b"), both, key="k")
    with caplog.at_level("INFO", logger="martlet"):
        out.run()
    assert "job 'a + b' ended" in caplog.text
