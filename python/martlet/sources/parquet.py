"""Parquet files as a source, through pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from .._engine import Schema
from ..errors import MissingColumnError, SchemaError
from .files import FileSource, Position
from .libraries import pyarrow_module
from .listing import FileId

__all__ = ["ParquetSource"]


class ParquetSource(FileSource):
    """Parquet files: one, the `*.parquet` of a directory, those of a pattern (`"logs/**/*.parquet"`), or a list.

    - `columns`: which to read, in this order; default all.
    - `batch_rows`: rows of a batch at most; a batch never spans two row groups.
    - `follow`: does not end at the last file, but looks for new ones every `poll`. A file is taken when it has not
      changed for `settle`; 0 takes it at once, which is right for writers that rename complete files into place.
    - `order`: of files found at the same time: `"name"` or `"mtime"`. Those found later come later.

    Durations are as for `mt.stream`. All files must have the columns and types of the first: SchemaError, which names
    file and column. A file that changes or vanishes before it was read is a SourceError; it may go when it was read.
    Needs pyarrow.
    """

    suffixes = (".parquet", ".pq")

    def __init__(
        self,
        path: Any,
        *,
        columns: Sequence[str] | None = None,
        batch_rows: int = 65_536,
        follow: bool = False,
        poll: Any = "1s",
        settle: Any = "1s",
        order: Literal["name", "mtime"] = "name",
        name: str | None = None,
    ) -> None:
        super().__init__(
            path,
            schema=None,
            batch_rows=batch_rows,
            follow=follow,
            poll=poll,
            settle=settle,
            order=order,
            name=name,
        )
        self._parquet = pyarrow_module("pyarrow.parquet", "ParquetSource")
        self._columns = None if columns is None else list(columns)

    def _open(self, file: FileId) -> Any:
        import pyarrow

        try:
            return self._parquet.ParquetFile(self._listing.path(file.name))
        except (pyarrow.ArrowException, OSError) as error:
            raise self._error(file, f"is no whole Parquet file: {error}") from error

    def _fields(self, reader: Any, file: FileId) -> Any:
        import pyarrow

        schema = reader.schema_arrow
        if self._columns is None:
            return schema
        for column in self._columns:
            if column not in schema.names:
                raise MissingColumnError(
                    f"{type(self).__name__} {self.name!r}: {self._listing.path(file.name)} has no column {column!r}; "
                    f"its columns are {', '.join(schema.names)}"
                )
        return pyarrow.schema([schema.field(column) for column in self._columns])

    def _schema_of(self, file: FileId) -> Schema | None:
        with self._open(file) as reader:
            return Schema(self._fields(reader, file).remove_metadata())

    def _batches(self, file: FileId, position: Position, schema: Schema) -> Iterator[tuple[Any, Position]]:
        with self._open(file) as reader:
            self._check_schema(file, Schema(self._fields(reader, file).remove_metadata()), schema)
            skipped = position.get("row", 0)
            for group in range(position.get("group", 0), reader.num_row_groups):
                row = 0
                for batch in reader.iter_batches(self.batch_rows, row_groups=[group], columns=self._columns):
                    row += batch.num_rows
                    if row > skipped:
                        kept = batch.slice(max(skipped - (row - batch.num_rows), 0))
                        kept = kept.select(self._columns) if self._columns is not None else kept
                        yield kept.replace_schema_metadata(None), {"group": group, "row": row}
                skipped = 0

    def _check_schema(self, file: FileId, found: Schema, expected: Schema) -> None:
        if found == expected:
            return
        where = f"{type(self).__name__} {self.name!r}: {self._listing.path(file.name)}"
        here, first = dict(found.fields), dict(expected.fields)
        for name, dtype in first.items():
            if name not in here:
                raise SchemaError(f"{where}: column {name!r} is missing; the files before it have it")
            if here[name] != dtype:
                raise SchemaError(f"{where}: column {name!r} is {here[name]}, and {dtype} in the files before it")
        if more := [name for name in here if name not in first]:
            raise SchemaError(
                f"{where}: column {more[0]!r} is not in the files before it; name those to read with columns="
            )
        if found.names != expected.names:
            raise SchemaError(
                f"{where}: the columns are in another order than before: {', '.join(found.names)}; name them with "
                "columns="
            )
