"""Looking into checkpoints, and beginning with state from elsewhere: states and timers as tables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ._engine import RecordBatch, Schema, StateReader, StateRows, StateWriter, export_stream
from .arguments import one_config
from .config import Config
from .errors import ConfigError
from .graph import Edge, OperatorNode, Plan, SourceNode
from .harness_inputs import one_row
from .run import add_operators, new_job
from .sharing import sharing_streams
from .source import stream
from .stream import Stream

if TYPE_CHECKING:
    from ._engine import CheckpointInfo, OperatorInfo

__all__ = ["OpenState", "StateInfo", "StateTable", "read_state", "write_state"]

_KINDS = {1: "value", 2: "list", 3: "map", 4: "reducing", 5: "aggregating", 6: "broadcast"}
_OVERVIEW = {
    "operator": "utf8",
    "state": "utf8",
    "kind": "utf8",
    "map_key": "utf8",
    "dtype": "utf8",
    "ttl_ms": "int64",
    "keys": "int64",
    "entries": "int64",
}


class StateInfo(NamedTuple):
    """One state of an operator. Types are names of Arrow types; "json" for values without a type."""

    name: str
    kind: str
    map_key: str | None
    dtype: str
    ttl_ms: int | None


def read_state(
    path: str | os.PathLike[str],
    state: str | None = None,
    operator: str | None = None,
    *,
    timers: bool = False,
    key: Any = None,
) -> Stream:
    """What a checkpoint holds, as a stream of rows; no job is run, and a running one is not disturbed.

    - `path`: a checkpoint, a savepoint, or a state directory, of which the newest whole checkpoint is read. It is
      verified at once.
    - `state`: the name of a state. None, without `timers`: an overview of all states and timers: `operator`, `state`
      (None for the timers), `kind`, `map_key` and `dtype` (Arrow types; "json" for values without a dtype), `ttl_ms`,
      `keys` (how many hold it) and `entries` (values, elements, map entries or timers).
    - `operator`: whose; None: the only one that has such a state.
    - `timers`: the pending timers instead of a state.
    - `key`: only of this key: a value, or a tuple for a key of several columns.

    Rows come in the order of key bytes (docs/design/keys.md) and have the key's columns, then

    | of | columns |
    |---|---|
    | `ValueState`, `ReducingState` | `value` |
    | `AggregatingState` | `accumulator` |
    | `ListState` | `index` (from 0), `value` |
    | `MapState`, `BroadcastState` (which has no key) | `map_key`, `value` |
    | timers | `domain` ("event" or "processing"), `time` (epoch ms), `name` (None: none) |

    With a TTL also `expires_at`: epoch ms in the time that the TTL counts. A column whose name is that of a key column
    is followed by `_`. Values have the dtype of their state; those without a dtype are JSON text, with
    `{"$bytes": base64}`, `{"$tuple": […]}`, `{"$dict": [[key, value], …]}` and `{"$float": "nan"}` for what JSON lacks.

    The stream is read with a batch in memory at a time, and again each time it is used. ConfigError for names that are
    not there lists those that are; StorageError, StorageCorruptError and SnapshotError tell what is wrong with files.
    """
    opened = OpenState(path)
    if state is None and not timers:
        if key is not None:
            raise ConfigError("key= looks into a state or into the timers: pass state= or timers=True")
        return stream(_Overview(opened, operator), schema=_OVERVIEW, name="states")
    table = opened.table(state, operator, timers=timers, key=key)
    # Not through `stream`, which takes what has no length for something that can be read once.
    return Stream(Edge(SourceNode(table, table.name, None, 0, None, "stream", one_shot=False)), None)


class OpenState:
    """A checkpoint that was opened and verified."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.reader = StateReader(os.fspath(path))
        self.info: CheckpointInfo = self.reader.info()
        self.operators: list[OperatorInfo] = [self.reader.operator(n) for n in range(self.info["operators"])]

    def states(self, operator: int) -> list[StateInfo]:
        """The states of an operator, in the order of their declaration."""
        found = []
        for number, (name, kind, form, key_form, _, _, ttl_ms) in enumerate(self.operators[operator]["states"]):
            types = dict(self.reader.schema(operator, number).fields)
            of_key = {column for column, _ in self.operators[operator]["key"].fields}
            value, map_key = (
                next((types[column] for column in types if column.rstrip("_") == wanted and column not in of_key), "")
                for wanted in ("accumulator" if kind == 5 else "value", "map_key")
            )
            found.append(
                StateInfo(
                    name,
                    _KINDS[kind],
                    (map_key if key_form else "json") if kind in (3, 6) else None,
                    value if form else "json",
                    ttl_ms or None,
                )
            )
        return found

    def table(
        self, state: str | None, operator: str | None = None, *, timers: bool = False, key: Any = None
    ) -> StateTable:
        """The table of a state, or of the timers. ConfigError for what is not there."""
        if timers:
            if state is not None:
                raise ConfigError("timers=True reads the timers of an operator; leave state= out, or timers=")
            number, at = self.reader.find(operator, None)[0], -1
        else:
            number, at = self.reader.find(operator, state)
        one = self.operators[number]
        name = f"{one['name']}.{'timers' if at < 0 else one['states'][at][0]}"
        return StateTable(self.reader, number, at, self.key_batch(number, key), name)

    def key_batch(self, operator: int, key: Any) -> RecordBatch | None:
        """A key as a batch of one row; None for no key, or if there can be none."""
        one = self.operators[operator]
        columns = one["key"].fields
        if key is None or any(dtype == "null" for _, dtype in columns):
            return None
        values = key if isinstance(key, tuple) else (key,)
        if len(values) != len(columns):
            wanted = ", ".join(f"{name} ({dtype})" for name, dtype in columns) or "no columns"
            raise ConfigError(f"key={key!r}: the key of operator {one['name']!r} is {wanted}")
        return one_row(dict(zip(one["key"].names, values, strict=True)), one["key"])


class StateTable:
    """The table of one state, or of the timers of an operator, read from its beginning each time it is asked for."""

    def __init__(self, reader: StateReader, operator: int, state: int, key: RecordBatch | None, name: str) -> None:
        self._reader = reader
        self._place = operator, state
        self._key = key
        self.name = name
        state_of = None if state < 0 else reader.operator(operator)["states"][state]
        # How many of the columns are the key's.
        self.key_width = 0 if state_of is not None and state_of[1] == 6 else len(reader.operator(operator)["key"])

    @property
    def schema(self) -> Schema:
        return self._reader.schema(*self._place)

    def __iter__(self) -> StateRows:
        return self._reader.rows(*self._place, self._key)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        rows = iter(self)
        return export_stream(rows.schema, rows)


class _Overview:
    """The rows of an overview; counted when they are asked for."""

    def __init__(self, opened: OpenState, operator: str | None) -> None:
        self._opened = opened
        self._numbers = range(len(opened.operators))
        if operator is not None:
            self._numbers = range(first := opened.reader.find(operator, None)[0], first + 1)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for number in self._numbers:
            operator = self._opened.operators[number]["name"]
            _, timers, counts = self._opened.reader.count(number)
            for state, (keys, entries) in zip(self._opened.states(number), counts, strict=True):
                yield {
                    "operator": operator,
                    "state": state.name,
                    **{name: value for name, value in state._asdict().items() if name != "name"},
                    "keys": keys,
                    "entries": entries,
                }
            yield {"operator": operator, "state": None, "kind": "timers", "dtype": "int64", "entries": timers}


def write_state(
    path: str | os.PathLike[str],
    template: Stream,
    tables: Mapping[str, Any],
    *,
    config: Config | None = None,
) -> Path:
    """Writes a savepoint from tables, without running anything: state that a new job begins with. Returns its path.

        out = apply_process_function(events, "user_id", Counter())
        mt.write_state("from-warehouse", out, {"count": totals})          # columns user_id, value
        out.run(sink, config=mt.Config(state_dir="state", restore_from="from-warehouse"))

    - `path`: a directory that does not exist yet; after a crash it is there whole or not at all.
    - `template`: the stream that will be run: it says which operators there are, how they are keyed, and which states
      they have. Its sources are not read, and its functions not called.
    - `tables`: a mapping state -> table of the only operator, or operator -> such a mapping. A table is an Arrow object
      (`pyarrow`, Polars, DuckDB …), a list of dicts, or a stream, with the columns that `read_state` gives, in any
      order of columns and keys. `"timers"` stands for the operator's timers (`"timers_"` where a state has that name).
      Of a list, rows come in the order of `index`, which may be left out. `expires_at` is given for all rows, or left
      out: the TTL then counts from the restore (not possible where it counts event time). Times may be timestamps.
      States without a table are empty.
    - `config`: that of the job, unless the stream has one: `max_parallelism` and `clock` count.

    ConfigError, SchemaError, NullKeyError, KeyTypeError and ValueRangeError name operator, state, column and row (from
    0) of what does not fit; then nothing was written.
    """
    if not isinstance(template, Stream):
        raise ConfigError(f"the template is the stream that will be run, got {type(template).__name__}")
    streams = sharing_streams(template, config)
    chosen = one_config(config, *(one._config for one in streams)) or Config()
    plan = Plan.of([one._edge for one in streams])
    job = new_job(chosen.name or " + ".join(source.name for source in plan.sources), chosen, chosen.clock)
    for source in plan.sources:
        # The names and the order are what a checkpoint keeps of sources.
        job.add_source(source.name, None, 0, 0, source.is_live, [], True, None)
    add_operators(job, plan.operators)
    writer = StateWriter(os.fspath(path), job)
    for operator, states in _by_operator(tables, plan, template):
        for name, table in states.items():
            for batch in _batches(table, name):
                writer.add(operator, name, batch)
    writer.finish()
    return Path(path)


def _by_operator(tables: Mapping[str, Any], plan: Plan, template: Stream) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(tables, Mapping):
        raise ConfigError(f"tables is a mapping state -> table, or operator -> state -> table, got {_kind(tables)}")
    names = [planned.operator.name for planned in plan.operators]
    if not names:
        raise ConfigError(f"{template!r} has no function, and so no state")
    nested = [isinstance(value, Mapping) for value in tables.values()]
    if all(nested):
        yield from tables.items()
    elif any(nested):
        raise ConfigError("tables maps states to tables, or operators to such mappings, and not both")
    elif len(names) == 1:
        yield names[0], tables
    else:
        last = template._edge.node
        example = last.operator.name if isinstance(last, OperatorNode) else names[-1]
        raise ConfigError(
            f"the job has {len(names)} operators ({', '.join(map(repr, names))}); say whose states these are: "
            f"{{{example!r}: {{…}}}}"
        )


def _batches(table: Any, name: str) -> Iterator[RecordBatch]:
    if isinstance(table, RecordBatch):
        yield table
        return
    try:
        source = table if isinstance(table, Stream) else stream(table, name=name)
    except ConfigError as error:
        raise ConfigError(f"the table of {name!r}: {error}") from None
    yield from source


def _kind(value: object) -> str:
    return type(value).__name__
