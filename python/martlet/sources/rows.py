"""Dicts to batches by the engine, and schemas as offsets can keep them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from .._engine import RecordBatch, Schema
from ..errors import MartletError
from ..json_values import decoders

Place = TypeVar("Place")

__all__ = ["MOST_ROWS", "RowsOfJson", "batch_of", "schema_from_json", "schema_of", "schema_to_json"]


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


class RowsOfJson(Generic[Place]):
    """Gathers decoded JSON objects into a batch. What does not fit goes to `bad(place, words, error)`, which raises, or
    lets it be left out.

    With a declared schema, fields that it does not name are skipped, and text becomes timestamps, decimals and so on.
    """

    def __init__(
        self, schema: Schema, is_declared: bool, bad: Callable[[Place, str, BaseException | None], None]
    ) -> None:
        self._schema = schema
        self._names = frozenset(schema.names) if is_declared else None
        self._decoders = decoders(schema) if is_declared else {}
        self._bad = bad
        self._rows: list[dict[str, Any]] = []
        self._places: list[Place] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, place: Place, row: Any, more: dict[str, Any] | None = None) -> None:
        """`more`: columns beside those of the object."""
        if not isinstance(row, dict):
            return self._bad(place, f"is a JSON {type(row).__name__}, and not an object", None)
        if self._names is not None:
            row = {name: value for name, value in row.items() if name in self._names}
        for name, decode in self._decoders.items():
            value = row.get(name)
            if value is not None:
                try:
                    row[name] = decode(value)
                except (ValueError, OverflowError) as error:
                    return self._bad(place, f"column {name!r}: {error}", error)
        self._rows.append(row | more if more else row)
        self._places.append(place)
        return None

    def take(self) -> RecordBatch:
        """The batch of what was added since the last one; it may have no rows."""
        rows, places = self._rows, self._places
        self._rows, self._places = [], []
        while True:
            try:
                return batch_of(rows, self._schema)
            except MartletError as error:
                at = error.record
                if at is None or at >= len(rows):
                    raise
                hint = "" if self._names is not None else "; types were inferred: schema= declares them"
                self._bad(places[at], f"{error.args[0]}{hint}", error)
                del rows[at], places[at]


def schema_to_json(schema: Schema) -> list[Any]:
    """The schema as JSON can say it; metadata is left out."""
    reduced: Any = schema.__reduce__()
    return _plain(reduced[1][0])


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
