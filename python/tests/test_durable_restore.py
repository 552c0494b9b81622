"""What a durable job finds in its directory: another process, damage, older and newer versions, another program."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import martlet as mt

ROWS = [{"k": i % 4, "name": f"n{i % 3}", "v": i} for i in range(400)]
OUTPUT = {"k": int, "n": int}


class StopError(Exception):
    """Raised by a function, to end a life in the middle."""


class Counter(mt.ProcessFunction):
    count = mt.ValueState("count", int)

    def __init__(self, fails_at: int | None = None) -> None:
        self.fails_at = fails_at

    def on_event(self, key, batch, row, ctx):
        if batch["v"] == self.fails_at:
            raise StopError
        self.count.set((self.count.get() or 0) + 1)
        ctx.emit(k=key, n=self.count.get())


BACKENDS = {"memory": mt.InMemoryStateBackend(), "rocksdb": mt.RocksDbStateBackend()}
backend: mt.InMemoryStateBackend | mt.RocksDbStateBackend = BACKENDS["memory"]


@pytest.fixture(autouse=True, params=BACKENDS)
def of_each_backend(request: pytest.FixtureRequest) -> str:
    """All of it holds for each."""
    global backend
    backend = BACKENDS[request.param]
    return str(request.param)


def settings(path: Path, **more: Any) -> mt.Config:
    given = {"state_dir": path / "state", "checkpoint_interval": None, "name": "job", "state_backend": backend}
    return mt.Config(**{**given, **more})


def half(path: Path, fn: Any = None, **more: Any) -> None:
    """One life, which takes a checkpoint after 200 rows and is then stopped by a failure."""
    out = mt.stream(Gated(path), name="s").key_by("k").process(fn or Counter(300), output=OUTPUT, name="counter")
    with pytest.raises(StopError):
        out.run(Checkpointed(out, path), config=settings(path, **more))


class Halves:
    """200 rows, then 200 rows."""

    def read(self, offset: Any) -> Any:
        for at in range(offset or 0, 400, 200):
            yield mt.RecordBatch(next(iter(mt.stream(ROWS[at : at + 200])))), at + 200


class Gated(Halves):
    """The second half comes when there is a checkpoint of the first."""

    def __init__(self, path: Path) -> None:
        self.checkpoints = path / "state" / "checkpoints"

    def read(self, offset: Any) -> Any:
        for batch, after in super().read(offset):
            deadline = time.monotonic() + 20
            while after == 400 and not list(self.checkpoints.glob("*/manifest")):
                assert time.monotonic() < deadline
                time.sleep(0.01)
                yield batch[:0], 200
            yield batch, after


class Checkpointed:
    """A sink that asks for a checkpoint after each batch, as another thread would."""

    min_rows = 1
    transactional = True

    def __init__(self, out: mt.Stream, path: Path) -> None:
        self.sink = mt.JsonlSink(path / "out")

    def write(self, batch: mt.RecordBatch) -> None:
        self.sink.write(batch)
        frame = sys._getframe(1)
        while "self" not in frame.f_locals or not hasattr(frame.f_locals["self"], "requests"):
            assert frame.f_back is not None
            frame = frame.f_back
        frame.f_locals["self"].requests.add()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sink, name)

    def prepare(self, checkpoint: int) -> None:
        self.sink.prepare(checkpoint)

    def commit(self, checkpoint: int) -> None:
        self.sink.commit(checkpoint)

    def abort(self, checkpoint: int) -> None:
        self.sink.abort(checkpoint)


def rest(path: Path, fn: Any = None, key: str = "k", **more: Any) -> mt.RunReport:
    out = mt.stream(Halves(), name="s").key_by(key).process(fn or Counter(), output=OUTPUT, name="counter")
    return out.run(mt.JsonlSink(path / "out"), config=settings(path, **more))


def output(path: Path) -> list[dict[str, Any]]:
    files = sorted((path / "out").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


EXPECTED = [{"k": row["k"], "n": row["v"] // 4 + 1} for row in ROWS]


def checkpoints(path: Path) -> list[Path]:
    """The folders of whole ones, and not what a start that failed has left half done."""
    return sorted(one for one in (path / "state" / "checkpoints").iterdir() if one.name.isdigit())


def test_a_failure_takes_back_what_no_checkpoint_has(tmp_path: Path) -> None:
    half(tmp_path)
    assert output(tmp_path) == EXPECTED[:200]
    report = rest(tmp_path)
    assert output(tmp_path) == EXPECTED
    assert (report.restored_from, report.records_in, report.checkpoints, report.last_checkpoint) == (1, 200, 1, 2)
    assert "restored from checkpoint 1; 1 checkpoints, the last is 2" in str(report)


def test_a_job_that_has_ended_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert rest(tmp_path).restored_from is None
    report = rest(tmp_path)
    assert (report.records_in, report.records_out, report.restored_from, report.checkpoints) == (0, 0, 1, 0)
    assert "'job' had read its input to the end when checkpoint 1" in caplog.text
    assert output(tmp_path) == EXPECTED


def test_another_process_has_the_directory(tmp_path: Path) -> None:
    half(tmp_path)
    held = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from martlet._engine import StateDir; d = StateDir(sys.argv[1], 0, 2, 0, None); "
            "print('ready', flush=True);"
            "sys.stdin.read()",
            str(tmp_path / "state"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert held.stdout is not None
    assert held.stdout.readline() == "ready\n"
    with pytest.raises(mt.StorageInUseError, match=str(held.pid)):
        rest(tmp_path)
    held.communicate("")
    rest(tmp_path)
    assert output(tmp_path) == EXPECTED


def test_one_process_twice(tmp_path: Path) -> None:
    batches = iter(mt.stream(ROWS).key_by("k").process(Counter(), config=settings(tmp_path)))
    next(batches)
    with pytest.raises(mt.StorageInUseError, match="state"):
        rest(tmp_path)
    batches.close()
    rest(tmp_path, restore_from=None)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o500)
    with pytest.raises(mt.StorageError, match=str(tmp_path / "state")):
        rest(tmp_path)
    assert not (tmp_path / "out").exists() or not output(tmp_path)


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(mt.StorageError, match="/proc/martlet"):
        rest(tmp_path, state_dir="/proc/martlet/state")


def test_a_state_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(mt.StorageError, match="state"):
        rest(tmp_path)


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, of_each_backend: str
) -> None:
    half(tmp_path)
    rest(tmp_path)
    first, second = checkpoints(tmp_path)
    damaged = second / ("operator-1.snapshot" if of_each_backend == "memory" else "job.state")
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    with caplog.at_level(logging.INFO, "martlet"):
        report = rest(tmp_path)
    assert report.restored_from == int(first.name)
    assert "a checkpoint was passed over" in caplog.text
    assert damaged.name in caplog.text
    assert f"goes on from checkpoint {int(first.name)}" in caplog.text
    # The numbers go on after the damaged one, and what it had committed is replaced.
    assert (report.last_checkpoint or 0) > int(second.name)
    assert output(tmp_path) == EXPECTED


def test_no_checkpoint_is_whole(tmp_path: Path) -> None:
    half(tmp_path)
    for one in checkpoints(tmp_path):
        (one / "job.state").unlink()
    with pytest.raises(mt.StorageCorruptError, match=r"job\.state"):
        rest(tmp_path)
    assert output(tmp_path) == EXPECTED[:200]


def test_a_checkpoint_of_a_newer_version(tmp_path: Path) -> None:
    half(tmp_path)
    manifest = checkpoints(tmp_path)[-1] / "manifest"
    data = bytearray(manifest.read_bytes())
    data[8:12] = (99).to_bytes(4, "little")
    manifest.write_bytes(data)
    with pytest.raises(mt.SnapshotError, match="99"):
        rest(tmp_path)


class OtherKind(mt.ProcessFunction):
    count = mt.ListState("count", int)

    def on_event(self, key, batch, row, ctx):
        pass


class OtherType(mt.ProcessFunction):
    count = mt.ValueState("count", str)

    def on_event(self, key, batch, row, ctx):
        pass


@pytest.mark.parametrize(("fn", "words"), [(OtherKind(), "count"), (OtherType(), "count")])
def test_a_state_that_is_another(tmp_path: Path, fn: Any, words: str) -> None:
    half(tmp_path)
    with pytest.raises(mt.SnapshotMismatchError, match=words):
        rest(tmp_path, fn)
    rest(tmp_path)
    assert output(tmp_path) == EXPECTED


def test_another_key_type_or_max_parallelism(tmp_path: Path) -> None:
    half(tmp_path)
    with pytest.raises(mt.MartletError, match=r"name|key"):
        rest(tmp_path, key="name")
    with pytest.raises(mt.SnapshotMismatchError, match="max_parallelism is 64 and was 128"):
        rest(tmp_path, max_parallelism=64)
    rest(tmp_path)
    assert output(tmp_path) == EXPECTED


class More(Counter):
    last = mt.ValueState("last", int)

    def on_event(self, key, batch, row, ctx):
        super().on_event(key, batch, row, ctx)
        assert self.last.get() is None or self.last.get() < batch["v"]
        self.last.set(batch["v"])


class Less(mt.ProcessFunction):
    """Without the state."""

    def on_event(self, key, batch, row, ctx):
        if batch["v"] == 300:
            raise StopError
        ctx.emit(k=key, n=0)


def test_added_and_dropped_states(tmp_path: Path) -> None:
    half(tmp_path, More(300))
    # Dropped, it is kept for the day it comes back.
    with pytest.raises(StopError):
        rest(tmp_path, Less())
    rest(tmp_path, More())
    assert output(tmp_path) == EXPECTED


def test_forgotten_states_and_operators(tmp_path: Path) -> None:
    half(tmp_path, More(300))
    report = rest(tmp_path, forget=[("counter", "last")])
    assert report.restored_from == 1
    assert output(tmp_path) == EXPECTED
    # Said once, it can be said always.
    rest(tmp_path, forget=[("counter", "last")])
    other = mt.stream(Halves(), name="s").key_by("k").process(Counter(), output=OUTPUT, name="renamed")
    with pytest.raises(mt.SnapshotMismatchError, match="'counter'"):
        other.run(mt.JsonlSink(tmp_path / "out"), config=settings(tmp_path))
    other.run(mt.JsonlSink(tmp_path / "out"), config=settings(tmp_path, forget="counter"))


@pytest.mark.parametrize("parallelism", [(1, 2), (2, 1), (2, 3)])
def test_another_parallelism(tmp_path: Path, parallelism: tuple[int, int]) -> None:
    half(tmp_path, parallelism=parallelism[0])
    assert rest(tmp_path, parallelism=parallelism[1]).restored_from == 1
    assert output(tmp_path) == EXPECTED


@pytest.mark.parametrize("parallelism", [1, 2])
def test_another_backend(tmp_path: Path, of_each_backend: str, parallelism: int) -> None:
    half(tmp_path)
    other = BACKENDS["memory" if of_each_backend == "rocksdb" else "rocksdb"]
    assert rest(tmp_path, state_backend=other, parallelism=parallelism).restored_from == 1
    assert output(tmp_path) == EXPECTED


# ---- savepoints ------------------------------------------------------------------------------------------


def test_a_savepoint_starts_another_job(tmp_path: Path) -> None:
    """Another directory goes on where the savepoint was taken, with the numbers that its sink knows."""
    Waiting.gate = Gate()
    out = mt.stream(Waiting(), name="s").key_by("k").process(Counter(), output=OUTPUT, name="counter")
    with out.start(mt.JsonlSink(tmp_path / "out"), config=settings(tmp_path)) as job:
        Waiting.gate.wait_until_read()
        assert job.savepoint(tmp_path / "saved") == 1
        assert output(tmp_path) == EXPECTED[:200]
        with pytest.raises(mt.ConfigError, match="saved"):
            job.savepoint(tmp_path / "saved")
        assert job.is_running
        Waiting.gate.open()
        assert job.wait().records_in == 400
    assert output(tmp_path) == EXPECTED
    # The other job repeats what came after the savepoint, into the same directory.
    report = rest(tmp_path, state_dir=tmp_path / "other", restore_from=tmp_path / "saved")
    assert (report.restored_from, report.records_in) == (1, 200)
    assert output(tmp_path) == EXPECTED
    # Once it has checkpoints of its own, the savepoint is not asked for.
    (tmp_path / "saved" / "manifest").unlink()
    report = rest(tmp_path, state_dir=tmp_path / "other", restore_from=tmp_path / "saved")
    assert report.records_in == 0


@pytest.mark.parametrize("parallelism", [1, 2])
@pytest.mark.parametrize("backend", list(BACKENDS))
def test_a_savepoint_that_cannot_be_written_leaves_the_job_running(
    tmp_path: Path, backend: str, parallelism: int
) -> None:
    """In whichever process: of this path the folder is short enough, and the files in it are not."""
    parent = tmp_path
    while len(str(parent)) < 4095 - 200:
        parent = parent / ("d" * 100)
    too_long = parent / ("e" * (4095 - len(str(parent)) - len("/.new/job.state")))
    Waiting.gate = Gate()
    out = mt.stream(Waiting(), name="s").key_by("k").process(Counter(), output=OUTPUT, name="counter")
    config = settings(tmp_path, state_backend=BACKENDS[backend], parallelism=parallelism)
    with out.start(mt.JsonlSink(tmp_path / "out"), config=config) as job:
        Waiting.gate.wait_until_read()
        with pytest.raises(mt.StorageError, match="cannot create"):
            job.savepoint(too_long)
        assert not list(parent.glob("e*"))
        assert job.savepoint(tmp_path / "saved") == 2
        Waiting.gate.open()
        assert job.wait().records_in == 400
    assert output(tmp_path) == EXPECTED
    report = rest(tmp_path, state_dir=tmp_path / "other", restore_from=tmp_path / "saved")
    assert (report.restored_from, report.records_in) == (2, 200)


def test_restore_from_a_state_directory_and_from_nothing(tmp_path: Path) -> None:
    half(tmp_path)
    report = rest(tmp_path, state_dir=tmp_path / "other", restore_from=tmp_path / "state")
    assert report.restored_from == 1
    assert output(tmp_path) == EXPECTED
    with pytest.raises(mt.StorageError, match="nothing"):
        rest(tmp_path, state_dir=tmp_path / "third", restore_from=tmp_path / "nothing")


class Gate:
    def __init__(self) -> None:
        import threading

        self._is_read = threading.Event()
        self._is_open = threading.Event()

    def wait_until_read(self) -> None:
        assert self._is_read.wait(10)

    def open(self) -> None:
        self._is_open.set()

    def pass_through(self) -> None:
        self._is_read.set()
        assert self._is_open.wait(10)


class Waiting(Halves):
    """Waits between the halves."""

    bounded = False
    gate = Gate()

    def read(self, offset: Any) -> Any:
        for number, item in enumerate(super().read(offset)):
            if number == 1:
                self.gate.pass_through()
            yield item
