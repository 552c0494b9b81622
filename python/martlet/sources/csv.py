"""CSV files as a source, through pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from .._engine import Schema
from ..errors import SchemaError
from .files import FileSource, Position
from .libraries import pyarrow_module
from .listing import FileId

__all__ = ["CsvSource"]


class CsvSource(FileSource):
    """CSV files with a header line, also compressed (`.csv.gz`): one file, a directory, a pattern or a list.

    - `schema`: a mapping name -> type or an Arrow schema: the columns to read, and their types; others are skipped. By
      default all columns, with types that are inferred from the beginning of the first file and hold for all files.
    - `delimiter`, `quote`: one character each; `quote=None`: there are no quotes.
    - `nulls`: the texts that mean null. An empty field is null, also in columns of text.
    - `block_bytes`: how much is read at a time; a batch is a block.
    - `follow`, `poll`, `settle`, `order`: as of `ParquetSource`.

    A line that does not fit, and a file without one of the columns, raise an error that names the file. Going on in the
    middle of a file reads it from its beginning and skips rows. Needs pyarrow.
    """

    suffixes = (".csv", ".csv.gz", ".csv.bz2", ".csv.zst", ".tsv", ".tsv.gz")

    def __init__(
        self,
        path: Any,
        *,
        schema: Mapping[str, Any] | Any = None,
        delimiter: str = ",",
        quote: str | None = '"',
        nulls: tuple[str, ...] = ("", "NULL", "null", "NA", "N/A", "NaN", "nan"),
        block_bytes: int = 1 << 20,
        follow: bool = False,
        poll: Any = "1s",
        settle: Any = "1s",
        order: Literal["name", "mtime"] = "name",
        name: str | None = None,
    ) -> None:
        super().__init__(
            path, schema=schema, batch_rows=1, follow=follow, poll=poll, settle=settle, order=order, name=name
        )
        self._csv = pyarrow_module("pyarrow.csv", "CsvSource")
        self._parse = self._csv.ParseOptions(
            delimiter=delimiter, quote_char=quote if quote is not None else False, newlines_in_values=quote is not None
        )
        self._read = self._csv.ReadOptions(block_size=block_bytes, use_threads=False)
        self._nulls = list(nulls)

    def _open(self, file: FileId, schema: Schema | None) -> Any:
        import pyarrow

        options: dict[str, Any] = {"null_values": self._nulls, "strings_can_be_null": True}
        if schema is not None:
            options["column_types"] = pyarrow.schema(schema)
            if self.schema is not None:
                options["include_columns"] = list(schema.names)
        path = str(self._listing.path(file.name))
        try:
            reader = self._csv.open_csv(path, self._read, self._parse, self._csv.ConvertOptions(**options))
        except (pyarrow.ArrowException, OSError, KeyError) as error:
            raise self._error(file, f"cannot be read as CSV: {error}") from error
        if schema is not None and tuple(reader.schema.names) != schema.names:
            raise SchemaError(
                f"CsvSource {self.name!r}: {path}: the columns are {', '.join(reader.schema.names)}, and before it "
                f"{', '.join(schema.names)}; name those to read with schema="
            )
        return reader

    def _schema_of(self, file: FileId) -> Schema | None:
        with self._open(file, None) as reader:
            return Schema(reader.schema)

    def _batches(self, file: FileId, position: Position, schema: Schema) -> Iterator[tuple[Any, Position]]:
        import pyarrow

        first, row = position.get("row", 0), 0
        with self._open(file, schema) as reader:
            while True:
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    return
                except pyarrow.ArrowException as error:
                    hint = "" if self.schema is not None else " (types were inferred: schema= declares them)"
                    raise self._error(file, f"after row {row}: {error}{hint}") from error
                skipped = min(max(first - row, 0), batch.num_rows)
                row += batch.num_rows
                if skipped < batch.num_rows:
                    yield batch.slice(skipped), {"row": row}
