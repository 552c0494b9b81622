"""Jobs that are killed at any moment and started again: what readers of their sinks see holds each record once."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import durable_program as program
import pytest
from durable_program import JOBS, Lives, read_output, rows, sink_of, source_of, write_input

N = 3000


@pytest.fixture(scope="module")
def lives() -> Iterator[Lives]:
    with Lives() as process:
        yield process


def expected(job: str, n: int = N) -> list[dict[str, Any]]:
    return JOBS[job](rows(n)).to_pylist()


def until_it_ends(lives: Lives, rng: random.Random, life: dict[str, Any], least: int = 6, longest: float = 0.25) -> int:
    """Lives that are killed, `least` of them at least, then one that comes to the end; how many were killed."""
    for killed in range(60):
        slow = killed < least
        after = rng.uniform(0.005, longest) if slow else None
        if lives.live(**life, slow_s=0.004 if slow else 0, kill_after_s=after):
            return killed
    raise AssertionError("it never came to its end")


@pytest.mark.parametrize(
    ("source", "sink"),
    [
        ("parquet", "parquet"),
        ("jsonl", "sqlite"),
        ("csv", "jsonl"),
        ("table", "jsonl"),
        ("rows", "parquet"),
        ("batches", "jsonl"),
        ("own", "sqlite"),
    ],
)
def test_each_record_once_over_all_lives(lives: Lives, tmp_path: Path, source: str, sink: str) -> None:
    if source in ("parquet", "jsonl", "csv"):
        write_input(source, tmp_path / "input", N)
    life = {
        "job": "sums",
        "source": source,
        "rows": N,
        "input": tmp_path / "input",
        "sink": sink,
        "output": tmp_path / "out",
        "state": tmp_path / "state",
    }
    killed = until_it_ends(lives, random.Random(f"{source} {sink}"), life)
    assert read_output(sink, tmp_path / "out") == expected("sums")
    assert killed >= 1
    # Another start of the job that has ended gives nothing more.
    assert lives.live(**life)
    assert read_output(sink, tmp_path / "out") == expected("sums")


@pytest.mark.parametrize("backend", ["memory", "rocksdb"])
@pytest.mark.parametrize("job", ["sums", "chained", "connected", "broadcast"])
def test_every_kind_of_function(lives: Lives, tmp_path: Path, job: str, backend: str) -> None:
    life = {
        "job": job,
        "backend": backend,
        "source": "rows",
        "rows": N,
        "sink": "jsonl",
        "output": tmp_path / "out",
        "state": tmp_path / "state",
    }
    if job == "broadcast":
        life["sides"] = {"fifty": ("jsonl", str(tmp_path / "fifty"))}
    until_it_ends(lives, random.Random(job), life)
    assert read_output("jsonl", tmp_path / "out") == expected(job)
    if job == "broadcast":
        fifty = broadcast_sides()
        assert read_output("jsonl", tmp_path / "fifty") == fifty


def broadcast_sides() -> list[dict[str, Any]]:
    out = program.broadcast(rows(N))
    side = out.side_output("fifty")
    out.run()
    return side.to_pylist()


def test_files_that_arrive_while_it_is_killed(lives: Lives, tmp_path: Path) -> None:
    """It follows a directory, which does not end: killed until all is there."""
    write_input("jsonl", tmp_path / "all", N, n_files=6)
    files = sorted((tmp_path / "all").iterdir())
    (tmp_path / "input").mkdir()
    rng = random.Random(3)
    life = {
        "job": "sums",
        "source": "jsonl",
        "follow": True,
        "rows": N,
        "input": tmp_path / "input",
        "sink": "parquet",
        "output": tmp_path / "out",
        "state": tmp_path / "state",
    }
    for file in files:
        lives.begin(**life, kill_after_s=rng.uniform(0.02, 0.2))
        time.sleep(rng.uniform(0, 0.05))
        file.rename(tmp_path / "input" / file.name)
        assert not lives.end()
    # Without its end, the last timers are still pending.
    wanted = program.sums(iter(rows(N)), bounded=False)
    batches = [row for row in wanted.to_pylist() if row["kind"] == "event"]
    for _ in range(20):
        lives.live(**life, kill_after_s=0.5)
        found = [row for row in read_output("parquet", tmp_path / "out") if row["kind"] == "event"]
        if len(found) >= len(batches):
            break
    assert found == batches


@pytest.mark.parametrize("backends", [("memory", "memory"), ("rocksdb", "rocksdb"), ("rocksdb", "memory")])
def test_worker_processes_that_are_killed(lives: Lives, tmp_path: Path, backends: tuple[str, str]) -> None:
    """Some of them, too: with another parallelism and another backend each time."""
    life = {
        "job": "sums",
        "source": "rows",
        "rows": N,
        "sink": "jsonl",
        "output": tmp_path / "out",
        "state": tmp_path / "state",
    }
    rng = random.Random(8)
    for number, parallelism in enumerate((2, 2, 1, 3)):
        given = {"parallelism": parallelism, "backend": backends[number % 2]}
        lives.live(**life, **given, slow_s=0.01, kill_after_s=rng.uniform(0.4, 0.9) if parallelism > 1 else 0.1)
    assert lives.live(**life, parallelism=2, backend=backends[0])
    assert read_output("jsonl", tmp_path / "out") == expected("sums")


def test_the_sources_of_the_program_give_the_same_rows(tmp_path: Path) -> None:
    for kind in ("parquet", "csv", "jsonl"):
        write_input(kind, tmp_path / kind, 40)
    for kind in ("parquet", "csv", "jsonl", "table", "rows", "batches", "own"):
        life = {"source": kind, "rows": 40, "input": tmp_path / kind}
        assert program.stream_over(source_of(life)).to_pylist() == rows(40)
    assert sink_of("jsonl", tmp_path / "x").transactional
