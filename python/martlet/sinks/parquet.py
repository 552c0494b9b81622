"""Parquet, as a directory of files or as one file, through pyarrow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from .._engine import RecordBatch
from ..sources.libraries import pyarrow_module
from . import storage
from .directory import DirectorySink, Part
from .parquet_file import ParquetFile

__all__ = ["ParquetSink"]

# Rows of a row group, unless options say otherwise: small batches are gathered.
GROUP_ROWS = 65_536
SUFFIXES = (".parquet", ".pq", ".parq")


class ParquetSink:
    """Writes the output to Parquet through pyarrow: to one file, or to a directory in transactions.

    `path` ending in `.parquet` (`.pq`, `.parq`) is one file, unless it is a directory or ends with a slash. It appears
    when the run has ended; until then it is written beside it as `<name>.partial`, which a failed run removes. A run
    without output writes no file.

    Any other `path` is a directory, made if need be, and the sink is transactional: files are written below
    `<path>/.martlet-staging`, and those of a checkpoint are renamed into place with its commit, as
    `<job>-<checkpoint>-<part>.parquet`. Readers that leave out hidden names, as all Parquet readers do, see committed
    files only.

    - `max_rows`, `max_bytes`: a file that has so many rows, or is about so large, is followed by another. A file ends
      with its checkpoint in any case.
    - `existing`: what to do when the directory has output of this job and the job starts from its beginning:
      `"raise"` SinkError, or `"replace"` it with the first commit. Output of other jobs is left alone.
    - `options` go to `pyarrow.parquet.ParquetWriter`, such as `compression="zstd"`.
    """

    transactional: bool
    min_rows = GROUP_ROWS

    def __new__(cls, path: str | os.PathLike[str], **options: Any) -> Any:
        if cls is not ParquetSink:
            return super().__new__(cls)
        is_directory = os.fspath(path).endswith(os.sep) or Path(path).is_dir()
        is_file = Path(path).suffix.lower() in SUFFIXES and not is_directory
        return super().__new__(_ParquetFileSink if is_file else _ParquetDirectorySink)

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_rows: int | None = None,
        max_bytes: int | None = 256 << 20,
        existing: Literal["raise", "replace"] = "raise",
        **options: Any,
    ) -> None: ...

    def write(self, batch: RecordBatch) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class _ParquetFileSink(ParquetFile, ParquetSink):
    transactional = False


class _ParquetDirectorySink(DirectorySink, ParquetSink):
    transactional = True
    suffix = ".parquet"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_rows: int | None = None,
        max_bytes: int | None = 256 << 20,
        existing: Literal["raise", "replace"] = "raise",
        **options: Any,
    ) -> None:
        super().__init__(path, max_rows=max_rows, max_bytes=max_bytes, existing=existing)
        pyarrow_module("pyarrow.parquet", "ParquetSink")
        self._options = options

    def _new_part(self, path: Path, batch: RecordBatch) -> Part:
        return _ParquetPart(path, batch, self._options)


class _ParquetPart:
    def __init__(self, path: Path, batch: RecordBatch, options: dict[str, Any]) -> None:
        import pyarrow
        import pyarrow.parquet

        self.path = path
        self.rows = 0
        self._pyarrow = pyarrow
        self._waiting: list[Any] = []
        self._waiting_rows = 0
        self._file = storage.create(path)
        self._schema = pyarrow.record_batch(batch).schema
        self._writer = pyarrow.parquet.ParquetWriter(self._file, self._schema, **options)

    @property
    def n_bytes(self) -> int:
        return self._file.tell() + sum(int(batch.nbytes) for batch in self._waiting)

    def write(self, batch: RecordBatch) -> None:
        self._waiting.append(self._pyarrow.record_batch(batch))
        self._waiting_rows += batch.num_rows
        self.rows += batch.num_rows
        if self._waiting_rows >= GROUP_ROWS:
            self._write_group()

    def _write_group(self) -> None:
        if self._waiting:
            self._writer.write_table(self._pyarrow.Table.from_batches(self._waiting, self._schema))
        self._waiting, self._waiting_rows = [], 0

    def close(self) -> None:
        try:
            self._write_group()
            self._writer.close()
            storage.sync(self._file)
        finally:
            self._file.close()

    def abandon(self) -> None:
        # The writer would write its footer to a file that is not wanted, when it is collected.
        self._writer.is_open = False
        self._file.close()
