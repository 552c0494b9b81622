"""A table of a PostgreSQL database as a sink."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from .._engine import RecordBatch
from ..errors import SinkError, ValueRangeError
from ..json_values import dumps
from ..sources.libraries import required
from .delivery import DeliverySink, Mark
from .tables import COMMITS, Columns, check_key, columns_frame, columns_of, key_of, quote, table_name

__all__ = ["PostgresSink"]

_ROWS_PER_FRAME = 4096


class PostgresSink(DeliverySink):
    """Writes the output to a table of a PostgreSQL database, through psycopg: `pip install martlet[postgres]`.

    `dsn` is a connection string or URL of libpq. `table` may name its schema: `"shop.orders"`. With `key` a row
    replaces the one that has the same values in these columns (an upsert; the last one wins); without, rows are added.
    Each checkpoint is one transaction, together with a row of the table `martlet_commits`, by which a commit that is
    repeated after a crash is recognised. Output that is prepared waits in the job's state directory and is sent by
    COPY.

    The table is made if it is not there: integers by width (uint64 as numeric), real and double precision, boolean,
    text, bytea, date, time, timestamp (with time zone if the column has one), interval, numeric; lists and structs are
    jsonb. A table that is there needs the columns, and with `key` a unique index over it.

    - `rewind`: without `key`, when the job is restored from a checkpoint that is older than what the table holds:
      `"raise"` SinkError, or `"accept"` that rows come twice.

    A connection that was lost is opened again by the next commit. A job that starts from its beginning adds its output
    to what is there.
    """

    def __init__(
        self,
        dsn: str,
        table: str,
        *,
        key: str | Sequence[str] | None = None,
        rewind: Literal["raise", "accept"] = "raise",
    ) -> None:
        self._psycopg = required("psycopg", "PostgresSink", "'martlet[postgres]'")
        self.table = table_name("PostgresSink", table)
        self.key = key_of("PostgresSink", key)
        self.is_idempotent = bool(self.key)
        super().__init__(f"postgres {table}", rewind)
        self._dsn = dsn
        self._connection: Any = None

    # ---- the database

    def _connect(self) -> None:
        try:
            self._connection = self._psycopg.connect(self._dsn, autocommit=True)
            # Two jobs may begin at once, and CREATE TABLE IF NOT EXISTS is no protection from that.
            with self._connection.transaction():
                self._connection.execute("SELECT pg_advisory_xact_lock(hashtext('martlet_commits'))")
                self._connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {COMMITS} (job text NOT NULL, sink text NOT NULL, life text NOT NULL, "
                    "checkpoint bigint NOT NULL, PRIMARY KEY (job, sink))"
                )
        except self._psycopg.Error as error:
            raise self._failed("the database cannot be used", error) from error

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _mark(self, lock: str = "") -> Mark | None:
        found = self._connection.execute(
            f"SELECT life, checkpoint FROM {COMMITS} WHERE job = %s AND sink = %s{lock}", (self._job, self.name)
        ).fetchone()
        return None if found is None else Mark(*found)

    def _deliver(self, mark: Mark, frames: Iterator[bytes]) -> None:
        if self._connection is None or self._connection.closed:
            self._connect()
        try:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                before = self._mark(" FOR UPDATE")
                if before is None or before.life != mark.life or before.checkpoint < mark.checkpoint:
                    self._copy(cursor, columns_of(next(frames)), frames)
                    cursor.execute(
                        f"INSERT INTO {COMMITS} VALUES (%s, %s, %s, %s) ON CONFLICT (job, sink) DO UPDATE SET "
                        "life = excluded.life, checkpoint = excluded.checkpoint",
                        (self._job, self.name, mark.life, mark.checkpoint),
                    )
        except self._psycopg.Error as error:
            raise self._failed(f"checkpoint {mark.checkpoint} cannot be committed", error) from error

    def _copy(self, cursor: Any, columns: Columns, frames: Iterator[bytes]) -> None:
        table, names = self._quoted_table(), ", ".join(quote(name) for name, _ in columns)
        cursor.execute(self._create(table, columns))
        target = table
        if self.key:
            # Rows of one key must not meet in one INSERT: the last of each goes on.
            target = "martlet_incoming"
            cursor.execute(f"CREATE TEMP TABLE {target} ON COMMIT DROP AS SELECT {names} FROM {table} WITH NO DATA")
            cursor.execute(f"ALTER TABLE {target} ADD COLUMN martlet_row bigserial")
        with cursor.copy(f"COPY {target} ({names}) FROM STDIN") as copy:
            for frame in frames:
                copy.write(frame)
        if self.key:
            key = ", ".join(map(quote, self.key))
            changes = [f"{quote(name)} = excluded.{quote(name)}" for name, _ in columns if name not in self.key]
            action = f"UPDATE SET {', '.join(changes)}" if changes else "NOTHING"
            cursor.execute(
                f"INSERT INTO {table} ({names}) SELECT DISTINCT ON ({key}) {names} FROM {target} "
                f"ORDER BY {key}, martlet_row DESC ON CONFLICT ({key}) DO {action}"
            )

    def _quoted_table(self) -> str:
        return ".".join(map(quote, self.table.split(".", 1)))

    def _create(self, table: str, columns: Columns) -> str:
        parts = [f"{quote(name)} {_type(dtype)}{' NOT NULL' if name in self.key else ''}" for name, dtype in columns]
        if self.key:
            parts.append(f"PRIMARY KEY ({', '.join(map(quote, self.key))})")
        return f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(parts)})"

    def _failed(self, what: str, error: Exception) -> SinkError:
        return SinkError(f"PostgresSink: table {self.table!r}: {what}: {str(error).strip()}")

    # ---- rows, as COPY reads them

    def _frames(self, batch: RecordBatch, is_first: bool) -> Iterable[bytes]:
        check_key(f"PostgresSink: table {self.table!r}", self.key, batch)
        if is_first:
            yield columns_frame(batch)
        for start in range(0, batch.num_rows, _ROWS_PER_FRAME):
            columns = batch[start : start + _ROWS_PER_FRAME].to_pydict()
            fields = [[self._field(name, value) for value in column] for name, column in columns.items()]
            yield "".join(["\t".join(row) + "\n" for row in zip(*fields, strict=True)]).encode()

    def _field(self, name: str, value: Any) -> str:
        if value is None:
            return r"\N"
        if isinstance(value, str):
            if "\0" in value:
                raise ValueRangeError(
                    f"PostgresSink: table {self.table!r}, column {name!r}: PostgreSQL's text cannot hold the "
                    "character NUL"
                )
            return _SPECIAL.sub(_escaped, value)
        if isinstance(value, bool):
            return "t" if value else "f"
        if isinstance(value, bytes):
            return rf"\\x{value.hex()}"
        if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
            return value.isoformat()
        if isinstance(value, datetime.timedelta):
            return f"{value // datetime.timedelta(microseconds=1)} microseconds"
        return _SPECIAL.sub(_escaped, dumps(value)) if isinstance(value, (list, dict)) else str(value)


_SPECIAL = re.compile(r"[\\\n\r\t\b\f\v]")


def _escaped(match: re.Match[str]) -> str:
    return {"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\b": r"\b", "\f": r"\f", "\v": r"\v"}[match[0]]


_TYPES = {
    "bool": "boolean",
    "int8": "smallint",
    "uint8": "smallint",
    "int16": "smallint",
    "uint16": "integer",
    "int32": "integer",
    "uint32": "bigint",
    "int64": "bigint",
    "uint64": "numeric(20)",
    "float16": "real",
    "float32": "real",
    "float64": "double precision",
    "date32": "date",
    "date64": "date",
}


def _type(dtype: str) -> str:
    if dtype in _TYPES:
        return _TYPES[dtype]
    if dtype.startswith("timestamp["):
        return "timestamptz" if "," in dtype else "timestamp"
    if match := re.fullmatch(r"decimal\d*\((\d+), *(-?\d+)\)", dtype):
        return f"numeric({match[1]}, {match[2]})"
    if dtype.startswith(("list", "large_list", "fixed_size_list", "struct", "map")):
        return "jsonb"
    if dtype.startswith("duration"):
        return "interval"
    if dtype.startswith("time"):
        return "time"
    return "bytea" if "binary" in dtype else "text"
