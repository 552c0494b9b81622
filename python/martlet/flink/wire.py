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

import pickle
from collections.abc import Iterator
from typing import Any, TypeAlias

from .._engine import RecordBatch, Schema
from ..source import stream

__all__ = ["Element", "OneRow", "Rows", "key_text", "key_values", "literal", "side_of"]

Element: TypeAlias = tuple[int, "str | None", "int | None", "int | None", tuple[Any, ...], "bytes | None"]

_LITERALS = (int, str, bytes, bool, type(None))


class OneRow:
    """Dicts as batches of one row of a schema, through a stream that stays open: opening one costs more than a row."""

    __slots__ = ("_batches", "_schema", "_waiting")

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._waiting: list[dict[str, Any]] = []
        self._batches: Iterator[RecordBatch] | None = None

    def of(self, record: dict[str, Any]) -> RecordBatch:
        """The record as a batch. SchemaError if it does not fit, after which others may."""
        if self._batches is None:
            self._batches = iter(stream(_Taken(self._waiting), schema=self._schema, name="record"))
        self._waiting.append(record)
        try:
            return next(self._batches)
        except BaseException:
            self._waiting.clear()
            self._batches = None
            raise


class _Taken:
    """Gives what was put in, one at a time. It is asked only when something is there."""

    def __init__(self, waiting: list[dict[str, Any]]) -> None:
        self._waiting = waiting

    def __iter__(self) -> _Taken:
        return self

    def __next__(self) -> dict[str, Any]:
        if not self._waiting:
            raise StopIteration
        return self._waiting.pop()


class Rows:
    """Elements of one edge as records. `schema`: what the plan knows of it."""

    __slots__ = ("_known", "_makes", "schema")

    def __init__(self, schema: Schema | None) -> None:
        self.schema = schema
        self._known: dict[bytes, Schema] = {}
        self._makes: OneRow | None = None

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
        if self._makes is None:
            self._makes = OneRow(self.schema)
        return self._makes.of(record)


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
        return tuple(pickle.loads(part) for part in literal(text[1:]))
    parts: tuple[Any, ...] = literal(text)
    return parts


def literal(text: str) -> Any:
    """What `repr` made this text of: numbers, texts, bytes and tuples of them.

    Not ast.literal_eval, which fails now and then in CPython 3.11 when two threads are in it and the garbage collector
    has callbacks ("AST constructor recursion depth mismatch"). In a mini-cluster, instances are threads.
    """
    return eval(text, {"__builtins__": {}})


def side_of(element: Element) -> int:
    """Of an element of a source: the input it belongs to."""
    return int(element[1] or 0)
