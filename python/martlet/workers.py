"""The worker processes of one run: started, watched, and ended whatever happens."""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ConfigError, WorkerDiedError
from .sending import WorkerJob, pickle_job, revive_exception

if TYPE_CHECKING:
    from ._engine import Job
    from .config import Config
    from .graph import Plan

__all__ = ["Workers", "start_workers"]

# How long a worker may take to end after it was told to, before it is killed: for the user's atexit functions.
_GRACE_SECONDS = 2.0
_READY, _FAILED = b"R", b"E"


def start_workers(run: Any, job: Job, name: str, plan: Plan, config: Config) -> Workers:
    """The workers of a job that has been built.

    They end with the job's close(), with `run`, which is any object, and with this interpreter, whichever comes first.
    """
    workers = Workers()
    what = WorkerJob(name, [source.name for source in plan.sources], plan.operators, config)
    workers.start(job, what, config.parallelism, config.max_parallelism)
    weakref.finalize(run, _end, job, workers)
    return workers


def _end(job: Job, workers: Workers) -> None:
    with contextlib.suppress(Exception):
        job.close()
    workers.close()


class Workers:
    """`parallelism` processes, each of which has one instance of every operator of a job.

    A process runs the module martlet._worker in a session of its own, so that Ctrl-C reaches this process only; its
    standard input is empty, what it prints goes where this process prints. Worker and job are tied by a socket, and
    the end of either end is the end of both: a worker whose job is gone ends at once, also when this process was
    killed.
    """

    __slots__ = ("_processes",)

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, job: Job, what: WorkerJob, parallelism: int, max_parallelism: int) -> None:
        """Starts the processes and gives their sockets to the job. ConfigError if the functions cannot be sent; what a
        worker raises while it builds its part of the job is raised here. No process is left after a failure."""
        data = pickle_job(what)
        ends: list[socket.socket] = []
        try:
            with _shared_file(_bootstrap(max_parallelism), data) as payload:
                for instance in range(parallelism):
                    ends.append(self._start(payload, instance, parallelism))
            for instance, end in enumerate(ends):
                self._wait_until_ready(instance, end)
            job.use_workers(tuple(end.detach() for end in ends), max_parallelism, revive_exception)
        except BaseException:
            for end in ends:
                end.close()
            self.kill()
            raise

    def _start(self, payload: int, instance: int, parallelism: int) -> socket.socket:
        if not sys.executable:
            raise ConfigError("parallelism above 1 needs sys.executable, the path of the Python interpreter to start")
        mine, theirs = socket.socketpair()
        with theirs:
            numbers = [str(number) for number in (theirs.fileno(), payload, instance, parallelism)]
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "martlet._worker", *numbers],
                    stdin=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(), payload),
                    start_new_session=True,
                    env=_environment(),
                )
            except BaseException:
                mine.close()
                raise
        self._processes.append(process)
        return mine

    def _wait_until_ready(self, instance: int, end: socket.socket) -> None:
        kind = _receive(end, 1)
        if kind == _READY:
            return
        size = _receive(end, 8) if kind == _FAILED else b""
        data = _receive(end, int.from_bytes(size, "little")) if len(size) == 8 else b""
        if data:
            raise revive_exception(data)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._processes[instance].wait(_GRACE_SECONDS)
        raise WorkerDiedError(
            f"worker process {instance} of {len(self._processes)} ended before it was ready: it {self.status(instance)}"
        )

    # ---- the end -------------------------------------------------------------------------------------

    def explain(self, error: WorkerDiedError) -> None:
        """Adds to the engine's error about a worker how that process has ended."""
        number = re.match(r"worker process (\d+) of", str(error))
        if number is None or int(number[1]) >= len(self._processes):
            return
        # The end of its socket is seen a moment before that of the process.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._processes[int(number[1])].wait(_GRACE_SECONDS)
        status = self.status(int(number[1]))
        error.args = (f"{number[0]} {len(self._processes)} ended before its work was done: it {status}",)

    def status(self, instance: int) -> str:
        """How a process has ended, in words."""
        process = self._processes[instance]
        status = process.poll()
        if status is None:
            return f"(pid {process.pid}) is still running"
        if status >= 0:
            return f"(pid {process.pid}) exited with status {status}; what it wrote to standard error tells why"
        try:
            name = f"{-status} ({signal.Signals(-status).name})"
        except ValueError:
            name = str(-status)
        hint = ", which is often the system's answer to a lack of memory" if status == -signal.SIGKILL else ""
        return f"(pid {process.pid}) was killed by signal {name}{hint}"

    def close(self) -> None:
        """Waits until all have ended; kills those that take too long. The job must have been closed."""
        deadline = time.monotonic() + _GRACE_SECONDS
        try:
            for process in self._processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, deadline - time.monotonic()))
        finally:
            self.kill()

    def kill(self) -> None:
        """Ends those that are left, at once."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
        for process in self._processes:
            process.wait()

    def pids(self) -> tuple[int, ...]:
        return tuple(process.pid for process in self._processes)


def _bootstrap(max_parallelism: int) -> bytes:
    """What a worker must know before it can unpickle anything of the user's: plain pickle."""
    values = {
        "path": list(sys.path),
        "argv": list(sys.argv),
        "environment": os.environ.get("PYTHONPATH"),
        "max_parallelism": max_parallelism,
    }
    return pickle.dumps(values)


def _environment() -> dict[str, str]:
    """With the package found wherever this process found it; the worker puts PYTHONPATH back."""
    here = str(Path(__file__).resolve().parents[1])
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{before}" if before else here}


@contextlib.contextmanager
def _shared_file(*parts: bytes) -> Iterator[int]:
    """The descriptor of a file without a name that has these parts, each behind its length (8 bytes)."""
    has_memory = hasattr(os, "memfd_create")
    with os.fdopen(os.memfd_create("martlet-job"), "wb") if has_memory else tempfile.TemporaryFile() as file:
        for part in parts:
            file.write(len(part).to_bytes(8, "little"))
            file.write(part)
        file.flush()
        yield file.fileno()


def _receive(end: socket.socket, size: int) -> bytes:
    """So many bytes; fewer if the other end is gone."""
    data = b""
    while len(data) < size:
        try:
            part = end.recv(min(size - len(data), 1 << 20))
        except ConnectionError:
            break
        if not part:
            break
        data += part
    return data
