"""Files that a task of Flink reads: their names travel with the job, and a file is what is read again after a
restart."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from .._engine import Schema
from ..graph import SourceNode
from ..sources.files import FileSource
from ..sources.listing import FileId
from ..sources.protocol import SourceBatch
from .reading import read_sources
from .timer_book import MIN_TIME
from .wire import Element

__all__ = ["FileReader", "files_of"]


def files_of(source: Any) -> tuple[list[FileId], Schema] | None:
    """The files of a source of files, in their order, and the schema of all of them; None for other sources, and if
    there are none."""
    if not isinstance(source, FileSource) or not source.bounded:
        return None
    files = source._listing.sorted(source._listing.current().values())
    return (files, source._schema_of_first(files)) if files else None


class FileReader:
    """Reads one file after the other as elements. It can be pickled, which a source cannot."""

    def __init__(self, node: SourceNode, schema: Schema) -> None:
        self._kind: type[FileSource] = type(node.source)
        self._state = {name: value for name, value in vars(node.source).items() if name != "_is_closed"}
        self._name = node.name
        self._timestamp = node.timestamp
        self._bound_ms = node.bound_ms
        self._schema = schema
        # That behind the last element.
        self.watermark = MIN_TIME

    def elements(self, file: FileId) -> Iterator[Element]:
        """Those of a file. Watermarks go on from file to file, as far as this reader knows of those before."""
        one = _OneFile(self._source(), file, self._schema)
        node = SourceNode(one, self._name, self._timestamp, self._bound_ms, None, "source", False)
        before = self.watermark
        found, _ = read_sources((node,))
        for element in found:
            number, tag, timestamp, watermark, values, schema = element
            if watermark is not None:
                watermark = max(watermark, before)
            if timestamp is not None:
                self.watermark = max(self.watermark, timestamp - self._bound_ms - 1)
            yield number, tag, timestamp, watermark, values, schema

    def _source(self) -> FileSource:
        source = object.__new__(self._kind)
        vars(source).update(self._state)
        source._is_closed = threading.Event()
        return source


class _OneFile:
    """One file as a source."""

    bounded = True

    def __init__(self, source: FileSource, file: FileId, schema: Schema) -> None:
        self._source = source
        self._file = file
        self.schema = schema

    def read(self, offset: Any) -> Iterator[SourceBatch]:
        for batch, _ in self._source._read_file(self._file, {}, self.schema):
            yield SourceBatch(batch, None)
