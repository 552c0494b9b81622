"""The run of a durable job: it goes on from the newest checkpoint of its directory, and takes new ones."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._engine import RecordBatch, StateDir
from .backends import RocksDbStateBackend
from .errors import ClosedError
from .guarantees import source_weaknesses, warn
from .requests import Requests
from .run import Run
from .waking import Waking

if TYPE_CHECKING:
    from .config import Config
    from .graph import Plan
    from .sinks.transactions import Transactions

__all__ = ["DurableRun"]

_LOGGER = logging.getLogger("martlet")
_MEMORY, _ROCKSDB = 0, 1
# Output that waits for a checkpoint to be durable; with more the run waits, too.
_MOST_HELD_ROWS = 500_000
# How often output beside the main one is handed over.
_SIDES_SECONDS = 0.5


class DurableRun(Run):
    """Steps of a checkpoint, and what is true after a crash right there:

    1. All output that there is goes to the sinks: the checkpoint before counts.
    2. The sinks prepare it as transaction n: the same; the next start takes the transaction back.
    3. `begin`: the engine takes checkpoint n. The record loop rests only for this.
    4. It is written while the loop goes on, whose output is held back: the checkpoint before counts, or, once it is
       durable, n.
    5. `finish`: n is durable. The sinks commit: the next start commits what they have not. What was held back follows.

    Without sinks, when batches are taken one by one, only 3 and 4 are left: a checkpoint has what was handed out.
    """

    is_durable = True
    __slots__ = (
        "_begun",
        "_calls",
        "_config",
        "_directory",
        "_has_ended",
        "_held",
        "_held_rows",
        "_is_doomed",
        "_is_undecided",
        "_next_id",
        "_notes",
        "_queues",
        "_sides_due",
        "_sinks",
        "_targets",
        "_waking",
        "requests",
    )

    def __init__(self, plan: Plan, config: Config) -> None:
        assert config.state_dir is not None
        self._config = config
        backend = config.state_backend
        is_rocksdb = isinstance(backend, RocksDbStateBackend)
        store = backend.path if isinstance(backend, RocksDbStateBackend) else None
        # First of all: a second process is told before it starts anything.
        self._directory = StateDir(
            str(config.state_dir),
            _ROCKSDB if is_rocksdb else _MEMORY,
            config.retained_checkpoints,
            config.memory_limit or 0,
            None if store is None else str(store),
        )
        self._begun: int | None = None
        # Of the job's next(), since the last checkpoint was begun.
        self._calls = 0
        # Whether a checkpoint that was begun may be durable or not.
        self._is_undecided = False
        # Whether a failure is on its way.
        self._is_doomed = False
        self._has_ended = False
        self._held: list[tuple[int, RecordBatch]] = []
        self._held_rows = 0
        self._sides_due = 0.0
        self._sinks: Transactions | None = None
        # Which sink an output goes to; the others wait in queues until they are asked for.
        self._targets: dict[int, int] = {}
        self._queues: dict[int, deque[RecordBatch]] = {}
        self._waking: Waking | None = None
        try:
            super().__init__(plan, config)
            for weakness in source_weaknesses(plan.sources):
                warn(f"job {self.name!r} is durable, and {weakness}")
            self._job.stay_open()
            self._attach(config)
        except BaseException:
            # The job first, which may have its state in the directory by now.
            with contextlib.suppress(Exception):
                self._job.close()
            self._directory.close()
            workers = getattr(self, "_workers", None)
            if workers is not None:
                workers.close()
            raise
        self.requests = Requests(self._job.pause)
        self._waking = Waking(self._job, config.checkpoint_interval)

    def _attach(self, config: Config) -> None:
        start = None if config.restore_from is None else str(config.restore_from)
        found, damaged = self._directory.attach(self._job, start, tuple(config.forget))
        for line in filter(None, damaged.splitlines()):
            _LOGGER.warning("job %r: a checkpoint was passed over: %s", self.name, line)
        self._notes = notes = _Notes.read(self._directory.sink())
        restored = found or notes.checkpoint
        self._next_id = max(self._directory.next_id(), restored + 1)
        counts = self._monitor.checkpoints
        counts.restored_from = counts.last_checkpoint = restored or None
        if not restored:
            return
        where = config.state_dir if found else config.restore_from
        if notes.is_complete:
            _LOGGER.warning(
                "job %r had read its input to the end when checkpoint %d of %s was taken: there is nothing left to do. "
                "To run it again from the beginning, use another state_dir",
                self.name,
                restored,
                where,
            )
        else:
            _LOGGER.info("job %r goes on from checkpoint %d of %s", self.name, restored, where)

    # ---- output that is taken batch by batch

    def next(self, output: int, min_rows: int) -> RecordBatch | None:
        if self.is_running:
            return super().next(output, min_rows)  # which says that this is not possible
        while True:
            if queue := self._queues.get(output):
                return queue.popleft()
            if self._has_ended:
                return None
            self._look_up(output)
            if self._queues.get(output):
                continue
            batch = super().next(output, min_rows)
            if batch is not None:
                return batch
            if not self._job.is_paused():
                self._take_all()
                if not self._queues.get(output):
                    self.complete()

    # ---- output that goes to sinks

    def drive(self, sinks: Transactions, outputs: list[int], min_rows: int) -> None:
        """Runs the job to its end, or until a request stops it; `outputs` are those of the sinks, the main one
        first. The sinks are closed, whatever happens."""
        self._sinks = sinks
        self._targets = {output: number for number, output in enumerate(outputs)}
        try:
            assert self._config.state_dir is not None
            restored = self._monitor.checkpoints.restored_from
            if restored is not None and self._notes.sinks not in ([], sinks.names):
                _LOGGER.warning(
                    "job %r: its output went to %s up to checkpoint %d, and goes to %s now; what that checkpoint "
                    "committed last may be missing where the sink of before has not been told",
                    self.name,
                    ", ".join(self._notes.sinks),
                    restored,
                    ", ".join(sinks.names),
                )
            sinks.open(self.name, self._config.state_dir, restored)
            while not self.requests.is_stopped:
                self._look_up()
                assert self._waking is not None
                batch = super().next(outputs[0], 1 if self._waking.is_due else min_rows)
                if batch is not None:
                    self._give(outputs[0], batch)
                elif not self._job.is_paused():
                    break
                if len(outputs) > 1 and time.monotonic() >= self._sides_due:
                    self._take_all(outputs[1:])
                    self._sides_due = time.monotonic() + _SIDES_SECONDS
            self._take_all()
            self.complete(is_stopped=self.requests.is_stopped)
        except BaseException as failure:
            self.failure = self.failure or failure
            self._explain(failure)
            self._fail()
            raise
        sinks.close()

    def _give(self, output: int, batch: RecordBatch) -> None:
        target = self._targets.get(output)
        if target is None or self._sinks is None:
            self._queues.setdefault(output, deque()).append(batch)
        elif self._begun is not None and self._sinks.transactional[target]:
            self._held.append((target, batch))
            self._held_rows += batch.num_rows
        else:
            self._sinks.write(target, batch)

    def _take_all(self, outputs: list[int] | None = None) -> None:
        """What there is without reading more; of all outputs, or of these."""
        for output in sorted(set(self._numbers)) if outputs is None else outputs:
            while (batch := self._job.take(output)) is not None:
                self._give(output, batch)

    # ---- checkpoints

    def _look_up(self, asking: int | None = None) -> None:
        """Between two batches: ends the checkpoint that is under way, begins one that is due. Rows of the output
        that asks are handed out before."""
        assert self._waking is not None
        if self._begun is not None:
            self._finish(wait=self._held_rows > _MOST_HELD_ROWS)
        # A pause that was meant for the checkpoint before may end one call at once; two have moved the job on.
        is_due = self._waking.is_due and self._calls >= 2
        self._calls += 1
        if self._begun is not None or self._is_doomed or not (is_due or self.requests):
            return
        self._take_all()
        if asking is not None and self._queues.get(asking):
            return
        if self._begin(is_complete=False) and self.requests:
            self._finish(wait=True)
            self.requests.answer(self._last, self._save)

    def _begin(self, is_complete: bool) -> bool:
        """Steps 2 and 3; False if the job turns out to have failed."""
        assert self._waking is not None
        number, self._next_id = self._next_id, self._next_id + 1
        if self._sinks is not None:
            self._sinks.prepare(number)
        self._is_undecided = True
        names = [] if self._sinks is None else self._sinks.names
        try:
            self._directory.begin(self._job, number, _Notes(number, is_complete, names).write())
        except ClosedError:
            # A failure waits for its turn behind the output before it: the calls to come tell it.
            self._is_undecided = False
            if self._is_doomed or is_complete:
                raise
            self._is_doomed = True
            return False
        self._begun = number
        self._calls = 0
        self._waking.begun()
        return True

    def _finish(self, wait: bool) -> None:
        """Step 5, if it has come to that."""
        number = self._begun
        if number is None or not self._directory.finish(self._job, wait):
            return
        assert self._waking is not None
        self._begun = None
        self._waking.finished()
        counts = self._monitor.checkpoints
        counts.checkpoints += 1
        counts.last_checkpoint = number
        if self._sinks is not None:
            self._sinks.commit(number)
            self._is_undecided = False
            held, self._held, self._held_rows = self._held, [], 0
            for target, batch in held:
                self._sinks.write(target, batch)
        self._is_undecided = False

    @property
    def _last(self) -> int:
        return self._monitor.checkpoints.last_checkpoint or 0

    def _save(self, path: Path) -> None:
        """A savepoint of the checkpoint that was just taken."""
        names = [] if self._sinks is None else self._sinks.names
        self._job.save(str(path), self._last, _Notes(self._last, False, names).write())

    def complete(self, is_stopped: bool = False) -> None:
        """The last checkpoint, when all output was taken: the input has ended, or the job is to stop."""
        self._finish(wait=True)
        # One that was complete and did nothing needs no other.
        if not self._notes.is_complete or self._job.report()["records_in"]:
            self._begin(is_complete=not is_stopped)
            self._finish(wait=True)
        self.requests.answer(self._last, self._save)
        self._has_ended = True

    # ---- the end

    def _fail(self) -> None:
        """The run has failed: output that no durable checkpoint has is taken back."""
        sinks = self._sinks
        if sinks is None:
            return None
        self._held.clear()
        with contextlib.suppress(Exception):
            if self._begun is not None:
                self._finish(wait=True)
        if self._is_undecided:
            return sinks.leave()
        try:
            sinks.abort(self._last)
        except Exception:
            _LOGGER.warning(
                "job %r: output after checkpoint %d could not be taken back; the next start does",
                self.name,
                self._last,
                exc_info=True,
            )

    def close(self) -> None:
        if self.report is not None:
            return
        if self._waking is not None:
            self._waking.end()
        if self._begun is not None:
            with contextlib.suppress(Exception):
                self._finish(wait=True)
        super().close()
        self._directory.close()
        self.requests.fail(self.failure or ClosedError(f"job {self.name!r} has ended"))

    def __del__(self) -> None:
        # One whose making has failed has closed what it had.
        if getattr(self, "requests", None) is not None:
            self.close()


class _Notes:
    """What a checkpoint keeps of the sinks."""

    __slots__ = ("checkpoint", "is_complete", "sinks")

    def __init__(self, checkpoint: int = 0, is_complete: bool = False, sinks: list[str] | None = None) -> None:
        self.checkpoint = checkpoint
        self.is_complete = is_complete
        self.sinks = sinks or []

    @staticmethod
    def read(data: bytes) -> _Notes:
        try:
            found: dict[str, Any] = json.loads(data)
            return _Notes(int(found["checkpoint"]), bool(found["complete"]), list(found["sinks"]))
        except (ValueError, KeyError, TypeError):
            # None, or those of a program that is not in Python.
            return _Notes()

    def write(self) -> bytes:
        found = {"checkpoint": self.checkpoint, "complete": self.is_complete, "sinks": self.sinks}
        return json.dumps(found, separators=(",", ":")).encode()
