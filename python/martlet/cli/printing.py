"""Rows on their way out: as a table for people, as JSON lines, CSV or Parquet for programs."""

from __future__ import annotations

import csv
import datetime
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .._engine import RecordBatch, Schema, export_stream
from ..errors import ConfigError
from ..json_values import dumps
from ..taking import library

__all__ = ["shown", "table_lines", "time_text", "write_rows"]

# A longer text is cut in a table: the other formats have all of it.
_WIDEST = 80
# Rows that decide how wide the columns of a table are.
_MEASURED = 1000


def write_rows(
    schema: Schema, batches: Iterable[RecordBatch], form: str, output: str | None, limit: int | None
) -> None:
    """All rows, or the first `limit`, to a file or to standard output."""
    if limit is not None:
        batches = _first(batches, limit)
    if form == "parquet":
        return _write_parquet(schema, batches, output)
    with _text(output) as out:
        rows = (row for batch in batches for row in batch.to_pylist())
        if form == "table":
            for line in table_lines(schema.names, ([row[name] for name in schema.names] for row in rows)):
                print(line, file=out)
        elif form == "csv":
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(schema.names)
            for row in rows:
                writer.writerow([_csv(row[name]) for name in schema.names])
        else:
            for row in rows:
                print(dumps(row), file=out)
    return None


def _first(batches: Iterable[RecordBatch], limit: int) -> Iterator[RecordBatch]:
    left = limit
    for batch in batches:
        if left <= 0:
            return
        yield batch if batch.num_rows <= left else batch[:left]
        left -= batch.num_rows


@contextmanager
def _text(output: str | None) -> Iterator[IO[str]]:
    if output is None:
        yield sys.stdout
        sys.stdout.flush()
    else:
        with Path(output).open("w", encoding="utf-8", newline="") as file:
            yield file


class _Stream:
    def __init__(self, schema: Schema, batches: Iterable[RecordBatch]) -> None:
        self._schema, self._batches = schema, batches

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return export_stream(self._schema, iter(self._batches))


def _write_parquet(schema: Schema, batches: Iterable[RecordBatch], output: str | None) -> None:
    if output is None and sys.stdout.isatty():
        raise ConfigError("Parquet is not for a terminal: pass --output FILE")
    pyarrow = library("pyarrow", "--format parquet")
    parquet = __import__("pyarrow.parquet").parquet
    reader = pyarrow.RecordBatchReader.from_stream(_Stream(schema, batches))
    target = sys.stdout.buffer if output is None else output
    with parquet.ParquetWriter(target, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    if output is None:
        sys.stdout.buffer.flush()


def _csv(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    text = dumps(value)
    return text[1:-1] if text.startswith('"') else text


def shown(value: object) -> str:
    """A value in a table."""
    if value is None:
        return ""
    if isinstance(value, str):
        text = value
    elif isinstance(value, (datetime.datetime, datetime.date, datetime.time, datetime.timedelta)):
        text = str(value)
    else:
        text = repr(value) if isinstance(value, (bytes, float, bool)) else str(value)
    text = text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def table_lines(names: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """A table: numbers to the right, everything else to the left."""
    rows = iter(rows)
    first = [list(row) for row in itertools.islice(rows, _MEASURED)]
    is_number = [
        any(row[n] is not None for row in first)
        and all(row[n] is None or (isinstance(row[n], (int, float)) and not isinstance(row[n], bool)) for row in first)
        for n in range(len(names))
    ]
    texts = [[shown(value) for value in row] for row in first]
    widths = [max([len(names[n]), *(len(row[n]) for row in texts)]) for n in range(len(names))]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(cells, widths, is_number, strict=True)
        )
        return "  ".join(padded).rstrip()

    yield line(names)
    yield "  ".join("-" * width for width in widths)
    for cells in texts:
        yield line(cells)
    for row in rows:
        yield line([shown(value) for value in row])


def time_text(time_ms: int) -> str:
    """A time for people; the number where it is no time of a calendar."""
    try:
        moment = datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return str(time_ms)
    return moment.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", " UTC")
