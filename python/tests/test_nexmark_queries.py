"""The Nexmark examples give what SQL gives, for several seeds, and the same in the same order on several instances."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

import martlet as mt

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples" / "python" / "nexmark"))

for library in ("numpy", "pyarrow", "duckdb"):
    pytest.importorskip(library)

from generator import Nexmark  # noqa: E402

# Events in a second: so few that query 11 sees pauses, so many that events of all kinds share milliseconds.
RATES = {"q3": 10_000, "q9": 10_000, "q11": 100, "q18": 10_000, "q19": 10_000}


def by_all_columns(table: Any) -> Any:
    return table.sort_by([(name, "ascending") for name in table.column_names])


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("query", RATES)
def test_a_query_gives_what_sql_gives(query: str, seed: int) -> None:
    module = importlib.import_module(query)
    house = Nexmark(20_000, per_second=RATES[query], seed=seed)
    found = module.run(house).to_arrow()
    assert found.num_rows > 10
    assert by_all_columns(found).equals(by_all_columns(module.expected(house).cast(found.schema)))


@pytest.mark.parametrize("parallelism", [2, 3])
@pytest.mark.parametrize("query", RATES)
def test_several_instances_give_the_same_in_the_same_order(query: str, parallelism: int) -> None:
    module = importlib.import_module(query)
    house = Nexmark(20_000, per_second=RATES[query])
    serial, parallel = (module.run(house, mt.Config(parallelism=n)).to_arrow() for n in (1, parallelism))
    assert parallel.equals(serial)


@pytest.mark.parametrize("query", ["q3", "q18", "q19"])
def test_queries_that_allow_for_events_out_of_order(query: str) -> None:
    module = importlib.import_module(query)
    house = Nexmark(20_000, per_second=RATES[query], out_of_order=1_000)
    found = module.run(house).to_arrow()
    assert by_all_columns(found).equals(by_all_columns(module.expected(house).cast(found.schema)))
