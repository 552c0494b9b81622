"""What the sinks of databases have in common: names, keys and columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._engine import RecordBatch, decode_value, encode_value
from ..errors import ConfigError, MissingColumnError

__all__ = ["COMMITS", "Columns", "check_key", "columns_frame", "columns_of", "key_of", "quote", "table_name"]

# One row for each job and sink: what the database holds of it.
COMMITS = "martlet_commits"

# Names and Arrow types, in order.
Columns = list[tuple[str, str]]


def quote(name: str) -> str:
    """A name of SQL, as both databases write it."""
    return '"' + name.replace('"', '""') + '"'


def table_name(label: str, table: Any) -> str:
    if isinstance(table, str) and table and "\0" not in table:
        return table
    raise ConfigError(f"{label}: table={table!r} is no name of a table")


def key_of(label: str, key: str | Sequence[str] | None) -> tuple[str, ...]:
    if key is None:
        return ()
    columns = (key,) if isinstance(key, str) else tuple(key)
    if not columns or not all(isinstance(column, str) for column in columns) or len(set(columns)) < len(columns):
        raise ConfigError(f"{label}: key={key!r} is not allowed; use a column or a list of different columns")
    return columns


def check_key(label: str, key: tuple[str, ...], batch: RecordBatch) -> None:
    for column in key:
        if column not in batch.schema.names:
            raise MissingColumnError(
                f"{label}: there is no key column {column!r}; the columns are {', '.join(batch.schema.names)}"
            )


def columns_frame(batch: RecordBatch) -> bytes:
    """The first frame of a transaction, from which the table can be made."""
    return encode_value([[name, dtype] for name, dtype in batch.schema.fields])


def columns_of(frame: bytes) -> Columns:
    return [(name, dtype) for name, dtype in decode_value(frame)]
