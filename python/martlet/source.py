"""Sources: what `martlet.stream` makes a stream of."""

from __future__ import annotations

import datetime
import io
from typing import Any

from ._engine import Schema
from .arguments import duration, name_or_none
from .errors import ConfigError
from .graph import Edge, SourceNode
from .keyed import BroadcastStream, ConnectedStreams, KeyedStream
from .sources.protocol import Source
from .stream import Stream

__all__ = ["stream"]


def stream(
    source: Any,
    *,
    timestamp: str | None = None,
    watermark: int | str | datetime.timedelta | None = None,
    name: str | None = None,
    schema: Any = None,
    bounded: bool | None = None,
    idle_timeout: int | str | datetime.timedelta | None = None,
) -> Stream:
    """A stream over `source`. Nothing is read until results are taken.

    - `source`: anything with `__arrow_c_stream__` or `__arrow_c_array__` (pyarrow, polars, pandas, DuckDB …), a
      pyarrow dataset, an iterable of such objects, an iterable of dicts, or a `mt.Source` (files, Kafka, your own).
      Of a list of dicts the types are inferred over the whole list, of another iterable from the first dict.
      Unbounded iterables are consumed as they yield.
    - `timestamp`: the column of event times: integers (epoch milliseconds), a timestamp of any unit and zone, or a
      date.
    - `watermark`: how far records may be out of order: milliseconds, "500ms", "5s", "10m", "2h", "1d" or a timedelta;
      default 0.
    - `schema`: for dicts: a mapping name -> type or an Arrow schema, in place of inference.
    - `bounded`: how functions of two inputs merge it with the other one. True: by event time, the same way in every
      run; the source is waited for whenever its next record could be the next one. False: it is *live*, its records are
      merged as they arrive, and it is read by a thread of its own, so that neither input waits for the other. None:
      iterators that can be read only once, such as generators, are live, everything else is bounded.
    - `idle_timeout`: a duration as for `watermark`: a live source that gives nothing for so long no longer holds back
      the watermark of functions of two inputs, until its next record; nor does a partition of a source that has
      partitions, such as Kafka's, hold back that of its stream. Without it, they always do. Of time in which the run
      did not ask for records only a part counts, since they may lie ready.

    Raises ConfigError for arguments that do not fit.
    """
    if timestamp is not None and (not isinstance(timestamp, str) or not timestamp):
        raise ConfigError(f"timestamp= is the name of a column, got {timestamp!r}")
    if watermark is not None and timestamp is None:
        raise ConfigError("watermark= needs timestamp=: without event times there is nothing to be out of order")
    source = _as_source(source)
    kind, one_shot = _kind_of(source)
    if schema is not None:
        if kind in ("stream", "array", "source"):
            raise ConfigError(f"schema= is for sources of dicts; a {type(source).__name__} has its own schema")
        schema = Schema(schema)
    bound = 0 if watermark is None else duration("watermark", watermark, "a watermark lags by 0 ms or more")
    if bounded is not None and not isinstance(bounded, bool):
        raise ConfigError(f"bounded={bounded!r} is not allowed; use True, False or None")
    is_live = (kind == "iterable" and one_shot) if bounded is None else not bounded
    if kind == "source":
        is_live = not getattr(source, "bounded", True) if bounded is None else is_live
        name = name or getattr(source, "name", None)
    node = SourceNode(
        source,
        name_or_none(name) or "stream",
        timestamp,
        bound,
        schema,
        kind,
        one_shot,
        is_live,
        _idle_ms(source, idle_timeout, is_live),
    )
    return Stream(Edge(node), None)


def _as_source(source: Any) -> Any:
    """A pyarrow dataset as what it can be read through, again and again."""
    if hasattr(source, "scanner") and hasattr(source, "to_batches") and not hasattr(source, "__arrow_c_stream__"):
        from .sources.arrow import ArrowSource

        return ArrowSource(lambda: source.scanner().to_reader(), name="dataset")
    return source


def _idle_ms(source: Any, idle_timeout: object, is_live: bool) -> int:
    if idle_timeout is None:
        return 0
    words = "a source is idle after 1 ms or more"
    idle_ms = duration("idle_timeout", idle_timeout, words)
    if idle_ms == 0:
        raise ConfigError(f"idle_timeout={idle_timeout!r} is out of range; {words}")
    if not is_live:
        raise ConfigError(
            f"idle_timeout= is for live sources, and this one, a {type(source).__name__}, is bounded: it is waited "
            "for. Pass bounded=False if its records are to be taken as they arrive"
        )
    return idle_ms


def _kind_of(source: Any) -> tuple[str, bool]:
    if isinstance(source, (Stream, KeyedStream, ConnectedStreams, BroadcastStream)):
        raise ConfigError("the source is a stream already; apply functions to it directly")
    if hasattr(source, "__arrow_c_stream__"):
        # A reader gives its batches away; a table or a frame gives them again. Readers are iterators, or know nothing
        # of their length.
        return "stream", not hasattr(source, "__len__")
    if hasattr(source, "__arrow_c_array__"):
        return "array", False
    if isinstance(source, Source) and not isinstance(source, io.IOBase):
        return "source", not getattr(source, "replayable", True)
    if isinstance(source, (str, bytes, bytearray, dict)) or not hasattr(source, "__iter__"):
        raise ConfigError(
            f"a {type(source).__name__} is no source of records; use an Arrow object (a table, a data frame, a "
            "reader) or an iterable of such objects or of dicts"
        )
    if isinstance(source, (list, tuple)):
        return ("rows" if all(isinstance(item, dict) for item in source) else "iterable"), False
    return "iterable", iter(source) is source if hasattr(source, "__next__") else False
