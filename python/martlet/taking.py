"""Taking results: batches that were read, sinks, and the libraries of the converters."""

from __future__ import annotations

from typing import Any

from ._engine import RecordBatch, Schema
from .errors import ConfigError
from .run import export

__all__ = ["Collected", "call_if_there", "library", "writer"]


class Collected:
    """Batches that were read, for any Arrow library."""

    __slots__ = ("_batches", "_schema")

    def __init__(self, schema: Schema, batches: list[RecordBatch]) -> None:
        self._schema = schema
        self._batches = batches

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return export(self._schema, self._batches)


def writer(sink: Any) -> Any:
    """What takes each batch for a sink. ConfigError if it is none."""
    if sink is None:
        return lambda batch: None
    if hasattr(sink, "write"):
        return sink.write
    if callable(sink):
        return sink
    raise ConfigError(f"a sink is a callable or an object with write(batch), got {type(sink).__name__}")


def call_if_there(sink: Any, method: str) -> None:
    """Calls close() or abort() of a sink that has it."""
    call = getattr(sink, method, None)
    if call is not None and hasattr(sink, "write"):
        call()


def library(name: str, method: str) -> Any:
    """A package that a method needs; ImportError that says what to install."""
    try:
        return __import__(name)
    except ImportError as error:
        raise ImportError(f"{method}() needs the package {name}: pip install {name}") from error
