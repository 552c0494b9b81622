"""The main program of a worker process: `python -m martlet._worker SOCKET PAYLOAD INSTANCE PARALLELISM`.

Started by martlet.workers and by nobody else. It reads the job from the payload (a file without a name), builds its
part of it, and does what comes over the socket until the job ends.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import socket
import sys
from typing import Any


def main(arguments: list[str]) -> None:
    number, payload, instance, parallelism = map(int, arguments)
    # Ctrl-C is for the process that has the job; it tells this one to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whoever stops a service tells all of its processes, and the job may want a last checkpoint of this one. A handler,
    # since what is ignored would be ignored by programs that functions start, too.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            # Whole lines, also under PYTHONUNBUFFERED: the workers share the terminal.
            stream.reconfigure(line_buffering=True, write_through=False)
    end = socket.socket(fileno=number)
    end.set_inheritable(False)
    start, data = _read(payload)
    values = pickle.loads(start)
    sys.path[:] = values["path"]
    sys.argv[:] = values["argv"]
    _restore("PYTHONPATH", values["environment"])

    from .sending import describe_exception

    try:
        job, monitor = _build(pickle.loads(data))
        end.sendall(b"R")
    except BrokenPipeError:
        sys.exit(1)
    except BaseException as error:
        described = describe_exception(error)
        end.sendall(b"E" + len(described).to_bytes(8, "little") + described)
        sys.exit(1)
    try:
        job.serve(end.detach(), instance, parallelism, values["max_parallelism"], describe_exception)
    finally:
        if monitor.failures is not None:
            monitor.failures.summarize()
    _exit_quickly()


def _exit_quickly() -> None:
    """Ends the process as the interpreter does, but for taking all modules apart, which the job would wait for."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(0)


def _build(what: Any) -> tuple[Any, Any]:
    from .monitor import Monitor
    from .run import add_operators, new_job

    config = what.config()
    monitor = Monitor(what.name, config)
    job = new_job(what.name, config, config.clock, monitor.failures)
    for name in what.source_names:
        # Never read: operators are numbered by what they are applied to.
        job.add_source(name, None, 0, 0, False, [], True, None)
    add_operators(job, what.operators)
    return job, monitor


def _read(payload: int) -> tuple[bytes, bytes]:
    parts = []
    at = 0
    # The position of the descriptor is shared with the other workers.
    for _ in range(2):
        size = int.from_bytes(_read_at(payload, 8, at), "little")
        parts.append(_read_at(payload, size, at + 8))
        at += 8 + size
    os.close(payload)
    return parts[0], parts[1]


def _read_at(payload: int, size: int, at: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = os.pread(payload, size - len(data), at + len(data))
        if not part:
            raise EOFError("the job of this worker process is cut short")
        data += part
    return bytes(data)


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


if __name__ == "__main__":
    main(sys.argv[1:])
