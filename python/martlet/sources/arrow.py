"""Arrow data as a source with offsets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .._engine import RecordBatch, Schema
from ..errors import ConfigError, SourceError
from .protocol import Offset

__all__ = ["ArrowSource"]


class ArrowSource:
    """Arrow data that can be read again from any row: what a durable job needs of a table or a frame.

    `data`: a table or a frame (anything with `__arrow_c_stream__` and a length), or a callable without arguments that
    returns such an object or a reader; it is called once for each read and must give the same data each time. A reader
    by itself is no such source, for it can be read only once: ConfigError.

    Offsets are numbers of rows. Data that ends before the offset raises SourceError.
    """

    bounded = True
    replayable = True

    def __init__(self, data: Any, *, name: str = "arrow") -> None:
        is_data = hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__")
        if is_data and hasattr(data, "__arrow_c_stream__") and not hasattr(data, "__len__"):
            raise ConfigError(
                f"ArrowSource: a {type(data).__name__} can be read only once; pass a callable that makes a new one"
            )
        if not is_data and not callable(data):
            raise ConfigError(
                f"ArrowSource: a {type(data).__name__} is no Arrow data; pass a table, a frame, or a callable that "
                "returns a reader"
            )
        self.name = name
        self._data = data
        self._open: Callable[[], Any] = (lambda: data) if is_data else data

    @property
    def schema(self) -> Schema | None:
        """Of a table or a frame; None of a callable, which would have to be called."""
        from ..source import stream

        return None if self._open is self._data else stream(self._data).schema

    def read(self, offset: Offset = None) -> Iterator[tuple[RecordBatch, int]]:
        from ..source import stream

        first = 0 if offset is None else offset
        if not isinstance(first, int) or first < 0:
            raise SourceError(f"source {self.name!r}: an offset is a number of rows, got {offset!r}")
        row = 0
        for batch in stream(self._open(), name=self.name):
            skipped = min(max(first - row, 0), batch.num_rows)
            row += batch.num_rows
            if skipped < batch.num_rows:
                yield batch[skipped:] if skipped else batch, row
        if row < first:
            raise SourceError(
                f"source {self.name!r}: there are only {row} rows, and it is to be read from row {first} on; a source "
                "must give the same data each time"
            )
