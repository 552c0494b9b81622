"""Jobs from several threads of one program."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from flink_runs import on_flink

import martlet as mt

ROWS = [{"k": n % 3, "n": n} for n in range(30)]


def count(key: int, batch: mt.Record, row: int, ctx: mt.Context) -> None:
    seen = ctx.state("seen")
    seen.set((seen.get() or 0) + 1)
    ctx.emit(k=key, seen=seen.get())


def job() -> list[tuple[int, int]]:
    stream = mt.apply_process_function(mt.stream(ROWS), "k", count, mt.ValueState("seen", int))
    (found,) = on_flink([stream], 1)
    return sorted((row["k"], row["seen"]) for row in found)


def test_jobs_of_several_threads() -> None:
    expected = [(k, n) for k in range(3) for n in range(1, 11)]
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda _: job(), range(4))) == [expected] * 4
    assert job() == expected
