"""Every type that pyarrow can make crosses the C interface and comes back equal, and what builders make is valid Arrow.

Talks to libmartlet through ctypes, so that nothing but the C interface is under test.
"""

from __future__ import annotations

import ctypes
import datetime as dt
import decimal
import random
from pathlib import Path
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow")

LIBRARY = Path(__file__).resolve().parents[1] / "martlet" / "libmartlet.so"


class Error(ctypes.Structure):
    _fields_ = (
        ("status", ctypes.c_int32),
        ("record", ctypes.c_int64),
        ("operator_name", ctypes.c_char * 128),
        ("key", ctypes.c_char * 256),
        ("message", ctypes.c_char * 1600),
    )


COLUMN_SIZE = 144  # sizeof(martlet_column)


class Engine:
    """The functions of martlet.h that this test calls, with errors as exceptions."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(str(LIBRARY))
        self.library.martlet_batch_num_rows.restype = ctypes.c_int64
        for name in ("martlet_builder_appender", "martlet_batch_columns"):
            getattr(self.library, name).restype = ctypes.c_void_p

    def call(self, name: str, *arguments: object) -> None:
        error = Error()
        if getattr(self.library, name)(*arguments, ctypes.byref(error)) != 0:
            raise RuntimeError(f"{name}: {error.message.decode()}")

    def load(self, batch: Any) -> ctypes.c_void_p:
        array, schema, handle = ctypes.create_string_buffer(80), ctypes.create_string_buffer(72), ctypes.c_void_p()
        batch._export_to_c(ctypes.addressof(array), ctypes.addressof(schema))
        self.call("martlet_batch_import", array, schema, ctypes.byref(handle))
        return handle

    def store(self, handle: ctypes.c_void_p, offset: int, length: int) -> Any:
        array, schema = ctypes.create_string_buffer(80), ctypes.create_string_buffer(72)
        self.call("martlet_batch_export", handle, ctypes.c_int64(offset), ctypes.c_int64(length), array)
        self.call("martlet_batch_export_schema", handle, schema)
        batch = pa.RecordBatch._import_from_c(ctypes.addressof(array), ctypes.addressof(schema))
        batch.validate(full=True)
        return batch

    def store_column(self, handle: ctypes.c_void_p, column: int, offset: int, length: int) -> Any:
        array, schema = ctypes.create_string_buffer(80), ctypes.create_string_buffer(72)
        numbers = (ctypes.c_int64(column), ctypes.c_int64(offset), ctypes.c_int64(length))
        self.call("martlet_batch_export_column", handle, *numbers, array, schema)
        result = pa.Array._import_from_c(ctypes.addressof(array), ctypes.addressof(schema))
        result.validate(full=True)
        return result

    def rebuild(self, handle: ctypes.c_void_p, schema: Any, rows: list[int]) -> Any:
        """Those rows, copied cell by cell through a builder."""
        moved, builder, out = ctypes.create_string_buffer(72), ctypes.c_void_p(), ctypes.c_void_p()
        schema._export_to_c(ctypes.addressof(moved))
        self.call("martlet_builder_create", moved, ctypes.byref(builder))
        columns = self.library.martlet_batch_columns(handle)
        for row in rows:
            for number in range(len(schema)):
                appender = ctypes.c_void_p(self.library.martlet_builder_appender(builder, ctypes.c_int64(number)))
                column = ctypes.c_void_p(columns + number * COLUMN_SIZE)
                self.call("martlet_append_cell", appender, column, ctypes.c_int64(row))
            self.call("martlet_builder_end_row", builder)
        self.call("martlet_builder_finish", builder, ctypes.byref(out))
        self.library.martlet_builder_free(builder)
        result = self.store(out, 0, self.library.martlet_batch_num_rows(out))
        self.library.martlet_batch_release(out)
        return result


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


UTC = dt.timezone.utc  # noqa: UP017 (as pyarrow spells it)
FLAT = [
    *(pa.null(), pa.bool_(), pa.float16(), pa.float32(), pa.float64()),
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()),
    *(pa.binary(5), pa.binary(1), pa.binary(0), pa.date32(), pa.date64()),
    *(pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")),
    *(pa.timestamp("s"), pa.timestamp("ms", "UTC"), pa.timestamp("us", "Europe/Berlin"), pa.timestamp("ns")),
    *(pa.duration("s"), pa.duration("ns"), pa.month_day_nano_interval(), pa.decimal128(20, 3), pa.decimal256(50, 2)),
]
DICTIONARIES = [
    *(pa.dictionary(index, pa.string()) for index in (pa.int8(), pa.uint16(), pa.int32(), pa.int64())),
    pa.dictionary(pa.int64(), pa.int64()),
    pa.dictionary(pa.int32(), pa.binary(3)),
    pa.dictionary(pa.int32(), pa.string(), ordered=True),
]


def around(inner: Any) -> list[Any]:
    return [
        *(pa.list_(inner), pa.large_list(inner), pa.list_(inner, 2), pa.map_(pa.string(), inner)),
        pa.struct([("a", inner), ("b", pa.int32())]),
    ]


NESTED = [kind for inner in FLAT + DICTIONARIES for kind in around(inner)]
TWICE = [kind for once in around(pa.string()) + around(DICTIONARIES[0]) for kind in around(once)]


def value(kind: Any, rng: random.Random, nulls: float = 0.25) -> Any:
    """A random value of that type."""
    t = pa.types
    if t.is_null(kind) or rng.random() < nulls:
        return None
    if t.is_dictionary(kind):
        return value(kind.value_type, rng, 0)
    if t.is_boolean(kind):
        return rng.random() < 0.5
    if t.is_integer(kind):
        low = 0 if t.is_unsigned_integer(kind) else -(1 << (kind.bit_width - 1))
        return rng.randint(low, low + (1 << kind.bit_width) - 1)
    if t.is_floating(kind):
        return float(rng.randint(-100, 100))
    if t.is_decimal(kind):
        return decimal.Decimal(rng.randint(-(10**6), 10**6)).scaleb(-kind.scale)
    if kind in (pa.string(), pa.large_string(), pa.string_view()):
        return "é" * rng.randint(0, 12) + str(rng.randint(0, 9))
    if t.is_fixed_size_binary(kind):
        return rng.randbytes(kind.byte_width)
    if kind in (pa.binary(), pa.large_binary(), pa.binary_view()):
        return rng.randbytes(rng.randint(0, 20))
    if t.is_date(kind):
        return dt.date(1970, 1, 1) + dt.timedelta(days=rng.randint(-1000, 1000))
    if t.is_time(kind):
        return dt.time(rng.randint(0, 23), 1, 2)
    if t.is_timestamp(kind):
        start = dt.datetime(2020, 1, 1, tzinfo=UTC if kind.tz else None)
        return start + dt.timedelta(seconds=rng.randint(0, 10**6))
    if t.is_duration(kind):
        return dt.timedelta(seconds=rng.randint(-(10**6), 10**6))
    if t.is_interval(kind):
        return pa.MonthDayNano([rng.randint(0, 9), 2, 3])
    if t.is_map(kind):
        return [(value(kind.key_type, rng, 0), value(kind.item_type, rng)) for _ in range(rng.randint(0, 3))]
    if t.is_struct(kind):
        return {field.name: value(field.type, rng) for field in kind}
    count = kind.list_size if t.is_fixed_size_list(kind) else rng.randint(0, 3)
    return [value(kind.value_type, rng) for _ in range(count)]


@pytest.mark.parametrize("kind", FLAT + DICTIONARIES + NESTED + TWICE, ids=str)
def test_every_type_comes_back(engine: Engine, kind: Any) -> None:
    rng = random.Random(1)
    column = pa.array([value(kind, rng) for _ in range(30)], type=kind)
    fields = [pa.field("x", kind), pa.field("i", pa.int64())]
    rows = pa.StructArray.from_arrays([column, pa.array(range(30))], fields=fields)
    for offset, length in [(0, 30), (3, 20), (7, 0), (29, 1)]:
        numbers = pa.array(range(length), pa.int64())
        plain = pa.record_batch([column.slice(offset, length), numbers], names=["x", "i"])
        for batch in (plain, pa.RecordBatch.from_struct_array(rows.slice(offset, length))):
            expected = batch.to_pylist()
            handle = engine.load(batch)
            back = engine.store(handle, 0, length)
            assert back.schema.equals(batch.schema, check_metadata=True)
            assert back.to_pylist() == expected
            if length > 2:
                assert engine.store(handle, 1, length - 2).to_pylist() == expected[1:-1]
                assert engine.store_column(handle, 0, 1, length - 2).to_pylist() == batch.column(0).to_pylist()[1:-1]
            picked = [rng.randrange(length) for _ in range(2 * length)] if length else []
            rebuilt = engine.rebuild(handle, batch.schema, picked)
            assert rebuilt.schema.equals(batch.schema, check_metadata=True)
            assert rebuilt.to_pylist() == [expected[row] for row in picked]
            engine.library.martlet_batch_release(handle)
