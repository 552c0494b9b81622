"""List, map, reducing and aggregating states and TTL: one contract over every kind and dtype, through streams."""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
import math
import pickle
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from helpers import rows, run
from hypothesis import given, settings
from hypothesis import strategies as st

import martlet as mt
from martlet._engine import decode_value, encode_value

ELEMENTS: list[tuple[Any, list[Any]]] = [
    (int, [3, -(2**63), 2**63 - 1, 0]),
    ("int8", [1, -128, 127]),
    ("uint64", [5, 2**64 - 1, 0]),
    (float, [1.5, -0.25, math.inf]),
    ("float32", [0.5, -2.0]),
    (bool, [True, False]),
    (str, ["", "né", "a" * 40]),
    (bytes, [b"\0\xff", b"", b"x" * 40]),
    (dt.date, [dt.date(2024, 2, 29), dt.date(1960, 1, 1)]),
    (dt.datetime, [dt.datetime(2024, 1, 2, 3, 4, 5, 6), dt.datetime(1901, 1, 1)]),
    ("timestamp[ms, UTC]", [dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(1999, 1, 1, tzinfo=dt.UTC)]),
    (dt.timedelta, [dt.timedelta(days=-3), dt.timedelta(seconds=1)]),
    ("decimal128(10, 2)", [Decimal("-1.50"), Decimal("0.00"), Decimal("12345678.90")]),
    (None, [{"a": [1, (2,)]}, "x", 1.5, 2**70, b"\0", False]),
]
IDS = [str(dtype) for dtype, _ in ELEMENTS]


def one_key(body: Callable[..., None], *states: mt.State, **config: Any) -> None:
    """Runs `body(ctx)` in one callback."""
    done: list[bool] = []

    def on_event(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        body(ctx)
        done.append(True)

    run([{"k": 1}], on_event, *states, config=mt.Config(**config))
    assert done == [True]


@pytest.mark.parametrize(("dtype", "values"), ELEMENTS, ids=IDS)
def test_lists(dtype: Any, values: list[Any]) -> None:
    state = mt.ListState("items", dtype)

    def body(ctx: mt.Context) -> None:
        state.extend([])
        assert state.get() == [] and state.len() == 0 and not state.exists()
        for value in values:
            state.add(value)
        assert state.get() == values and len(state) == len(values)
        assert [type(value) for value in state.get()] == [type(value) for value in values]
        state.get().append("changes nothing")
        state.extend(iter(values))
        assert state.get() == values * 2
        for refused in (lambda: state.add(None), lambda: state.extend([values[0], None]), lambda: state.set([None])):
            with pytest.raises(mt.StateTypeError, match="state 'items' cannot store None"):
                refused()
        for refused in (lambda: state.extend(None), lambda: state.set(None)):  # type: ignore[arg-type]
            with pytest.raises(mt.StateTypeError, match="'items'"):
                refused()
        assert state.get() == values * 2
        state.set(values[:1])
        assert state.get() == values[:1]
        state.clear()
        assert state.get() == [] and not state.exists()

    one_key(body, state)


KEYS = [(dtype, values) for dtype, values in ELEMENTS if dtype not in (float, "float32", None)]


@pytest.mark.parametrize(("key_dtype", "keys"), KEYS, ids=[str(dtype) for dtype, _ in KEYS])
@pytest.mark.parametrize(("dtype", "values"), ELEMENTS, ids=IDS)
def test_maps(key_dtype: Any, keys: list[Any], dtype: Any, values: list[Any]) -> None:
    state = mt.MapState("m", key_dtype, dtype)

    def body(ctx: mt.Context) -> None:
        model: dict[Any, Any] = {}
        assert state.items() == state.keys() == state.values() == [] and len(state) == 0
        for i, key in enumerate(keys):
            state.put(key, values[0])
            state[key] = model[key] = values[i % len(values)]
        order = sorted(model, key=lambda key: key.encode() if isinstance(key, str) else key)
        assert state.keys() == list(state) == order
        assert state.items() == [(key, model[key]) for key in order]
        assert state.values() == [model[key] for key in order]
        assert state.range(order[1]) == state.items()[1:]
        assert state.range(hi=order[1]) == state.items()[:1]
        for key in keys:
            assert key in state and state.contains(key)
            assert state[key] == state.get(key) == model[key]
        for key in state:  # changing the map while iterating is safe
            del state[key]
            assert key not in state and state.get(key) is None and state.get(key, "d") == "d" and not state.remove(key)
        with pytest.raises(KeyError):
            state[keys[0]]
        with pytest.raises(KeyError):
            del state[keys[0]]
        assert not state.exists()

    one_key(body, state)


def test_dynamic_keys_are_told_apart_and_ordered() -> None:
    state = mt.MapState("m")
    keys = [
        None,
        False,
        True,
        -(2**63),
        -1,
        0,
        1,
        2**64 - 1,
        "",
        "1",
        "a\0",
        "a\0b",
        "é",
        b"",
        b"1",
        (),
        (1,),
        (1, "a"),
        ("1", (b"",)),
    ]

    def body(ctx: mt.Context) -> None:
        shuffled = list(enumerate(keys))
        random.Random(1).shuffle(shuffled)
        for i, key in shuffled:
            state.put(key, i)
        assert state.values() == list(range(len(keys)))
        assert list(map(repr, state.keys())) == list(map(repr, keys))
        for bad, error in (
            (1.0, mt.StateTypeError),
            ([1], mt.StateTypeError),
            (dt.date(2024, 1, 1), mt.StateTypeError),
            (2**64, mt.ValueRangeError),
            ("\ud800", mt.ValueRangeError),
        ):
            with pytest.raises(error, match="state 'm'"):
                state.put(bad, 1)

    one_key(body, state)


def test_a_map_holds_dynamic_none_and_a_typed_one_does_not() -> None:
    dynamic, typed = mt.MapState("d"), mt.MapState("t", int, int)

    def body(ctx: mt.Context) -> None:
        dynamic.put("a", None)
        assert dynamic.get("a", 5) is None and "a" in dynamic
        with pytest.raises(mt.StateTypeError, match="state 't'"):
            typed.put(1, None)
        with pytest.raises(mt.StateTypeError, match="key of state 't'"):
            typed.put("x", 1)

    one_key(body, dynamic, typed)


def test_json() -> None:
    items, texts = mt.ListState("i"), mt.ListState("t", str)
    entries, raw = mt.MapState("e"), mt.MapState("r", dtype=bytes)

    def body(ctx: mt.Context) -> None:
        items.add_json({"a": (1, 2)})
        texts.add_json({"a": (1, 2)})
        entries.put_json("k", {1: None})
        raw.put_json("k", {1: None})
        assert items.get() == [{"a": [1, 2]}] and texts.get() == ['{"a": [1, 2]}']
        assert entries["k"] == {"1": None} and raw["k"] == b'{"1": null}'
        with pytest.raises(mt.StateTypeError, match="'t'"):
            texts.add_json({"a": b""})

    one_key(body, items, texts, entries, raw)


@pytest.mark.parametrize(
    ("reduce", "dtype", "values", "expected"),
    [
        ("sum", int, [17, 11], 28),
        ("sum", "int8", [100, 27], 127),
        ("sum", float, [0.5, 1], 1.5),
        ("sum", "decimal128(10, 2)", [Decimal("1.10"), Decimal("2.20")], Decimal("3.30")),
        ("sum", dt.timedelta, [dt.timedelta(1), dt.timedelta(2)], dt.timedelta(3)),
        ("sum", None, [2**62, 2**62, 2**62], 3 * 2**62),
        ("sum", None, [1, 0.5], 1.5),
        ("min", None, ["b", "a", "c"], "a"),
        ("max", None, [1, 3.5, 2], 3.5),
        ("min", str, ["é", "b", "bb"], "b"),
        ("max", dt.date, [dt.date(2024, 1, 1), dt.date(2025, 1, 1)], dt.date(2025, 1, 1)),
        ("max", "uint64", [1, 2**64 - 1], 2**64 - 1),
        ("min", "decimal128(10, 2)", [Decimal(3), Decimal("-2.5")], Decimal("-2.50")),
        ("count", None, ["x", 1, {}], 3),
        (lambda a, b: a + "," + b, str, ["1", "u1"], "1,u1"),
    ],
)  # fmt: skip
def test_reducing(reduce: Any, dtype: Any, values: list[Any], expected: Any) -> None:
    state = mt.ReducingState("r", reduce, dtype)

    def body(ctx: mt.Context) -> None:
        assert state.get() is None
        for value in values:
            state.add(value)
        got = state.get()
        assert got == expected and type(got) is type(expected)
        with pytest.raises(mt.StateTypeError, match="'r'"):
            state.add(None)
        state.clear()
        assert state.get() is None and not state.exists()

    one_key(body, state)


def test_reducing_limits() -> None:
    calls: list[Any] = []
    total, small, custom = (
        mt.ReducingState("t", "sum", int),
        mt.ReducingState("s", "sum", "uint8"),
        mt.ReducingState("c", lambda a, b: calls.append((a, b)) or a + b),
    )
    count, dynamic, silent = (
        mt.ReducingState("n", "count"),
        mt.ReducingState("d", "sum"),
        mt.ReducingState("q", lambda a, b: None),
    )

    def body(ctx: mt.Context) -> None:
        total.add(2**63 - 1)
        small.add(255)
        for state in (total, small):
            before = state.get()
            with pytest.raises(mt.ValueRangeError, match=r"the sum of .* is out of range"):
                state.add(1)
            assert state.get() == before
        custom.add(1), custom.add(2), custom.add(3)
        assert calls == [(1, 2), (3, 3)] and custom.get() == 6
        count.add("x"), count.merge(4)
        assert count.get() == 5
        with pytest.raises(mt.StateTypeError, match="sums int and float"):
            dynamic.add("x")
        silent.add(1)
        with pytest.raises(mt.StateTypeError, match="returned None"):
            silent.add(1)

    one_key(body, total, small, custom, count, dynamic, silent)
    for arguments, message in (
        (("x", "avg"), "'sum', 'min', 'max' or 'count'"),
        (("x", "sum", str), "have no sum"),
        (("x", "count", str), "leave dtype out"),
    ):
        with pytest.raises(mt.ConfigError, match=message):
            mt.ReducingState(*arguments)


def test_aggregating() -> None:
    mean = mt.AggregatingState(
        "mean",
        lambda: [0, 0],
        lambda acc, v: [acc[0] + v, acc[1] + 1],
        lambda acc: acc[0] / acc[1],
        lambda a, b: [a[0] + b[0], a[1] + b[1]],
    )
    typed = mt.AggregatingState("typed", lambda: 0, lambda acc, v: acc + len(v), str, dtype=int)

    def body(ctx: mt.Context) -> None:
        assert mean.get() is None
        mean.add(4)
        mean.add(6)
        assert mean.get() == 5
        mean.merge([20, 2])
        assert mean.get() == 7.5
        typed.add("abc")
        assert typed.get() == "3"
        with pytest.raises(mt.StateAccessError, match="without merge"):
            typed.merge(1)
        mean.clear()
        assert mean.get() is None

    one_key(body, mean, typed)


class Sessions(mt.ProcessFunction):
    """Declares every kind as an attribute."""

    value = mt.ValueState("value", int)
    items = mt.ListState("items", int)
    entries = mt.MapState("entries", str, int)
    total = mt.ReducingState("total", "sum", int)
    mean = mt.AggregatingState(
        "mean", lambda: [0, 0], lambda acc, v: [acc[0] + v, acc[1] + 1], lambda acc: acc[0] / acc[1]
    )

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        i = batch["i"]
        self.value.set(i)
        self.items.add(i)
        self.entries.put(f"{i % 2}", i)
        self.total.add(i)
        self.mean.add(i)
        assert ctx.state("entries") is self.entries
        ctx.emit(
            k=key,
            items=str(self.items.get()),
            entries=str(self.entries.items()),
            total=self.total.get(),
            mean=self.mean.get(),
        )


def test_states_are_per_key_and_attributes_are_found() -> None:
    out = run(rows("a", "b", "a", "a"), Sessions())
    assert out[1]["items"] == "[1]" and out[1]["total"] == 1
    assert out[3] == {"k": "a", "items": "[0, 2, 3]", "entries": "[('0', 2), ('1', 3)]", "total": 5, "mean": 5 / 3}


def make_states() -> Iterator[mt.State]:
    yield mt.ListState("a", int, ttl="10m")
    yield mt.MapState("b", "decimal128(10, 2)", ttl=mt.TTL(dt.timedelta(seconds=1), time="event", update="read_write"))
    yield mt.ReducingState("c", "max", str)
    yield mt.AggregatingState("d", dict, max, len, dtype=int)


@pytest.mark.parametrize("state", list(make_states()), ids=repr)
def test_declarations_are_values(state: mt.State) -> None:
    for other in (copy.deepcopy(state), copy.copy(state), pickle.loads(pickle.dumps(state))):
        assert other is not state and type(other) is type(state)
        assert (other.name, other.dtype, other.ttl, repr(other)) == (state.name, state.dtype, state.ttl, repr(state))


def test_bad_declarations_and_misuse() -> None:
    for make in (lambda: mt.MapState("x", float), lambda: mt.MapState("x", "float32")):
        with pytest.raises(mt.ConfigError, match="floats cannot be keys"):
            make()
    for ttl in (0, -1, "soon", True, "0s"):
        with pytest.raises(mt.ConfigError, match="ttl="):
            mt.ListState("x", ttl=ttl)
    with pytest.raises(mt.ConfigError, match="'processing' or 'event'"):
        mt.TTL(1, time="wall")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        mt.State("x")  # type: ignore[call-arg]
    lonely = mt.MapState("lonely")
    for use in (lambda: len(lonely), lambda: lonely["x"], lambda: "x" in lonely, lonely.items, lonely.clear):
        with pytest.raises(mt.StateAccessError, match="'lonely' was used outside"):
            use()


def test_a_failed_call_changes_nothing() -> None:
    items, entries, total, value = (
        mt.ListState("l", str),
        mt.MapState("m"),
        mt.ReducingState("t", "sum", int),
        mt.ValueState("v"),
    )

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        i = batch["i"]
        items.add(f"{i}" * 20), entries.put(i, "x" * i), entries.put("last", i), total.add(i), value.set([i])
        if i % 3 == 1:
            entries.remove(0), entries.put(0, "other"), items.set(["gone"]), items.add("more")
            entries.clear(), total.clear(), value.clear(), entries.put("left", 1)
            raise ValueError(i)
        ctx.emit(items=len(items.get()), entries=str(entries.items()), total=total.get(), value=str(value.get()))

    out = run([{"k": 1, "i": i} for i in range(6)], fn, items, entries, total, value, config=mt.Config(on_error="skip"))
    kept = [0, 2, 3, 5]
    assert [row["items"] for row in out] == [1, 2, 3, 4]
    assert [row["total"] for row in out] == [0, 2, 5, 10]
    assert out[-1]["entries"] == str([(i, "x" * i) for i in kept] + [("last", 5)]) and out[-1]["value"] == "[5]"


# ---- TTL --------------------------------------------------------------------------------------------


def test_ttl_in_processing_time_by_a_manual_clock() -> None:
    clock = mt.ManualClock()
    ttl = mt.TTL(100)
    value, items, entries = (
        mt.ValueState("v", ttl=100),
        mt.ListState("l", int, ttl=ttl),
        mt.MapState("m", int, int, ttl="100ms"),
    )
    read = mt.ReducingState("r", "sum", int, ttl=mt.TTL(100, update="read_write"))
    shown = mt.ValueState("s", ttl=mt.TTL(100, visibility="until_cleaned"))

    def body(ctx: mt.Context) -> None:
        value.set("X"), items.set([5, 7, 10]), entries.put(1, 1), read.add(1), shown.set(1)
        clock.advance_to(50)
        items.extend([8, 9, 11]), entries.put(2, 2)
        assert read.get() == 1
        clock.advance_to(99)
        assert value.get() == "X"
        clock.advance_to(100)
        assert value.get() is None and not value.exists()
        assert items.get() == [8, 9, 11] and items.len() == 3
        assert entries.items() == [(2, 2)] and 1 not in entries and len(entries) == 1
        assert read.get() == 1 and shown.get() == 1
        clock.advance_to(250)
        assert read.get() is None and items.get() == [] and entries.get(2) is None

    one_key(body, value, items, entries, read, shown, clock=clock)


def test_ttl_in_event_time() -> None:
    state = mt.ListState("l", int, ttl=mt.TTL(10, time="event"))
    seen: list[Any] = []

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        seen.append(state.get())
        state.add(batch["t"])

    run([{"k": 1, "t": t} for t in (0, 5, 11, 12, 30)], fn, state, timestamp="t")
    # Before each record the watermark is one behind the highest timestamp so far.
    assert seen == [[], [0], [0, 5], [5, 11], [5, 11, 12]]


def test_untouched_expired_state_gives_its_keys_back() -> None:
    clock = mt.ManualClock()
    items, entries, value = (
        mt.ListState("l", int, ttl=10),
        mt.MapState("m", int, int, ttl=10),
        mt.ValueState("v", int, ttl=10),
    )

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        if key == -1:
            clock.advance_to(1_000)
        elif key >= 0:
            items.add(key), entries.put(key, key), value.set(key)

    batches = [pa.record_batch({"k": range(2_000)})] + [pa.record_batch({"k": [-1 - i] * 500}) for i in range(20)]
    report = mt.apply_process_function(
        mt.stream(batches), "k", fn, items, entries, value, config=mt.Config(clock=clock)
    ).run()
    assert report.keys == 0


# ---- the encoding of values ------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(NESTED)
def test_nested_values_round_trip(value: Any) -> None:
    assert repr(decode_value(encode_value(value))) == repr(value)


@settings(max_examples=1_000)
@given(st.binary(max_size=60))
def test_random_bytes_never_crash_the_decoder(data: bytes) -> None:
    with contextlib.suppress(mt.MartletError, UnicodeDecodeError, TypeError, MemoryError):
        decode_value(data)


@settings(max_examples=200)
@given(NESTED, st.integers(min_value=0), st.integers(0, 255))
def test_damaged_bytes_never_crash_the_decoder(value: Any, position: int, byte: int) -> None:
    data = bytearray(encode_value(value))
    data[position % len(data)] = byte
    for damaged in (bytes(data), bytes(data[: position % len(data)])):
        with contextlib.suppress(mt.MartletError, UnicodeDecodeError, TypeError, MemoryError):
            decode_value(damaged)
