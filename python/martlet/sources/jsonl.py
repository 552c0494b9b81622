"""Files of JSON lines as a source."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from .._engine import RecordBatch, Schema
from ..errors import ConfigError, MartletError, SchemaError, SourceError
from ..json_values import decoders
from .files import FileSource, Position
from .listing import FileId
from .rows import MOST_ROWS, batch_of, schema_of

__all__ = ["JsonlSource"]


class JsonlSource(FileSource):
    """Files with a JSON object on each line, also gzipped (`.jsonl.gz`): one file, a directory, a pattern or a list.

    - `schema`: a mapping name -> type or an Arrow schema: the fields to read, and their types; others are skipped.
      Timestamps, dates and times are ISO 8601 or, timestamps, numbers in the column's unit; decimals text or numbers;
      binary is base64. By default all fields, with types that are inferred from the first `infer_lines` lines of the
      first file; a line with another field, or of another type, is then a bad line.
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
        return gzip.open(path) if path.suffix == ".gz" else path.open("rb")

    def _schema_of(self, file: FileId) -> Schema:
        rows: list[dict[str, Any]] = []
        with self._open(file) as lines:
            for number, line in enumerate(lines, 1):
                if number > self._infer_lines:
                    break
                row = self._parse(file, number, line, None)
                if row is not None:
                    rows.append(row)
        if not rows:
            raise self._error(file, f"has no record in its first {self._infer_lines} lines to infer types from; pass schema=")
        try:
            return schema_of(rows)
        except SchemaError as error:
            raise self._error(file, f"{error}; schema= declares types") from error

    def _batches(self, file: FileId, position: Position, schema: Schema) -> Iterator[tuple[Any, Position]]:
        names = None if self.schema is None else frozenset(schema.names)
        convert = decoders(schema) if self.schema is not None else {}
        number, byte = position.get("line", 0), position.get("byte", 0)
        with self._open(file) as lines:
            lines.seek(byte)
            rows: list[dict[str, Any]] = []
            numbers: list[int] = []
            for line in lines:
                number, byte = number + 1, byte + len(line)
                row = self._parse(file, number, line, names)
                if row is None or not self._convert(file, number, row, convert):
                    continue
                rows.append(row)
                numbers.append(number)
                if len(rows) == self.batch_rows:
                    yield self._built(file, rows, numbers, schema), {"line": number, "byte": byte}
                    rows, numbers = [], []
            if rows:
                yield self._built(file, rows, numbers, schema), {"line": number, "byte": byte}

    def _parse(self, file: FileId, number: int, line: bytes, names: frozenset[str] | None) -> dict[str, Any] | None:
        try:
            row = json.loads(line)
        except ValueError as error:
            if not line.strip():
                return None
            return self._bad(file, number, f"is not JSON: {error}", error)
        if not isinstance(row, dict):
            return self._bad(file, number, f"is a JSON {type(row).__name__}, and not an object", None)
        return row if names is None else {name: value for name, value in row.items() if name in names}

    def _convert(self, file: FileId, number: int, row: dict[str, Any], convert: Mapping[str, Any]) -> bool:
        for name, function in convert.items():
            value = row.get(name)
            if value is not None:
                try:
                    row[name] = function(value)
                except (ValueError, OverflowError) as error:
                    self._bad(file, number, f"column {name!r}: {error}", error)
                    return False
        return True

    def _built(self, file: FileId, rows: list[dict[str, Any]], numbers: list[int], schema: Schema) -> RecordBatch:
        while True:
            try:
                return batch_of(rows, schema)
            except MartletError as error:
                at = error.record
                if at is None or at >= len(rows):
                    raise
                hint = "" if self.schema is not None else "; types were inferred: schema= declares them"
                self._bad(file, numbers[at], f"{error.args[0]}{hint}", error)
                del rows[at], numbers[at]

    def _bad(self, file: FileId, number: int, words: str, error: BaseException | None) -> None:
        if not self._skips:
            where = f"JsonlSource {self.name!r}: {self._listing.path(file.name)}, line {number}"
            raise SourceError(f"{where}: {words}; on_bad_line='skip' passes over such lines") from error
        self.bad_lines += 1
