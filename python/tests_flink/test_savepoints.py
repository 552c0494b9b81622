"""A job that is stopped with a savepoint and goes on from it as another job, with more instances or fewer: together
they give what one run gives."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from flink_runs import Rows, config, difference, embedded

import martlet as mt

# In a mini-cluster, functions run in this process.
HAS_BEGUN = threading.Event()
# What was seen, long after it had expired, of what may be seen until it is cleaned away.
LEFT: list[str | None] = []


class Everything(mt.ProcessFunction):
    """Every kind of state, TTLs in event time, timers with and without names, and the end of the input."""

    value = mt.ValueState("value", int, default=0)
    seen = mt.ListState("seen", int)
    table = mt.MapState("table", str, int)
    total = mt.ReducingState("total", lambda a, b: a + b, int)
    recent = mt.ListState("recent", int, ttl=mt.TTL(450, time="event"))
    latest = mt.MapState("latest", str, int, ttl=mt.TTL(330, time="event", update="read_write"))
    first = mt.ValueState("first", str, ttl=mt.TTL(500, time="event", visibility="until_cleaned"))

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        time.sleep(0.002)  # so that there is a middle
        HAS_BEGUN.set()
        n = batch["n"]
        self.value.set(self.value.get() + 1)
        self.seen.add(n)
        self.total.add(n)
        self.table.put(f"m{n % 3}", n)
        self.recent.add(n)
        self.latest.put(f"m{n % 5}", n)
        if n < 11:
            self.first.set("still there")
        elif n > COUNT / 2:
            LEFT.append(self.first.get())
        ctx.register_event_time_timer(ctx.timestamp + 400, name="idle")
        if n % 7 == 0:
            ctx.register_event_time_timer(ctx.timestamp + 1000)
        self._emit(key, "record", ctx)

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        self._emit(key, f"timer {fire_time_ms}", ctx)

    def on_end(self, key: Any, ctx: mt.Context) -> None:
        self._emit(key, "end", ctx)

    def _emit(self, key: Any, what: str, ctx: mt.Context) -> None:
        table = json.dumps(sorted(self.table.items()))
        ctx.emit(
            k=key,
            what=what,
            n=self.value.get(),
            total=self.total.get(),
            seen=str(list(self.seen.get())),
            table=table,
            recent=str([self.recent.get(), self.latest.get("m1"), self.latest.len()]),
        )


OUTPUT = {"k": int, "what": str, "n": int, "total": int, "seen": str, "table": str, "recent": str}
COUNT = 800
# Large, so that few of them fit between two tasks: the others are still to be read when the job is stopped.
RECORDS = [{"k": n * 7 % 11, "t": n * 10, "n": n, "text": "x" * 4000} for n in range(COUNT)]


def job(chosen: mt.Config) -> mt.Stream:
    source = mt.stream(RECORDS, timestamp="t", watermark=0, name="numbers")
    return source.key_by("k").process(Everything(), output=OUTPUT, config=chosen)


def expected() -> Rows:
    return embedded([job(mt.Config(progress=False))])[0]


def durable(parallelism: int, folder: Path, **more: Any) -> mt.Config:
    small = {"python.fn-execution.bundle.size": "2"}
    return config(parallelism, state_dir=folder / "state", checkpoint_interval="300ms", flink=small, **more)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_what_comes_back(tmp_path: Path, before: int, after: int) -> None:
    first: Rows = []
    HAS_BEGUN.clear()
    LEFT.clear()
    with job(durable(before, tmp_path)).start(lambda batch: first.extend(batch.to_pylist())) as running:
        assert HAS_BEGUN.wait(60)
    saved = running.saved
    assert saved is not None and 0 < len(first) < COUNT
    rest = job(durable(after, tmp_path, restore_from=saved)).to_pylist()
    assert rest
    assert set(LEFT) == {None}, "what has expired is cleaned away"
    assert not difference(first + rest, expected())


def test_lines_that_tasks_write(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def written() -> Rows:
        if not list(out.glob("*.jsonl")):
            return []
        return mt.stream(mt.JsonlSource(out, schema=OUTPUT)).to_arrow().to_pylist()

    HAS_BEGUN.clear()
    with job(durable(2, tmp_path, name="lines")).start(mt.JsonlSink(out)) as running:
        assert HAS_BEGUN.wait(60)
        saved = running.savepoint(tmp_path / "saved")
    assert 0 < len(written()) < len(expected())
    assert saved.startswith("file:") and running.saved is not None
    with pytest.raises(mt.SinkError, match=r"has output of job 'lines' already.*restore_from"):
        job(durable(2, tmp_path, name="lines")).run(mt.JsonlSink(out))
    report = job(durable(1, tmp_path, name="lines", restore_from=running.saved)).run(mt.JsonlSink(out))
    assert report.wall_time_s > 0
    assert not difference(written(), expected())
