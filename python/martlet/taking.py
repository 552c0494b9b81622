"""Taking results: batches that were read, and the libraries of the converters."""

from __future__ import annotations

from typing import Any

from ._engine import RecordBatch, Schema
from .run import export

__all__ = ["Collected", "library"]


class Collected:
    """Batches that were read, for any Arrow library."""

    __slots__ = ("_batches", "_schema")

    def __init__(self, schema: Schema, batches: list[RecordBatch]) -> None:
        self._schema = schema
        self._batches = batches

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return export(self._schema, self._batches)


def library(name: str, method: str) -> Any:
    """A package that a method needs; ImportError that says what to install."""
    try:
        return __import__(name)
    except ImportError as error:
        raise ImportError(f"{method}() needs the package {name}: pip install {name}") from error
