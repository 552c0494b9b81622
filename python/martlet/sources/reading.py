"""How a run reads a source: from its beginning, or from the place that a checkpoint has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .._engine import Schema
from ..errors import SourceError
from .offset_text import OffsetText
from .protocol import Offset, SourceBatch
from .rows import batch_of

__all__ = ["Reading"]


class Reading:
    """Iterates over the batches of a `mt.Source`, and tells where it stands: `[offset, rows]` as canonical JSON, so
    many rows into the item that begins at the offset.

    A source that has nothing to read gives one batch without rows if its schema is known.
    """

    __slots__ = ("_after", "_before", "_is_checked", "_items", "_name", "_number", "_source", "_text", "partition")

    def __init__(self, source: Any, name: str) -> None:
        self._source = source
        self._name = name
        self._items: Iterator[Any] | None = None
        self._number = 0
        # The offsets before and after the item that came last.
        self._before: Offset = None
        self._after: Offset = None
        self._is_checked = False
        self._text = OffsetText()
        # Of the item that came last: the partition's name as UTF-8, and whether nothing more comes of it.
        self.partition: tuple[bytes, bool] | None = None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._items is None:
            self._items = iter(self._source.read(self._after))
        try:
            item = next(self._items)
        except StopIteration:
            schema = getattr(self._source, "schema", None)
            if self._number or schema is None:
                raise
            self._number = 1
            return batch_of([], Schema(schema))
        is_pair = isinstance(item, SourceBatch) or (isinstance(item, tuple) and len(item) == 2)
        if not is_pair:
            raise SourceError(
                f"stream {self._name!r}: item {self._number} of {type(self._source).__name__}.read is of type "
                f"{type(item).__name__}; give pairs (batch, next_offset) or mt.SourceBatch objects"
            )
        self._number += 1
        self._before = self._after
        batch, self._after = item
        self.partition = self._partition(item) if isinstance(item, SourceBatch) else None
        return batch

    def _partition(self, item: SourceBatch) -> tuple[bytes, bool] | None:
        name = item.partition
        if name is None:
            return None
        if not isinstance(name, (str, int)):
            raise SourceError(
                f"stream {self._name!r}: item {self._number - 1} of {type(self._source).__name__}.read has "
                f"partition={name!r}; a partition is a str or an int"
            )
        return str(name).encode("utf-8", "backslashreplace"), bool(item.is_last)

    def place(self, rows: int | None) -> bytes:
        """So many rows into the item that came last; None: after it. SourceError for an offset that JSON cannot say."""
        offset = self._after if rows is None else self._before
        try:
            text = f"[{self._text(offset)},{rows or 0}]"
            if not self._is_checked and offset is not None:
                self._is_checked = True
                if json.loads(text)[0] != _as_lists(offset):
                    raise TypeError("it is not the same when it is read back; keys of a dict must be str")
        except (TypeError, ValueError, RecursionError) as error:
            raise SourceError(
                f"stream {self._name!r}: {type(self._source).__name__}.read gave an offset that JSON cannot say: "
                f"{error}. An offset is None, a number, a text, a list or a dict from texts to these"
            ) from error
        return text.encode("utf-8", "surrogatepass")

    def close_source(self) -> None:
        """Calls `close()` of a source that has it, also from another thread than the one that reads."""
        close = getattr(self._source, "close", None)
        if callable(close):
            close()

    def end(self) -> None:
        """Gives up what `read` began, so that a generator gets to its end."""
        close = getattr(self._items, "close", None)
        if callable(close):
            close()

    def seek(self, place: bytes) -> int:
        """Goes to a place that was told before, and gives the number of rows to leave out there. Before the first
        item."""
        try:
            self._after, rows = json.loads(place)
            return int(rows)
        except (TypeError, ValueError) as error:
            raise SourceError(
                f"stream {self._name!r}: the checkpoint was taken with a source of another kind than "
                f"{type(self._source).__name__}; give the job the source it had"
            ) from error


def _as_lists(offset: Offset) -> Any:
    if isinstance(offset, dict):
        return {key: _as_lists(value) for key, value in offset.items()}
    return [_as_lists(one) for one in offset] if isinstance(offset, (list, tuple)) else offset
