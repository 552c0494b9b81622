"""Files that are read where Flink runs, and sinks that get what comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flink_runs import config, difference, embedded, on_flink

import martlet as mt

KEPT = mt.ListState("kept", int)
SCHEMA = {"k": str, "n": int, "t": int}


def passing(key: str, batch: mt.Record, row: int, ctx: mt.Context) -> None:
    KEPT.add(batch["n"])
    ctx.emit(batch, seen=str(KEPT.get()), watermark=ctx.watermark, late=ctx.is_late)


def rows(file: int) -> list[dict[str, Any]]:
    return [{"k": f"key {n % 3}", "n": file * 100 + n, "t": file * 50 + n * 2 - n % 5} for n in range(30)]


def files(folder: Path) -> dict[str, mt.Stream]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name in ("jsonl", "csv", "parquet"):
        (folder / name).mkdir(exist_ok=True)
    for file in range(3):
        found = rows(file)
        (folder / "jsonl" / f"{file}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
        lines = ["k,n,t", *(f"{row['k']},{row['n']},{row['t']}" for row in found)]
        (folder / "csv" / f"{file}.csv").write_text("\n".join(lines) + "\n")
        pq.write_table(pa.Table.from_pylist(found), folder / "parquet" / f"{file}.parquet")
    sources = {
        "jsonl": mt.JsonlSource(folder / "jsonl"),
        "csv": mt.CsvSource(folder / "csv"),
        "parquet": mt.ParquetSource(folder / "parquet"),
    }
    return {
        name: mt.stream(source, timestamp="t", watermark=3).key_by("k").process(passing, KEPT)
        for name, source in sources.items()
    }


def test_files(tmp_path: Path) -> None:
    streams = files(tmp_path)
    found = on_flink(streams.values(), 2)
    for name, flink, engine in zip(streams, found, embedded(files(tmp_path).values()), strict=True):
        assert len(flink) == 90 and not difference(flink, engine), name


def test_a_sink_gets_all_of_it(tmp_path: Path) -> None:
    def numbered(key: str, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        KEPT.add(1)
        ctx.emit(k=key, n=KEPT.len())

    stream = mt.stream(rows(0)).key_by("k").process(numbered, KEPT, output={"k": str, "n": int}, config=config(1))
    report = stream.run(mt.JsonlSink(tmp_path / "out"))
    written = [json.loads(line) for one in (tmp_path / "out").glob("*.jsonl") for line in one.read_text().splitlines()]
    assert sorted((row["k"], row["n"]) for row in written) == sorted((f"key {n % 3}", n // 3 + 1) for n in range(30))
    assert report.records_in == 30 and report.records_out == 30
