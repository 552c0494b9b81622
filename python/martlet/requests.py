"""What other threads ask of a durable run: a checkpoint, a savepoint, the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

__all__ = ["Request", "Requests"]


class Request:
    """A checkpoint, and a savepoint of it if there is a path."""

    __slots__ = ("future", "path")

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.future: Future[int] = Future()


class Requests:
    """Those that were not taken up yet."""

    __slots__ = ("_failure", "_lock", "_pause", "_waiting", "is_stopped")

    def __init__(self, pause: Callable[[], None]) -> None:
        self._pause = pause
        self._lock = threading.Lock()
        self._waiting: list[Request] = []
        self._failure: BaseException | None = None
        self.is_stopped = False

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, path: Path | None = None) -> Future[int]:
        """From any thread. What comes is the number of the checkpoint, or why there is none."""
        request = Request(path)
        with self._lock:
            if self._failure is None:
                self._waiting.append(request)
            else:
                request.future.set_exception(self._failure)
        self._pause()
        return request.future

    def stop(self) -> None:
        """From any thread, and from a signal handler: the run ends with a last checkpoint."""
        self.is_stopped = True
        self._pause()

    def answer(self, checkpoint: int, save: Callable[[Path], None]) -> None:
        """After a checkpoint, while the job still stands where it was taken. A savepoint that cannot be written is the
        affair of who asked for it."""
        for request in self._take():
            try:
                if request.path is not None:
                    save(request.path)
            except Exception as error:
                request.future.set_exception(error)
            else:
                request.future.set_result(checkpoint)

    def fail(self, failure: BaseException) -> None:
        """The run is over."""
        with self._lock:
            self._failure = failure
        for request in self._take():
            request.future.set_exception(failure)

    def _take(self) -> list[Request]:
        with self._lock:
            taken, self._waiting = self._waiting, []
        return taken
