"""What Python sees of state on disk: the library behind it, and its errors."""

from __future__ import annotations

import re

import pytest

import martlet as mt


def test_the_version_of_rocksdb_is_a_feature():
    assert re.fullmatch(r"\d+\.\d+\.\d+", mt.__features__["rocksdb"])


@pytest.mark.parametrize("error", [mt.StorageError, mt.StorageInUseError, mt.StorageCorruptError])
def test_storage_errors_are_those_of_the_system_too(error):
    raised = error("cannot write '/data/x': No space left on device (errno 28)", operator="count", record=7)
    assert isinstance(raised, mt.MartletError)
    assert isinstance(raised, OSError)
    assert isinstance(raised, mt.StorageError)
    assert str(raised) == ("cannot write '/data/x': No space left on device (errno 28) (operator 'count', record 7)")
    assert (raised.operator, raised.record, raised.key) == ("count", 7, None)
