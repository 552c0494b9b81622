"""JSON lines, as a directory of files in transactions."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import IO, Literal

from .._engine import RecordBatch
from ..errors import ConfigError
from ..json_values import dumps
from . import storage
from .directory import DirectorySink, Part

__all__ = ["JsonlSink"]


class JsonlSink(DirectorySink):
    """Writes the output to a directory of files with a JSON object on each line, in transactions.

    Files appear with the commit of their checkpoint, as `<job>-<checkpoint>-<part>.jsonl`; see `ParquetSink`, also for
    `max_rows`, `max_bytes` and `existing`.

    - `compression`: None or `"gzip"` (`.jsonl.gz`).

    Timestamps, dates and times are ISO 8601, durations microseconds, decimals text, binary base64; a float that is no
    number, or infinite, is null. `mt.JsonlSource` reads all of this back, given the schema.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        compression: Literal["gzip"] | None = None,
        max_rows: int | None = None,
        max_bytes: int | None = 256 << 20,
        existing: Literal["raise", "replace"] = "raise",
    ) -> None:
        super().__init__(path, max_rows=max_rows, max_bytes=max_bytes, existing=existing)
        if compression not in (None, "gzip"):
            raise ConfigError(f"JsonlSink: compression={compression!r} is not allowed; use None or 'gzip'")
        if Path(path).suffix in (".jsonl", ".ndjson", ".json") and not Path(path).is_dir():
            raise ConfigError(f"JsonlSink: writes a directory of files, and {os.fspath(path)!r} is named like one file")
        self._is_gzip = compression == "gzip"
        self.suffix = ".jsonl.gz" if self._is_gzip else ".jsonl"

    def _new_part(self, path: Path, batch: RecordBatch) -> Part:
        return _JsonlPart(path, self._is_gzip)


class _JsonlPart:
    def __init__(self, path: Path, is_gzip: bool) -> None:
        self.path = path
        self.rows = 0
        self._file = storage.create(path)
        # Without a name and a time, the same rows are the same bytes.
        self._out: IO[bytes] = gzip.GzipFile("", "wb", 6, self._file, mtime=0) if is_gzip else self._file  # type: ignore[assignment]

    @property
    def n_bytes(self) -> int:
        return self._file.tell()

    def write(self, batch: RecordBatch) -> None:
        self._out.write("".join([dumps(row) + "\n" for row in batch.to_pylist()]).encode())
        self.rows += batch.num_rows

    def close(self) -> None:
        try:
            if self._out is not self._file:
                self._out.close()
            storage.sync(self._file)
        finally:
            self._file.close()

    def abandon(self) -> None:
        self._out.close()
        self._file.close()
