"""A job on Flink that runs while the program goes on."""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..errors import ClosedError
from ..sinks.running import run_sinks

if TYPE_CHECKING:
    from ..report import RunReport
    from ..run import Output

__all__ = ["FlinkJob"]

_BULK_ROWS = 65_536


class FlinkJob:
    """Made by `Stream.start` in the profile `"distributed-durable"`. A thread takes what comes back and gives it to
    those sinks that Flink's tasks do not write themselves.

    As a context manager it stops the job at the end of the block.
    """

    __slots__ = ("_done", "_run", "_saved", "name")

    def __init__(self, run: Any, outputs: list[Output], sinks: list[Any], labels: list[str]) -> None:
        self._run = run
        self._saved: str | None = None
        self.name: str = run.name
        self._done: Future[RunReport] = Future()

        def work() -> None:
            try:
                report = run_sinks(run, outputs, sinks, labels, _BULK_ROWS)
            except BaseException as error:
                self._done.set_exception(error)
            else:
                self._done.set_result(report)

        threading.Thread(target=work, name=f"martlet {self.name}", daemon=True).start()

    @property
    def is_running(self) -> bool:
        return not self._done.done()

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

    def wait(self, timeout_s: float | None = None) -> RunReport:
        """The report, when the input has ended or the job was stopped. Raises what the run failed with;
        TimeoutError."""
        return self._done.result(timeout_s)

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None or self.is_running:
            self.stop()

    def __repr__(self) -> str:
        return f"<FlinkJob {self.name!r}, {'running' if self.is_running else 'ended'}>"
