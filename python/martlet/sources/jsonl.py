"""Files of JSON lines as a source."""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from .._engine import Schema
from ..errors import ConfigError, SchemaError, SourceError
from .files import FileSource, Position
from .listing import FileId
from .rows import MOST_ROWS, RowsOfJson, schema_of

__all__ = ["JsonlSource"]


class JsonlSource(FileSource):
    """Files with a JSON object on each line, also gzipped (`.jsonl.gz`): one file, a directory, a pattern or a list.

    - `schema`: a mapping name -> type or an Arrow schema: the fields to read, and their types; others are skipped.
      Timestamps, dates and times are ISO 8601 or, timestamps, numbers in the column's unit; decimals text or numbers;
      binary is base64. By default all fields, with types that are inferred from the first `infer_lines` lines of the
      first file that has any; a line with another field, or of another type, is then a bad line.
    - `on_bad_line`: `"raise"` SourceError with file and line number, or `"skip"` it and count it in `bad_lines`. A line
      is bad if it is no JSON object, or does not fit the schema.
    - `batch_rows`: lines of a batch at most, up to 4096.
    - `follow`, `poll`, `settle`, `order`: as of `ParquetSource`.

    Empty lines are passed over. Attribute `bad_lines`: how many were skipped by this object, in all reads.
    """

    suffixes = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")

    def __init__(
        self,
        path: Any,
        *,
        schema: Mapping[str, Any] | Any = None,
        infer_lines: int = 1000,
        on_bad_line: Literal["raise", "skip"] = "raise",
        batch_rows: int = MOST_ROWS,
        follow: bool = False,
        poll: Any = "1s",
        settle: Any = "1s",
        order: Literal["name", "mtime"] = "name",
        name: str | None = None,
    ) -> None:
        super().__init__(
            path, schema=schema, batch_rows=batch_rows, follow=follow, poll=poll, settle=settle, order=order, name=name
        )
        if on_bad_line not in ("raise", "skip"):
            raise ConfigError(f"JsonlSource: on_bad_line={on_bad_line!r} is not allowed; use 'raise' or 'skip'")
        if batch_rows > MOST_ROWS:
            raise ConfigError(f"JsonlSource: batch_rows={batch_rows!r} is not allowed; use {MOST_ROWS} at most")
        if not isinstance(infer_lines, int) or infer_lines < 1:
            raise ConfigError(f"JsonlSource: infer_lines={infer_lines!r} is not allowed; use an int of 1 or more")
        self._infer_lines = infer_lines
        self._skips = on_bad_line == "skip"
        self.bad_lines = 0

    def _open(self, file: FileId) -> io.BufferedIOBase:
        path = self._listing.path(file.name)
        return gzip.GzipFile(path) if path.suffix == ".gz" else path.open("rb")

    def _schema_of(self, file: FileId) -> Schema | None:
        rows: list[dict[str, Any]] = []
        with self._open(file) as lines:
            for line in itertools.islice(lines, self._infer_lines):
                if line.strip():
                    with contextlib.suppress(ValueError):  # a bad line will be found again when it is read
                        row = json.loads(line)
                        rows += [row] if isinstance(row, dict) else []
        if not rows:
            return None
        try:
            return schema_of(rows)
        except SchemaError as error:
            raise self._error(file, f"{error}; schema= declares types") from error

    def _batches(self, file: FileId, position: Position, schema: Schema) -> Iterator[tuple[Any, Position]]:
        def bad(number: int, words: str, error: BaseException | None) -> None:
            if not self._skips:
                path = self._listing.path(file.name)
                raise SourceError(
                    f"JsonlSource {self.name!r}: {path}, line {number}: {words}; on_bad_line='skip' passes over such "
                    "lines"
                ) from error
            self.bad_lines += 1

        number, byte = position.get("line", 0), position.get("byte", 0)
        rows = RowsOfJson[int](schema, self.schema is not None, bad)
        with self._open(file) as lines:
            lines.seek(byte)
            for line in lines:
                number, byte = number + 1, byte + len(line)
                try:
                    row = json.loads(line)
                except ValueError as error:
                    if line.strip():
                        bad(number, f"is not JSON: {error}", error)
                    continue
                rows.add(number, row)
                if len(rows) == self.batch_rows:
                    yield rows.take(), {"line": number, "byte": byte}
            if len(rows):
                yield rows.take(), {"line": number, "byte": byte}
