"""What a transactional sink is: nothing is seen before it is committed."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

__all__ = ["Sink"]


@runtime_checkable
class Sink(Protocol):
    """Where output goes, in transactions numbered by the checkpoint that they belong to.

    The life of a sink: `open`, `recover`, then `write` … `prepare(1)`, `commit(1)`, `write` … `prepare(2)`, and so on,
    and `close`. Between prepare(n) and commit(n) the engine makes checkpoint n durable. A process may die at any point;
    the next one makes a new sink and begins with `open` and `recover`.

    - `write(batch)`: takes a `RecordBatch`.
    - `prepare(checkpoint)`: makes everything written since the last prepare durable as transaction `checkpoint`, still
      invisible to readers. If this raises, nothing of it counts.
    - `commit(checkpoint)`: makes the transactions up to `checkpoint` visible. It may be called again for one that was
      committed already, and must then do nothing.
    - `abort(checkpoint)`: goes back to `checkpoint`, the last one that is durable; 0 if there is none. What was written
      or prepared after it is given up; it itself is committed if it was prepared and is not committed yet.

    Looked for, and may be left out:

    - `transactional: bool`: True for a sink that keeps all of this. Without it, `write`, `close()` and `abort()`
      without an argument are all that is called.
    - `open(job, state_dir)`: before anything else. `job` is the job's name: two jobs with one target are told apart by
      it. `state_dir` is a `pathlib.Path` of the job's own where the sink may keep files, or None when the job keeps
      none: its transactions then need not survive the process.
    - `recover(checkpoint)`: after `open`: the last durable checkpoint, or None when the job starts from its beginning.
      As `abort(checkpoint)`, for what an earlier process left.
    - `close()`: at the end. What was not prepared is dropped, what was prepared stays for `recover`.
    - `min_rows: int = 1`: how many rows it would like at a time.

    A job without checkpoints is one transaction: prepare(1) and commit(1) at the end, abort(0) after a failure.
    """

    transactional: bool

    def write(self, batch: Any) -> None: ...

    def prepare(self, checkpoint: int) -> None: ...

    def commit(self, checkpoint: int) -> None: ...

    def abort(self, checkpoint: int) -> None: ...
