"""Directories of files, committed by renaming: what Parquet and JSON lines have in common.

    dir/
      orders-0000000007-00000.parquet        job, checkpoint, part: what readers see
      .martlet-staging/
        orders/
          lock
          open/                              being written
            orders-0000000009-00000.parquet  the number is the place where it will go
          0000000008/                        prepared: synced, and renamed from open/ as a whole
            orders-0000000008-00000.parquet
            replaced.json                    files of a run that this one repeats, to be removed with the commit

Renaming `open/` is what makes a transaction prepared; renaming its files one by one makes it visible. A commit that was
interrupted is finished by the next one, which finds the files that are left. Each file appears whole; the files of one
transaction appear one after the other.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from pathlib import Path
from typing import Literal, Protocol

from .._engine import RecordBatch
from ..errors import ConfigError, SinkError
from . import storage

__all__ = ["DirectorySink", "Part"]

STAGING = ".martlet-staging"
REPLACED = "replaced.json"
# Rows between two looks at a file's size.
STEP_ROWS = 8192

_logger = logging.getLogger("martlet")


class Part(Protocol):
    """One file that is being written."""

    path: Path
    rows: int

    @property
    def n_bytes(self) -> int:
        """About how large the file is by now."""

    def write(self, batch: RecordBatch) -> None: ...

    def close(self) -> None:
        """The file is complete, and on disk."""

    def abandon(self) -> None:
        """The file will be removed."""


class DirectorySink:
    """See `ParquetSink` and `JsonlSink`."""

    transactional = True
    min_rows = 65_536
    suffix = ""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_rows: int | None,
        max_bytes: int | None,
        existing: Literal["raise", "replace"],
    ) -> None:
        label = type(self).__name__
        for setting, value in (("max_rows", max_rows), ("max_bytes", max_bytes)):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ConfigError(f"{label}: {setting}={value!r} is not allowed; use an int of 1 or more, or None")
        if existing not in ("raise", "replace"):
            raise ConfigError(f"{label}: existing={existing!r} is not allowed; use 'raise' or 'replace'")
        self.path = Path(path)
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._existing = existing
        self._part: Part | None = None
        self._parts = 0
        self._job = ""
        self._name = ""
        self._staging = Path()
        self._lock: storage.Lock | None = None
        # Visible files that the next transaction replaces, and those that prepared transactions do.
        self._stale: set[str] = set()
        self._replacing: dict[int, set[str]] = {}

    def _new_part(self, path: Path, batch: RecordBatch) -> Part:
        """A file for batches like this one."""
        raise NotImplementedError

    # ---- life

    def open(self, job: str, state_dir: Path | None = None) -> None:
        self._job, self._name = job, storage.quoted(job)
        self._staging = self.path / STAGING / self._name
        storage.make_directory(self._staging)
        self._lock = storage.Lock(self._staging, f"{type(self).__name__}: {self.path}, for job {job!r},")

    def recover(self, checkpoint: int | None) -> None:
        done = checkpoint or 0
        self._go_back(done)
        self._stale = {name for number, name in self._visible() if number > done}
        if not self._stale:
            return
        if checkpoint is not None:
            _logger.warning(
                "%s: %s has output of job %r after checkpoint %d, from which it goes on; the next commit replaces it",
                type(self).__name__,
                self.path,
                self._job,
                checkpoint,
            )
        elif self._existing == "raise":
            some = sorted(self._stale)[0]
            raise SinkError(
                f"{type(self).__name__}: {self.path} has output of job {self._job!r} already ({some}), and the job "
                "starts from its beginning; use another directory or job name, remove its files, or pass "
                "existing='replace'"
            )

    def write(self, batch: RecordBatch) -> None:
        start = 0
        while start < batch.num_rows:
            if self._part is None:
                self._check_open()
                storage.make_directory(self._staging / "open")
                self._part = self._new_part(self._staging / "open" / f"{self._parts:05d}{self.suffix}", batch)
                self._parts += 1
            room = STEP_ROWS if self._max_rows is None else self._max_rows - self._part.rows
            taken = min(room, STEP_ROWS, batch.num_rows - start)
            with storage.naming(self._part.path):
                self._part.write(batch if taken == batch.num_rows else batch[start : start + taken])
            start += taken
            is_full = self._max_rows is not None and self._part.rows >= self._max_rows
            if is_full or (self._max_bytes is not None and self._part.n_bytes >= self._max_bytes):
                self._end_part()

    def prepare(self, checkpoint: int) -> None:
        self._check_open()
        self._end_part()
        staged = self._staging / "open"
        if self._stale:
            storage.make_directory(staged)
            kept = {self._visible_name(checkpoint, f"{part:05d}{self.suffix}") for part in range(self._parts)}
            storage.write_durably(staged / REPLACED, json.dumps(sorted(self._stale - kept)).encode())
        elif not self._parts:
            return
        # 1. The files are on disk: their contents since _end_part, and here their names.
        storage.sync_directory(staged)
        # 2. From here on the transaction is prepared.
        storage.rename(staged, self._staging / f"{checkpoint:010d}")
        storage.sync_directory(self._staging)
        self._parts = 0
        self._replacing[checkpoint], self._stale = self._stale, set()

    def commit(self, checkpoint: int) -> None:
        self._check_open()
        for number in self._prepared():
            if number <= checkpoint:
                self._publish(number)
                self._replacing.pop(number, None)

    def abort(self, checkpoint: int) -> None:
        self._check_open()
        self._go_back(checkpoint)
        for number in [number for number in self._replacing if number > checkpoint]:
            self._stale |= self._replacing.pop(number)
        # A commit that failed half-way, in a job without checkpoints.
        for number, name in self._visible():
            if number > checkpoint and name not in self._stale:
                storage.remove(self.path / name)

    def close(self) -> None:
        if self._lock is None:
            return
        self._discard_open()
        is_done = not self._prepared()
        self._lock.release(remove=is_done)
        self._lock = None
        if is_done:
            for directory in (self._staging, self._staging.parent):
                with contextlib.suppress(OSError):  # another job, or the next one, is in it
                    directory.rmdir()

    # ---- steps

    def _check_open(self) -> None:
        if self._lock is None:
            raise SinkError(f"{type(self).__name__}: {self.path} is not open: call open() and recover() first")

    def _end_part(self) -> None:
        part, self._part = self._part, None
        if part is not None:
            with storage.naming(part.path):
                part.close()

    def _publish(self, checkpoint: int) -> None:
        staged = self._staging / f"{checkpoint:010d}"
        # 1. Some files may have gone in an earlier attempt; the rest follows.
        for path in sorted(staged.iterdir()):
            if path.name != REPLACED and path.suffix != ".new":
                storage.rename(path, self.path / self._visible_name(checkpoint, path.name))
        # 2. All are there: those that they replace may go.
        replaced = staged / REPLACED
        if replaced.exists():
            for name in json.loads(replaced.read_bytes()):
                storage.remove(self.path / name)
        storage.sync_directory(self.path)
        # 3. Nothing is left to do for this transaction.
        storage.remove_tree(staged)
        storage.sync_directory(self._staging)

    def _go_back(self, checkpoint: int) -> None:
        self._discard_open()
        for number in self._prepared():
            if number > checkpoint:
                storage.remove_tree(self._staging / f"{number:010d}")
        self.commit(checkpoint)

    def _discard_open(self) -> None:
        part, self._part, self._parts = self._part, None, 0
        if part is not None:
            part.abandon()
        storage.remove_tree(self._staging / "open")

    def _visible_name(self, checkpoint: int, part: str) -> str:
        return f"{self._name}-{checkpoint:010d}-{part}"

    def _prepared(self) -> list[int]:
        return sorted(int(entry.name) for entry in self._staging.iterdir() if re.fullmatch(r"\d{10}", entry.name))

    def _visible(self) -> list[tuple[int, str]]:
        """This job's committed files, with their checkpoints."""
        pattern = re.compile(rf"{re.escape(self._name)}-(\d{{10}})-\d{{5}}{re.escape(self.suffix)}")
        found = (pattern.fullmatch(entry.name) for entry in self.path.iterdir())
        return [(int(match[1]), match[0]) for match in found if match]
