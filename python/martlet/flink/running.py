"""A run on Flink: submitted, its results taken as they come, its failures shown as the function's own."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from .._engine import RecordBatch, Schema
from ..config import Config
from ..graph import Plan
from ..report import RunReport
from ..run import Output, Run
from ..sources.rows import MOST_ROWS, batch_of
from .failing import revived
from .manners import Manners
from .placing import is_written_there
from .refusals import check
from .session import check_installed, flink_uri, new_environment
from .submission import Submission
from .wire import Element, Rows

__all__ = ["FlinkRun"]


class FlinkRun:
    """What `martlet.run.Run` is to a job of the engine."""

    is_durable = False

    def __init__(self, plan: Plan, config: Config) -> None:
        check(plan, config)
        check_installed()
        from .translate import Translation

        self.name = config.name or " + ".join(source.name for source in plan.sources)
        self.failure: BaseException | None = None
        self.is_running = False
        self.report: RunReport | None = None
        self._started = time.perf_counter()
        self._manners = Manners()
        self._environment = new_environment(config)
        translation = Translation(self._environment, plan, config, _module_paths())
        self._records_in = translation.records_in
        self._records_out = 0
        self._open = len(plan.outputs)
        self._pending = [_Pending(translation.schema(ref)) for ref in plan.outputs]
        self._is_cancelled = False
        self._places: dict[tuple[int, str | None], list[int]] = {}
        for number, ref in enumerate(plan.outputs):
            self._places.setdefault((ref.process, ref.tag), []).append(number)
        self._plan, self._config = plan, config
        self._streams = translation.outputs
        # Outputs that the tasks of the job write to a sink.
        self._placed: set[int] = set()
        self.submission: Submission | None = None
        self.is_submitted = threading.Event()
        self._elements: Iterator[Element] | None = None

    def outputs(self) -> list[Output]:
        return [Output(cast("Run", self), number) for number in range(len(self._pending))]

    def place_sinks(self, outputs: list[Output], sinks: list[Any], labels: list[str]) -> list[Any]:
        """Has the tasks of the job write those sinks that they can; the others, with None in place of each."""
        from .writing import add_sink

        left = []
        for output, sink, label in zip(outputs, sinks, labels, strict=True):
            is_there = is_written_there(sink, self._plan, self._config)
            left.append(None if is_there else sink)
            if is_there:
                job = f"{self.name}.{label}" if label else self.name
                ref = self._plan.outputs[output.number]
                add_sink(self._streams[output.number], self._pending[output.number].schema, sink, job, self._config)
                self._placed.add(output.number)
                self._places[ref.process, ref.tag].remove(output.number)
        return left

    def next(self, output: int, min_rows: int) -> RecordBatch | None:
        if output in self._placed and len(self._placed) < len(self._pending):
            return None  # the other outputs drive the job
        pending = self._pending[output]
        self.is_running = True
        try:
            if self._elements is None:
                self._elements = self._execute()
            while len(pending) < min_rows:
                element = next(self._elements, None)
                if element is None:
                    break
                self._records_out += 1
                for number in self._places[element[0], element[1]]:
                    self._pending[number].add(element)
            return pending.take()
        except Exception as error:
            if self._is_cancelled:
                return pending.take()
            self.failure = self.failure or self._failure(error)
            raise self.failure from None
        finally:
            self.is_running = False

    def schema(self, output: int) -> Schema | None:
        return self._pending[output].schema

    def current_report(self) -> RunReport:
        return self.report or self._make_report()

    def leave(self) -> None:
        self._open -= 1
        if self._open == 0:
            self.close()

    def close(self) -> None:
        """Ends the run: the job on Flink is cancelled if it is not done."""
        if self.report is not None:
            return
        self.report = self._make_report()
        if self.submission is not None:
            self.submission.close()
        self._manners.restore()

    # ----

    def submit(self) -> Submission:
        """The job on Flink, which is submitted if it is not there yet."""
        if self.submission is None:
            collected = [one for number, one in enumerate(self._streams) if number not in self._placed]
            self.submission = Submission(self._environment, collected, self.name)
            self.is_submitted.set()
        return self.submission

    def cancel(self) -> None:
        """Ends the job, if it has been submitted; who takes its results is told as if their input had ended."""
        if self.submission is not None:
            self._is_cancelled = True
            self.submission.close()

    def directory(self, path: Path | None) -> str:
        """A directory as Flink takes it; None: that of the job's state."""
        where = path or self._config.state_dir
        assert where is not None
        return flink_uri(where)

    def _execute(self) -> Iterator[Element]:
        yield from self.submit().elements()

    def _failure(self, error: Exception) -> BaseException:
        return revived(str(error)) or error

    def _make_report(self) -> RunReport:
        return RunReport(
            records_in=self._records_in,
            records_out=self._records_out,
            batches_in=0,
            batches_out=0,
            null_keys=0,
            null_timestamps=0,
            late=0,
            late_dropped=0,
            errors=0,
            side_records=0,
            side_dropped=0,
            timers_fired=0,
            timers_pending=0,
            keys=0,
            state_entries=0,
            state_bytes=0,
            watermark=2**63 - 1,
            input_watermark=2**63 - 1,
            watermark_lag_ms=None,
            processing_timers_fired=0,
            processing_timers_pending=0,
            wall_time_s=time.perf_counter() - self._started,
        )


class _Pending:
    """Records of an output that nobody took yet."""

    def __init__(self, schema: Schema | None) -> None:
        self._rows = Rows(schema)
        self._waiting: deque[dict[str, Any]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def schema(self) -> Schema | None:
        return self._rows.schema

    def add(self, element: Element) -> None:
        self._rows.schema = self._rows.schema or self._rows.schema_of(element[5])
        self._waiting.append(self._rows.record(element))

    def take(self) -> RecordBatch | None:
        if not self._waiting:
            return None
        rows = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_ROWS))]
        assert self._rows.schema is not None
        return batch_of(rows, self._rows.schema)


def _module_paths() -> tuple[str, ...]:
    """Where Python workers of this machine find what this process imports."""
    return tuple(dict.fromkeys(str(Path(path).absolute()) for path in sys.path))
