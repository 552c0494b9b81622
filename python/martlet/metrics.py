"""Metrics of running jobs for monitoring systems.

mt.Config(metrics=PrometheusMetrics())

An exporter is any object with `update(job, counters)`: it is called about every second while a job runs, on the job's
thread, and once at its end. `job` is the job's name, `counters` the fields of `RunReport` so far.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["Metrics", "PrometheusMetrics", "watermark_lag_ms"]

_MIN_TIME, _MAX_TIME = -(2**63), 2**63 - 1

_COUNTERS = {
    "records_in": "Records read from the input.",
    "records_out": "Records of the main outputs.",
    "side_records": "Records of side outputs.",
    "side_dropped": "Records of outputs that nobody asked for.",
    "late": "Records at or behind the watermark.",
    "late_dropped": "Late records that were left out.",
    "errors": "Records and timers whose calls failed and were taken back.",
    "null_keys": "Records left out because their key was null.",
    "null_timestamps": "Records whose event time was null.",
    "timers_fired": "Timers that fired.",
    "checkpoints": "Checkpoints that are durable.",
}
_GAUGES = {
    "timers_pending": "Timers registered and not fired.",
    "keys": "Keys that hold state or timers.",
    "state_entries": "Values, list elements and map entries that states hold.",
    "state_bytes": "Memory of keys, state and timers, in bytes.",
    "watermark_ms": "The watermark of the input, in epoch milliseconds.",
    "watermark_lag_ms": "How far the watermark of the input is behind the clock, in milliseconds.",
}


class Metrics(Protocol):
    """What `Config(metrics=…)` takes."""

    def update(self, job: str, counters: Mapping[str, int]) -> None: ...


def watermark_lag_ms(input_watermark: int) -> int | None:
    """How far a watermark is behind the clock, in milliseconds; None before the first (Flink: watermarkLag)."""
    if input_watermark in (_MIN_TIME, _MAX_TIME):
        return None
    return time.time_ns() // 1_000_000 - input_watermark


class PrometheusMetrics:
    """Exports the counters of jobs through `prometheus_client`, labelled with the job's name.

    - `registry`: a `prometheus_client.CollectorRegistry`; the default registry when left out.
    - `prefix`: of the names: `martlet_records_in_total`, `martlet_keys` …

    Counters add up over all runs of a job; gauges show the last. One object serves any number of jobs. Raises
    ImportError when prometheus_client is missing.
    """

    def __init__(self, registry: Any = None, *, prefix: str = "martlet") -> None:
        try:
            import prometheus_client
        except ImportError as error:
            raise ImportError(
                "PrometheusMetrics needs the package prometheus_client: pip install prometheus-client"
            ) from error
        registry = prometheus_client.REGISTRY if registry is None else registry
        self._counters = {
            name: prometheus_client.Counter(f"{prefix}_{name}", text, ["job"], registry=registry)
            for name, text in _COUNTERS.items()
        }
        self._gauges = {
            name: prometheus_client.Gauge(f"{prefix}_{name}", text, ["job"], registry=registry)
            for name, text in _GAUGES.items()
        }
        # What a run has told so far, by its counters' dict-like owner: runs of one job add up.
        self._told: weakref.WeakKeyDictionary[Any, dict[str, int]] = weakref.WeakKeyDictionary()

    def update(self, job: str, counters: Mapping[str, int], run: object = None) -> None:
        """Takes the counters of a job so far. `run` tells runs apart; those told without one count as one."""
        told = self._told.setdefault(self if run is None else run, {})
        for name, counter in self._counters.items():
            count = counters.get(name, 0)
            grown = count - told.get(name, 0)
            told[name] = count
            if grown > 0:
                counter.labels(job).inc(grown)
        for name in ("timers_pending", "keys", "state_entries", "state_bytes"):
            self._gauges[name].labels(job).set(counters[name])
        watermark = counters["input_watermark"]
        lag = watermark_lag_ms(watermark)
        if lag is not None:
            self._gauges["watermark_ms"].labels(job).set(watermark)
            self._gauges["watermark_lag_ms"].labels(job).set(lag)
