"""A run in a thread of its own, and the handle on it."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from .report import RunReport

__all__ = ["ThreadedRun"]


class ThreadedRun(ABC):
    """Calls `work` in a thread. As a context manager it stops the run at the end of the block."""

    __slots__ = ("_done", "name")

    def __init__(self, name: str, work: Callable[[], RunReport]) -> None:
        self.name = name
        self._done: Future[RunReport] = Future()

        def run() -> None:
            try:
                report = work()
            except BaseException as error:
                self._done.set_exception(error)
            else:
                self._done.set_result(report)

        threading.Thread(target=run, name=f"martlet {name}", daemon=True).start()

    @property
    def is_running(self) -> bool:
        return not self._done.done()

    @abstractmethod
    def stop(self, timeout_s: float | None = None) -> RunReport: ...

    def wait(self, timeout_s: float | None = None) -> RunReport:
        """The report, when the input has ended or the job was stopped. Raises what the run failed with;
        TimeoutError."""
        return self._done.result(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None or self.is_running:
            self.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, {'running' if self.is_running else 'ended'}>"
