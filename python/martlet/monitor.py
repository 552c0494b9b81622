"""Who looks at a run while it goes: the log, the progress line, metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .failures import FailureLog
from .metrics import PrometheusMetrics
from .progress import ProgressLine

if TYPE_CHECKING:
    from .config import Config

__all__ = ["Monitor"]

_LOGGER = logging.getLogger("martlet")
_METRICS_SECONDS = 1.0


class CheckpointCounts:
    """What there is to say about the checkpoints of a run; see `RunReport`."""

    __slots__ = ("checkpoints", "last_checkpoint", "restored_from")

    def __init__(self) -> None:
        self.checkpoints = 0
        self.last_checkpoint: int | None = None
        self.restored_from: int | None = None

    def numbers(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def __str__(self) -> str:
        """For the progress line: empty, or with a comma at its beginning."""
        restored = "" if self.restored_from is None else f", restored from checkpoint {self.restored_from}"
        return restored + (f", checkpoint {self.last_checkpoint}" if self.checkpoints else "")


class Monitor:
    """Tells the world how one run goes. Holds nothing of the run itself."""

    __slots__ = (
        "__weakref__",
        "_closed",
        "_metrics",
        "_metrics_due",
        "_name",
        "_progress",
        "checkpoints",
        "failures",
    )

    def __init__(self, name: str, config: Config) -> None:
        self._name = name
        self._metrics = config.metrics
        self._metrics_due = 0.0
        self._closed = False
        self.checkpoints = CheckpointCounts()
        self._progress = ProgressLine(name, config.progress) if ProgressLine.wanted(config.progress) else None
        self.failures = FailureLog(config.on_error == "dead_letter") if config.on_error != "raise" else None
        _LOGGER.debug("job %r starts", name)

    def ticker(self) -> Callable[[dict[str, int]], None] | None:
        """What the running job is to call now and then with its counters; None: nobody looks."""
        return None if self._progress is None and self._metrics is None else self._tick

    def _tick(self, counters: dict[str, int]) -> None:
        if self._progress is not None:
            self._progress.update(counters, str(self.checkpoints))
        now = time.monotonic()
        if self._metrics is not None and now >= self._metrics_due:
            self._metrics_due = now + _METRICS_SECONDS
            self._export(counters)

    def _export(self, counters: dict[str, int]) -> None:
        counters = {**counters, "checkpoints": self.checkpoints.checkpoints}
        if isinstance(self._metrics, PrometheusMetrics):
            self._metrics.update(self._name, counters, self)
        else:
            self._metrics.update(self._name, counters)

    def close(self, counters: dict[str, int], words: str) -> None:
        """The run has ended; once."""
        if self._closed:
            return
        self._closed = True
        if self._progress is not None:
            self._progress.close()
        if self.failures is not None:
            self.failures.summarize()
        if self._metrics is not None:
            self._export(counters)
        _LOGGER.info("job %r %s", self._name, words)
