"""Tests on Apache Flink. They run in an environment of their own (`make test-flink`), because PyFlink pins versions of
packages that the other tests need newer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from martlet.errors import ConfigError
from martlet.flink.session import check_java

# Programs that the other tests have, and that are run here as well.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Java there is nothing to run on."""
    try:
        check_java()
    except ConfigError as error:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=str(error)))
