"""A job on Flink that runs while the program goes on."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ClosedError
from ..sinks.running import run_sinks
from ..stream import BULK_ROWS
from ..threaded_run import ThreadedRun

if TYPE_CHECKING:
    from ..report import RunReport
    from ..run import Output

__all__ = ["FlinkJob"]


class FlinkJob(ThreadedRun):
    """Made by `Stream.start` in the profile `"distributed-durable"`. A thread takes what comes back and gives it to
    those sinks that Flink's tasks do not write themselves.

    As a context manager it stops the job at the end of the block.
    """

    __slots__ = ("_run", "_saved")

    def __init__(self, run: Any, outputs: list[Output], sinks: list[Any], labels: list[str]) -> None:
        self._run = run
        self._saved: str | None = None
        super().__init__(run.name, lambda: run_sinks(run, outputs, sinks, labels, BULK_ROWS))

    @property
    def job_id(self) -> str:
        """Flink's name of the job, once it is submitted. Raises why it could not be."""
        found: str = self._submission().job_id
        return found

    @property
    def saved(self) -> str | None:
        """Where `stop` has written its savepoint, for `Config(restore_from=…)`; None before."""
        return self._saved

    def savepoint(self, path: str | os.PathLike[str] | None = None, timeout_s: float | None = None) -> str:
        """Writes a savepoint of Flink into a new directory within `path`, by default within the state directory, and
        returns where it is: what `Config(restore_from=…)` takes, with any parallelism. The job goes on. Raises why the
        run has failed, if it has; ClosedError after its end; TimeoutError, after which the savepoint may still come."""
        return self._save(path, timeout_s, stops=False)

    def stop(self, timeout_s: float | None = None) -> RunReport:
        """Ends the run with a savepoint in the state directory (`saved`), without firing timers as the end of the input
        would; sinks have all output up to it. Stopping twice is fine."""
        if self.is_running:
            with contextlib.suppress(ClosedError):  # the input has ended meanwhile
                self._saved = self._save(None, timeout_s, stops=True)
        return self.wait(timeout_s)

    def cancel(self, timeout_s: float | None = None) -> None:
        """Ends the run without a savepoint; sinks keep what Flink has committed with its checkpoints."""
        self._run.cancel()
        self._done.exception(timeout_s)

    def _save(self, path: str | os.PathLike[str] | None, timeout_s: float | None, *, stops: bool) -> str:
        submission = self._submission()
        try:
            place: str = submission.savepoint(
                self._run.directory(path and Path(path)), stops=stops, timeout_s=timeout_s
            )
        except TimeoutError:
            raise
        except Exception:
            if submission.is_done:
                self._done.result()  # which raises why
                raise ClosedError(f"job {self.name!r} has ended: there is nothing to save") from None
            raise
        return place

    def _submission(self) -> Any:
        while not self._run.is_submitted.wait(0.05):
            if self._done.done():
                self._done.result()
                raise ClosedError(f"job {self.name!r} has ended")
        return self._run.submission
