"""Random schemas, slices, nulls and batch boundaries against a naive model in plain Python."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import martlet as mt
from martlet._engine import decode_value, encode_value

pa = pytest.importorskip("pyarrow")

TYPES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint32(), st.integers(0, 2**32 - 1)),
    (pa.float64(), st.floats(allow_nan=False)),
    (pa.bool_(), st.booleans()),
    (pa.string(), st.text(max_size=20)),
    (pa.large_string(), st.text(max_size=5)),
    (pa.string_view(), st.text(max_size=20)),
    (pa.binary(), st.binary(max_size=20)),
    (pa.date32(), st.dates()),
    (pa.timestamp("us"), st.datetimes()),
    (pa.decimal128(20, 3), st.decimals(-(10**16), 10**16, places=3)),
    (pa.list_(pa.int32()), st.lists(st.none() | st.integers(-5, 5), max_size=4)),
    (
        pa.struct([("a", pa.string()), ("b", pa.int64())]),
        st.fixed_dictionaries({"a": st.none() | st.text(max_size=3), "b": st.none() | st.integers(0, 9)}),
    ),
    (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["x", "y", "zz"])),
]
KEY_TYPES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (pa.int64(), st.integers(-3, 3)),
    (pa.uint8(), st.integers(0, 4)),
    (pa.string(), st.sampled_from(["", "a", "b", "ab", "\0", "č"])),
    (pa.binary(), st.sampled_from([b"", b"a", b"\0", b"ab"])),
    (pa.bool_(), st.booleans()),
    (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["p", "q"])),
]


@st.composite
def inputs(draw: st.DrawFn) -> tuple[Any, list[int]]:
    """A table with key, time and value columns, cut out of a larger one, and the lengths of its batches."""
    n = draw(st.integers(0, 25))
    before, after = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    total = before + n + after

    def column(dtype: Any, values: st.SearchStrategy[Any], nulls: bool) -> Any:
        return pa.array(draw(st.lists(st.none() | values if nulls else values, min_size=total, max_size=total)), dtype)

    columns = {
        "k": column(*draw(st.sampled_from(KEY_TYPES)), False),
        "t": column(pa.int64(), st.integers(0, 60), False),
        "x": column(pa.int64(), st.integers(-100, 100), False),
    }
    for i in range(draw(st.integers(0, 3))):
        columns[f"v{i}"] = column(*draw(st.sampled_from(TYPES)), True)
    lengths: list[int] = []
    while sum(lengths) < n:
        lengths.append(min(draw(st.integers(0, 7)), n - sum(lengths)))
    return pa.table(columns).slice(before, n), lengths


def batches_of(table: Any, lengths: list[int]) -> list[Any]:
    batch = (
        table.combine_chunks().to_batches()[0]
        if table.num_rows
        else pa.RecordBatch.from_pylist([], schema=table.schema)
    )
    result, start = [], 0
    for length in lengths:
        result.append(batch.slice(start, length))
        start += length
    return result or [batch]


class Sums(mt.ProcessFunction):
    """Sums x by key, tells the sum with the record, and tells and clears it 10 ms after the key's last record."""

    total = mt.ValueState("total", int)
    last = mt.ValueState("last")

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.total.set((self.total.get() or 0) + batch["x"])
        due = self.last.get()
        if due is not None:
            ctx.delete_event_time_timer(due)
        self.last.set(batch["t"] + 10)
        ctx.register_event_time_timer(batch["t"] + 10)
        ctx.emit(batch, sum=self.total.get(), fired=None if ctx.timestamp == batch["t"] else -1)

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        ctx.emit(sum=self.total.get(), fired=fire_time_ms)
        self.total.clear()
        self.last.clear()


def key_bytes(key: Any) -> Any:
    return key.encode() if isinstance(key, str) else key


def model(rows: list[dict[str, Any]], names: list[str], lag: int) -> list[dict[str, Any]]:
    """The same by dicts: the definition, not an implementation."""
    sums: dict[Any, int] = {}
    due: dict[Any, int] = {}
    out: list[dict[str, Any]] = []
    top: int | None = None

    def fire(watermark: float) -> None:
        while ready := [(time, key_bytes(key), key) for key, time in due.items() if time <= watermark]:
            time, _, key = min(ready, key=lambda one: one[:1])
            out.append({**dict.fromkeys(names), "sum": sums.pop(key), "fired": time})
            del due[key]

    for row in rows:
        sums[row["k"]] = sums.get(row["k"], 0) + row["x"]
        due[row["k"]] = row["t"] + 10
        out.append({**row, "sum": sums[row["k"]], "fired": None})
        if top is None or row["t"] > top:  # what is registered in the past waits for the next advance
            top = row["t"]
            fire(top - lag - 1)
    fire(math.inf)
    return out


def unordered_timers(rows: list[dict[str, Any]]) -> list[Any]:
    """Timers that fire at one time in one pass come in the order of key bytes; the model leaves that order open."""
    result: list[Any] = []
    run: list[Any] = []
    for row in [*rows, None]:
        if row is not None and row["fired"] is not None and (not run or run[-1]["fired"] == row["fired"]):
            run.append(row)
            continue
        result.extend(sorted(run, key=lambda one: one["sum"]))
        run = []
        if row is not None:
            if row["fired"] is not None:
                run = [row]
            else:
                result.append(row)
    return result


@settings(deadline=None, max_examples=200)
@given(inputs(), st.integers(0, 20))
def test_the_same_output_for_every_chunking(case: tuple[Any, list[int]], lag: int) -> None:
    table, lengths = case
    fields = [*table.schema, pa.field("sum", pa.int64()), pa.field("fired", pa.int64())]

    def result(source: Any) -> Any:
        out = mt.stream(source, timestamp="t", watermark=lag).key_by("k").process(Sums(), output=pa.schema(fields))
        return out.to_pylist()

    whole = result(table)
    assert unordered_timers(whole) == unordered_timers(model(table.to_pylist(), table.column_names, lag))
    assert result(batches_of(table, lengths)) == whole
    assert result(batch for batch in batches_of(table, [1] * table.num_rows)) == whole
    assert result(table.to_reader(max_chunksize=3)) == whole


@settings(deadline=None, max_examples=100)
@given(inputs())
def test_rows_pass_through_unchanged(case: tuple[Any, list[int]]) -> None:
    table, lengths = case
    out = mt.stream(batches_of(table, lengths)).key_by("k").process(lambda key, batch, row, ctx: ctx.emit(batch))
    if table.num_rows:
        arrow = out.to_arrow()
        arrow.validate(full=True)
        assert arrow.to_pylist() == table.to_pylist()
        assert arrow.schema.equals(table.schema)
    assert mt.stream(table).to_pylist() == table.to_pylist()


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
KEYS = st.none() | st.integers() | st.text() | st.binary() | st.booleans() | st.floats(allow_nan=False)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
def test_dynamic_values_come_back(value: Any) -> None:
    # repr tells -0.0 from 0.0, True from 1, and shows NaN as itself.
    assert repr(decode_value(encode_value(value))) == repr(value)


@given(st.binary(max_size=40))
def test_foreign_bytes_are_an_error_at_worst(data: bytes) -> None:
    with contextlib.suppress(mt.EngineError, UnicodeDecodeError, TypeError):
        decode_value(data)


SIMPLE = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5) | st.binary(max_size=5)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.integers(-9, 9) | st.none(), min_size=1), max_size=30))
def test_lists_of_dicts(records: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for record in records for name in record))
    assert mt.stream(records).to_pylist() == [{name: record.get(name) for name in names} for record in records]
