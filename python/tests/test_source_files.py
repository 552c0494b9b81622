"""Files as sources: replayed from every offset, files that arrive, and everything that can be wrong with a file."""

from __future__ import annotations

import gzip
import json
import os
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sinks_and_sources import SCHEMA, all_rows, assert_replays, records, rows_of

import martlet as mt

KINDS = ["parquet", "csv", "jsonl"]


def write(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    """Writes the rows in the format of the file's name, by way of a hidden name."""
    hidden = path.with_name(f".{path.name}")
    data = pa.Table.from_pylist(rows, schema=pa.schema(SCHEMA))
    if path.suffix == ".parquet":
        pq.write_table(data, hidden, **options)
    elif path.suffix == ".csv":
        pyarrow.csv.write_csv(data, hidden)
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        hidden.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    hidden.replace(path)
    return path


def make(kind: str, path: Any, **options: Any) -> Any:
    if kind == "csv":
        return mt.CsvSource(path, block_bytes=400, **options)
    source = mt.ParquetSource if kind == "parquet" else mt.JsonlSource
    return source(path, batch_rows=7, **options)


@pytest.mark.parametrize("kind", [*KINDS, "jsonl.gz"])
def test_a_directory_from_every_offset(kind: str, tmp_path: Path) -> None:
    options = {"row_group_size": 16} if kind == "parquet" else {}
    write(tmp_path / f"b.{kind}", records(40, 30), **options)
    write(tmp_path / f"a.{kind}", records(30), **options)
    write(tmp_path / f"c.{kind}", records(1, 70))
    write(tmp_path / f"_hidden.{kind}", records(5))
    (tmp_path / "readme.txt").write_text("not of this kind")
    (tmp_path / f"directory.{kind}").mkdir()
    assert_replays(lambda: make(kind, tmp_path), records(71))
    assert mt.stream(make(kind, tmp_path)).to_pylist() == records(71)
    # Elsewhere, and with more files than then: the offset says which are meant.
    offsets = [offset for _, offset in make(kind, tmp_path).read(None)]
    write(tmp_path / f"aa.{kind}", records(3))
    assert all_rows(make(kind, tmp_path), offsets[0]) == records(71)
    moved = tmp_path.rename(tmp_path.with_name(f"{tmp_path.name}-moved"))
    assert all_rows(make(kind, moved), offsets[0]) == records(71)


@pytest.mark.parametrize("kind", KINDS)
def test_files_patterns_and_lists(kind: str, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    one, two = write(tmp_path / f"1.{kind}", records(3)), write(tmp_path / "x" / f"2.{kind}", records(3, 3))
    for path, rows in (
        (one, records(3)),
        (str(two), records(3, 3)),
        ([two, one], records(6)),
        (f"{tmp_path}/**/*.{kind}", records(6)),
    ):
        assert_replays(lambda path=path: make(kind, path), rows)  # type: ignore[misc]
    assert all_rows(make(kind, tmp_path / "x", order="mtime")) == records(3, 3)


def test_order(tmp_path: Path) -> None:
    for name, start, age in (("b", 0, 30), ("a", 3, 20), ("c", 6, 10)):
        path = write(tmp_path / f"{name}.jsonl", records(3, start))
        os.utime(path, (time.time() - age,) * 2)
    assert [row["id"] for row in all_rows(mt.JsonlSource(tmp_path))] == [3, 4, 5, 0, 1, 2, 6, 7, 8]
    assert [row["id"] for row in all_rows(mt.JsonlSource(tmp_path, order="mtime"))] == list(range(9))


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5), batch_rows=st.integers(1, 50), group=st.integers(1, 50)
)
def test_any_cut(tmp_path_factory: pytest.TempPathFactory, sizes: list[int], batch_rows: int, group: int) -> None:
    directory = tmp_path_factory.mktemp("files")
    start = 0
    for number, size in enumerate(sizes):
        write(directory / f"{number}.parquet", records(size, start), row_group_size=group)
        write(directory / f"{number}.jsonl", records(size, start))
        start += size
    for source in (mt.ParquetSource, mt.JsonlSource):
        assert_replays(lambda source=source: source(directory, batch_rows=batch_rows), records(start))  # type: ignore[misc]


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_arrive(kind: str, tmp_path: Path) -> None:
    """From each offset, and with a record less of what came later, the same records follow in the same order."""
    write(tmp_path / f"m.{kind}", records(10))
    source = make(kind, tmp_path, follow=True, poll="1ms", settle=0)
    assert not source.bounded
    reading = source.read(None)
    offsets: list[Any] = [None]
    rows: list[list[dict[str, Any]]] = []

    def take(n: int) -> None:
        while sum(map(len, rows)) < n:
            item = next(reading)
            rows.append(rows_of(item))
            offsets.append(json.loads(json.dumps(item.next_offset)))

    take(10)
    for _ in range(3):
        assert rows_of(next(reading)) == []  # so that the run can look up
    # One whose name comes before the others, and one that is not complete.
    write(tmp_path / f"a.{kind}", records(5, 10))
    (tmp_path / f".z.{kind}").write_text("half")
    take(15)
    write(tmp_path / f"z.{kind}", records(5, 20))
    write(tmp_path / f"b.{kind}", records(5, 15))
    take(25)
    source.close()
    with pytest.raises(mt.ClosedError, match="was closed while it waited"):
        while True:
            next(reading)
    assert [row for found in rows for row in found] == records(25)
    for number, offset in enumerate(offsets):
        expected = [row for found in rows[number:] for row in found]
        again: list[dict[str, Any]] = []
        for item in make(kind, tmp_path, follow=True, poll="1ms", settle=0).read(offset):
            again += rows_of(item)
            if len(again) >= len(expected):
                break
        if offset is None or len(offset["files"]) < 4:
            # What was not taken yet may come in another order of files; whatever was taken comes as it came.
            assert sorted(row["id"] for row in again) == [row["id"] for row in expected]
        else:
            assert again == expected


def test_a_checkpoint_inside_a_batch_survives_new_files(tmp_path: Path) -> None:
    write(tmp_path / "m.jsonl", records(10))
    before: Any = None
    for item in mt.JsonlSource(tmp_path, follow=True, poll="1ms", settle=0).read(None):
        if rows_of(item):
            break
        before = item.next_offset
    # 3 rows of the first batch were processed; then the process died, and another file came.
    write(tmp_path / "a.jsonl", records(10, 100))
    reading = mt.JsonlSource(tmp_path, follow=True, poll="1ms", settle=0).read(before)
    assert rows_of(next(reading))[3:] == records(10)[3:]
    assert next(rows for item in reading if (rows := rows_of(item)))[0]["id"] == 100


def test_files_settle(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", records(3))
    reading = mt.JsonlSource(tmp_path, schema=SCHEMA, follow=True, poll="5ms", settle="10m").read(None)
    # With a schema, and nothing that is complete, there is nothing to say yet; it has not changed for long now.
    os.utime(path, (time.time() - 3600,) * 2)
    assert rows_of(next(reading)) == [] and rows_of(next(reading)) == records(3)
    write(tmp_path / "b.jsonl", records(3, 3))
    assert [rows_of(next(reading)) for _ in range(5)] == [[]] * 5
    os.utime(tmp_path / "b.jsonl", (time.time() - 3600,) * 2)
    assert next(rows for item in reading if (rows := rows_of(item))) == records(3, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_change_or_vanish(kind: str, tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{name}.{kind}", records(20)) for name in "abc"]
    offset = next(iter(make(kind, tmp_path).read(None))).next_offset
    reading = make(kind, tmp_path).read(None)
    next(reading), next(reading)
    write(paths[1], records(21))
    with pytest.raises(
        mt.SourceError, match=rf"b\.{kind}: the file was changed after it had been listed \(then \d+ bytes"
    ):
        list(reading)
    with pytest.raises(mt.SourceError, match=rf"b\.{kind}: the file was changed"):
        list(make(kind, tmp_path).read(offset))
    paths[1].unlink()
    with pytest.raises(mt.SourceError, match=rf"b\.{kind}: the file has vanished before it was read"):
        list(make(kind, tmp_path).read(offset))
    # What was read may go.
    last = list(make(kind, tmp_path).read(None))[-1].next_offset
    for path in paths:
        path.unlink(missing_ok=True)
    assert list(make(kind, tmp_path).read(last)) == []


def test_a_file_that_was_read_and_changes_while_others_are_awaited(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", records(3))
    reading = mt.JsonlSource(tmp_path, follow=True, poll="1ms", settle=0).read(None)
    assert [rows_of(next(reading)) for _ in range(3)] == [[], records(3), []]
    write(tmp_path / "b.jsonl", records(3, 3))
    next(reading), next(reading)
    (tmp_path / "a.jsonl").unlink()
    write(tmp_path / "c.jsonl", records(3, 6))
    found = next(item for item in reading if rows_of(item) == records(3, 6))
    assert [name for name, _, _ in found.next_offset["files"]] == ["b.jsonl", "c.jsonl"]
    write(tmp_path / "b.jsonl", records(4, 3))
    with pytest.raises(mt.SourceError, match=r"b\.jsonl: the file was changed"):
        for _ in range(10):
            next(reading)


def test_what_is_not_there(tmp_path: Path) -> None:
    for source in (mt.ParquetSource, mt.CsvSource, mt.JsonlSource):
        assert list(source(tmp_path).read(None)) == []
        with pytest.raises(mt.SourceError, match=r"there is no file .*nothing\.x"):
            list(source(tmp_path / "nothing.x").read(None))
        with pytest.raises(mt.ConfigError, match="needs a directory or a pattern"):
            source(tmp_path / "a.x", follow=True)
        with pytest.raises(mt.ConfigError, match="the list of files is empty"):
            source([])
        with pytest.raises(mt.ConfigError, match="a path is a str"):
            source(5)
        with pytest.raises(mt.ConfigError, match="'name' or 'mtime'"):
            source(tmp_path, order="size")
        for offset in (5, {}, {"files": [], "file": 0, "position": {}}):
            with pytest.raises(mt.SourceError, match="is no offset of a"):
                list(source(tmp_path).read(offset))
    assert mt.stream(mt.JsonlSource(tmp_path, schema=SCHEMA)).schema == SCHEMA
    with pytest.raises(mt.ConfigError, match="batch_rows=0"):
        mt.ParquetSource(tmp_path, batch_rows=0)
    with pytest.raises(mt.ConfigError, match="batch_rows=5000"):
        mt.JsonlSource(tmp_path, batch_rows=5000)


def test_parquet_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", records(3))
    assert_replays(lambda: mt.ParquetSource(path, columns=["text", "id"]), records(3))
    assert mt.stream(mt.ParquetSource(path, columns=["text", "id"])).schema.names == ("text", "id")
    assert all_rows(mt.ParquetSource(path, columns=["id"])) == [{"id": i} for i in range(3)]
    with pytest.raises(mt.MissingColumnError, match=r"a\.parquet has no column 'x'; its columns are id, text"):
        all_rows(mt.ParquetSource(path, columns=["x"]))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"id": pa.int32(), "text": pa.string()},
            r"b\.parquet: column 'id' is int32, and int64 in the files before it",
        ),
        ({"id": pa.int64()}, r"b\.parquet: column 'text' is missing"),
        (
            {"id": pa.int64(), "text": pa.string(), "x": pa.string()},
            r"b\.parquet: column 'x' is not in the files before",
        ),
        ({"text": pa.string(), "id": pa.int64()}, r"b\.parquet: the columns are in another order"),
    ],
)
def test_parquet_files_of_another_schema(other: dict[str, Any], message: str, tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", records(3))
    pq.write_table(pa.Table.from_pylist([{}], schema=pa.schema(other)), tmp_path / "b.parquet")
    with pytest.raises(mt.SchemaError, match=message):
        all_rows(mt.ParquetSource(tmp_path))


def test_damaged_parquet(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", records(3))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(mt.SourceError, match=r"a\.parquet: is no whole Parquet file"):
        all_rows(mt.ParquetSource(path))


def test_csv_types(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("k,x,t\n1,2,2026-01-01\n2,,\n")
    (tmp_path / "b.csv").write_text("k,x,t\n3,4,2026-01-02\n")
    assert mt.stream(mt.CsvSource(tmp_path)).schema.types == ("int64", "int64", "date32")
    declared = mt.CsvSource(tmp_path, schema={"x": float, "k": str})
    assert_replays(
        lambda: mt.CsvSource(tmp_path, schema={"x": float, "k": str}),
        [{"x": 2.0, "k": "1"}, {"x": None, "k": "2"}, {"x": 4.0, "k": "3"}],
    )
    assert mt.stream(declared).schema.names == ("x", "k")
    tabs = tmp_path / "c.tsv"
    tabs.write_text('k\tx\n"a\n"\t1\n')
    assert all_rows(mt.CsvSource(tabs, delimiter="\t")) == [{"k": "a\n", "x": 1}]


def test_csv_that_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("k,x\n1,2\n")
    (tmp_path / "b.csv").write_text("k,x\n1,z\n")
    with pytest.raises(mt.SourceError, match=r"b\.csv: .*invalid value 'z'.*"):
        all_rows(mt.CsvSource(tmp_path))
    (tmp_path / "b.csv").write_text("k,y\n1,2\n")
    with pytest.raises(mt.SchemaError, match=r"b\.csv: the columns are k, y, and before it k, x"):
        all_rows(mt.CsvSource(tmp_path))
    with pytest.raises(mt.SourceError, match=r"a\.csv: cannot be read as CSV: .*z"):
        all_rows(mt.CsvSource(tmp_path, schema={"z": int}))


BAD = [
    ("{", "line 2: is not JSON"),
    ("[1]", "line 2: is a JSON list, and not an object"),
    ('{"id": "x"}', "line 2: column 'id': expected int64, got str 'x'; types were inferred: schema= declares them"),
    ('{"id": 1, "new": 2}', "line 2: column 'new' is not in the stream's schema"),
    ('{"id": 1e400}', "line 2: column 'id'"),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_bad_lines(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"id": 1}}\n{line}\n\n{{"id": 2}}')
    with pytest.raises(mt.SourceError, match=rf"JsonlSource 'JsonlSource': .*a\.jsonl, {message}.*on_bad_line='skip'"):
        all_rows(mt.JsonlSource(path, infer_lines=1))
    source = mt.JsonlSource(path, infer_lines=1, on_bad_line="skip")
    assert all_rows(source) == [{"id": 1}, {"id": 2}]
    assert source.bad_lines == 1
    assert_replays(lambda: mt.JsonlSource(path, infer_lines=1, on_bad_line="skip", batch_rows=1))


def test_jsonl_with_a_schema(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [
        '{"t": "2026-01-01T00:00:00Z", "more": [1], "m": 1.5}',
        '{"t": 1000, "m": "2"}',
        '{"m": null}',
        '{"t": "x"}',
    ]
    path.write_text("\n".join(lines))
    schema = {"t": "timestamp[ms, UTC]", "m": "decimal128(5, 2)"}
    rows = all_rows(mt.JsonlSource(path, schema=schema, on_bad_line="skip"))
    assert [row["t"] and row["t"].isoformat() for row in rows] == [
        "2026-01-01T00:00:00+00:00",
        "1970-01-01T00:00:01+00:00",
        None,
    ]
    assert [str(row["m"]) for row in rows] == ["1.50", "2.00", "None"]
    with pytest.raises(mt.SourceError, match=r"line 4: column 't': Invalid isoformat string: 'x'"):
        all_rows(mt.JsonlSource(path, schema=schema))
    offset = next(iter(mt.JsonlSource(path, schema=schema).read(None))).next_offset
    with pytest.raises(mt.SourceError, match="go on with the same schema"):
        all_rows(mt.JsonlSource(path, schema={"t": str}), offset)


def test_jsonl_without_types(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(mt.SourceError, match=r"a\.jsonl: has no record to infer types from, .*; pass schema="):
        all_rows(mt.JsonlSource(tmp_path))
    write(tmp_path / "b.jsonl", records(2))
    assert_replays(lambda: mt.JsonlSource(tmp_path), records(2))
    (tmp_path / "b.jsonl").unlink()
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": "x"}\n')
    with pytest.raises(mt.SourceError, match=r"a\.jsonl: .*no common type.*; schema= declares types"):
        all_rows(mt.JsonlSource(tmp_path))
    with pytest.raises(mt.ConfigError, match="'raise' or 'skip'"):
        mt.JsonlSource(tmp_path, on_bad_line="drop")  # type: ignore[arg-type]
    with pytest.raises(mt.ConfigError, match="infer_lines=0"):
        mt.JsonlSource(tmp_path, infer_lines=0)


def test_from_files_to_files(tmp_path: Path) -> None:
    """A whole job: CSV in, Parquet out."""
    source = tmp_path / "in"
    source.mkdir()
    write(source / "a.csv", records(50))
    counted = mt.stream(mt.CsvSource(source)).key_by("id").process(Numbered())
    assert counted.run(mt.ParquetSink(tmp_path / "out")).records_out == 50
    assert all_rows(mt.ParquetSource(tmp_path / "out")) == [{"id": i, "n": 1} for i in range(50)]


class Numbered(mt.ProcessFunction):
    n = mt.ValueState("n", int)

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.n.set((self.n.get() or 0) + 1)
        ctx.emit(id=key, n=self.n.get())
