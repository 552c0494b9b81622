"""One run: the job of the engine and the outputs that streams take from it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ._engine import Job, ManualClock, RecordBatch, Schema, export_stream
from .config import Config
from .errors import ClosedError, WorkerDiedError
from .instances import Instance, instantiate
from .metrics import watermark_lag_ms
from .monitor import Monitor
from .report import RunReport
from .sources.reading import Reading

if TYPE_CHECKING:
    from .graph import Plan, PlannedOperator, SourceNode
    from .workers import Workers

__all__ = ["Output", "Run", "add_operators", "add_source", "export", "new_job"]

_NULLS = {"raise": 0, "drop": 1, "process": 2, "dead_letter": 3}
_ON_ERROR = {"raise": 0, "skip": 1, "dead_letter": 2}
_LATE = {"process": 0, "drop": 1, "side_output": 2}
_AT_END = {"fire": 0, "drop": 1, "keep": 2}
_KINDS = {"process": 0, "connect": 1, "broadcast": 2}


def new_job(name: str, config: Config, clock: ManualClock | None, failures: Any = None, on_tick: Any = None) -> Job:
    """An empty job of the engine with these settings."""
    return Job(
        name,
        _NULLS[config.null_keys],
        _NULLS[config.null_timestamps],
        clock,
        _AT_END[config.at_end],
        _ON_ERROR[config.on_error],
        _LATE[config.late],
        failures,
        on_tick,
        config.max_parallelism,
    )


def add_operators(
    job: Job, operators: Sequence[PlannedOperator], adapt: Callable[[Instance], Instance] | None = None
) -> list[Instance]:
    """Adds the operators of a plan to a job of the engine, each with a copy of its function; these copies. `adapt` may
    put its own methods around those of a copy.

    Needs no sources: inputs are numbers, so this is also how a process that only works for a job builds its part.
    """
    instances = []
    for operator, inputs in operators:
        instance = instantiate(operator)
        instances.append(instance := instance if adapt is None else adapt(instance))
        job.add_process(
            operator.name,
            instance.target,
            instance.methods,
            operator.keys,
            instance.states,
            operator.output,
            tuple(operator.side_outputs.items()),
            _KINDS[operator.kind],
            inputs,
            instance.aliases,
        )
    return instances


def add_source(job: Job, source: SourceNode, is_durable: bool = False) -> Reading | None:
    """Adds a source to a job of the engine; what reads a `mt.Source`. In a durable job it tells where it stands, if it
    can be read again."""
    time = source.timestamp, source.bound_ms, source.idle_ms, source.is_live
    tells = is_durable and not source.one_shot
    if source.kind == "stream":
        job.add_arrow_stream(source.name, *time, source.source, tells)
        return None
    reading = Reading(source.source, source.name) if source.kind == "source" else None
    items = reading or ([source.source] if source.kind == "array" else source.source)
    places = (reading or True) if tells else None
    job.add_source(source.name, *time, items, source.kind == "rows", source.schema, places, reading)
    return reading


def _start_workers(run: Run, job: Job, name: str, plan: Plan, config: Config) -> Workers | None:
    """The workers of a job that has been built; None if it needs none."""
    if config.parallelism == 1 or not plan.operators:
        return None
    # Workers themselves, and jobs without any, need not load what starts processes.
    from .workers import start_workers

    return start_workers(run, job, name, plan, config)


class Run:
    """A job that was built and may have begun, with the outputs of its plan.

    Closed when all outputs have ended, on an error that no output is left to hear of, or when it is dropped.
    """

    is_durable = False
    __slots__ = (
        "__weakref__",
        "_job",
        "_monitor",
        "_numbers",
        "_open",
        "_readings",
        "_started",
        "_workers",
        "failure",
        "is_running",
        "name",
        "report",
    )

    def __init__(self, plan: Plan, config: Config) -> None:
        self.name = name = config.name or " + ".join(source.name for source in plan.sources)
        self._monitor = Monitor(name, config)
        self._job = new_job(name, config, config.clock, self._monitor.failures, self._monitor.ticker())
        self.failure: BaseException | None = None
        self.is_running = False
        self.report: RunReport | None = None
        self._started = time.perf_counter()
        read = [add_source(self._job, source, config.is_durable) for source in plan.sources]
        self._readings = [one for one in read if one is not None]
        add_operators(self._job, plan.operators)
        # A source on its own is the job's only output.
        self._numbers = [self._job.add_output(one.process, one.tag) if one.process else 0 for one in plan.outputs]
        self._open = len(plan.outputs)
        self._workers = _start_workers(self, self._job, name, plan, config)

    def outputs(self) -> list[Output]:
        """Those of the plan, to be asked for once. The run does not hold them: it lives as long as one of them."""
        return [Output(self, number) for number in self._numbers]

    def place_sinks(self, outputs: list[Output], sinks: list[Any], labels: list[str]) -> list[Any]:
        """The sinks that this process writes: all of them. (On Flink tasks write some, which are None here.)"""
        return sinks

    def next(self, output: int, min_rows: int) -> RecordBatch | None:
        if self.is_running:
            return self._job.next(min_rows, output)  # which says that this is not possible
        self.is_running = True
        try:
            return self._job.next(min_rows, output)
        except BaseException as error:
            # The outputs after the first that hears of it: the rows that came before, then the same failure.
            if self.failure is not None:
                raise self.failure from None
            self.failure = error
            self._explain(error)
            raise
        finally:
            self.is_running = False

    def _explain(self, error: BaseException) -> None:
        """Of a worker that has died, how."""
        if self._workers is not None and isinstance(error, WorkerDiedError):
            self._workers.explain(error)

    def schema(self, output: int) -> Schema | None:
        return self._job.output_schema(output)

    def current_report(self) -> RunReport:
        """What was counted so far, or in all once the run has ended."""
        return self.report or self._make_report(self._job.report())

    def _make_report(self, counters: dict[str, int]) -> RunReport:
        lag = watermark_lag_ms(counters["input_watermark"])
        seconds = time.perf_counter() - self._started
        checkpoints = self._monitor.checkpoints.numbers()
        return RunReport(**counters, **checkpoints, watermark_lag_ms=lag, wall_time_s=seconds)

    def leave(self) -> None:
        """One output has ended; the last one closes the job."""
        self._open -= 1
        if self._open == 0:
            self.close()

    def close(self) -> None:
        """Ends the run. What functions raise in close() after a failure is not what the user must see."""
        if self.report is not None:
            return
        counters = self._job.report()
        self.report = self._make_report(counters)
        failed = self.failure is not None
        self._monitor.close(counters, f"failed: {self.failure!r}" if failed else f"ended: {self.report}")
        for reading in self._readings:
            with contextlib.suppress(Exception):
                reading.close_source()
        with contextlib.suppress(Exception):
            self._job.close()
        for reading in self._readings:
            # What is still being read by another thread ends by itself.
            with contextlib.suppress(Exception):
                reading.end()
        if self._workers is not None:
            self._workers.close()


class Output:
    """One output of a run, taken by one stream."""

    __slots__ = ("_first", "_has_ended", "_is_complete", "_number", "_run", "_schema")

    def __init__(self, run: Run, number: int) -> None:
        self._run = run
        self._number = number
        self._first: RecordBatch | None = None
        self._schema: Schema | None = None
        self._has_ended = False
        self._is_complete = False

    def peek(self) -> None:
        """Reads up to the first batch, so that the schema is known."""
        if self._first is None and not self._has_ended:
            self._first = self.next(1)

    def schema(self) -> Schema:
        """The output's schema; one without columns when nothing told it."""
        if self._first is not None:
            return self._first.schema
        return self._schema or Schema({})

    def batches(self, min_rows: int) -> Iterator[RecordBatch]:
        return Batches(self, min_rows)

    def next(self, min_rows: int) -> RecordBatch | None:
        first, self._first = self._first, None
        if first is not None:
            return first
        if self._is_complete:
            return None
        if self._has_ended:
            raise ClosedError("the run is closed; iterate the stream again to start a new one")
        try:
            batch = self._run.next(self._number, min_rows)
        except BaseException:
            if not self._run.is_running:
                self._end()
            raise
        if batch is None:
            self._schema = self._run.schema(self._number)
            self._is_complete = True
            self._end()
        return batch

    def _end(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._run.leave()

    def close(self) -> None:
        """Takes no more. Closing twice is fine."""
        self._first = None
        self._end()

    def report(self) -> RunReport:
        return self._run.current_report()

    @property
    def job_name(self) -> str:
        return self._run.name

    @property
    def run(self) -> Run:
        return self._run

    @property
    def number(self) -> int:
        """As the job counts."""
        return self._number


class Batches:
    """Iterator over the batches of an output. Using it from inside one of the run's own callbacks is a BusyError."""

    __slots__ = ("_min_rows", "_output")

    def __init__(self, output: Output, min_rows: int) -> None:
        self._output = output
        self._min_rows = min_rows

    def __iter__(self) -> Iterator[RecordBatch]:
        return self

    def __next__(self) -> RecordBatch:
        batch = self._output.next(self._min_rows)
        if batch is None:
            raise StopIteration
        return batch

    def close(self) -> None:
        """Ends the run early, unless other outputs of it are still to be taken."""
        self._output.close()


def export(schema: Schema, batches: Iterable[RecordBatch]) -> object:
    """An Arrow stream capsule over batches of this schema."""
    return export_stream(schema, iter(batches))
