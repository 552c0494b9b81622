"""Durable runs keep nothing: objects, references, memory, threads, open files; after success, failure and
abandonment."""

from __future__ import annotations

import contextlib
import gc
import itertools
import logging
import os
import shutil
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import Counter, grows, live_objects, resident_bytes, rows

import martlet as mt
from martlet._engine import StateDir
from martlet.run import new_job

pytestmark = [
    pytest.mark.usefixtures("without_fsync"),
    pytest.mark.filterwarnings("ignore::martlet.MartletWarning"),
]
Work = Callable[[Path], None]


@pytest.fixture(autouse=True)
def silent(caplog: pytest.LogCaptureFixture) -> None:
    """What is logged would be kept by the test."""
    caplog.set_level(logging.CRITICAL, "martlet")


class Own:
    def read(self, offset: Any) -> Iterator[Any]:
        for n in range(offset or 0, 3):
            yield next(iter(mt.stream(rows("a", "b")))), n + 1


def counted(path: Path, source: Any, **settings: Any) -> mt.Stream:
    config = mt.Config(state_dir=path / "state", checkpoint_interval=1, **settings)
    return mt.stream(source, name="s").key_by("k").process(Counter(), config=config)


def in_rocksdb(path: Path) -> None:
    for _ in range(2):
        out = counted(path, Own(), state_backend=mt.RocksDbStateBackend(), memory_limit="16MB")
        out.run(mt.JsonlSink(path / "out"))


def ended(path: Path) -> None:
    for source in (Own(), rows("a", "b")):
        shutil.rmtree(path, ignore_errors=True)
        counted(path, source).run(lambda batch: None)
        counted(path, source).run(lambda batch: None)


def on_request(path: Path) -> None:
    with counted(path, Own()).start(lambda batch: None) as job, contextlib.suppress(mt.ClosedError):
        job.savepoint(path / "saved")
    restored = counted(path / "other", Own(), restore_from=path / "saved") if (path / "saved").exists() else None
    if restored is not None:
        restored.to_pylist()


def failing(path: Path) -> None:
    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        raise ValueError(key)

    config = mt.Config(state_dir=path / "state")
    with pytest.raises(ValueError, match="a"):
        mt.stream(Own(), name="s").key_by("k").process(fn, config=config).run(mt.JsonlSink(path / "out"))


def abandoned(path: Path) -> None:
    next(iter(counted(path, Own())))


def not_restored(path: Path) -> None:
    counted(path, Own()).to_pylist()
    with pytest.raises(mt.SnapshotMismatchError):
        mt.stream(Own(), name="other").key_by("k").process(Counter(), config=mt.Config(state_dir=path / "state")).run()
    with pytest.raises(mt.StorageError):
        counted(path / "new", Own(), restore_from=path / "nowhere").run()


WORK = [ended, in_rocksdb, on_request, failing, abandoned, not_restored]


def in_new_places(work: Work, path: Path) -> Callable[[], None]:
    numbers = itertools.count()

    def once() -> None:
        place = path / str(next(numbers))
        work(place)
        shutil.rmtree(place, ignore_errors=True)

    return once


@pytest.mark.parametrize("work", WORK)
def test_objects_threads_and_files(work: Work, memory_path: Path) -> None:
    def things() -> int:
        n = live_objects()
        return n + 10 * threading.active_count() + 10 * len(list(Path("/proc/self/fd").iterdir()))

    assert grows(things, in_new_places(work, memory_path), warm_up=3, times=10) < 20


@pytest.mark.parametrize("work", WORK)
def test_memory(work: Work, memory_path: Path) -> None:
    assert grows(resident_bytes, in_new_places(work, memory_path), warm_up=10, times=25) < 4_000_000


def test_references_to_arguments(memory_path: Path) -> None:
    path, start = str(memory_path / "state"), str(memory_path / "nowhere")
    sink, names = b"sink bytes", (("operator", "state"), ("other", None))
    config = mt.Config()

    def work() -> None:
        directory = StateDir(path, 0, 2, 0, None)
        job = new_job("job", config, None)
        job.add_source("s", None, 0, 0, False, [{"k": 1}], True, None, True)
        with pytest.raises(mt.StorageError):
            directory.attach(job, start, names)
        directory.attach(job, None, names)
        job.stay_open()
        while job.next(1) is not None:
            pass
        assert job.take() is None
        directory.begin(job, directory.next_id(), sink)
        with pytest.raises(mt.BusyError):
            directory.begin(job, 99, sink)
        assert directory.finish(job, True) is True
        with pytest.raises(mt.ConfigError):
            directory.finish(job, True)
        with pytest.raises(TypeError):
            directory.begin(directory, 100, sink)  # type: ignore[arg-type]
        job.close()
        directory.close()
        directory.close()
        with pytest.raises(mt.ClosedError):
            directory.next_id()
        shutil.rmtree(path)

    def counts() -> list[int]:
        gc.collect()
        return [sys.getrefcount(one) for one in (None, True, sink, names, path, start, StateDir, config)]

    for _ in range(3):
        work()
    before = counts()
    for _ in range(20):
        work()
    assert all(abs(now - then) < 10 for now, then in zip(counts(), before, strict=True))


def test_a_run_is_let_go_with_what_it_reads(memory_path: Path) -> None:
    fn, source = Counter(), Own()
    gone = [weakref.ref(fn), weakref.ref(source)]
    config = mt.Config(state_dir=memory_path / "state")
    batches = iter(mt.stream(source, name="s").key_by("k").process(fn, config=config))
    next(batches)
    del fn, source, batches
    gc.collect()
    assert [ref() for ref in gone] == [None, None]
    assert not [one for one in threading.enumerate() if one.name == "martlet-checkpoints"]
    # Its directory is free.
    StateDir(os.fspath(memory_path / "state"), 0, 2, 0, None).close()
