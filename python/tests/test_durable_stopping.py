"""The end of a durable job before its input ends: signals, handles, failures of sinks; and live sources that are
idle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import martlet as mt


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(path.glob("*.jsonl")) for line in file.read_text().splitlines()]


PROGRAM = textwrap.dedent("""
    import sys, time
    import martlet as mt

    kind, stuck, directory = sys.argv[1:]

    class Ticks:
        bounded = kind != "live"
        def read(self, offset):
            for at in range(offset or 0, 100_000):
                time.sleep(0.001)
                yield next(iter(mt.stream([{"k": 1, "v": at}]))), at + 1

    count = mt.ValueState("count", int)
    calls = 0

    def fn(key, batch, row, ctx):
        global calls
        calls += 1
        n = (count.get() or 0) + 1
        count.set(n)
        ctx.emit(v=batch["v"], n=n)
        if calls == 20:
            print("running", flush=True)
        while stuck == "stuck" and n >= 20:
            time.sleep(0.01)

    config = mt.Config(
        state_dir=f"{directory}/state",
        checkpoint_interval=None,
        name="ticks",
        parallelism=2 if kind == "parallel" else 1,
    )
    out = mt.stream(Ticks()).key_by("k").process(fn, count, output={"v": int, "n": int}, config=config)
    out.run(mt.JsonlSink(f"{directory}/out"))
""")


def start(tmp_path: Path, kind: str, stuck: str = "") -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind, stuck, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    return process


@pytest.mark.parametrize("kind", ["bounded", "live"])
def test_signals_end_with_a_checkpoint(tmp_path: Path, kind: str) -> None:
    process = start(tmp_path, kind)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert "job 'ticks': SIGTERM: stopping after a last checkpoint" in said
    assert "Traceback" not in said
    first = lines(tmp_path / "out")
    assert len(first) >= 20

    process = start(tmp_path, kind)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in said
    found = lines(tmp_path / "out")
    assert len(found) > len(first)
    assert found == [{"v": i, "n": i + 1} for i in range(len(found))]


def test_a_signal_to_all_processes_of_a_job(tmp_path: Path) -> None:
    """As whoever stops a service sends it: the workers are needed for the last checkpoint."""
    process = start(tmp_path, "parallel")
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(workers) == 2
    for pid in (*map(int, workers), process.pid):
        os.kill(pid, signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM, said
    found = lines(tmp_path / "out")
    assert len(found) >= 20
    assert found == [{"v": i, "n": i + 1} for i in range(len(found))]


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    process = start(tmp_path, "bounded", "stuck")
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in said
    assert lines(tmp_path / "out") == []


def test_signals_that_the_program_handles_are_its_own(tmp_path: Path) -> None:
    seen: list[int] = []

    def fn(key: Any, batch: Any, row: int, ctx: Any) -> None:
        if batch["v"] == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        ctx.emit(batch)

    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        config = mt.Config(state_dir=tmp_path / "state")
        out = mt.stream([{"v": i} for i in range(9)]).key_by("v").process(fn, config=config)
        assert out.run(mt.JsonlSink(tmp_path / "out")).records_in == 9
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# ---- live sources ----------------------------------------------------------------------------------------


class Queue:
    """A live source that gives what is put into it, and blocks without a word meanwhile."""

    bounded = False

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.changed = threading.Condition()
        self.is_over = False

    def put(self, *rows: dict[str, Any]) -> None:
        with self.changed:
            self.rows += rows
            self.changed.notify_all()

    def end(self) -> None:
        with self.changed:
            self.is_over = True
            self.changed.notify_all()

    def read(self, offset: Any) -> Iterator[Any]:
        at = offset or 0
        while rows := self._rows_from(at):
            at += len(rows)
            yield next(iter(mt.stream(rows))), at

    def _rows_from(self, at: int) -> list[dict[str, Any]]:
        with self.changed:
            self.changed.wait_for(lambda: len(self.rows) > at or self.is_over)
            return self.rows[at:]

    def close(self) -> None:
        self.end()


def passed(key: Any, batch: Any, row: int, ctx: Any) -> None:
    ctx.emit(batch)


def wait_until(condition: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_live_source_that_is_idle_is_checkpointed(tmp_path: Path) -> None:
    """Nothing comes, and what came is committed all the same; by interval and on request."""
    queue = Queue()
    config = mt.Config(state_dir=tmp_path / "state", checkpoint_interval="20ms")
    out = mt.stream(queue, name="queue").key_by("v").process(passed, output={"v": int}, config=config)
    with out.start(mt.JsonlSink(tmp_path / "out")) as job:
        queue.put({"v": 1}, {"v": 2})
        wait_until(lambda: len(lines(tmp_path / "out")) == 2)
        queue.put({"v": 3})
        wait_until(lambda: len(lines(tmp_path / "out")) == 3)
        assert job.is_running
    queue.is_over = False
    config = mt.Config(state_dir=tmp_path / "state", checkpoint_interval=None)
    out = mt.stream(queue, name="queue").key_by("v").process(passed, output={"v": int}, config=config)
    job = out.start(mt.JsonlSink(tmp_path / "out"))
    queue.put({"v": 4})
    wait_until(lambda: job.checkpoint() and len(lines(tmp_path / "out")) == 4)
    queue.end()
    report = job.wait(10)
    assert report.records_in == 1
    assert not job.is_running
    assert lines(tmp_path / "out") == [{"v": 1}, {"v": 2}, {"v": 3}, {"v": 4}]
    with pytest.raises(mt.ClosedError, match="has ended"):
        job.checkpoint()


def test_two_live_sources(tmp_path: Path) -> None:
    class Both(mt.CoProcessFunction):
        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            ctx.emit(v=batch["v"], side=ctx.side)

    left, right = Queue(), Queue()
    config = mt.Config(state_dir=tmp_path / "state", checkpoint_interval="20ms")
    out = mt.connect_streams(
        mt.stream(left, name="left"),
        mt.stream(right, name="right"),
        Both(),
        key="v",
        config=config,
        output={"v": int, "side": str},
    )
    with out.start(mt.JsonlSink(tmp_path / "out")) as job:
        left.put({"v": 1})
        wait_until(lambda: lines(tmp_path / "out") == [{"v": 1, "side": "left"}])
        right.put({"v": 2})
        wait_until(lambda: len(lines(tmp_path / "out")) == 2)
        assert job.checkpoint(10) > 1


# ---- handles, iteration and failures ---------------------------------------------------------------------


def test_stopping_and_starting_again(tmp_path: Path) -> None:
    queue = Queue()
    config = mt.Config(state_dir=tmp_path / "state", checkpoint_interval=None)
    out = mt.stream(queue, name="queue").key_by("v").process(passed, output={"v": int}, config=config)
    before = None
    for n in range(3):
        queue.is_over = False
        job = out.start(mt.JsonlSink(tmp_path / "out"))
        queue.put({"v": n})
        wait_until(lambda job=job, n=n: job.checkpoint() and len(lines(tmp_path / "out")) == n + 1)
        report = job.stop()
        assert job.stop() is report
        assert "ended" in repr(job)
        assert report.restored_from == before
        before = report.last_checkpoint
    assert lines(tmp_path / "out") == [{"v": n} for n in range(3)]


def test_a_failure_reaches_who_waits(tmp_path: Path) -> None:
    entered, gate = threading.Event(), threading.Event()

    def fails(key: Any, batch: Any, row: int, ctx: Any) -> None:
        entered.set()
        gate.wait(10)
        raise RuntimeError("broken")

    config = mt.Config(state_dir=tmp_path / "state", checkpoint_interval=None)
    out = mt.stream([{"v": 1}]).key_by("v").process(fails, config=config)
    job = out.start(mt.JsonlSink(tmp_path / "out"))
    assert entered.wait(10)
    asked: list[BaseException] = []

    def ask() -> None:
        try:
            job.checkpoint()
        except BaseException as error:
            asked.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    wait_until(lambda: job._run.requests)
    gate.set()
    with pytest.raises(RuntimeError, match="broken"):
        job.wait(10)
    thread.join(10)
    assert isinstance(asked[0], RuntimeError)


def test_iteration_goes_on_after_what_was_handed_out(tmp_path: Path) -> None:
    config = mt.Config(state_dir=tmp_path / "state", checkpoint_interval=1)
    rows = [{"v": i} for i in range(100_000)]
    out = mt.stream(rows).key_by("v").process(passed, output={"v": int}, config=config)
    seen: list[int] = []
    for life in range(4):
        before = len(seen)
        for number, batch in enumerate(out):
            values = batch.to_pydict()["v"]
            # At most what came after the last checkpoint comes again.
            seen = seen[: values[0]] + values
            time.sleep(0.003)
            if number == 4:
                break
        assert len(seen) > before, life
    rest = out.to_pylist()
    assert seen[: rest[0]["v"]] + [row["v"] for row in rest] == list(range(100_000))
    assert out.to_pylist() == []


class Failing:
    """A sink that fails in one of its calls."""

    min_rows = 1
    transactional = True

    def __init__(self, path: Path, method: str, at: int) -> None:
        self._sink = mt.JsonlSink(path)
        self._method = method
        self._left = at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sink, name)

    def _call(self, method: str, *arguments: Any) -> None:
        if method == self._method:
            self._left -= 1
            if self._left == 0:
                raise OSError(f"{method} has failed")
        getattr(self._sink, method)(*arguments)

    def write(self, batch: Any) -> None:
        self._call("write", batch)

    def prepare(self, checkpoint: int) -> None:
        self._call("prepare", checkpoint)

    def commit(self, checkpoint: int) -> None:
        self._call("commit", checkpoint)

    def abort(self, checkpoint: int) -> None:
        self._call("abort", checkpoint)


@pytest.mark.parametrize("method", ["open", "recover", "write", "prepare", "commit"])
@pytest.mark.parametrize("at", [1, 2])
def test_a_sink_that_fails(tmp_path: Path, method: str, at: int) -> None:
    """Whichever of its calls fails, the next start loses nothing and gives nothing twice."""

    class Parts:
        def read(self, offset: Any) -> Iterator[Any]:
            for n in range(offset or 0, 30, 10):
                yield next(iter(mt.stream([{"v": v} for v in range(n, n + 10)]))), n + 10

    config = mt.Config(state_dir=tmp_path / "state", checkpoint_interval=1)
    out = mt.stream(Parts()).key_by("v").process(slowly, output={"v": int}, config=config)
    sink = Failing(tmp_path / "out", method, at)
    if method in ("open", "recover"):
        setattr(sink, method, lambda *arguments: sink._call(method, *arguments))
    if at == 1 or method in ("write", "prepare", "commit"):
        with pytest.raises(OSError, match=f"{method} has failed"):
            out.run(sink)
    else:
        out.run(sink)
    out.run(mt.JsonlSink(tmp_path / "out"))
    assert lines(tmp_path / "out") == [{"v": v} for v in range(30)]


def slowly(key: Any, batch: Any, row: int, ctx: Any) -> None:
    time.sleep(0.001)
    ctx.emit(batch)


def test_outputs_of_one_run(tmp_path: Path) -> None:
    """Side outputs with sinks of their own are part of the same transactions, also without checkpoints."""

    def fn(key: Any, batch: Any, row: int, ctx: Any) -> None:
        ctx.emit(batch)
        if key % 3 == 0:
            ctx.emit_to("third", {"v": key})

    rows = [{"v": i} for i in range(50)]
    for config in (mt.Config(), mt.Config(state_dir=tmp_path / "state")):
        path = tmp_path / str(config.is_durable)
        out = mt.stream(rows).key_by("v").process(fn, config=config)
        sinks = {"third": mt.JsonlSink(path / "third"), "nothing": mt.JsonlSink(path / "nothing")}
        report = out.run(mt.JsonlSink(path / "out"), side_outputs=sinks)
        assert lines(path / "out") == rows
        assert lines(path / "third") == [{"v": i} for i in range(0, 50, 3)]
        assert not list((path / "nothing").glob("*.jsonl"))
        assert report.side_records == 17


def test_an_output_without_a_sink_waits_for_who_takes_it(tmp_path: Path) -> None:
    def fn(key: Any, batch: Any, row: int, ctx: Any) -> None:
        ctx.emit(batch)
        ctx.emit_to("side", {"v": key})

    config = mt.Config(state_dir=tmp_path / "state", checkpoint_interval=1)
    rows = [{"v": i} for i in range(20_000)]
    out = mt.stream(rows).key_by("v").process(fn, config=config)
    side = out.side_output("side")
    out.run(mt.JsonlSink(tmp_path / "out"))
    assert side.to_pylist() == rows
    assert side.to_pylist() == []
