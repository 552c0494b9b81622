"""What the tests of sources and sinks share: replaying a source from every offset, and lives of a job that crash."""

from __future__ import annotations

import contextlib
import gc
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import martlet as mt
from martlet.sinks import storage
from martlet.sources.rows import batch_of

SCHEMA = mt.Schema({"id": int, "text": str})


def records(n: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"id": i, "text": f"row {i}\t\\ü\n"} for i in range(start, start + n)]


def batch(rows: list[dict[str, Any]], schema: mt.Schema = SCHEMA) -> mt.RecordBatch:
    return batch_of(rows, schema)


def rows_of(item: Any) -> list[dict[str, Any]]:
    """Of what a source gave."""
    found, _ = item
    return mt.RecordBatch(found).to_pylist()


def all_rows(source: Any, offset: Any = None) -> list[dict[str, Any]]:
    return [row for item in source.read(offset) for row in rows_of(item)]


def assert_replays(make: Callable[[], Any], expected: list[dict[str, Any]] | None = None) -> None:
    """From each offset that the source gave, after a trip through JSON, a new source gives the same batches again."""
    items = list(make().read(None))
    batches = [rows_of(item) for item in items]
    if expected is not None:
        assert [row for rows in batches for row in rows] == expected
    offsets = [json.loads(json.dumps(tuple(item)[1])) for item in items]
    for number, offset in enumerate(offsets):
        again = list(make().read(offset))
        assert [rows_of(item) for item in again] == batches[number + 1 :], offset
        assert [tuple(item)[1] for item in again] == offsets[number + 1 :]


class Crash(BaseException):
    """The process dies here."""


class Engine:
    """What the engine remembers of a job that is killed and started again: the last durable checkpoint, and how far the
    input had been read then."""

    def __init__(self) -> None:
        self.checkpoint: int | None = None
        self.position = 0
        self.is_done = False

    def live(
        self, sink: Any, rows: list[dict[str, Any]], state: Path, rng: random.Random, die: Callable[[], None]
    ) -> None:
        """One life of the job: until it has written everything, or `die` raises. It is called between any two calls."""
        sink.open("job", state)
        die()
        sink.recover(self.checkpoint)
        die()
        position, number = self.position, self.checkpoint or 0
        while not self.is_done:
            for _ in range(rng.randint(0, 3)):
                n = min(rng.randint(0, 9), len(rows) - position)
                sink.write(batch(rows[position : position + n]))
                position += n
                die()
            number += 1
            sink.prepare(number)
            die()
            # The engine's own commit: from here on this checkpoint counts.
            self.checkpoint, self.position = number, position
            die()
            sink.commit(number)
            die()
            self.is_done = position == len(rows)
        sink.close()


def dying(calls: int) -> Callable[[], None]:
    """Raises Crash at the call of this number."""
    left = calls

    def die() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Crash

    return die


def run_to_the_end(make: Callable[[], Any], rows: list[dict[str, Any]], state: Path, seed: int) -> int:
    """A job that is killed at random moments until it has written everything. How many lives it took."""
    rng, engine = random.Random(seed), Engine()
    for life in range(1, 200):
        sink = make()
        with contextlib.suppress(Crash):
            engine.live(sink, rows, state, rng, dying(rng.randint(1, 25)))
        if engine.is_done:
            with contextlib.suppress(Exception):
                sink.close()
            finish(make, engine, state)
            return life
        abandon(sink)
    raise AssertionError(f"seed {seed}: no end")


def finish(make: Callable[[], Any], engine: Engine, state: Path) -> None:
    """A start with nothing left to do, which commits what a crash left at the very end."""
    sink = make()
    sink.open("job", state)
    sink.recover(engine.checkpoint)
    sink.close()


def abandon(sink: Any) -> None:
    """What is left of a process that was killed: its locks are free, and nothing else happens."""
    lock = getattr(sink, "_lock", None) or getattr(getattr(sink, "_outbox", None), "_lock", None)
    if lock is not None:
        lock.release()
    part = getattr(sink, "_part", None)
    if part is not None:
        part.abandon()
    connection = getattr(sink, "_connection", None)
    if connection is not None:
        connection.close()
    gc.collect(0)


CALLS = ["create", "sync", "sync_directory", "rename", "remove", "remove_tree", "make_directory"]


def failing(monkeypatch: pytest.MonkeyPatch, at: int, error: type[BaseException], *, after: bool) -> list[str]:
    """Every call to the file system is counted; that of number `at` fails, or the process dies before or after it."""
    log: list[str] = []

    def wrap(name: str) -> None:
        real = getattr(storage, name)

        def call(*arguments: Any) -> Any:
            log.append(name)
            is_it = len(log) == at
            if is_it and not after:
                raise error(f"{name} fails")
            result = real(*arguments)
            if is_it:
                raise error(f"{name} fails")
            return result

        monkeypatch.setattr(storage, name, call)

    for name in CALLS:
        wrap(name)
    return log
