"""Settings of durable jobs, their defaults and contradictions; what explain() and warnings say of guarantees."""

from __future__ import annotations

import datetime
import pickle
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

import martlet as mt


def config(tmp_path: Path, **settings: Any) -> mt.Config:
    return mt.Config(**{"state_dir": tmp_path / "state", **settings})


def test_defaults() -> None:
    plain = mt.Config()
    assert not plain.is_durable
    assert plain.state_dir is None
    assert plain.state_backend == mt.InMemoryStateBackend()
    assert (plain.checkpoint_interval, plain.retained_checkpoints) == (10_000, 2)
    durable = mt.Config(profile="single-node-durable", state_dir="state")
    assert durable.is_durable
    assert durable.state_dir == Path("state")
    assert durable.state_backend == mt.RocksDbStateBackend()


def test_settings_read_back_in_one_form(tmp_path: Path) -> None:
    one = config(
        tmp_path,
        state_backend=mt.RocksDbStateBackend(tmp_path / "store"),
        checkpoint_interval=datetime.timedelta(seconds=2),
        memory_limit="1.5 GiB",
        forget=["old", ("counter", "count")],
        restore_from=str(tmp_path / "savepoint"),
        retained_checkpoints=5,
    )
    assert one.checkpoint_interval == 2000
    assert one.memory_limit == 3 * 2**29
    assert one.forget == (("old", None), ("counter", "count"))
    assert one.restore_from == tmp_path / "savepoint"
    assert one == config(
        tmp_path,
        state_backend=mt.RocksDbStateBackend(str(tmp_path / "store")),
        checkpoint_interval="2s",
        memory_limit=3 * 2**29,
        forget=(("old", None), ("counter", "count")),
        restore_from=tmp_path / "savepoint",
        retained_checkpoints=5,
    )
    assert pickle.loads(pickle.dumps(one)) == one
    assert hash(pickle.loads(pickle.dumps(one))) == hash(one)
    assert "RocksDbStateBackend(" in repr(one)
    assert config(tmp_path, forget="old").forget == (("old", None),)
    assert config(tmp_path, checkpoint_interval=None).checkpoint_interval is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"profile": "durable"}, "use 'dev-local' or 'single-node-durable'"),
        ({"profile": "single-node-durable", "state_dir": None}, "needs state_dir=.*MARTLET_STATE_DIR"),
        (
            {"profile": "single-node-durable", "state_backend": mt.InMemoryStateBackend()},
            "RocksDbStateBackend.*profile='dev-local' with state_dir=",
        ),
        ({"state_backend": "rocksdb"}, r"use InMemoryStateBackend\(\) or RocksDbStateBackend\(\)"),
        ({"state_dir": None, "state_backend": mt.RocksDbStateBackend()}, "RocksDbStateBackend.*needs state_dir="),
        ({"state_dir": None, "restore_from": "x"}, "restore_from= needs state_dir="),
        ({"state_dir": None, "forget": "x"}, "forget= needs state_dir="),
        ({"state_dir": None, "checkpoint_interval": "1s"}, "checkpoint_interval= needs state_dir="),
        ({"state_dir": None, "retained_checkpoints": 3}, "retained_checkpoints= needs state_dir="),
        ({"state_dir": 3}, "state_dir=3 is not allowed; use the path of a directory"),
        ({"state_dir": ""}, "state_dir='' is not allowed"),
        ({"restore_from": b"x"}, "restore_from=b'x' is not allowed"),
        ({"checkpoint_interval": "soon"}, "checkpoint_interval='soon' is not allowed.*'5s'"),
        ({"checkpoint_interval": 0}, "1 or more"),
        ({"memory_limit": "much", "state_backend": mt.RocksDbStateBackend()}, "'512MB' or '2GiB'"),
        ({"memory_limit": 5, "state_backend": mt.RocksDbStateBackend()}, "at least 1MiB"),
        ({"memory_limit": "1GB"}, "memory_limit='1GB' is for state on disk.*RocksDbStateBackend"),
        ({"forget": 3}, "forget=3 is not allowed; use a list of names"),
        ({"forget": [("a", "b", "c")]}, "pairs"),
        ({"forget": [""]}, "not allowed"),
        ({"retained_checkpoints": 0}, "use an int of 1 or more"),
        ({"state_directory": "x"}, "unknown setting 'state_directory'; the settings are .*'state_dir'"),
    ],
)
def test_what_is_not_allowed(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(mt.ConfigError, match=words):
        config(tmp_path, **settings)
    with pytest.raises(mt.ConfigError, match="not allowed"):
        mt.RocksDbStateBackend(7)  # type: ignore[arg-type]


def test_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARTLET_STATE_DIR", str(tmp_path / "state"))
    assert mt.Config().state_dir is None
    monkeypatch.setenv("MARTLET_PROFILE", "single-node-durable")
    assert mt.Config().state_dir == tmp_path / "state"
    assert mt.Config(state_dir="other").state_dir == Path("other")
    # What is only read is no job.
    assert mt.stream([{"a": 1}]).to_pylist() == [{"a": 1}]
    assert not (tmp_path / "state").exists()
    monkeypatch.setenv("MARTLET_PROFILE", "fast")
    with pytest.raises(mt.ConfigError, match="MARTLET_PROFILE='fast' is not allowed"):
        mt.Config()


def through(source: Any, settings: mt.Config) -> mt.Stream:
    return mt.stream(source, name="numbers").key_by("k").process(passed, config=settings)


def passed(key: Any, batch: Any, row: int, ctx: Any) -> None:
    ctx.emit(batch)


def test_explain_says_what_is_promised(tmp_path: Path) -> None:
    text = through([{"k": 1}], config(tmp_path, checkpoint_interval="5s")).explain()
    assert f"InMemoryStateBackend(); checkpoints in {tmp_path / 'state'}, every 5,000 ms" in text
    assert "each record counts exactly once in state" in text
    durable = config(tmp_path, profile="single-node-durable", memory_limit="1GB", checkpoint_interval=None)
    text = through(iter([{"k": 1}]), durable).explain()
    assert "'single-node-durable': state in RocksDbStateBackend(), up to 1,000,000,000 bytes of it in memory" in text
    assert "at the end and on request" in text
    assert "stream 'numbers' reads a list_iterator, which cannot be read again" in text
    assert "checkpoints" not in through([{"k": 1}], mt.Config()).explain()


def test_weaker_guarantees_are_a_warning(tmp_path: Path) -> None:
    with pytest.warns(mt.MartletWarning, match="stream 'numbers' reads a list_iterator") as caught:
        through(iter([{"k": 1}]), config(tmp_path)).run(mt.JsonlSink(tmp_path / "out"))
    assert caught[0].filename == __file__
    with pytest.warns(mt.MartletWarning, match="its sink, a callable, is not transactional"):
        through([{"k": 1}], config(tmp_path, state_dir=tmp_path / "other")).run(print)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = through([{"k": 1}], config(tmp_path, state_dir=tmp_path / "third"))
        out.run(mt.JsonlSink(tmp_path / "out3"))


def test_a_handle_needs_a_directory() -> None:
    with pytest.raises(mt.ConfigError, match=r"pass Config\(state_dir="):
        through([{"k": 1}], mt.Config()).start()


def test_who_looks_at_a_run_sees_its_checkpoints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Seen:
        last: dict[str, int]

        def update(self, job: str, counters: dict[str, int]) -> None:
            self.last = counters

    for restored in (False, True):
        seen = Seen()
        out = through(Slow(restored), config(tmp_path, checkpoint_interval=1, progress=True, metrics=seen))
        if restored:
            report = out.run(mt.JsonlSink(tmp_path / "out"))
            assert seen.last["checkpoints"] == report.checkpoints
            assert report.restored_from is not None
            assert report.records_in < 12
        else:
            with pytest.raises(RuntimeError, match="six"):
                out.run(mt.JsonlSink(tmp_path / "out"))
        assert seen.last["checkpoints"] > 0
        line = capsys.readouterr().err
        assert ", checkpoint " in line
        assert (", restored from checkpoint " in line) == restored


class Slow:
    """Some batches, with time for the line to be drawn; fails in its first life."""

    def __init__(self, is_whole: bool) -> None:
        self.is_whole = is_whole

    def read(self, offset: Any) -> Any:
        for n in range(offset or 0, 12):
            if n == 6 and not self.is_whole:
                raise RuntimeError("six")
            time.sleep(0.11)
            yield next(iter(mt.stream([{"k": n}]))), n + 1
