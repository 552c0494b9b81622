"""The bids that recipes share: those of the Nexmark benchmark, from `../nexmark/generator.py`, without the texts."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

sys.path.append(str(Path(__file__).resolve().parents[1] / "nexmark"))

from generator import Nexmark


def bids(events: int, per_second: int) -> pl.DataFrame:
    """The bids among the first `events` events, in order of `ts` (epoch milliseconds); `position` numbers them."""
    table = Nexmark(events=events, per_second=per_second).bids.select(["ts", "auction", "bidder", "price"])
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame.with_row_index("position")
