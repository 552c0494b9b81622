"""Keys: which columns can be one, what the function gets, and when two keys are the same."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from helpers import Counter, rows, run

import martlet as mt


def keys_seen(source: Any, key: Any = "k", config: Any = None) -> list[Any]:
    seen: list[Any] = []
    stream = mt.stream(source)
    mt.apply_process_function(stream, key, lambda key, batch, row, ctx: seen.append(key), config=config).run()
    return seen


UTC = dt.UTC
KEYS = [
    [1, -1, 2**62],
    ["a", "", "žlutá"],
    [b"a", b"", b"\xff\0"],
    [True, False, True],
    [dt.date(2024, 1, 1), dt.date(1960, 1, 1)],
    [dt.datetime(2024, 1, 1, 1, 2, 3, 4), dt.datetime(1960, 1, 1)],
    [dt.datetime(2024, 1, 1, tzinfo=UTC), dt.datetime(1960, 1, 1, tzinfo=UTC)],
    [Decimal("1.50"), Decimal("-2.25")],
]


@pytest.mark.parametrize("keys", KEYS, ids=lambda keys: type(keys[0]).__name__)
def test_natural_values(keys: list[Any]) -> None:
    seen = keys_seen([{"k": key} for key in [*keys, *keys]])
    assert seen == [*keys, *keys]
    assert {type(key) for key in seen} == {type(keys[0])}


@pytest.mark.parametrize(
    "name",
    [
        "int8",
        "int16",
        "int32",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "large_string",
        "string_view",
        "large_binary",
        "binary_view",
        "date64",
    ],
)
def test_other_types(name: str) -> None:
    pa = pytest.importorskip("pyarrow")
    dtype = getattr(pa, name)()
    value: Any = (
        b"key"
        if "binary" in name
        else "key"
        if "string" in name
        else dt.date(2024, 1, 1)
        if "date" in name
        else 2 ** (int(name.strip("uint")) - (0 if "u" in name else 1)) - 1
    )
    assert keys_seen(pa.table({"k": pa.array([value, value], dtype)})) == [value, value]


def test_dictionary_encoded_keys() -> None:
    pa = pytest.importorskip("pyarrow")
    batches = [pa.record_batch({"k": pa.array(values).dictionary_encode()}) for values in (["a", "b"], ["b", "a", "b"])]
    assert [row["n"] for row in run(batches, Counter())] == [1, 1, 2, 2, 3]


def test_composite_keys() -> None:
    records = [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 1, "b": "x"}]
    assert keys_seen(records, ["a", "b"]) == [(1, "x"), (1, "y"), (1, "x")]

    class Count(mt.ProcessFunction):
        count = mt.ValueState("count", int, default=0)

        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            self.count.set(self.count.get() + 1)
            ctx.emit(a=ctx.key[0], b=key[1], n=self.count.get())

    assert [row["n"] for row in mt.stream(records).key_by("a", "b").process(Count()).to_pylist()] == [1, 1, 2]


def test_composite_keys_do_not_run_together() -> None:
    records = [{"a": "x", "b": "yz"}, {"a": "xy", "b": "z"}, {"a": "", "b": "xyz"}]
    stream = mt.stream(records)
    out = mt.apply_process_function(
        stream, ("a", "b"), lambda key, batch, row, ctx: ctx.state("s").set(1), mt.ValueState("s")
    )
    assert out.run().keys == 3


def test_keys_whose_state_is_cleared_cost_nothing_and_are_told_apart() -> None:
    seen: list[Any] = []
    state = mt.ValueState("s", int)

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        assert state.get() is None
        seen.append((key, ctx.key))
        state.set(1)
        state.clear()

    out = mt.apply_process_function(mt.stream(rows(*(f"key{i}" for i in range(100)))), "k", fn, state)
    assert out.run().keys == 0
    assert seen == [(f"key{i}", f"key{i}") for i in range(100)]


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_float_keys(name: str) -> None:
    pa = pytest.importorskip("pyarrow")
    with pytest.raises(mt.KeyTypeError, match="k") as caught:
        keys_seen(pa.table({"k": pa.array([1.0], getattr(pa, name)())}))
    assert isinstance(caught.value, TypeError)
    with pytest.raises(mt.KeyTypeError):
        keys_seen([{"k": [1]}])


def test_null_keys() -> None:
    with pytest.raises(mt.NullKeyError) as caught:
        keys_seen(rows("a", None))
    assert caught.value.record == 1
    assert keys_seen(rows("a", None, "b"), config=mt.Config(null_keys="drop")) == ["a", "b"]
    out = mt.apply_process_function(mt.stream(rows("a", None)), "k", Counter(), config=mt.Config(null_keys="drop"))
    assert out.run().null_keys == 1


def test_a_missing_column() -> None:
    with pytest.raises(mt.MissingColumnError, match=r"key column 'nope'; the columns are 'k', 'i' \(op") as caught:
        keys_seen(rows("a"), "nope")
    assert isinstance(caught.value, (mt.SchemaError, KeyError))
    records = [{"user_id": 1, "amount": 2}]
    with pytest.raises(mt.MissingColumnError, match=r"'userid' \(did you mean 'user_id'\?\); the columns are"):
        keys_seen(records, "userid")
    with pytest.raises(mt.MissingColumnError, match="'amout'"):
        keys_seen(records, ("user_id", "amout"))


@pytest.mark.parametrize("key", [(), [], ("k", "k"), (1,), 3])
def test_bad_keys(key: Any) -> None:
    with pytest.raises(mt.ConfigError, match="key"):
        mt.apply_process_function(mt.stream(rows("a")), key, Counter())


def test_keyed_streams() -> None:
    stream = mt.stream(rows("a", "a"))
    keyed = stream.key_by("k")
    assert keyed.key == ("k",)
    assert mt.apply_process_function(keyed, None, Counter()).to_pylist() == keyed.process(Counter()).to_pylist()
    with pytest.raises(mt.ConfigError, match="keyed by k already"):
        mt.apply_process_function(keyed, "k", Counter())
    with pytest.raises(mt.ConfigError, match="has no key"):
        mt.apply_process_function(stream, None, Counter())
    with pytest.raises(mt.ConfigError, match=r"make one with martlet.stream"):
        mt.apply_process_function(rows("a"), "k", Counter())  # type: ignore[arg-type]
