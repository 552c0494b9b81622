"""ValueState: types, ranges, dynamic values, and where it may be used."""

from __future__ import annotations

import copy
import datetime as dt
import math
import pickle
from decimal import Decimal
from typing import Any

import pytest
from helpers import in_callback, rows, run

import martlet as mt

UTC = dt.UTC


def round_trip(value: Any, dtype: Any = None) -> Any:
    def body(state: mt.ValueState, ctx: mt.Context) -> Any:
        state.set(value)
        return state.get()

    return in_callback(body, dtype=dtype)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (int, -(2**63)),
        (int, 2**63 - 1),
        ("int8", -128),
        ("uint8", 255),
        ("int16", 32767),
        ("uint32", 2**32 - 1),
        ("uint64", 2**64 - 1),
        (float, -0.0),
        (float, math.inf),
        ("float32", 0.5),
        (bool, True),
        (bool, False),
        (str, ""),
        (str, "žluťoučký 🐎"),
        ("utf8", "a" * 100_000),
        (bytes, b"\0\xff"),
        (dt.date, dt.date(2024, 2, 29)),
        (dt.datetime, dt.datetime(1901, 1, 1, 1, 2, 3, 4)),
        ("timestamp[ms]", dt.datetime(2024, 1, 2, 3, 4, 5, 6000)),
        ("timestamp[us, UTC]", dt.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC)),
        (dt.time, dt.time(23, 59, 59, 999_999)),
        (dt.timedelta, dt.timedelta(days=-3, microseconds=5)),
        ("decimal128(10, 2)", Decimal("-12345678.90")),
        (Decimal, Decimal("1.5")),
    ],
)
def test_typed_values(dtype: Any, value: Any) -> None:
    got = round_trip(value, dtype)
    assert got == value
    assert type(got) is type(value)
    assert math.copysign(1, got) == math.copysign(1, value) if isinstance(value, float) else True


def test_nan_in_a_float_state() -> None:
    assert math.isnan(round_trip(math.nan, float))


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (int, 2**63),
        (int, -(2**63) - 1),
        ("int8", 128),
        ("uint8", -1),
        ("uint64", 2**64),
        ("float32", 1e300),
        ("decimal128(4, 2)", Decimal("100.00")),
    ],
)
def test_out_of_range_names_state_type_value_and_key(dtype: Any, value: Any) -> None:
    with pytest.raises(mt.ValueRangeError) as caught:
        round_trip(value, dtype)
    text = str(caught.value)
    assert "state 's'" in text
    assert repr(value) in text
    assert caught.value.key == "1"
    assert caught.value.operator == "on_event"


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (int, "1"),
        (int, True),
        (int, 1.0),
        (float, "x"),
        (bool, 1),
        (str, b""),
        (bytes, ""),
        (dt.date, dt.datetime(2024, 1, 1)),
    ],
)
def test_wrong_type(dtype: Any, value: Any) -> None:
    with pytest.raises(mt.StateTypeError, match=r"state 's': expected .*, got") as caught:
        round_trip(value, dtype)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    "value",
    [0, -1, 23, 24, 255, 256, -257, 2**63, -(2**64), -(2**64) - 1, 2**200, -(2**200), 1.5, math.inf, True, False,
     "", "é🐎", b"", b"\0", [], [1, [2, "x", None]],
     (), (1, (2,)), {}, {"a": 1, "b": [True, None]}, {1: "x", None: 2, 1.5: 3, b"k": 4, False: 5},
     [{"deep": ({"er": [()]},)}]],
)  # fmt: skip
def test_dynamic_values(value: Any) -> None:
    got = round_trip(value)
    assert got == value
    assert repr(got) == repr(value)


def test_dynamic_values_are_stored_by_value() -> None:
    def body(state: mt.ValueState, ctx: mt.Context) -> Any:
        value = {"a": [1]}
        state.set(value)
        value["a"].append(2)
        got = state.get()
        got["a"].append(3)
        return state.get()

    assert in_callback(body) == {"a": [1]}


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, 1j, Decimal(1), dt.date(2024, 1, 1), {"a": object()}, {(1,): 2}, lambda: 1]
)
def test_what_cannot_be_stored(value: Any) -> None:
    with pytest.raises(mt.StateTypeError, match="state 's' cannot store a value of type") as caught:
        round_trip(value)
    assert isinstance(caught.value, TypeError)


def test_limits_of_dynamic_values() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(mt.ValueRangeError, match="nested deeper than"):
        round_trip(loop)
    with pytest.raises(mt.ValueRangeError, match="lone surrogate"):
        round_trip("\ud800")


def test_absent_default_clear_and_exists() -> None:
    state = mt.ValueState("n", int, default=7)
    seen: list[Any] = []

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        seen.append((state.get(), state.exists()))
        state.set(1)
        seen.append((state.get(), state.exists()))
        state.set(None)
        seen.append((state.get(), state.exists()))
        state.set(2)
        state.clear()
        seen.append((state.get(), state.exists()))

    run(rows("a"), fn, state)
    assert seen == [(7, False), (1, True), (7, False), (7, False)]


def test_a_mutable_default_is_not_shared() -> None:
    state = mt.ValueState("seen", default=[])

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        value = state.get()
        value.append(key)
        ctx.emit(n=len(value))

    assert run(rows("a", "b", "a"), fn, state) == [{"n": 1}] * 3


def test_json() -> None:
    def body(state: mt.ValueState, ctx: mt.Context) -> Any:
        state.set_json({"a": (1, 2), 3: None, True: 1.5})
        return state.get_json()

    expected = {"a": [1, 2], "3": None, "true": 1.5}
    assert in_callback(body) == expected
    assert in_callback(body, dtype=str) == expected
    assert in_callback(body, dtype=bytes) == expected
    for dtype in (None, str):
        with pytest.raises(mt.StateTypeError, match="state 's'"):
            in_callback(lambda state, ctx: state.set_json({"a": b"x"}), dtype=dtype)


def test_use_outside_of_a_callback() -> None:
    state = mt.ValueState("lonely", int)
    for use in (state.get, state.clear, state.exists, state.get_json, lambda: state.set(1)):
        with pytest.raises(mt.StateAccessError, match="'lonely' was used outside of a callback"):
            use()
    run(rows("a"), lambda key, batch, row, ctx: state.set(1), state)
    with pytest.raises(mt.StateAccessError):
        state.get()


def test_use_in_open_and_of_an_undeclared_state() -> None:
    class Early(mt.ProcessFunction):
        n = mt.ValueState("n", int)

        def open(self, ctx: mt.Context) -> None:
            self.n.get()

        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None: ...

    with pytest.raises(mt.StateAccessError, match="'n'"):
        run(rows("a"), Early())
    other = mt.ValueState("other")
    with pytest.raises(mt.StateAccessError, match="'other'"):
        run(rows("a"), lambda key, batch, row, ctx: other.get())
    with pytest.raises(mt.StateAccessError, match="there is no state 'x'"):
        run(rows("a"), lambda key, batch, row, ctx: ctx.state("x"))


@pytest.mark.parametrize(
    "state", [mt.ValueState("a"), mt.ValueState("b", int, default=3), mt.ValueState("c", "decimal128(10, 2)")]
)
def test_declarations_are_values(state: mt.ValueState) -> None:
    for other in (copy.deepcopy(state), copy.copy(state), pickle.loads(pickle.dumps(state))):
        assert other is not state
        assert (other.name, other.dtype, other.default) == (state.name, state.dtype, state.default)
        assert repr(other) == repr(state)


def test_bad_declarations() -> None:
    for args, kwargs, message in (
        (("",), {}, "not empty"),
        ((3,), {}, "is a str"),
        (("x", "int128"), {}, "no type that martlet knows"),
        (("x", list[int]), {}, "leave dtype out"),
        (("x", "null"), {}, "cannot be state"),
    ):
        with pytest.raises(mt.ConfigError, match=message):
            mt.ValueState(*args, **kwargs)  # type: ignore[arg-type]
    with pytest.raises(mt.StateTypeError, match="default of state 'x'"):
        mt.ValueState("x", int, default="a")
