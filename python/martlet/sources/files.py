"""What the sources of files have in common: the list of files, offsets, and files that arrive."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Literal

from .._engine import Schema
from ..arguments import duration
from ..errors import ClosedError, ConfigError, SourceError
from .listing import FileId, Listing
from .protocol import Offset, SourceBatch
from .rows import batch_of, schema_from_json, schema_to_json

__all__ = ["FileSource", "Position"]

# Where to go on inside a file; {} is its beginning.
Position = dict[str, int]


class FileSource:
    """Files, one after the other, as a source with offsets.

    An offset is `{"files": [[name, size, mtime_ns], …], "file": i, "position": {…}, "schema": …}`: all files that were
    taken so far, in the order of reading, which of them comes next, where in it, and the schema. Before the first
    record of files that were newly taken comes an empty batch whose offset has them: whatever is added to the directory
    later, reading from an offset gives the same records again.
    """

    replayable = True
    suffixes: tuple[str, ...] = ()

    def __init__(
        self,
        path: Any,
        *,
        schema: Any,
        batch_rows: int,
        follow: bool,
        poll: Any,
        settle: Any,
        order: Literal["name", "mtime"],
        name: str | None,
    ) -> None:
        label = type(self).__name__
        if not isinstance(batch_rows, int) or batch_rows < 1:
            raise ConfigError(f"{label}: batch_rows={batch_rows!r} is not allowed; use an int of 1 or more")
        if order not in ("name", "mtime"):
            raise ConfigError(f"{label}: order={order!r} is not allowed; use 'name' or 'mtime'")
        self.name = name or label
        self.batch_rows = batch_rows
        self.bounded = not follow
        self._follow = follow
        self._poll_s = duration("poll", poll, "files are looked for every 0 ms or more") / 1000
        settle_s = duration("settle", settle, "a file settles in 0 ms or more") / 1000
        self._listing = Listing(f"{label} {self.name!r}", path, self.suffixes, order, settle_s)
        if follow and not self._listing.grows:
            raise ConfigError(f"{label}: follow=True needs a directory or a pattern, and {path!r} is neither")
        self.schema = None if schema is None else Schema(schema)
        self._is_closed = threading.Event()

    # ---- of each format

    def _schema_of(self, file: FileId) -> Schema | None:
        """The schema of the stream, from its first file; None if the file has nothing to tell it from."""
        raise NotImplementedError

    def _batches(self, file: FileId, position: Position, schema: Schema) -> Iterator[tuple[Any, Position]]:
        """The batches of a file from a position on, each with the position after it."""
        raise NotImplementedError

    # ---- reading

    def close(self) -> None:
        """Wakes a read that waits for files; it raises ClosedError."""
        self._is_closed.set()

    def read(self, offset: Offset = None) -> Iterator[SourceBatch]:
        self._is_closed.clear()
        taken, at, position = self._restore(offset)
        if offset is None:
            # A bounded source takes what is there, complete or not: whoever reads it so says that it is.
            first = self._listing.current().values()
            if files := self._listing.sorted(self._listing.settled(first) if self._follow else first):
                taken = Taken(files, self._schema_of_first(files))
                yield taken.pinned(0)
        while True:
            if taken is not None:
                while at < len(taken.files):
                    for batch, after in self._read_file(taken.files[at], position, taken.schema):
                        is_last = after is None
                        yield SourceBatch(batch, taken.offset(at + is_last, after or {}))
                    at, position = at + 1, {}
            if not self._follow:
                return
            arrived = self._arrivals(taken.files if taken else [])
            if arrived is not None:
                files, at = arrived
                taken = Taken(files, taken.schema if taken else self._schema_of_first(files))
            if taken is not None:
                yield taken.pinned(at)
            if arrived is None:
                self._wait()

    def _schema_of_first(self, files: list[FileId]) -> Schema:
        """As declared, or of the first file that tells it."""
        found = self.schema
        for file in files:
            if found is None:
                found = self._schema_of(file)
        if found is None:
            raise self._error(files[0], "has no record to infer types from, nor have those after it; pass schema=")
        return found

    def _read_file(self, file: FileId, position: Position, schema: Schema) -> Iterator[tuple[Any, Position | None]]:
        """Like `_batches`; after the last batch there is None. Says when the file is not the one that was listed."""
        self._check(file)
        waiting: tuple[Any, Position] | None = None
        for pair in self._batches(file, position, schema):
            if waiting is not None:
                yield waiting
            waiting = pair
        if self._listing.path(file.name).exists():
            self._check(file)
        if waiting is not None:
            yield waiting[0], None

    def _check(self, file: FileId) -> None:
        now = self._listing.stat(file.name)
        if now is None:
            raise self._error(file, "the file has vanished before it was read; put it back")
        if now != file:
            raise self._error(
                file,
                f"the file was changed after it had been listed (then {file.size} bytes, now {now.size}); files must "
                "stay as they are: write to a name that begins with '.', and rename when complete",
            )

    def _error(self, file: FileId, words: str) -> SourceError:
        return SourceError(f"{type(self).__name__} {self.name!r}: {self._listing.path(file.name)}: {words}")

    def _arrivals(self, files: list[FileId]) -> tuple[list[FileId], int] | None:
        """With files that are new and complete: the list with these at its end, and where they begin.

        Files that were read and are gone are forgotten; one that was read and has changed raises SourceError.
        """
        current = self._listing.current()
        for file in files:
            if file.name in current and current[file.name] != file:
                self._check(file)
        known = {file.name for file in files}
        new = self._listing.settled(one for name, one in current.items() if name not in known)
        if not new:
            return None
        kept = [file for file in files if file.name in current]
        return kept + self._listing.sorted(new), len(kept)

    def _wait(self) -> None:
        if self._is_closed.wait(self._poll_s):
            raise ClosedError(f"source {self.name!r} was closed while it waited for files")

    def _restore(self, offset: Offset) -> tuple[Taken | None, int, Position]:
        if offset is None:
            return None, 0, {}
        try:
            taken = Taken([FileId(*file) for file in offset["files"]], schema_from_json(offset["schema"]))
            at, position = int(offset["file"]), dict(offset["position"])
        except (TypeError, KeyError, ValueError) as error:
            raise SourceError(f"source {self.name!r}: {offset!r} is no offset of a {type(self).__name__}") from error
        if self.schema is not None and self.schema != taken.schema:
            raise SourceError(
                f"source {self.name!r}: it was read with the columns {taken.schema.fields} and has now "
                f"{self.schema.fields}; go on with the same schema"
            )
        return taken, at, position


class Taken:
    """The files that were taken so far, and the schema of all: what every offset repeats."""

    __slots__ = ("_files", "_schema", "files", "schema")

    def __init__(self, files: list[FileId], schema: Schema) -> None:
        self.files = files
        self.schema = schema
        self._files = [list(file) for file in files]
        self._schema = schema_to_json(schema)

    def offset(self, at: int, position: Position) -> Offset:
        return {"files": self._files, "file": at, "position": position, "schema": self._schema}

    def pinned(self, at: int) -> SourceBatch:
        """No records, and the offset that says which files come next."""
        return SourceBatch(batch_of([], self.schema), self.offset(at, {}))
