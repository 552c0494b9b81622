"""Savepoints of state larger than memory: writing one, and beginning from one, takes memory for some of the keys at a
time, not for all. Each run is a process of its own, so that its memory is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KEYS = 200_000
# Each key has 500 characters: 100 MB.
SIZE_MB = 100
MOST_MB = 25

PROGRAM = """
import itertools, sys, threading, time
from pathlib import Path
import pyarrow as pa
import martlet as mt

what, folder, parallelism, keys = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
rows = 8192


class Text(mt.ProcessFunction):
    text = mt.ValueState("text", str)

    def on_event(self, key, batch, row, ctx):
        self.text.set(f"{key:0500d}")


class Numbers:
    \"\"\"Every key once, then nothing for as long as the job runs.\"\"\"

    def __init__(self, is_done):
        self.is_done, self.has_given_all = is_done, threading.Event()

    def read(self, offset):
        for first in range(offset or 0, keys, rows):
            last = min(first + rows, keys)
            yield pa.record_batch({"k": pa.array(range(first, last), pa.int64())}), last
        while not self.is_done.wait(0.02):
            self.has_given_all.set()
            yield pa.record_batch({"k": pa.array([], pa.int64())}), keys


def anonymous(pid):
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def processes():
    children = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    return ["self", *itertools.chain(*children)]


def grown(work):
    \"\"\"By how many MB the memory of any process grew meanwhile.\"\"\"
    before = {pid: anonymous(pid) for pid in processes()}
    most, is_done = {}, threading.Event()

    def watch():
        while not is_done.wait(0.005):
            for pid in processes():
                most[pid] = max(most.get(pid, 0), anonymous(pid) - before.get(pid, 0))

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    is_done.set()
    watcher.join()
    return max(most.values())


def start(state, **settings):
    global job, is_done
    is_done = threading.Event()
    source = Numbers(is_done)
    config = mt.Config(
        profile="single-node-durable", state_dir=folder / state, checkpoint_interval=None, memory_limit="16MB",
        parallelism=parallelism, progress=False, clock=mt.ManualClock(), **settings)
    out = mt.stream(source, name="s").key_by("k").process(Text(), name="text", config=config)
    job = out.start(lambda batch: None)
    while not source.has_given_all.wait(0.1):
        if not job.is_running:
            job.wait()
    job.checkpoint()


if what == "save":
    print(grown(lambda: start("state")))
    print(grown(lambda: job.savepoint(folder / "saved")))
elif what == "restore":
    print(grown(lambda: start("again", restore_from=folder / "saved")))
    print(grown(lambda: job.savepoint(folder / "copy")))
else:
    print(grown(lambda: [batch.num_rows for batch in mt.read_state(folder / "saved", "text")]))
if what != "read":
    is_done.set()
    job.wait()
"""


def grown(what: str, folder: Path, parallelism: int = 1) -> list[float]:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, what, str(folder), str(parallelism), str(KEYS)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    return [float(line) for line in result.stdout.split()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the memory of a process is told by /proc")
@pytest.mark.parametrize("parallelism", [1, 2])
def test_memory_does_not_follow_the_state(tmp_path: Path, parallelism: int) -> None:
    running, saving = grown("save", tmp_path, parallelism)
    saved = tmp_path / "saved" / "operator-1.snapshot"
    assert saved.stat().st_size > SIZE_MB * 1_000_000
    assert saving < MOST_MB
    # With another parallelism, into a new store.
    restoring, saving = grown("restore", tmp_path, 3 - parallelism)
    assert restoring < running + MOST_MB
    assert saving < MOST_MB
    assert (tmp_path / "copy" / "operator-1.snapshot").read_bytes() == saved.read_bytes()
    # Some batches of a table.
    assert grown("read", tmp_path)[0] < SIZE_MB / 2
