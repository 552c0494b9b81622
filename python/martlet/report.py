"""What a run did."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RunReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """Counters of a run. Times are epoch milliseconds."""

    records_in: int
    records_out: int
    batches_in: int
    batches_out: int
    null_keys: int
    """Records left out because their key was null."""
    null_timestamps: int
    """Records whose event time was null: left out, or delivered without one."""
    late: int
    """Records at or behind the watermark, whatever became of them."""
    late_dropped: int
    """Late records that were left out under `late="drop"`."""
    errors: int
    """Records and timers whose calls raised, were taken back and left out."""
    side_records: int
    """Rows of side outputs that somebody asked for."""
    side_dropped: int
    """Rows of side outputs that nobody asked for."""
    timers_fired: int
    timers_pending: int
    keys: int
    """Keys that hold state or timers at the end."""
    state_entries: int
    """Values, list elements and map entries that states hold at the end, also expired ones that nothing cleaned yet."""
    state_bytes: int
    """Memory of keys, state and timers at the end."""
    watermark: int
    """Of the last operator; 2**63 - 1 at the end of a bounded input."""
    input_watermark: int
    """Of the input: the last before its end; -2**63 without event time."""
    watermark_lag_ms: int | None
    """How far `input_watermark` was behind the clock at the end; None without event time."""
    processing_timers_fired: int
    """Those of `timers_fired` that were processing-time timers."""
    processing_timers_pending: int
    """Those of `timers_pending` that wait for processing time."""
    wall_time_s: float
    checkpoints: int = 0
    """Checkpoints that this run took."""
    last_checkpoint: int | None = None
    """The number of the last one that is durable; of an earlier run if this one took none; None if there is none."""
    restored_from: int | None = None
    """The checkpoint that the run went on from; None if it started from its beginning."""

    @property
    def records_per_second(self) -> float:
        """Input records per second of wall time."""
        return self.records_in / self.wall_time_s if self.wall_time_s > 0 else 0.0

    def __str__(self) -> str:
        parts = [
            f"{self.records_in:,} records in, {self.records_out:,} out in {self.wall_time_s:.3f} s "
            f"({self.records_per_second:,.0f}/s)"
        ]
        for value, words in (
            (self.timers_fired, "timers fired"),
            (self.timers_pending, "timers pending"),
            (self.late, "late"),
            (self.late_dropped, "late dropped"),
            (self.errors, "errors"),
            (self.side_records, "side records"),
            (self.side_dropped, "side records dropped"),
            (self.null_keys, "null keys dropped"),
            (self.null_timestamps, "null timestamps"),
        ):
            if value:
                parts.append(f"{value:,} {words}")
        if self.restored_from is not None:
            parts.append(f"restored from checkpoint {self.restored_from}")
        if self.checkpoints:
            parts.append(f"{self.checkpoints:,} checkpoints, the last is {self.last_checkpoint}")
        parts.append(f"{self.keys:,} keys, {self.state_bytes:,} bytes of state")
        return "; ".join(parts)
