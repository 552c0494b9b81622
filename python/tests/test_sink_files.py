"""Directories of Parquet and JSON lines: exactly once over crashes, all or nothing without checkpoints."""

from __future__ import annotations

import datetime
import decimal
import json
import math
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sinks_and_sources import Crash, Engine, abandon, all_rows, batch, dying, failing, finish, records, run_to_the_end

import martlet as mt

pytestmark = pytest.mark.usefixtures("without_fsync")

KINDS = ["parquet", "jsonl", "jsonl.gz"]


def make_sink(kind: str, path: Path, **options: Any) -> Any:
    if kind == "parquet":
        return mt.ParquetSink(path, **options)
    return mt.JsonlSink(path, compression="gzip" if kind == "jsonl.gz" else None, **options)


def read(kind: str, path: Path) -> list[dict[str, Any]]:
    """What a reader sees: in the order of file names, which is that of checkpoints."""
    if kind == "parquet":
        files = sorted(str(file) for file in path.glob("*.parquet"))
        return [row for file in files for row in pq.read_table(file).to_pylist()]
    return all_rows(mt.JsonlSource(path)) if any(path.glob("*.jsonl*")) else []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(12))
def test_killed_between_any_two_calls(kind: str, seed: int, tmp_path: Path) -> None:
    rows = records(100)
    out = tmp_path / "out"
    lives = run_to_the_end(
        lambda: make_sink(kind, out, max_rows=random.Random(seed).choice([None, 3, 7])), rows, tmp_path, seed
    )
    assert read(kind, out) == rows, f"seed {seed}, {lives} lives"
    assert not (out / ".martlet-staging").exists()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**9), n=st.integers(0, 60))
def test_killed_anywhere(tmp_path_factory: pytest.TempPathFactory, seed: int, n: int) -> None:
    directory = tmp_path_factory.mktemp("out")
    run_to_the_end(lambda: mt.JsonlSink(directory, max_rows=5), records(n), directory, seed)
    assert read("jsonl", directory) == records(n)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_killed_in_any_call_to_the_file_system(kind: str, after: bool, tmp_path: Path) -> None:
    rows = records(20)
    at, is_over = 0, False
    while not is_over:
        at += 1
        out = tmp_path / f"{kind}-{at}"
        engine = Engine()
        with pytest.MonkeyPatch.context() as monkeypatch:
            log = failing(monkeypatch, at, Crash, after=after)
            sink = make_sink(kind, out, max_rows=4)
            try:
                engine.live(sink, rows, tmp_path, random.Random(1), dying(10**9))
            except Crash:
                abandon(sink)
            is_over = len(log) < at
        while not engine.is_done:
            engine.live(make_sink(kind, out, max_rows=4), rows, tmp_path, random.Random(at), dying(10**9))
        finish(lambda out=out: make_sink(kind, out), engine, tmp_path)  # type: ignore[misc]
        assert read(kind, out) == rows, f"call {at}: {log[at - 1 : at]}"
    assert at > 40


def test_a_full_disk_in_any_call_leaves_nothing(tmp_path: Path) -> None:
    """Without checkpoints a run gives everything or nothing."""
    rows, at, is_over = records(20), 0, False
    while not is_over:
        at += 1
        out = tmp_path / f"out-{at}"
        with pytest.MonkeyPatch.context() as monkeypatch:
            log = failing(monkeypatch, at, OSError, after=False)
            try:
                mt.stream(rows).run(mt.JsonlSink(out, max_rows=4))
                failed = False
            except OSError:
                failed = True
            is_over = len(log) < at
        closing = log[at - 1 : at] in (["remove_tree"], ["sync_directory"]) and read("jsonl", out) == rows
        assert closing or read("jsonl", out) == ([] if failed else rows), f"call {at}: {log}"
    assert at > 20


def test_a_run_is_one_transaction(tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = mt.stream(records(10), name="orders").run(mt.ParquetSink(out, max_rows=4))
    assert report.records_out == 10
    assert sorted(path.name for path in out.iterdir()) == [f"orders-0000000001-0000{i}.parquet" for i in range(3)]
    assert pyarrow.dataset.dataset(out).to_table().sort_by("id").to_pylist() == records(10)
    assert all_rows(mt.ParquetSource(out)) == records(10)


def test_a_run_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Any:
        yield from records(5)
        raise ZeroDivisionError

    for kind in KINDS:
        with pytest.raises(ZeroDivisionError):
            mt.stream(broken()).run(make_sink(kind, tmp_path / kind, max_rows=2))
        assert list((tmp_path / kind).iterdir()) == []


def test_output_that_is_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    mt.stream(records(10), name="a").run(mt.JsonlSink(out, max_rows=3))
    mt.stream(records(1, 100), name="b").run(mt.JsonlSink(out))
    with pytest.raises(
        mt.SinkError, match=r"has output of job 'a' already \(a-0000000001-00000.jsonl\).*existing='replace'"
    ):
        mt.stream(records(5), name="a").run(mt.JsonlSink(out))
    assert len(read("jsonl", out)) == 11

    def broken() -> Any:
        yield from records(2)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        mt.stream(broken(), name="a").run(mt.JsonlSink(out, existing="replace"))
    assert len(read("jsonl", out)) == 11
    mt.stream(records(5), name="a").run(mt.JsonlSink(out, existing="replace"))
    assert read("jsonl", out) == records(5) + records(1, 100)
    mt.stream([], schema={"id": int}, name="a").run(mt.JsonlSink(out, existing="replace"))
    assert read("jsonl", out) == records(1, 100)


def test_an_older_checkpoint_replaces_what_came_after_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = records(30)
    out = tmp_path / "out"
    sink = mt.JsonlSink(out, max_rows=2)
    sink.open("job")
    sink.recover(None)
    for number in (1, 2, 3):
        sink.write(batch(rows[number * 10 - 10 : number * 10]))
        sink.prepare(number)
        sink.commit(number)
    sink.close()
    for is_killed in (True, False):
        sink = mt.JsonlSink(out)
        sink.open("job")
        sink.recover(1)
        assert "after checkpoint 1" in caplog.text
        sink.write(batch(rows[10:17]))
        sink.prepare(2)
        if is_killed:
            assert read("jsonl", out) == rows
            abandon(sink)
    sink.commit(2)
    sink.write(batch(rows[17:18]))
    sink.prepare(3)
    sink.commit(3)
    sink.commit(3)
    sink.close()
    assert read("jsonl", out) == rows[:18]


def test_abort_goes_back(tmp_path: Path) -> None:
    sink = mt.JsonlSink(tmp_path)
    sink.open("job")
    sink.recover(None)
    sink.write(batch(records(2)))
    sink.prepare(1)
    sink.write(batch(records(2, 2)))
    sink.prepare(2)
    sink.write(batch(records(2, 4)))
    sink.abort(1)
    assert read("jsonl", tmp_path) == records(2)
    sink.write(batch(records(1, 6)))
    sink.prepare(2)
    sink.commit(2)
    sink.close()
    assert read("jsonl", tmp_path) == records(2) + records(1, 6)


def test_a_second_sink_of_the_same_job(tmp_path: Path) -> None:
    first = mt.JsonlSink(tmp_path)
    first.open("job")
    with pytest.raises(mt.SinkError, match=r"for job 'job', is being written by another process"):
        mt.JsonlSink(tmp_path).open("job")
    other = mt.JsonlSink(tmp_path)
    other.open("other")
    other.close()
    first.close()
    first.open("job")
    first.close()


def test_names_of_jobs(tmp_path: Path) -> None:
    for name in ("a/b", "..", "_x", "ü b", "a-0000000001-00000"):
        mt.stream(records(1), name=name).run(mt.JsonlSink(tmp_path))
    mt.stream(records(1), name="a").run(mt.JsonlSink(tmp_path))
    assert len(all_rows(mt.JsonlSource(tmp_path))) == 6
    with pytest.raises(mt.SinkError, match="too long"):
        mt.stream(records(1), name="x" * 200).run(mt.JsonlSink(tmp_path))


def test_limits_of_a_file(tmp_path: Path) -> None:
    mt.stream(records(10_000)).run(mt.JsonlSink(tmp_path / "rows", max_rows=3000))
    assert [len(file.read_bytes().splitlines()) for file in sorted((tmp_path / "rows").iterdir())] == [3000] * 3 + [
        1000
    ]
    mt.stream(records(10_000)).run(mt.JsonlSink(tmp_path / "bytes", max_bytes=50_000))
    assert len(list((tmp_path / "bytes").iterdir())) > 1
    mt.stream(records(200_000)).run(mt.ParquetSink(tmp_path / "parquet", max_bytes=100_000))
    assert len(list((tmp_path / "parquet").iterdir())) > 1
    assert len(all_rows(mt.ParquetSource(tmp_path / "parquet"))) == 200_000


def test_one_parquet_file_or_a_directory(tmp_path: Path) -> None:
    assert not mt.ParquetSink(tmp_path / "one.parquet").transactional
    assert mt.ParquetSink(tmp_path / "dir").transactional
    assert mt.ParquetSink(f"{tmp_path}/dir.parquet/").transactional
    (tmp_path / "dir.parquet").mkdir()
    sink = mt.ParquetSink(tmp_path / "dir.parquet", compression="zstd")
    assert sink.transactional and isinstance(sink, mt.ParquetSink) and isinstance(sink, mt.Sink)
    with pytest.raises(mt.ConfigError, match="is named like one file"):
        mt.JsonlSink(tmp_path / "x.jsonl")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_rows": 0}, "max_rows=0"),
        ({"max_bytes": True}, "max_bytes=True"),
        ({"existing": "keep"}, "'raise' or 'replace'"),
    ],
)
def test_options(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    for kind in ("parquet", "jsonl"):
        with pytest.raises(mt.ConfigError, match=message):
            make_sink(kind, tmp_path, **options)


def test_calls_out_of_order(tmp_path: Path) -> None:
    sink = mt.JsonlSink(tmp_path)
    for call in (
        lambda: sink.write(batch(records(1))),
        lambda: sink.prepare(1),
        lambda: sink.commit(1),
        lambda: sink.abort(1),
    ):
        with pytest.raises(mt.SinkError, match=r"is not open: call open\(\)"):
            call()
    sink.close()


def test_json_of_every_type(tmp_path: Path) -> None:
    zone = datetime.UTC
    row = {
        "t": datetime.datetime(2026, 1, 2, 3, 4, 5, 678900),
        "z": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=zone),
        "d": datetime.date(2026, 1, 2),
        "c": datetime.time(1, 2, 3, 4),
        "u": datetime.timedelta(days=-1, microseconds=5),
        "m": decimal.Decimal("1.10"),
        "b": b"\x00\xff",
        "l": [1, None],
        "s": {"x": "é\u2028\n"},
        "i": 2**63 - 1,
        "f": 0.1,
        "n": None,
    }
    schema = {
        "t": "timestamp[us]", "z": "timestamp[us, UTC]", "d": datetime.date, "c": datetime.time, "u":
        datetime.timedelta, "m": "decimal128(10, 2)", "b": bytes, "l": list[int], "s": {"x": str}, "i": int, "f":
        float, "n": str,
    }  # fmt: skip
    mt.stream([row], schema=schema).run(mt.JsonlSink(tmp_path))
    assert all_rows(mt.JsonlSource(tmp_path, schema=schema)) == [row]
    odd = tmp_path / "odd"
    mt.stream([{"f": math.nan, "g": [math.inf, 1.0]}]).run(mt.JsonlSink(odd))
    assert json.loads(next(odd.glob("*.jsonl")).read_text()) == {"f": None, "g": [None, 1.0]}


def test_parquet_without_pyarrow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError, match="ParquetSink needs the package pyarrow: pip install pyarrow"):
        mt.ParquetSink(tmp_path)
    assert pa is not None


def test_what_is_on_disk_when(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A name never reaches the disk before what it stands for."""
    sink = mt.JsonlSink(tmp_path, max_rows=1)
    sink.open("job")
    sink.recover(None)
    log = failing(monkeypatch, 0, Crash, after=False)
    sink.write(batch(records(2)))
    assert [call for call in log if not call.endswith("directory")] == ["create", "sync"] * 2
    log.clear()
    sink.prepare(1)
    assert log == ["sync_directory", "rename", "sync_directory"]
    log.clear()
    sink.commit(1)
    assert log == ["rename", "rename", "sync_directory", "remove_tree", "sync_directory"]
    sink.close()
