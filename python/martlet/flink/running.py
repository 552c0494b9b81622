"""A run on Flink: submitted, its results taken as they come, its failures shown as the function's own."""

from __future__ import annotations

import pickle
import sys
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
from .refusals import check
from .session import check_installed, new_environment
from .wire import Element, Rows

__all__ = ["FlinkRun"]

CHUNK = 1000


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
        self._places: dict[tuple[int, str | None], list[int]] = {}
        for number, ref in enumerate(plan.outputs):
            self._places.setdefault((ref.process, ref.tag), []).append(number)
        streams = translation.outputs
        self._results: Any = None
        self._stream = streams[0].union(*streams[1:]) if len(streams) > 1 else streams[0]
        self._elements: Iterator[Element] | None = None

    def outputs(self) -> list[Output]:
        return [Output(cast("Run", self), number) for number in range(len(self._pending))]

    def next(self, output: int, min_rows: int) -> RecordBatch | None:
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
        if self._results is not None:
            self._results.close()
        self._manners.restore()

    # ----

    def _execute(self) -> Iterator[Element]:
        from pyflink.common import Types
        from pyflink.java_gateway import get_gateway

        self._results = self._stream.execute_and_collect(self.name)
        jvm = get_gateway().jvm
        lists = jvm.org.apache.flink.shaded.guava33.com.google.common.collect.Iterators.partition(
            self._results._j_closeable_iterator, CHUNK
        )
        kind = Types.LIST(Types.PICKLED_BYTE_ARRAY()).get_java_type_info()
        while lists.hasNext():
            for item in pickle.loads(jvm.PythonBridgeUtils.getPickledBytesFromJavaObject(lists.next(), kind)):
                yield pickle.loads(pickle.loads(item))

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
