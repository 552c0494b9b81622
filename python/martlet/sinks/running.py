"""How a run without checkpoints drives a sink: one transaction, committed when the run has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..report import RunReport
    from ..run import Output, Run

__all__ = ["SinkRun", "run_sinks"]


def run_sinks(run: Run, outputs: list[Output], sinks: list[Any], labels: list[str], bulk_rows: int) -> RunReport:
    """Runs to the end of the input, each output into its sink. `bulk_rows`: how many rows are asked for at a time
    where nobody takes them."""
    takers: list[SinkRun] = []
    try:
        left = run.place_sinks(outputs, sinks, labels)
        takers = [SinkRun(one) for one in left]
        for taker, label in zip(takers, labels, strict=True):
            taker.open(f"{run.name}.{label}" if label else run.name)
        for taker, output, one in zip(takers, outputs, left, strict=True):
            for batch in output.batches(bulk_rows if one is None else int(getattr(one, "min_rows", 1))):
                taker.write(batch)
        for taker in takers:
            taker.commit()
    except BaseException:
        for output in outputs:
            output.close()
        for taker in takers:
            taker.fail()
        raise
    for taker in takers:
        taker.close()
    return outputs[0].report()


class SinkRun:
    """One run into a sink: a callable, an object with `write` and perhaps `close` and `abort`, or a `mt.Sink`."""

    __slots__ = ("_is_open", "_is_transactional", "_sink", "write")

    write: Callable[[Any], object]

    def __init__(self, sink: Any) -> None:
        self._sink: Any = sink if hasattr(sink, "write") else None
        self._is_transactional = bool(getattr(self._sink, "transactional", False))
        self._is_open = not self._is_transactional
        if sink is None:
            self.write = lambda batch: None
        elif self._sink is not None:
            self.write = sink.write
        elif callable(sink):
            self.write = sink
        else:
            raise ConfigError(f"a sink is a callable or an object with write(batch), got {type(sink).__name__}")

    def open(self, job: str) -> None:
        """Before the first record, so that a target that cannot be written stops the run before it begins."""
        if self._is_transactional:
            self._call("open", job, None)
            self._call("recover", None)
            self._is_open = True

    def commit(self) -> None:
        """The run has ended well."""
        if self._is_transactional:
            self._sink.prepare(1)
            self._sink.commit(1)

    def fail(self) -> None:
        """The run, or its commit, has failed. A sink that could not be opened has nothing to take back."""
        if not self._is_transactional:
            return self._call("abort")
        try:
            if self._is_open:
                self._sink.abort(0)
        finally:
            self.close()

    def close(self) -> None:
        self._call("close")

    def _call(self, method: str, *arguments: Any) -> None:
        call = getattr(self._sink, method, None)
        if call is not None:
            call(*arguments)
