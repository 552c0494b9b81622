"""Sinks that prepare into an outbox and commit by delivering it, with its number, in one transaction of the target."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from .._engine import RecordBatch
from ..errors import ConfigError, SinkError
from . import storage
from .outbox import Outbox

__all__ = ["DeliverySink", "Mark"]

_logger = logging.getLogger("martlet")


class Mark(NamedTuple):
    """What the target says of a job: the last transaction that it holds, and in which life of the job."""

    life: str
    checkpoint: int


class DeliverySink:
    """The part that is the same for every target. A transaction is delivered together with its mark, so a commit that
    is repeated after a crash sees whether there is anything left to do."""

    transactional = True
    min_rows = 1024
    # Whether the same output twice leaves the target as it is.
    is_idempotent = False

    def __init__(self, name: str, rewind: Literal["raise", "accept"]) -> None:
        if rewind not in ("raise", "accept"):
            raise ConfigError(f"{type(self).__name__}: rewind={rewind!r} is not allowed; use 'raise' or 'accept'")
        self.name = name
        self._rewind = rewind
        self._job = ""
        self._outbox: Outbox | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    # ---- of each target

    def _connect(self) -> None:
        """Opens the target. May be called again after `_disconnect`."""
        raise NotImplementedError

    def _disconnect(self) -> None:
        raise NotImplementedError

    def _mark(self) -> Mark | None:
        """The mark of this job and sink."""
        raise NotImplementedError

    def _frames(self, batch: RecordBatch, is_first: bool) -> Iterable[bytes]:
        """What is kept of a batch; `is_first`: it is the first of its transaction."""
        raise NotImplementedError

    def _deliver(self, mark: Mark, frames: Iterator[bytes]) -> None:
        """All of it and the mark, or nothing; nothing if the target has this mark, or a later one of this life."""
        raise NotImplementedError

    # ---- life

    def open(self, job: str, state_dir: Path | None = None) -> None:
        self._job = job
        if state_dir is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="martlet-")
            directory = Path(self._temporary.name)
        else:
            directory = Path(state_dir) / "sinks" / storage.quoted(self.name)
        self._outbox = Outbox(directory, f"{type(self).__name__} {self.name!r} of job {job!r}, {directory},")
        self._connect()

    def recover(self, checkpoint: int | None) -> None:
        outbox = self._opened()
        outbox.discard_after(checkpoint or 0)
        if checkpoint is None:
            outbox.renew_life()
            return
        if outbox.life:
            self.commit(checkpoint)
        mark = self._mark()
        is_rewound = mark is not None and mark.checkpoint > checkpoint
        if is_rewound and mark is not None and not self.is_idempotent:
            words = (
                f"{type(self).__name__} {self.name!r}: the target has the output of job {self._job!r} up to checkpoint "
                f"{mark.checkpoint}, and the job goes on from checkpoint {checkpoint}: what came after it would be "
                "there twice"
            )
            if self._rewind == "raise":
                raise SinkError(
                    f"{words}. Restore checkpoint {mark.checkpoint}, or take that output away and pass rewind='accept'"
                )
            _logger.warning("%s; accepted by rewind='accept'", words)
        if is_rewound or not outbox.life:
            outbox.renew_life()

    def write(self, batch: RecordBatch) -> None:
        outbox = self._opened()
        if batch.num_rows:
            for frame in self._frames(batch, outbox.is_empty):
                outbox.append(frame)

    def prepare(self, checkpoint: int) -> None:
        self._opened().prepare(checkpoint)

    def commit(self, checkpoint: int) -> None:
        outbox = self._opened()
        for number in outbox.prepared():
            if number <= checkpoint:
                # 1. In the target, whole and once. 2. Not needed here any more.
                self._deliver(Mark(outbox.life, number), outbox.frames(number))
                outbox.drop(number)

    def abort(self, checkpoint: int) -> None:
        self._opened().discard_after(checkpoint)
        self.commit(checkpoint)

    def close(self) -> None:
        outbox, self._outbox = self._outbox, None
        if outbox is None:
            return
        try:
            outbox.close()
            self._disconnect()
        finally:
            if self._temporary is not None:
                self._temporary.cleanup()
                self._temporary = None

    def _opened(self) -> Outbox:
        if self._outbox is None:
            raise SinkError(f"{type(self).__name__} {self.name!r} is not open: call open() and recover() first")
        return self._outbox
