"""Dicts to batches by the engine, and schemas as offsets can keep them."""

from __future__ import annotations

from typing import Any

from .._engine import RecordBatch, Schema

__all__ = ["MOST_ROWS", "batch_of", "schema_from_json", "schema_of", "schema_to_json"]


# The engine cuts rows into batches of so many: what is to be one batch has no more.
MOST_ROWS = 4096


def batch_of(rows: list[dict[str, Any]], schema: Schema) -> RecordBatch:
    """A batch of these rows, MOST_ROWS at most. A row that does not fit raises a MartletError whose `record` is its
    index."""
    from ..source import stream

    (batch,) = stream(rows or [{}], schema=schema, name="rows")
    return batch if rows else batch[:0]


def schema_of(rows: list[dict[str, Any]]) -> Schema:
    """The schema that all of these rows fit."""
    from ..source import stream

    return stream(rows, name="rows").schema


def schema_to_json(schema: Schema) -> list[Any]:
    """The schema as JSON can say it; metadata is left out."""
    _, (node,) = schema.__reduce__()  # type: ignore[misc]
    return _plain(node)


def _plain(node: Any) -> list[Any]:
    form, name, flags, _, children, dictionary = node
    return [form, name, flags, [_plain(child) for child in children], dictionary and _plain(dictionary)]


def schema_from_json(node: list[Any]) -> Schema:
    rebuild: Any = Schema._rebuild  # type: ignore[attr-defined]
    schema: Schema = rebuild(_node(node))
    return schema


def _node(plain: list[Any]) -> tuple[Any, ...]:
    form, name, flags, children, dictionary = plain
    return form, name, flags, None, tuple(map(_node, children)), dictionary and _node(dictionary)
