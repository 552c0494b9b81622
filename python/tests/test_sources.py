"""What a stream can read, and how the same rows come out of each form of results."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import Counter, rows, run

import martlet as mt

RECORDS = [{"k": "a", "i": 0}, {"k": "b", "i": 1}, {"k": "a", "i": 2}]
COUNTED = [{"key": "a", "n": 1}, {"key": "b", "n": 1}, {"key": "a", "n": 2}]


def arrow_sources() -> Iterator[Any]:
    pa = pytest.importorskip("pyarrow")
    table = pa.Table.from_pylist(RECORDS)
    yield table
    yield table.to_batches()[0]
    yield table.to_reader()
    yield pa.chunked_array([table.to_struct_array().chunk(0)])
    yield [table.slice(0, 1), table.slice(1).to_batches()[0]]
    yield (batch for batch in table.to_batches(max_chunksize=1))
    yield (part for part in (table.slice(0, 2), table.slice(2)))
    yield mt.RecordBatch(table.to_batches()[0])
    yield mt.stream(table).to_arrow()
    yield pytest.importorskip("polars").from_arrow(table)
    yield pytest.importorskip("pandas").DataFrame(RECORDS)
    yield pytest.importorskip("duckdb").sql("from (values ('a', 0), ('b', 1), ('a', 2)) t(k, i)")


def test_arrow_sources() -> None:
    for source in arrow_sources():
        assert run(source, Counter()) == COUNTED, type(source)


@pytest.mark.parametrize("make", [list, tuple, iter, lambda rows: (row for row in rows)])
def test_dicts(make: Any) -> None:
    assert run(make(RECORDS), Counter()) == COUNTED


def test_a_list_of_dicts_is_inferred_as_a_whole() -> None:
    records = [{"k": 1, "x": None, "l": []}, {"k": 2, "x": 1}, {"k": 3, "x": 2.5, "extra": "e", "l": [1]}]
    stream = mt.stream(records)
    assert stream.to_pylist() == [
        {"k": 1, "x": None, "l": [], "extra": None},
        {"k": 2, "x": 1.0, "l": None, "extra": None},
        {"k": 3, "x": 2.5, "l": [1], "extra": "e"},
    ]
    assert stream.schema.names == ("k", "x", "l", "extra")


def test_values_without_a_common_type() -> None:
    with pytest.raises(mt.SchemaError, match=r"column 'x': values of int and str .*have no common type"):
        mt.stream([{"x": 1}, {"x": "a"}]).to_pylist()
    with pytest.raises(mt.SchemaError, match="column 'x': a value of type object has no Arrow type"):
        mt.stream([{"x": object()}]).to_pylist()


def test_long_lists_come_in_batches() -> None:
    batches = list(mt.stream([{"i": i} for i in range(10_000)]))
    assert [batch.num_rows for batch in batches] == [4096, 4096, 1808]


def test_an_unbounded_generator_is_consumed_as_it_yields() -> None:
    taken = 0

    def endless() -> Iterator[dict[str, int]]:
        nonlocal taken
        for i in itertools.count():
            taken += 1
            yield {"k": i % 3}

    out = iter(mt.stream(endless()).key_by("k").process(Counter()))
    for i in range(5):
        assert next(out).to_pylist() == [{"key": i % 3, "n": i // 3 + 1}]
        assert taken == i + 1


def test_generators_of_dicts_follow_their_first() -> None:
    def records() -> Iterator[dict[str, Any]]:
        yield {"k": 1, "x": "a"}
        yield {"k": 2}
        yield {"x": None, "k": 3}

    assert mt.stream(records()).to_pylist() == [{"k": 1, "x": "a"}, {"k": 2, "x": None}, {"k": 3, "x": None}]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"k": 2, "x": 1}, "column 'x': expected utf8, got int 1"),
        ({"k": 2, "y": 1}, r"column 'y' is not in the stream's schema, whose columns are \('k', 'x', 'none'\)"),
        ({"k": 2, "none": 1}, "column 'none': expected null, got int 1"),
    ],
)
def test_generators_whose_dicts_change(second: dict[str, Any], message: str) -> None:
    with pytest.raises(mt.SchemaError, match=message) as caught:
        mt.stream(iter([{"k": 1, "x": "a", "none": None}, second]), name="events").to_pylist()
    assert caught.value.record == 1
    assert "in stream 'events', record 1" in caught.value.__notes__[0]
    assert "pass schema=" in caught.value.__notes__[0]


def test_a_given_schema() -> None:
    schema = {"k": "int32", "x": float}
    for make in (list, iter):
        stream = mt.stream(make([{"k": 1}, {"x": 2}]), schema=schema)
        assert stream.schema.types == ("int32", "float64")
        assert stream.to_pylist() == [{"k": 1, "x": None}, {"k": None, "x": 2.0}]
    assert mt.stream([], schema=schema).schema.names == ("k", "x")
    with pytest.raises(mt.ConfigError, match="schema= is for sources of dicts"):
        mt.stream(mt.RecordBatch(pytest.importorskip("pyarrow").record_batch({"a": [1]})), schema=schema)


def test_empty_sources() -> None:
    for source in ([], (), iter([])):
        assert mt.stream(source).to_pylist() == []
    assert run([], Counter(), output={"key": str, "n": int}) == []


def test_a_source_that_can_be_read_once() -> None:
    out = mt.stream(iter(RECORDS), name="once").key_by("k").process(Counter())
    assert out.to_pylist() == COUNTED
    with pytest.raises(mt.MartletError, match="stream 'once' reads a list_iterator, which can be read only once"):
        out.to_pylist()
    again = mt.stream(RECORDS).key_by("k").process(Counter())
    assert again.to_pylist() == again.to_pylist() == COUNTED


def test_an_iterator_that_raises() -> None:
    class BoomError(Exception):
        pass

    def records() -> Iterator[dict[str, Any]]:
        yield {"k": 1}
        raise BoomError("no more")

    out = iter(mt.stream(records(), name="fragile").key_by("k").process(Counter()))
    assert next(out).to_pylist() == [{"key": 1, "n": 1}]
    with pytest.raises(BoomError, match="no more") as caught:
        next(out)
    assert caught.value.__notes__ == ["in stream 'fragile', record 1"]
    assert caught.traceback[-1].name == "records"


def test_items_and_sources_that_are_none() -> None:
    with pytest.raises(mt.SourceError, match="stream 'stream': item 0 is of type int; a source gives dicts or objects"):
        mt.stream([1]).to_pylist()
    for source in (3, "abc", b"", {"a": [1]}, None):
        with pytest.raises(mt.ConfigError, match="is no source of records"):
            mt.stream(source)
    pa = pytest.importorskip("pyarrow")
    with pytest.raises(mt.MartletError, match="struct"):
        mt.stream(pa.array([1, 2])).to_pylist()


def test_ragged_batches() -> None:
    pa = pytest.importorskip("pyarrow")
    batches = [pa.record_batch({"k": [1]}), pa.record_batch({"k": ["x"]})]
    with pytest.raises(mt.SchemaError, match="k"):
        run(batches, Counter())


def test_every_form_of_results() -> None:
    pa, pl = pytest.importorskip("pyarrow"), pytest.importorskip("polars")
    pd, duckdb = pytest.importorskip("pandas"), pytest.importorskip("duckdb")
    out = mt.stream(RECORDS).key_by("k").process(Counter())
    assert [row for batch in out for row in batch.to_pylist()] == COUNTED
    assert out.to_arrow().to_pylist() == COUNTED
    assert out.to_polars().to_dicts() == COUNTED
    assert isinstance(out.to_pandas(), pd.DataFrame)
    assert out.to_pandas().to_dict("records") == COUNTED
    assert pa.table(out).to_pylist() == COUNTED
    assert pl.DataFrame(out).to_dicts() == COUNTED
    assert pa.RecordBatchReader.from_stream(out).read_all().to_pylist() == COUNTED
    assert duckdb.sql("select key, n from out order by n, key").fetchall() == [("a", 1), ("b", 1), ("a", 2)]


def test_duckdb_reads_a_stream_that_can_be_read_once() -> None:
    duckdb = pytest.importorskip("duckdb")
    out = mt.stream(iter(RECORDS)).key_by("k").process(Counter())
    assert out.schema.names == ("key", "n")
    assert duckdb.sql("select sum(n) from out").fetchall() == [(4,)]


def test_a_failure_in_the_middle_of_an_arrow_stream_is_told() -> None:
    pa = pytest.importorskip("pyarrow")

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        if batch["i"] == 9000:
            raise ValueError("broken here")
        ctx.emit(batch)

    with pytest.raises(Exception, match="broken here"):
        pa.table(mt.stream([{"k": 1, "i": i} for i in range(10_000)]).key_by("k").process(fn))


def test_sinks_and_reports(tmp_path: Any) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    out = mt.stream(RECORDS).key_by("k").process(Counter())
    seen: list[Any] = []
    report = out.run(lambda batch: seen.extend(batch.to_pylist()))
    assert seen == COUNTED
    assert (report.records_in, report.records_out, report.keys) == (3, 3, 2)
    assert report.wall_time_s > 0
    assert report.records_per_second > 0
    assert "3 records in, 3 out" in str(report)
    out.run(mt.ParquetSink(tmp_path / "out.parquet"))
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == COUNTED
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]
    with pytest.raises(mt.ConfigError, match="a sink is a callable"):
        out.run(3)


def test_a_failed_run_leaves_no_file(tmp_path: Any) -> None:
    pytest.importorskip("pyarrow")

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        if batch["i"] == 9000:
            raise ValueError("broken here")
        ctx.emit(batch)

    out = mt.stream([{"k": 1, "i": i} for i in range(10_000)]).key_by("k").process(fn)
    with pytest.raises(ValueError, match="broken here"):
        out.run(mt.ParquetSink(tmp_path / "out.parquet"))
    assert list(tmp_path.iterdir()) == []


def test_words() -> None:
    out = mt.stream(rows("a"), timestamp="i", watermark="5s", name="clicks").key_by("k").process(Counter())
    plan = out.explain()
    for part in (
        "'clicks'",
        "event time 'i'",
        "5000 ms",
        "process 'Counter' by k",
        "ValueState('count', 'int64')",
        "dev-local",
    ):
        assert part in plan
    assert repr(out) == "<Stream clicks -> Counter>"
