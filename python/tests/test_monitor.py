"""Metrics, the progress line and the log of a run."""

from __future__ import annotations

import io
import logging
import sys
import time
from typing import Any

import pyarrow as pa
import pytest

import martlet as mt
from martlet import Config, apply_process_function
from martlet.metrics import PrometheusMetrics
from martlet.progress import ProgressLine


def ident(key: Any, batch: Any, row: int, ctx: Any) -> None:
    ctx.emit(batch)


COUNTERS = {"records_in": 1000, "records_out": 10, "keys": 3, "state_bytes": 2_000_000, "errors": 0}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_an_exporter_sees_every_counter() -> None:
    class Exporter:
        def __init__(self) -> None:
            self.seen: list[tuple[str, dict[str, int]]] = []

        def update(self, job: str, counters: dict[str, int]) -> None:
            self.seen.append((job, dict(counters)))

    exporter = Exporter()
    table = pa.table({"k": [i % 7 for i in range(50_000)]})
    report = apply_process_function(mt.stream(table), "k", ident, config=Config(metrics=exporter, name="job")).run()
    assert len(exporter.seen) >= 2
    job, last = exporter.seen[-1]
    assert job == "job"
    assert last["records_in"] == last["records_out"] == 50_000
    assert all(getattr(report, name) == value for name, value in last.items())


def test_prometheus() -> None:
    prometheus_client = pytest.importorskip("prometheus_client")
    registry = prometheus_client.CollectorRegistry()
    config = Config(metrics=PrometheusMetrics(registry), name="j", on_error="skip")

    def fn(key: Any, batch: Any, row: int, ctx: Any) -> None:
        if key == 1:
            raise ValueError
        ctx.emit(batch)

    now = time.time_ns() // 1_000_000
    rows = [{"k": k, "ts": now - 5000} for k in (1, 2, 3)]
    out = apply_process_function(mt.stream(rows, timestamp="ts"), "k", fn, config=config)
    for _ in range(2):
        out.run()
    value = registry.get_sample_value
    assert value("martlet_records_in_total", {"job": "j"}) == 6
    assert value("martlet_records_out_total", {"job": "j"}) == 4
    assert value("martlet_errors_total", {"job": "j"}) == 2
    assert 5000 <= value("martlet_watermark_lag_ms", {"job": "j"}) < 60_000


def test_prometheus_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ImportError, match="pip install prometheus-client"):
        PrometheusMetrics()


def test_the_report_tells_the_watermark_lag() -> None:
    now = time.time_ns() // 1_000_000
    out = apply_process_function(mt.stream([{"k": 1, "ts": now - 1000}], timestamp="ts"), "k", ident)
    report = out.run()
    assert report.input_watermark == now - 1001
    assert report.watermark_lag_ms is not None and 1000 <= report.watermark_lag_ms < 60_000
    assert apply_process_function(mt.stream([{"k": 1}]), "k", ident).run().watermark_lag_ms is None


@pytest.mark.parametrize("has_rich", [True, False])
def test_the_progress_line_is_drawn_and_erased(has_rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if has_rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich.console", None)
        monkeypatch.setitem(sys.modules, "rich.live", None)
    terminal = Terminal()
    line = ProgressLine("job", True, terminal)
    line.update(COUNTERS)
    line.update(COUNTERS)
    line.close()
    drawn = terminal.getvalue()
    assert "1,000 records in" in drawn
    assert "2.0 MB of state" in drawn


def test_a_progress_line_waits_two_seconds_unless_asked_for() -> None:
    terminal = Terminal()
    ProgressLine("job", None, terminal).update(COUNTERS)
    assert terminal.getvalue() == ""


def test_when_a_progress_line_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert ProgressLine.wanted(None)
    assert not ProgressLine.wanted(False)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not ProgressLine.wanted(None)
    assert ProgressLine.wanted(True)
    monkeypatch.setattr(sys, "stderr", None)
    assert not ProgressLine.wanted(None)


def test_a_run_draws_its_progress(capsys: pytest.CaptureFixture[str]) -> None:
    table = pa.table({"k": [i % 7 for i in range(50_000)]})
    apply_process_function(mt.stream(table), "k", ident, config=Config(progress=True, name="flights")).run()
    drawn = capsys.readouterr().err
    assert "\rflights: " in drawn
    assert drawn.endswith("\r")


def test_an_error_of_an_exporter_ends_the_run_as_it_is() -> None:
    class Broken:
        def update(self, job: str, counters: dict[str, int]) -> None:
            raise OSError("no route")

    with pytest.raises(OSError, match="no route"):
        apply_process_function(mt.stream([{"k": 1}]), "k", ident, config=Config(metrics=Broken())).run()


def test_a_run_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="martlet"):
        apply_process_function(mt.stream([{"k": 1}]), "k", ident, config=Config(name="j")).run()
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["job 'j' starts", "job 'j' ended"]
    assert not logging.getLogger("martlet").handlers


@pytest.mark.parametrize("dtype", [int, None])
def test_state_entries_are_values_elements_and_map_entries(dtype: Any) -> None:
    class Holds(mt.ProcessFunction):
        value = mt.ValueState("value", dtype)
        items = mt.ListState("items", dtype)
        entries = mt.MapState("entries", dtype, dtype)
        total = mt.ReducingState("total", "sum", int)

        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            self.value.set(1)
            self.items.extend([1, 2, 3])
            self.entries.put(batch["i"], 1)
            self.entries.put(-1, 1)
            self.total.add(1)
            if batch["i"] % 2:
                raise ValueError
            if key == "gone":
                for state in (self.value, self.items, self.entries, self.total):
                    state.clear()

    records = [{"k": key, "i": i} for i, key in enumerate(["a", "a", "a", "gone", "gone", "b"])]
    out = apply_process_function(mt.stream(records), "k", Holds(), config=Config(on_error="skip"))
    report = out.run()
    # Records 1, 3 and 5 failed and left nothing: "a" had two.
    assert (report.errors, report.keys, report.state_entries) == (3, 1, 1 + 6 + 3 + 1)
