"""A table of a SQLite database as a sink."""

from __future__ import annotations

import datetime
import decimal
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from .._engine import RecordBatch, decode_value, encode_value
from ..errors import SinkError, ValueRangeError
from ..json_values import dumps
from .delivery import DeliverySink, Mark
from .tables import COMMITS, Columns, check_key, columns_frame, columns_of, key_of, quote, table_name

__all__ = ["SqliteSink"]

_ROWS_PER_FRAME = 1024
_INT64 = range(-(2**63), 2**63)
_MICROSECOND = datetime.timedelta(microseconds=1)


class SqliteSink(DeliverySink):
    """Writes the output to a table of the SQLite database at `path`.

    With `key` a row replaces the one that has the same values in these columns (an upsert; the last one wins); without,
    rows are added. Each checkpoint is one transaction of the database, together with a row of the table
    `martlet_commits`, by which a commit that is repeated after a crash is recognised. Output that is prepared waits in
    the job's state directory.

    The table is made if it is not there: whole numbers and truth values INTEGER, floats REAL, text TEXT, binary BLOB;
    timestamps, dates and times as ISO 8601 TEXT, durations as INTEGER microseconds, decimals as TEXT, lists and structs
    as JSON TEXT. A table that is there needs the columns, and with `key` a unique index over it.

    - `rewind`: without `key`, when the job is restored from a checkpoint that is older than what the table holds:
      `"raise"` SinkError, or `"accept"` that rows come twice.
    - `timeout_s`: how long to wait for a database that another connection has locked.

    A job that starts from its beginning adds its output to what is there.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        table: str,
        *,
        key: str | Sequence[str] | None = None,
        rewind: Literal["raise", "accept"] = "raise",
        timeout_s: float = 30.0,
    ) -> None:
        self.path = Path(path)
        self.table = table_name("SqliteSink", table)
        self.key = key_of("SqliteSink", key)
        self.is_idempotent = bool(self.key)
        super().__init__(f"sqlite {self.path.name} {table}", rewind)
        self._timeout_s = timeout_s
        self._connection: sqlite3.Connection | None = None

    # ---- the database

    def _connect(self) -> None:
        try:
            # Transactions are written out below. A run may commit from another thread than it was opened in.
            connection = sqlite3.connect(
                self.path, timeout=self._timeout_s, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {COMMITS} (job TEXT NOT NULL, sink TEXT NOT NULL, life TEXT NOT NULL, "
                "checkpoint INTEGER NOT NULL, PRIMARY KEY (job, sink))"
            )
        except sqlite3.Error as error:
            raise self._failed("cannot be opened", error) from error
        self._connection = connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _mark(self) -> Mark | None:
        assert self._connection is not None
        found = self._connection.execute(
            f"SELECT life, checkpoint FROM {COMMITS} WHERE job = ? AND sink = ?", (self._job, self.name)
        ).fetchone()
        return None if found is None else Mark(*found)

    def _deliver(self, mark: Mark, frames: Iterator[bytes]) -> None:
        connection = self._connection
        assert connection is not None
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                before = self._mark()
                if before is None or before.life != mark.life or before.checkpoint < mark.checkpoint:
                    columns = columns_of(next(frames))
                    connection.execute(self._create(columns))
                    insert = self._insert(columns)
                    for frame in frames:
                        connection.executemany(insert, decode_value(frame))
                    connection.execute(
                        f"INSERT INTO {COMMITS} VALUES (?, ?, ?, ?) ON CONFLICT (job, sink) DO UPDATE SET "
                        "life = excluded.life, checkpoint = excluded.checkpoint",
                        (self._job, self.name, mark.life, mark.checkpoint),
                    )
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk may have ended it already
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._failed(f"checkpoint {mark.checkpoint} cannot be committed", error) from error

    def _create(self, columns: Columns) -> str:
        parts = [f"{quote(name)} {_type(dtype)}{' NOT NULL' if name in self.key else ''}" for name, dtype in columns]
        if self.key:
            parts.append(f"PRIMARY KEY ({', '.join(map(quote, self.key))})")
        return f"CREATE TABLE IF NOT EXISTS {quote(self.table)} ({', '.join(parts)})"

    def _insert(self, columns: Columns) -> str:
        names = [quote(name) for name, _ in columns]
        text = f"INSERT INTO {quote(self.table)} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        if not self.key:
            return text
        changes = [f"{quote(name)} = excluded.{quote(name)}" for name, _ in columns if name not in self.key]
        action = f"UPDATE SET {', '.join(changes)}" if changes else "NOTHING"
        return f"{text} ON CONFLICT ({', '.join(map(quote, self.key))}) DO {action}"

    def _failed(self, what: str, error: sqlite3.Error) -> SinkError:
        return SinkError(f"SqliteSink: {self.path}, table {self.table!r}: {what}: {error}")

    # ---- rows

    def _frames(self, batch: RecordBatch, is_first: bool) -> Iterable[bytes]:
        check_key(f"SqliteSink: table {self.table!r}", self.key, batch)
        if is_first:
            yield columns_frame(batch)
        for start in range(0, batch.num_rows, _ROWS_PER_FRAME):
            columns = batch[start : start + _ROWS_PER_FRAME].to_pydict()
            values = [[self._value(name, value) for value in column] for name, column in columns.items()]
            yield encode_value([list(row) for row in zip(*values, strict=True)])

    def _value(self, name: str, value: Any) -> Any:
        if value is None or isinstance(value, (str, float, bytes)):
            return value
        if isinstance(value, int):
            if value not in _INT64:
                raise ValueRangeError(
                    f"SqliteSink: table {self.table!r}, column {name!r}: {value} is outside the range of SQLite's "
                    "integers"
                )
            return int(value)
        if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
            return value.isoformat()
        if isinstance(value, datetime.timedelta):
            return value // _MICROSECOND
        return str(value) if isinstance(value, decimal.Decimal) else dumps(value)


def _type(dtype: str) -> str:
    if dtype.startswith(("int", "uint", "bool", "duration")):
        return "INTEGER"
    if dtype.startswith(("float", "halffloat", "double")):
        return "REAL"
    return "BLOB" if "binary" in dtype and not dtype.startswith(("list", "large_list", "struct")) else "TEXT"
