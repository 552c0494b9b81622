"""How a run without checkpoints reads a source: from its beginning, offsets unused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .._engine import Schema
from ..errors import SourceError
from .protocol import SourceBatch
from .rows import batch_of

__all__ = ["batches_of", "close_source"]


def batches_of(source: Any, name: str) -> Iterator[Any]:
    """The batches of `source.read(None)`. A source that has none gives one without rows if its schema is known."""
    is_empty = True
    for number, item in enumerate(source.read(None)):
        is_pair = isinstance(item, SourceBatch) or (isinstance(item, tuple) and len(item) == 2)
        if not is_pair:
            raise SourceError(
                f"stream {name!r}: item {number} of {type(source).__name__}.read is of type {type(item).__name__}; "
                "give pairs (batch, next_offset) or mt.SourceBatch objects"
            )
        batch, _ = item
        is_empty = False
        yield batch
    schema = getattr(source, "schema", None)
    if is_empty and schema is not None:
        yield batch_of([], Schema(schema))


def close_source(source: Any) -> None:
    """Calls `close()` of a source that has it."""
    close = getattr(source, "close", None)
    if callable(close):
        close()
