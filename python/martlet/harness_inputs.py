"""The inputs of a harness: what is known of each, and how a record for it becomes a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from ._engine import RecordBatch, Schema
from .arguments import key_columns, side_keys
from .errors import ConfigError, SchemaError
from .graph import Kind
from .source import stream

__all__ = ["HarnessInput", "SideName", "harness_inputs", "one_row", "record_batch"]

SCALAR: Final = "value"

SideName: TypeAlias = Literal["left", "right", "main", "broadcast"]

_NAMES: Final[dict[Kind, tuple[SideName, ...]]] = {
    "process": ("main",),
    "connect": ("left", "right"),
    "broadcast": ("main", "broadcast"),
}


@dataclass(slots=True)
class HarnessInput:
    """One input. `side` is its number in the engine, 0 when there is no other."""

    name: SideName
    side: int
    key: tuple[str, ...]
    takes_values: bool  # records may be single values
    timestamp: str | None
    schema: Schema | None


def harness_inputs(kind: Kind, key: Any, timestamp: Any, schema: Any) -> tuple[HarnessInput, ...]:
    """The inputs of a function of this kind, from the arguments of a harness."""
    if kind not in _NAMES:
        raise ConfigError(f"kind={kind!r} is not allowed; use 'process', 'connect', 'broadcast' or None")
    names = _NAMES[kind]
    keys: tuple[tuple[str, ...], ...]
    if kind == "process":
        keys = ((SCALAR,) if key is None else _columns(key),)
    elif kind == "connect":
        keys = side_keys(SCALAR if key is None else key)
    else:
        keys = () if key is None else _columns(key), ()
    times, schemas = _each(timestamp, names), _each(schema, names)
    inputs = []
    for i, name in enumerate(names):
        declared = None if schemas[i] is None else Schema(schemas[i])
        side = i + 1 if len(names) > 1 else 0
        inputs.append(HarnessInput(name, side, keys[i], keys[i] in ((), (SCALAR,)), times[i], declared))
    return tuple(inputs)


def _columns(key: Any) -> tuple[str, ...]:
    return key_columns((key,) if isinstance(key, str) else key)


def _each(setting: Any, names: tuple[SideName, ...]) -> list[Any]:
    """A setting for each input: a pair, or one for all."""
    if isinstance(setting, tuple | list) and len(names) == 2:
        if len(setting) != 2:
            raise ConfigError(f"expected a pair ({', '.join(names)}), got {setting!r}")
        return list(setting)
    return [setting] * len(names)


def record_batch(record: Any, into: HarnessInput) -> RecordBatch:
    """A record as a user writes it."""
    if isinstance(record, dict):
        return one_row(record, into.schema)
    if hasattr(record, "__arrow_c_array__"):
        return RecordBatch(record)
    if hasattr(record, "__arrow_c_stream__"):
        batches = list(stream(record))
        if sum(batch.num_rows for batch in batches) != 1:
            raise ConfigError(f"push takes one record, got a {type(record).__name__} of {sum(map(len, batches))}")
        return next(batch for batch in batches if batch.num_rows)
    if into.takes_values:
        return one_row({SCALAR: record}, into.schema)
    raise ConfigError(
        f"a record is a dict or an Arrow object of one row, got {type(record).__name__} {record!r}; values "
        "on their own are records in a harness without key="
    )


def one_row(record: dict[str, Any], schema: Schema | None) -> RecordBatch:
    """A dict as a batch: through a stream, so that it becomes the record that it would be in one."""
    for batch in stream([record], schema=schema, name="harness"):
        return batch
    raise SchemaError("a record needs at least one column")
