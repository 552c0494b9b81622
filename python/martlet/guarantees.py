"""What a durable job promises, and what weakens it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import MartletWarning

if TYPE_CHECKING:
    from .config import Config
    from .graph import SourceNode
    from .sinks.transactions import Transactions

__all__ = ["durable_guarantee", "durable_profile", "source_weaknesses", "warn", "warn_of"]

_PACKAGE = str(Path(__file__).parent)


def source_weaknesses(sources: Iterable[SourceNode]) -> list[str]:
    """In words, for each source that cannot be read again from a place in its middle."""
    return [
        f"stream {source.name!r} reads a {type(source.source).__name__}, which cannot be read again: after a restart "
        "it is read from wherever it begins then, so that records may be missing or come twice"
        for source in sources
        if source.one_shot
    ]


def durable_profile(config: Config) -> str:
    """Where the state is and how often it is made safe."""
    interval = config.checkpoint_interval
    often = "at the end and on request" if interval is None else f"every {interval:,} ms, at the end and on request"
    limit = "" if config.memory_limit is None else f", up to {config.memory_limit:,} bytes of it in memory"
    return f"{config.profile!r}: state in {config.state_backend!r}{limit}; checkpoints in {config.state_dir}, {often}"


def durable_guarantee(sources: Iterable[SourceNode]) -> str:
    """What a restart loses or repeats."""
    sinks = "output is exactly once in transactional sinks, and at least once elsewhere"
    if weak := source_weaknesses(sources):
        return f"after a restart state and output go on from the last checkpoint, but {'; '.join(weak)}"
    return f"after a restart each record counts exactly once in state; {sinks}"


def warn_of(job: str, sinks: Transactions) -> None:
    """A MartletWarning for each sink that cannot take back what it was given."""
    for name, is_transactional in zip(sinks.names, sinks.transactional, strict=True):
        if not is_transactional:
            warn(
                f"job {job!r} is durable, and its sink, {name}, is not transactional: after a restart it is given "
                "again what came after the last checkpoint; use a mt.Sink for output that holds each record once"
            )


def warn(text: str) -> None:
    """A MartletWarning at the line of the user's program."""
    level = 1
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
        level += 1
    warnings.warn(text, MartletWarning, stacklevel=level + 1)
