"""Running a durable job into its sinks: here, until it ends, or in a thread of its own with a handle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .guarantees import warn_of
from .sinks.transactions import Transactions
from .stopping import StopOnSignals
from .stream import BULK_ROWS
from .threaded_run import ThreadedRun

if TYPE_CHECKING:
    from .durable import DurableRun
    from .report import RunReport
    from .run import Output

__all__ = ["RunningJob", "run_here", "start_in_thread"]


def run_here(run: Any, outputs: list[Output], sinks: list[Any], labels: list[str]) -> RunReport:
    """Runs to the end of the input, or until a signal stops it, which is raised then."""
    signals = StopOnSignals(run.requests.stop, run.name)
    with signals:
        report = _drive(run, outputs, sinks, labels)
    signals.raise_again()
    return report


def start_in_thread(run: Any, outputs: list[Output], sinks: list[Any], labels: list[str]) -> RunningJob:
    return RunningJob(run, outputs, sinks, labels)


def _drive(run: DurableRun, outputs: list[Output], sinks: list[Any], labels: list[str]) -> RunReport:
    try:
        transactions = Transactions(sinks, labels)
        warn_of(run.name, transactions)
        run.drive(transactions, [output.number for output in outputs], transactions.min_rows(BULK_ROWS))
    finally:
        for output in outputs:
            output.close()
    return run.current_report()


class RunningJob(ThreadedRun):
    """A durable job that runs in a thread of its own; made by `Stream.start`. Its methods may be called by any thread,
    but not from inside of the job's functions, sources and sinks, which they would wait for.

    As a context manager it stops the job at the end of the block.
    """

    __slots__ = ("_run",)

    def __init__(self, run: DurableRun, outputs: list[Output], sinks: list[Any], labels: list[str]) -> None:
        self._run = run
        super().__init__(run.name, lambda: _drive(run, outputs, sinks, labels))

    def checkpoint(self, timeout_s: float | None = None) -> int:
        """Takes a checkpoint now, and returns its number once it is durable and the sinks have committed. Raises why
        the run has failed, if it has; ClosedError after its end; TimeoutError, after which the checkpoint may still
        come."""
        return self._run.requests.add().result(timeout_s)

    def savepoint(self, path: str | os.PathLike[str], timeout_s: float | None = None) -> int:
        """Takes a checkpoint now, as `checkpoint` does, and writes it to the directory `path`, which must not exist,
        in a form that does not depend on state backend and parallelism. `Config(restore_from=path)` starts from it.
        Also raises ConfigError if something of that name is there, StorageError if it cannot be written; the job
        goes on."""
        # Worker processes write there too, wherever they run.
        return self._run.requests.add(Path(path).absolute()).result(timeout_s)

    def stop(self, timeout_s: float | None = None) -> RunReport:
        """Ends the run with a last checkpoint, from which the next start goes on. Stopping twice is fine."""
        self._run.requests.stop()
        return self.wait(timeout_s)
