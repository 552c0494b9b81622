"""One run of a stream: the job of the engine, its batches, and its end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ._engine import Job, RecordBatch, Schema, export_stream
from .config import Config
from .functions import instantiate
from .report import RunReport

if TYPE_CHECKING:
    from .stream import ProcessNode, SourceNode

__all__ = ["Run", "export"]

_NULL_KEYS = {"raise": 0, "drop": 1}
_AT_END = {"fire": 0, "drop": 1, "keep": 2}
_NULL_TIMESTAMPS = {"raise": 0, "drop": 1, "process": 2}


class Run:
    """A job that was built and may have begun. Closed at the end of its batches, on an error, or when it is dropped."""

    __slots__ = ("_first", "_job", "_report", "_schema", "_started")

    def __init__(self, source: SourceNode, processes: tuple[ProcessNode, ...], config: Config) -> None:
        self._job = Job(
            config.name or source.name,
            _NULL_KEYS[config.null_keys],
            _NULL_TIMESTAMPS[config.null_timestamps],
            config.clock,
            _AT_END[config.at_end],
        )
        self._first: RecordBatch | None = None
        self._schema: Schema | None = None
        self._report: RunReport | None = None
        self._started = time.perf_counter()
        if source.kind == "stream":
            self._job.add_arrow_stream(source.name, source.timestamp, source.bound_ms, source.source)
        else:
            items = [source.source] if source.kind == "array" else source.source
            self._job.add_source(
                source.name, source.timestamp, source.bound_ms, items, source.kind == "rows", source.schema
            )
        for process in processes:
            target, methods, states = instantiate(process.fn, process.states, process.name)
            self._job.add_process(process.name, target, methods, process.key, states, process.output)

    def peek(self) -> None:
        """Reads up to the first output batch, so that the schema is known."""
        if self._first is None and self._report is None:
            self._first = self._next(1)

    def schema(self) -> Schema:
        """The output's schema; one without columns when nothing told it."""
        if self._first is not None:
            return self._first.schema
        return self._schema or Schema({})

    def batches(self, min_rows: int) -> Iterator[RecordBatch]:
        return Batches(self, min_rows)

    def _next(self, min_rows: int) -> RecordBatch | None:
        first, self._first = self._first, None
        if first is not None:
            return first
        if self._report is not None:
            return None
        try:
            batch = self._job.next(min_rows)
        except BaseException:
            self._close_after_failure()
            raise
        if batch is None:
            self._end()
        return batch

    def _end(self) -> None:
        self._schema = self._job.output_schema()
        counters = self._job.report()
        self._report = RunReport(**counters, wall_time_s=time.perf_counter() - self._started)
        self._job.close()

    def _close_after_failure(self) -> None:
        # The failure that is being raised is what the user must see, not one that follows from it.
        with contextlib.suppress(Exception):
            self._job.close()

    def close(self) -> None:
        """Ends the run early. Closing twice is fine."""
        if self._report is None:
            self._close_after_failure()

    def report(self) -> RunReport:
        if self._report is None:
            self._end()
        assert self._report is not None
        return self._report


class Batches:
    """Iterator over the batches of a run. Using it from inside one of the run's own callbacks is a BusyError."""

    __slots__ = ("_min_rows", "_run")

    def __init__(self, run: Run, min_rows: int) -> None:
        self._run = run
        self._min_rows = min_rows

    def __iter__(self) -> Iterator[RecordBatch]:
        return self

    def __next__(self) -> RecordBatch:
        batch = self._run._next(self._min_rows)
        if batch is None:
            raise StopIteration
        return batch

    def close(self) -> None:
        """Ends the run early."""
        self._run.close()


def export(schema: Schema, batches: Iterable[RecordBatch]) -> object:
    """An Arrow stream capsule over batches of this schema."""
    return export_stream(schema, iter(batches))
