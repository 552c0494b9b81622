"""How a durable job drives its sinks: one transaction of all of them for each checkpoint."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .._engine import RecordBatch
from ..errors import ConfigError

__all__ = ["Transactions"]


class Transactions:
    """The sinks of a run, each for one output: `mt.Sink`s, or what `Stream.run` takes besides, which is given output at
    once and knows nothing of transactions. `labels`: what tells the sinks of a job apart, "" for the main output."""

    __slots__ = ("_is_open", "_labels", "_sinks", "_writes", "transactional")

    def __init__(self, sinks: Sequence[Any], labels: Sequence[str]) -> None:
        self._sinks = list(sinks)
        self._labels = list(labels)
        self._writes = [_write_of(sink) for sink in sinks]
        # Whether each can take output back, and so waits for checkpoints. Without a sink there is nothing to take back.
        self.transactional = [bool(getattr(sink, "transactional", sink is None)) for sink in sinks]
        self._is_open: list[Any] = []

    @property
    def names(self) -> list[str]:
        """The kind of each sink, for messages."""
        return [type(sink).__name__ if hasattr(sink, "write") else "a callable" for sink in self._sinks]

    def min_rows(self, default: int) -> int:
        """What the first wants at a time."""
        sink = self._sinks[0]
        return default if sink is None else int(getattr(sink, "min_rows", 1))

    def open(self, job: str, state_dir: Path, checkpoint: int | None) -> None:
        """Opens them all, then brings each to the checkpoint that the job goes on from."""
        for sink, label in self._with_transactions():
            if callable(getattr(sink, "open", None)):
                sink.open(f"{job}.{label}" if label else job, state_dir)
            self._is_open.append(sink)
        for sink, _ in self._with_transactions():
            if callable(getattr(sink, "recover", None)):
                sink.recover(checkpoint)

    def write(self, number: int, batch: RecordBatch) -> None:
        self._writes[number](batch)

    def prepare(self, checkpoint: int) -> None:
        for sink, _ in self._with_transactions():
            sink.prepare(checkpoint)

    def commit(self, checkpoint: int) -> None:
        for sink, _ in self._with_transactions():
            sink.commit(checkpoint)

    def abort(self, checkpoint: int) -> None:
        """Goes back to a checkpoint that is durable, 0 for none, and closes the sinks."""
        try:
            for sink in self._is_open:
                sink.abort(checkpoint)
        finally:
            self.leave()

    def leave(self) -> None:
        """After a failure: closes the sinks, with what they have prepared left for the next start."""
        for sink, is_transactional in zip(self._sinks, self.transactional, strict=True):
            if not is_transactional and callable(getattr(sink, "abort", None)):
                with contextlib.suppress(Exception):  # the failure is what the user must see
                    sink.abort()
            elif sink in self._is_open:
                with contextlib.suppress(Exception):
                    _close(sink)
        self._is_open.clear()

    def close(self) -> None:
        """The run has ended well."""
        for sink in self._sinks:
            _close(sink)
        self._is_open.clear()

    def _with_transactions(self) -> list[tuple[Any, str]]:
        return [
            (sink, label)
            for sink, label, is_one in zip(self._sinks, self._labels, self.transactional, strict=True)
            if is_one and sink is not None
        ]


def _close(sink: Any) -> None:
    close = getattr(sink, "close", None)
    if callable(close):
        close()


def _write_of(sink: Any) -> Callable[[RecordBatch], object]:
    if sink is None:
        return lambda batch: None
    if hasattr(sink, "write"):
        write: Callable[[RecordBatch], object] = sink.write
        return write
    if callable(sink):
        return sink  # type: ignore[no-any-return]
    raise ConfigError(f"a sink is a callable or an object with write(batch), got {type(sink).__name__}")
