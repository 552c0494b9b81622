"""Streams: a lazy description of a source and the functions over it, and every way to take the results."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._engine import RecordBatch, Schema, State
from .config import Config
from .durations import milliseconds
from .errors import ConfigError, MartletError
from .functions import all_states, check_function, function_name
from .report import RunReport
from .run import Output, Run, export
from .sharing import Family, sharing_streams
from .taking import Collected, call_if_there, library, writer

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

__all__ = ["KeyedStream", "Stream", "apply_process_function", "stream"]

# Rows asked for at a time when all of the output is wanted anyway.
BULK_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class SourceNode:
    """Where the records come from."""

    source: Any
    name: str
    timestamp: str | None
    bound_ms: int
    schema: Any
    kind: str  # "stream" (__arrow_c_stream__), "array" (__arrow_c_array__), "rows" (list or tuple) or "iterable"
    one_shot: bool


@dataclass(frozen=True, slots=True, eq=False)
class ProcessNode:
    """A process function over a keyed stream. Two nodes are never equal: each is one step of one stream."""

    fn: Any
    name: str
    key: tuple[str, ...]
    states: tuple[State, ...]
    output: Any
    side_outputs: dict[str, Schema]
    # What it is applied to: a side output of the function before; None: the main output, or the source.
    input_tag: str | None
    family: Family = field(default_factory=Family)


class _Consumption:
    """Whether a source that can be read only once has been; shared by all streams over it."""

    __slots__ = ("used",)

    def __init__(self) -> None:
        self.used = False


class Stream:
    """A stream of records: a source and the functions over it. Lazy: nothing is read until results are taken.

    Iterate it for `RecordBatch`es as they come, or take everything with `to_pylist`, `to_arrow`, `to_polars`,
    `to_pandas` or `run(sink)`; any Arrow library reads it through `__arrow_c_stream__`. Each of these runs the stream
    again from its source; a source that can be read only once (a generator, a record batch reader) raises MartletError
    the second time.
    """

    __slots__ = ("__weakref__", "_config", "_consumption", "_processes", "_share", "_side", "_source")

    def __init__(
        self,
        source: SourceNode,
        processes: tuple[ProcessNode, ...],
        config: Config | None,
        consumption: _Consumption,
        side: str | None = None,
    ) -> None:
        self._source = source
        self._processes = processes
        self._config = config
        self._consumption = consumption
        self._side = side
        # An output of a run that has begun and that this stream has not taken yet.
        self._share: Output | None = None
        for process in processes:
            process.family.add(self)

    # ---- building

    def key_by(self, *columns: str) -> KeyedStream:
        """The stream keyed by one column or by several (the key is then a tuple)."""
        return KeyedStream(self, _key_columns(columns))

    def _process(
        self,
        key: tuple[str, ...],
        fn: Any,
        states: tuple[State, ...],
        output: Any,
        name: str | None,
        config: Config | None,
        side_outputs: Mapping[str, Any] | None,
    ) -> Stream:
        check_function(fn)
        for state in states:
            if not isinstance(state, State):
                raise ConfigError(
                    "expected a state such as ValueState('count') after the function, got "
                    f"{type(state).__name__} {state!r}"
                )
        label = _unique(
            _name(name) or function_name(fn), [process.name for process in self._processes], given=name is not None
        )
        all_states(fn, states, label)
        if output is not None:
            output = Schema(output)
        node = ProcessNode(fn, label, key, states, output, _side_schemas(side_outputs), self._side)
        return Stream(self._source, (*self._processes, node), _one_config(self._config, config), self._consumption)

    def side_output(self, tag: str) -> Stream:
        """A side output of the last function: what it sends with `ctx.emit_to(tag, …)`.

        A stream like any other: it can be consumed, and functions can be applied to it. Ask for it before the first
        output is consumed: then one run feeds all of them, and what comes for the others is kept until they are
        consumed too. Consumed a second time it runs again, if the source allows.

        Two tags are filled by the engine:

        - `"late"` under `Config(late="side_output")`: the late records, as they came.
        - `"errors"` under `Config(on_error="dead_letter")` (or `null_keys=`, `null_timestamps=`): a row for each record
          or timer that failed, with the columns `operator`, `record_number` (in the operator's input, from 0; None for
          a timer), `key` (text), `timestamp` (epoch ms or None), `fire_time` and `domain` (`"event"`, `"processing"`;
          of a timer), `error_type`, `message`, `traceback` (text or None) and `record`: a struct of the input's
          columns, None for a timer.

        Raises ConfigError if the stream has no function.
        """
        if not isinstance(tag, str) or not tag or "\0" in tag:
            raise ConfigError(f"the tag of a side output is a str that is not empty, got {tag!r}")
        if not self._processes or self._side is not None:
            raise ConfigError(f"side output {tag!r}: there is no function here that could emit to it")
        sides = self._processes[-1].family.sides
        side = sides.get(tag)
        if side is None:
            side = sides[tag] = Stream(self._source, self._processes, self._config, self._consumption, tag)
        return side

    # ---- running

    def _start(self, config: Config | None = None) -> Output:
        share = self._share
        if share is not None and config is None:
            self._share = None
            return share
        streams = sharing_streams(self)
        chosen = config
        for one in streams:
            chosen = _one_config(one._config, chosen)
        if self._source.one_shot:
            if self._consumption.used:
                raise MartletError(
                    f"stream {self._source.name!r} reads a {type(self._source.source).__name__}, "
                    "which can be read only once, and it "
                    "was; make a new stream over a new one, or use a list or a table"
                )
            self._consumption.used = True
        run = Run(self._source, [(one._processes, one._side) for one in streams], chosen or Config())
        outputs = run.outputs()
        for one, output in zip(streams, outputs, strict=True):
            one._share = None if one is self else output
        return outputs[streams.index(self)]

    def _peeked(self) -> Output:
        """A started run whose schema is known, kept for the next one who takes the results."""
        if self._share is None:
            self._share = self._start()
        self._share.peek()
        return self._share

    @property
    def schema(self) -> Schema:
        """Names and types of the output's columns. Unless declared, this runs up to the first output."""
        if self._processes:
            last = self._processes[-1]
            declared: Schema | None = last.output if self._side is None else last.side_outputs.get(self._side)
            if declared is not None:
                return declared
        return self._peeked().schema()

    def __iter__(self) -> Iterator[RecordBatch]:
        """Batches as they come: each as soon as there is output."""
        return self._start().batches(1)

    def to_pylist(self) -> list[dict[str, Any]]:
        """All output records as dicts."""
        return list(itertools.chain.from_iterable(batch.to_pylist() for batch in self._start().batches(BULK_ROWS)))

    def _collect(self) -> Collected:
        run = self._start()
        batches = list(run.batches(BULK_ROWS))
        return Collected(batches[0].schema if batches else run.schema(), batches)

    def to_arrow(self) -> pyarrow.Table:
        """All output as a pyarrow.Table."""
        return library("pyarrow", "to_arrow").table(self._collect())

    def to_polars(self) -> polars.DataFrame:
        """All output as a polars.DataFrame."""
        return library("polars", "to_polars").DataFrame(self._collect())

    def to_pandas(self) -> pandas.DataFrame:
        """All output as a pandas.DataFrame, by way of pyarrow."""
        pyarrow, _ = library("pyarrow", "to_pandas"), library("pandas", "to_pandas")
        return pyarrow.table(self._collect()).to_pandas()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The output as an Arrow stream, produced while it is read. `requested_schema` is a wish, and is declined."""
        run = self._peeked()
        return export(run.schema(), self._until_read(run))

    def _until_read(self, run: Output) -> Iterator[RecordBatch]:
        # Some readers ask for the stream only to see its schema: what they did not begin to read stays for the next
        # one.
        if self._share is run:
            self._share = None
        yield from run.batches(BULK_ROWS)

    def run(self, sink: Any = None, config: Config | None = None) -> RunReport:
        """Runs the stream to its end and returns the report.

        `sink`: a callable that takes each `RecordBatch`, or an object with `write(batch)` and, if it likes, `close()`
        (at the end), `abort()` (on failure) and `min_rows` (rows it wants at a time, default 1). None: the output is
        dropped.
        """
        write = writer(sink)
        run = self._start(config)
        try:
            for batch in run.batches(BULK_ROWS if sink is None else int(getattr(sink, "min_rows", 1))):
                write(batch)
        except BaseException:
            run.close()
            call_if_there(sink, "abort")
            raise
        call_if_there(sink, "close")
        return run.report()

    # ---- words

    def explain(self) -> str:
        """The plan as text: source, functions with their keys and states, and what a failure would lose."""
        source, config = self._source, self._config or Config()
        time = (
            f"event time {source.timestamp!r}, out of order by up to {source.bound_ms} ms"
            if source.timestamp
            else "no event time"
        )
        lines = [f"stream {source.name!r}: {type(source.source).__name__}, {time}"]
        for process in self._processes:
            states = ", ".join(map(repr, all_states(process.fn, process.states, process.name))) or "none"
            output = "inferred from the first emission" if process.output is None else repr(process.output)
            lines += [
                f"  process {process.name!r} by {', '.join(process.key)}",
                f"    states: {states}",
                f"    output: {output}",
            ]
            lines += [f"    side output {tag!r}: {schema!r}" for tag, schema in process.side_outputs.items()]
        again = "can be read only once" if source.one_shot else "is read again by each run"
        lines.append(f"profile {config.profile!r}: state in memory, lost when the process ends; the source {again}")
        lines.append(
            f"null keys: {config.null_keys}; null timestamps: {config.null_timestamps}; late records: {config.late}; "
            f"errors: {config.on_error}"
        )
        return "\n".join(lines)

    def __repr__(self) -> str:
        steps = "".join(f" -> {process.name}" for process in self._processes)
        return f"<Stream {self._source.name}{steps}>"


class KeyedStream:
    """A stream with a key: what a process function needs."""

    __slots__ = ("_columns", "_stream")

    def __init__(self, stream: Stream, columns: tuple[str, ...]) -> None:
        self._stream = stream
        self._columns = columns

    @property
    def key(self) -> tuple[str, ...]:
        """The key's columns."""
        return self._columns

    def process(
        self,
        fn: Any,
        *states: State,
        output: Any = None,
        side_outputs: Mapping[str, Any] | None = None,
        name: str | None = None,
        config: Config | None = None,
    ) -> Stream:
        """Runs a process function over the stream; see `apply_process_function`."""
        return self._stream._process(self._columns, fn, states, output, name, config, side_outputs)

    def __repr__(self) -> str:
        return f"<KeyedStream {self._stream!r} by {', '.join(self._columns)}>"


def stream(
    source: Any,
    *,
    timestamp: str | None = None,
    watermark: int | str | datetime.timedelta | None = None,
    name: str | None = None,
    schema: Any = None,
) -> Stream:
    """A stream over `source`. Nothing is read until results are taken.

    - `source`: anything with `__arrow_c_stream__` or `__arrow_c_array__` (pyarrow, polars, pandas, DuckDB …), an
      iterable of such objects, or an iterable of dicts. Of a list of dicts the types are inferred over the whole list,
      of another iterable from the first dict. Unbounded iterables are consumed as they yield.
    - `timestamp`: the column of event times: integers (epoch milliseconds), a timestamp of any unit and zone, or a
      date.
    - `watermark`: how far records may be out of order: milliseconds, "500ms", "5s", "10m", "2h", "1d" or a timedelta;
      default 0.
    - `schema`: for dicts: a mapping name -> type or an Arrow schema, in place of inference.

    Raises ConfigError for arguments that do not fit.
    """
    if timestamp is not None and (not isinstance(timestamp, str) or not timestamp):
        raise ConfigError(f"timestamp= is the name of a column, got {timestamp!r}")
    if watermark is not None and timestamp is None:
        raise ConfigError("watermark= needs timestamp=: without event times there is nothing to be out of order")
    kind, one_shot = _kind_of(source)
    if schema is not None:
        if kind in ("stream", "array"):
            raise ConfigError(f"schema= is for sources of dicts; a {type(source).__name__} has its own schema")
        schema = Schema(schema)
    bound = 0 if watermark is None else _milliseconds(watermark)
    node = SourceNode(source, _name(name) or "stream", timestamp, bound, schema, kind, one_shot)
    return Stream(node, (), None, _Consumption())


def apply_process_function(
    stream: Stream | KeyedStream,
    key: str | Iterable[str] | None,
    fn: Any,
    *states: State,
    output: Any = None,
    side_outputs: Mapping[str, Any] | None = None,
    name: str | None = None,
    config: Config | None = None,
) -> Stream:
    """Runs a process function over a stream (Flink: KeyedStream.process).

    - `key`: a column, a sequence of columns, or None when the stream is a `KeyedStream`.
    - `fn`: an instance of `ProcessFunction`, any object with the same methods, or a callable `fn(key, batch, row,
      ctx)`.
    - `states`: states beyond those that are attributes of `fn`; the object itself is the handle inside a callback.
    - `output`: a mapping name -> type or an Arrow schema; inferred from the first emission when left out.
    - `side_outputs`: a mapping tag -> schema (as for `output`) for side outputs; those that are not in it are inferred.
    - `name`: the operator's name in messages; the class's or function's name when left out.

    Raises ConfigError for arguments that do not fit.
    """
    if isinstance(stream, KeyedStream):
        if key is not None:
            raise ConfigError(f"the stream is keyed by {', '.join(stream.key)} already; pass key=None")
        return stream.process(fn, *states, output=output, side_outputs=side_outputs, name=name, config=config)
    if not isinstance(stream, Stream):
        raise ConfigError(f"expected a stream, got {type(stream).__name__}; make one with martlet.stream(...)")
    if key is None:
        raise ConfigError("the stream has no key: pass the column, or use stream.key_by(...)")
    keys = _key_columns((key,) if isinstance(key, str) else key)
    return stream._process(keys, fn, states, output, name, config, side_outputs)


def _side_schemas(side_outputs: Mapping[str, Any] | None) -> dict[str, Schema]:
    schemas: dict[str, Schema] = {}
    if side_outputs is not None and not isinstance(side_outputs, Mapping):
        raise ConfigError(f"side_outputs= is a mapping from tags to schemas, got {type(side_outputs).__name__}")
    for tag, schema in (side_outputs or {}).items():
        if not isinstance(tag, str) or not tag or "\0" in tag:
            raise ConfigError(f"the tag of a side output is a str that is not empty, got {tag!r}")
        schemas[tag] = Schema(schema)
    return schemas


def _kind_of(source: Any) -> tuple[str, bool]:
    if isinstance(source, (Stream, KeyedStream)):
        raise ConfigError("the source is a stream already; apply functions to it directly")
    if hasattr(source, "__arrow_c_stream__"):
        # A reader gives its batches away; a table or a frame gives them again. Readers are iterators, or know nothing
        # of their length.
        return "stream", not hasattr(source, "__len__")
    if hasattr(source, "__arrow_c_array__"):
        return "array", False
    if isinstance(source, (str, bytes, bytearray, dict)) or not hasattr(source, "__iter__"):
        raise ConfigError(
            f"a {type(source).__name__} is no source of records; use an Arrow object (a table, a data frame, a "
            "reader) or an iterable of such objects or of dicts"
        )
    if isinstance(source, (list, tuple)):
        return ("rows" if all(isinstance(item, dict) for item in source) else "iterable"), False
    return "iterable", iter(source) is source if hasattr(source, "__next__") else False


def _key_columns(columns: Iterable[str]) -> tuple[str, ...]:
    try:
        names = tuple(columns)
    except TypeError:
        raise ConfigError(f"a key is a column name or a sequence of them, got {type(columns).__name__}") from None
    if not names:
        raise ConfigError("a key needs at least one column")
    for name in names:
        if not isinstance(name, str):
            raise ConfigError(f"a key column is named by a str, got {type(name).__name__} {name!r}")
    if len(set(names)) < len(names):
        raise ConfigError(f"a key names each column once, got {', '.join(names)}")
    return names


def _milliseconds(duration: object) -> int:
    total = milliseconds(duration)
    if total is None:
        raise ConfigError(
            f"watermark={duration!r} is no duration; use milliseconds, '500ms', '5s', '10m', '2h', '1d' or a timedelta"
        )
    if total < 0 or total >= 2**63:
        raise ConfigError(f"watermark={duration!r} is out of range; a watermark lags by 0 ms or more")
    return total


def _name(name: object) -> str | None:
    if name is None or (isinstance(name, str) and name and "\0" not in name):
        return name
    raise ConfigError(f"name={name!r} is not a name; use a str that is not empty")


def _unique(name: str, taken: list[str], *, given: bool) -> str:
    if name not in taken:
        return name
    if given:
        raise ConfigError(f"there is an operator named {name!r} already; give each its own name")
    return next(numbered for n in itertools.count(2) if (numbered := f"{name}-{n}") not in taken)


def _one_config(first: Config | None, second: Config | None) -> Config | None:
    for config in (first, second):
        if config is not None and not isinstance(config, Config):
            raise ConfigError(f"config= is a martlet.Config, got {type(config).__name__}")
    if first is None or second is None:
        return first or second
    if first != second:
        raise ConfigError(f"one job has one config, got {first!r} and {second!r}")
    return first
