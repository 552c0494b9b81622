"""A job that was given to Flink: what comes back of it, and what it can be told."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from typing import Any

from .wire import Element

__all__ = ["Submission"]

CHUNK = 1000
# How long a call of Java waits: Ctrl-C is heard between two of them.
_WAIT_MS = 500
_POLL_S = 0.05
_END_S = 60.0
# What a savepoint fails with while some tasks have not begun, or have just ended.
_PASSING = ("Not all required tasks are currently running", "task is closing", "tasks have been finished")


class Submission:
    """The job of an environment. `collected`: outputs whose elements come back; it is submitted when this is made."""

    def __init__(self, environment: Any, collected: list[Any], name: str) -> None:
        from pyflink.java_gateway import get_gateway

        from .session import share_classes

        self._jvm = get_gateway().jvm
        # The thread that built the job may have been another one.
        share_classes()
        self._iterator: Any = None
        if collected:
            stream = collected[0].union(*collected[1:]) if len(collected) > 1 else collected[0]
            self._iterator = self._jvm.martlet.flink.Collecting.of(stream._j_data_stream, "results")
        self._client = environment.execute_async(name)._j_job_client
        self._results: Any = None
        self._reading: Any = None
        if self._iterator is not None:
            self._results, self._reading = self._jvm.martlet.flink.Results.of(self._iterator)
        self._end = self._client.getJobExecutionResult()

    def elements(self) -> Iterator[Element]:
        """What comes back, to the end of the job, whose failure is raised as Java's exception."""
        from pyflink.common import Types

        kind = Types.LIST(Types.PICKLED_BYTE_ARRAY()).get_java_type_info()
        milliseconds = self._jvm.java.util.concurrent.TimeUnit.MILLISECONDS
        is_more = self._results is not None
        while is_more:
            first = self._results.poll(_WAIT_MS, milliseconds)
            if first is None:
                is_more = not self._reading.isDone()  # otherwise it was closed meanwhile
                continue
            items = [first]
            found = self._jvm.java.util.ArrayList()
            if self._results.drainTo(found, CHUNK):
                pickled = self._jvm.PythonBridgeUtils.getPickledBytesFromJavaObject(found, kind)
                items += map(pickle.loads, pickle.loads(pickled))
            for item in items:
                if item:
                    yield pickle.loads(item)
                else:  # what comes after the last one
                    is_more = False
        if self._reading is not None and not self._reading.isCancelled():
            self._reading.get()
        while not self._end.isDone():
            time.sleep(_POLL_S)
        self._end.get()

    @property
    def job_id(self) -> str:
        return str(self._client.getJobID().toString())

    @property
    def is_done(self) -> bool:
        return bool(self._end.isDone())

    def savepoint(self, directory: str, *, stops: bool, timeout_s: float | None) -> str:
        """Writes a savepoint into a directory, after which the job has ended if it `stops`; where it is."""
        form = self._jvm.org.apache.flink.core.execution.SavepointFormatType.CANONICAL
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            if stops:
                future = self._client.stopWithSavepoint(False, directory, form)
            else:
                future = self._client.triggerSavepoint(directory, form)
            while not future.isDone():
                if deadline is not None and time.monotonic() > deadline:
                    raise TimeoutError(f"no savepoint in {directory} after {timeout_s} s; it may still come")
                time.sleep(_POLL_S)
            try:
                return str(future.get())
            except Exception as error:
                if self.is_done or not any(words in str(error) for words in _PASSING):
                    raise
                time.sleep(_POLL_S)

    def close(self) -> None:
        """Cancels the job if it has not ended, and waits for it."""
        if not self.is_done:
            self._client.cancel()
        if self._reading is not None:
            self._reading.cancel(True)
        if self._iterator is not None:
            self._iterator.close()
        end = time.monotonic() + _END_S
        while not self.is_done and time.monotonic() < end:
            time.sleep(_POLL_S)
