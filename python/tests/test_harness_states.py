"""The cases of Flink's StateBackendTestBase (J) for every kind of state, through the harness."""

from __future__ import annotations

from typing import Any

import pytest

import martlet as mt
from martlet.testing import Harness


def on_states(*states: mt.State, **settings: Any) -> tuple[Harness, Any]:
    """A harness, and a call `do(key, body)` that runs `body(*states)` in a callback for a key."""
    body: list[Any] = []
    result: list[Any] = []

    def on_event(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        result.append(body.pop()(*states))

    h = Harness(on_event, *states, **settings)

    def do(key: Any, run: Any) -> Any:
        body.append(run)
        h.push(key)
        return result.pop()

    return h, do


@pytest.mark.parametrize("dtype", [int, None])
@pytest.mark.parametrize(
    "act",
    [
        lambda s: s.add(None),
        lambda s: s.extend(None),
        lambda s: s.extend([3, None, 5]),
        lambda s: s.set(None),
        lambda s: s.set([3, None, 5]),
    ],
    ids=["add", "extend_none", "extend", "set_none", "set"],
)
def test_j1_a_list_takes_no_null(act: Any, dtype: Any) -> None:
    def body(s: Any) -> None:
        assert s.get() == []
        with pytest.raises(TypeError):
            act(s)
        assert s.get() == []

    _, do = on_states(mt.ListState("l", dtype))
    do("abc", body)


@pytest.mark.parametrize("dtype", [int, None])
def test_j2_lists(dtype: Any) -> None:
    h, do = on_states(mt.ListState("l", dtype))
    for values, expected in (([], None), ([3, 4], [3, 4]), ([], [3, 4]), ([5, 6], [3, 4, 5, 6]), ([], [3, 4, 5, 6])):
        do("abc", lambda s, values=values: s.extend(values))
        assert h.state("l", "abc") == expected
    do("abc", lambda s: s.set([1, 2]))
    assert h.state("l", "abc") == [1, 2]


def test_j3_reducing() -> None:
    h, do = on_states(mt.ReducingState("r", lambda a, b: a + b, int))
    do("abc", lambda s: s.get())
    do("def", lambda s: (s.add(17), s.add(11)))
    assert h.state("r", "def") == 28
    do("def", lambda s: s.clear())
    assert h.state("r", "def") is None
    do("g", lambda s: (s.add(1), s.add(2)))
    assert h.state("r", "g") == 3
    do("g", lambda s: (s.add(3), s.add(2), s.add(1)))
    assert [h.state("r", key) for key in ("g", "abc")] == [9, None]


def test_j5_maps() -> None:
    h, do = on_states(mt.MapState("m", int, int))
    for i in range(1024):
        assert do("k", lambda s, i=i: (s.put(i, 2 * i), s.len())[1]) == i + 1
    assert h.state("m", "k") == {i: 2 * i for i in range(1024)}
    for i in range(1024):
        assert do("k", lambda s, i=i: (s.remove(i), s.len())[1]) == 1023 - i
    assert h.state("m", "k") is None


def test_j7_cleared() -> None:
    value, entries = mt.ValueState("v", int), mt.MapState("m", str, int)
    h, do = on_states(value, entries)
    assert do("k", lambda v, m: v.get()) is None
    do("k", lambda v, m: (v.set(5), m.put("a", 1)))
    assert (h.state("v", "k"), h.state("m", "k")) == (5, {"a": 1})
    do("k", lambda v, m: (v.clear(), m.clear()))
    assert do("k", lambda v, m: (v.get(), m.items(), m.keys(), m.values())) == (None, [], [], [])


def test_j8_snapshots_are_of_their_moment() -> None:
    def make() -> mt.State:
        return mt.ReducingState("r", lambda a, b: a + "," + b, str)

    h, do = on_states(make(), schema={"value": int})
    do(1, lambda s: s.add("1"))
    do(2, lambda s: s.add("2"))
    s1 = h.snapshot()
    do(1, lambda s: s.add("u1"))
    do(2, lambda s: s.add("u2"))
    do(3, lambda s: s.add("u3"))
    s2 = h.snapshot()
    for snapshot, expected in ((s1, ["1", "2", None]), (s2, ["1,u1", "2,u2", "u3"])):
        restored = Harness.restore(snapshot, lambda key, batch, row, ctx: None, make())
        assert [restored.state("r", key) for key in (1, 2, 3)] == expected


def test_j9_the_first_add_does_not_reduce() -> None:
    calls = []
    _, do = on_states(mt.ReducingState("r", lambda a, b: calls.append((a, b)) or a + b, int))
    for i in range(5):
        do("k", lambda s, i=i: s.add(i))
    assert len(calls) == 4


def test_j11_stored_by_value() -> None:
    h, do = on_states(mt.ValueState("v"))

    def change(s: Any) -> None:
        s.set([1, 2])
        s.get().append(3)

    do("k", change)
    assert h.state("v", "k") == [1, 2]
    h.state("v", "k").append(4)
    assert h.state("v", "k") == [1, 2]
