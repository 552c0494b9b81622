"""Every Arrow type: as a record's value, through emission by reference, by value and by cell, and back out."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

import martlet as mt

pa = pytest.importorskip("pyarrow")
UTC = dt.UTC
FIXED = dt.timezone(dt.timedelta(hours=1))

CASES: list[tuple[Any, list[Any]]] = [
    (pa.int8(), [-128, None, 127]),
    (pa.int16(), [-32768, None, 32767]),
    (pa.int32(), [-(2**31), None, 2**31 - 1]),
    (pa.int64(), [-(2**63), None, 2**63 - 1]),
    (pa.uint8(), [0, None, 255]),
    (pa.uint16(), [0, None, 65535]),
    (pa.uint32(), [0, None, 2**32 - 1]),
    (pa.uint64(), [0, None, 2**64 - 1]),
    (pa.float16(), [0.5, None, -2.0]),
    (pa.float32(), [0.5, None, -1.25]),
    (pa.float64(), [0.1, None, -0.0]),
    (pa.bool_(), [True, None, False]),
    (pa.string(), ["", None, "žluť 🐎 and something longer than twelve bytes"]),
    (pa.large_string(), ["a", None, "bc"]),
    (pa.string_view(), ["short", None, "longer than twelve bytes"]),
    (pa.binary(), [b"", None, b"\0\xff"]),
    (pa.large_binary(), [b"x", None, b"yz"]),
    (pa.binary_view(), [b"x", None, b"longer than twelve bytes"]),
    (pa.binary(3), [b"abc", None, b"\0\1\2"]),
    (pa.date32(), [dt.date(1, 1, 1), None, dt.date(9999, 12, 31)]),
    (pa.date64(), [dt.date(1969, 12, 31), None, dt.date(2024, 2, 29)]),
    (pa.time32("s"), [dt.time(0), None, dt.time(23, 59, 59)]),
    (pa.time32("ms"), [dt.time(0), None, dt.time(23, 59, 59, 999_000)]),
    (pa.time64("us"), [dt.time(0), None, dt.time(23, 59, 59, 999_999)]),
    (pa.time64("ns"), [dt.time(0), None, dt.time(1, 2, 3, 4)]),
    (pa.timestamp("s"), [dt.datetime(1, 1, 1), None, dt.datetime(9999, 12, 31, 23, 59, 59)]),
    (pa.timestamp("ms"), [dt.datetime(1969, 12, 31, 23, 59, 59, 999_000), None, dt.datetime(2024, 1, 1)]),
    (pa.timestamp("us"), [dt.datetime(1969, 12, 31, 23, 59, 59, 999_999), None, dt.datetime(2024, 1, 1)]),
    (pa.timestamp("ns"), [dt.datetime(1700, 1, 1), None, dt.datetime(2024, 1, 1, 1, 1, 1, 1)]),
    (pa.timestamp("us", "UTC"), [dt.datetime(2024, 1, 1, tzinfo=UTC), None, dt.datetime(1900, 1, 1, tzinfo=UTC)]),
    (
        pa.timestamp("ms", "+01:00"),
        [dt.datetime(2024, 1, 1, 12, tzinfo=FIXED), None, dt.datetime(1960, 1, 1, tzinfo=FIXED)],
    ),
    (pa.duration("s"), [dt.timedelta(days=-1), None, dt.timedelta(seconds=5)]),
    (pa.duration("ns"), [dt.timedelta(microseconds=-1), None, dt.timedelta(days=5, microseconds=3)]),
    (pa.decimal128(38, 9), [Decimal("-1.000000001"), None, Decimal("12345678901234567890123456789.123456789")]),
    (pa.decimal128(5, 0), [Decimal("-99999"), None, Decimal("0")]),
    (pa.decimal256(76, 2), [Decimal("-" + "9" * 74 + ".99"), None, Decimal("0.01")]),
    (pa.list_(pa.int64()), [[], None, [1, None, 3]]),
    (pa.large_list(pa.string()), [["a"], None, [None, "b"]]),
    (pa.list_(pa.int32(), 2), [[1, 2], None, [3, None]]),
    (pa.struct([("a", pa.int64()), ("b", pa.string())]), [{"a": 1, "b": "x"}, None, {"a": None, "b": None}]),
    (pa.map_(pa.string(), pa.int64()), [[("a", 1), ("b", None)], None, []]),
    (pa.list_(pa.struct([("x", pa.list_(pa.float64()))])), [[{"x": [1.0]}, None], None, [{"x": None}]]),
    (pa.null(), [None, None, None]),
    (pa.dictionary(pa.int8(), pa.string()), ["a", None, "a"]),
]
IDS = [str(dtype) for dtype, _ in CASES]


def table_of(dtype: Any, values: list[Any]) -> Any:
    # A slice from the middle: offsets in every buffer.
    padded = pa.array([values[0], *values, values[0]], dtype).slice(1, len(values))
    return pa.table({"k": pa.array(range(len(values))), "v": padded})


@pytest.mark.parametrize(("dtype", "values"), CASES, ids=IDS)
def test_reading(dtype: Any, values: list[Any]) -> None:
    seen: list[Any] = []

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        seen.append(batch["v"])
        assert repr(batch.column("v")[row]) == repr(batch["v"]) == repr(batch.to_dict()["v"])

    mt.apply_process_function(mt.stream(table_of(dtype, values)), "k", fn).run()
    assert seen == values
    assert [type(value) for value in seen] == [type(value) for value in values]


def by_reference(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
    ctx.emit(batch)


def by_cell(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
    ctx.emit(batch, extra=key)


def by_value(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
    ctx.emit(k=key, v=batch["v"])


def by_batch(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
    ctx.emit(pa.record_batch(batch))


@pytest.mark.parametrize("fn", [by_reference, by_cell, by_value, by_batch])
@pytest.mark.parametrize(("dtype", "values"), CASES, ids=IDS)
def test_emitting(dtype: Any, values: list[Any], fn: Any) -> None:
    table = table_of(dtype, values)
    output = table.schema if fn is by_value else None
    out = mt.apply_process_function(mt.stream(table), "k", fn, output=output).to_arrow()
    out.validate(full=True)
    assert out.column("v").to_pylist() == values
    assert out.column("v").type == dtype


@pytest.mark.parametrize(("dtype", "values"), CASES, ids=IDS)
def test_batches_without_a_function(dtype: Any, values: list[Any]) -> None:
    table = table_of(dtype, values)
    stream = mt.stream(table)
    assert stream.to_arrow().equals(table)
    assert [row["v"] for row in stream.to_pylist()] == values
    (batch,) = list(stream)
    assert batch["v"].to_pylist() == list(batch["v"]) == values
    assert pa.array(batch.slice(1)["v"]).to_pylist() == values[1:]
    assert pa.record_batch(batch[1:2]).num_rows == 1


def test_zones() -> None:
    zoneinfo = pytest.importorskip("zoneinfo")
    zone = zoneinfo.ZoneInfo("Europe/Prague")
    moment = dt.datetime(2024, 7, 1, 12, tzinfo=zone)
    (row,) = mt.stream(pa.table({"t": pa.array([moment], pa.timestamp("us", "Europe/Prague"))})).to_pylist()
    assert row["t"] == moment
    assert row["t"].tzinfo == zone
    assert row["t"].hour == 12


def test_nanoseconds_are_floored() -> None:
    (row,) = mt.stream(pa.table({"t": pa.array([-1], pa.timestamp("ns"))})).to_pylist()
    assert row["t"] == dt.datetime(1969, 12, 31, 23, 59, 59, 999_999)


def test_times_that_python_cannot_show() -> None:
    table = pa.table({"t": pa.array([2**62], pa.timestamp("s"))})
    with pytest.raises(mt.ValueRangeError, match=r"column 't'.*years 1 to 9999"):
        mt.stream(table).to_pylist()
    assert mt.stream(table).to_arrow().equals(table)


def test_schema() -> None:
    schema = mt.Schema(
        {"n": int, "t": "timestamp[ms, UTC]", "xs": list[float], "s": {"a": str}, "p": pa.decimal128(5, 2)}
    )
    assert schema.names == ("n", "t", "xs", "s", "p")
    assert schema.types[:2] == ("int64", "timestamp[ms, UTC]")
    assert schema == mt.Schema(pa.schema(schema))
    assert schema != mt.Schema({"n": int})
    assert hash(schema) == hash(mt.Schema(schema))
    assert pa.schema(schema).field("xs").type == pa.list_(pa.float64())
    assert "n: int64" in repr(schema)
