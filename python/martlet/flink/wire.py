"""What travels between the operators of a job on Flink: records, with their event time and the watermark they came
after.

An element is a plain tuple, which PyFlink pickles: (operator, tag, timestamp, watermark, values, schema).

- `operator`, `tag`: which output it belongs to; of a source: 0 and the number of the input it is for.
- `timestamp`: epoch milliseconds or None.
- `watermark`: that of the source when it read the record; None where nothing can be said.
- `values`: those of the columns, in order.
- `schema`: the pickled schema of `values`; None: the one that the plan knows.
"""

from __future__ import annotations

import ast
import pickle
from typing import Any, TypeAlias

from .._engine import RecordBatch, Schema
from ..harness_inputs import one_row

__all__ = ["Element", "Rows", "key_text", "key_values", "side_of"]

Element: TypeAlias = tuple[int, "str | None", "int | None", "int | None", tuple[Any, ...], "bytes | None"]

_LITERALS = (int, str, bytes, bool, type(None))


class Rows:
    """Elements of one edge as records. `schema`: what the plan knows of it."""

    __slots__ = ("_known", "schema")

    def __init__(self, schema: Schema | None) -> None:
        self.schema = schema
        self._known: dict[bytes, Schema] = {}

    def schema_of(self, pickled: bytes | None) -> Schema:
        """The schema of an element."""
        if pickled is None:
            assert self.schema is not None
            return self.schema
        found = self._known.get(pickled)
        if found is None:
            found = self._known[pickled] = pickle.loads(pickled)
        return found

    def record(self, element: Element) -> dict[str, Any]:
        """The element as a dict."""
        return dict(zip(self.schema_of(element[5]).names, element[4], strict=True))

    def batch(self, element: Element) -> RecordBatch:
        """The element as a batch of one row, in the schema of the edge's first element: instances that infer their
        output may have seen other types, and what does not fit is a SchemaError."""
        record = self.record(element)
        self.schema = self.schema or self.schema_of(element[5])
        return one_row(record, self.schema)


def key_text(values: tuple[Any, ...], names: tuple[str, ...], key: tuple[str, ...]) -> str:
    """A key for Flink: equal for equal keys only, by type and value."""
    try:
        parts = tuple(values[names.index(column)] for column in key)
    except ValueError:
        return "?"  # there is no such column, which the engine says better
    if all(type(part) in _LITERALS for part in parts):
        return repr(parts)
    # One by one: equal objects pickled together may come out as one and a reference to it, or as two.
    return "p" + repr([pickle.dumps(part, protocol=5) for part in parts])


def key_values(text: str) -> tuple[Any, ...]:
    """The columns of a key, from its text."""
    if text[0] == "p":
        return tuple(pickle.loads(part) for part in ast.literal_eval(text[1:]))
    parts: tuple[Any, ...] = ast.literal_eval(text)
    return parts


def side_of(element: Element) -> int:
    """Of an element of a source: the input it belongs to."""
    return int(element[1] or 0)
