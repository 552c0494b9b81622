"""Worker processes: how they start and end. What they compute is in test_parallel.py."""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from parallel_programs import NotInWorkers, Passing

import martlet as mt

pytest.importorskip("cloudpickle")

TWO = mt.Config(parallelism=2)
ROWS = [{"k": i * 7919 % 50, "v": i, "t": i} for i in range(3000)]


def workers() -> set[int]:
    """The worker processes of this process, by pid."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = next(line for line in status.read_text().splitlines() if line.startswith("PPid:"))
            command = (status.parent / "cmdline").read_text()
        except (OSError, StopIteration):
            continue
        if int(parent.split()[1]) == os.getpid() and "martlet._worker" in command:
            found.add(int(status.parent.name))
    return found


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def mappings() -> int:
    return sum("martlet" in line for line in Path("/proc/self/maps").read_text().splitlines() if "memfd:" in line)


def gone(pids: set[int] | list[int], seconds: float = 1.0) -> bool:
    """Whether all these processes have ended within that time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{pid}").exists() and "Z" not in _state(pid) for pid in pids):
            return True
        time.sleep(0.01)
    return False


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


@pytest.fixture(autouse=True)
def nothing_is_left() -> Any:
    before = descriptors(), mappings()
    yield
    gc.collect()
    assert workers() == set()
    assert descriptors() <= before[0]
    assert mappings() <= before[1]


def passing(config: mt.Config = TWO, rows: Any = ROWS) -> mt.Stream:
    return mt.apply_process_function(mt.stream(rows, timestamp="t"), "k", Passing(), config=config)


def test_every_instance_is_a_process_of_its_own():
    out = passing(mt.Config(parallelism=3)).to_pylist()
    assert [row["v"] for row in out] == list(range(3000))
    assert {row["parallelism"] for row in out} == {3}
    processes = {row["instance"]: row["pid"] for row in out}
    assert set(processes) == {0, 1, 2} and len(set(processes.values())) == 3 and os.getpid() not in processes.values()
    # A key stays with its instance.
    assert len({(row["k"], row["instance"]) for row in out}) == 50


def test_descriptors_and_memory_come_back():
    before = descriptors(), mappings()
    for _ in range(30):
        assert len(passing(rows=ROWS[:50]).to_pylist()) == 50
    assert (descriptors(), mappings()) <= before


def test_results_can_be_kept_after_the_run():
    batches = list(passing())
    gc.collect()
    assert workers() == set()
    assert [row["v"] for batch in batches for row in batch.to_pylist()] == list(range(3000))


def test_a_stream_that_is_left_early_ends_its_workers():
    iterator = iter(passing(rows=({"k": i % 9, "v": i, "t": i} for i in range(10**9))))
    next(iterator)
    pids = workers()
    assert len(pids) == 2
    iterator.close()
    assert gone(pids)


def test_a_run_that_is_dropped_ends_its_workers():
    iterator = iter(passing(rows=({"k": i % 9, "v": i, "t": i} for i in range(10**9))))
    next(iterator)
    pids = workers()
    del iterator
    gc.collect()
    assert gone(pids)


def test_an_error_ends_the_workers():
    class Failing(mt.ProcessFunction):
        def on_event(self, key, batch, row, ctx):
            if batch["v"] == 2345:
                raise LookupError("not", "there", batch["v"])
            ctx.emit(batch)

    out = mt.apply_process_function(mt.stream(ROWS), "k", Failing(), config=TWO)
    got = []
    with pytest.raises(LookupError) as caught:
        for batch in out:
            got += batch.to_pylist()
    assert [row["v"] for row in got] == list(range(2345))
    assert caught.value.args == ("not", "there", 2345)
    assert caught.value.__notes__[0] == f"in operator 'Failing', record 2345, key {2345 * 7919 % 50}"
    assert "in a worker process" in caught.value.__notes__[1] and "in on_event" in caught.value.__notes__[1]


class StubbornError(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def test_an_exception_that_cannot_be_sent_is_told_in_words():
    def fail(key, batch, row, ctx):
        raise StubbornError(1, 2)

    with pytest.raises(mt.WorkerFailedError, match=r"StubbornError: 1 and 2 \(the exception itself") as caught:
        mt.apply_process_function(mt.stream(ROWS), "k", fail, config=TWO).to_pylist()
    assert "raise StubbornError(1, 2)" in caught.value.__notes__[-1]


def test_errors_of_the_engine_are_those_of_a_serial_run():
    def emit(key, batch, row, ctx):
        ctx.emit(n="text" if batch["v"] == 7 else 1)

    messages = []
    for config in (mt.Config(parallelism=1), TWO):
        with pytest.raises(mt.SchemaError) as caught:
            mt.apply_process_function(mt.stream(ROWS), "k", emit, config=config).to_pylist()
        messages.append((str(caught.value), caught.value.record))
    assert messages[0] == messages[1]
    with pytest.raises(mt.NullKeyError, match="record 1"):
        mt.apply_process_function(mt.stream([{"k": 1, "v": 1}, {"k": None, "v": 1}]), "k", emit, config=TWO).to_pylist()


def test_what_cannot_be_sent_is_named():
    lock = threading.Lock()

    def locked(key, batch, row, ctx):
        with lock:
            ctx.emit(batch)

    out = mt.apply_process_function(mt.stream(ROWS), "k", locked, config=TWO)
    with pytest.raises(mt.ConfigError, match=r"operator 'locked': function cannot be sent to worker processes .*lock"):
        out.to_pylist()


def test_a_missing_cloudpickle_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(mt.ConfigError, match=r"pip install 'martlet\[parallel\]'"):
        passing().to_pylist()


def test_what_fails_while_a_worker_starts_is_raised_here():
    fn = NotInWorkers("raise")
    with pytest.raises(ValueError, match="this is not for workers") as caught:
        mt.apply_process_function(mt.stream(ROWS), "k", fn, config=TWO).to_pylist()
    assert "in a worker process" in caught.value.__notes__[-1]


def test_a_worker_that_exits_while_it_starts_is_told():
    with pytest.raises(mt.WorkerDiedError, match="exited with status 3"):
        mt.apply_process_function(mt.stream(ROWS), "k", NotInWorkers("exit"), config=TWO).to_pylist()


def test_settings():
    for wrong in (0, -1, 129, "2", 1.5, True):
        with pytest.raises(mt.ConfigError, match="parallelism="):
            mt.Config(parallelism=wrong)
    with pytest.raises(mt.ConfigError, match="max_parallelism="):
        mt.Config(max_parallelism=0)
    assert mt.Config(parallelism=3, max_parallelism=3).parallelism == 3


def test_the_environment_sets_the_default(monkeypatch):
    monkeypatch.setenv("MARTLET_PARALLELISM", "2")
    assert mt.Config().parallelism == 2 and mt.Config(parallelism=1).parallelism == 1
    assert {row["parallelism"] for row in passing(mt.Config()).to_pylist()} == {2}
    monkeypatch.setenv("MARTLET_PARALLELISM", "many")
    with pytest.raises(mt.ConfigError, match="MARTLET_PARALLELISM='many'"):
        mt.Config()


def test_killing_a_worker_at_random_points():
    """50 times: an error that tells the signal, or the whole output if the kill came too late; never a hang."""
    random_points = random.Random(20)
    died = 0
    begin = time.monotonic()
    for _ in range(50):
        out = iter(passing(rows=({"k": i % 40, "v": i, "t": i} for i in range(60_000))))
        first = next(out)
        pids = sorted(workers())
        victim = random_points.choice(pids)
        timer = threading.Timer(random_points.random() * 0.03, os.kill, (victim, signal.SIGKILL))
        timer.start()
        values = [row["v"] for row in first.to_pylist()]
        try:
            for batch in out:
                values += batch.column("v").to_pylist()
            assert len(values) == 60_000
        except mt.WorkerDiedError as error:
            died += 1
            assert f"(pid {victim}) was killed by signal 9 (SIGKILL)" in str(error)
        finally:
            timer.join()
        assert values == list(range(len(values)))
        assert gone(pids)
    assert died >= 10
    assert time.monotonic() - begin < 120


def script(text: str) -> str:
    return "import martlet as mt, os, sys, time, signal\n" + textwrap.dedent(text)


ENDLESS = """
    class Slow(mt.ProcessFunction):
        def on_event(self, key, batch, row, ctx):
            ctx.emit(pid=os.getpid())
            if batch["v"] > 20: time.sleep(3600 if LONG else 0.001)
    LONG = len(sys.argv) > 1
    rows = ({"k": i % 9, "v": i} for i in range(10**9))
    out = iter(mt.apply_process_function(mt.stream(rows), "k", Slow(), config=mt.Config(parallelism=2)))
    import threading
    def tell():
        from pathlib import Path
        found = []
        while len(found) < 2:
            time.sleep(0.01)
            found = []
            for path in Path("/proc").glob("[0-9]*/stat"):
                try:
                    is_mine = int(path.read_text().rpartition(")")[2].split()[1]) == os.getpid()
                    if is_mine and "_worker" in (path.parent / "cmdline").read_text():
                        found.append(path.parent.name)
                except OSError:
                    continue
        time.sleep(0.5)
        print(*found, flush=True)
    threading.Thread(target=tell, daemon=True).start()
    for batch in out: pass
"""


@pytest.mark.parametrize("arguments", [[], ["long"]], ids=["short calls", "a call of an hour"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_the_end_of_the_parent_is_the_end_of_its_workers(tmp_path, how, arguments):
    program = tmp_path / "program.py"
    program.write_text(script(ENDLESS))
    shared = set(Path("/dev/shm").iterdir())
    process = subprocess.Popen(
        [sys.executable, str(program), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2
        process.send_signal(how)
        process.wait(10)
        assert gone(pids, 1.0)
    finally:
        process.kill()
        _, errors = process.communicate()
    if how == signal.SIGINT:
        assert "KeyboardInterrupt" in errors
    # Other tests have directories of their own there.
    assert not [path for path in set(Path("/dev/shm").iterdir()) - shared if path.is_file() and "martlet" in path.name]


def test_prints_and_logs_of_workers_appear(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        script("""
        class Loud(mt.ProcessFunction):
            def open(self, ctx): print("opened", ctx.instance)
            def on_event(self, key, batch, row, ctx):
                if batch["v"] == 5: raise ValueError("five")
                ctx.emit(batch)
            def close(self): print("closed", file=sys.stderr)
        rows = [{"k": i, "v": i} for i in range(10)]
        out = mt.apply_process_function(mt.stream(rows), "k", Loud(), config=mt.Config(parallelism=2, on_error="skip"))
        print(len(out.to_pylist()))
        """)
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split("\n")) == ["", "9", "opened 0", "opened 1"]
    assert done.stderr.count("closed") == 2 and "skipped a failure in operator 'Loud', record 5" in done.stderr


def test_a_program_that_ends_in_the_middle(tmp_path):
    """The interpreter's exit closes a run that is still open."""
    program = tmp_path / "program.py"
    program.write_text(script(ENDLESS.replace("for batch in out: pass", "next(out); time.sleep(1.5); sys.exit(0)")))
    process = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=30)
    assert process.returncode == 0, process.stderr
    pids = [int(pid) for pid in process.stdout.split()]
    assert len(pids) == 2 and gone(pids)
