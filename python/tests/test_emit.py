"""ctx.emit: its forms, the output's schema, and what does not fit."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from helpers import in_callback, rows, run

import martlet as mt


def emitting(*values: Any, **fields: Any) -> Any:
    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(*values, **fields)

    return fn


def test_fields_dict_record_and_record_with_fields() -> None:
    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(batch, x=1.5)
        ctx.emit(i=batch["i"], x=2.5, k=key)
        ctx.emit({"x": 3.5, "k": key})
        ctx.emit(batch, i=-1)

    assert run(rows("a"), fn) == [
        {"k": "a", "i": 0, "x": 1.5},
        {"k": "a", "i": 0, "x": 2.5},
        {"k": "a", "i": None, "x": 3.5},
        {"k": "a", "i": -1, "x": None},
    ]


def test_a_field_replaces_a_column_and_its_type() -> None:
    assert run(rows("a"), lambda key, batch, row, ctx: ctx.emit(batch, k=batch["i"])) == [{"k": 0, "i": 0}]


def test_more_call_sites_than_plans() -> None:
    source = "\n".join(f"    ctx.emit(n={i}, s{i % 3}='x')" for i in range(40))
    namespace: dict[str, Any] = {}
    exec(f"def fn(key, batch, row, ctx):\n{source}", namespace)
    output = {"n": int, "s0": str, "s1": str, "s2": str}
    got = run(rows("a", "b"), namespace["fn"], output=output)
    assert [row["n"] for row in got] == [*range(40), *range(40)]
    assert got[4] == {"n": 4, "s0": None, "s1": "x", "s2": None}


def test_inferred_types() -> None:
    value = {
        "int": 1, "float": 1.5, "bool": True, "text": "x", "binary": b"x", "moment": dt.datetime(2024, 1, 1),
        "aware": dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "day": dt.date(2024, 1, 1),
        "time": dt.time(1), "delta": dt.timedelta(1),
        "money": Decimal("1.25"), "list": [1, None], "nested": {"a": [{"b": "c"}]}, "none": None,
    }  # fmt: skip
    out = mt.apply_process_function(mt.stream(rows(1)), "k", emitting(value))
    assert out.to_pylist() == [value]
    assert out.schema.types[:11] == (
        "int64", "float64", "bool", "utf8", "binary", "timestamp[us]", "timestamp[us, UTC]",
        "date32", "time64[us]", "duration[us]", "decimal128(38, 2)",
    )  # fmt: skip


def test_numpy_scalars() -> None:
    np = pytest.importorskip("numpy")
    value = {"i": np.int32(3), "f": np.float32(0.5), "d": np.float64(0.1), "b": np.bool_(True), "u": np.uint8(9)}
    assert run(rows(1), emitting(value)) == [{"i": 3, "f": 0.5, "d": 0.1, "b": True, "u": 9}]
    assert run(rows(1), emitting(value), output={"i": int, "f": float, "d": float, "b": bool, "u": "uint8"}) == [
        {"i": 3, "f": 0.5, "d": 0.1, "b": True, "u": 9}
    ]


def test_arrow_batches() -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"n": [1, 2, 3]})
    for value in (table, table.to_batches()[0], table.slice(0, 3), mt.RecordBatch(table.to_batches()[0])):
        assert run(rows(1, 2), emitting(value)) == [{"n": 1}, {"n": 2}, {"n": 3}] * 2
    assert run(rows(1), emitting(mt.RecordBatch(table.to_batches()[0]).slice(1, 1))) == [{"n": 2}]


def test_an_arrow_batch_between_rows_keeps_the_order() -> None:
    pa = pytest.importorskip("pyarrow")
    batch = pa.record_batch({"n": [10, 11]})

    def fn(key: Any, view: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(n=key)
        ctx.emit(batch)

    assert [row["n"] for row in run(rows(1, 2), fn)] == [1, 10, 11, 2, 10, 11]


def test_declared_output() -> None:
    pa = pytest.importorskip("pyarrow")
    for output in (
        {"n": "int32", "s": str},
        pa.schema([("n", pa.int32()), ("s", pa.string())]),
        mt.Schema({"n": "int32", "s": "utf8"}),
    ):
        out = mt.apply_process_function(mt.stream(rows(1)), "k", emitting(n=1), output=output)
        assert out.schema.types == ("int32", "utf8")
        assert out.to_arrow().schema.names == ["n", "s"]
        assert out.to_pylist() == [{"n": 1, "s": None}]


def test_a_declared_output_without_records_has_its_schema() -> None:
    pytest.importorskip("pyarrow")
    out = mt.apply_process_function(mt.stream(rows(1)), "k", lambda *args: None, output={"n": int})
    assert out.to_arrow().schema.names == ["n"]
    assert out.to_arrow().num_rows == 0


@pytest.mark.parametrize(
    ("second", "error", "message"),
    [
        ({"n": "abc"}, mt.SchemaError, "column 'n': expected int64, got str 'abc'"),
        ({"n": 1.5}, mt.SchemaError, "column 'n': expected int64, got float 1.5"),
        ({"n": True}, mt.SchemaError, "column 'n': expected int64, got bool True"),
        ({"n": 2**63}, mt.ValueRangeError, "column 'n': int 9223372036854775808 is outside the range of int64"),
        ({"m": 1}, mt.SchemaError, r"a field 'm' that the output has no column for; its columns are \('n',\)"),
        (3, mt.SchemaError, "emit\\(\\) takes a record view"),
    ],
)
def test_what_does_not_fit(second: Any, error: type[mt.MartletError], message: str) -> None:
    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        if batch["i"] == 0:
            ctx.emit(n=1)
        else:
            ctx.emit(second)

    with pytest.raises(error, match=message) as caught:
        run(rows("a", "u1"), fn)
    assert (caught.value.operator, caught.value.record, caught.value.key) == ("fn", 1, "'u1'")


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        ("timestamp[ms]", "use a datetime without a time zone, or declare the column as int64 for epoch milliseconds"),
        ("timestamp[ns, tz=UTC]", "use a datetime with a time zone, or declare the column as int64"),
        ("date32", "use a datetime.date"),
        ("time64[us]", "use a datetime.time"),
        ("duration[ms]", "use a datetime.timedelta"),
    ],
)
def test_an_int_is_no_time(kind: str, advice: str) -> None:
    with pytest.raises(mt.SchemaError, match=rf"column 't': expected .*, got int 3; {advice}"):
        run(rows("a"), lambda key, batch, row, ctx: ctx.emit(t=3), output={"t": kind})
    # What has nothing to do with time gets no such advice.
    with pytest.raises(mt.SchemaError, match=r"got str 'x' \("):
        run(rows("a"), lambda key, batch, row, ctx: ctx.emit(t="x"), output={"t": kind})


def test_timestamps_as_the_message_advises() -> None:
    epoch = dt.datetime(1970, 1, 1)

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        assert ctx.timestamp is not None
        at = epoch + dt.timedelta(milliseconds=ctx.timestamp)
        ctx.emit(ms=ctx.timestamp, naive=at, zoned=at.replace(tzinfo=dt.UTC))

    output = {"ms": "int64", "naive": "timestamp[ms]", "zoned": "timestamp[us, tz=UTC]"}
    at = epoch + dt.timedelta(milliseconds=1)
    expected = {"ms": 1, "naive": at, "zoned": at.replace(tzinfo=dt.UTC)}
    assert run(rows("a", "b"), fn, timestamp="i", output=output)[1] == expected


def test_an_int_in_a_state_of_times() -> None:
    def body(state: mt.ValueState, ctx: mt.Context) -> None:
        with pytest.raises(mt.StateTypeError, match=r"got int 5; use a datetime, or dtype=int for epoch milliseconds"):
            state.set(5)

    in_callback(body, dtype=dt.datetime)


def test_a_failed_emission_leaves_no_half_row() -> None:
    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        for value in ("x", [1, "x"], {"b": "x"}):
            with pytest.raises(mt.SchemaError):
                ctx.emit(a=1, xs=[1, 2], n=value, s={"b": 1})
        ctx.emit(a=2, xs=[3], n=4, s={"b": 5})

    output = {"a": int, "xs": list[int], "n": int, "s": {"b": int}}
    assert run(rows(1, 2), fn, output=output) == [{"a": 2, "xs": [3], "n": 4, "s": {"b": 5}}] * 2


def test_emit_inside_of_emit_and_outside_of_callbacks() -> None:
    kept: list[mt.Context] = []

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        class Sneaky:
            def __index__(self) -> int:
                ctx.emit(n=2)
                return 1

        kept.append(ctx)
        ctx.emit(n=0)
        with pytest.raises(mt.BusyError):
            ctx.emit(n=Sneaky())

    assert run(rows(1), fn) == [{"n": 0}]
    with pytest.raises(mt.StateAccessError):
        kept[0].emit(n=1)
    with pytest.raises(mt.StateAccessError):
        _ = kept[0].timestamp

    class Opens(mt.ProcessFunction):
        def open(self, ctx: mt.Context) -> None:
            ctx.emit(n=1)

        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None: ...

    with pytest.raises(mt.StateAccessError, match="on_event and on_timer only"):
        run(rows(1), Opens())


def test_none_first_needs_a_declaration() -> None:
    with pytest.raises(mt.SchemaError, match=r"column 'n': expected null, got int 1; .*declare it with output="):
        run(rows("a", "b"), lambda key, batch, row, ctx: ctx.emit(n=batch["i"] or None))
