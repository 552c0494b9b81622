"""Lives of the job of `crash_job.py`: processes that run it until its end, or until they are killed.

`Lives` starts a process that forks one child for each life, which spares the second that loading pyarrow takes. The
child does what its `Life` says: run the job, checkpoint, die.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import crash_job

import martlet as mt
from martlet import durable
from martlet.requests import Requests
from martlet.sinks import storage
from martlet.state_tables import OpenState

ROWS = 600
BACKENDS = ["memory", "rocksdb"]


@dataclasses.dataclass
class Life:
    """What a process is to do. Times are in seconds."""

    folder: str
    state: str = "state"
    rows: int = ROWS
    backend: str = "memory"
    parallelism: int = 1
    sink: str = "jsonl"
    side: str = "sqlite"
    # A checkpoint with every so many batches of orders, or after so many milliseconds; without both, at the end.
    every: int | None = None
    interval_ms: int | None = None
    memory_limit: int | None = None
    retained: int = 2
    # What MARTLET_FAULT is to be.
    fault: str | None = None
    # (step of a sink, at which visit): `kill -9` then. Steps are "before commit", "storage" and so on; see `reach`.
    die: tuple[str, int] | None = None
    kill_after: float | None = None
    # So long after the workers have started one of them is killed, and not the job.
    kill_worker_after: float | None = None
    # With this batch of orders the source raises; at this order the function; a savepoint of this name is taken and the
    # job stops.
    source_fails_at: int | None = None
    fails_at: int | None = None
    save_at: tuple[int, str] | None = None
    # What each batch of orders takes, so that there is time to be killed in.
    slow: float = 0.0
    # No file may become larger than this, as on a full disk.
    most_file_bytes: int | None = None
    restore_from: str | None = None

    def path(self, name: str) -> Path:
        return Path(self.folder) / name


@dataclasses.dataclass
class Death:
    """How a life has ended."""

    status: int
    # Of an exception: its type's name and its text; and the traceback.
    error: str
    words: str
    trace: str
    stderr: str
    report: dict[str, Any]

    @property
    def is_end(self) -> bool:
        return self.status == 0

    @property
    def is_killed(self) -> bool:
        return self.status == -signal.SIGKILL


# ---- in the child ----------------------------------------------------------------------------------------

# What asks the run for checkpoints, once there is one: then its workers are there, too.
_started: list[Requests] = []


def run(life: Life) -> mt.RunReport:
    _become_mortal(life)
    started = _started

    class Known(Requests):
        def __init__(self, pause: Callable[[], None]) -> None:
            super().__init__(pause)
            started.append(self)

    durable.Requests = Known  # type: ignore[misc]

    def looked_at(number: int) -> None:
        time.sleep(life.slow)
        if number == life.source_fails_at:
            raise LookupError(f"batch {number} cannot be read")
        if life.save_at is not None and number == life.save_at[0]:
            started[-1].add(life.path(life.save_at[1]))
            started[-1].stop()
        if life.every and number % life.every == life.every - 1:
            started[-1].add()

    out, clock = crash_job.build(life.rows, life.path("payments"), looked_at, life.fails_at)
    backend = mt.RocksDbStateBackend() if life.backend == "rocksdb" else mt.InMemoryStateBackend()
    config = mt.Config(
        state_dir=life.path(life.state),
        state_backend=backend,
        checkpoint_interval=life.interval_ms,
        memory_limit=life.memory_limit,
        retained_checkpoints=life.retained,
        restore_from=None if life.restore_from is None else life.path(life.restore_from),
        parallelism=life.parallelism,
        max_parallelism=16,
        clock=clock,
        at_end="keep",
        name="crash",
        progress=False,
    )
    sinks = [_sink(life, kind, name) for kind, name in ((life.sink, "out"), (life.side, "odd"))]
    return out.run(sinks[0], config=config, side_outputs={"odd": sinks[1]})


def _sink(life: Life, kind: str, name: str) -> Any:
    return Dying(_SINKS[kind](life, name))


_SINKS: dict[str, Callable[[Life, str], Any]] = {
    "jsonl": lambda life, name: mt.JsonlSink(life.path(name), max_rows=100),
    "parquet": lambda life, name: mt.ParquetSink(life.path(name)),
    "sqlite": lambda life, name: mt.SqliteSink(life.path(f"{name}.db"), name),
    "upsert": lambda life, name: mt.SqliteSink(life.path(f"{name}.db"), name, key=["user", "shop", "what"]),
}


class Dying:
    """A sink around another one that wants few rows at a time, and dies before or after a step."""

    transactional = True
    min_rows = 64

    def __init__(self, sink: Any) -> None:
        self._sink = sink

    def _pass(self, method: str, *arguments: Any) -> None:
        reach(f"before {method}")
        getattr(self._sink, method)(*arguments)
        reach(f"after {method}")

    def open(self, job: str, state_dir: Path) -> None:
        self._pass("open", job, state_dir)

    def recover(self, checkpoint: int | None) -> None:
        self._pass("recover", checkpoint)

    def write(self, batch: Any) -> None:
        self._pass("write", batch)

    def prepare(self, checkpoint: int) -> None:
        self._pass("prepare", checkpoint)

    def commit(self, checkpoint: int) -> None:
        self._pass("commit", checkpoint)

    def abort(self, checkpoint: int) -> None:
        self._pass("abort", checkpoint)

    def close(self) -> None:
        self._pass("close")


_STORAGE = ("create", "sync", "sync_directory", "rename", "remove", "remove_tree", "write_durably")
_death: tuple[str, int] = ("", 0)
_reached: collections.Counter[str] = collections.Counter()


def reach(step: str) -> None:
    """Dies if it is time."""
    _reached[step] += 1
    if (step, _reached[step]) == _death:
        os.kill(os.getpid(), signal.SIGKILL)


def _become_mortal(life: Life) -> None:
    global _death
    if life.die is not None:
        _death = tuple(life.die)
        for name in _STORAGE:
            setattr(storage, name, _counted(getattr(storage, name)))
        deliver = mt.SqliteSink._deliver

        def torn(self: Any, mark: Any, frames: Iterator[bytes]) -> None:
            def some() -> Iterator[bytes]:
                for frame in frames:
                    yield frame
                    reach("inside deliver")

            deliver(self, mark, some())
            reach("after deliver")

        mt.SqliteSink._deliver = torn  # type: ignore[method-assign]
    if life.most_file_bytes is not None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (life.most_file_bytes, life.most_file_bytes))
    for after, kill in ((life.kill_after, _kill), (life.kill_worker_after, _kill_worker)):
        if after is not None:
            threading.Thread(target=kill, args=(after,), daemon=True).start()


def _counted(call: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*arguments: Any) -> Any:
        reach("storage")
        return call(*arguments)

    return counted


def _kill(after: float) -> None:
    time.sleep(after)
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_worker(after: float) -> None:
    while not _started:
        time.sleep(0.01)
    time.sleep(after)
    workers = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    os.kill(int(workers[0]), signal.SIGKILL)


def _child(life: Life, report: int, errors: int) -> None:
    """The whole of a life; does not return."""
    os.dup2(errors, 2)
    if life.fault is not None:
        os.environ["MARTLET_FAULT"] = life.fault
    found: dict[str, Any] = {"error": "", "words": "", "trace": "", "report": {}}
    status = 0
    try:
        done = run(life)
        found["report"] = {
            "checkpoints": done.checkpoints,
            "restored_from": done.restored_from,
            "reached": _reached,
        }
    except BaseException as error:
        found |= {"error": type(error).__name__, "words": str(error), "trace": traceback.format_exc()}
        status = 1
    os.write(report, json.dumps(found).encode())
    os._exit(status)


def main() -> None:
    # What was written stays when a process is killed; only a machine without power loses what was not synced.
    os.fsync = lambda descriptor: None
    for line in sys.stdin:
        life = Life(**json.loads(line))
        reader, writer = os.pipe()
        with open(os.memfd_create("stderr"), "w+b") as errors:  # noqa: PTH123
            child = os.fork()
            if child == 0:
                os.close(reader)
                _child(life, writer, errors.fileno())
            os.close(writer)
            _, status = os.waitpid(child, 0)
            # Workers may outlive it by a moment and have the pipe open, so what is there is taken, and no more.
            os.set_blocking(reader, False)
            try:
                told = os.read(reader, 1 << 16)
            except BlockingIOError:
                told = b""
            os.close(reader)
            errors.seek(0)
            words = errors.read().decode(errors="replace")
        found = json.loads(told) if told else {"error": "", "words": "", "trace": "", "report": {}}
        print(json.dumps({"status": os.waitstatus_to_exitcode(status), "stderr": words, **found}), flush=True)


# ---- in the test -----------------------------------------------------------------------------------------


class Lives:
    """The process that forks lives, used as a context manager."""

    def __enter__(self) -> Self:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MARTLET_")}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(30)

    def live(self, life: Life) -> Death:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(dataclasses.asdict(life)) + "\n")
        self._process.stdin.flush()
        return Death(**json.loads(self._process.stdout.readline()))

    def end(self, life: Life) -> Death:
        """A life that must come to its end."""
        death = self.live(life)
        assert death.is_end, f"{life}: {death.status}\n{death.trace}\n{death.stderr}"
        return death


@dataclasses.dataclass
class Outcome:
    """What readers of the sinks see, and what the last checkpoint holds."""

    out: list[Any]
    odd: list[Any]
    state: dict[str, list[Any]]

    def difference(self, expected: Outcome) -> str | None:
        """Where the two differ first."""
        parts = [("out", self.out, expected.out), ("odd", self.odd, expected.odd)]
        parts += [(name, rows, expected.state.get(name, [])) for name, rows in self.state.items()]
        for name, mine, others in parts:
            for number, (row, other) in enumerate(zip(mine, others, strict=False)):
                if row != other:
                    return f"{name}, row {number}: {row} instead of {other}"
            if len(mine) != len(others):
                return f"{name}: {len(mine)} rows instead of {len(others)}"
        return None if self.state.keys() == expected.state.keys() else f"states {list(self.state)}"


def outcome(life: Life) -> Outcome:
    out, odd = _read(life, life.sink, "out"), _read(life, life.side, "odd")
    return Outcome(out, odd, state_of(life.path(life.state)))


def state_of(directory: Path) -> dict[str, list[Any]]:
    """The states and timers of the newest checkpoint, by operator and name. What has expired is left out: when it goes
    is nobody's business."""
    import pyarrow as pa

    opened = OpenState(directory)
    found = {}
    for number, operator in enumerate(opened.operators):
        for state in opened.states(number):
            table = opened.table(state.name, operator["name"], timers=False, key=None)
            name = f"{operator['name']}.{state.name}"
            found[name] = [row for row in pa.table(table).to_pylist() if not _has_expired(name, row)]
        timers = opened.table(None, operator["name"], timers=True, key=None)
        found[f"timers of {operator['name']}"] = pa.table(timers).to_pylist()
    return found


def _has_expired(state: str, row: dict[str, Any]) -> bool:
    """At the end of the input, which is the end of event time."""
    expires_at = row.get("expires_at")
    is_event_time = state == "matching.fresh"
    return expires_at is not None and (is_event_time or expires_at <= crash_job.last_time(ROWS))


def _read(life: Life, kind: str, name: str) -> list[Any]:
    if kind in ("sqlite", "upsert"):
        connection = sqlite3.connect(life.path(f"{name}.db"))
        try:
            rows = [list(row) for row in connection.execute(f"SELECT * FROM {name} ORDER BY rowid")]
        finally:
            connection.close()
        return sorted(rows, key=repr) if kind == "upsert" else rows
    files = sorted(life.path(name).glob(f"*.{kind}"))
    if kind == "parquet":
        import pyarrow.parquet

        return [list(row.values()) for file in files for row in pyarrow.parquet.read_table(file).to_pylist()]
    return [list(json.loads(line).values()) for file in files for line in file.read_text().splitlines()]


def prepared(folder: Path, **settings: Any) -> Life:
    """A life in a new folder, with its input."""
    life = Life(str(folder), **settings)
    prepare(life)
    return life


def prepare(life: Life) -> None:
    crash_job.write_payments(life.path("payments"), life.rows)


if __name__ == "__main__":
    main()
