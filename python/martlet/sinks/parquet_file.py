"""Parquet as one file, complete when the run has ended."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from .._engine import RecordBatch

__all__ = ["ParquetFile"]


class ParquetFile:
    """See `ParquetSink`."""

    min_rows = 65_536

    def __init__(self, path: str | os.PathLike[str], **options: Any) -> None:
        self.path = Path(path)
        self._partial = self.path.with_name(self.path.name + ".partial")
        self._options = options
        self._writer: Any = None
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise ImportError("ParquetSink needs the package pyarrow: pip install pyarrow") from error
        self._pyarrow = pyarrow

    def write(self, batch: RecordBatch) -> None:
        arrow = self._pyarrow.record_batch(batch)
        if self._writer is None:
            self._writer = self._pyarrow.parquet.ParquetWriter(self._partial, arrow.schema, **self._options)
        self._writer.write_batch(arrow)

    def close(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        self._partial.replace(self.path)

    def abort(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        with contextlib.suppress(FileNotFoundError):
            self._partial.unlink()
