"""Records of Kafka as rows."""

from __future__ import annotations

import datetime
import json
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from .._engine import RecordBatch, Schema
from ..errors import ConfigError, SourceError
from .rows import RowsOfJson, schema_from_json, schema_of, schema_to_json

__all__ = ["Messages", "Place"]

# A topic and the number of a partition.
Place: TypeAlias = tuple[str, int]

_TYPES: dict[str, Any] = {
    "key": bytes,
    "timestamp": "timestamp[ms, UTC]",
    "partition": "int32",
    "offset": int,
    "headers": types.GenericAlias(list, ({"name": str, "value": bytes},)),
    "topic": str,
}


class Messages:
    """Makes batches of records: the columns of the value, and those of what Kafka knows of a record.

    Attributes: `schema`, None until it is known; `inferred`, the part of the value if it was inferred; `bad_values`.
    """

    def __init__(self, name: str, value: Any, schema: Any, columns: Mapping[str, str | None], *, skips: bool) -> None:
        if value not in ("json", "raw") and not callable(value):
            raise ConfigError(f"KafkaSource: value={value!r} is not allowed; use 'json', 'raw' or a callable")
        self._name = name
        self._value: str | Callable[[bytes | None], Any] = value
        self._skips = skips
        self._columns = {column: given for column, given in columns.items() if given is not None}
        self._declared: Schema | None = None
        if schema is not None or value == "raw":
            self._declared = Schema({"value": bytes} if schema is None else schema)
        if value == "raw" and self._declared is not None and self._declared.names != ("value",):
            raise ConfigError(
                f"KafkaSource: value='raw' has one column, value; schema= names {', '.join(self._declared.names)}"
            )
        self.bad_values = 0
        self.schema: Schema | None = None
        self._inferred: Schema | None = None
        if self._declared is not None:
            self.schema = self._with_columns(self._declared)

    @property
    def inferred(self) -> Schema | None:
        return self._inferred

    @inferred.setter
    def inferred(self, schema: Schema) -> None:
        if self._declared is None:
            self._inferred = schema
            self.schema = self._with_columns(schema)

    def learn(self, messages: Iterable[Any]) -> None:
        """Infers the schema from the first records there are, if it is not known."""
        if self.schema is not None:
            return
        rows = [row for message in messages if (row := self._decoded(message, _ignore)) and isinstance(row, dict)]
        if rows:
            self.inferred = schema_of(rows)

    def batch(self, messages: Iterable[Any]) -> RecordBatch:
        if self.schema is None:
            raise SourceError(
                f"KafkaSource {self._name!r}: no record that came so far has a value to infer types from; pass schema="
            )
        rows = RowsOfJson[Any](self.schema, self._declared is not None, self._bad)
        for message in messages:
            row = self._decoded(message, self._bad)
            if row is not None:
                rows.add(message, row, self._beside(message))
        return rows.take()

    def _decoded(self, message: Any, bad: Callable[..., None]) -> Any:
        """A dict; None: no row. What is bad goes to `bad`."""
        value: bytes | None = message.value()
        if self._value == "json":
            if value is None:
                return {}
            try:
                return json.loads(value)
            except ValueError as error:
                return bad(message, f"its value is not JSON: {error}", error)
        if callable(self._value):
            return self._value(value)
        assert self._declared is not None
        if value is None or "binary" in self._declared.types[0]:
            return {"value": value}
        try:
            return {"value": value.decode()}
        except UnicodeDecodeError as error:
            return bad(message, f"its value is not UTF-8: {error}", error)

    def _beside(self, message: Any) -> dict[str, Any]:
        return {name: _GETTERS[column](message) for column, name in self._columns.items()}

    def _with_columns(self, schema: Schema) -> Schema:
        more = {name: _TYPES[column] for column, name in self._columns.items()}
        for name in more:
            if name in schema.names:
                raise ConfigError(
                    f"KafkaSource {self._name!r}: column {name!r} is in the records already; name it otherwise"
                )
        node = schema_to_json(schema)
        node[3] = node[3] + schema_to_json(Schema(more))[3] if more else node[3]
        return schema_from_json(node)

    def _bad(self, message: Any, words: str, error: BaseException | None) -> None:
        if not self._skips:
            raise SourceError(
                f"KafkaSource {self._name!r}: topic {message.topic()!r}, partition {message.partition()}, offset "
                f"{message.offset()}: {words}; on_bad_value='skip' passes over such records"
            ) from error
        self.bad_values += 1


def _ignore(message: Any, words: str, error: BaseException | None) -> None:
    """It will be found again when it is read."""


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def _timestamp(message: Any) -> Any:
    kind, time_ms = message.timestamp()
    return None if kind == 0 else _EPOCH + datetime.timedelta(milliseconds=time_ms)


_GETTERS: dict[str, Callable[[Any], Any]] = {
    "key": lambda message: message.key(),
    "timestamp": _timestamp,
    "partition": lambda message: message.partition(),
    "offset": lambda message: message.offset(),
    "headers": lambda message: [{"name": name, "value": value} for name, value in message.headers() or []],
    "topic": lambda message: message.topic(),
}
