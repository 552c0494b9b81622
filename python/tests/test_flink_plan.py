"""The profile distributed-durable as far as it needs neither PyFlink nor Java: settings, refusals, words."""

from __future__ import annotations

import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import martlet as mt
from martlet.flink.failing import TaskError, report_failures, revived
from martlet.flink.refusals import check
from martlet.flink.session import JAR, check_java, flink_settings
from martlet.flink.wire import key_text, key_values
from martlet.graph import Plan

RULES = mt.BroadcastState("rules", int)
ROWS = [{"k": 1, "n": 2, "t": 3}]


def config(**settings: Any) -> mt.Config:
    return mt.Config(profile="distributed-durable", **settings)


def nothing(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
    pass


# ---- settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["localhost:8081", "http://10.0.0.1:80/", "[::1]:8081"])
def test_addresses(address: str) -> None:
    assert config(cluster=address).cluster in ("localhost:8081", "10.0.0.1:80", "[::1]:8081")


@pytest.mark.parametrize("address", ["localhost", "a b:1", ":8081", "host:0", "host:70000", 8081])
def test_what_is_no_address(address: Any) -> None:
    with pytest.raises(mt.ConfigError, match=r"cluster=.*is no address.*localhost:8081"):
        config(cluster=address)


def test_settings_of_another_profile() -> None:
    with pytest.raises(mt.ConfigError, match=r"cluster= is for profile='distributed-durable'"):
        mt.Config(cluster="localhost:8081")
    with pytest.raises(mt.ConfigError, match=r"flink= is for"):
        mt.Config(flink={"a": "b"})
    with pytest.raises(mt.ConfigError, match=r"flink=.*both texts"):
        config(flink={"a": 1})


def test_a_config_travels() -> None:
    one = config(cluster="h:1", flink={"b": "2", "a": "1"}, state_dir="s3://bucket/x")
    assert pickle.loads(pickle.dumps(one)) == one
    assert one.flink == (("a", "1"), ("b", "2"))


def test_settings_of_flink(tmp_path: Path) -> None:
    plain = flink_settings(config())
    assert plain["state.backend.type"] == "rocksdb" and plain["restart-strategy.type"] == "none"
    assert "execution.checkpointing.interval" not in plain
    durable = flink_settings(
        config(
            cluster="h:1",
            state_dir=tmp_path,
            checkpoint_interval="2s",
            restore_from="s3://bucket/savepoint-1",
            state_backend=mt.InMemoryStateBackend(),
            flink={"restart-strategy.type": "exponential-delay"},
        )
    )
    assert durable["execution.checkpointing.dir"] == tmp_path.as_uri()
    assert durable["execution.checkpointing.interval"] == "2000 ms"
    assert durable["execution.state-recovery.path"] == "s3://bucket/savepoint-1"
    assert durable["state.backend.type"] == "hashmap"
    assert durable["restart-strategy.type"] == "exponential-delay"
    assert "rest.port" not in durable


# ---- what is missing ---------------------------------------------------------------------------------


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyflink.version", None)
    with pytest.raises(mt.ConfigError, match=r"pip install 'martlet\[flink\]'"):
        mt.stream(ROWS).key_by("k").process(nothing, config=config()).to_pylist()


def test_without_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(mt.ConfigError, match=r"no java on the PATH: apt-get install openjdk-17-jre-headless"):
        check_java()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(mt.ConfigError, match=r"JAVA_HOME='.*nowhere' has no bin/java"):
        check_java()


@pytest.mark.parametrize(("version", "is_new"), [("1.8.0_402", False), ("11.0.2", True), ("17.0.15", True)])
def test_the_version_of_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, is_new: bool) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    if is_new:
        return check_java()
    with pytest.raises(mt.ConfigError, match=r"needs Java 17.*is Java 8: apt-get install"):
        check_java()
    return None


def test_the_jar_has_the_classes_of_its_sources() -> None:
    with zipfile.ZipFile(JAR) as jar:
        classes = {Path(name).stem.partition("$")[0] for name in jar.namelist()}
    assert classes == {path.stem for path in JAR.parent.glob("*.java")}


# ---- refusals ----------------------------------------------------------------------------------------


class Visiting(mt.BroadcastProcessFunction):
    rules = RULES
    kept = mt.ValueState("kept", int)

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        pass

    def on_broadcast(self, key: None, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        for _ in range(1):
            (lambda: ctx.apply_to_keyed_state("kept", lambda key, state: state.clear()))()


def refused(stream: mt.Stream, words: str, **settings: Any) -> None:
    with pytest.raises(mt.ConfigError, match=words):
        check(Plan.of([stream._edge]), config(**settings))
    told = stream.explain(profile="distributed-durable")
    assert settings or "REFUSED: " in told


def test_refusals() -> None:
    source = mt.stream(ROWS)
    visiting = source.key_by("k").connect(mt.stream(ROWS).broadcast(RULES)).process(Visiting())
    refused(visiting, r"'Visiting'.*apply_to_keyed_state.*broadcast state.*single-node-durable")
    reserved = mt.ValueState("martlet.timers")
    refused(source.key_by("k").process(nothing, reserved), r"does not begin with 'martlet.'")
    plain = source.key_by("k").process(nothing)
    refused(plain, r"clock=.*Flink's processing time", clock=mt.ManualClock())
    refused(plain, r"memory_limit=.*managed.size", memory_limit="1GB")

    class Endless:
        bounded = False

        def read(self, offset: Any) -> Any:
            return iter(())

    refused(mt.stream(Endless()).key_by("k").process(nothing), r"Endless.*read to its end")


def test_a_plan_that_fits_is_not_refused() -> None:
    stream = mt.stream(ROWS).key_by("k").process(nothing, mt.ValueState("kept", ttl="1s"))
    check(Plan.of([stream._edge]), config())
    assert "REFUSED" not in stream.explain(profile="distributed-durable")


# ---- words -------------------------------------------------------------------------------------------


def test_explain() -> None:
    states = [
        mt.ValueState("value", int),
        mt.ListState("items"),
        mt.MapState("table", str, ttl=mt.TTL(1000, update="read_write", visibility="until_cleaned")),
        mt.ValueState("aged", int, ttl=mt.TTL(90, time="event", update="read_write")),
    ]
    stream = mt.stream(ROWS, timestamp="t", watermark=7).key_by("k").process(nothing, *states)
    told = stream.explain(profile="distributed-durable")
    assert "for_bounded_out_of_orderness(7 ms) on 't'" in told
    assert "ValueState of Types.LONG" in told and "ListState of Types.PICKLED_BYTE_ARRAY" in told
    assert "MapState, entry by entry, Types.STRING" in told
    assert "StateTtlConfig(1000 ms, OnReadAndWrite, ReturnExpiredIfNotCleanedUp)" in told
    assert "-> ValueState of Types.PICKLED_BYTE_ARRAY, with the event time when it was last written or read" in told
    assert "leaves out what is 90 ms old, and event-time timers of the key, 1000 ms apart, clear it" in told
    assert "TTLs in event time after" not in told
    assert "makes nothing newer" not in told
    skipping = stream.key_by("k").process(nothing, states[3], config=mt.Config(on_error="skip"))
    assert "makes nothing newer" in skipping.explain(profile="distributed-durable")
    again = stream.key_by("k").process(nothing, states[3]).explain(profile="distributed-durable")
    assert "TTLs in event time after other operators" in again
    assert "what is different from the embedded engine:\n  - order: " in told
    assert "same output, in the same order" not in told
    assert "on Apache Flink" not in stream.explain()


# ---- what travels ------------------------------------------------------------------------------------


def test_keys_are_apart_by_type_and_value() -> None:
    import datetime
    import decimal

    keys = [1, "1", b"1", True, None, datetime.date(2026, 1, 1), decimal.Decimal("1.50"), "p['x']"]
    texts = [key_text((key, 0), ("k", "n"), ("k",)) for key in keys]
    assert len(set(texts)) == len(keys)
    assert [key_values(text) for text in texts] == [(key,) for key in keys]
    assert key_values(key_text(("a", 5), ("k", "n"), ("n", "k"))) == (5, "a")


class OddError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code

    def __reduce__(self) -> Any:
        return OddError, (self.code,)


def test_exceptions_come_back_from_a_trace() -> None:
    with pytest.raises(TaskError) as carried, report_failures():
        raise OddError(7)
    trace = f"org.apache.flink.Something: {carried.value}\n\tat java.base/java.lang.Thread.run"
    error = revived(trace)
    assert isinstance(error, OddError) and error.code == 7
    assert error.__notes__[-1].startswith("Apache Flink:\norg.apache.flink.Something: OddError: code 7")
    assert "martlet-failure" not in error.__notes__[-1]
    assert revived("java.lang.OutOfMemoryError") is None
