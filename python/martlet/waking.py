"""What wakes a durable run when a checkpoint is due, also while it waits for its sources."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._engine import Job

__all__ = ["Waking"]

# While a checkpoint is being written the run looks up so often whether it is durable.
_UNDER_WAY_SECONDS = 0.02
# After the run was woken for a checkpoint and could not look up yet.
_AGAIN_SECONDS = 0.2


class Waking:
    """Says when a checkpoint is due, and pauses the job then, from a thread of its own. It ends with `end()`."""

    __slots__ = ("_changed", "_due", "_interval", "_is_under_way", "_job", "_lock")

    def __init__(self, job: Job, interval_ms: int | None) -> None:
        self._job: Job | None = job
        self._interval = None if interval_ms is None else interval_ms / 1000
        self._due = None if self._interval is None else time.monotonic() + self._interval
        self._is_under_way = False
        self._lock = threading.Lock()
        self._changed = threading.Event()
        threading.Thread(target=self._run, name="martlet-checkpoints", daemon=True).start()

    @property
    def is_due(self) -> bool:
        return self._due is not None and time.monotonic() >= self._due

    def begun(self) -> None:
        """A checkpoint was begun: the next one is due an interval later."""
        self._due = None if self._interval is None else time.monotonic() + self._interval
        self._is_under_way = True
        self._changed.set()

    def finished(self) -> None:
        """It is durable. At least half an interval is left to the job before the next one."""
        self._is_under_way = False
        if self._due is not None and self._interval is not None:
            self._due = max(self._due, time.monotonic() + self._interval / 2)

    def end(self) -> None:
        with self._lock:
            self._job = None
        self._changed.set()

    def _run(self) -> None:
        while True:
            self._changed.wait(self._wait())
            self._changed.clear()
            # The lock: the job must not be dropped by this thread, where its functions would be closed.
            with self._lock:
                if self._job is None:
                    return
                if self._is_under_way or self.is_due:
                    self._job.pause()

    def _wait(self) -> float | None:
        if self._is_under_way:
            return _UNDER_WAY_SECONDS
        due = self._due
        if due is None:
            return None
        left = due - time.monotonic()
        return left if left > 0 else _AGAIN_SECONDS
