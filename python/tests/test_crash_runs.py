"""A few of the random runs of `tools/crash_runs.py`; hundreds of them are for a quiet hour."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from crash_lives import BACKENDS

TOOL = Path(__file__).resolve().parents[2] / "tools/crash_runs.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("crash_runs", TOOL)
    assert spec is not None and spec.loader is not None
    module = sys.modules["crash_runs"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_killed_at_random(tool: ModuleType, tmp_path: Path) -> None:
    found = tool.runs(list(range(1, 9)), BACKENDS, tmp_path, 2, say=False)
    assert not [run for run in found if run.trouble], found
    assert sum(run.killed for run in found) >= 8


def test_a_difference_is_found(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink that loses a file, once."""
    real = tool.outcome

    def lossy(life: tool.Life) -> tool.Outcome:
        found = real(life)
        del found.out[17]
        return found

    monkeypatch.setattr(tool, "MOST_LIVES", 1)
    (run,) = tool.runs([1], ["memory"], tmp_path, 1, say=False)
    assert run.trouble == "it does not come to an end"
    monkeypatch.undo()
    expected = real(tool.prepared(tmp_path / "expected"))
    monkeypatch.setattr(tool, "outcome", lossy)
    with tool.Lives() as lives:
        run = tool.one_run(lives, 2, tmp_path / "2", expected, ["memory"])
    assert run.trouble is not None and run.trouble.startswith("out, row 17: ")
