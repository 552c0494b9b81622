"""A job that goes on from any of its checkpoints, one after every step, gives what it gives when nothing stops it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crash_job
import pyarrow as pa
import pytest

import martlet as mt
from martlet import durable
from martlet.requests import Requests

ROWS = 150


class Rows:
    """A sink that keeps rows, and how many there were when each checkpoint was prepared."""

    transactional = True
    min_rows = 1

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.prepared: dict[int, int] = {}

    def write(self, batch: Any) -> None:
        self.rows += [tuple(row.values()) for row in pa.record_batch(batch).to_pylist()]

    def prepare(self, checkpoint: int) -> None:
        self.prepared[checkpoint] = len(self.rows)

    def commit(self, checkpoint: int) -> None: ...
    def abort(self, checkpoint: int) -> None: ...


class Steps:
    """Asks for a checkpoint whenever a source or a function is called, while `is_asking`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_asking = False
        self.requests: Requests | None = None
        steps = self

        class Known(Requests):
            def __init__(self, pause: Any) -> None:
                super().__init__(pause)
                steps.requests = self

        monkeypatch.setattr(durable, "Requests", Known)
        for function in (crash_job.Matching, crash_job.Shops, crash_job.Rules):
            for name in ("on_left", "on_right", "on_event", "on_broadcast", "on_timer"):
                if method := vars(function).get(name):
                    monkeypatch.setattr(function, name, self._asking(method))

    def _asking(self, method: Any) -> Any:
        def asking(function: Any, *arguments: Any) -> None:
            self.ask()
            method(function, *arguments)

        return asking

    def ask(self, number: int = 0) -> None:
        if self.is_asking and self.requests is not None:
            self.requests.add()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    yield Steps(monkeypatch)


def lived(folder: Path, steps: Steps, state: str, backend: str, **settings: Any) -> Rows:
    out, clock = crash_job.build(ROWS, folder / "payments", steps.ask)
    rows = Rows()
    config = mt.Config(
        state_dir=folder / state,
        state_backend=mt.RocksDbStateBackend() if backend == "rocksdb" else mt.InMemoryStateBackend(),
        checkpoint_interval=None,
        max_parallelism=16,
        clock=clock,
        at_end="keep",
        name="crash",
        progress=False,
        **settings,
    )
    out.run(rows, config=config, side_outputs={"odd": Rows()})
    return rows


@pytest.mark.parametrize(("backend", "stride"), [("memory", 1), ("rocksdb", 9)])
def test_every_checkpoint_goes_on_as_if_nothing_had_been(
    backend: str, stride: int, steps: Steps, tmp_path: Path
) -> None:
    crash_job.write_payments(tmp_path / "payments", ROWS)
    steps.is_asking = True
    whole = lived(tmp_path, steps, "whole", backend, retained_checkpoints=100_000)
    steps.is_asking = False
    checkpoints = sorted((tmp_path / "whole" / "checkpoints").iterdir())
    assert len(checkpoints) > ROWS
    for checkpoint in checkpoints[:-1:stride]:
        rest = lived(tmp_path, steps, "rest", backend, restore_from=checkpoint)
        before = whole.prepared[int(checkpoint.name)]
        assert rest.rows == whole.rows[before:], f"from checkpoint {checkpoint.name}, after {before} rows"
        shutil.rmtree(tmp_path / "rest")
