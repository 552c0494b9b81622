"""SQL over Arrow tables, for the checks of the queries."""

from __future__ import annotations

import duckdb
import pyarrow as pa


def sql(query: str, **tables: pa.Table) -> pa.Table:
    """The result of a query over tables of these names."""
    with duckdb.connect() as connection:
        for name, table in tables.items():
            connection.register(name, table)
        return connection.sql(query).arrow().read_all()


def numbered(table: pa.Table) -> pa.Table:
    """With the column `position`, the order of arrival."""
    return table.append_column("position", pa.array(range(table.num_rows), pa.int64()))
