"""Durable jobs that are killed: the jobs, and a process that runs one life after the other.

Run as a program it reads a line of JSON for each life from its standard input, forks, and the child runs the job: until
it has ended, or is killed by a thread of its own after `kill_after_s`. Then it writes how the child has ended, as a
line of JSON. Forking saves a life the second that loading pyarrow takes.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

import martlet as mt

KEYS = 7


def rows(n: int, start: int = 0) -> list[dict[str, Any]]:
    rng = random.Random(5)
    return [{"k": rng.randrange(KEYS), "v": i, "ts": i * 10 - rng.randrange(40)} for i in range(start, start + n)]


class Sums(mt.ProcessFunction):
    """Sums and timers: state, the timer queue and the watermark all show in the output."""

    total = mt.ValueState("total", int)
    recent = mt.ListState("recent", int)

    def on_event(self, key, batch, row, ctx):
        v = batch["v"]
        self.total.set((self.total.get() or 0) + v)
        self.recent.add(v)
        ctx.emit(k=key, v=v, total=self.total.get(), kind="event")
        ctx.register_event_time_timer(ctx.timestamp - ctx.timestamp % 700 + 900)

    def on_timer(self, key, fire_time_ms, ctx):
        ctx.emit(k=key, v=fire_time_ms, total=sum(self.recent.get()), kind="timer")
        self.recent.clear()


class Pairs(mt.CoProcessFunction):
    left = mt.ValueState("left", int)

    def on_left(self, key, batch, row, ctx):
        self.left.set(batch["v"])
        ctx.register_event_time_timer(ctx.timestamp + 500)

    def on_right(self, key, batch, row, ctx):
        ctx.emit(k=key, v=batch["v"], total=self.left.get() or -1, kind="pair")

    def on_timer(self, key, fire_time_ms, ctx):
        ctx.emit(k=key, v=fire_time_ms, total=self.left.get() or -1, kind="timer")


class Limits(mt.BroadcastProcessFunction):
    limits = mt.BroadcastState("limits", int, int)
    seen = mt.ValueState("seen", int)

    def on_event(self, key, batch, row, ctx):
        self.seen.set((self.seen.get() or 0) + 1)
        limit = self.limits.get(0, 0)
        ctx.emit(k=key, v=batch["v"], total=self.seen.get() * 1_000_000 + limit, kind="event")
        if batch["v"] % 50 == 0:
            ctx.emit_to("fifty", {"k": key, "v": batch["v"]})

    def on_broadcast(self, key, batch, row, ctx):
        self.limits.put(0, batch["v"])


OUTPUT = {"k": int, "v": int, "total": int, "kind": str}


def stream_over(source: Any, bounded: bool | None = None) -> mt.Stream:
    return mt.stream(source, timestamp="ts", watermark="100ms", name="numbers", bounded=bounded)


def sums(source: Any, bounded: bool | None = None) -> mt.Stream:
    return stream_over(source, bounded).key_by("k").process(Sums(), output=OUTPUT)


def chained(source: Any) -> mt.Stream:
    class Doubled(mt.ProcessFunction):
        n = mt.ValueState("n", int)

        def on_event(self, key, batch, row, ctx):
            self.n.set((self.n.get() or 0) + 1)
            ctx.emit(k=batch["k"], v=batch["v"], total=self.n.get(), kind=key)

    return sums(source).key_by("kind").process(Doubled(), output=OUTPUT)


def connected(source: Any) -> mt.Stream:
    left = mt.stream(rows(1500), timestamp="ts", watermark="50ms", name="left")
    return left.key_by("k").connect(stream_over(source).key_by("k")).process(Pairs(), output=OUTPUT)


def broadcast(source: Any) -> mt.Stream:
    limits = mt.stream([{"v": i, "ts": i * 2500} for i in range(20)], timestamp="ts", name="limits")
    stream = stream_over(source).key_by("k")
    return mt.broadcast_stream(
        stream,
        limits.broadcast(mt.BroadcastState("limits", int, int)),
        Limits(),
        output=OUTPUT,
        side_outputs={"fifty": {"k": int, "v": int}},
    )


JOBS = {"sums": sums, "chained": chained, "connected": connected, "broadcast": broadcast}


# ---- input and output ------------------------------------------------------------------------------------


def write_input(kind: str, directory: Path, n: int, n_files: int = 4, start: int = 0) -> None:
    """The rows in files of equal size, each renamed into place."""
    directory.mkdir(exist_ok=True)
    for number in range(n_files):
        part = pa.Table.from_pylist(rows(n)[number * n // n_files : (number + 1) * n // n_files])
        path = directory / f".part-{number + start:03d}"
        if kind == "parquet":
            pa.parquet.write_table(part, path, row_group_size=300)
        elif kind == "csv":
            pa.csv.write_csv(part, path)
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in part.to_pylist()))
        path.rename(directory / f"part-{number + start:03d}.{kind}")


class Numbers:
    """A source of one's own, whose items are tables of several batches, and whose offsets are dicts."""

    name = "numbers"

    def __init__(self, n: int) -> None:
        self.n = n

    def read(self, offset: Any) -> Iterator[Any]:
        all_rows = rows(self.n)
        start = offset["row"] if offset else 0
        for row in range(start, self.n, 250):
            part = pa.Table.from_pylist(all_rows[row : row + 250])
            yield pa.concat_tables([part[:100], part[100:130], part[130:]]), {"row": row + 250}


def source_of(life: dict[str, Any]) -> Any:
    kind, n = life["source"], life["rows"]
    directory = life.get("input")
    follow = {"follow": True, "poll": "20ms", "settle": 0} if life.get("follow") else {}
    match kind:
        case "parquet":
            return mt.ParquetSource(directory, batch_rows=97, **follow)
        case "csv":
            return mt.CsvSource(directory, block_bytes=4096, **follow)
        case "jsonl":
            return mt.JsonlSource(directory, batch_rows=97, **follow)
        case "table":
            return pa.Table.from_batches(pa.Table.from_pylist(rows(n)).to_batches(max_chunksize=113))
        case "rows":
            return rows(n)
        case "batches":
            return pa.Table.from_pylist(rows(n)).to_batches(max_chunksize=113)
        case "own":
            return Numbers(n)
        case "kafka":
            schema = {"k": int, "v": int, "ts": int}
            return mt.KafkaSource(
                life["topic"], bootstrap=life["bootstrap"], schema=schema, end="latest", poll="10ms", batch_rows=64
            )
    raise ValueError(kind)


def sink_of(kind: str, path: Path) -> Any:
    match kind:
        case "parquet":
            return mt.ParquetSink(path)
        case "jsonl":
            return mt.JsonlSink(path)
        case "sqlite":
            return mt.SqliteSink(path, "out")
    raise ValueError(kind)


def read_output(kind: str, path: Path) -> list[dict[str, Any]]:
    """What a reader sees, in the order of writing."""
    if kind == "sqlite":
        connection = sqlite3.connect(path)
        try:
            found = connection.execute("SELECT * FROM out ORDER BY rowid")
            return [dict(zip([column[0] for column in found.description], row, strict=True)) for row in found]
        finally:
            connection.close()
    files = sorted(path.glob(f"*.{kind}")) if path.is_dir() else []
    if kind == "parquet":
        return [row for file in files for row in pa.parquet.read_table(file).to_pylist()]
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


# ---- lives -----------------------------------------------------------------------------------------------


def config_of(life: dict[str, Any]) -> mt.Config:
    backend = mt.RocksDbStateBackend() if life.get("backend") == "rocksdb" else mt.InMemoryStateBackend()
    return mt.Config(
        state_dir=life["state"],
        state_backend=backend,
        checkpoint_interval=life.get("interval", 10),
        parallelism=life.get("parallelism", 1),
        progress=False,
    )


def run_life(life: dict[str, Any]) -> mt.RunReport:
    out = JOBS[life["job"]](source_of(life))
    sides = {tag: sink_of(kind, Path(path)) for tag, (kind, path) in life.get("sides", {}).items()}
    sink = Slow(sink_of(life["sink"], Path(life["output"])), life.get("slow_s", 0.0))
    return out.run(sink, config=config_of(life), side_outputs=sides)


class Slow:
    """A sink that takes its time, so that a life has many checkpoints, and asks for few rows at once."""

    min_rows = 64
    transactional = True

    def __init__(self, sink: Any, slow_s: float) -> None:
        self._sink = sink
        self._slow_s = slow_s

    def write(self, batch: Any) -> None:
        time.sleep(self._slow_s * max(batch.num_rows, 64) / 64)
        self._sink.write(batch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sink, name)

    def prepare(self, checkpoint: int) -> None:
        self._sink.prepare(checkpoint)

    def commit(self, checkpoint: int) -> None:
        self._sink.commit(checkpoint)

    def abort(self, checkpoint: int) -> None:
        self._sink.abort(checkpoint)


class Lives:
    """The process that forks lives. Use as a context manager."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(20)

    def live(self, **life: Any) -> bool:
        """One life; whether it came to the end of its input. AssertionError if it failed by itself."""
        self.begin(**life)
        return self.end()

    def begin(self, **life: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(life, default=str) + "\n")
        self._process.stdin.flush()

    def end(self) -> bool:
        assert self._process.stdout is not None
        status, text = json.loads(self._process.stdout.readline())
        assert status in (0, -signal.SIGKILL), text
        return bool(status == 0)


def main() -> None:
    for line in sys.stdin:
        life = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            status = 0
            try:
                if life.get("kill_after_s") is not None:
                    threading.Thread(target=kill_after, args=(life["kill_after_s"],), daemon=True).start()
                run_life(life)
            except BaseException:
                os.write(writer, traceback.format_exc().encode())
                status = 1
            os._exit(status)
        os.close(writer)
        with os.fdopen(reader) as text:
            told = text.read()
        _, status = os.waitpid(child, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), told]), flush=True)


def kill_after(seconds: float) -> None:
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
