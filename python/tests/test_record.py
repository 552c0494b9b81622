"""The one-row view."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import rows, run

import martlet as mt


def test_the_view() -> None:
    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        assert row == 0
        assert batch.num_rows == len(batch) == 1
        assert batch.num_columns == 2
        assert batch["k"] == batch.column("k")[row] == batch.column("k")[-1] == key
        assert list(batch) == batch.keys() == ["k", "i"]
        assert dict(batch) == batch.to_dict() == {"k": key, "i": batch["i"]}
        assert "k" in batch
        assert "nope" not in batch
        assert repr(batch) == f"Record({batch.to_dict()!r})"
        assert batch.schema == mt.Schema({"k": str, "i": int})
        assert len(batch.column("i")) == 1
        dynamic = "".join(["k"])
        assert batch[dynamic] == key
        ctx.emit(batch)

    assert run(rows("a", "b"), fn) == rows("a", "b")


def test_views_that_are_kept_stay_valid() -> None:
    kept: list[Any] = []
    columns: list[mt.Column] = []

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        if batch["i"] % 2 == 0:
            kept.append(batch)
        else:
            columns.append(batch.column("i"))

    run((row for row in rows(*range(100))), fn)
    run(rows(*range(100)), fn)
    assert [view["i"] for view in kept] == [*range(0, 100, 2)] * 2
    assert [column[0] for column in columns] == [*range(1, 100, 2)] * 2


def test_views_that_are_not_kept_are_reused() -> None:
    seen: set[int] = set()
    run(rows(*range(1000)), lambda key, batch, row, ctx: seen.add(id(batch)))
    assert len(seen) == 1


def test_a_kept_view_can_be_emitted_later() -> None:
    kept: list[Any] = []

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        kept.append(batch)
        if len(kept) == 3:
            for view in reversed(kept):
                ctx.emit(view)

    assert run((row for row in rows("a", "b", "c")), fn) == rows("a", "b", "c")[::-1]


def test_missing_columns() -> None:
    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        for look in (lambda: batch["nope"], lambda: batch.column("nope")):
            with pytest.raises(KeyError, match=r"there is no column 'nope'; the columns are \('k', 'i'\)"):
                look()
        with pytest.raises(TypeError, match="found by its name"):
            batch[0]  # type: ignore[index]
        ctx.emit(batch["nope"])

    with pytest.raises(mt.MissingColumnError) as caught:
        run(rows("a"), fn)
    assert isinstance(caught.value, mt.SchemaError)
    assert isinstance(caught.value, KeyError)
    assert caught.value.record == 0


def test_arrow_of_a_view() -> None:
    pa = pytest.importorskip("pyarrow")

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        assert pa.record_batch(batch).to_pylist() == [batch.to_dict()]
        assert pa.schema(batch).names == ["k", "i"]
        assert pa.array(batch.column("i")).to_pylist() == [batch["i"]]

    run(rows("a", "b"), fn)


def test_batches() -> None:
    (batch,) = mt.stream(rows("a", "b", "c"))
    assert len(batch) == batch.num_rows == 3
    assert batch.to_pydict() == {"k": ["a", "b", "c"], "i": [0, 1, 2]}
    assert batch.slice(1, 1).to_pylist() == batch[1:2].to_pylist() == [{"k": "b", "i": 1}]
    assert batch.slice(5).to_pylist() == []
    assert repr(batch) == "RecordBatch(3 rows, Schema(k: utf8, i: int64))"
    assert repr(batch["i"]) == "Column('i': int64, 3 rows: [0, 1, 2])"
    assert batch["i"][1:].to_pylist() == [1, 2]
    with pytest.raises(IndexError):
        batch["i"][3]
    with pytest.raises(ValueError, match="both count rows from 0"):
        batch.slice(-1)
    with pytest.raises(TypeError, match="__arrow_c_array__"):
        mt.RecordBatch([1])
